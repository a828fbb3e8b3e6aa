"""Which stored response a 304 is about, and what it changes (RFC 9111, sections 3.2 and 4.3.4)"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from requests.structures import CaseInsensitiveDict
from urllib3._collections import HTTPHeaderDict

from requests_cache import CachedResponse
from requests_cache.policy.standard.freshening import freshen, not_updated
from requests_cache.policy.standard.http_date import format_http_date
from requests_cache.policy.standard.post_responses import answers_get
from requests_cache.policy.validation import Relation, confirms_stored, relation

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=timezone.utc)
OLD, NEW = (format_http_date(NOW - timedelta(days=days)) for days in (2, 1))
URL = 'http://example.com/page?a=1&b=2'


@pytest.mark.parametrize(
    ('stored', 'new', 'expected'),
    [
        ({}, {}, Relation.UPDATES),
        ({'ETag': '"1"'}, {'ETag': '"1"'}, Relation.UPDATES),
        ({'ETag': '"1"'}, {'ETag': 'W/"1"'}, Relation.UPDATES),
        ({'ETag': 'W/"1"'}, {'ETag': ' W/"1" '}, Relation.UPDATES),
        ({'ETag': 'W/"1"'}, {'ETag': '"1"'}, Relation.CONFIRMS),
        ({'ETag': '"1"'}, {'ETag': '"2"'}, Relation.MISMATCHES),
        ({'ETag': '"1"'}, {}, Relation.UPDATES),
        ({'ETag': '"1"'}, {'Last-Modified': NEW}, Relation.UPDATES),
        ({'ETag': '"1"', 'Last-Modified': OLD}, {'Last-Modified': NEW}, Relation.MISMATCHES),
        ({'ETag': '"1"', 'Last-Modified': OLD}, {'ETag': '"1"', 'Last-Modified': NEW}, Relation.UPDATES),
        ({'Last-Modified': OLD}, {'ETag': '"1"'}, Relation.CONFIRMS),
        ({'Last-Modified': OLD}, {'ETag': 'W/"1"'}, Relation.UPDATES),
        ({'Last-Modified': OLD}, {'ETag': 'unquoted'}, Relation.UPDATES),
        ({'Last-Modified': OLD}, {'Last-Modified': OLD}, Relation.UPDATES),
        ({'Last-Modified': OLD}, {'Last-Modified': 'Tuesday, 30-Dec-25 12:00:00 GMT'}, Relation.UPDATES),
    ],
)
def test_relation(stored, new, expected):
    assert relation(CaseInsensitiveDict(stored), CaseInsensitiveDict(new), NOW) is expected


def test_fields_that_change_nothing():
    headers = {'Connection': 'X-Hop', 'Cache-Control': 'no-cache="X-A", private="X-B"'}
    names = not_updated(headers, shared=False)
    assert {'x-hop', 'x-a', 'content-length', 'content-encoding', 'transfer-encoding', 'keep-alive'} <= names
    assert not {'content-type', 'etag', 'x-b'} & names
    assert 'x-b' in not_updated(headers, shared=True)


def not_modified(*fields):
    lines = HTTPHeaderDict(fields)
    return SimpleNamespace(
        headers=CaseInsensitiveDict(lines), raw=SimpleNamespace(headers=lines), elapsed=timedelta(seconds=3)
    )


def test_age_starts_anew():
    stored = CachedResponse(headers=CaseInsensitiveDict({'Age': '50', 'Date': OLD, 'ETag': '"1"'}))
    freshen(stored, not_modified(('ETag', '"1"')), False, NOW)
    assert stored.headers == {'ETag': '"1"', 'Date': format_http_date(NOW)}
    assert (stored.created_at, stored.elapsed.total_seconds()) == (NOW, 3)
    freshen(stored, not_modified(('Age', '7'), ('Date', NEW)), False, NOW)
    assert stored.headers == {'ETag': '"1"', 'Date': NEW, 'Age': '7'}


def test_the_encoding_follows_the_content_type():
    stored = CachedResponse(headers=CaseInsensitiveDict({'Content-Type': 'text/plain'}), encoding='ISO-8859-1')
    freshen(stored, not_modified(('X-A', '1')), False, NOW)
    assert stored.encoding == 'ISO-8859-1'
    freshen(stored, not_modified(('Content-Type', 'text/plain; charset=utf-8')), False, NOW)
    assert stored.encoding == 'utf-8'


def test_repeated_fields_stay_apart():
    stored = CachedResponse(headers=CaseInsensitiveDict({'A': '1', 'B': '2'}))
    freshen(stored, not_modified(('B', '3'), ('B', '4'), ('Date', NEW)), False, NOW)
    assert stored._header_fields == (('A', '1'), ('B', '3'), ('B', '4'), ('Date', NEW))
    freshen(stored, not_modified(('A', '5'), ('Date', NEW)), False, NOW)
    assert stored._header_fields == (('A', '5'), ('B', '3'), ('B', '4'), ('Date', NEW))


@pytest.mark.parametrize(
    ('location', 'control', 'status_code', 'expected'),
    [
        (URL, 'max-age=60', 200, True),
        ('/page?a=1&b=2', 'max-age=0', 201, True),
        ('HTTP://EXAMPLE.com:80/page?a=1&b=2', 'max-age=60', 200, True),
        ('/page?b=2&a=1', 'max-age=60', 200, False),
        ('/page', 'max-age=60', 200, False),
        (None, 'max-age=60', 200, False),
        ('http://[', 'max-age=60', 200, False),
        (URL, 'public', 200, False),
        (URL, 's-maxage=60', 200, False),
        (URL, 'max-age=60', 404, False),
        (URL, 'max-age=60', 303, False),
    ],
)
def test_responses_to_post_that_answer_get(location, control, status_code, expected):
    headers = CaseInsensitiveDict({'Cache-Control': control, 'Last-Modified': OLD, 'Content-Location': location})
    assert answers_get(URL, status_code, headers, False, NOW) is expected
    if control.startswith('s-maxage'):
        assert answers_get(URL, status_code, headers, True, NOW)


@pytest.mark.parametrize(
    ('own', 'stored', 'new', 'expected'),
    [
        ({'If-None-Match': '"1"'}, {'ETag': '"1"'}, {'ETag': '"1"'}, True),
        ({'If-None-Match': '"1"'}, {'ETag': 'W/"1"'}, {}, True),
        ({'If-None-Match': b'"1"'}, {'ETag': '"1"'}, {}, True),
        ({'If-None-Match': '"1", "2"'}, {'ETag': '"1"'}, {}, False),
        ({'If-None-Match': '"1", "2"'}, {'ETag': '"1"'}, {'ETag': '"1"'}, True),
        ({'If-None-Match': '"2"'}, {'ETag': '"1"'}, {'ETag': '"2"'}, False),
        ({'If-None-Match': '"2"'}, {'Last-Modified': 'x'}, {'Last-Modified': 'x'}, False),
        ({'If-None-Match': '*'}, {'ETag': '"1"'}, {}, False),
        ({'If-Modified-Since': 'x'}, {'Last-Modified': 'x'}, {'Last-Modified': 'x'}, True),
        ({'If-Modified-Since': 'x'}, {'Last-Modified': 'x'}, {'Last-Modified': 'y'}, False),
        ({'If-Modified-Since': 'x'}, {}, {}, False),
    ],
)
def test_what_an_answer_to_the_callers_conditions_is_about(own, stored, new, expected):
    assert confirms_stored(own, stored, new) is expected
