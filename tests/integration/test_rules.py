"""How long responses last, and which requests they answer, as users of a session notice it"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from io import BytesIO

import pytest
import time_machine
from requests import Response
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from requests_cache import NEVER_EXPIRE, create_key
from requests_cache.testing.origin import answer

START = datetime(2026, 1, 1, 12, 0, tzinfo=timezone.utc)
PAST = [0.001, -0.5, timedelta(seconds=-2), timedelta(seconds=-1), START - timedelta(seconds=10)]


class TestExpirations:
    @pytest.mark.parametrize('by', ['session', 'url', 'call'])
    @pytest.mark.parametrize('value', PAST, ids=str)
    def test_what_has_expired_is_there_when_the_origin_fails(self, new_session, origin, value, by):
        settings = {'session': {'expire_after': value}, 'url': {'urls_expire_after': {'*': value}}}.get(by, {})
        options = {'expire_after': value} if by == 'call' else {}
        session = new_session(stale_if_error=True, backend='memory', **settings)
        with time_machine.travel(START, tick=False) as clock:
            origin.add('/page', body=b'first')
            assert session.get(origin.url('/page'), **options).from_cache is False
            clock.shift(1)
            origin.add('/page', body=b'second')
            assert session.get(origin.url('/page'), **options).text == 'second'
            origin.add('/page', status=500)
            response = session.get(origin.url('/page'), **options)
            assert (response.status_code, response.from_cache, response.text) == (200, True, 'second')

    def test_a_fraction_of_a_second_lasts_that_long(self, new_session, origin):
        origin.add('/page')
        session = new_session(expire_after=0.5, backend='memory')
        with time_machine.travel(START, tick=False) as clock:
            session.get(origin.url('/page'))
            clock.shift(0.4)
            assert session.get(origin.url('/page')).from_cache is True
            clock.shift(0.2)
            assert session.get(origin.url('/page')).from_cache is False

    @pytest.mark.parametrize('by', ['url', 'call'])
    def test_never_by_the_standard(self, new_session, origin, by):
        origin.add('/page')
        settings = {'urls_expire_after': {'*': NEVER_EXPIRE}} if by == 'url' else {}
        session = new_session(cache_control='strict', backend='memory', **settings)
        with time_machine.travel(START, tick=False) as clock:
            session.get(origin.url('/page'), **({'expire_after': NEVER_EXPIRE} if by == 'call' else {}))
            clock.shift(timedelta(days=365))
            assert session.get(origin.url('/page')).from_cache is True

    def test_requests_say_how_stale_or_fresh_a_response_is_to_be(self, new_session, origin):
        origin.add('/page')
        session = new_session(expire_after=70, backend='memory')

        def get(directives):
            return session.get(origin.url('/page'), headers={'Cache-Control': directives})

        with time_machine.travel(START, tick=False) as clock:
            session.get(origin.url('/page'))
            assert get('only-if-cached, min-fresh=60').status_code == 200
            clock.shift(60)
            assert get('only-if-cached, min-fresh=60').status_code == 504
            assert get('only-if-cached').status_code == 200
            clock.shift(timedelta(days=100))
            assert get('only-if-cached').status_code == 504
            assert get('max-stale').from_cache is True
            assert origin.hits() == 1


@pytest.fixture
def varying(origin):
    """An origin that answers with the header fields of the request that it varies by"""

    def handler(request):
        names = request.path.partition('?')[2].split(',')
        text = ' '.join(str(request.header(name)) for name in names)
        return answer(200, text, [('Vary', ', '.join(names))])

    origin.default = handler
    return origin


def get(session, origin, vary, **headers):
    names = {name.replace('_', '-'): value for name, value in headers.items()}
    return session.get(origin.url(f'/?{vary}'), headers=names)


class TestCodings:
    """A cache that was recorded where a coding can be decoded hits where it cannot, as bodies are given out decoded"""

    def test_they_do_not_count(self, any_session, varying):
        vary = 'Accept-Encoding'
        assert get(any_session, varying, vary, Accept_Encoding='gzip, zstd').from_cache is False
        assert get(any_session, varying, vary, Accept_Encoding='gzip').text == 'gzip, zstd'
        assert get(any_session, varying, vary, Accept_Encoding='identity').from_cache is True
        assert varying.hits() == 1

    def test_other_fields_count_beside_them(self, any_session, varying):
        vary = 'Accept-Encoding,Accept'
        for coding in ('zstd', 'gzip'):
            assert get(any_session, varying, vary, Accept='a', Accept_Encoding=coding).text == 'zstd a'
            assert get(any_session, varying, vary, Accept='b', Accept_Encoding=coding).text == 'zstd b'
        assert varying.hits() == 2

    def test_they_count_by_the_standard(self, new_session, varying):
        session = new_session(cache_control='strict', expire_after=60, backend='memory')
        vary = 'Accept-Encoding'
        assert get(session, varying, vary, Accept_Encoding='gzip, zstd').from_cache is False
        assert get(session, varying, vary, Accept_Encoding='ZSTD;q=1,gzip').from_cache is True
        assert get(session, varying, vary, Accept_Encoding='gzip').from_cache is False


class WithoutVersion(BaseAdapter):
    """Answers with the URL that was asked for, and without an HTTP version, as adapters for tests do"""

    def send(self, request, **kwargs):
        response = Response()
        response.status_code, response.url, response.request = 200, request.url, request
        response._content = request.url.encode()
        response.raw = HTTPResponse(BytesIO(), preload_content=False)
        return response

    def close(self):
        pass


class TestAdapters:
    @pytest.mark.parametrize(
        'options',
        [{'backend': 'sqlite'}, {'backend': 'filesystem', 'serializer': 'json'}, {'backend': 'memory'}],
        ids=str,
    )
    def test_urls_of_a_response_without_an_http_version_are_compared(self, new_session, options):
        session = new_session(**options)
        session.mount('http://', WithoutVersion())
        for url in ('http://host/a//b', 'http://host/a/b', 'http://host/?a=', 'http://host/'):
            assert session.get(url).text == url
            hit = session.get(url)
            assert (hit.from_cache, hit.text, hit.raw.version) == (True, url, 0)


class TestKeysOfTheUsersOwn:
    """They decide alone what is the same, and are asked about what `Vary` names as in 1.3"""

    @staticmethod
    def without_codings(request, **kwargs):
        request = request.copy()
        request.headers.pop('Accept-Encoding', None)
        return create_key(request, match_headers=kwargs.get('match_headers'))

    @pytest.mark.parametrize('mode', [False, 'strict'])
    def test_a_key_function_decides_over_vary(self, new_session, varying, mode):
        session = new_session(key_fn=self.without_codings, cache_control=mode, expire_after=60, backend='memory')
        vary = 'Accept,Accept-Encoding'
        for coding in ('zstd', 'gzip'):
            assert get(session, varying, vary, Accept='a', Accept_Encoding=coding).text == 'a zstd'
            assert get(session, varying, vary, Accept='b', Accept_Encoding=coding).text == 'b zstd'
        assert varying.hits() == 2

    @pytest.mark.parametrize('place', ['instance', 'class'])
    def test_a_replaced_method_decides_over_urls_and_vary(self, new_session, varying, place, monkeypatch):
        session = new_session(backend='memory')
        replaced = session.cache if place == 'instance' else type(session.cache)
        monkeypatch.setattr(replaced, 'create_key', lambda *args, **kwargs: 'key')
        assert get(session, varying, 'Accept', Accept='a').from_cache is False
        assert session.get(varying.url('/other'), headers={'Accept': 'b'}).text == 'a'


class TestOtherPlaces:
    def test_variants_that_1x_stored_with_their_coding(self, new_session, varying):
        session = new_session(backend='memory')
        vary = 'Accept,Accept-Encoding'
        for accept in 'ab':
            stored = get(session, varying, vary, Accept=accept, Accept_Encoding='gzip')
        entry = session.cache.responses.pop(stored.cache_key)
        old_key = session.cache.create_key(entry.request, match_headers=['accept', 'accept-encoding'])
        session.cache.responses[old_key] = entry
        hit = get(session, varying, vary, Accept='b', Accept_Encoding='gzip')
        assert (hit.from_cache, hit.cache_key, hit.text) == (True, old_key, 'b gzip')

    @pytest.mark.parametrize('match_headers', [['X-A', 'X-B'], True])
    def test_headers_that_keys_do_not_tell_apart(self, any_session, varying, match_headers):
        any_session.settings.match_headers = match_headers
        both, one = {'X_A': '1', 'X_B': '2'}, {'X_A': '1x-b=2'}
        for headers, text in ((both, '1 2'), (one, '1x-b=2 None')):
            assert get(any_session, varying, 'X-A,X-B', **headers).text == text
        varying.default = lambda request: answer(200, str(request.header('X-A')))
        any_session.cache.clear()
        for headers in (both, one):
            for from_cache in (False, True):
                response = get(any_session, varying, '', **headers)
                assert (response.text, response.from_cache) == (headers['X_A'], from_cache)
