"""MongoDB as its users know it: clients, keywords, credentials, sessions"""

from __future__ import annotations

import copy
import logging
import os
import pickle
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from pymongo.errors import ConfigurationError
from support.mongodb_server import AuthenticatingMongoServer, MongoServer
from support.tls import self_signed_certificate

from requests_cache import CachedSession, init_backend
from requests_cache.backends.gridfs import GridFSCache, GridFSDict
from requests_cache.backends.mongodb import MongoCache, MongoDict
from requests_cache.backends.mongodb import connection as mongodb_connection
from requests_cache.exceptions import BackendError, MissingDependencyError
from requests_cache.testing.origin import Origin
from requests_cache.testing.values import FUTURE, facts, make_response

PATIENCE_SECONDS = 5
pytest_plugins = ['support.mongodb_fixtures']

LARGE = b'0123456789abcdef' * (1 << 16)


def client_of(factory: Any = MongoCache, **keywords: Any) -> Any:
    """The client that a cache makes from keywords, closed"""
    cache = factory(**keywords)
    client = cache.responses.connection
    cache.close()
    return client


class TestWithoutDriver:
    @pytest.mark.parametrize('library', ['pymongo', 'bson'])
    @pytest.mark.parametrize('make', [MongoCache, GridFSCache, lambda: MongoDict('a'), lambda: GridFSDict('a')])
    def test_the_message_names_the_extra(self, make: Any, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ('pymongo', 'bson', 'bson.errors'):
            monkeypatch.setitem(__import__('sys').modules, module, None)
        with pytest.raises(MissingDependencyError, match=r"pip install 'requests-cache\[mongodb\]'") as caught:
            make()
        assert (caught.value.library, caught.value.extra) == ('pymongo', 'mongodb')

    def test_keywords_are_known_nevertheless(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__('sys').modules, 'pymongo', None)
        assert {'db_name', 'connection', 'replicaSet'} <= MongoCache.owned_keywords()


class TestClient:
    def test_a_client_of_the_callers_is_used_and_left_open(self, mongodb_client: Any, mongodb_name: str) -> None:
        for factory in (MongoCache, GridFSCache):
            cache = factory(mongodb_name, connection=mongodb_client)
            assert cache.responses.connection is cache.redirects.connection is mongodb_client
            cache.responses['key'] = make_response(1)
            cache.close()
            assert mongodb_client.admin.command('ping')
            assert cache.contains('key')
            cache.clear()

    def test_a_client_of_its_own_is_closed_and_made_again(self, mongodb_cache: MongoCache) -> None:
        mongodb_cache.responses['key'] = make_response(1)
        client = mongodb_cache.responses.connection
        assert client is mongodb_cache.redirects.connection
        mongodb_cache.close()
        with pytest.raises(pymongo.errors.InvalidOperation):
            client.admin.command('ping')
        assert mongodb_cache.contains('key')
        assert mongodb_cache.responses.connection is mongodb_cache.redirects.connection is not client

    def test_many_sessions_leave_nothing_open(self, make_mongodb: Any) -> None:
        before = set(threading.enumerate())

        def use(times: int) -> int:
            for _ in range(times):
                cache = make_mongodb(MongoCache)
                cache.contains('key')
                cache.close()
            for thread in set(threading.enumerate()) - before:
                if thread.ident is not None:  # the driver lists some before it starts them
                    thread.join(PATIENCE_SECONDS)
            return len(os.listdir('/dev/fd'))

        assert use(1) == use(10)

    def test_making_one_waits_for_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr('socket.create_connection', lambda *_, **__: pytest.fail('connects'))
        monkeypatch.setattr('socket.getaddrinfo', lambda *_, **__: pytest.fail('looks up'))
        MongoCache(host='mongo.example').close()
        GridFSCache(host='mongodb://user:secret@mongo.example/?replicaSet=rs').close()

    def test_a_host_list_in_the_dns_is_looked_up_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_answer(*args: Any, **kwargs: Any) -> Any:
            raise ConfigurationError('looks up')

        monkeypatch.setattr(mongodb_connection.MongoConnection, '_make_client', no_answer)
        cache = MongoCache(host='mongodb+srv://mongo.example')
        with pytest.raises(BackendError, match='looks up'):
            cache.contains('key')

    @pytest.mark.parametrize('factory', [MongoCache, GridFSCache])
    def test_copies_open_the_same_store(self, factory: Any, make_mongodb: Any) -> None:
        cache = make_mongodb(factory, serializer='json')
        cache.responses['key'] = make_response(1)
        cache.redirects['from'] = 'key'
        copied = copy.deepcopy(cache.responses)
        try:
            assert copied.connection is not cache.responses.connection
            assert facts(copied['key']) == facts(make_response(1))
        finally:
            copied.close()
        redirects = pickle.loads(pickle.dumps(cache.redirects))
        assert dict(redirects.items()) == {'from': 'key'}
        redirects.close()

    def test_a_live_client_cannot_be_copied(self, mongodb_client: Any, mongodb_name: str) -> None:
        cache = MongoCache(mongodb_name, connection=mongodb_client)
        for attempt in (lambda: copy.deepcopy(cache.responses), lambda: pickle.dumps(cache.redirects)):
            with pytest.raises(TypeError, match='was passed'):
                attempt()

    def test_reading_does_not_depend_on_the_clients_options(
        self, mongodb_server: MongoServer, mongodb_name: str
    ) -> None:
        from bson.raw_bson import RawBSONDocument

        with mongodb_server.client(document_class=RawBSONDocument, tz_aware=False) as client:
            for factory in (MongoCache, GridFSCache):
                cache = factory(mongodb_name, connection=client)
                cache.responses['key'] = make_response(1, expires=FUTURE)
                assert facts(cache.responses['key']) == facts(make_response(1, expires=FUTURE))

    def test_writes_are_acknowledged(self, make_mongodb: Any) -> None:
        cache = make_mongodb(MongoCache, w=0)
        cache.responses['key'] = make_response(1)
        assert cache.responses.bulk_delete(['key', 'missing']) == 1


class TestKeywords:
    OPTIONS = {
        'appname': ('x', lambda o: o.pool_options.appname),
        'appName': ('x', lambda o: o.pool_options.appname),
        'connectTimeoutMS': (1500, lambda o: o.pool_options.connect_timeout * 1000),
        'SOCKETTIMEOUTMS': (2500, lambda o: o.pool_options.socket_timeout * 1000),
        'serverSelectionTimeoutMS': (700, lambda o: o.server_selection_timeout * 1000),
        'timeoutMS': (900, lambda o: o.timeout * 1000),
        'waitQueueTimeoutMS': (800, lambda o: o.pool_options.wait_queue_timeout * 1000),
        'maxPoolSize': (7, lambda o: o.pool_options.max_pool_size),
        'minPoolSize': (1, lambda o: o.pool_options.min_pool_size),
        'replicaSet': ('rs', lambda o: o.replica_set_name),
        'directConnection': (True, lambda o: o.direct_connection),
        'retryReads': (False, lambda o: o.retry_reads),
        'retryWrites': (False, lambda o: o.retry_writes),
        'w': ('majority', lambda o: o.write_concern.document['w']),
        'readPreference': ('nearest', lambda o: o.read_preference.mongos_mode),
        'tz_aware': (True, lambda o: o.codec_options.tz_aware),
        'uuidRepresentation': ('standard', lambda o: {4: 'standard'}[o.codec_options.uuid_representation]),
    }

    @pytest.mark.parametrize(
        'factory', [MongoCache, GridFSCache, lambda **kwargs: init_backend('x', 'mongodb', **kwargs)]
    )
    @pytest.mark.parametrize('option', OPTIONS)
    def test_reach_the_client(self, option: str, factory: Any) -> None:
        value, read = self.OPTIONS[option]
        assert read(client_of(factory, **{option: value}).options) == value

    def test_lead_to_a_server(self, make_mongodb: Any, mongodb_server: MongoServer) -> None:
        for place in (
            {'host': '127.0.0.1', 'port': mongodb_server.port},
            {'host': f'127.0.0.1:{mongodb_server.port}', 'port': None},
            {'host': f'mongodb://127.0.0.1:{mongodb_server.port}/ignored?appName=x'},
            {'host': [f'127.0.0.1:{mongodb_server.port}']},
        ):
            cache = make_mongodb(MongoCache, **place)
            cache.responses['key'] = make_response(1)
            assert cache.contains('key')
            assert cache.delete('key') == 1

    def test_waits_are_finite_unless_asked_for(self) -> None:
        options = client_of().options
        waits = (
            options.server_selection_timeout,
            options.pool_options.connect_timeout,
            options.pool_options.socket_timeout,
        )
        assert waits == (5, 5, 5)
        assert client_of(socketTimeoutMS=None).options.pool_options.socket_timeout is None
        uri = 'mongodb://localhost/?socketTimeoutMS=60000&serverselectiontimeoutms=70000'
        options = client_of(host=uri).options
        assert (options.pool_options.socket_timeout, options.server_selection_timeout) == (60, 70)
        assert client_of(timeoutMS=60_000).options.pool_options.socket_timeout is None

    @pytest.mark.parametrize(
        'option', ['host', 'port', 'tls', 'authSource', 'connect', 'serverSelectionTimeoutMS', 'w']
    )
    def test_none_is_the_default_where_the_driver_does_not_take_it(self, option: str) -> None:
        assert client_of(**{option: None}) == client_of()
        assert client_of(**{option: None}).options.server_selection_timeout == 5

    def test_those_of_others_are_passed_over(self) -> None:
        client_of(expire_after=5, decode_content=False, stale_if_error=True, namespace='a', table_name='b', timeout=3)

    @pytest.mark.parametrize(
        'wrong',
        [{'maxPoolSize': -1}, {'tls': 'maybe'}, {'host': 'mongodb://'}, {'port': 'x'}, {'connectTimeoutMS': 'soon'}],
    )
    def test_wrong_values_are_refused_at_once(self, wrong: dict[str, Any]) -> None:
        with pytest.raises((ValueError, TypeError, pymongo.errors.PyMongoError)):
            MongoCache(**wrong)

    @pytest.mark.parametrize('factory', [MongoCache, GridFSCache])
    def test_are_all_known(self, factory: Any) -> None:
        owned = factory.owned_keywords()
        documented = {
            'host',
            'port',
            'username',
            'password',
            'authSource',
            'authMechanism',
            'tls',
            'tlsCAFile',
            'replicaSet',
        }
        assert documented | {'serverSelectionTimeoutMS', 'directConnection', 'event_listeners', 'server_api'} <= owned
        assert {'db_name', 'connection', 'decode_content', 'large_body_bytes', 'serializer'} <= owned
        assert not owned & {'expire_after', 'namespace', 'timeout'}

    def test_a_name_by_keyword(self) -> None:
        assert MongoCache().cache_name == GridFSCache().cache_name == 'http_cache'
        assert init_backend('x', 'gridfs', db_name='other').cache_name == 'other'
        with pytest.raises(pymongo.errors.InvalidName):
            MongoCache('no.dots')


class TestSecurity:
    def test_credentials(self, authenticating_mongodb_server: AuthenticatingMongoServer) -> None:
        session = CachedSession(
            'secured',
            backend='mongodb',
            port=authenticating_mongodb_server.port,
            authSource='admin',
            **authenticating_mongodb_server.credentials,
        )
        with session:
            session.cache.responses['key'] = make_response(1)
            assert session.cache.contains('key')
            session.cache.clear()

    @pytest.mark.parametrize('factory', [MongoCache, GridFSCache])
    @pytest.mark.parametrize('given', [{}, {'username': 'tester', 'password': 'wrong-secret'}])
    def test_wrong_credentials(
        self, factory: Any, given: dict[str, str], authenticating_mongodb_server: MongoServer
    ) -> None:
        cache = factory('secured', port=authenticating_mongodb_server.port, serverSelectionTimeoutMS=500, **given)
        for attempt in (lambda: cache.contains('key'), lambda: cache.responses['key'], cache.clear):
            with pytest.raises(BackendError, match=r'(?i)auth') as caught:
                attempt()
            assert isinstance(caught.value.__cause__, pymongo.errors.PyMongoError)
            assert 'wrong-secret' not in str(caught.value)
        cache.close()

    def test_tls(self, tmp_path: Path) -> None:
        certificate = self_signed_certificate(tmp_path)
        files = ('--tls-cert-file', str(certificate.path), '--tls-key-file', str(tmp_path / 'key.pem'))
        with TlsServer(files, certificate=certificate.path) as server:
            trusting = MongoCache('tls', host=server.host, port=server.port, tls=True, tlsCAFile=str(certificate.path))
            trusting.responses['key'] = make_response(1)
            assert trusting.contains('key')
            trusting.close()
            doubting = MongoCache('tls', host=server.host, port=server.port, tls=True, serverSelectionTimeoutMS=500)
            with pytest.raises(BackendError, match='certificate'):
                doubting.contains('key')
            doubting.close()


class TlsServer(MongoServer):
    def __init__(self, options: tuple[str, ...], certificate: Path):
        super().__init__(options)
        self.certificate = certificate

    def client(self, **options: Any) -> Any:
        return super().client(tls=True, tlsCAFile=str(self.certificate), **options)


class TestSessions:
    @pytest.mark.parametrize('backend', ['mongodb', 'gridfs'])
    def test_a_response_is_fetched_once(self, backend: str, make_mongodb: Any, origin: Origin) -> None:
        origin.add(
            '/page', body=b'{"a": 1.10}', headers=[('Content-Type', 'application/json'), ('X-A', '1'), ('X-A', '2')]
        )
        origin.add('/start', status=302, headers=[('Location', '/page')])
        session = make_mongodb(CachedSession, backend=backend)
        first = session.get(origin.url('/start'))
        session.close()
        again = make_mongodb(CachedSession, backend=backend).get(origin.url('/start'))
        assert again.from_cache
        assert (again.content, again.url, again.headers) == (first.content, first.url, first.headers)
        assert [r.status_code for r in again.history] == [302]
        assert origin.hits() == 2

    @pytest.mark.parametrize('backend', ['mongodb', 'gridfs'])
    def test_as_the_seed_writes_it(
        self, backend: str, mongodb_server: MongoServer, mongodb_client: Any, origin: Origin
    ) -> None:
        origin.add('/page', body=b'hello')
        name = f'web_cache_{uuid4().hex}'
        uri = f'mongodb://localhost:{mongodb_server.port}'
        factory = {'mongodb': MongoCache, 'gridfs': GridFSCache}[backend]
        by_name = [
            CachedSession(name, backend=backend, host='localhost', port=mongodb_server.port),
            CachedSession(cache_name=name, backend=backend, host=uri),
            CachedSession('other', backend=backend, db_name=name, host=uri),
            CachedSession(name, backend=backend, connection=mongodb_client),
            CachedSession(backend=factory(name, connection=mongodb_client)),
            CachedSession(name, backend=factory, host=uri),
        ]
        for session in by_name:
            with session:
                assert session.get(origin.url('/page')).text == 'hello'
        assert origin.hits() == 1
        mongodb_client.drop_database(name)

    def test_an_entry_that_is_too_large_goes_through(
        self, make_mongodb: Any, origin: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        origin.add('/large', body=LARGE * 17)
        session = make_mongodb(CachedSession, backend='mongodb', large_body_bytes=1 << 30)
        for _ in range(2):
            assert session.get(origin.url('/large')).content == LARGE * 17
        warnings = [
            r.getMessage() for r in caplog.records if r.levelno == logging.WARNING and 'gridfs' in r.getMessage()
        ]
        assert len(warnings) == 1
        assert origin.hits() == 2

    @pytest.mark.parametrize('backend', ['mongodb', 'gridfs'])
    def test_a_large_body_is_fetched_once(self, backend: str, make_mongodb: Any, origin: Origin) -> None:
        origin.add('/large', body=LARGE * 17)
        session = make_mongodb(CachedSession, backend=backend)
        for _ in range(2):
            assert session.get(origin.url('/large')).content == LARGE * 17
        assert origin.hits() == 1

    def test_misspelled_keywords_are_reported(self, make_mongodb: Any, caplog: pytest.LogCaptureFixture) -> None:
        known = {'replicaset': None, 'serverSelectionTimeoutMS': 5, 'MAXPOOLSIZE': 5, 'AuthSource': 'admin'}
        make_mongodb(CachedSession, backend='mongodb', pasword='x', Serializer='json', **known)
        messages = [r.getMessage() for r in caplog.records if 'has no effect' in r.getMessage()]
        assert len(messages) == 2
        assert any("'pasword'" in m and "'password'" in m for m in messages)
        assert any("'Serializer'" in m and "'serializer'" in m for m in messages)
