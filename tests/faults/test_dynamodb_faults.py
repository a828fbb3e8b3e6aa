"""A DynamoDB that goes away, refuses, hangs or breaks off: requests go on, and caching resumes"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config
from support.dynamodb_server import CLOSED_PORT, CREDENTIALS, DynamoDbServer
from support.outage import BODY, assert_caches, assert_served_by_origin
from support.tcp_proxy import TcpProxy

from requests_cache import CachedSession, DynamoDbCache
from requests_cache.exceptions import BackendError, BackendUnavailableError
from requests_cache.testing.origin import Answer, Origin
from requests_cache.testing.rules.redirects import save_chain
from requests_cache.testing.values import make_response

# Only what never answers is waited for so long
SHORT_WAIT = Config(connect_timeout=2, read_timeout=2, retries={'total_max_attempts': 1})
LONG_WAIT = Config(connect_timeout=60, read_timeout=60, retries={'total_max_attempts': 1})
pytest_plugins = ['support.outage_fixtures']
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def server() -> Iterator[DynamoDbServer]:
    with DynamoDbServer() as started:
        yield started


@pytest.fixture
def make_cache(server: DynamoDbServer) -> Iterator[Callable[..., DynamoDbCache]]:
    caches = []

    def make(**kwargs: Any) -> DynamoDbCache:
        caches.append(DynamoDbCache('faulty', **{**server.options, 'config': LONG_WAIT, **kwargs}))
        return caches[-1]

    yield make
    for cache in caches:
        cache.close()


@pytest.fixture
def make_session() -> Iterator[Callable[..., CachedSession]]:
    sessions = []

    def make(url: str, **kwargs: Any) -> CachedSession:
        sessions.append(
            CachedSession(
                'faulty', backend='dynamodb', endpoint_url=url, **{'config': LONG_WAIT, **CREDENTIALS, **kwargs}
            )
        )
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


class TestServerAway:
    def test_from_the_beginning(self, make_session: Any, page: str, warnings: Any) -> None:
        session = make_session(CLOSED_PORT)
        assert_served_by_origin(session, page)
        assert warnings('The table was not set up') == 1
        assert warnings('Unable to read') == 1
        assert warnings('Unable to write') <= 1

    def test_until_after_the_beginning(self, server: DynamoDbServer, make_session: Any, page: str) -> None:
        with server.away():
            session = make_session(server.url)
            assert_served_by_origin(session, page, times=1)
        assert_caches(session, page)
        client = boto3.client('dynamodb', **server.options)
        ttl = client.describe_time_to_live(TableName='faulty')['TimeToLiveDescription']
        assert ttl['TimeToLiveStatus'] == 'ENABLED'
        client.close()

    def test_stopped_and_started_during_use(
        self, server: DynamoDbServer, make_session: Any, page: str, warnings: Any
    ) -> None:
        session = make_session(server.url)
        assert_caches(session, page)
        for outage in (1, 2):
            with server.away():
                assert_served_by_origin(session, page)
            assert_caches(session, page)
            assert warnings('Unable to read') == outage
            assert warnings('Unable to write') <= outage

    def test_with_redirects(self, server: DynamoDbServer, make_session: Any, page: str, origin: Origin) -> None:
        origin.add('/start', status=302, headers=[('Location', '/page')])
        session = make_session(server.url)
        with server.away():
            assert_served_by_origin(session, origin.url('/start'))
        assert_caches(session, origin.url('/start'))

    def test_hanging(self, server: DynamoDbServer, make_session: Any, page: str, warnings: Any) -> None:
        session = make_session(server.url, config=SHORT_WAIT)
        assert_caches(session, page)
        with server.frozen():
            assert_served_by_origin(session, page, times=2)
            with pytest.raises(BackendUnavailableError):
                session.cache.clear()
        assert_caches(session, page)
        assert warnings('Unable to read') == 1

    def test_hanging_from_the_beginning(self, server: DynamoDbServer, make_session: Any, page: str) -> None:
        with server.frozen():
            session = make_session(server.url, config=SHORT_WAIT)
            assert_served_by_origin(session, page, times=2)
        assert_caches(session, page)

    def test_many_threads(self, server: DynamoDbServer, make_session: Any, page: str, warnings: Any) -> None:
        session = make_session(server.url)
        assert_caches(session, page)
        with ThreadPoolExecutor(16) as pool, server.away():
            bodies = [r.content for r in pool.map(session.get, [page] * 64)]
        assert bodies == [BODY] * 64
        assert_caches(session, page)
        assert warnings('Unable to read') == 1

    def test_maintenance_raises(self, server: DynamoDbServer, make_cache: Any) -> None:
        cache = make_cache()
        other = make_cache(namespace='other')
        save_chain(cache)
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
            lambda: cache.save_response(make_response(1), 'key'),
            lambda: cache.save_response(make_response(content=b'x' * 900_000), 'key'),
            lambda: cache.get_response('key'),
            lambda: len(cache.responses),
            lambda: len(cache.redirects),
            lambda: cache.responses.bulk_delete(str(i) for i in range(2000)),
            lambda: cache.redirects.update({'a': 'b'}),
        ]
        server.stop()
        for attempt in attempts:
            with pytest.raises(BackendUnavailableError) as caught:
                attempt()
            assert type(caught.value.__cause__).__module__.startswith('botocore')

    def test_in_the_middle_of_an_iteration(self, server: DynamoDbServer, make_cache: Any) -> None:
        cache = make_cache()
        for i in range(15):
            cache.responses[str(i)] = make_response(i, content=BODY)
        iterators = [
            iter(cache.responses.values()),
            iter(cache.responses.items()),
            cache.filter(),
            cache.responses.scan(),
        ]
        for iterator in iterators:
            next(iterator)
        server.stop()
        for iterator in iterators:
            with pytest.raises(BackendUnavailableError):
                list(iterator)


class TestConnectionCut:
    @pytest.mark.parametrize('cut_after', [0, 10, 150, 400, 20_000])
    def test_in_the_middle_of_a_reply(
        self, cut_after: int, server: DynamoDbServer, make_session: Any, page: str, warnings: Any
    ) -> None:
        with TcpProxy(server.port) as proxy:
            session = make_session(f'http://127.0.0.1:{proxy.port}')
            assert_caches(session, page)
            session.get(page)
            proxy.cut_after = cut_after
            assert_served_by_origin(session, page)
            with pytest.raises(BackendError) as caught:
                list(session.cache.filter())
            assert caught.value.__cause__ is not None
            proxy.cut_after = None
            assert_caches(session, page)
        assert warnings('Unable to read') == 1

    def test_between_requests(self, server: DynamoDbServer, make_session: Any, page: str, warnings: Any) -> None:
        config = LONG_WAIT.merge(Config(retries={'total_max_attempts': 2}))
        with TcpProxy(server.port) as proxy:
            session = make_session(f'http://127.0.0.1:{proxy.port}', config=config)
            assert_caches(session, page)
            for _ in range(3):
                proxy.drop_connections()
                assert session.get(page).from_cache
        assert warnings('Unable') == 0

    def test_while_parts_are_written(self, server: DynamoDbServer, make_session: Any, origin: Origin) -> None:
        origin.add('/large', body=BODY * 20)
        with TcpProxy(server.port) as proxy:
            session = make_session(f'http://127.0.0.1:{proxy.port}')
            session.get(origin.url('/large'))
            assert session.get(origin.url('/large')).from_cache
            session.cache.clear()
            for cut_after in (0, 100, 300):
                proxy.cut_after = cut_after
                assert session.get(origin.url('/large')).content == BODY * 20
                proxy.cut_after = None
                response = session.cache.get_response(session.cache.create_key(session.prepare_request(_get(origin))))
                assert response is None or response.content == BODY * 20
                session.cache.clear()


def _get(origin: Origin) -> Any:
    from requests import Request

    return Request('GET', origin.url('/large'))


class TestRefusals:
    """What the service answers, from a server that says it to everything"""

    @pytest.fixture
    def service(self) -> Iterator[Origin]:
        with Origin() as service:
            yield service

    def refuse(self, service: Origin, code: str, status: int = 400) -> None:
        body = json.dumps({'__type': f'com.amazonaws.dynamodb.v20120810#{code}', 'message': 'No.'}).encode()
        service.default = Answer(status, body, (('Content-Type', 'application/x-amz-json-1.0'),))

    @pytest.mark.parametrize(
        ('code', 'status', 'unavailable'),
        [
            ('UnrecognizedClientException', 400, False),
            ('InvalidSignatureException', 400, False),
            ('ExpiredTokenException', 400, False),
            ('AccessDeniedException', 400, False),
            ('ValidationException', 400, False),
            ('ResourceNotFoundException', 400, False),
            ('ProvisionedThroughputExceededException', 400, True),
            ('ThrottlingException', 400, True),
            ('InternalServerError', 500, True),
            ('ServiceUnavailable', 503, True),
        ],
    )
    def test_requests_go_on(
        self, code: str, status: int, unavailable: bool, service: Origin, make_session: Any, page: str, warnings: Any
    ) -> None:
        self.refuse(service, code, status)
        session = make_session(service.url())
        assert_served_by_origin(session, page)
        assert warnings('Unable to read') == 1
        assert warnings('Unable to write') <= 1
        for maintain in (session.cache.clear, session.cache.urls, lambda: session.cache.delete('key')):
            with pytest.raises(BackendError, match=code) as caught:
                maintain()
            assert isinstance(caught.value, BackendUnavailableError) == unavailable
            assert type(caught.value.__cause__).__name__ in (code, 'ClientError')

    @pytest.mark.parametrize(
        'body', [b'', b'not JSON', b'[]', b'"text"', b'{"Item": 5}', b'{"Items": 5}', b'\xff' * 100]
    )
    def test_nonsense(self, body: bytes, service: Origin, make_session: Any, page: str) -> None:
        service.default = Answer(200, body, (('Content-Type', 'application/x-amz-json-1.0'),))
        session = make_session(service.url())
        assert_served_by_origin(session, page)

    def test_a_web_page(self, service: Origin, make_session: Any, page: str) -> None:
        service.default = Answer(502, b'<html>Bad gateway</html>', (('Content-Type', 'text/html'),))
        session = make_session(service.url())
        assert_served_by_origin(session, page)
        with pytest.raises(BackendUnavailableError):
            session.cache.clear()
