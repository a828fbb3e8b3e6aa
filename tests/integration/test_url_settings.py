"""Settings by URL: they count for what is stored and used, for keys, for redirects, and for maintenance"""

from __future__ import annotations

import pickle
import re
from datetime import datetime, timedelta, timezone

import pytest
import requests
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from requests import Request

import requests_cache
from requests_cache import DO_NOT_CACHE, CachedSession, CacheSettings
from requests_cache.testing.origin import answer, redirect, revalidating

START = datetime(2026, 1, 1, 12, 0, tzinfo=timezone.utc)


def seconds_fresh(response):
    return None if response.expires is None else round((response.expires - response.created_at).total_seconds())


@pytest.fixture
def paths(origin):
    """An origin that answers with the path that was asked for; 404 where that ends in `missing`"""
    origin.default = lambda request: answer(404 if 'missing' in request.path else 200, request.path)
    return origin


def live(origin, **settings):
    return {f'{origin.host}:{origin.port}/live': settings}


class TestWhatIsStored:
    def test_the_first_pattern_that_matches_counts(self, any_session, paths):
        any_session.settings.expire_after = 60
        any_session.settings.url_settings = {
            '*/live': {'expire_after': 5, 'allowable_codes': (200, 404)},
            re.compile('missing|other'): {'expire_after': 7},
        }
        with time_machine.travel(START, tick=False) as clock:
            for path, seconds in (('/page', 60), ('/live', 5), ('/live/missing', 5), ('/other', 7)):
                assert seconds_fresh(any_session.get(paths.url(path))) == seconds
                assert any_session.get(paths.url(path)).from_cache is True
            assert any_session.get(paths.url('/missing')).cache_key is None
            clock.shift(6)
            fresh = [
                any_session.get(paths.url(path)).from_cache for path in ('/page', '/live', '/live/missing', '/other')
            ]
            assert fresh == [True, False, False, True]

    def test_options_of_a_call_win(self, session, paths):
        session.settings.url_settings = live(paths, expire_after=5)
        url = paths.url('/live')
        assert seconds_fresh(session.get(url, expire_after=60)) == 60
        assert session.get(url, force_refresh=True).from_cache is False
        assert session.get(paths.url('/live/other'), only_if_cached=True).status_code == 504
        assert session.get(paths.url('/live/kept-out'), expire_after=DO_NOT_CACHE).cache_key is None
        session.settings.url_settings = live(paths, expire_after=DO_NOT_CACHE)
        assert session.get(paths.url('/live/new')).cache_key is None
        assert seconds_fresh(session.get(paths.url('/live/new'), expire_after=60)) == 60

    @pytest.mark.parametrize('mode', [False, 'strict'])
    @given(
        rule=st.none() | st.integers(1, 9),
        call=st.none() | st.integers(11, 19),
        by_pattern=st.none() | st.integers(21, 29),
    )
    def test_the_call_wins_over_the_rule_and_the_rule_over_all_else(self, mode, rule, call, by_pattern):
        adapter = _Adapter()
        with CachedSession(backend='memory', expire_after=60, cache_control=mode) as session:
            session.mount('http://', adapter)
            session.settings.urls_expire_after = {'*': by_pattern}
            session.settings.url_settings = {'host/live': {'expire_after': rule}}
            expected = next(value for value in (call, rule, by_pattern, 60) if value is not None)
            assert seconds_fresh(session.get('http://host/live', expire_after=call)) == expected
            others = next(value for value in (by_pattern, 60) if value is not None)
            assert seconds_fresh(session.get('http://host/')) == others

    def test_each_of_them_counts(self, session, paths):
        """One rule each, beside what happens without it"""
        session.settings.allowable_codes = (200, 404)

        def twice(path='/live/missing', **settings):
            session.cache.clear()
            session.settings.url_settings = live(paths, **settings)
            first = session.get(paths.url(path))
            return first.status_code, session.get(paths.url(path)).from_cache

        assert twice() == (404, True)
        assert twice(disabled=True) == twice(read_only=True) == (404, False)
        assert twice(allowable_codes=[200]) == twice(allowable_methods=['POST']) == (404, False)
        assert twice(filter_fn=lambda response: response.ok) == twice(max_body_bytes=3) == (404, False)
        assert twice('/elsewhere', disabled=True) == (200, True)
        assert twice(only_if_cached=True)[0] == 504

    def test_in_the_default_modes_and_by_the_standard(self, session, origin):
        origin.add('/page', body=b'x', headers=[('Cache-Control', 'no-store')])
        origin.add('/live', body=b'x', headers=[('Cache-Control', 'no-store')])
        origin.add('/live/kept', body=b'x', headers=[('Cache-Control', 'max-age=60')])
        session.settings.url_settings = live(origin, cache_control='strict')
        for path, from_cache in (('/page', True), ('/live', False), ('/live/kept', True)):
            session.get(origin.url(path))
            assert session.get(origin.url(path)).from_cache is from_cache
        assert 'Age' in session.get(origin.url('/live/kept')).headers
        assert session.get(origin.url('/live')).cache_status is not None
        session.settings.cache_control = 'strict'
        session.settings.url_settings = live(origin, cache_control=False)
        session.get(origin.url('/live'))
        assert session.get(origin.url('/live')).from_cache is True

    def test_stale_responses(self, session, origin):
        session.settings.url_settings = live(origin, stale_if_error=True, expire_after=-5)
        session.settings.expire_after = -5
        for path in ('/live', '/page'):
            origin.add(path, answer(200, b'good'), answer(500))
            session.get(origin.url(path))
        assert session.get(origin.url('/live')).text == 'good'
        assert session.get(origin.url('/page')).status_code == 500

    def test_settings_can_be_changed_at_any_time(self, session, paths):
        session.settings.url_settings = live(paths, expire_after=5)
        session.settings.allowable_codes = (404,)
        assert seconds_fresh(session.get(paths.url('/live/missing'))) == 5
        session.settings = CacheSettings(url_settings=live(paths, expire_after=7))
        session.cache.clear()
        assert seconds_fresh(session.get(paths.url('/live'))) == 7
        session.settings.url_settings[f'{paths.host}:{paths.port}/page'] = {'expire_after': 8}
        assert seconds_fresh(session.get(paths.url('/page'))) == 8

    def test_what_is_wrong_is_said_at_once(self, new_session):
        with pytest.raises(ValueError, match='did you mean'):
            new_session(backend='memory', url_settings={'host': {'expire_aftr': 5}})
        with pytest.raises(ValueError, match='not a status'):
            requests_cache.install_cache(backend='memory', codes_expire_after={'404': 5})


class _Adapter(requests.adapters.BaseAdapter):
    """Answers with an empty body"""

    def send(self, request, **kwargs):
        response = requests.Response()
        response.status_code, response.url, response.request, response._content = 200, request.url, request, b''
        return response

    def close(self):
        pass


class TestKeys:
    def test_headers(self, any_session, paths):
        any_session.settings.url_settings = {'*/live': {'match_headers': ['X-A']}}
        for path, hits in (('/live', 2), ('/page', 1)):
            for value in 'abab':
                any_session.get(paths.url(path), headers={'X-A': value})
            assert paths.hits(path) == hits

    def test_ignored_parameters_are_not_stored_either(self, any_session, paths):
        any_session.settings.url_settings = {'*/live': {'ignored_parameters': ['token']}}
        for path, hits in (('/live', 1), ('/page', 2)):
            for value in ('first', 'second'):
                response = any_session.get(paths.url(path), params={'token': value})
            assert paths.hits(path) == hits
        stored = any_session.get(paths.url('/live'), params={'token': 'third'})
        assert (stored.from_cache, stored.url) == (True, paths.url('/live?token=REDACTED'))
        assert response.url == paths.url('/page?token=second')

    def test_secrets_of_the_url_that_a_redirect_leads_to(self, any_session, paths):
        paths.add('/a', redirect('/live?token=secret'))
        any_session.settings.url_settings = {'*/live': {'ignored_parameters': ['token']}}
        any_session.get(paths.url('/a'))
        for response in any_session.cache.filter():
            urls = [response.url, *(r.headers['Location'] for r in response.history)]
            assert not any('secret' in url for url in urls), urls

    def test_a_key_function(self, any_session, paths):
        any_session.settings.url_settings = {'*/live': {'key_fn': lambda request, **kwargs: 'one for all'}}
        assert any_session.get(paths.url('/live/a')).text == '/live/a'
        assert any_session.get(paths.url('/live/b')).text == '/live/a'
        assert any_session.get(paths.url('/page')).text == '/page'
        assert 'one for all' in any_session.cache.responses

    def test_an_entry_that_is_found_by_a_redirect_answers_nothing_else(self, any_session, paths):
        paths.add('/live/a', redirect('/b'))
        any_session.settings.url_settings = {'*/live': {'key_fn': lambda request, **kwargs: request.url}}
        any_session.get(paths.url('/live/a'))
        key = any_session.cache.create_key(Request('GET', paths.url('/b')))
        any_session.cache.redirects['x'] = key
        assert any_session.cache.get_response('x') is None

    @pytest.mark.parametrize('rule', [{'match_headers': ['X-A']}, {'ignored_parameters': ['token']}, 'key_fn'])
    def test_maintenance_finds_what_was_stored_under_a_rule(self, any_session, paths, rule):
        rule = {'key_fn': lambda request, **kwargs: request.url.partition('?')[0]} if rule == 'key_fn' else rule
        any_session.settings.url_settings = {'*/live': rule}
        url, other = paths.url('/live?token=1'), paths.url('/page?token=1')
        plain = {'User-Agent': None, 'Accept-Encoding': None, 'Accept': None, 'Connection': None}
        for each in (url, other):
            any_session.get(each, headers={'X-A': 'a'})
            any_session.get(each, headers={**plain})
        assert any_session.cache.contains(url=url)
        assert any_session.cache.contains(request=Request('GET', paths.url('/live'), params={'token': 1}))
        any_session.cache.recreate_keys()
        assert any_session.cache.contains(url=url)
        assert any_session.cache.delete(urls=[url]) == (2 if 'match_headers' in rule else 1)
        assert not any_session.cache.contains(url=url)
        assert any_session.cache.contains(url=other)

    def test_entries_get_the_keys_of_rules_that_are_new(self, any_session, paths):
        any_session.get(paths.url('/live?token=1'))
        any_session.get(paths.url('/page?token=1'))
        any_session.settings.url_settings = {'*/live': {'ignored_parameters': ['token']}}
        any_session.cache.recreate_keys()
        assert any_session.get(paths.url('/live?token=2')).from_cache is True
        assert any_session.get(paths.url('/page?token=1')).from_cache is True
        assert paths.hits() == 2

    @pytest.mark.parametrize('mode', [True, 'strict'])
    def test_variants(self, any_session, origin, mode):
        origin.default = lambda request: answer(
            200, str(request.header('X-B')), [('Vary', 'X-B'), ('Cache-Control', 'max-age=60')]
        )
        any_session.settings.url_settings = {'*/live': {'match_headers': ['X-A'], 'cache_control': mode}}
        url = origin.url('/live')
        for _ in range(2):
            for value in 'ab':
                assert any_session.get(url, headers={'X-B': value}).text == value
        assert origin.hits() == 2
        any_session.cache.recreate_keys()
        assert all(any_session.get(url, headers={'X-B': value}).from_cache for value in 'ab')
        assert any_session.cache.delete(urls=[url]) == 2

    def test_what_a_request_makes_invalid_by_the_standard(self, session, origin):
        """All that is stored for the URL, whatever the headers are that it is matched by"""
        origin.add('/live', body=b'x', headers=[('Cache-Control', 'max-age=60')])
        origin.add('/page', answer(200, headers=[('Location', '/live')]))
        session.settings.cache_control = 'strict'
        session.settings.url_settings = live(origin, match_headers=['X-A'])
        session.get(origin.url('/live'), headers={'X-A': 'a'})
        session.post(origin.url('/page'))
        assert session.get(origin.url('/live'), headers={'X-A': 'a'}).from_cache is False

    def test_fragments_do_not_count(self, session, paths):
        session.settings.url_settings = {re.compile(r'\.json$'): {'cache_control': 'strict', 'expire_after': 60}}
        session.get(paths.url('/a.json#x'))
        assert session.get(paths.url('/a.json#y')).from_cache is True


class TestRedirects:
    def test_each_url_goes_by_its_own_rule(self, session, paths):
        paths.add('/a', redirect('/live'))
        session.settings.url_settings = live(paths, expire_after=5)
        session.settings.expire_after = 60
        session.get(paths.url('/a'), allow_redirects=False)
        session.get(paths.url('/a'))
        assert seconds_fresh(session.get(paths.url('/live'))) == 5

    def test_a_chain_lasts_no_longer_than_the_rule_for_its_end_says(self, session, paths):
        paths.add('/a', redirect('/live'))
        session.settings.expire_after = 60
        assert seconds_fresh(session.get(paths.url('/a'))) == 60
        session.cache.clear()
        session.settings.url_settings = live(paths, expire_after=5)
        session.get(paths.url('/a'))
        assert seconds_fresh(session.get(paths.url('/a'))) == 5
        session.settings.url_settings = live(paths, expire_after=500)
        session.cache.clear()
        session.get(paths.url('/a'))
        assert seconds_fresh(session.get(paths.url('/a'))) == 60

    @pytest.mark.parametrize(
        'rule',
        [
            {'disabled': True},
            {'read_only': True},
            {'expire_after': DO_NOT_CACHE},
            {'filter_fn': lambda r: False},
            {'allowable_codes': [404]},
        ],
        ids=lambda rule: next(iter(rule)),
    )
    def test_a_url_that_is_kept_out_is_not_stored_with_what_leads_there(self, session, paths, rule):
        paths.add('/a', redirect('/live'))
        session.settings.url_settings = live(paths, **rule)
        for _ in range(2):
            assert session.get(paths.url('/a')).from_cache is False
        assert list(session.cache.filter()) == []

    def test_a_url_on_the_way_that_is_kept_out(self, session, paths):
        paths.add('/a', redirect('/live'))
        paths.add('/live', redirect('/b'))
        session.settings.url_settings = live(paths, disabled=True)
        assert session.get(paths.url('/a')).text == '/b'
        assert session.cache.urls() == [paths.url('/b')]
        session.settings.url_settings = live(paths, expire_after=5)
        session.get(paths.url('/a'))
        assert session.get(paths.url('/a')).from_cache is True

    @pytest.mark.parametrize('stream', [True, False])
    def test_chains_that_end_in_the_cache_or_are_streamed(self, session, paths, stream):
        paths.add('/a', redirect('/live'))
        session.settings.url_settings = live(paths, expire_after=5)
        session.get(paths.url('/live'))
        assert session.get(paths.url('/a'), stream=stream).text == '/live'
        assert seconds_fresh(session.get(paths.url('/a'), stream=stream)) == 5


class TestSessions:
    def test_two_on_one_backend(self, new_session, paths):
        first = new_session(backend='memory', url_settings={'*/live': {'match_headers': ['X-A']}})
        second = new_session(backend=first.cache, url_settings={'*/live': {'expire_after': 5}})
        first.get(paths.url('/live'), headers={'X-A': 'a'})
        assert second.get(paths.url('/live'), headers={'X-A': 'a'}).from_cache is False
        assert second.get(paths.url('/live'), headers={'X-A': 'b'}).from_cache is True
        assert first.get(paths.url('/live'), headers={'X-A': 'b'}).from_cache is False

    def test_an_installation(self, paths):
        rules = {'*/live': {'expire_after': 5}}
        with requests_cache.enabled(backend='memory', url_settings=rules, codes_expire_after={404: 7}):
            assert seconds_fresh(requests.get(paths.url('/live'))) == 5
            assert seconds_fresh(requests.get(paths.url('/missing'))) == 7
            assert requests_cache.get_cache().contains(url=paths.url('/live'))

    def test_pickled(self, new_session, paths):
        rules = {'*/live': {'expire_after': lifetime}, re.compile('missing'): {'allowable_codes': [404]}}
        session = new_session(url_settings=rules, expire_after=lifetime, codes_expire_after={'5xx': lifetime})
        with pickle.loads(pickle.dumps(session)) as other:
            assert seconds_fresh(other.get(paths.url('/live'))) == len('/live')
            assert other.get(paths.url('/missing')).cache_key is not None
        session.settings.expire_after = lambda response: 5
        with pytest.raises((pickle.PicklingError, AttributeError), match='lambda'):
            pickle.dumps(session)

    def test_what_is_explained(self, session, paths):
        session.settings.url_settings = live(paths, match_headers=['X-A'], codes_expire_after={500: 5})
        explained = session.explain('GET', paths.url('/live'), headers={'X-A': 'a'})
        assert (explained.key_parts['headers'], explained.rule) == ('x-a', f'{paths.host}:{paths.port}/live')
        assert f'settings: those for {explained.rule}' in str(explained)
        missing = session.explain(session.get(paths.url('/live/missing')))
        assert '404 is not among allowable_codes (200)' in missing.not_stored
        assert missing.rule == explained.rule
        assert session.explain('GET', paths.url('/page')).rule is None


def lifetime(response):
    return timedelta(seconds=len(response.text))


def test_validation_under_a_rule(any_session, origin):
    """A 304 renews the entry under its own key, with the lifetime of the rule"""
    origin.add('/live', revalidating(answer(200, b'x', [('ETag', '"1"')])))
    any_session.settings.url_settings = {'*/live': {'expire_after': 5, 'ignored_parameters': ['token']}}
    with time_machine.travel(START, tick=False) as clock:
        any_session.get(origin.url('/live?token=1'))
        clock.shift(6)
        response = any_session.get(origin.url('/live?token=2'))
        assert (response.revalidated, seconds_fresh(response)) == (True, 11)
        assert any_session.get(origin.url('/live?token=3')).from_cache is True
    assert [r.header('If-None-Match') for r in origin.requests] == [None, '"1"']
