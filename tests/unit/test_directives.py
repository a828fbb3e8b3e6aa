"""Directives in header fields"""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from requests_cache.policy.directives import (
    NO_DIRECTIVES,
    CacheDirectives,
    parse_cache_control,
    parse_seconds,
    request_directives,
    set_request_headers,
)
from requests_cache.policy.expiration import DO_NOT_CACHE


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('', []),
        (None, []),
        ('no-store', [('no-store', None)]),
        ('Max-Age=5', [('max-age', '5')]),
        ('a, b', [('a', None), ('b', None)]),
        ('a,b , c=1', [('a', None), ('b', None), ('c', '1')]),
        ('max-age="7"', [('max-age', '7')]),
        ('no-cache="a, b", private', [('no-cache', 'a, b'), ('private', None)]),
        (r'x="a\"b", y', [('x', 'a"b'), ('y', None)]),
        ('max-age=5; foo, x', [('max-age', '5; foo'), ('x', None)]),
        (', , a', [('a', None)]),
        ('=5, a', [('a', None)]),
        ('="', []),
        ('x="unclosed, y', [('x', ''), ('y', None)]),
        (b'no-store', [('no-store', None)]),
    ],
)
def test_parsing(text, expected):
    assert list(parse_cache_control(text)) == expected


@given(st.text() | st.binary())
def test_parsing_never_raises(text):
    CacheDirectives.from_headers({'Cache-Control': text, 'Expires': text, 'ETag': text})


@pytest.mark.parametrize(
    ('value', 'seconds'),
    [
        (None, 1),
        ('5', 5),
        (' 5 ', 5),
        ('-5', -5),
        ('1.5', None),
        ('', None),
        ('x', None),
        ('9' * 30, 2**31),
        ('9' * 5000, 2**31),
        ('0' * 5000 + '5', 5),
        ('-' + '9' * 30, -(2**31)),
    ],
)
def test_seconds(value, seconds):
    assert parse_seconds(value) == seconds


def test_from_headers():
    directives = CacheDirectives.from_headers(
        {
            'cache-control': 'max-age=1, max-age=5, immutable, self=1, stale-if-error=7, must-revalidate',
            'ETag': b'"a"',
            'expires': '0',
        }
    )
    assert directives == CacheDirectives(
        max_age=5, immutable=True, stale_if_error=7, must_revalidate=True, etag='"a"', expires='0'
    )
    assert directives.has_validator
    assert repr(CacheDirectives(max_age=5)) == 'CacheDirectives(max_age=5)'
    assert not CacheDirectives.from_headers({}).has_validator
    assert CacheDirectives.from_headers({'Last-Modified': 'x'}).has_validator


def test_only_max_age_can_be_negative():
    value = ', '.join(f'{name}=-5' for name in ('max-age', 'max-stale', 'min-fresh', 'stale-if-error'))
    assert CacheDirectives.from_headers({'Cache-Control': value}) == CacheDirectives(
        max_age=-5, max_stale=0, min_fresh=0, stale_if_error=0
    )


def test_a_missing_number():
    directives = CacheDirectives.from_headers({'Cache-Control': 'max-stale, min-fresh, max-age'})
    assert (directives.max_stale, directives.min_fresh, directives.max_age) == (10**12, 1, 1)


def test_expire_offset():
    assert CacheDirectives(max_stale=5, min_fresh=7).get_expire_offset() == timedelta(seconds=5)
    assert CacheDirectives(min_fresh=7).get_expire_offset() == timedelta(seconds=-7)
    assert CacheDirectives().get_expire_offset() == timedelta(0)


def test_request_directives():
    assert request_directives({'Accept': '*/*'}) is NO_DIRECTIVES
    assert request_directives({'Cache-Control': 'no-cache'}).no_cache
    assert request_directives({'X-ACTUAL-NO-CACHE': 'true'}).actual_no_cache


def test_set_request_headers():
    headers = CaseInsensitiveDict({'Cache-Control': 'no-store, max-age=9', 'Accept': '*/*'})
    new = set_request_headers(headers, 5.2, True, True, True)
    assert new['Cache-Control'] == 'max-age=6,must-revalidate,no-cache,no-store,only-if-cached'
    assert new['Accept'] == '*/*'
    assert headers['Cache-Control'] == 'no-store, max-age=9'
    assert set_request_headers({}, DO_NOT_CACHE, False, False, False) == {'X-ACTUAL-NO-CACHE': 'true'}
    assert set_request_headers(None, None, False, False, False) == {}
