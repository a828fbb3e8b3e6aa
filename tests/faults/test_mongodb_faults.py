"""A MongoDB server that goes away, refuses, hangs or breaks off: requests go on, and caching resumes"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from support.mongodb_server import AuthenticatingMongoServer, MongoServer, free_port
from support.outage import BODY, assert_caches, assert_served_by_origin
from support.tcp_proxy import TcpProxy

from requests_cache import CachedSession
from requests_cache.backends.gridfs import GridFSCache, GridFSDict
from requests_cache.backends.mongodb import MongoCache, MongoDict
from requests_cache.backends.mongodb import connection as mongodb_connection
from requests_cache.exceptions import BackendError, BackendUnavailableError
from requests_cache.testing.values import facts, make_response

# Everything here ends within a few waits of this length, or in the test's timeout
SHORT_WAITS = {'serverSelectionTimeoutMS': 700, 'connectTimeoutMS': 700, 'socketTimeoutMS': 700}
pytest_plugins = ['support.mongodb_fixtures', 'support.outage_fixtures']
pytestmark = [pytest.mark.timeout(120), pytest.mark.parametrize('backend', ['mongodb', 'gridfs'])]
CACHES: dict[str, Any] = {'mongodb': MongoCache, 'gridfs': GridFSCache}
STORAGES: dict[str, Any] = {'mongodb': MongoDict, 'gridfs': GridFSDict}


@pytest.fixture
def make_session(backend: str) -> Iterator[Callable[..., CachedSession]]:
    sessions = []
    name = f'faulty-{uuid4().hex}'

    def make(**kwargs: Any) -> CachedSession:
        sessions.append(CachedSession(name, backend=backend, **{'host': '127.0.0.1', **SHORT_WAITS, **kwargs}))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


class TestServerAway:
    def test_from_the_beginning(self, make_session: Any, page: str, warnings: Any) -> None:
        session = make_session(port=free_port())
        assert_served_by_origin(session, page, times=2)
        assert warnings('Unable') == 1

    def test_stopped_and_started_during_use(
        self, faulty_mongodb_server: MongoServer, make_session: Any, page: str, warnings: Any
    ) -> None:
        session = make_session(port=faulty_mongodb_server.port)
        assert_caches(session, page)
        for outage in (1, 2):
            with faulty_mongodb_server.away():
                assert_served_by_origin(session, page, times=2)
            assert_caches(session, page)
            assert warnings('Unable to read') == outage
            assert warnings('Unable to write') == 0  # after a lookup in vain

    def test_restarted_between_requests(
        self, faulty_mongodb_server: MongoServer, make_session: Any, page: str, warnings: Any
    ) -> None:
        session = make_session(port=faulty_mongodb_server.port)
        assert_caches(session, page)
        with faulty_mongodb_server.away():
            pass
        assert_caches(session, page)
        assert session.get(page).from_cache

    def test_hanging(self, faulty_mongodb_server: MongoServer, make_session: Any, page: str, warnings: Any) -> None:
        session = make_session(port=faulty_mongodb_server.port)
        assert_caches(session, page)
        with faulty_mongodb_server.frozen():
            assert_served_by_origin(session, page, times=2)
            with pytest.raises(BackendUnavailableError):
                session.cache.clear()
        assert_caches(session, page)
        assert warnings('Unable to read') == 1

    def test_hanging_from_the_beginning(self, faulty_mongodb_server: MongoServer, make_session: Any, page: str) -> None:
        with faulty_mongodb_server.frozen():
            session = make_session(port=faulty_mongodb_server.port)
            assert_served_by_origin(session, page, times=2)
        assert_caches(session, page)

    def test_many_threads(
        self, faulty_mongodb_server: MongoServer, make_session: Any, page: str, warnings: Any
    ) -> None:
        session = make_session(port=faulty_mongodb_server.port)
        assert_caches(session, page)
        with ThreadPoolExecutor(8) as pool, faulty_mongodb_server.away():
            bodies = [r.content for r in pool.map(session.get, [page] * 24)]
        assert bodies == [BODY] * 24
        assert_caches(session, page)
        assert warnings('Unable to read') == 1

    def test_in_the_middle_of_iterating(
        self, backend: str, faulty_mongodb_server: MongoServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = CACHES[backend](f'iterated-{uuid4().hex}', port=faulty_mongodb_server.port, **SHORT_WAITS)
        for i in range(250):
            cache.responses[f'{i:03}'] = make_response(i)
        entries = cache.responses.scan()
        assert next(entries)[0] == '000'
        with faulty_mongodb_server.away():
            with pytest.raises(BackendUnavailableError) as caught:
                list(entries)
            assert isinstance(caught.value.__cause__, pymongo.errors.ConnectionFailure)
        assert len(list(cache.responses.scan())) == 250
        cache.close()

    def test_maintenance_raises(self, backend: str, make_session: Any) -> None:
        cache = make_session(port=free_port(), serverSelectionTimeoutMS=1).cache
        attempts: list[Callable[[], Any]] = [
            cache.clear,
            lambda: cache.delete('1'),
            lambda: cache.delete('1', '2'),
            lambda: cache.delete(expired=True),
            lambda: cache.delete(older_than=5),
            lambda: cache.contains('1'),
            lambda: list(cache.filter()),
            cache.urls,
            cache.reset_expiration,
            cache.recreate_keys,
            lambda: len(cache.responses),
            lambda: dict(cache.redirects.items()),
            lambda: cache.redirects.update({'a': 'b'}),
            *([cache.get_ttl, lambda: cache.set_ttl(60)] if backend == 'mongodb' else []),
        ]
        for attempt in attempts:
            with pytest.raises(BackendUnavailableError) as caught:
                attempt()
            assert isinstance(caught.value.__cause__, pymongo.errors.PyMongoError)

    def test_only_the_first_of_many_calls_waits_long(
        self, backend: str, faulty_mongodb_server: MongoServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limits: list[float] = []
        now = 1000.0
        patience = mongodb_connection.patience
        monkeypatch.setattr(mongodb_connection, 'monotonic', lambda: now)
        monkeypatch.setattr(mongodb_connection, 'AWAY_LIMIT_SECONDS', 0.6)
        monkeypatch.setattr(mongodb_connection, 'patience', lambda s: limits.append(s) or patience(s))
        storage = STORAGES[backend](f'limited-{uuid4().hex}', port=faulty_mongodb_server.port, **SHORT_WAITS)

        def fails() -> None:
            with pytest.raises(BackendUnavailableError):
                storage['key']

        with faulty_mongodb_server.away():
            fails()
            assert limits == []
            fails()
            fails()
            assert limits == [0.6, 0.6]
            now += mongodb_connection.AWAY_SECONDS
            fails()
            assert limits == [0.6, 0.6]
            fails()
            assert limits == [0.6, 0.6, 0.6]
        now += mongodb_connection.AWAY_SECONDS
        storage['key'] = make_response(1)
        limits.clear()
        assert facts(storage['key']) == facts(make_response(1))
        assert limits == []
        storage.close()


class TestConnectionsCut:
    @pytest.fixture
    def proxy(self, mongodb_server: MongoServer) -> Iterator[TcpProxy]:
        with TcpProxy(mongodb_server.port) as running:
            yield running

    @pytest.fixture
    def storage(self, backend: str, proxy: TcpProxy, mongodb_name: str) -> Iterator[Any]:
        storage = STORAGES[backend](mongodb_name, port=proxy.port, **SHORT_WAITS)
        yield storage
        storage.close()

    def test_idle_connections(self, proxy: TcpProxy, storage: Any) -> None:
        """The driver tries again to read, and may say once that it cannot write"""
        storage['key'] = make_response(1)
        for _ in range(3):
            proxy.drop_connections()
            assert storage['key'].content == make_response(1).content

    @pytest.mark.parametrize('after', [0, 1, 16, 300, 3000])
    def test_in_the_middle_of_a_reply(self, after: int, proxy: TcpProxy, storage: Any) -> None:
        storage['key'] = make_response(1, content=BODY)
        proxy.cut_after = after
        proxy.drop_connections()
        for attempt in (
            lambda: storage['key'],
            lambda: list(storage.scan()),
            lambda: list(storage),
            lambda: storage.__setitem__('key', make_response(2, content=BODY)),
        ):
            # Short of the first replies, nothing works; with more of them some may
            with pytest.raises(BackendUnavailableError) if after <= 16 else suppress(BackendUnavailableError):
                attempt()
        proxy.cut_after = None
        proxy.drop_connections()
        assert storage['key'].content == BODY
        storage['key'] = make_response(3)
        assert facts(storage['key']) == facts(make_response(3))

    def test_of_a_session(self, proxy: TcpProxy, make_session: Any, page: str) -> None:
        session = make_session(port=proxy.port)
        assert_caches(session, page)
        proxy.cut_after = 10
        proxy.drop_connections()
        assert_served_by_origin(session, page, times=2)
        proxy.cut_after = None
        proxy.drop_connections()
        assert_caches(session, page)


class TestRefused:
    @pytest.mark.parametrize('given', [{}, {'username': 'tester', 'password': 'wrong-secret'}])
    def test_wrong_credentials(
        self,
        given: dict[str, str],
        authenticating_mongodb_server: AuthenticatingMongoServer,
        make_session: Any,
        page: str,
        warnings: Any,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        session = make_session(port=authenticating_mongodb_server.port, **given)
        assert_served_by_origin(session, page, times=2)
        assert warnings('Unable to read') >= 1
        assert 'wrong-secret' not in caplog.text
        with pytest.raises(BackendError):
            session.cache.clear()

    def test_a_client_that_the_caller_closed(self, make_session: Any, page: str, mongodb_server: MongoServer) -> None:
        client = mongodb_server.client()
        session = make_session(connection=client)
        assert_caches(session, page)
        client.close()
        assert_served_by_origin(session, page, times=2)
        with pytest.raises(BackendError) as caught:
            session.cache.clear()
        assert isinstance(caught.value.__cause__, pymongo.errors.InvalidOperation)


class TestForeignValues:
    @pytest.mark.parametrize(
        'foreign',
        [
            {},
            {'data': 5},
            {'data': b'\x80\x04garbage'},
            {'data': 'text'},
            {'status_code': 'x'},
            {'length': 10, 'chunkSize': 5},
        ],
        ids=repr,
    )
    def test_are_a_miss_that_heals(
        self, backend: str, foreign: dict[str, Any], make_session: Any, page: str, mongodb_server: MongoServer
    ) -> None:
        session = make_session(port=mongodb_server.port)
        session.get(page)
        [key] = session.cache.responses
        with mongodb_server.client() as client:
            collection = client[session.cache.cache_name]['responses' if backend == 'mongodb' else 'fs.files']
            collection.replace_one({'_id': key}, foreign)
            assert not session.get(page).from_cache
            assert session.get(page).from_cache
            collection.replace_one({'_id': key}, foreign)
            assert session.cache.delete(invalid=True) == 1
            client.drop_database(session.cache.cache_name)
