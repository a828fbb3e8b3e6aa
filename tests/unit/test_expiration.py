"""Expiration values as users give them"""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requests_cache.policy import expiration
from requests_cache.policy.expiration import (
    DO_NOT_CACHE,
    NEVER_EXPIRE,
    add_tzinfo,
    get_expiration_datetime,
    get_expiration_seconds,
    get_url_expiration,
)

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def fixed_time(monkeypatch):
    monkeypatch.setattr(expiration, 'utcnow', lambda: NOW)


@pytest.mark.parametrize('value', [None, -1, -1.0, NEVER_EXPIRE, DO_NOT_CACHE])
def test_never(value):
    assert get_expiration_datetime(value) is None
    assert get_expiration_seconds(value) == -1


@pytest.mark.parametrize(
    ('value', 'seconds'),
    [
        (0, 0),
        (False, 0),
        (0.4, 0.4),
        (-0.9, -0.9),
        (-2.5, -2.5),
        (1, 1),
        (True, 1),
        (1.5, 1.5),
        (-5, -5),
        ('5', 0),
        ('-1', 0),
        (timedelta(minutes=2), 120),
        (timedelta(0), 0),
        (timedelta(seconds=-1), -1),
        (NOW + timedelta(seconds=9), 9),
        ('Thu, 01 Jan 2026 13:00:00 GMT', 3600),
        ('Thu, 01 Jan 2026 13:00:00 +0100', 0),
        ('Thursday, 01-Jan-26 13:00:00 GMT', 3600),
        ('Thu Jan  1 13:00:00 2026', 3600),
        ('Thu, 01 Jan 2026 13:00:00 -0000', 3600),
        ('Thu, 01 Jan 2026 13:00:00', 3600),
    ],
)
def test_values(value, seconds):
    assert get_expiration_datetime(value) == NOW + timedelta(seconds=seconds)
    assert get_expiration_seconds(value) == math.ceil(seconds)


def test_naive_datetime_is_local_time():
    local = datetime(2026, 6, 1, 12, 0)
    assert get_expiration_datetime(local) == local.astimezone(timezone.utc)


def test_last_and_first_day():
    assert get_expiration_datetime(datetime.min) == datetime.min.replace(tzinfo=timezone.utc)
    assert get_expiration_datetime(datetime.max.replace(tzinfo=timezone(timedelta(hours=-3)))) == datetime.max.replace(
        tzinfo=timezone.utc
    )


def test_a_start_near_the_ends_of_time():
    assert get_expiration_datetime(10**10, start_time=datetime.max) == datetime.max.replace(tzinfo=timezone.utc)
    assert get_expiration_datetime(-10, start_time=datetime.min) == datetime.min.replace(tzinfo=timezone.utc)


def test_start_time_and_direction():
    start = datetime(2020, 1, 1, tzinfo=timezone.utc)
    assert get_expiration_datetime(10, start_time=start) == start + timedelta(seconds=10)
    assert get_expiration_datetime(timedelta(seconds=10), negative_delta=True) == NOW - timedelta(seconds=10)
    assert get_expiration_datetime(0, start_time=start) == start


@pytest.mark.parametrize('value', ['', '1.5', '2026-01-01', 'tomorrow', 'Thu, 99 Foo 2026 13:00:00 GMT'])
def test_invalid_text(value):
    with pytest.raises(ValueError, match=re.escape(f'Invalid HTTP date: {value}')):
        get_expiration_datetime(value)
    assert get_expiration_datetime(value, ignore_invalid_httpdate=True) is None
    assert get_expiration_seconds(value) == -1


@pytest.mark.parametrize('value', [1e12, -1e12, math.inf, -math.inf, math.nan, timedelta.max])
def test_out_of_range(value):
    with pytest.raises(ValueError, match='out of range'):
        get_expiration_datetime(value)


@pytest.mark.parametrize('value', [b'5', [5], date(2026, 1, 1), object()])
def test_other_types(value):
    with pytest.raises(TypeError, match='Invalid expiration'):
        get_expiration_datetime(value)


@given(st.one_of(st.floats(), st.integers(), st.text(), st.timedeltas(), st.datetimes(), st.none(), st.booleans()))
def test_anything_has_a_meaning_or_a_clear_error(value):
    try:
        expires = get_expiration_datetime(value)
    except ValueError:
        return
    assert expires is None or expires.tzinfo is timezone.utc


def test_add_tzinfo():
    assert add_tzinfo(datetime(2026, 1, 1)) == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert add_tzinfo(NOW) is NOW


@pytest.mark.parametrize(
    ('url', 'expected'),
    [
        ('http://a.b.com/x', 1),
        ('http://b.com/x', None),
        ('https://httpbin.org/delay/1', 2),
        ('http://x.org/Abc', 3),
        ('http://x.org/abc', None),
        ('http://h/zzz', 4),
        ('http://upper.example/path', 5),
        ('http://a.net/x', 6),
        ('http://other/?url=http://httpbin.org/delay', None),
        ('', None),
        (None, None),
    ],
)
def test_url_patterns(url, expected):
    patterns = {
        '*.b.com': 1,
        'httpbin.org/delay': 2,
        'https://x.org/A*': 3,
        re.compile('z{3}'): 4,
        'UPPER.example': 5,
        '[ab].net/?': 6,
    }
    assert get_url_expiration(url, patterns) == expected


def test_url_patterns_first_match_wins_and_catch_all():
    assert get_url_expiration('http://a/b', {'a/b': 1, '*': 2}) == 1
    assert get_url_expiration('http://c/d', {'a/b': 1, '*': 2}) == 2
    assert get_url_expiration('http://c/d', {'': 3}) == 3
    assert get_url_expiration('http://c/d', {}) is None
    assert get_url_expiration('http://c/d') is None
