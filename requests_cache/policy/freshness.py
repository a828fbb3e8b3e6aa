"""How long responses are fresh, and whether a stale response may be used"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from .directives import CacheDirectives, digits_to_seconds
from .expiration import (
    DO_NOT_CACHE,
    EXPIRE_IMMEDIATELY,
    ExpirationTime,
    add_tzinfo,
    get_expiration_datetime,
    to_utc,
)


class Lifetime(NamedTuple):
    """How long a response is fresh

    Args:
        expires: Time (UTC) at which it becomes stale; None for never
        needs_validator: Store it only if it has a validator, as it must be validated on every use
    """

    expires: datetime | None = None
    needs_validator: bool = False


def lifetime_from_user(expire_after: ExpirationTime, now: datetime) -> Lifetime:
    """The lifetime for an expiration that the user specified; zero for DO_NOT_CACHE"""
    if expire_after == DO_NOT_CACHE:
        return Lifetime(now)
    expires = get_expiration_datetime(expire_after, start_time=now)
    return Lifetime(expires, needs_validator=expire_after == EXPIRE_IMMEDIATELY)


def is_immediate(expire_after: ExpirationTime) -> bool:
    """Whether an expiration is exactly zero: expire immediately"""
    return isinstance(expire_after, (int, float, timedelta)) and not expire_after


def lifetime_from_response(directives: CacheDirectives, headers: Mapping[str, Any], now: datetime) -> Lifetime | None:
    """The lifetime that the headers of a response specify; None if they do not (RFC 9111, section 4.2.1)"""
    if directives.immutable:
        return Lifetime()
    if directives.max_age is not None:
        remaining_seconds = directives.max_age - age_seconds(headers)
        return Lifetime(now + timedelta(seconds=remaining_seconds), needs_validator=directives.max_age == 0)
    if directives.expires is not None:
        return Lifetime(parse_expires(directives.expires, now))
    return None


def age_seconds(headers: Mapping[str, Any]) -> int:
    """The `Age` of a response in seconds; 0 if it is absent or invalid (RFC 9111, section 5.1)"""
    return digits_to_seconds(str(headers.get('Age', '')).partition(',')[0].strip()) or 0


def parse_expires(value: str, now: datetime) -> datetime:
    """The time in an `Expires` field; an invalid date is treated as the past (RFC 9111, section 5.3)"""
    try:
        return to_utc(add_tzinfo(parsedate_to_datetime(value)))
    except (IndexError, OverflowError, TypeError, ValueError):
        return now


def is_fresh_enough(expires: datetime | None, now: datetime, offset_seconds: float = 0) -> bool:
    """Whether a response has not expired yet, after adding `offset_seconds` to its expiration"""
    return expires is None or (expires - now).total_seconds() + offset_seconds > 0


def is_stale_allowed(expires: datetime | None, now: datetime, allowance: bool | ExpirationTime) -> bool:
    """Whether an allowance permits using a stale response: True for any time, or how long it may have been stale"""
    if allowance is True or expires is None:
        return True
    if allowance is None or allowance is False:
        return now < expires
    limit = get_expiration_datetime(allowance, start_time=expires)
    return limit is None or now < limit
