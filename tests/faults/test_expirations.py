"""Expiration values of all kinds, at every place that takes one: a meaning, or an error there and then"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from requests import Request

from faults.local_caches import BODY, LOCAL, SessionFactory, warnings_about
from requests_cache import CachedResponse, CachedSession
from requests_cache.testing.origin import Origin, answer

UTC = timezone.utc
EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))

MEANINGLESS = [
    math.nan, math.inf, -math.inf, 1e300, -1e300, 10**400, -(10**400), 10**12, -(10**12), timedelta.max, timedelta.min,
    'tomorrow', '2030-01-01', '1e3', 'NaN', b'5', [5], {'seconds': 5}, date(2030, 1, 1), 1j, Decimal('NaN'),
]  # fmt: skip
FAR = [
    datetime.max, datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=WEST), datetime(9999, 12, 31),
    'Fri, 31 Dec 9999 23:59:59 GMT', 'Fri, 31 Dec 9999 23:59:59 -1200', 250_000_000_000, timedelta(days=2_900_000),
]  # fmt: skip
PAST = [
    -5, -5.5, -60_000_000_000, timedelta(days=-1), datetime.min, datetime.min.replace(tzinfo=EAST),
    datetime(1969, 1, 1), datetime(2020, 1, 1, tzinfo=WEST),
    'Mon, 01 Jan 0001 00:00:00 GMT', 'Mon, 01 Jan 0001 00:00:00 +1400', '-1', '60',
]  # fmt: skip

# Each takes a value in a way of its own
PLACES: dict[str, Callable[[CachedSession, str, Any], Any]] = {
    'session': lambda session, url, value: CachedSession(backend='memory', expire_after=value),
    'urls_expire_after': lambda session, url, value: CachedSession(backend='memory', urls_expire_after={'*': value}),
    'stale_if_error': lambda session, url, value: CachedSession(backend='memory', stale_if_error=value),
    'stale_while_revalidate': lambda session, url, value: CachedSession(backend='memory', stale_while_revalidate=value),
    'attribute': lambda session, url, value: setattr(session, 'expire_after', value),
    'settings': lambda session, url, value: setattr(session.settings, 'expire_after', value),
    'settings for URLs': lambda session, url, value: setattr(session.settings, 'urls_expire_after', {'*': value}),
    'request': lambda session, url, value: session.get(url, expire_after=value),
    'request to validate': lambda session, url, value: session.get(url, expire_after=value, refresh=True),
    'send': lambda session, url, value: session.send(Request('GET', url).prepare(), expire_after=value),
    'reset_expiration': lambda session, url, value: session.cache.reset_expiration(value),
    'delete older_than': lambda session, url, value: session.cache.delete(older_than=value),
    'filter older_than': lambda session, url, value: list(session.cache.filter(valid=False, older_than=value)),
    'response': lambda session, url, value: CachedResponse(status_code=200).reset_expiration(value),
    'response older_than': lambda session, url, value: CachedResponse(status_code=200).is_older_than(value),
}


@pytest.fixture(params=['sqlite', 'filesystem-lru', 'memory'])
def local(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Keywords of a session on each kind of local backend that keeps times in a way of its own"""
    return LOCAL[request.param]


@pytest.fixture
def url(origin: Origin) -> str:
    origin.add('/page', answer(200, BODY, [('ETag', '"1"')]))
    return origin.url('/page')


@pytest.mark.parametrize('value', MEANINGLESS, ids=lambda value: repr(value)[:20])
def test_what_has_no_meaning_is_refused_where_it_is_given(
    value: Any, local: dict[str, Any], new_session: SessionFactory, url: str, origin: Origin
) -> None:
    session = new_session(**local)
    session.get(url)
    for place, give in PLACES.items():
        with pytest.raises((ValueError, TypeError), match=r'^(Invalid|Expiration|Invalid HTTP date)'):
            give(session, url, value)
        assert origin.hits() == 1, f'sent before it was refused: {place}'
        assert session.get(url).from_cache, place
        assert [r.expires for r in session.cache.filter()] == [None]


@pytest.mark.parametrize('cache_control', [False, True, 'strict'])
@pytest.mark.parametrize('value', [*FAR, *PAST], ids=lambda value: repr(value)[:30])
def test_the_first_and_the_last_times(
    value: Any, cache_control: Any, local: dict[str, Any], new_session: SessionFactory, url: str, origin: Origin,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    is_far = value in FAR
    session = new_session(**local, cache_control=cache_control, expire_after=value, stale_if_error=10**9)
    for _ in range(2):
        response = session.get(url)
        assert response.content == BODY
    assert response.from_cache is is_far
    for stored in session.cache.filter():
        assert stored.is_expired is not is_far
        _ = str(stored), stored.expires_unix, stored.expires_delta
    origin.add('/page', answer(503))
    assert session.get(url, refresh=True).content in (BODY, b'')
    session.cache.reset_expiration(value)
    assert len(session.cache.urls(expired=False)) == int(is_far)
    assert session.cache.delete(expired=True) == int(not is_far)
    assert warnings_about(caplog, 'Unable') == 0


@pytest.mark.parametrize('setting', ['stale_if_error', 'stale_while_revalidate'])
@pytest.mark.parametrize('allowance', [10**10, timedelta(days=2_900_000), -(10**10), datetime.max, datetime.min])
@pytest.mark.parametrize('expires', [datetime.max, datetime.min, 250_000_000_000, -60_000_000_000, 0])
def test_an_allowance_from_the_first_and_the_last_times(
    expires: Any, allowance: Any, setting: str, new_session: SessionFactory, url: str, origin: Origin
) -> None:
    """What is counted from one end of all times leads beyond it"""
    session = new_session(backend='memory', expire_after=expires, **{setting: allowance})
    session.get(url)
    origin.add('/page', answer(503))
    for options in ({}, {'refresh': True}, {'only_if_cached': True}):
        assert session.get(url, **options).status_code in (200, 503, 504)
