"""Bounds of a cache: the least recently used entries are deleted to make room for new ones

This module does not depend on any store. A store keeps an index of its entries (`Index`): the size of each, and when it
was last used. The algorithm is LRU with batched touches. A hit is noted in memory (`Uses`), without a write. The next
write to the store, or occasionally a hit, updates the index with all uses since then. So the order is exact within a
process, and a few seconds behind between processes.

The index is ahead of the store. A writer first reserves room for its entry, then evicts other entries if necessary, and
writes its entry last. An evicted entry is deleted before it is removed from the index. So at any moment the index
accounts for at least what is stored, and the bounds hold.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from logging import getLogger
from operator import itemgetter
from sys import maxsize
from threading import local
from time import monotonic, time_ns
from typing import Any, NamedTuple

from .._utils import lazy_pattern
from ..exceptions import BackendError, EntryTooLargeError

logger = getLogger(__name__)

# A hit updates the index if this time has passed since the last update, or if this many uses are pending
FLUSH_SECONDS = 10.0
MAX_USES = 4096
# Number of candidates that are fetched at a time: few at first, more if that is not enough (after lowering a bound)
FIRST_CANDIDATES, MOST_CANDIDATES = 16, 512
# When entries are evicted, up to this fraction (one in 100) of the bounds is freed in addition, for the next writes
ONE_IN = 100
# Number of long-expired entries that are deleted with each write
EXPIRED_PER_WRITE = 8
_UNITS = {'': 1, 'k': 10**3, 'm': 10**6, 'g': 10**9, 't': 10**12, 'ki': 2**10, 'mi': 2**20, 'gi': 2**30, 'ti': 2**40}
_SIZE = lazy_pattern(r'\s*([0-9][0-9_]{,30}(?:\.[0-9]+)?)\s*([kmgt]i?|)b?\s*', re.IGNORECASE | re.ASCII)


class Usage(NamedTuple):
    """The size and number of the entries in an index"""

    n_bytes: int
    n_entries: int


NOTHING = Usage(0, 0)


class Candidate(NamedTuple):
    """An entry that may be evicted"""

    key: str
    n_bytes: int


class Eviction(NamedTuple):
    """The result of evicting entries

    Args:
        usage: The remaining usage
        stuck: Keys of the entries that could not be deleted
    """

    usage: Usage
    stuck: Collection[str] = ()


class Bounds(NamedTuple):
    """How much a cache may hold

    Args:
        max_bytes: Size of all entries together, with their bodies; None for no bound
        max_entries: Number of entries; None for no bound
        max_entry_bytes: Size of the largest entry; by default `max_bytes`
    """

    max_bytes: int | None = None
    max_entries: int | None = None
    max_entry_bytes: int | None = None

    @classmethod
    def of(cls, max_cache_bytes: Any = None, max_entries: Any = None) -> Bounds | None:
        """Bounds from the keywords of a backend; None if both are None

        Args:
            max_cache_bytes: A number of bytes, or text such as '500 MB' or '2 GiB'
            max_entries: A number

        Raises:
            TypeError, ValueError: One of them is invalid
        """
        if max_cache_bytes is None and max_entries is None:
            return None
        if max_entries is not None and (isinstance(max_entries, bool) or not isinstance(max_entries, int)):
            raise TypeError(f'max_entries must be a whole number, not {max_entries!r}')
        if max_entries is not None and max_entries < 1:
            raise ValueError(f'max_entries must be at least 1, not {max_entries}')
        return cls(None if max_cache_bytes is None else to_bytes('max_cache_bytes', max_cache_bytes), max_entries)

    @property
    def largest(self) -> int | None:
        """The maximum size of an entry in bytes; None for no maximum"""
        return self.max_bytes if self.max_entry_bytes is None else self.max_entry_bytes

    def check(self, n_bytes: int) -> None:
        """Check the size of an entry

        Raises:
            EntryTooLargeError: It exceeds the maximum
        """
        if self.largest is not None and n_bytes > self.largest:
            raise EntryTooLargeError(f'its size of {n_bytes} bytes exceeds the maximum of {self.largest}')

    def room(self, usage: Usage) -> Usage:
        """The remaining room: negative if a bound is exceeded, a very large number if there is no bound"""
        limits = self.fraction(1)
        return Usage(limits.n_bytes - usage.n_bytes, limits.n_entries - usage.n_entries)

    def fraction(self, one_in: int) -> Usage:
        """The bounds divided by a number; a very large number where there is no bound"""
        n_bytes, n_entries = (maxsize if limit is None else limit // one_in for limit in self[:2])
        return Usage(n_bytes, n_entries)


def to_bytes(name: str, value: Any) -> int:
    """Convert a number, or text such as '500 MB' (units of 1000) or '2 GiB' (units of 1024), to a number of bytes

    Args:
        name: Name of the value in error messages
        value: The number or text

    Raises:
        TypeError, ValueError: It is not a size
    """
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if match is None:
            raise ValueError(f"{name} must be a number of bytes, or text such as '500 MB' or '2 GiB', not {value!r}")
        number, unit = match[1].replace('_', ''), match[2].lower()
        # A float is exact only up to 8 PiB
        value = int((float(number) if '.' in number else int(number)) * _UNITS[unit])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of bytes, or text such as '500 MB' or '2 GiB', not {value!r}")
    if not 1 <= value < 2**63:
        raise ValueError(f'{name} must be between 1 byte and 8 EiB, not {value}')
    return int(value)


class Index(ABC):
    """The sizes and last uses of a store's entries; each method may raise a `BackendError`"""

    @abstractmethod
    def touch(self, uses: Mapping[str, int]) -> None:
        """Record when entries were last used; unknown keys are ignored

        Args:
            uses: Nanoseconds since the epoch, by key
        """

    @abstractmethod
    def reserve(self, key: str, n_bytes: int) -> Usage:
        """Account for an entry that is about to be written; this counts as a use

        If it replaces an entry, the larger of both sizes counts until it is written.

        Args:
            key: Key of the entry
            n_bytes: Size of the entry, as measured by the store

        Returns:
            The usage including this entry
        """

    @abstractmethod
    def oldest(self, count: int) -> Sequence[Candidate]:
        """The least recently used entries, the oldest first"""

    @abstractmethod
    def evict(self, keys: Sequence[str]) -> Eviction:
        """Delete entries from the store, and then from the index"""


class _Recorded(local):
    evicted: list[str] | None = None


_recorded = _Recorded()


@contextmanager
def evictions() -> Iterator[list[str]]:
    """A block in which the keys of entries that this thread evicts are collected in a list"""
    before, _recorded.evicted = _recorded.evicted, []
    try:
        yield _recorded.evicted
    finally:
        _recorded.evicted = before


def record_evicted(keys: Iterable[str]) -> None:
    """Add the keys of evicted entries to the list of the enclosing `evictions` block, if any"""
    if _recorded.evicted is not None:
        _recorded.evicted += keys


@contextmanager
def unrecorded_on_error() -> Iterator[None]:
    """A block whose evictions are not reported if it raises an exception, as they were rolled back"""
    recorded = _recorded.evicted
    count = len(recorded) if recorded is not None else 0
    try:
        yield
    except BaseException:
        if recorded is not None:
            del recorded[count:]
        raise


def make_room(index: Index, bounds: Bounds, key: str, n_bytes: int, extra: Usage | None = None) -> list[str]:
    """Account for an entry that is about to be written, and evict other entries if there is no room for it

    Args:
        index: The index
        bounds: The bounds
        key: Key of the entry
        n_bytes: Size of the entry, as measured by the store
        extra: How much more to free if any entries are evicted; by default one hundredth of the bounds

    Returns:
        The keys of the evicted entries

    Raises:
        EntryTooLargeError: The entry exceeds the maximum size; nothing was evicted
        BackendError: Not enough entries can be deleted
    """
    bounds.check(n_bytes)
    usage = index.reserve(key, n_bytes)
    return evict_excess(index, bounds, usage, {key}, bounds.fraction(ONE_IN) if extra is None else extra)


def evict_excess(
    index: Index, bounds: Bounds, usage: Usage, protected: Collection[str] = (), extra: Usage = NOTHING
) -> list[str]:
    """Evict entries until the bounds are met

    Args:
        index: The index
        bounds: The bounds
        usage: The current usage of the index
        protected: Keys of entries that must not be evicted
        extra: How much more to free if any entries are evicted

    Returns:
        The keys of the evicted entries

    Raises:
        BackendError: Not enough entries can be deleted
    """
    evicted: list[str] = []
    protected, count = set(protected), FIRST_CANDIDATES
    while min(room := bounds.room(usage)) < 0:
        oldest = index.oldest(count + len(protected))
        keys = _enough([candidate for candidate in oldest if candidate.key not in protected], room, extra)
        if not keys:
            raise BackendError('There is no room for the entry, because no other entry can be deleted')
        usage, stuck = index.evict(keys)
        if stuck:
            logger.warning('Could not delete %d entries to make room', len(stuck))
            protected.update(stuck)
        evicted += (k for k in keys if k not in protected)
        record_evicted(k for k in keys if k not in protected)
        count = min(2 * count, MOST_CANDIDATES)
    return evicted


def _enough(candidates: Sequence[Candidate], room: Usage, extra: Usage) -> list[str]:
    """Keys of the first candidates that make up for negative room, and of those after them that fit into `extra`"""
    missing_bytes, missing_entries = max(-room.n_bytes, 0), max(-room.n_entries, 0)
    keys = []
    for candidate in candidates:
        is_required = missing_bytes > 0 or missing_entries > 0
        missing_bytes -= candidate.n_bytes
        missing_entries -= 1
        if not is_required and (missing_bytes < -extra.n_bytes or missing_entries < -extra.n_entries):
            break
        keys.append(candidate.key)
    return keys


class Uses:
    """Uses of entries that are not in the index yet

    Args:
        flush: Called occasionally to update the index; it should call `take`, and neither block nor raise an exception
    """

    def __init__(self, flush: Callable[[], object]):
        self._uses: dict[str, int] = {}
        self._last_ns = 0
        self._flush = flush
        self._flushed_at = monotonic()

    def note(self, key: str) -> None:
        """Note that an entry was used just now"""
        self._uses[key] = self.now_ns()
        if len(self._uses) >= MAX_USES or monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.postpone()
            self._flush()

    def take(self) -> dict[str, int]:
        """Remove and return all pending uses: nanoseconds since the epoch, by key"""
        self.postpone()
        uses, self._uses = self._uses, {}
        return uses

    def give_back(self, uses: Mapping[str, int]) -> None:
        """Keep uses for later, as the index could not be updated

        Only the latest ones are kept, at most half of MAX_USES, so that hits do not retry soon.
        """
        kept = {**uses, **self._uses}
        if len(kept) > MAX_USES // 2:
            kept = dict(sorted(kept.items(), key=itemgetter(1))[-MAX_USES // 2 :])
        self._uses = kept

    def postpone(self) -> None:
        """Keep hits from updating the index for a while"""
        self._flushed_at = monotonic()

    def __bool__(self) -> bool:
        return bool(self._uses)

    def now_ns(self) -> int:
        """Nanoseconds since the epoch; each call returns a larger number, so that uses have an order"""
        self._last_ns = now = max(time_ns(), self._last_ns + 1)
        return now
