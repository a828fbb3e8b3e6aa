"""Entries with a large body are a miss for the published package, and both see what the other does with them"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from support.dynamodb_server import CREDENTIALS, DynamoDbServer
from support.mongodb_server import MongoServer
from support.redis_server import RedisServer

from requests_cache import CachedSession, safe_pickle_serializer
from requests_cache.testing.origin import Origin

pytestmark = pytest.mark.differential
pytest_plugins = ['support.dynamodb_fixtures', 'support.mongodb_fixtures', 'support.redis_fixtures']

BODY = b'0123456789abcdef' * 500
SERIALIZERS = (None, 'pickle', 'json', 'yaml', 'ujson', 'orjson', 'bson', 'safe_pickle')

SCRIPT = """
import json, sys
from requests_cache import CachedSession, safe_pickle_serializer

action, url, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
if options.get('serializer') == 'safe_pickle':
    options['serializer'] = safe_pickle_serializer(secret_key='secret')
session = CachedSession(**options)
cache = session.cache
if action == 'look':
    cache.delete(expired=True)
    # In DynamoDB, it takes pieces for entries that cannot be read
    keys = [key for key in cache.responses.keys() if not key.startswith('~:')]
    seen = [len(list(cache.filter())), list(cache.urls()), len(keys)]
elif action == 'get':
    seen = [[r.from_cache, len(r.content)] for r in (session.get(url), session.get(url))]
elif action == 'delete':
    seen = cache.delete(*list(cache.responses.keys()))
elif action == 'clear':
    seen = cache.clear()
print(json.dumps(seen))
"""


def published(action: str, url: str, options: dict[str, Any]) -> Any:
    command = [os.environ['REQUESTS_CACHE_ORACLE'], '-W', 'ignore', '-c', SCRIPT, action, url, json.dumps(options)]
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if 'No module named' in done.stderr or 'ImportError' in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class LargeBodies:
    serializers: tuple[Any, ...] = SERIALIZERS
    # Whether the published package knows the key, and so can delete the entry
    is_listed = True

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        """Keywords of a session, for either package"""
        raise NotImplementedError

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        metafunc.parametrize('serializer', self.serializers)

    @pytest.fixture
    def keywords(self, options: dict[str, Any], serializer: Any) -> dict[str, Any]:
        return options if serializer is None else {**options, 'serializer': serializer}

    @pytest.fixture
    def session(self, keywords: dict[str, Any]) -> Iterator[CachedSession]:
        serializer = keywords.get('serializer')
        ours = safe_pickle_serializer(secret_key='secret') if serializer == 'safe_pickle' else serializer
        with CachedSession(**{**keywords, 'serializer': ours}, large_body_bytes=1_000) as session:
            yield session
            session.cache.clear()

    def test_a_large_body_is_a_miss(self, session: Any, keywords: dict[str, Any], origin: Origin) -> None:
        origin.add('/large', body=BODY)
        url = origin.url('/large')
        for change in ('get', 'delete', 'clear') if self.is_listed else ('get', 'clear'):
            session.get(url, force_refresh=True)
            response = session.get(url)
            assert response.from_cache
            assert session.cache.responses[response.cache_key]._is_body_unread
            assert published('look', url, keywords) == [0, [], int(self.is_listed)]
            if change != 'get':
                published(change, url, keywords)
                assert not session.cache.contains(url=url)
                continue
            assert published('get', url, keywords) == [[False, len(BODY)], [True, len(BODY)]]
            theirs = session.get(url)
            assert theirs.from_cache
            assert not session.cache.responses[theirs.cache_key]._is_body_unread
            assert theirs.content == BODY
        assert not session.get(url).from_cache
        assert session.get(url).content == BODY

    def test_a_small_one_is_a_hit(self, session: Any, keywords: dict[str, Any], origin: Origin) -> None:
        origin.add('/small', body=b'small')
        session.get(origin.url('/small'))
        assert published('get', origin.url('/small'), keywords) == [[True, 5], [True, 5]]


class TestMongoDB(LargeBodies):
    backend = 'mongodb'

    @pytest.fixture
    def options(self, mongodb_server: MongoServer) -> dict[str, Any]:
        return {'cache_name': f'test-{uuid4().hex}', 'backend': self.backend, 'port': mongodb_server.port}


class TestGridFS(TestMongoDB):
    backend = 'gridfs'


class TestRedis(LargeBodies):
    """There, the published package does not see an entry with a large body at all, so that it cannot delete it"""

    @pytest.fixture
    def options(self, redis_server: RedisServer) -> dict[str, Any]:
        return {'cache_name': 'test', 'backend': 'redis', 'port': redis_server.port}

    def test_a_large_body_is_a_miss(self, session: Any, keywords: dict[str, Any], origin: Origin) -> None:
        origin.add('/large', body=BODY)
        url = origin.url('/large')
        session.get(url)
        key = session.get(url).cache_key
        for change in ('look', 'delete', 'clear'):
            assert session.cache.responses[key]._is_body_unread
            assert published(change, url, keywords) == ([0, [], 0] if change == 'look' else None)
        origin.add('/large', body=BODY[::-1])
        assert published('get', url, keywords) == [[False, len(BODY)], [True, len(BODY)]]
        theirs = session.get(url)
        assert theirs.from_cache
        assert theirs.content == BODY[::-1]
        assert len(session.cache.responses) == 1
        assert session.cache.delete(key) == 1
        assert not session.get(url).from_cache
        assert session.cache.responses[key]._is_body_unread


class TestFilesystem(LargeBodies):
    is_listed = False
    bounds: dict[str, Any] = {}

    @pytest.fixture
    def options(self, tmp_path: Path) -> dict[str, Any]:
        return {'cache_name': str(tmp_path / 'cache'), 'backend': 'filesystem', **self.bounds}


class TestSizeBoundedFilesystem(TestFilesystem):
    bounds = {'max_cache_bytes': 10_000_000}


class TestDynamoDb(LargeBodies):
    @pytest.fixture
    def options(self, server: DynamoDbServer) -> dict[str, Any]:
        return {'cache_name': 'test', 'backend': 'dynamodb', 'endpoint_url': server.url, **CREDENTIALS}
