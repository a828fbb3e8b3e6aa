"""Header fields with anything in them, from either side, at any time: no request fails because of them"""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faults.scripted import Scripted
from faults.stress import EXAMPLES
from requests_cache import CachedSession

URL = 'http://example.com/page'
START = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
# From the first to the last year that a time can be in, less what time zones may add
SECONDS = st.integers(-60 * 60 * 24 * 365 * 40, 60 * 60 * 24 * 365 * 100)

NUMBERS = ['0', '60', '-1', '9' * 30, '9' * 5000, '1e400', 'NaN', '1.5', '+5', '0x10', '1_000', '\xb2', '"', '"60', '']
DATES = [
    'Thu, 01 Jan 2026 13:00:00 GMT', 'Thu, 01 Jan 1970 00:00:00 GMT', 'Thursday, 01-Jan-26 13:00:00 GMT',
    'Thu Jan  1 13:00:00 2026', 'Fri, 31 Dec 9999 23:59:59 GMT', 'Fri, 31 Dec 9999 23:59:59 -2359',
    'Mon, 01 Jan 0001 00:00:00 GMT', 'Mon, 01 Jan 0001 00:00:00 +2359', 'Mon, 01 Jan 2020 00:00:00 +9999',
    'Thu, 32 Foo 99999 25:61:61 GMT', 'Sat, 31 Dec 2016 23:59:60 GMT',
]  # fmt: skip
DIRECTIVES = [
    'max-age', 's-maxage', 'max-stale', 'min-fresh', 'stale-if-error', 'stale-while-revalidate', 'no-cache', 'no-store',
    'private', 'public', 'immutable', 'must-revalidate', 'must-understand', 'proxy-revalidate', 'only-if-cached',
]  # fmt: skip

TEXT = st.text(st.characters(max_codepoint=255, exclude_characters='\r\n'), max_size=30)
DIRECTIVE = st.builds(
    '{}{}{}'.format, st.sampled_from(DIRECTIVES), st.sampled_from(['', '=']), st.sampled_from(NUMBERS)
)
CACHE_CONTROL = st.lists(DIRECTIVE | TEXT, max_size=4).map(', '.join)
DATE, NUMBER = st.sampled_from(DATES) | TEXT, st.sampled_from(NUMBERS) | TEXT
RESPONSE_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        'Age': NUMBER | DATE,
        'Cache-Control': CACHE_CONTROL,
        'Connection': TEXT,
        'Content-Location': TEXT,
        'Content-Type': TEXT,
        'Date': DATE | NUMBER,
        'ETag': TEXT | st.sampled_from(['"1"', 'W/"1"', '"']),
        'Expires': DATE | NUMBER,
        'Last-Modified': DATE | NUMBER,
        'Link': TEXT,
        'Set-Cookie': TEXT,
        'Vary': TEXT | st.sampled_from(['*', 'Accept', 'accept, Cookie', ',,', 'Accept, *', 'X-API-Key']),
    },
)
REQUEST_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        'Accept': TEXT,
        'Authorization': TEXT,
        'Cache-Control': CACHE_CONTROL,
        'Cookie': TEXT,
        'If-Modified-Since': DATE,
        'If-None-Match': TEXT | st.sampled_from(['"1"', '*', 'W/"1", "']),
        'Pragma': CACHE_CONTROL,
        'Range': TEXT,
    },
).map(lambda fields: {name: value.strip().encode('latin-1') for name, value in fields.items()})
EXCHANGE = st.fixed_dictionaries(
    {
        'status': st.sampled_from([200, 200, 200, 203, 206, 301, 304, 404, 410, 500, 503]),
        'fields': RESPONSE_FIELDS,
        'headers': REQUEST_FIELDS,
        'method': st.sampled_from(['GET', 'GET', 'HEAD', 'POST']),
        'options': st.sampled_from([{}, {}, {'refresh': True}, {'force_refresh': True}, {'expire_after': 5}]),
        'seconds': SECONDS | st.integers(-100, 100),
    }
)
SETTINGS: list[dict[str, Any]] = [
    {},
    {'stale_if_error': True, 'stale_while_revalidate': True},
    {'shared_cache': True, 'always_revalidate': True},
    {'expire_after': datetime.max, 'stale_if_error': 10**9, 'allowable_codes': [200, 301, 404]},
    {'expire_after': 60, 'match_headers': True},
]


@pytest.mark.parametrize('options', SETTINGS, ids=lambda options: ' '.join(options) or 'default')
@pytest.mark.parametrize('cache_control', [False, True, 'strict'])
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(exchanges=st.lists(EXCHANGE, min_size=2, max_size=5))
def test_anything_in_header_fields(
    exchanges: list[dict[str, Any]], cache_control: Any, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    caplog.set_level(logging.WARNING, 'requests_cache')
    origin = Scripted()
    with CachedSession(backend='memory', cache_control=cache_control, **options) as session:
        session.mount('http://', origin)
        for exchange in exchanges:
            origin.status, origin.fields = exchange['status'], exchange['fields']
            with time_machine.travel(START.timestamp() + exchange['seconds'], tick=False):
                response = session.request(
                    exchange['method'], URL, headers=exchange['headers'], allow_redirects=False, **exchange['options']
                )
                assert response.content in (None, b'', b'body')
                _ = repr(response), response.is_expired, response.expires, response.cache_status, response.links
                for stored in session.cache.filter():
                    _ = str(stored), stored.expires_delta, stored.expires_unix
                session.cache.delete(expired=True)
    faults = [r.getMessage() for r in caplog.records if 'Unable' in r.getMessage() or 'renew' in r.getMessage()]
    assert faults == []


# What regular expressions may go through again and again
LONG = {
    'spaces': 'a' + ' ' * 20_000 + 'b', 'tabs': 'a\t' * 10_000, 'commas': ',' * 20_000, 'semicolons': 'a;' * 10_000,
    'quotes': '"' * 20_001, 'escapes': '"' + '\\' * 20_000, 'escaped quotes': '"' + '\\"' * 10_000,
    'equals': 'a=' * 10_000, 'angles': '<>;' * 7_000, 'words': 'a ' * 10_000, 'digits': '9' * 20_000,
    'slashes': '/..' * 7_000, 'at': '//a@' * 5_000, 'pairs': 'a=b,' * 5_000,
    'weak': 'W/' * 10_000, 'percent': '%' * 20_000,
}  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize('value', LONG.values(), ids=list(LONG))
@pytest.mark.parametrize('cache_control', [False, True, 'strict'])
def test_time_does_not_explode_with_the_length_of_a_field(cache_control: Any, value: str) -> None:
    names = [
        'Cache-Control', 'Vary', 'Set-Cookie', 'ETag', 'Expires', 'Date', 'Last-Modified', 'Age', 'Content-Type',
        'Location', 'Content-Location', 'Connection', 'Link',
    ]  # fmt: skip
    origin = Scripted()
    for name in names:
        origin.fields = {'ETag': '"1"', 'Cache-Control': 'max-age=60', name: value}
        with CachedSession(backend='memory', cache_control=cache_control, ignored_parameters=['a']) as session:
            session.mount('http://', origin)
            for headers in ({}, {'If-None-Match': '"2"'}, {'Accept': 'text/html'}, {'Cookie': value, 'Pragma': value}):
                assert session.get(URL, headers=headers, allow_redirects=False).content == b'body'


@pytest.mark.timeout(60)
@pytest.mark.parametrize('value', LONG.values(), ids=list(LONG))
@pytest.mark.parametrize(
    'content_type', ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=a']
)
def test_time_does_not_explode_with_the_length_of_a_body(content_type: str, value: str) -> None:
    with CachedSession(backend='memory', allowable_methods=['POST'], ignored_parameters=['a']) as session:
        session.mount('http://', Scripted())
        assert session.post(URL, data=value * 50, headers={'Content-Type': content_type}).content == b'body'
