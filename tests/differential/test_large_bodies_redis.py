"""Entries with large bodies in Redis are no entries to the published 1.3.3, whatever is done there"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest
import redis
from support.origin import Origin
from support.redis_server import RedisServer

from requests_cache import safe_pickle_serializer

pytestmark = pytest.mark.differential
pytest_plugins = ['support.redis_fixtures']

BODY = b'0123456789abcdef' * 500
SERIALIZERS = ('pickle', 'json', 'yaml', 'ujson', 'orjson', 'bson', 'safe_pickle')

SCRIPT = """
import json, sys
from requests_cache import CachedSession, safe_pickle_serializer

port, url, serializer, actions = sys.argv[1:]
if serializer == 'safe_pickle':
    serializer = safe_pickle_serializer(secret_key='secret')
session = CachedSession('mine', backend='redis', port=int(port), serializer=serializer)
cache = session.cache
do = {
    'get': lambda: [session.get(url).from_cache, session.get(url).from_cache],
    'list': lambda: [len(list(cache.filter())), len(list(cache.urls())), len(list(cache.responses.keys()))],
    'expired': lambda: cache.delete(expired=True),
    'delete': lambda: cache.delete(urls=[url]),
    'clear': lambda: cache.clear(),
}
print(json.dumps([do[action]() for action in actions.split()]))
"""


@pytest.mark.parametrize('serializer', SERIALIZERS)
class TestLargeBodies:
    @pytest.fixture
    def published(self, serializer: str, redis_server: RedisServer, origin: Origin) -> Any:
        """What the published package sees when it is told to do something"""
        origin.add('/large', body=BODY)

        def run(*actions: str) -> list[Any]:
            arguments = [str(redis_server.port), origin.url('/large'), serializer, ' '.join(actions)]
            command = [os.environ['REQUESTS_CACHE_ORACLE'], '-W', 'ignore', '-c', SCRIPT, *arguments]
            environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if 'No module named' in done.stderr or 'ImportError' in done.stderr:
                pytest.skip(done.stderr.splitlines()[-1])
            assert done.returncode == 0, done.stderr
            seen: list[Any] = json.loads(done.stdout)
            return seen

        return run

    @pytest.fixture
    def session(self, serializer: str, make_redis_session: Any) -> Any:
        ours = safe_pickle_serializer('secret') if serializer == 'safe_pickle' else serializer
        return make_redis_session('mine', serializer=ours, large_body_bytes=1_000)

    def test_they_are_not_seen(self, session: Any, published: Any, origin: Origin) -> None:
        url = origin.url('/large')
        session.get(url)
        key = session.get(url).cache_key
        assert session.cache.responses[key]._is_apart
        assert published('list', 'expired', 'delete', 'list', 'clear') == [[0, 0, 0], None, None, [0, 0, 0], None]
        assert session.get(url).from_cache
        assert published('get', 'list') == [[False, True], [1, 1, 1]]

    def test_what_it_stores_is_used(
        self, session: Any, published: Any, origin: Origin, redis_client: redis.Redis
    ) -> None:
        url = origin.url('/large')
        session.get(url)
        origin.add('/large', body=BODY[::-1])
        assert published('get') == [[False, True]]
        hit = session.get(url)
        assert (hit.from_cache, hit.content) == (True, BODY[::-1])
        assert len(session.cache.responses) == 1
        assert session.cache.delete(urls=[url]) == 1
        assert redis_client.keys() == []
        session.get(url)
        assert session.cache.responses[session.get(url).cache_key]._is_apart

    def test_small_ones_are_shared(self, session: Any, published: Any, origin: Origin) -> None:
        origin.add('/large', body=b'small')
        session.get(origin.url('/large'))
        assert published('list', 'get', 'expired') == [[1, 1, 1], [True, True], None]
