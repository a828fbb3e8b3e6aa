"""Decisions by the standard: RFC 9111, section by section, as pure functions"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from requests_cache import DO_NOT_CACHE, NEVER_EXPIRE, CachedResponse, CacheSettings
from requests_cache.engine.default_mode import DEFAULT
from requests_cache.engine.modes import mode_of
from requests_cache.engine.standard_mode import STANDARD
from requests_cache.policy.directives import parse_cache_control
from requests_cache.policy.request import RequestOptions
from requests_cache.policy.standard.constructing import construct_response, storable_headers
from requests_cache.policy.standard.decision import decide_on_error, decide_read, decide_store, expires_after_304
from requests_cache.policy.standard.directives import (
    INVALID,
    NO_STRICT_DIRECTIVES,
    named_by_connection,
    response_directives,
)
from requests_cache.policy.standard.freshness import age_value_seconds
from requests_cache.policy.standard.http_date import format_http_date, parse_http_date
from requests_cache.policy.standard.invalidation import invalidated_urls, origin
from requests_cache.policy.standard.preconditions import is_not_modified
from requests_cache.policy.standard.request import strict_request_policy
from requests_cache.policy.standard.state import FOREVER_SECONDS
from requests_cache.policy.validation import entity_tags
from requests_cache.policy.verdicts import DoNotStore, Fetch, GatewayTimeout, Store, Use, UseAndRefresh, Validate

# RFC 9110, sections 5.6.2, 5.6.4 and 5.6.1.2
TOKENS = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}", fullmatch=True)
QUOTED_STRINGS = st.from_regex(r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff]){0,8}"', fullmatch=True)
LIST_GAPS = st.sampled_from(['', ' ', ',', ' , ', '\t,,'])

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=timezone.utc)
URL = 'http://example.com/page'
ETAG = {'ETag': '"1"'}


def unquoted(value):
    return re.sub(r'\\(.)', r'\1', value[1:-1]).strip() if value.startswith('"') else value


def date(seconds=0):
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


def policy(headers=None, options=None, method='GET', disabled=False, **settings):
    settings = CacheSettings(cache_control='strict', **settings)
    headers = CaseInsensitiveDict(headers or {})
    return strict_request_policy(method, URL, headers, settings, RequestOptions(**(options or {})), disabled)


def stored(control=None, age=0, status_code=200, **headers):
    """A response that was received `age` seconds ago"""
    fields = CaseInsensitiveDict({name.replace('_', '-'): value for name, value in headers.items()})
    if control is not None:
        fields['Cache-Control'] = control
    return CachedResponse(status_code=status_code, headers=fields, created_at=NOW - timedelta(seconds=age))


def read(response, request=None, **kwargs):
    decision = decide_read(policy({'Cache-Control': request} if request else None, **kwargs), response, NOW)
    return decision._replace(age_seconds=None) if isinstance(decision, Use) else decision


def store(control=None, status_code=200, headers=None, request=None, delay=0, **kwargs):
    fields = CaseInsensitiveDict(headers or {})
    if control is not None:
        fields['Cache-Control'] = control
    return decide_store(policy(request, **kwargs), status_code, fields, NOW, delay)


def in_seconds(seconds):
    return Store(NOW + timedelta(seconds=seconds))


class TestDirectives:
    def test_numbers(self):
        directives = response_directives({'Cache-Control': 'max-age=5, max-age=7, s-maxage=x, stale-if-error'})
        assert (directives.max_age, directives.s_maxage, directives.stale_if_error) == (5, INVALID, INVALID)
        assert policy({'Cache-Control': 'max-stale'}).strict.max_stale == 10**12
        assert response_directives({'Cache-Control': 'max-age=99999999999'}).max_age == 2**31
        assert response_directives({'Cache-Control': 'max-age="5"'}).max_age == 5
        assert response_directives({'Cache-Control': 'max-age=-5'}).max_age == INVALID

    def test_flags_and_fields(self):
        directives = response_directives({'Cache-Control': 'no-cache="A, b", no-cache=c, private, x=y, immutable'})
        assert (directives.no_cache, directives.no_cache_fields) == (False, {'a', 'b', 'c'})
        assert (directives.private, directives.private_fields, directives.immutable) == (True, frozenset(), True)
        assert response_directives({'Cache-Control': 'no-cache=""'}).no_cache
        assert response_directives({}) is NO_STRICT_DIRECTIVES

    def test_pragma_in_the_absence_of_cache_control(self):
        assert policy({'Pragma': 'no-cache'}).strict.no_cache
        assert policy({'Pragma': 'other'}).strict is policy({}).strict is NO_STRICT_DIRECTIVES
        assert not policy({'Pragma': 'no-cache', 'Cache-Control': 'max-age=5'}).strict.no_cache

    def test_connection(self):
        assert named_by_connection({'connection': 'Close , X-Own,'}) == {'close', 'x-own'}
        assert named_by_connection(CaseInsensitiveDict()) == frozenset()

    @given(st.text() | st.binary())
    def test_anything(self, text):
        response_directives({'Cache-Control': text})

    @given(
        st.lists(st.tuples(TOKENS, st.none() | TOKENS | QUOTED_STRINGS), max_size=5), st.lists(LIST_GAPS, min_size=6)
    )
    def test_all_that_the_grammar_allows(self, directives, gaps):
        written = [name if value is None else f'{name}={value}' for name, value in directives]
        text = gaps[0] + ''.join(f'{directive},{gap}' for directive, gap in zip(written, gaps[1:], strict=False))
        expected = [(name.lower(), None if value is None else unquoted(value)) for name, value in directives]
        assert list(parse_cache_control(text)) == expected


class TestDates:
    @given(st.datetimes(datetime(1977, 1, 1), datetime(2075, 12, 31)))
    def test_every_time_in_every_format(self, time):
        time = time.replace(microsecond=0, tzinfo=timezone.utc)
        assert parse_http_date(format_http_date(time), NOW) == time
        assert parse_http_date(f'{time:%A, %d-%b-%y %H:%M:%S} GMT', NOW) == time
        assert parse_http_date(f'{time:%a %b} {time.day:2} {time:%H:%M:%S %Y}', NOW) == time

    @given(st.text() | st.from_regex(r'[A-Za-z]{3}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT', fullmatch=True))
    def test_anything(self, text):
        parse_http_date(text, NOW)
        age_value_seconds({'Age': text})
        entity_tags(text)

    @pytest.mark.parametrize(
        'text',
        [
            'Sun, 06 Nov 1994 08:49:37 GMT',
            'Sunday, 06-Nov-94 08:49:37 GMT',
            'Sun Nov  6 08:49:37 1994',
            ' sun, 06 nov 1994 08:49:37 gmt ',
            b'Sun, 06 Nov 1994 08:49:37 GMT',
        ],
    )
    def test_three_formats(self, text):
        assert parse_http_date(text, NOW) == datetime(1994, 11, 6, 8, 49, 37, tzinfo=timezone.utc)

    @pytest.mark.parametrize(
        'text',
        [
            None, '', '0', '-1', 'Sun, 06 Nov 1994 08:49:37 EST', 'Sun, 06 Nov 1994 08:49:37 UTC',
            'Sun, 06 Nov 1994 08:49:37', '1994-11-06 08:49:37', 'Sun, 6 Nov 1994 08:49:37 GMT',
            'Sun, 06 Foo 1994 08:49:37 GMT', 'Sun, 36 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 28:49:37 GMT',
            'Sun, 06 Nov 1994 08:49:37 +0000', 'Sun, 0\u0666 Nov 1994 08:49:37 GMT',
        ],
    )  # fmt: skip
    def test_invalid(self, text):
        assert parse_http_date(text, NOW) is None

    def test_years_of_two_digits_and_leap_seconds(self):
        assert parse_http_date('Sunday, 06-Nov-60 08:49:37 GMT', NOW).year == 2060
        assert parse_http_date('Sunday, 06-Nov-77 08:49:37 GMT', NOW).year == 1977
        assert parse_http_date('Sat, 31 Dec 2016 23:59:60 GMT', NOW).second == 59


class TestStoring:
    """Section 3"""

    @pytest.mark.parametrize(
        ('kwargs', 'decision'),
        [
            ({'control': 'max-age=60'}, in_seconds(60)),
            ({'control': 'max-age=60', 'status_code': 599}, in_seconds(60)),
            ({'control': 'no-store, max-age=60'}, DoNotStore('no-store')),
            ({'control': 'must-understand, no-store, max-age=60'}, in_seconds(60)),
            ({'control': 'must-understand, max-age=60', 'status_code': 599}, DoNotStore('must-understand')),
            ({'control': 'max-age=60', 'request': {'Cache-Control': 'no-store'}}, DoNotStore('no-store')),
            ({'control': 'max-age=60', 'status_code': 206}, DoNotStore('status')),
            ({'control': 'max-age=60', 'status_code': 304}, DoNotStore('status')),
            ({'control': 'max-age=60', 'status_code': 103}, DoNotStore('status')),
            ({'control': 'max-age=60', 'method': 'POST'}, DoNotStore('method')),
            ({'control': 'max-age=60', 'read_only': True}, DoNotStore('read-only')),
            ({'control': 'max-age=60', 'disabled': True}, DoNotStore('disabled')),
            ({'control': 'max-age=60', 'expire_after': DO_NOT_CACHE}, DoNotStore('do not cache')),
            ({'control': 'max-age=60', 'status_code': 404, 'allowable_codes': [200, 201]}, DoNotStore('status')),
            ({'control': 'max-age=60', 'status_code': 201, 'allowable_codes': [200, 201]}, in_seconds(60)),
            ({}, DoNotStore('no freshness and no validator')),
            ({'headers': ETAG}, in_seconds(0)),
            ({'headers': ETAG, 'status_code': 599}, DoNotStore('status')),
            ({'headers': ETAG, 'control': 'public', 'status_code': 599}, in_seconds(0)),
            ({'headers': ETAG, 'control': 'private', 'status_code': 599}, in_seconds(0)),
            ({'headers': ETAG, 'control': 'private', 'status_code': 599, 'shared_cache': True}, DoNotStore('private')),
        ],
    )
    def test_what_may_be_stored(self, kwargs, decision):
        assert store(**kwargs) == decision

    @pytest.mark.parametrize(
        ('control', 'stored'),
        [
            ('max-age=60', False),
            ('public, max-age=60', True),
            ('must-revalidate, max-age=60', True),
            ('s-maxage=60', True),
        ],
    )
    def test_authorization_in_a_shared_cache(self, control, stored):
        authorized = {'Authorization': 'Bearer x'}
        assert isinstance(store(control, request=authorized, shared_cache=True), Store) is stored
        assert isinstance(store('max-age=60', request=authorized), Store)

    @given(st.sampled_from(['max-age=60', 'public', 's-maxage=5', 'private']), st.integers(200, 599), st.booleans())
    def test_no_store_never_makes_a_response_stored(self, control, status_code, shared):
        assert isinstance(store(f'{control}, no-store', status_code, shared_cache=shared), DoNotStore)

    def test_fields_that_are_not_stored(self):
        headers = {
            'Connection': 'X-Hop', 'X-Hop': '1', 'Keep-Alive': '5', 'Proxy-Authenticate': 'x',
            'A': '1', 'B': '2', 'C': '3',
            'Cache-Control': 'no-cache="A", private="B"',
        }  # fmt: skip
        assert set(storable_headers(headers, False, NOW)) == {'B', 'C', 'Cache-Control', 'Date'}
        assert set(storable_headers(headers, True, NOW)) == {'C', 'Cache-Control', 'Date'}


class TestFreshness:
    """Section 4.2"""

    @pytest.mark.parametrize(
        ('kwargs', 'seconds'),
        [
            ({'control': 'max-age=60', 'headers': {'Age': '10'}}, 50),
            ({'control': 'max-age=60', 'headers': {'Age': '10, 20'}}, 50),
            ({'control': 'max-age=60', 'headers': {'Age': 'x'}}, 60),
            ({'control': 'max-age=60', 'headers': {'Age': '-5'}}, 60),
            ({'control': 'max-age=60', 'headers': {'Date': date(-20)}}, 40),
            ({'control': 'max-age=60', 'headers': {'Date': date(20)}}, 60),
            ({'control': 'max-age=60', 'headers': {'Date': 'x'}}, 60),
            ({'control': 'max-age=60', 'headers': {'Age': '10', 'Date': date(-20)}}, 40),
            ({'control': 'max-age=60', 'delay': 5}, 55),
            ({'control': 'max-age=60', 'headers': {'Age': '10'}, 'delay': 5.9}, 45),
            ({'control': 'max-age=60, s-maxage=5'}, 60),
            ({'control': 'max-age=60, s-maxage=5', 'shared_cache': True}, 5),
            ({'control': 's-maxage=5', 'headers': {'Expires': date(60)}}, 60),
            ({'control': 'max-age=x'}, 0),
            ({'headers': {'Expires': date(60)}}, 60),
            ({'headers': {'Expires': date(60), 'Date': date(-5)}}, 60),
            ({'headers': {'Expires': date(60), 'Date': date(5)}}, 55),
            ({'headers': {'Expires': '0'}}, 0),
            ({'headers': {'Expires': date(-5)}}, 0),
            ({'control': 'max-age=5', 'headers': {'Expires': date(60)}}, 5),
            ({'headers': {'Last-Modified': date(-1000)}}, 100),
            ({'headers': {'Last-Modified': date(-1000)}, 'heuristic_fraction': 0.5}, 500),
            ({'headers': {'Last-Modified': date(1000)}}, 0),
            ({'headers': {'Last-Modified': date(-1000)}, 'control': 'public', 'status_code': 599}, 100),
            ({'headers': {'Last-Modified': date(-1000)}, 'expire_after': 7}, 7),
            ({'expire_after': 7}, 7),
            ({'expire_after': -7, 'headers': ETAG}, -7),
            ({'control': 'max-age=60', 'expire_after': 7}, 60),
        ],
    )
    def test_lifetime_and_age(self, kwargs, seconds):
        assert store(**kwargs) == in_seconds(seconds)

    def test_heuristics_do_not_go_for_every_status(self):
        assert store('private', 599, {'Last-Modified': date(-1000)}) == in_seconds(0)
        assert store(headers={'Last-Modified': 'x'}) == in_seconds(0)

    def test_resident_time(self):
        assert read(stored('max-age=60', age=59)) == Use('fresh')
        assert read(stored('max-age=60', age=60)) == Fetch('stale')
        assert read(stored('max-age=60', age=30, Age='29')) == Use('fresh')
        assert read(stored('max-age=60', age=30, Age='30')) == Fetch('stale')

    def test_expiration_by_the_user(self):
        assert read(stored(age=5), expire_after=10) == Use('fresh')
        assert read(stored(age=15), expire_after=10) == Fetch('stale')
        assert read(stored(age=5), options={'expire_after': datetime.max.replace(tzinfo=timezone.utc)}) == Use('fresh')
        assert read(stored(age=5), urls_expire_after={'*': 10}) == Use('fresh')

    def test_never_is_what_the_user_says_by_url_or_by_call(self):
        """As an expiration of the session it is the default, and nothing that anybody has said"""
        for kwargs in ({'urls_expire_after': {'*': NEVER_EXPIRE}}, {'options': {'expire_after': NEVER_EXPIRE}}):
            assert store(**kwargs) == Store(NOW + timedelta(seconds=FOREVER_SECONDS))
            assert read(stored(age=10**6), expire_after=5, **kwargs) == Use('fresh')
            assert store('max-age=60', **kwargs) == in_seconds(60)
        assert isinstance(store(expire_after=NEVER_EXPIRE), DoNotStore)
        assert isinstance(read(stored(age=5), expire_after=NEVER_EXPIRE), Fetch)

    @pytest.mark.parametrize('option', [NEVER_EXPIRE, 60])
    def test_what_a_call_says_goes_for_what_it_stores(self, option):
        response = stored(age=50)
        response.expires = store(options={'expire_after': option}).expires - timedelta(seconds=50)
        assert read(response) == Use('fresh')
        assert read(response, expire_after=40) == Fetch('stale')
        response.headers['Cache-Control'] = 'max-age=40'
        assert read(response) == Fetch('stale')

    def test_what_expires_at_once_needs_a_validator(self):
        assert isinstance(store(expire_after=0), DoNotStore)
        assert store(headers=ETAG, expire_after=0) == Store(NOW)
        assert store(expire_after=-2) == Store(NOW - timedelta(seconds=2))

    def test_renewal(self):
        until = expires_after_304(policy(), 200, {'Cache-Control': 'max-age=60', 'Age': '10'}, {}, NOW)
        assert until == NOW + timedelta(seconds=50)
        assert expires_after_304(policy(), 200, {}, {}, NOW) == NOW
        assert expires_after_304(
            policy(expire_after='Fri, 31 Dec 9999 23:59:59 GMT'), 200, {}, {}, NOW
        ) == NOW + timedelta(seconds=FOREVER_SECONDS)

    @given(st.integers(0, 200), st.integers(0, 200), st.booleans())
    def test_time_only_makes_a_response_staler(self, first, second, validator):
        fields = ETAG if validator else {}
        earlier, later = (isinstance(read(stored('max-age=60', age, **fields)), Use) for age in sorted((first, second)))
        assert earlier >= later


class TestReuse:
    """Sections 4, 4.2.4 and 5.2.1"""

    def test_nothing_stored(self):
        assert read(None) == Fetch('not stored')
        assert read(None, 'only-if-cached') == GatewayTimeout('not stored')
        assert read(None, options={'force_refresh': True}) == Fetch('request')

    @pytest.mark.parametrize(
        ('control', 'request_control', 'decision'),
        [
            ('max-age=60', 'no-cache', 'no-cache'),
            ('max-age=60, no-cache', None, 'no-cache'),
            ('max-age=60, no-cache="x"', None, Use('fresh')),
            ('max-age=60', 'max-age=0', 'max-age'),
            ('max-age=60', 'max-age=x', 'max-age'),
            ('max-age=60', 'max-age=29', 'max-age'),
            ('max-age=60', 'max-age=30', Use('fresh')),
            ('max-age=60', 'min-fresh=31', 'min-fresh'),
            ('max-age=60', 'min-fresh=30', Use('fresh')),
            ('max-age=20', None, 'stale'),
            ('max-age=20', 'max-stale', Use('max-stale')),
            ('max-age=20', 'max-stale=10', Use('max-stale')),
            ('max-age=20', 'max-stale=9', 'stale'),
            ('max-age=20, must-revalidate', 'max-stale', 'stale'),
            ('max-age=60, must-revalidate', None, Use('fresh')),
            ('max-age=20, proxy-revalidate', 'max-stale', Use('max-stale')),
        ],
    )
    def test_thirty_seconds_old(self, control, request_control, decision):
        decision = decision if isinstance(decision, Use) else Validate(decision, {'If-None-Match': '"1"'})
        assert read(stored(control, age=30, **ETAG), request_control) == decision
        if isinstance(decision, Validate):
            assert read(stored(control, age=30), request_control) == Fetch(decision.reason)
            limited = f'only-if-cached, {request_control or ""}'
            assert read(stored(control, age=30, **ETAG), limited) == GatewayTimeout(decision.reason)

    def test_shared_caches_revalidate(self):
        for control in ('max-age=20, proxy-revalidate', 's-maxage=20'):
            assert read(stored(control, age=30), 'max-stale', shared_cache=True) == Fetch('stale')

    def test_options(self):
        assert isinstance(read(stored('max-age=60', **ETAG), options={'refresh': True}), Validate)
        assert isinstance(read(stored('max-age=60', **ETAG), always_revalidate=True), Validate)
        assert read(stored('max-age=60, immutable', **ETAG), always_revalidate=True) == Use('fresh')
        assert read(stored('max-age=60', age=90), options={'only_if_cached': True}) == GatewayTimeout('stale')

    def test_stale_while_revalidate(self):
        response = stored('max-age=20, stale-while-revalidate=10', age=30, **ETAG)
        assert read(response) == UseAndRefresh('stale-while-revalidate', {'If-None-Match': '"1"'})
        assert read(stored('max-age=20, stale-while-revalidate=9', age=30)) == Fetch('stale')
        assert isinstance(read(stored('max-age=20', age=30), stale_while_revalidate=11), UseAndRefresh)
        assert read(stored('max-age=20', age=30), stale_while_revalidate=10) == Fetch('stale')
        forbidden = stored('max-age=20, stale-while-revalidate=10, must-revalidate', age=30)
        assert read(forbidden, stale_while_revalidate=True) == Fetch('stale')

    def test_ranges_and_conditions_for_the_origin_pass_by(self):
        for name in ('Range', 'If-Match', 'If-Unmodified-Since'):
            assert policy({name: 'x'}).skip_read == 'request'
        assert policy({'Range': 'bytes=0-1', 'If-Match': '"1"'}).skip_read == 'request'

    def test_ranges_are_understood(self):
        """RFC 9110, section 14.2"""
        assert policy({'Range': 'bytes=0-1', 'If-Range': '"1"'}).skip_read is None
        assert policy({'Range': 'bytes=0-1'}).ranges == ((0, 1),)
        assert policy({'If-Range': '"1"'}).ranges is None
        assert policy({'Range': 'x'}, method='HEAD').ranges is None
        assert policy({'Range': 'x'}, method='HEAD').skip_read is None

    def test_methods(self):
        assert policy(method='HEAD').skip_read is None
        assert policy(method='HEAD', allowable_methods=['GET']).skip_read == 'method'
        assert policy(method='PUT', allowable_methods=['GET', 'PUT']).skip_read == 'method'


class TestErrors:
    """Section 4.2.4 and RFC 5861"""

    def error(self, response, status_code=None, request=None, **settings):
        headers = {'Cache-Control': request} if request else None
        return decide_on_error(policy(headers, **settings), response, NOW, status_code)

    def test_allowed_by_response_request_or_user(self):
        response = stored('max-age=20', age=30)
        assert not self.error(response)
        assert self.error(stored('max-age=20, stale-if-error=10', age=30))
        assert not self.error(stored('max-age=20, stale-if-error=9', age=30))
        assert self.error(response, request='stale-if-error=10')
        assert self.error(response, stale_if_error=True)
        assert self.error(response, stale_if_error=11)
        assert not self.error(response, stale_if_error=10)
        assert not self.error(None, stale_if_error=True)

    def test_never_where_forbidden(self):
        assert not self.error(stored('max-age=20, must-revalidate, stale-if-error=100', age=30), stale_if_error=True)

    def test_status(self):
        response = stored('max-age=20, stale-if-error=10', age=30)
        assert [self.error(response, code) for code in (500, 502, 503, 504, 501, 404, 200)] == [True] * 4 + [False] * 3


class TestPreconditions:
    """Section 4.3.2"""

    @pytest.mark.parametrize(
        ('request_headers', 'headers', 'not_modified'),
        [
            ({'If-None-Match': '"1"'}, {'ETag': '"1"'}, True),
            ({'If-None-Match': 'W/"1"'}, {'ETag': '"1"'}, True),
            ({'If-None-Match': '"1"'}, {'ETag': 'W/"1"'}, True),
            ({'If-None-Match': '"0", W/"1" , "2"'}, {'ETag': '"1"'}, True),
            ({'If-None-Match': b'"1"'}, {'ETag': '"1"'}, True),
            ({'If-None-Match': '"a,b"'}, {'ETag': '"a,b"'}, True),
            ({'If-None-Match': '*'}, {}, True),
            ({'If-None-Match': '"2"'}, {'ETag': '"1"'}, False),
            ({'If-None-Match': '"1"'}, {}, False),
            ({'If-Modified-Since': date(-10)}, {'Last-Modified': date(-10)}, True),
            ({'If-Modified-Since': date(-9)}, {'Last-Modified': date(-10)}, True),
            ({'If-Modified-Since': date(-11)}, {'Last-Modified': date(-10)}, False),
            ({'If-Modified-Since': date(-10)}, {'Date': date(-10)}, True),
            ({'If-Modified-Since': date(-10)}, {}, False),
            ({'If-Modified-Since': 'x'}, {'Last-Modified': date(-10)}, False),
            ({'If-None-Match': '"2"', 'If-Modified-Since': date()}, {'ETag': '"1"', 'Last-Modified': date(-10)}, False),
        ],
    )
    def test_conditions(self, request_headers, headers, not_modified):
        assert is_not_modified(request_headers, headers, NOW) is not_modified
        assert policy(request_headers).is_conditional

    def test_entity_tags(self):
        assert entity_tags('W/"a", "b"') == ['"a"', '"b"']
        assert not policy({'If-Match': 'x'}).is_conditional

    def test_age_is_that_of_the_decision(self):
        response = stored('max-age=60', age=30)
        assert decide_read(policy(), response, NOW).age_seconds == 30
        assert construct_response(policy(), 'GET', {}, response, NOW, 31).headers['Age'] == '31'

    def test_presentation(self):
        response = stored('max-age=60', age=30, ETag='"1"', X_Other='1', Content_Type='text/plain')
        response._content = b'body'
        known = CaseInsensitiveDict({'If-None-Match': '"1"'})
        shown = construct_response(policy(), 'GET', {}, response, NOW)
        assert (shown.status_code, shown.content, shown.headers['Age']) == (200, b'body', '30')
        answer = construct_response(policy(known), 'GET', known, response, NOW)
        assert (answer.status_code, answer.reason, answer.content) == (304, 'Not Modified', b'')
        assert set(answer.headers) == {'Cache-Control', 'ETag', 'Age'}
        assert construct_response(policy(), 'HEAD', {}, response, NOW).content == b''
        error = stored('max-age=60', status_code=404, **ETAG)
        assert construct_response(policy(known), 'GET', known, error, NOW).status_code == 404


class TestInvalidation:
    """Section 4.4"""

    @pytest.mark.parametrize('method', ['POST', 'PUT', 'DELETE', 'PATCH', 'M-SEARCH'])
    def test_unsafe_and_unknown_methods_that_succeed(self, method):
        headers = {'Location': '/other', 'Content-Location': 'http://EXAMPLE.com:80/third'}
        urls = [URL, 'http://example.com/other', 'http://EXAMPLE.com:80/third']
        assert invalidated_urls(method, URL, 201, headers) == urls
        assert invalidated_urls(method, URL, 302, {'Location': URL}) == [URL]
        assert invalidated_urls(method, URL, 400, headers) == []
        assert invalidated_urls(method, URL, 503, headers) == []

    def test_other_origins(self):
        for other in ('http://evil.example/x', 'https://example.com/x', 'http://example.com:81/x', 'http://[bad'):
            assert invalidated_urls('POST', URL, 200, {'Location': other}) == [URL]
        assert origin('http://h:99999/') is None

    @pytest.mark.parametrize('method', ['GET', 'HEAD', 'OPTIONS', 'TRACE'])
    def test_safe_methods(self, method):
        assert invalidated_urls(method, URL, 200, {}) == []


def test_modes():
    assert mode_of(CacheSettings(cache_control='strict')) is STANDARD
    assert mode_of(CacheSettings(cache_control=True)) is mode_of(CacheSettings()) is DEFAULT
    with pytest.raises(ValueError, match="Invalid cache_control: 'loose'"):
        CacheSettings(cache_control='loose')
