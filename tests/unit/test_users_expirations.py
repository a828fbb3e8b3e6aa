"""What the user says about how long a response is fresh: by the call, the status, the URL, the session; both modes"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from requests_cache import DO_NOT_CACHE, EXPIRE_IMMEDIATELY, NEVER_EXPIRE, CachedResponse, CacheSettings
from requests_cache.policy import decision
from requests_cache.policy.request import RequestOptions, expiration_for, request_policy, resolve_expiration
from requests_cache.policy.standard import decision as strict_decision
from requests_cache.policy.standard.request import strict_request_policy
from requests_cache.policy.standard.state import FOREVER_SECONDS
from requests_cache.policy.verdicts import DoNotStore, Fetch, Store, Use, Validate

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=timezone.utc)
URL = 'http://example.com/page'
ETAG = {'ETag': '"1"'}
MODES = pytest.mark.parametrize('mode', [False, True, 'strict'])


def policy(mode, call=None, **settings):
    make = strict_request_policy if mode == 'strict' else request_policy
    options = RequestOptions(expire_after=call)
    return make('GET', URL, {}, CacheSettings(cache_control=mode, **settings).for_url(URL), options)


def rules(mode) -> ModuleType:
    return strict_decision if mode == 'strict' else decision


def store(mode, status=200, headers=None, call=None, **settings):
    return rules(mode).decide_store(policy(mode, call, **settings), status, CaseInsensitiveDict(headers or {}), NOW)


def stored(status=200, expires=60, age=0, **headers):
    return CachedResponse(
        status_code=status,
        headers=CaseInsensitiveDict(headers),
        created_at=NOW - timedelta(seconds=age),
        expires=NOW + timedelta(seconds=expires),
    )


def in_seconds(seconds):
    return Store(NOW + timedelta(seconds=seconds))


SAID = {
    'call': {'call': 1},
    'status': {'codes_expire_after': {404: 2}},
    'rule': {'url_settings': {'example.com': {'expire_after': 3}}},
    'url': {'urls_expire_after': {'example.com': 4}},
    'session': {'expire_after': 5},
}


@MODES
class TestPrecedence:
    @given(subset=st.sets(st.sampled_from(sorted(SAID))))
    def test_the_first_that_is_said_counts(self, mode, subset):
        """For a status that may be stored anyway, if its lifetime is not given"""
        kwargs = {name: value for each in SAID if each in subset for name, value in SAID[each].items()}
        expected = next((number for number, each in enumerate(SAID, 1) if each in subset), None)
        decided = store(mode, 404, allowable_codes=(200, 404), **kwargs)
        if expected is not None:
            assert decided == in_seconds(expected)
        else:
            assert decided == (DoNotStore('no freshness and no validator') if mode == 'strict' else Store(None))

    def test_a_status_that_is_named_is_stored(self, mode):
        for codes in ({500: 60}, {'5xx': 60}, {500: 60, '5xx': 5}):
            assert store(mode, 500, codes_expire_after=codes) == in_seconds(60)
            assert store(mode, 500, codes_expire_after=codes, allowable_codes=(404,)) == in_seconds(60)
            assert store(mode, 403, codes_expire_after=codes) == DoNotStore('status')
        assert store(mode, 503, codes_expire_after={500: 60, '5xx': 5}) == in_seconds(5)
        assert store(mode, 503, codes_expire_after={500: 60}, expire_after=9) == DoNotStore('status')

    def test_a_status_without_a_lifetime_of_its_own(self, mode):
        assert store(mode, 500, codes_expire_after={500: None}, expire_after=7) == in_seconds(7)

    @pytest.mark.parametrize('status', [206, 304, 401, 407, 412, 416])
    def test_what_answers_header_fields_of_the_request_belongs_to_no_class(self, mode, status):
        codes = {f'{status // 100}xx': 60}
        assert store(mode, status, codes_expire_after=codes, expire_after=9).reason == 'status'
        if mode != 'strict':
            assert store(mode, status, codes_expire_after={status: 60}) == in_seconds(60)

    def test_constants(self, mode):
        assert store(mode, 500, codes_expire_after={500: DO_NOT_CACHE}) == DoNotStore('do not cache')
        never = Store(NOW + timedelta(seconds=FOREVER_SECONDS)) if mode == 'strict' else Store(None)
        assert store(mode, 500, codes_expire_after={500: NEVER_EXPIRE}, expire_after=5) == never
        at_once = {'codes_expire_after': {500: EXPIRE_IMMEDIATELY}}
        assert isinstance(store(mode, 500, **at_once), DoNotStore)
        assert store(mode, 500, ETAG, **at_once) == in_seconds(0)

    def test_never_is_said_by_a_rule(self, mode):
        never = Store(NOW + timedelta(seconds=FOREVER_SECONDS)) if mode == 'strict' else Store(None)
        assert store(mode, url_settings={'*': {'expire_after': NEVER_EXPIRE}}, expire_after=5) == never

    def test_a_url_that_is_not_to_be_cached_is_not_whatever_the_status(self, mode):
        for out in (
            {'expire_after': DO_NOT_CACHE},
            {'urls_expire_after': {'*': DO_NOT_CACHE}},
            {'url_settings': {'*': {'expire_after': DO_NOT_CACHE}}},
        ):
            assert store(mode, 404, codes_expire_after={404: 60}, **out) == DoNotStore('do not cache')

    def test_the_response_goes_first_where_its_header_fields_count(self, mode):
        own = {'Cache-Control': 'max-age=60'}
        for kwargs in ({'call': 5}, {'codes_expire_after': {200: 5}}, {'expire_after': 5}):
            assert store(mode, 200, own, **kwargs) == in_seconds(60 if mode else 5)
        forbidden = {'Cache-Control': 'no-store'}
        decided = store(mode, 500, forbidden, codes_expire_after={500: 5})
        assert decided == (DoNotStore('no-store') if mode else in_seconds(5))

    def test_renewal_by_status(self, mode):
        applies = policy(mode, codes_expire_after={404: 5, 410: DO_NOT_CACHE}, expire_after=9)
        for status, seconds in ((404, 5), (200, 9), (410, 0)):
            assert rules(mode).expires_after_304(applies, status, {}, {}, NOW) == NOW + timedelta(seconds=seconds)


class TestFunctions:
    @MODES
    def test_one_in_a_rule_that_says_nothing(self, mode):
        """Then the pattern of `urls_expire_after` counts, and after that the session"""
        rule = {'url_settings': {'*': {'expire_after': lambda response: None}}, 'expire_after': 9}
        for by_pattern, expected in ((None, 9), (5, 5), (lambda response: 6, 6), (lambda response: None, 9)):
            done = resolve_expiration(policy(mode, urls_expire_after={'*': by_pattern}, **rule), stored())
            assert rules(mode).decide_store(done, 200, {}, NOW) == in_seconds(expected)

    def test_they_say_nothing_before_there_is_a_response(self):
        for mode in (False, 'strict'):
            for settings in ({'expire_after': len}, {'codes_expire_after': {200: len}, 'expire_after': 5}):
                assert expiration_for(policy(mode, **settings), 200) is None

    @MODES
    def test_the_first_that_says_something_counts(self, mode):
        called = []

        def says(value):
            def function(response):
                called.append((value, response.status_code))
                return value

            return function

        applies = policy(
            mode,
            call=says(None),
            codes_expire_after={404: says(None)},
            urls_expire_after={'*': says(7)},
            expire_after=says(8),
        )
        done = resolve_expiration(applies, stored(404))
        assert called == [(None, 404), (None, 404), (7, 404)]
        assert (done.expire_after, expiration_for(done, 404)) == (7, 7)
        assert rules(mode).decide_store(done, 404, {}, NOW) == in_seconds(7)

    @MODES
    def test_what_comes_after_a_plain_expiration_is_not_called(self, mode):
        applies = policy(mode, call=5, expire_after=lambda response: 1 / 0)
        assert expiration_for(resolve_expiration(applies, stored()), 200) == 5
        applies = policy(mode, codes_expire_after={404: 5}, expire_after=lambda response: 9)
        assert expiration_for(resolve_expiration(applies, stored(404)), 404) == 5
        assert expiration_for(resolve_expiration(applies, stored(200)), 200) == 9

    @MODES
    def test_if_none_says_anything_it_is_as_if_none_were_given(self, mode):
        nothing = policy(mode, expire_after=lambda response: None, codes_expire_after={200: lambda response: None})
        done = resolve_expiration(nothing, stored())
        assert rules(mode).decide_store(done, 200, ETAG, NOW) == store(mode, 200, ETAG)

    def test_settings_without_functions_are_settled(self):
        applies = policy(False, expire_after=5)
        assert resolve_expiration(applies, stored()) is applies

    @MODES
    def test_constants(self, mode):
        for value, decided in ((DO_NOT_CACHE, DoNotStore('do not cache')), (-5, in_seconds(-5))):
            done = resolve_expiration(policy(mode, expire_after=lambda response, value=value: value), stored())
            assert rules(mode).decide_store(done, 200, {}, NOW) == decided
        done = resolve_expiration(policy(mode, expire_after=lambda response: 0), stored())
        assert isinstance(rules(mode).decide_store(done, 200, {}, NOW), DoNotStore)
        assert rules(mode).decide_store(done, 200, ETAG, NOW) == in_seconds(0)

    @pytest.mark.parametrize(('value', 'error'), [('soon', ValueError), (b'', TypeError), (len, TypeError)])
    def test_what_they_return_is_checked(self, value, error):
        with pytest.raises(error, match='Invalid'):
            resolve_expiration(policy(False, expire_after=lambda response: value), stored())


class TestReading:
    def test_the_lifetime_of_the_status_by_the_standard(self):
        codes = {'codes_expire_after': {404: 60}, 'expire_after': 3600}
        for age, is_fresh in ((50, True), (70, False)):
            decided = strict_decision.decide_read(policy('strict', **codes), stored(404, age=age), NOW)
            assert isinstance(decided, Use if is_fresh else Fetch)
        assert isinstance(strict_decision.decide_read(policy('strict', **codes), stored(age=70), NOW), Use)

    def test_what_a_function_said_by_the_standard(self):
        """That is when the response was stored; it is not asked again with each use"""
        asks = policy('strict', expire_after=lambda response: 1 / 0)
        assert isinstance(strict_decision.decide_read(asks, stored(expires=5, age=10), NOW), Use)
        assert isinstance(strict_decision.decide_read(asks, stored(expires=-5, age=10), NOW), Fetch)

    def test_a_status_that_is_not_to_be_cached_any_more(self):
        applies = policy('strict', codes_expire_after={404: DO_NOT_CACHE})
        assert isinstance(strict_decision.decide_read(applies, stored(404, ETag='"1"'), NOW), Validate)


@MODES
class TestErrors:
    def test_an_error_does_not_stand_in_the_way_of_a_good_response(self, mode):
        applies = policy(mode, codes_expire_after={'5xx': 5}, stale_if_error=True)
        assert rules(mode).decide_on_error(applies, stored(expires=-5, age=10), NOW, 503)

    def test_an_error_that_is_stored_does_not_stand_for_a_new_one(self, mode):
        applies = policy(mode, codes_expire_after={'5xx': 5}, stale_if_error=True)
        assert not rules(mode).decide_on_error(applies, stored(503, expires=-5, age=10), NOW, 500)
        assert rules(mode).decide_on_error(applies, stored(503, expires=-5, age=10), NOW)
        allowed = policy(mode, codes_expire_after={'5xx': 5}, stale_if_error=True, allowable_codes=(200, 503))
        assert rules(mode).decide_on_error(allowed, stored(503, expires=-5, age=10), NOW, 500)
