"""What happens to requests and entries, as records for whoever wants to know

This module is loaded when the first subscriber comes, or when decisions are logged.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import Enum

from attrs import frozen

from .._utils import format_file_size


class EventKind(str, Enum):
    """What happened; members compare equal to their text

    Each exchange, which is a request and its answer, ends in one of the first eight. Where a redirect is followed, each
    of the requests is an exchange.
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
        """Whether exchanges end in it"""
        return self in _RESULTS


_RESULTS = frozenset(list(EventKind)[:8])


@frozen(slots=True, kw_only=True)
class Event:
    """One thing that happened; what does not apply is None

    Args:
        kind: What it was
        method: Method of the request
        url: URL of the request, without secrets
        key: Key of the stored response, or of the one that was (not) stored, evicted or deleted
        reason: Why, in one word or two; for a store fault, the operation: 'read', 'write', 'delete' or 'lease'
        status: Status of the response
        bytes: Length of its body; None if that has not been read
        age: How long ago the response was received from the origin, in seconds
        expires: Until when the response is fresh (UTC)
        freshness_left: Seconds until then, negative if it is stale
        seconds: How long the exchange, or the renewal in the background, took; for a response that is streamed, up to
            its header fields
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
