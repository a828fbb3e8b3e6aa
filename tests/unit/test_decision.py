"""Decisions about requests and responses, as pure functions"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from requests_cache import DO_NOT_CACHE, EXPIRE_IMMEDIATELY, CachedRequest, CachedResponse, CacheSettings
from requests_cache.policy.decision import decide_on_error, decide_read, decide_store, expires_after_304
from requests_cache.policy.directives import CacheDirectives
from requests_cache.policy.freshness import (
    age_seconds,
    is_fresh_enough,
    is_immediate,
    is_stale_allowed,
    lifetime_from_response,
)
from requests_cache.policy.request import RequestOptions, request_policy
from requests_cache.policy.validation import conditions, has_validator, updated_fields, updated_headers
from requests_cache.policy.vary import MATCH, Variant, has_same_fields, match_variant
from requests_cache.policy.verdicts import DoNotStore, Fetch, GatewayTimeout, Store, Use, UseAndRefresh, Validate

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=timezone.utc)
URL = 'http://example.com/page'
ETAG = {'ETag': '"1"'}


def policy(headers=None, options=None, method='GET', disabled=False, **settings):
    headers = CaseInsensitiveDict(headers or {})
    return request_policy(method, URL, headers, CacheSettings(**settings), RequestOptions(**(options or {})), disabled)


def stored(expires=None, headers=None, **kwargs):
    """A stored response; `expires` in seconds from now"""
    return CachedResponse(
        status_code=200,
        headers=CaseInsensitiveDict(headers or {}),
        expires=NOW + timedelta(seconds=expires) if expires is not None else None,
        **kwargs,
    )


def read(response, **kwargs):
    return decide_read(policy(**kwargs), response, NOW)


def store(headers=None, status_code=200, **kwargs):
    return decide_store(policy(**kwargs), status_code, CaseInsensitiveDict(headers or {}), NOW)


def in_seconds(seconds):
    return Store(NOW + timedelta(seconds=seconds))


class TestRequestPolicy:
    @pytest.mark.parametrize(
        ('kwargs', 'reason'),
        [
            ({}, None),
            ({'disabled': True}, 'disabled'),
            ({'method': 'POST'}, 'method'),
            ({'method': 'get'}, 'method'),
            ({'headers': {'Cache-Control': 'no-store'}}, 'no-store'),
            ({'headers': {'X-ACTUAL-NO-CACHE': 'true'}}, 'do not cache'),
            ({'expire_after': DO_NOT_CACHE}, 'do not cache'),
            ({'options': {'expire_after': DO_NOT_CACHE}}, 'do not cache'),
            ({'urls_expire_after': {'*': DO_NOT_CACHE}}, 'do not cache'),
        ],
    )
    def test_neither_read_nor_written(self, kwargs, reason):
        assert policy(**kwargs).skip_read == policy(**kwargs).skip_write == reason

    def test_disabled_by_setting(self):
        settings = CacheSettings(disabled=True)
        assert request_policy('GET', URL, {}, settings).skip_read == 'disabled'

    def test_written_but_not_read(self):
        for kwargs in ({'options': {'force_refresh': True}}, {'headers': {'Cache-Control': 'no-cache'}}):
            assert (policy(**kwargs).skip_read, policy(**kwargs).skip_write) == ('no-cache', None)

    def test_read_but_not_written(self):
        assert (policy(read_only=True).skip_read, policy(read_only=True).skip_write) == (None, 'read-only')

    def test_method_override(self):
        assert policy(method='POST', headers={'X-HTTP-Method-Override': 'GET'}).skip_read is None
        assert policy(method='GET', headers={'X-HTTP-Method-Override': 'DELETE'}).skip_read is None

    def test_expiration_precedence(self):
        patterns = {'example.com/page': 3}
        header = {'Cache-Control': 'max-age=2'}
        everything = {'headers': header, 'urls_expire_after': patterns, 'expire_after': 4}
        assert policy(options={'expire_after': 1}, **everything).expire_after == 1
        assert policy(**everything).expire_after == 2
        assert policy(headers={'Cache-Control': 'max-stale'}, urls_expire_after=patterns).expire_after == 3
        assert policy(urls_expire_after=patterns, expire_after=4).expire_after == 3
        assert policy(urls_expire_after={'example.com/page': None}, expire_after=4).expire_after == 4
        assert policy(urls_expire_after={'other': 3}, expire_after=4).expire_after == 4

    @pytest.mark.parametrize(
        ('kwargs', 'refresh'),
        [
            ({}, False),
            ({'options': {'refresh': True}}, True),
            ({'headers': {'Cache-Control': 'must-revalidate'}}, True),
            ({'headers': {'Cache-Control': 'max-age=0'}}, True),
            ({'headers': {'Cache-Control': 'max-age=-1'}}, True),
            ({'headers': {'Cache-Control': 'max-age=1'}}, False),
            ({'options': {'expire_after': 0.5}}, False),
            ({'options': {'expire_after': 0}}, True),
            ({'options': {'expire_after': 5}, 'headers': {'Cache-Control': 'max-age=0'}}, False),
        ],
    )
    def test_refresh(self, kwargs, refresh):
        assert policy(**kwargs).refresh is refresh


class TestRead:
    def test_nothing_stored(self):
        assert read(None) == Fetch('not stored')
        assert read(None, method='POST') == Fetch('method')
        assert read(None, only_if_cached=True) == GatewayTimeout('not stored')
        assert read(None, options={'only_if_cached': True, 'force_refresh': True}) == GatewayTimeout('no-cache')

    def test_fresh(self):
        assert read(stored()) == read(stored(5)) == Use('fresh')
        assert read(stored(5, ETAG)) == Use('fresh')

    def test_stale(self):
        assert read(stored(-5)) == read(stored(0)) == Fetch('stale')
        assert read(stored(-5, ETAG)) == Validate('stale', {'If-None-Match': '"1"'})

    def test_only_if_cached(self):
        directive = {'headers': {'Cache-Control': 'only-if-cached'}}
        assert read(stored(5, ETAG), **directive) == Use('only-if-cached')
        assert read(stored(-5), **directive) == GatewayTimeout('stale')
        assert read(stored(-5), only_if_cached=True, stale_if_error=10) == Use('only-if-cached')
        assert read(stored(-15), only_if_cached=True, stale_if_error=10) == GatewayTimeout('stale')

    def test_only_if_cached_is_as_fresh_as_the_request_wants(self):
        directive = {'headers': {'Cache-Control': 'only-if-cached, min-fresh=60'}}
        assert read(stored(10), **directive) == GatewayTimeout('stale')
        assert read(stored(10), stale_if_error=0, **directive) == GatewayTimeout('stale')
        assert read(stored(70), **directive) == read(stored(), **directive) == Use('only-if-cached')

    def test_max_stale_and_min_fresh(self):
        assert read(stored(-5), headers={'Cache-Control': 'max-stale=10'}) == Use('stale')
        assert read(stored(-15), headers={'Cache-Control': 'max-stale=10'}) == Fetch('stale')
        assert read(stored(-5, ETAG), headers={'Cache-Control': 'max-stale=10'}).reason == 'stale'
        assert read(stored(5), headers={'Cache-Control': 'min-fresh=10'}) == Fetch('stale')
        assert read(stored(15), headers={'Cache-Control': 'min-fresh=10'}) == Use('fresh')
        assert read(stored(), headers={'Cache-Control': 'min-fresh=10'}) == Use('fresh')

    @pytest.mark.parametrize('age', [2, 60, 10**9, 63_000_000_000])
    def test_max_stale_without_a_number_is_any_staleness(self, age):
        assert read(stored(-age), headers={'Cache-Control': 'max-stale'}) == Use('stale')
        assert read(stored(-age), headers={'Cache-Control': 'only-if-cached, max-stale'}) == Use('only-if-cached')

    def test_refresh(self):
        refresh = {'options': {'refresh': True}}
        assert read(stored(5, ETAG), **refresh) == Validate('refresh', {'If-None-Match': '"1"'})
        assert read(stored(5), **refresh) == Use('fresh')
        assert read(stored(5, ETAG), always_revalidate=True).reason == 'refresh'
        assert read(stored(5), always_revalidate=True) == Use('fresh')

    def test_stale_while_revalidate(self):
        assert read(stored(-5), stale_while_revalidate=True) == UseAndRefresh('stale-while-revalidate', {})
        assert read(stored(-5, ETAG), stale_while_revalidate=10).conditions == {'If-None-Match': '"1"'}
        assert read(stored(-15), stale_while_revalidate=10) == Fetch('stale')
        assert read(stored(-5), headers={'Cache-Control': 'stale-while-revalidate=10'}).conditions == {}
        assert read(stored(5), stale_while_revalidate=True) == Use('fresh')

    def test_directives_of_the_stored_response_count_with_cache_control(self):
        revalidate = {'Cache-Control': 'stale-while-revalidate=10'}
        assert isinstance(read(stored(-5, revalidate), cache_control=True), UseAndRefresh)
        assert read(stored(-5, revalidate)) == Fetch('stale')
        assert read(stored(5, {'Cache-Control': 'no-cache'}), cache_control=True) == Fetch('no-cache')
        assert isinstance(read(stored(5, {'Cache-Control': 'no-cache', **ETAG}), cache_control=True), Validate)
        assert read(stored(5, {'Cache-Control': 'no-cache'})) == Use('fresh')

    def test_must_revalidate_means_stale_responses_only(self):
        response = {'Cache-Control': 'must-revalidate, stale-while-revalidate=10'}
        assert read(stored(5, response), cache_control=True) == Use('fresh')
        assert read(stored(-5, response), cache_control=True, stale_while_revalidate=True) == Fetch('stale')

    @given(st.integers(-100, 100), st.integers(-100, 100), st.booleans(), st.sampled_from([False, True, 10]))
    def test_time_only_makes_a_response_staler(self, first, second, validator, allowance):
        earlier, later = sorted((first, second), reverse=True)
        usable = [
            isinstance(
                read(stored(e, ETAG if validator else {}), stale_while_revalidate=allowance), (Use, UseAndRefresh)
            )
            for e in (earlier, later)
        ]
        assert usable[0] >= usable[1]


class TestStore:
    def test_by_settings(self):
        assert store() == Store(None)
        assert store(expire_after=60) == in_seconds(60)
        assert store(expire_after=-60) == in_seconds(-60)
        assert store(status_code=404) == DoNotStore('status')
        assert store(status_code=404, allowable_codes=[404]) == Store(None)
        assert store(read_only=True) == DoNotStore('read-only')
        assert store(method='POST') == DoNotStore('method')
        assert store(expire_after=DO_NOT_CACHE) == DoNotStore('do not cache')

    @pytest.mark.parametrize('value', [EXPIRE_IMMEDIATELY, 0.0, False])
    def test_what_expires_at_once_needs_a_validator(self, value):
        for kwargs in (
            {'expire_after': value},
            {'urls_expire_after': {'*': value}},
            {'options': {'expire_after': value}},
            {'options': {'expire_after': timedelta(0)}},
            {'headers': {'Cache-Control': 'max-age=0'}},
        ):
            assert decide_store(policy(**kwargs), 200, {}, NOW) == DoNotStore('expires at once')
            assert decide_store(policy(**kwargs), 200, {'Last-Modified': 'x'}, NOW) == in_seconds(0)

    @pytest.mark.parametrize(
        ('value', 'seconds'),
        [
            (0.5, 0.5),
            (-0.5, -0.5),
            (-2, -2),
            (-2.5, -2.5),
            (timedelta(seconds=-2), -2),
            (timedelta(seconds=-1), -1),
            (timedelta(seconds=0.5), 0.5),
            (NOW - timedelta(seconds=10), -10),
            ('Thu, 01 Jan 2026 11:59:50 GMT', -10),
        ],
    )
    def test_fractions_last_that_long_and_the_past_is_stored_as_expired(self, value, seconds):
        assert store(expire_after=value) == in_seconds(seconds)
        assert store(urls_expire_after={'*': value}) == in_seconds(seconds)
        assert store(options={'expire_after': value}) == in_seconds(seconds)

    def test_no_time_at_all_is_stored_as_expired_if_it_is_a_timedelta_in_the_settings(self):
        """As in 1.3; with a call it means the same as 0"""
        assert store(expire_after=timedelta(0)) == store(urls_expire_after={'*': timedelta(0)}) == in_seconds(0)

    @pytest.mark.parametrize('seconds', [-1, -2])
    def test_negative_numbers_in_header_fields_are_times_in_the_past(self, seconds):
        """-1 too, which means "never" in settings only"""
        fields = {'Cache-Control': f'max-age={seconds}'}
        assert store(fields, cache_control=True) == in_seconds(seconds)
        assert decide_store(policy(fields), 200, {}, NOW) == in_seconds(seconds)

    @pytest.mark.parametrize(
        ('headers', 'decision'),
        [
            ({'Cache-Control': 'max-age=60'}, in_seconds(60)),
            ({'Cache-Control': 'max-age=60', 'Age': '10'}, in_seconds(50)),
            ({'Cache-Control': 'max-age=60', 'Age': '70', **ETAG}, in_seconds(-10)),
            ({'Cache-Control': 'max-age=60', 'Age': '60'}, in_seconds(0)),
            ({'Cache-Control': 'max-age=60', 'Age': '70'}, in_seconds(-10)),
            ({'Cache-Control': 'max-age="60"'}, in_seconds(60)),
            ({'Cache-Control': 'max-age=60', 'Expires': 'Thu, 01 Jan 2026 12:00:10 GMT'}, in_seconds(60)),
            ({'Expires': 'Thu, 01 Jan 2026 12:00:10 GMT'}, in_seconds(10)),
            ({'Expires': 'nonsense'}, in_seconds(0)),
            ({'Expires': '0'}, in_seconds(0)),
            ({'Cache-Control': 'immutable, max-age=5'}, Store(None)),
            ({'Cache-Control': 'no-store'}, DoNotStore('no-store')),
            ({'Cache-Control': 'max-age=0'}, DoNotStore('expires at once')),
            ({'Cache-Control': 'max-age=0', **ETAG}, in_seconds(0)),
            ({'Cache-Control': 'private'}, in_seconds(99)),
            ({}, in_seconds(99)),
        ],
    )
    def test_by_header_fields(self, headers, decision):
        assert store(headers, cache_control=True, expire_after=99) == decision
        assert store(headers, expire_after=99) == in_seconds(99)

    @given(st.dictionaries(st.sampled_from(['Cache-Control', 'Expires', 'Age', 'ETag']), st.text()))
    def test_header_fields_never_raise(self, headers):
        store(headers, cache_control=True)


class TestRenewal:
    def test_by_settings_or_header_fields(self):
        headers = {'Cache-Control': 'max-age=60'}
        assert expires_after_304(policy(expire_after=5), 200, headers, {}, NOW) == NOW + timedelta(seconds=5)
        assert expires_after_304(policy(cache_control=True), 200, headers, {'Age': '10'}, NOW) == NOW + timedelta(
            seconds=50
        )
        assert expires_after_304(policy(), 200, headers, {}, NOW) is None


class TestError:
    def test_exception(self):
        assert not decide_on_error(policy(), stored(-5), NOW)
        assert decide_on_error(policy(stale_if_error=True), stored(-5), NOW)
        assert decide_on_error(policy(stale_if_error=10), stored(-5), NOW)
        assert not decide_on_error(policy(stale_if_error=10), stored(-15), NOW)
        assert not decide_on_error(policy(stale_if_error=True), None, NOW)
        assert decide_on_error(policy({'Cache-Control': 'stale-if-error=10'}), stored(-5), NOW)

    def test_what_has_not_expired_needs_no_allowance_for_an_exception(self):
        for response in (stored(), stored(5)):
            assert decide_on_error(policy(options={'refresh': True}), response, NOW)
            assert not decide_on_error(policy(options={'refresh': True}), response, NOW, 500)
        assert decide_on_error(policy({'Cache-Control': 'max-stale=10'}), stored(-5), NOW)
        assert not decide_on_error(policy({'Cache-Control': 'min-fresh=10'}), stored(5), NOW)

    def test_status(self):
        assert decide_on_error(policy(stale_if_error=True), stored(-5), NOW, 500)
        assert decide_on_error(policy(stale_if_error=True), stored(-5), NOW, 404)
        assert not decide_on_error(policy(stale_if_error=True), stored(-5), NOW, 206)
        assert not decide_on_error(policy(stale_if_error=True, allowable_codes=[404]), stored(-5), NOW, 404)
        assert not decide_on_error(policy({'Cache-Control': 'stale-if-error=10'}), stored(-5), NOW, 500)
        assert not decide_on_error(policy(), stored(-5), NOW, 500)

    def test_by_the_stored_response(self):
        response = stored(-5, {'Cache-Control': 'stale-if-error=10'})
        assert decide_on_error(policy(cache_control=True), response, NOW)
        assert decide_on_error(policy(cache_control=True), response, NOW, 500)
        assert not decide_on_error(policy(), response, NOW)


class TestFreshness:
    @pytest.mark.parametrize(
        ('value', 'seconds'), [('5', 5), ('5, 7', 5), ('', 0), ('x', 0), ('-5', 0), ('9' * 20, 2**31), ('٣', 0)]
    )
    def test_age(self, value, seconds):
        assert age_seconds({'Age': value}) == seconds

    def test_stale_allowance(self):
        assert is_stale_allowed(None, NOW, False)
        assert is_stale_allowed(NOW + timedelta(1), NOW, False)
        assert not is_stale_allowed(NOW, NOW, None)
        assert is_stale_allowed(NOW, NOW, -1)
        assert is_stale_allowed(NOW, NOW, timedelta(seconds=1))

    def test_helpers(self):
        assert is_fresh_enough(None, NOW)
        assert not is_immediate('0')
        assert not is_immediate(-0.5)
        assert lifetime_from_response(CacheDirectives(), {}, NOW) is None


class TestVary:
    def request(self, **headers):
        return CachedRequest(method='GET', url=URL, headers=CaseInsensitiveDict(headers))

    def match(self, vary, now, before, ignored=(), strict=False, same_key=None, **kwargs):
        response = stored(headers={'Vary': vary} if vary else {}, request=self.request(**before), **kwargs)
        return match_variant(CaseInsensitiveDict(now), response, ignored, strict, same_key)

    def test_no_vary(self):
        assert self.match(None, {'Accept': 'a'}, {'Accept': 'b'}).matches
        assert self.match(' , ', {'Accept': 'a'}, {'Accept': 'b'}).matches

    def test_same_and_different(self):
        assert self.match('Accept', {'accept': 'a'}, {'Accept': 'a'}).matches
        assert self.match('Accept', {'Accept': 'a, b'}, {'Accept': 'B,a'}).matches
        assert self.match('Accept', {}, {}).matches
        different = self.match('Accept, X', {'Accept': 'a'}, {'Accept': 'b'})
        assert (different.matches, different.secondary_names) == (False, ('accept', 'x'))
        assert not self.match('Accept', {}, {'Accept': 'b'}).matches
        assert not self.match('Accept', {'Accept': 'b'}, {}).matches

    @pytest.mark.parametrize('now', [{}, {'Accept-Encoding': 'gzip'}, {'Accept-Encoding': 'gzip, zstd;q=0'}])
    def test_codings_do_not_count(self, now):
        before = {'Accept-Encoding': 'gzip, deflate, br, zstd'}
        assert self.match('Accept-Encoding', now, before).matches
        assert self.match('accept-encoding,Accept', {**now, 'Accept': 'a'}, {**before, 'Accept': 'a'}).matches
        variant = self.match('Accept, Accept-Encoding', {**now, 'Accept': 'b'}, {**before, 'Accept': 'a'})
        assert variant == Variant(False, ('accept',), names_in_1x=('accept', 'accept-encoding'))
        assert not self.match('Accept-Encoding, *', before, before).matches

    def test_codings_count_by_the_standard(self):
        before = {'Accept-Encoding': 'gzip, zstd'}
        assert self.match('Accept-Encoding', {'Accept-Encoding': 'ZSTD;q=1,gzip'}, before, strict=True).matches
        variant = self.match('Accept-Encoding', {'Accept-Encoding': 'gzip'}, before, strict=True)
        assert variant == Variant(False, ('accept-encoding',))

    @pytest.mark.parametrize('vary', ['*', 'Accept, *', ' * '])
    def test_star_never_matches(self, vary):
        variant = self.match(vary, {'Accept': 'a'}, {'Accept': 'a'})
        assert (variant.matches, variant.secondary_names) == (False, ())

    def test_cookies_that_were_sent(self):
        assert self.match('Cookie', {'Cookie': 'a=1; b=2'}, {'Cookie': 'b=2;a=1'}).matches
        assert self.match('Cookie', {'Cookie': b'a=1'}, {'Cookie': 'a=1'}).matches
        variant = self.match('Cookie', {'Cookie': 'a=1'}, {'Cookie': 'a=2'})
        assert (variant.matches, variant.secondary_names) == (False, ())

    def test_values_that_are_not_stored_cannot_be_compared(self):
        variant = self.match('Authorization', {'authorization': 'x'}, {'Authorization': 'REDACTED'}, ['Authorization'])
        assert (variant.matches, variant.secondary_names) == (False, ())
        assert self.match('Authorization', {}, {}, ['Authorization']).matches

    def test_nobody_has_what_was_stored_as_a_placeholder(self):
        for name, value in (('Cookie', 'id=REDACTED; a=1'), ('Referer', 'http://a/?api_key=REDACTED')):
            assert not self.match(name, {name: value}, {name: value}).matches
        assert self.match('Accept', {'Accept': 'a', 'Cookie': 'id=1'}, {'Accept': 'a', 'Cookie': 'id=REDACTED'}).matches

    @pytest.mark.parametrize('strict', [False, True])
    def test_the_users_key_function_decides(self, strict):
        asked = []

        def same_key(request, names):
            asked.append((request.headers['Accept'], names))
            return request.headers['Accept'] == 'same'

        options = {'strict': strict, 'same_key': same_key}
        now = {'Accept': 'b', 'Accept-Encoding': 'gzip', 'Cookie': 'a=1'}
        before = {'Accept': 'same', 'Accept-Encoding': 'zstd'}
        assert self.match('Cookie, Accept, Accept-Encoding', now, before, **options) == MATCH
        other = self.match('Accept, Accept-Encoding', now, {'Accept': 'other'}, **options)
        assert other == Variant(False, ('accept', 'accept-encoding'))
        assert self.match(None, now, before, **options) == MATCH
        assert asked == [('same', ['accept', 'accept-encoding', 'cookie']), ('other', ['accept', 'accept-encoding'])]

    def test_what_no_key_function_can_tell(self):
        def same_key(request, names):
            raise AssertionError('not to be asked')

        assert self.match('Accept, *', {}, {}, same_key=same_key) == Variant(False)
        now = {'Authorization': 'x'}
        before = {'Authorization': 'REDACTED'}
        assert self.match('Authorization', now, before, ['authorization'], same_key=same_key) == Variant(False)

    def test_the_key_function_is_asked_about_the_first_of_several_requests(self):
        hop = stored(headers={'Vary': 'Accept'}, request=self.request(Accept='first'))
        response = stored(request=self.request(Accept='last'), history=[hop])
        assert match_variant({}, response, (), same_key=lambda r, names: r.headers['Accept'] == 'first').matches

    def test_redirects_count(self):
        hop = stored(headers={'Vary': 'Accept'}, request=self.request(Accept='a'))
        response = stored(request=self.request(Accept='z'), history=[hop])
        assert match_variant(CaseInsensitiveDict(Accept='a'), response, None).matches
        assert not match_variant(CaseInsensitiveDict(Accept='b'), response, None).matches
        plain = stored(request=self.request(), history=[stored(request=self.request())])
        assert match_variant({'Accept': 'b'}, plain, None).matches

    @pytest.mark.parametrize(('now', 'same'), [({'Accept': 'B,a'}, True), ({'Accept': 'a'}, False), ({}, False)])
    def test_fields_that_other_variants_vary_by(self, now, same):
        response = stored(request=self.request(Accept='a, b', X='1'))
        assert has_same_fields(CaseInsensitiveDict(now), response, ['accept', 'y']) is same


class TestValidation:
    def test_the_end_of_a_chain_of_redirects_has_no_conditions(self):
        """Its validators are those of another URL; an authentication before it is no redirect"""
        response = stored(headers=ETAG)
        for status_code, fields in ((302, {}), (401, {'If-None-Match': '"1"'})):
            response.history = [CachedResponse(status_code=status_code)]
            assert conditions(response) == fields

    def test_conditions(self):
        response = stored(headers={'ETag': 'W/"x"', 'Last-Modified': 'then'})
        assert conditions(response) == {'If-None-Match': 'W/"x"', 'If-Modified-Since': 'then'}
        assert has_validator(response)
        assert not has_validator(stored())

    @pytest.mark.parametrize(
        'value', ['"a\x00"', '"a\r\nX: 1"', '"a\n"', '"\u2603"', '"\ud800"', '"\x7f"', '"\x85"\x0b', '', ' \t ']
    )
    def test_what_cannot_be_sent_is_no_validator(self, value):
        for name, other, condition in (
            ('ETag', 'Last-Modified', 'If-Modified-Since'),
            ('Last-Modified', 'ETag', 'If-None-Match'),
        ):
            assert conditions(stored(5, {name: value})) == {}
            assert not has_validator(stored(5, {name: value}))
            assert conditions(stored(5, {name: value, other: 'x'})) == {condition: 'x'}
            assert read(stored(-5, {name: value})) == Fetch('stale')
            assert not CacheDirectives.from_headers({name: value}).has_validator

    def test_what_can_be_sent_is_a_validator(self):
        for value in ('unquoted', '"\xe9\xff\x80"', '"a\tb"', "W/''"):
            assert conditions(stored(5, {'ETag': value})) == {'If-None-Match': value}

    def test_updated_headers(self):
        before = CaseInsensitiveDict({'Content-Length': '5', 'X-A': '1', 'Date': 'old'})
        after = updated_headers(before, {'content-length': '0', 'Connection': 'close', 'Date': 'new', 'X-B': '2'})
        assert dict(after) == {'Content-Length': '5', 'X-A': '1', 'Date': 'new', 'X-B': '2'}
        assert before['Date'] == 'old'

    def test_updated_fields(self):
        fields = (('A', '1'), ('A', '2'), ('B', '3'))
        assert updated_fields(None, [('A', '1')]) is None
        assert updated_fields(fields, [('a', '9'), ('Connection', 'x')]) == (('B', '3'), ('a', '9'))


def test_verdicts_of_different_kinds_are_different():
    assert Use('stale') != Fetch('stale')
    assert Fetch('stale') != DoNotStore('stale')
    assert Use('fresh', 5) != Use('fresh', 6)
    assert Validate('stale', {}) != UseAndRefresh('stale', {})
    assert Use('stale') == Use('stale')
    assert Validate('stale', {'If-None-Match': '"1"'}) == Validate('stale', {'If-None-Match': '"1"'})
    assert Use('stale') != ('stale',)
