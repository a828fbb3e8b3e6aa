"""Fixtures with Redis servers: `pytest_plugins = ['support.redis_fixtures']`

Each test starts with an empty server or cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from requests_cache import CachedSession
from requests_cache.backends.redis import RedisCache
from support.redis_server import RedisClusterServers, RedisServer


@pytest.fixture(scope='session')
def running_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp('redis')) as server:
        yield server


@pytest.fixture(scope='session')
def running_redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisClusterServers]:
    # With this setting, the rest of the cluster keeps working when a server is stopped
    with RedisClusterServers(tmp_path_factory.mktemp('cluster'), ('cluster-require-full-coverage no',)) as cluster:
        yield cluster


@pytest.fixture
def redis_server(running_redis: RedisServer) -> RedisServer:
    running_redis.flush()
    return running_redis


@pytest.fixture
def redis_cluster(running_redis_cluster: RedisClusterServers) -> RedisClusterServers:
    running_redis_cluster.flush()
    return running_redis_cluster


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis_server.client() as client:
        yield client


@pytest.fixture
def make_redis_cache(redis_server: RedisServer) -> Iterator[Any]:
    """A function that makes caches on the server, unless keywords name another one; they are closed after the test"""
    caches = []

    def make(*args: Any, **kwargs: Any) -> RedisCache:
        caches.append(RedisCache(*args, **{'port': redis_server.port, **kwargs}))
        return caches[-1]

    yield make
    for cache in caches:
        cache.close()


@pytest.fixture
def make_redis_session(redis_server: RedisServer) -> Iterator[Any]:
    """A function that makes sessions on the server, unless keywords name another one; closed after the test"""
    sessions = []

    def make(cache_name: str = 'api_cache', **kwargs: Any) -> CachedSession:
        sessions.append(CachedSession(cache_name, backend='redis', **{'port': redis_server.port, **kwargs}))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()
