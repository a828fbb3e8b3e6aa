"""Age and freshness lifetime: one function for each quantity in RFC 9111, section 4.2, in whole seconds"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ..directives import digits_to_seconds
from .directives import StrictDirectives
from .http_date import parse_http_date

# Status codes whose responses may be stored without explicit freshness (RFC 9110, section 15.1)
HEURISTICALLY_CACHEABLE = frozenset((200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501))


class Received(NamedTuple):
    """The facts about a received response that determine its age and lifetime

    Args:
        headers: Header fields
        directives: Directives in `Cache-Control`
        status_code: Status
        response_time: When the response was received (UTC)
        delay_seconds: Time from sending the request to receiving the response
    """

    headers: Mapping[str, Any]
    directives: StrictDirectives
    status_code: int
    response_time: datetime
    delay_seconds: float = 0


def age_value_seconds(headers: Mapping[str, Any]) -> int:
    """`age_value`: the first member of `Age`; 0 if it is not a number (section 5.1)"""
    value = headers.get('Age')
    return (digits_to_seconds(str(value).partition(',')[0].strip()) or 0) if value else 0


def date_value(received: Received) -> datetime:
    """`date_value`: the time in `Date`, or the time of reception if there is none (RFC 9110, section 6.6.1)"""
    return parse_http_date(received.headers.get('Date'), received.response_time) or received.response_time


def apparent_age_seconds(received: Received) -> int:
    """`apparent_age` (section 4.2.3)"""
    return max(0, int((received.response_time - date_value(received)).total_seconds()))


def corrected_age_value_seconds(received: Received) -> int:
    """`corrected_age_value` (section 4.2.3)"""
    return age_value_seconds(received.headers) + int(received.delay_seconds)


def corrected_initial_age_seconds(received: Received) -> int:
    """`corrected_initial_age` (section 4.2.3)"""
    return max(apparent_age_seconds(received), corrected_age_value_seconds(received))


def current_age_seconds(received: Received, now: datetime) -> int:
    """`current_age` (section 4.2.3)"""
    resident_time = max(0, int((now - received.response_time).total_seconds()))
    return corrected_initial_age_seconds(received) + resident_time


def explicit_lifetime_seconds(received: Received, shared: bool) -> int | None:
    """`freshness_lifetime` as specified by the origin; None if it is absent, 0 if it is invalid (section 4.2.1)"""
    directives = received.directives
    if shared and directives.s_maxage is not None:
        return max(0, directives.s_maxage)
    if directives.max_age is not None:
        return max(0, directives.max_age)
    if received.headers.get('Expires') is not None:
        expires = parse_http_date(received.headers['Expires'], received.response_time)
        return max(0, int((expires - date_value(received)).total_seconds())) if expires is not None else 0
    return None


def heuristic_lifetime_seconds(received: Received, fraction: float) -> int | None:
    """A fraction of the time since the last modification; None if that is unknown (section 4.2.2)"""
    if received.status_code not in HEURISTICALLY_CACHEABLE and not received.directives.public:
        return None
    last_modified = parse_http_date(received.headers.get('Last-Modified'), received.response_time)
    if last_modified is None:
        return None
    return max(0, int((date_value(received) - last_modified).total_seconds() * fraction))
