"""A Redis server that goes away, refuses, hangs or breaks off: requests go on, and caching resumes"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from support.outage import BODY, assert_caches, assert_served_by_origin
from support.redis_server import HOST, RedisClusterServers, RedisServer, free_port
from support.tcp_proxy import TcpProxy

from requests_cache import CachedSession
from requests_cache.backends.redis import RedisCache, RedisDict
from requests_cache.exceptions import BackendError, BackendUnavailableError
from requests_cache.testing.origin import Origin
from requests_cache.testing.values import large, make_response

# Everything here ends within a few waits of this length, or in the test's timeout
SHORT_WAIT = {'socket_timeout': 0.3, 'socket_connect_timeout': 0.3}
pytest_plugins = ['support.redis_fixtures', 'support.outage_fixtures']
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as started:
        yield started


@pytest.fixture
def make_session() -> Iterator[Callable[..., CachedSession]]:
    sessions = []

    def make(**kwargs: Any) -> CachedSession:
        sessions.append(CachedSession('faulty', backend='redis', **{'host': HOST, **SHORT_WAIT, **kwargs}))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


class TestServerAway:
    def test_from_the_beginning(self, make_session: Any, page: str, warnings: Any) -> None:
        session = make_session(port=free_port())
        assert_served_by_origin(session, page)
        assert warnings('Unable to read') == 1
        assert warnings('Unable to write') == 0, 'to write would be to wait once more'

    def test_stopped_and_started_during_use(
        self, server: RedisServer, make_session: Any, page: str, warnings: Any
    ) -> None:
        session = make_session(port=server.port)
        assert_caches(session, page)
        for outage in (1, 2):
            with server.away():
                assert_served_by_origin(session, page)
            assert_caches(session, page)
            assert warnings('Unable to read') == outage

    def test_restarted_between_requests(self, server: RedisServer, make_session: Any, page: str, warnings: Any) -> None:
        session = make_session(port=server.port)
        assert_caches(session, page)
        with server.away():
            pass
        assert_caches(session, page)
        assert warnings('Unable') == 0

    def test_with_redirects(self, server: RedisServer, make_session: Any, page: str, origin: Origin) -> None:
        origin.add('/start', status=302, headers=[('Location', '/page')])
        session = make_session(port=server.port)
        with server.away():
            assert_served_by_origin(session, origin.url('/start'))
        assert_caches(session, origin.url('/start'))

    def test_hanging(self, server: RedisServer, make_session: Any, page: str, warnings: Any) -> None:
        session = make_session(port=server.port)
        assert_caches(session, page)
        with server.frozen():
            assert_served_by_origin(session, page)
            with pytest.raises(BackendUnavailableError):
                session.cache.clear()
        assert_caches(session, page)
        assert warnings('Unable to read') == 1

    def test_hanging_from_the_beginning(self, server: RedisServer, make_session: Any, page: str) -> None:
        with server.frozen():
            session = make_session(port=server.port)
            assert_served_by_origin(session, page, times=2)
        assert_caches(session, page)

    def test_many_threads(self, server: RedisServer, make_session: Any, page: str, warnings: Any) -> None:
        session = make_session(port=server.port)
        assert_caches(session, page)
        with ThreadPoolExecutor(16) as pool, server.away():
            bodies = [r.content for r in pool.map(session.get, [page] * 64)]
        assert bodies == [BODY] * 64
        assert_caches(session, page)
        assert warnings('Unable to read') == 1

    def test_maintenance_raises(self, server: RedisServer, make_session: Any) -> None:
        cache = make_session(port=server.port).cache
        for i in range(5):
            cache.save_response(make_response(i), str(i))
        cache.redirects['from'] = '1'
        other = RedisCache('other', port=server.port)
        attempts: list[Callable[[], Any]] = [
            cache.clear,
            lambda: cache.delete('1'),
            lambda: cache.delete('1', '2'),
            lambda: cache.delete(expired=True),
            lambda: cache.contains('1'),
            lambda: list(cache.filter()),
            cache.urls,
            cache.reset_expiration,
            cache.recreate_keys,
            lambda: cache.update(other),
            lambda: other.update(cache),
            lambda: len(cache.responses),
            lambda: len(cache.redirects),
            lambda: list(cache.redirects.items()),
            lambda: cache.redirects.update(a='b'),
        ]
        with server.away():
            for attempt in attempts:
                with pytest.raises(BackendUnavailableError) as caught:
                    attempt()
                assert isinstance(caught.value.__cause__, redis.ConnectionError)
            cache.close()
        other.close()

    @pytest.mark.parametrize('kind', ['responses', 'redirects'])
    def test_gone_in_the_middle_of_an_iteration(self, kind: str, server: RedisServer, make_session: Any) -> None:
        cache = make_session(port=server.port).cache
        cache.redirects.update({str(i): 'x' * 100 for i in range(5000)})
        for i in range(300):
            cache.save_response(make_response(i), str(i))
        iterator = getattr(cache, kind).scan()
        next(iterator)
        with server.away(), pytest.raises(BackendUnavailableError):
            list(iterator)
        assert len(getattr(cache, kind)) == 0


class TestServerRefuses:
    def test_wrong_credentials(self, tmp_path: Path, make_session: Any, page: str, warnings: Any) -> None:
        with RedisServer(tmp_path, password='secret') as guarded:
            for wrong in ({}, {'password': 'wrong'}, {'username': 'nobody', 'password': 'secret'}):
                before = warnings('Unable to read')
                session = make_session(port=guarded.port, **wrong)
                assert_served_by_origin(session, page)
                assert warnings('Unable to read') == before + 1
                with pytest.raises(BackendError) as caught:
                    session.cache.clear()
                assert isinstance(caught.value.__cause__, redis.RedisError)
            assert_caches(make_session(port=guarded.port, password='secret'), page)

    def test_a_user_that_may_only_read(self, tmp_path: Path, make_session: Any, page: str, warnings: Any) -> None:
        reader = 'reader on >secret ~* +@read +@connection'
        with RedisServer(tmp_path, users=(reader,)) as guarded:
            session = make_session(port=guarded.port, username='reader', password='secret')
            assert_served_by_origin(session, page)
            assert (warnings('Unable to read'), warnings('Unable to write')) == (0, 1)
            with pytest.raises(BackendError):
                session.cache.responses.bulk_delete(['a', 'b'])
            assert_caches(make_session(port=guarded.port), page)
            assert session.get(page).from_cache

    def test_no_memory_left(self, tmp_path: Path, make_session: Any, page: str, origin: Origin, warnings: Any) -> None:
        with RedisServer(tmp_path, settings=('maxmemory-policy noeviction',)) as small:
            session = make_session(port=small.port)
            assert_caches(session, page)
            origin.add('/other', body=BODY)
            with small.client() as client:
                client.config_set('maxmemory', 1)
                assert_served_by_origin(session, origin.url('/other'))
                assert warnings('Unable to write') == 1
                assert session.get(page).from_cache
                client.config_set('maxmemory', 0)
            assert_caches(session, origin.url('/other'))

    def test_a_value_of_another_type(self, server: RedisServer, make_session: Any, page: str) -> None:
        session = make_session(port=server.port)
        assert_caches(session, page)
        with server.client() as client:
            [name] = client.keys('faulty:*')
            writes = (
                lambda: client.rpush(name, 'a'),
                lambda: client.hset(name, 'a', 'b'),
                lambda: client.sadd(name, 'a'),
            )
            for write in writes:
                client.delete(name)
                write()
                assert not session.get(page).from_cache
                assert session.get(page).from_cache

    def test_redirects_of_another_type(self, server: RedisServer, make_session: Any, page: str, origin: Origin) -> None:
        origin.add('/start', status=302, headers=[('Location', '/page')])
        with server.client() as client:
            client.set('faulty-redirects', 'not a hash')
        session = make_session(port=server.port)
        assert_caches(session, origin.url('/start'))
        assert session.cache.delete(urls=[origin.url('/start')]) == 1
        assert len(session.cache.redirects) == 0

    def test_too_many_connections(self, server: RedisServer, make_session: Any, page: str) -> None:
        session = make_session(port=server.port, max_connections=1)
        with ThreadPoolExecutor(8) as pool:
            assert {r.content for r in pool.map(session.get, [page] * 40)} == {BODY}
        assert_caches(session, page)


class TestLargeBodies:
    @pytest.fixture
    def storage(self, server: RedisServer) -> Iterator[RedisDict]:
        storage = RedisDict('faulty', host=HOST, port=server.port, large_body_bytes=1_000, **SHORT_WAIT)
        storage.pieces.piece_bytes = 500
        yield storage
        storage.close()

    def test_a_server_that_forgets_the_first_pieces(self, server: RedisServer, storage: RedisDict) -> None:
        writer = storage.body_writer('key')
        writer.write(large(1).content[:2_000])
        with server.away(), pytest.raises(BackendUnavailableError):
            writer.write(large(1).content[2_000:2_500])
        writer = storage.body_writer('key')
        writer.write(large(1).content[:2_000])
        with server.away():
            pass
        writer.write(large(1).content[2_000:])
        with pytest.raises(BackendError, match='deleted before'):
            storage['key'] = large(1)._with_body(writer.commit())
        assert 'key' not in storage
        storage['key'] = large(1)
        assert storage['key'].content == large(1).content

    def test_no_memory_left(self, server: RedisServer, storage: RedisDict) -> None:
        storage['key'] = large(1)
        with server.client() as client:
            client.config_set('maxmemory-policy', 'noeviction')
            client.config_set('maxmemory', 1)
            with pytest.raises(BackendError, match='maxmemory'):
                storage['key'] = large(2)
            client.config_set('maxmemory', 0)
            assert storage['key'].content == large(1).content
            assert client.keys() == [b'faulty-body:{faulty:key}']
        storage['key'] = large(2)
        assert storage['key']._is_body_unread

    def test_an_entry_that_is_evicted_takes_its_body_along(self, server: RedisServer, storage: RedisDict) -> None:
        storage['key'] = large(1)
        with server.client() as client:
            client.config_set('maxmemory-policy', 'allkeys-lru')
            client.config_set('maxmemory', 1)
            client.exists('key')
            client.config_set('maxmemory', 0)
            assert storage.get('key') is None
            assert client.keys() == []

    def test_a_connection_that_is_cut_while_an_entry_is_completed(
        self, storage: RedisDict, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whether that was done is found out"""
        execute = redis.client.Pipeline.execute
        broken = iter([redis.WatchError('A ConnectionError occurred while watching one or more keys')])

        def break_once(pipeline: Any, **kwargs: Any) -> Any:
            replies = execute(pipeline, **kwargs)
            if len(replies) > 3 and (error := next(broken, None)) is not None:
                raise error
            return replies

        monkeypatch.setattr(redis.client.Pipeline, 'execute', break_once)
        storage['key'] = large(1)
        assert next(broken, None) is None
        assert storage['key'].content == large(1).content


class TestConnectionCut:
    @pytest.fixture
    def proxy(self, server: RedisServer) -> Iterator[TcpProxy]:
        with TcpProxy(server.port) as started:
            yield started

    @pytest.fixture
    def session(self, proxy: TcpProxy, make_session: Any) -> CachedSession:
        return make_session(port=proxy.port)

    @pytest.mark.parametrize('passed', [0, 1, 50, 500, 50_000])
    def test_in_the_middle_of_a_reply(
        self, passed: int, session: CachedSession, proxy: TcpProxy, page: str, warnings: Any
    ) -> None:
        assert_caches(session, page)
        proxy.drop_connections()
        proxy.cut_after = passed
        assert_served_by_origin(session, page, times=2)
        assert warnings('Unable to read') == 1
        proxy.cut_after = None
        assert_caches(session, page)

    def test_between_requests(self, session: CachedSession, proxy: TcpProxy, page: str, warnings: Any) -> None:
        for _ in range(3):
            assert_caches(session, page)
            proxy.drop_connections()
        assert warnings('Unable') == 0

    @pytest.mark.parametrize('passed', [0, 100, 1000])
    def test_in_the_middle_of_a_scan(self, passed: int, session: CachedSession, proxy: TcpProxy) -> None:
        for i in range(200):
            session.cache.save_response(make_response(i), str(i))
        proxy.drop_connections()
        proxy.cut_after = passed
        with pytest.raises(BackendUnavailableError):
            list(session.cache.responses.scan())
        with pytest.raises(BackendUnavailableError):
            session.cache.responses.bulk_delete(map(str, range(900)))
        proxy.cut_after = None
        session.cache.clear()
        assert len(session.cache.responses) == 0


class TestCluster:
    @pytest.fixture
    def cache(self, redis_cluster: RedisClusterServers) -> Iterator[RedisCache]:
        cache = RedisCache('faulty', cluster=True, host=HOST, port=redis_cluster.port, **SHORT_WAIT)
        yield cache
        cache.close()

    def test_away_from_the_beginning(self, make_session: Any, page: str, warnings: Any) -> None:
        session = make_session(cluster=True, port=free_port())
        assert_served_by_origin(session, page)
        assert warnings('Unable to read') == 1

    def test_one_server_hangs(self, redis_cluster: RedisClusterServers, cache: RedisCache, origin: Origin) -> None:
        with CachedSession(backend=cache) as session:
            urls = [origin.url(f'/{i}') for i in range(12)]
            for i, url in enumerate(urls):
                origin.add(f'/{i}', body=BODY)
                session.get(url)
            with redis_cluster.servers[-1].frozen():
                responses = [session.get(url) for url in urls]
            assert {r.content for r in responses} == {BODY}
            assert {r.from_cache for r in responses} == {True, False}
            assert all(session.get(url).from_cache for url in urls)

    def test_waiting_does_not_grow_with_the_number_of_keys(
        self, redis_cluster: RedisClusterServers, cache: RedisCache
    ) -> None:
        for i in range(30):
            cache.save_response(make_response(i), str(i))
        keys = list(cache.responses)
        with redis_cluster.servers[-1].frozen():
            attempts: list[Callable[[], Any]] = [
                lambda: cache.responses.bulk_delete([*keys, *map(str, range(900))]),
                lambda: list(cache.responses.scan()),
                cache.clear,
            ]
            for attempt in attempts:
                with pytest.raises(BackendUnavailableError):
                    attempt()
        cache.clear()
        assert len(cache.responses) == 0
