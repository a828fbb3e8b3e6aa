"""The contract suites on Redis: a server, one with access control, a cluster, and fakeredis"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import fakeredis
import pytest
import redis
from support.redis_server import HOST, RedisClusterServers, RedisServer, free_port

from requests_cache.backends.redis import RedisCache, RedisDict, RedisHashDict
from requests_cache.testing import BackendContract, StandardRules
from requests_cache.testing.rules.sealing import SEALED, Sealed
from requests_cache.testing.values import closing_all

pytest_plugins = ['support.redis_fixtures']

NAMESPACE = 'contract'
USER = 'cache on >secret ~contract* +@all -@dangerous -@admin -@scripting -@blocking'
USER_WITH_BOUNDS = 'bounded on >secret ~contract:* ~contract-* +@all -@dangerous -@admin -@scripting +eval +evalsha'


DELETES_BY_ITSELF = {'deletion of expired entries': 'the server does that'}


class OnRedis:
    @pytest.fixture
    def options(self, redis_server: RedisServer) -> dict[str, Any]:
        """Keywords of an empty store for the test"""
        return {'host': HOST, 'port': redis_server.port}

    @pytest.fixture
    def place(self, options: dict[str, Any]) -> dict[str, Any]:
        return options

    def open_storage(self, place: dict[str, Any], kind: str = 'responses', **kwargs: Any) -> RedisDict | RedisHashDict:
        storage_class = RedisHashDict if kind == 'redirects' else RedisDict
        sealing = ('compression', 'encryption_key') if kind == 'redirects' else ()
        return storage_class(NAMESPACE, kind, **{k: v for k, v in {**place, **kwargs}.items() if k not in sealing})

    def open_cache(self, place: dict[str, Any], **kwargs: Any) -> RedisCache:
        return RedisCache(NAMESPACE, **{**place, **kwargs})


class RedisContract(OnRedis, BackendContract):
    lacks: Mapping[str, str] = DELETES_BY_ITSELF
    serializers: tuple[Any, ...] = ('pickle',)
    examples = 10

    @pytest.fixture
    def broken_storage(self) -> Iterator[Any]:
        with closing_all(RedisDict) as factory:
            yield factory(NAMESPACE, host=HOST, port=free_port())

    def settle(self, storage: Any) -> None:
        for _ in range(10):
            storage._upkeep.maintain()


class TestRedis(RedisContract):
    serializers = ('pickle', 'json', 'orjson', 'ujson', 'yaml', 'bson')


class TestRedisHash(RedisContract):
    """A hash meets the same contract, but has no bounds and no bodies in pieces"""

    lacks = {
        **DELETES_BY_ITSELF,
        'bounds': 'the server cannot tell when a field of a hash was used',
        'large bodies': 'a hash of redirects needs none',
    }

    @pytest.fixture
    def options(self, redis_server: RedisServer) -> dict[str, Any]:
        return {'url': redis_server.url}

    def open_storage(self, place: dict[str, Any], kind: str = 'responses', **kwargs: Any) -> RedisHashDict:
        serializer = {'serializer': 'pickle'} if kind == 'responses' else {}
        return RedisHashDict(NAMESPACE, kind, **{**place, **serializer, **kwargs})

    @pytest.fixture
    def broken_storage(self) -> Iterator[Any]:
        with closing_all(RedisHashDict) as factory:
            yield factory(NAMESPACE, 'responses', serializer='pickle', host=HOST, port=free_port())


@pytest.fixture(scope='module')
def guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp('redis'), password='admin', users=(USER, USER_WITH_BOUNDS)) as started:
        yield started


class TestRedisWithAccessControl(RedisContract):
    @pytest.fixture
    def options(self, guarded_server: RedisServer) -> dict[str, Any]:
        guarded_server.flush()
        return {'host': HOST, 'port': guarded_server.port, 'username': 'cache', 'password': 'secret'}

    @pytest.fixture
    def bounded(self, storage_factory: Callable[..., Any]) -> Callable[..., Any]:
        """Bounds need permission to run scripts"""
        return partial(storage_factory, username='bounded')

    @pytest.fixture
    def broken_storage(self, options: dict[str, Any]) -> Iterator[Any]:
        with closing_all(RedisDict) as factory:
            yield factory(NAMESPACE, **{**options, 'password': 'wrong'})


class TestSealedRedis(Sealed, RedisContract):
    """With a client that decodes responses, which makes it harder to store bytes"""

    lacks = {**DELETES_BY_ITSELF, **Sealed.lacks}

    @pytest.fixture
    def options(self, redis_server: RedisServer) -> Iterator[dict[str, Any]]:
        with redis_server.client(decode_responses=True) as client:
            yield {'connection': client, **SEALED}


class TestRedisCluster(RedisContract):
    examples = 5

    @pytest.fixture
    def options(self, redis_cluster: RedisClusterServers) -> dict[str, Any]:
        return {'host': HOST, 'port': redis_cluster.port, 'cluster': True}

    @pytest.fixture
    def broken_storage(self) -> Iterator[Any]:
        with closing_all(RedisDict) as factory:
            yield factory(NAMESPACE, host=HOST, port=free_port(), cluster=True)


class TestRedisClusterClientThatDecodes(RedisContract):
    examples = 5

    @pytest.fixture
    def options(self, redis_cluster: RedisClusterServers) -> Iterator[dict[str, Any]]:
        with redis_cluster.client(decode_responses=True) as client:
            yield {'connection': client}


class TestFakeRedis(RedisContract):
    lacks = {**DELETES_BY_ITSELF, 'forking': 'it lives in the memory of the process'}

    @pytest.fixture
    def bounded(self, storage_factory: Callable[..., Any]) -> Callable[..., Any]:
        pytest.importorskip('lupa', reason='fakeredis runs scripts with lupa only, and bounds take scripts')
        return storage_factory

    @pytest.fixture
    def options(self) -> Iterator[dict[str, Any]]:
        with fakeredis.FakeStrictRedis(server=fakeredis.FakeServer()) as client:
            yield {'connection': client}

    @pytest.fixture
    def broken_storage(self, storage_factory: Callable[..., Any]) -> Any:
        server = fakeredis.FakeServer()
        server.connected = False
        return RedisDict(NAMESPACE, connection=fakeredis.FakeStrictRedis(server=server))


class TestFakeRedisInPlaceOfTheDriver(TestFakeRedis):
    @pytest.fixture
    def options(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        server = fakeredis.FakeServer()

        def make(**kwargs: Any) -> redis.Redis:
            return fakeredis.FakeStrictRedis(server=server, **kwargs)

        monkeypatch.setattr('requests_cache.backends.redis.StrictRedis', make)
        return {}


class TestStandardOnRedis(OnRedis, StandardRules):
    pass
