"""Caches in Redis that published 1.3.3 wrote"""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from requests_cache import CachedSession
from requests_cache.serializers.preconf import safe_pickle_serializer

RECORDED = json.loads((Path(__file__).parents[1] / 'data' / 'redis_1.3.3.json').read_text('utf-8'))


pytest_plugins = ['support.redis_fixtures']


class TestOldEntries:
    """Written by published 1.3.3; the data was made by `data/make_redis_data.py`"""

    SERIALIZERS = {'json': 'json', 'yaml': 'yaml', 'safe_pickle': safe_pickle_serializer('secret')}

    @pytest.fixture(params=sorted(RECORDED['responses']))
    def old_session(
        self, request: pytest.FixtureRequest, redis_client: redis.Redis, make_redis_session: Any
    ) -> CachedSession:
        for name, data in RECORDED['redis'].items():
            if 'value' in data:
                redis_client.set(name, b64decode(data['value']), ex=data['ttl'] if data['ttl'] > 0 else None)
            else:
                redis_client.hset(name, mapping=data)
        return make_redis_session(
            f'old {request.param}', serializer=self.SERIALIZERS.get(request.param), only_if_cached=True
        )

    @pytest.fixture
    def recorded(self, request: pytest.FixtureRequest, old_session: CachedSession) -> list[dict[str, Any]]:
        responses: list[dict[str, Any]] = RECORDED['responses'][old_session.cache.cache_name.removeprefix('old ')]
        return responses

    def test_they_hit_and_are_what_they_were(self, old_session: CachedSession, recorded: list[dict[str, Any]]) -> None:
        for expected in recorded:
            if expected['method'] == 'POST':  # whose keys are made in another way
                response: Any = old_session.cache.get_response(expected['key'])
            else:
                response = old_session.get(expected['url'])
            assert response.from_cache
            found = {
                'key': response.cache_key,
                'status': response.status_code,
                'content': response.content,
                'text': response.text,
                'headers': dict(response.headers),
                'cookies': dict(response.cookies),
                'history': [r.url for r in response.history],
                'created_at': response.created_at.isoformat(),
                'expires': response.expires and response.expires.isoformat(),
            }
            assert found == {k: expected[k] for k in found} | {'content': b64decode(expected['content'])}

    def test_they_are_listed_and_deleted(
        self, old_session: CachedSession, recorded: list[dict[str, Any]], redis_client: redis.Redis
    ) -> None:
        cache = old_session.cache
        before = len(redis_client.keys())
        stored = len(cache.responses)
        assert stored == len(recorded)
        assert {r.cache_key for r in cache.filter()} >= {r['key'] for r in recorded if not r['history']}
        assert len(cache.redirects) == 2
        cache.clear()
        assert len(redis_client.keys()) == before - stored - 1
