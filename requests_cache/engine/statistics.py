"""What a session has done so far, in numbers"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from threading import RLock
from typing import NamedTuple

from .._utils import format_file_size, renew_after_fork


class Statistics(NamedTuple):
    """What a session has done since it was made, or since `reset_stats()`. `print()` shows it as text.

    Args:
        hits: Requests answered from the cache with a fresh response, including those in `collapsed`
        stale_hits: Requests answered from the cache with a stale response
        validations: Requests answered from the cache after the origin confirmed the stored response (304)
        misses: Requests answered by the origin
        misses_by_reason: The number of misses for each reason
        bypassed: Requests that did not involve the cache: it was switched off, or the method is not cached
        unanswered: Requests that were not allowed to use the network, and were answered with 504
        errors: Requests that ended in an exception
        collapsed: Hits that waited for an equal request, and were answered with its response
        stores: Responses that were stored
        not_stored_by_reason: The number of responses from the origin that were not stored, for each reason
        evictions: Entries that were deleted to make room
        faults: Operations of the store that failed
        refreshes: Renewals in the background that the origin answered
        bytes_served: Length of all bodies that came from the cache, in bytes
        seconds_saved: How many seconds the origin had taken, in total, for the responses that came from the cache
            without asking it
    """

    hits: int = 0
    stale_hits: int = 0
    validations: int = 0
    misses: int = 0
    misses_by_reason: Mapping[str, int] = {}
    bypassed: int = 0
    unanswered: int = 0
    errors: int = 0
    collapsed: int = 0
    stores: int = 0
    not_stored_by_reason: Mapping[str, int] = {}
    evictions: int = 0
    faults: int = 0
    refreshes: int = 0
    bytes_served: int = 0
    seconds_saved: float = 0.0

    @property
    def requests(self) -> int:
        """All requests that involved the cache (hits, stale hits, validations, misses, unanswered ones)"""
        return self.hits + self.stale_hits + self.validations + self.misses + self.unanswered

    @property
    def hit_rate(self) -> float:
        """The fraction of `requests` that are hits or stale hits, from 0 to 1; 0 if there were no requests"""
        return (self.hits + self.stale_hits) / self.requests if self.requests else 0.0

    def __str__(self) -> str:
        rows = [
            ('requests', f'{self.requests:,}'),
            ('hits', f'{self.hits:,}'),
            ('stale hits', f'{self.stale_hits:,}'),
            ('validations', f'{self.validations:,}'),
            ('misses', f'{self.misses:,}{_listed(self.misses_by_reason)}'),
            ('hit rate', f'{self.hit_rate:.1%}'),
            ('stored', f'{self.stores:,}'),
            ('not stored', f'{sum(self.not_stored_by_reason.values()):,}{_listed(self.not_stored_by_reason)}'),
            ('served', format_file_size(self.bytes_served)),
            ('time saved', f'{self.seconds_saved:.1f} s'),
        ]
        others = ('collapsed', 'bypassed', 'unanswered', 'errors', 'evictions', 'refreshes', 'faults')
        rows += [(name, f'{getattr(self, name):,}') for name in others if getattr(self, name)]
        return '\n'.join(f'{name + ":":<13}{value}' for name, value in rows)


def _listed(reasons: Mapping[str, int]) -> str:
    parts = [f'{count:,} {reason}' for reason, count in sorted(reasons.items(), key=lambda item: -item[1])]
    return f' ({", ".join(parts)})' if parts else ''


class Counters:
    """Thread-safe counters for `Statistics`

    The lock is reentrant: while a thread is counting, the garbage collector may close a stream that was not read, which
    is counted too. This cannot happen within `+=` on an item of a dict.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        renew_after_fork(self, '_lock', RLock)
        self.reset()

    def reset(self) -> None:
        """Set all counters to zero"""
        with self._lock:
            self._hits = self._bytes_served = 0
            self._seconds_saved = 0.0
            self._counts: dict[str, int] = defaultdict(int)
            self._misses: dict[str, int] = defaultdict(int)
            self._not_stored: dict[str, int] = defaultdict(int)

    def hit(self, n_bytes: int, seconds: float = 0.0) -> None:
        """Count a request that was answered from the cache, with the length of the body and the time it saved"""
        with self._lock:
            self._hits += 1
            self._bytes_served += n_bytes
            self._seconds_saved += seconds

    def served(self, name: str, n_bytes: int, seconds: float = 0.0) -> None:
        """The same for a request that is not a fresh hit"""
        with self._lock:
            self._counts[name] += 1
            self._bytes_served += n_bytes
            self._seconds_saved += seconds

    def add(self, name: str, number: int = 1) -> None:
        """Add to any other counter"""
        with self._lock:
            self._counts[name] += number

    def miss(self, reason: str) -> None:
        with self._lock:
            self._counts['misses'] += 1
            self._misses[reason] += 1

    def not_stored(self, reason: str) -> None:
        with self._lock:
            self._not_stored[reason] += 1

    def read(self) -> Statistics:
        """The current numbers"""
        with self._lock:
            return Statistics(
                **self._counts,
                hits=self._hits,
                bytes_served=self._bytes_served,
                misses_by_reason=dict(self._misses),
                not_stored_by_reason=dict(self._not_stored),
                seconds_saved=self._seconds_saved,
            )

    def __reduce__(self) -> tuple[type[Counters], tuple[()]]:
        return Counters, ()
