"""Events, which tell subscribers what happens to requests and entries

This module is imported only if there is a subscriber, or if decisions are logged.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import Enum

from attrs import frozen

from .._utils import format_file_size


class EventKind(str, Enum):
    """What happened. Members compare equal to their text.

    An exchange is one request and its answer. Each exchange ends in exactly one of the first eight kinds. When a
    redirect is followed, each of the requests is an exchange.
    """

    HIT = 'hit'
    STALE_HIT = 'stale hit'
    VALIDATED = 'validated'
    COLLAPSED = 'collapsed'
    MISS = 'miss'
    BYPASSED = 'bypassed'
    UNANSWERED = 'unanswered'
    FAILED = 'failed'

    STORED = 'stored'
    NOT_STORED = 'not stored'
    EVICTED = 'evicted'
    DELETED = 'deleted'
    STORE_FAULT = 'store fault'
    REFRESH_BEGUN = 'refresh begun'
    REFRESH_ENDED = 'refresh ended'
    REFRESH_FAILED = 'refresh failed'

    def __str__(self) -> str:
        return self.value

    @property
    def is_result(self) -> bool:
        """Whether this is one of the kinds that an exchange ends in"""
        return self in _RESULTS


_RESULTS = frozenset(list(EventKind)[:8])


@frozen(slots=True, kw_only=True)
class Event:
    """One thing that happened. A field that does not apply is None.

    Args:
        kind: What happened
        method: Method of the request
        url: URL of the request, without secrets
        key: Key of the entry that the event is about
        reason: Why it happened, in a word or two. For a store fault, this is the operation: `read`, `write`, `delete`
            or `lease`.
        status: Status code of the response
        bytes: Length of the body; None if the body has not been read
        age: Seconds since the response was received from the origin
        expires: When the response becomes stale (UTC)
        freshness_left: Seconds until the response becomes stale; negative if it is stale already
        seconds: How many seconds the exchange took, or the renewal in the background. For a streamed response, the time
            until its header fields were there.
        error: An exception in one line, without secrets
    """

    kind: EventKind
    method: str | None = None
    url: str | None = None
    key: str | None = None
    reason: str | None = None
    status: int | None = None
    bytes: int | None = None
    age: float | None = None
    expires: datetime | None = None
    freshness_left: float | None = None
    seconds: float | None = None
    error: str | None = None

    def __str__(self) -> str:
        """One line, as it is logged"""
        request = ' '.join(part for part in (self.method, self.url) if part)
        details = (
            self.reason and f'{"operation" if self.kind is EventKind.STORE_FAULT else "because"}: {self.reason}',
            self.status and f'status {self.status}',
            self.bytes is not None and format_file_size(self.bytes),
            self.age is not None and f'age {self.age:.0f} s',
            self._freshness(),
            self.seconds is not None and f'took {self.seconds * 1000:.1f} ms',
            self.error,
            self.key and f'key {self.key}',
        )
        text = f'{self.kind}: {request}' if request else str(self.kind)
        shown = ', '.join(detail for detail in details if detail)
        return f'{text} ({shown})' if shown else text

    def _freshness(self) -> str | None:
        if self.freshness_left is None:
            return 'never expires' if self.kind is EventKind.STORED else None
        if self.kind is EventKind.STORED and self.expires is not None:
            return f'fresh until {self.expires:%Y-%m-%d %H:%M:%S} UTC'
        if self.freshness_left < 0:
            return f'stale for {-self.freshness_left:.0f} s'
        return f'fresh for {self.freshness_left:.0f} s more'


Subscriber = Callable[[Event], object]
