"""Expirations that depend on the response: by a function, and by its status"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
import time_machine

from requests_cache import DO_NOT_CACHE, NEVER_EXPIRE, CachedResponse
from requests_cache.testing.origin import answer, redirect, revalidating

START = datetime(2026, 1, 1, 12, 0, tzinfo=timezone.utc)
MODES = pytest.mark.parametrize('mode', [False, True, 'strict'])


def seconds_fresh(response):
    return None if response.expires is None else round((response.expires - response.created_at).total_seconds())


def by_header(response):
    """What the response itself says, in its own way"""
    text = response.headers.get('X-TTL')
    known = {'never': NEVER_EXPIRE, 'out': DO_NOT_CACHE, None: None}
    return known[text] if text in known else int(text)


@pytest.fixture
def says(origin):
    """Programs a path with a lifetime in a header field"""

    def add(path, ttl, *headers, **options):
        fields = [*headers, ('X-TTL', ttl)] if ttl is not None else headers
        origin.add(path, headers=fields, **options)
        return origin.url(path)

    return add


@MODES
class TestFunctions:
    @pytest.mark.parametrize('by', ['session', 'call', 'url', 'rule', 'status'])
    def test_they_may_be_given_wherever_an_expiration_may(self, new_session, says, mode, by):
        settings = {
            'session': {'expire_after': by_header},
            'url': {'urls_expire_after': {'*': by_header}},
            'rule': {'url_settings': {'*': {'expire_after': by_header}}},
            'status': {'codes_expire_after': {200: by_header}},
        }.get(by, {})
        options = {'expire_after': by_header} if by == 'call' else {}
        session = new_session(backend='memory', cache_control=mode, **{'expire_after': 60, **settings})
        assert seconds_fresh(session.get(says('/five', '5'), **options)) == 5
        assert session.get(says('/out', 'out'), **options).cache_key is None
        never = session.get(says('/never', 'never'), **options)
        assert never.expires is None if mode != 'strict' else seconds_fresh(never) > 10**8
        silent = session.get(says('/silent', None, ('ETag', '"1"')), **options)
        assert seconds_fresh(silent) == (60 if by != 'session' else 0 if mode == 'strict' else None)

    def test_the_response_as_a_whole_is_given(self, new_session, origin, mode):
        origin.add('/page', body=b'12345')
        given = []

        def by_length(response):
            given.append(response)
            return len(response.content)

        session = new_session(backend='memory', cache_control=mode, expire_after=by_length)
        for stream in (True, False):
            session.cache.clear()
            response = session.get(origin.url('/page'), stream=stream)
            assert (response.text, seconds_fresh(response)) == ('12345', 5)
            assert session.get(origin.url('/page'), stream=stream).from_cache is True
        assert [(r.status_code, r.url) for r in given] == [(200, origin.url('/page'))] * 2

    def test_they_are_not_asked_about_what_is_not_stored(self, new_session, origin, mode):
        session = new_session(backend='memory', cache_control=mode, expire_after=lambda response: 1 / 0)
        origin.add('/error', status=500)
        assert session.get(origin.url('/error')).status_code == 500
        origin.add('/page')
        assert session.post(origin.url('/page')).status_code == 200
        with session.cache_disabled():
            assert session.get(origin.url('/page')).status_code == 200
        session.settings.read_only = True
        assert session.get(origin.url('/page')).status_code == 200

    def test_their_errors_are_raised(self, new_session, says, mode):
        session = new_session(backend='memory', cache_control=mode, expire_after=by_header)
        with pytest.raises(ValueError, match='invalid literal'):
            session.get(says('/page', 'soon'))
        session.settings.expire_after = lambda response: 'soon'
        with pytest.raises(ValueError, match='Invalid HTTP date: soon'):
            session.get(says('/page', '5'))
        assert list(session.cache.filter()) == []

    def test_after_a_304(self, new_session, origin, mode):
        """The function sees the stored response, brought up to date"""
        full = answer(200, b'x', [('ETag', '"1"'), ('X-TTL', '5')])
        origin.add('/page', full, revalidating(full, [('X-TTL', '7')]), revalidating(full, [('X-TTL', 'out')]))
        session = new_session(backend='memory', cache_control=mode, expire_after=by_header)
        url = origin.url('/page')
        with time_machine.travel(START, tick=False) as clock:
            session.get(url)
            clock.shift(6)
            renewed = session.get(url)
            assert (renewed.revalidated, renewed.expires) == (True, START + timedelta(seconds=6 + 7))
            assert session.get(url).revalidated is False
            clock.shift(8)
            for _ in range(2):  # it is not stored as fresh, and so is asked about again
                assert session.get(url).revalidated is True
        assert origin.hits() == 4

    def test_in_the_background(self, new_session, origin, refreshed, mode):
        origin.add('/page', answer(200, b'old', [('X-TTL', '5')]), answer(200, b'new', [('X-TTL', '7')]))
        session = new_session(backend='memory', cache_control=mode, expire_after=by_header, stale_while_revalidate=True)
        url = origin.url('/page')
        with time_machine.travel(START, tick=False) as clock:
            session.get(url)
            clock.shift(6)
            assert session.get(url).text == 'old'
            refreshed()
            renewed = session.get(url)
            assert (renewed.text, renewed.from_cache, seconds_fresh(renewed)) == ('new', True, 7)


class TestResponsesOfOwn:
    """Of chains, and what the standard puts together, the function gets what is stored"""

    def test_chains_of_redirects(self, session, origin):
        origin.add('/a', redirect('/b'))
        origin.add('/b', body=b'x', headers=[('X-TTL', '5')])
        session.settings.expire_after = by_header
        response = session.get(origin.url('/a'))
        assert [seconds_fresh(r) for r in (response, session.get(origin.url('/a')))] == [5, 5]

    def test_parts(self, new_session, origin):
        session = new_session(backend='memory', cache_control='strict', expire_after=lambda r: len(r.content) + 60)

        def part(first, last):
            fields = [('Content-Range', f'bytes {first}-{last}/10'), ('ETag', '"1"')]
            return answer(206, b'0123456789'[first : last + 1], fields)

        origin.add('/page', part(0, 4), part(5, 9))
        with time_machine.travel(START, tick=False):
            for wanted in ('0-4', '5-9'):
                session.get(origin.url('/page'), headers={'Range': f'bytes={wanted}'})
            whole = session.get(origin.url('/page'))
        assert (whole.from_cache, whole.text) == (True, '0123456789')


class TestResetting:
    def test_a_cache(self, any_session, says):
        for path, ttl in (('/five', '5'), ('/out', 'out'), ('/never', 'never'), ('/silent', None)):
            any_session.get(says(path, ttl), expire_after=60)
        with time_machine.travel(START, tick=False):
            any_session.cache.reset_expiration(by_header)
        found = {r.url.rpartition('/')[2]: r.expires for r in any_session.cache.filter()}
        assert found == {'five': START + timedelta(seconds=5), 'never': None, 'silent': None}

    def test_errors_are_raised(self, any_session, says):
        any_session.get(says('/page', 'soon'))
        with pytest.raises(ValueError, match='invalid literal'):
            any_session.cache.reset_expiration(by_header)
        with pytest.raises(TypeError, match='Invalid expiration'):
            any_session.cache.reset_expiration(lambda response: b'')

    def test_a_response(self):
        response = CachedResponse(status_code=200, content=b'12345')
        with time_machine.travel(START, tick=False):
            assert response.reset_expiration(lambda r: len(r.content)) is False
            assert response.expires == START + timedelta(seconds=5)
            assert response.reset_expiration(lambda r: DO_NOT_CACHE) is True
            assert response.reset_expiration(DO_NOT_CACHE) is False  # as in 1.x


@MODES
class TestStatus:
    def test_errors_have_lifetimes_of_their_own(self, new_session, origin, mode):
        session = new_session(
            backend='memory', cache_control=mode, expire_after=600, codes_expire_after={404: 60, '5xx': 5}
        )
        origin.add('/page')
        for status in (404, 403, 500, 503):
            origin.add(f'/{status}', status=status)
        with time_machine.travel(START, tick=False) as clock:
            lifetimes = {
                path: seconds_fresh(session.get(origin.url(path))) for path in ('/404', '/500', '/503', '/page')
            }
            assert lifetimes == {'/404': 60, '/500': 5, '/503': 5, '/page': 600}
            assert session.get(origin.url('/403')).cache_key is None
            for shift, fresh in ((4, ['/404', '/500', '/503', '/page']), (2, ['/404', '/page']), (55, ['/page'])):
                clock.shift(shift)
                found = {path: session.get(origin.url(path), only_if_cached=True) for path in lifetimes}
                assert [path for path, response in found.items() if response.reason != 'Not Cached'] == fresh

    def test_the_call_wins(self, new_session, origin, mode):
        session = new_session(backend='memory', cache_control=mode, codes_expire_after={404: 60})
        origin.add('/page', status=404)
        assert seconds_fresh(session.get(origin.url('/page'), expire_after=5)) == 5

    def test_an_error_passes_while_a_good_response_is_kept(self, new_session, origin, mode):
        session = new_session(
            backend='memory', cache_control=mode, codes_expire_after={'5xx': 5}, stale_if_error=True, expire_after=60
        )
        origin.add('/page', answer(200, b'good'), answer(503))
        origin.add('/bad', answer(503, b'first'), answer(503, b'second'))
        with time_machine.travel(START, tick=False) as clock:
            session.get(origin.url('/page'))
            session.get(origin.url('/bad'))
            clock.shift(61)
            assert session.get(origin.url('/page')).text == 'good'
            assert session.get(origin.url('/bad')).text == 'second'
            assert session.get(origin.url('/bad')).from_cache is True
