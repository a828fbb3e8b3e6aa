"""Converting the user's expiration values to times

Special constants such as `NEVER_EXPIRE` are handled here and nowhere below: the result is a time in UTC, or None for
"never".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from logging import getLogger
from math import ceil, inf
from re import Pattern
from typing import Any, TypeVar

from .._utils import lazy_pattern

DO_NOT_CACHE = 0x0D0E0200020704
EXPIRE_IMMEDIATELY = 0
NEVER_EXPIRE = -1

ExpirationValue = None | int | float | str | datetime | timedelta
# A function takes the response and returns the expiration
ExpirationTime = ExpirationValue | Callable[[Any], ExpirationValue]
ExpirationPattern = str | Pattern  # type: ignore[type-arg]
ExpirationPatterns = dict[ExpirationPattern, ExpirationTime]

# The range of datetime
_FIRST = datetime.min.replace(tzinfo=timezone.utc)
_LAST = datetime.max.replace(tzinfo=timezone.utc)
_INTEGER = lazy_pattern(r'-?\d+')
logger = getLogger(__name__)
T = TypeVar('T')


def utcnow() -> datetime:
    """The current time, in UTC"""
    return datetime.now(timezone.utc)


def add_tzinfo(dt: datetime) -> datetime:
    """Add UTC to a time without a time zone"""
    return dt if dt.tzinfo is not None else dt.replace(tzinfo=timezone.utc)


def get_expiration_datetime(
    expire_after: ExpirationTime,
    start_time: datetime | None = None,
    negative_delta: bool = False,
    ignore_invalid_httpdate: bool = False,
) -> datetime | None:
    """The time (UTC) at which something expires

    Args:
        expire_after: Seconds, a timedelta, a datetime (without a time zone: local time), an HTTP date, or NEVER_EXPIRE
        start_time: The time to which a number or timedelta is added, by default now; if given, the result is limited to
            the range of datetime
        negative_delta: Subtract instead of adding
        ignore_invalid_httpdate: Return None for text that is not a date

    Returns:
        A time in UTC, or None for never

    Raises:
        ValueError: Text is not a date, a number is not finite, or the result is not between the years 1 and 9999
        TypeError: The value has a different type, or is a function
    """
    if expire_after is None or expire_after in (NEVER_EXPIRE, DO_NOT_CACHE):
        return None
    if isinstance(expire_after, str):
        return _parse_text(expire_after, ignore_invalid_httpdate)
    if isinstance(expire_after, datetime):
        return to_utc(expire_after)
    delta = _to_delta(expire_after)
    if start_time is not None:
        return add_clamped(to_utc(start_time), -delta if negative_delta else delta)
    start = utcnow()
    try:
        return start - delta if negative_delta else start + delta
    except OverflowError:
        raise ValueError(f'Expiration out of range: {expire_after!r}; use a time in the years 1 to 9999') from None


def check_expiration(expire_after: ExpirationTime) -> None:
    """Raise an error if a value is not an expiration; the result of a function is checked only when it is called

    Raises:
        ValueError, TypeError: As for `get_expiration_datetime`
    """
    if not callable(expire_after):
        get_expiration_datetime(expire_after)


def expiration_of(response: Any, expire_after: ExpirationTime) -> ExpirationValue:
    """The expiration of a response; if `expire_after` is a function, it is called with the response

    Raises:
        ValueError, TypeError: The function returned a value that is not an expiration
        Exception: Any exception that the function raises
    """
    if not callable(expire_after):
        return expire_after
    value = expire_after(response)
    get_expiration_datetime(value)
    return value


def first_expiration(response: Any, *expirations: ExpirationTime) -> ExpirationValue:
    """The first expiration that is not None; functions are called in order, until one returns an expiration"""
    for each in expirations:
        value = expiration_of(response, each)
        if value is not None:
            return value
    return None


def _to_delta(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, (int, float)):
        hint = 'use seconds, a timedelta, a datetime, an HTTP date, or NEVER_EXPIRE'
        if callable(value):
            hint = 'a function is accepted only where there is a response to call it with'
        raise TypeError(f'Invalid expiration: {value!r}; {hint}')
    try:
        return timedelta(seconds=value)
    except (OverflowError, ValueError):
        raise ValueError(f'Expiration out of range: {value!r}; it must be a finite number of seconds') from None


def to_seconds(name: str, value: float | timedelta | None) -> float | None:
    """Convert a duration to seconds; None for None and NEVER_EXPIRE

    Args:
        name: Name of the value in error messages
        value: Seconds or a timedelta

    Raises:
        TypeError, ValueError: The value is not a duration
    """
    if value is None or (isinstance(value, int) and value == NEVER_EXPIRE):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, timedelta)):
        raise TypeError(f'{name} must be a number of seconds or a timedelta, not {value!r}')
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not 0 <= seconds < inf:
        raise ValueError(f'{name} must be 0 seconds or more, not {value!r}')
    return seconds


def add_clamped(start: datetime, delta: timedelta) -> datetime:
    """Add a duration to a time; the result is limited to the range of datetime"""
    try:
        return start + delta
    except OverflowError:
        return _FIRST if delta < timedelta() else _LAST


def to_utc(value: datetime) -> datetime:
    """Convert a time to UTC; without a time zone, it is local time"""
    try:
        return value.astimezone(timezone.utc)
    except (OSError, OverflowError, ValueError):  # on the first or last day of a datetime; on Windows before 1970
        return value.replace(tzinfo=timezone.utc)


def _parse_text(value: str, ignore_invalid: bool) -> datetime | None:
    # Numeric text comes from `Expires` headers, where it means a time in the past (RFC 9111, section 5.3)
    if _INTEGER.fullmatch(value):
        return utcnow()
    try:
        return to_utc(add_tzinfo(parsedate_to_datetime(value)))
    except (IndexError, OverflowError, TypeError, ValueError):
        if ignore_invalid:
            logger.debug('Invalid HTTP date: %s', value)
            return None
        raise ValueError(f'Invalid HTTP date: {value}') from None


def get_expiration_seconds(expire_after: ExpirationTime) -> int:
    """Seconds from now until an expiration, rounded up; -1 for "never" and for text that is not a date"""
    expires = get_expiration_datetime(expire_after, ignore_invalid_httpdate=True)
    return ceil((expires - utcnow()).total_seconds()) if expires is not None else NEVER_EXPIRE


def get_url_expiration(
    url: str | None, urls_expire_after: Mapping[ExpirationPattern, ExpirationTime] | None = None
) -> ExpirationTime:
    """The expiration of the first pattern that a URL matches, or None

    A regular expression may match anywhere in the URL. A string is a shell pattern that matches the start of the URL
    without its scheme; case is ignored in the host.
    """
    return first_match(url, urls_expire_after)


def first_match(url: str | None, values: Mapping[ExpirationPattern, T] | None) -> T | None:
    """The value of the first pattern that a URL matches, or None"""
    if not url or not values:
        return None
    for pattern, value in values.items():
        if _matches(url, pattern):
            return value
    return None


def _matches(url: str, pattern: ExpirationPattern) -> bool:
    if not isinstance(pattern, str):
        return pattern.search(url) is not None
    return fnmatchcase(_without_scheme(url), _without_scheme(pattern).rstrip('*') + '**')


def _without_scheme(url: str) -> str:
    scheme, separator, rest = url.partition('://')
    # A query may contain another URL
    if separator and not set(scheme) & set('/?#'):
        url = rest
    host, slash, path = url.partition('/')
    return host.lower() + slash + path
