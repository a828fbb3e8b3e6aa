"""`restore_cookies`: cookies of hits get into the jar of the session, as those of responses from the origin do"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.cookiejar import DefaultCookiePolicy

import pytest
import requests
import time_machine
from requests.cookies import RequestsCookieJar

import requests_cache
from requests_cache.testing.origin import answer, redirect, revalidating

START = datetime(2026, 1, 1, 12, 0, tzinfo=timezone.utc)
BOTH_MODES = pytest.mark.parametrize('mode', [False, 'strict'])


def setting(*values):
    return [('Set-Cookie', value) for value in values]


def fresh(*values):
    return [('Cache-Control', 'max-age=3600'), *setting(*values)]


def jar_of(session):
    return {(c.domain, c.path, c.name): c.value for c in session.cookies}


def names(session):
    return {c.name: c.value for c in session.cookies}


@pytest.fixture
def new(new_session):
    """Makes sessions that restore cookies; what they have got from the origin is forgotten by `cookies.clear()`"""
    return lambda **kwargs: new_session(**{'backend': 'memory', 'restore_cookies': True, **kwargs})


class TestHits:
    def test_off_by_default(self, session, origin):
        origin.add('/page', headers=setting('a=1'))
        session.get(origin.url('/page'))
        session.cookies.clear()
        assert session.get(origin.url('/page')).cookies['a'] == '1'
        assert names(session) == {}

    @pytest.mark.parametrize('backend', ['memory', 'sqlite', 'filesystem'])
    @pytest.mark.parametrize('serializer', ['pickle', 'json'])
    @BOTH_MODES
    def test_the_jar_is_the_same_as_after_the_original(self, new, origin, backend, serializer, mode):
        cookies = ('a=1', 'b="2 3"; Path=/deep; Max-Age=600', 'c=3; HttpOnly', 'd=4; Secure', 'e=5; Domain=example.com')
        origin.add('/deep/page', headers=fresh(*cookies))
        session = new(backend=backend, serializer=None if backend == 'memory' else serializer, cache_control=mode)
        session.get(origin.url('/deep/page'))
        before = [vars(cookie) for cookie in session.cookies]
        assert len(before) == 4
        session.cookies.clear()
        assert session.get(origin.url('/deep/page')).from_cache is True
        assert [vars(cookie) for cookie in session.cookies] == before

    @BOTH_MODES
    def test_a_login_page_that_is_cached(self, new, origin, mode):
        origin.add('/login', headers=fresh('id=1'))
        session = new(cache_control=mode, url_settings={'*/login': {'expire_after': 60}})
        session.get(origin.url('/login'))
        session.cookies.clear()
        session.get(origin.url('/login'))
        session.get(origin.url('/page'))
        assert origin.requests_for('/page')[0].header('Cookie') == 'id=1'

    @BOTH_MODES
    def test_cookies_of_redirects_in_their_order(self, new, origin, mode):
        """Those of the first ones are sent to the next ones; a cookie that is deleted on the way is not there"""
        origin.add('/a', redirect('/b', 301, fresh('first=1', 'both=1', 'passing=1')))
        origin.add('/b', headers=fresh('second=2', 'both=2', 'passing=; Max-Age=0'))
        session = new(cache_control=mode)
        session.get(origin.url('/a'))
        expected = {'first': '1', 'second': '2', 'both': '2'}
        assert names(session) == expected
        session.cookies.clear()
        session.cookies.set('passing', 'x', domain='127.0.0.1', path='/')
        assert session.get(origin.url('/a')).from_cache is True
        assert names(session) == expected
        assert origin.hits() == 2

    def test_a_redirect_that_is_not_followed(self, new, origin):
        origin.add('/a', redirect('/b', headers=setting('first=1')))
        origin.add('/b', headers=setting('second=2'))
        session = new()
        session.get(origin.url('/a'))
        session.cookies.clear()
        session.get(origin.url('/a'), allow_redirects=False)
        assert names(session) == {'first': '1'}

    def test_a_stored_redirect_whose_end_is_not_stored(self, new, origin):
        origin.add('/a', redirect('/b', 301, fresh('first=1')))
        origin.add('/b', headers=[('Cache-Control', 'no-store')])
        session = new(cache_control='strict')
        session.get(origin.url('/a'))
        session.cookies.clear()
        session.get(origin.url('/a'))
        assert [r.header('Cookie') for r in origin.requests_for('/b')] == ['first=1', 'first=1']

    def test_cookies_that_have_expired(self, new, origin):
        until = format_datetime(START + timedelta(seconds=60), usegmt=True)
        origin.add(
            '/page', headers=setting('short=1; Max-Age=60', 'long=2; Max-Age=600', f'c=3; Expires={until}', 'd=4')
        )
        session = new()
        with time_machine.travel(START, tick=False) as clock:
            session.get(origin.url('/page'))
            session.cookies.clear()
            session.cookies.set('c', 'of another page', domain='127.0.0.1', path='/')
            clock.shift(90)
            assert session.get(origin.url('/page')).from_cache is True
            assert names(session) == {'long': '2', 'c': 'of another page', 'd': '4'}
            assert {c.name: c.expires for c in session.cookies}['long'] == (START + timedelta(seconds=600)).timestamp()

    def test_cookies_that_are_deleted(self, new, origin):
        origin.add('/logout', headers=setting('id=; Max-Age=0'))
        session = new()
        session.get(origin.url('/logout'))
        for value in ('1', None):
            session.cookies.set('id', value, domain='127.0.0.1', path='/')
            assert session.get(origin.url('/logout')).from_cache is True
            assert names(session) == {}

    def test_the_jar_decides(self, new, origin):
        origin.add('/page', headers=setting('a=1'))
        session = new()
        session.get(origin.url('/page'))
        session.cookies = RequestsCookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        session.get(origin.url('/page'))
        assert names(session) == {}

    def test_values_that_are_not_stored(self, new, origin):
        origin.add('/page', headers=setting('token=secret', 'a=1'))
        session = new()
        for ignored, expected in ((['token'], {'a': '1'}), (['set-cookie'], {})):
            session.settings.ignored_parameters = ignored
            session.cache.clear()
            session.get(origin.url('/page'))
            session.cookies.clear()
            session.get(origin.url('/page'))
            assert names(session) == expected

    def test_cookies_that_may_not_be_stored(self, new, origin):
        origin.add('/page', headers=[('Cache-Control', 'max-age=60, no-cache="Set-Cookie"'), *setting('a=1')])
        session = new(cache_control='strict')
        session.get(origin.url('/page'))
        session.cookies.clear()
        hit = session.get(origin.url('/page'))
        assert (hit.from_cache, dict(hit.cookies), names(session)) == (True, {}, {})

    def test_entries_of_1x_have_names_and_values_only(self, new, origin):
        """They belong to the host that has set them, and are not sent to others"""
        origin.add('/page', headers=setting('a=1'))
        session = new()
        stored = session.get(origin.url('/page'))
        entry = session.cache.responses[stored.cache_key]
        entry._is_of_1x = True
        entry.cookies = requests.cookies.cookiejar_from_dict({'a': '1'})
        session.cache.responses[stored.cache_key] = entry
        session.cookies.clear()
        session.get(origin.url('/page'))
        assert jar_of(session) == {('127.0.0.1', '/', 'a'): '1'}
        entry.request.url = entry.url = 'http://intranet/page'
        session.cookies.clear()
        session.cache.responses[session.cache.create_key(entry.request)] = entry
        session.get('http://intranet/page')
        assert jar_of(session) == {('intranet.local', '/', 'a'): '1'}


class TestOtherAnswers:
    @BOTH_MODES
    def test_after_a_304_its_own_cookies_are_newer(self, new, origin, mode):
        full = answer(200, b'x', [('ETag', '"1"'), *setting('a=old', 'b=old')])
        origin.add('/page', full, revalidating(full, setting('a=new')))
        session = new(expire_after=-5, cache_control=mode)
        session.get(origin.url('/page'))
        session.cookies.clear()
        assert session.get(origin.url('/page')).revalidated is True
        assert names(session) == {'a': 'new', 'b': 'old'}

    @BOTH_MODES
    def test_when_the_origin_fails(self, new, origin, mode):
        origin.add('/page', answer(200, b'x', setting('a=old', 'b=old')), answer(503, b'', setting('a=new')))
        session = new(expire_after=-5, stale_if_error=True, cache_control=mode)
        session.get(origin.url('/page'))
        session.cookies.clear()
        assert session.get(origin.url('/page')).status_code == 200
        assert names(session) == {'a': 'new', 'b': 'old'}
        origin.stop()
        session.cookies.clear()
        session.get(origin.url('/page'))
        assert names(session) == {'a': 'old', 'b': 'old'}

    def test_what_is_renewed_in_the_background(self, new, origin, refreshed):
        """The stale response has its cookies restored; the stored one that a 304 confirms later has not"""
        full = answer(200, b'x', [('ETag', '"1"'), *setting('a=1')])
        origin.add('/page', full, revalidating(full))
        session = new(expire_after=-5, stale_while_revalidate=True)
        hold = origin.hold()
        origin.add('/page', full, answer(304, headers=[('ETag', '"1"')], hold=hold))
        session.get(origin.url('/page'))
        session.cookies.clear()
        session.get(origin.url('/page'))
        assert names(session) == {'a': '1'}
        session.cookies.clear()
        hold.release()
        refreshed()
        assert origin.hits() == 2
        assert names(session) == {}

    def test_nothing_is_answered(self, new, origin):
        assert new().get(origin.url('/page'), only_if_cached=True).status_code == 504

    def test_hooks_come_first_as_with_requests(self, new, origin):
        origin.add('/page', headers=setting('a=1'))
        session, seen = new(), []
        for _ in range(2):
            session.cookies.clear()
            session.get(origin.url('/page'), hooks={'response': lambda r, **kwargs: seen.append(names(session))})
            assert names(session) == {'a': '1'}
        assert seen == [{}, {}]


def test_with_an_installation(origin):
    origin.add('/page', headers=setting('a=1'))
    with requests_cache.enabled(backend='memory', restore_cookies=True):
        requests.get(origin.url('/page'))
        with requests.Session() as session:
            assert session.get(origin.url('/page')).from_cache is True
            assert names(session) == {'a': '1'}


def test_for_some_urls(new_session, origin):
    session = new_session(backend='memory', url_settings={'*/login': {'restore_cookies': True}})
    for path in ('/login', '/page'):
        origin.add(path, headers=setting(f'{path[1:]}=1'))
        session.get(origin.url(path))
    session.cookies.clear()
    for path in ('/login', '/page'):
        session.get(origin.url(path))
    assert names(session) == {'login': '1'}
