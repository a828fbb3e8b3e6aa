"""Bounds of a cache: the least recently used entries are evicted to make room for new ones

This module is independent of the store. A store has an index of its entries (`Index`) with their sizes and the times of
their last use. The algorithm is LRU with batched touches. A hit is recorded in memory (`Uses`), without writing to the
store. The next write, or occasionally a hit, passes all recorded uses to the index. So the order is exact within a
process, and delayed by a few seconds among several processes.

The index is always ahead of the store. A writer first reserves space for its entry in the index, then evicts other
entries, and writes its entry last. An evicted entry is deleted before it is removed from the index. So even after an
interruption, the index accounts for all stored entries, and the bounds hold.
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

# A hit passes the recorded uses to the index after this time, or if there are this many of them
FLUSH_SECONDS = 10.0
MAX_USES = 4096
# How many candidates are read at a time: few at first, and more if needed, for example after a bound was lowered
FIRST_CANDIDATES, MOST_CANDIDATES = 16, 512
# If entries must be evicted, up to this fraction (1/n) of the bounds is evicted in advance, for the next few writes
ONE_IN = 100
# How many entries that expired long ago are deleted with each write
EXPIRED_PER_WRITE = 8
_UNITS = {'': 1, 'k': 10**3, 'm': 10**6, 'g': 10**9, 't': 10**12, 'ki': 2**10, 'mi': 2**20, 'gi': 2**30, 'ti': 2**40}
_SIZE = lazy_pattern(r'\s*([0-9][0-9_]{,30}(?:\.[0-9]+)?)\s*([kmgt]i?|)b?\s*', re.IGNORECASE | re.ASCII)


class Usage(NamedTuple):
    """The total size and number of entries in an index"""

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
        usage: The usage afterwards
        stuck: Keys of entries that could not be deleted
    """

    usage: Usage
    stuck: Collection[str] = ()


class Bounds(NamedTuple):
    """The bounds of a cache

    Args:
        max_bytes: Maximum total size of all entries, including their bodies; None for no bound
        max_entries: Maximum number of entries; None for no bound
        max_entry_bytes: Maximum size of a single entry; by default `max_bytes`
    """

    max_bytes: int | None = None
    max_entries: int | None = None
    max_entry_bytes: int | None = None

    @classmethod
    def of(cls, max_cache_bytes: Any = None, max_entries: Any = None) -> Bounds | None:
        """Create bounds from the keywords of a backend; None if there are none

        Args:
            max_cache_bytes: A number of bytes, or text such as '500 MB' or '2 GiB'
            max_entries: A number of entries

        Raises:
            TypeError, ValueError: A value is invalid
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
        """Maximum size of a single entry, in bytes; None for no limit"""
        return self.max_bytes if self.max_entry_bytes is None else self.max_entry_bytes

    def check(self, n_bytes: int) -> None:
        """
        Raises:
            EntryTooLargeError: An entry of this size must not be stored
        """
        if self.largest is not None and n_bytes > self.largest:
            raise EntryTooLargeError(f'its size of {n_bytes} bytes exceeds the maximum of {self.largest}')

    def room(self, usage: Usage) -> Usage:
        """The free space: negative if a bound is exceeded, a very large number if there is no bound"""
        limits = self.part(1)
        return Usage(limits.n_bytes - usage.n_bytes, limits.n_entries - usage.n_entries)

    def part(self, one_in: int) -> Usage:
        """The fraction 1/`one_in` of the bounds; a very large number if there is no bound"""
        n_bytes, n_entries = (maxsize if limit is None else limit // one_in for limit in self[:2])
        return Usage(n_bytes, n_entries)


def to_bytes(name: str, value: Any) -> int:
    """Parse a size in bytes: a number, or text such as '500 MB' (1 MB is 1000 kB) or '2 GiB' (1 GiB is 1024 MiB)

    Args:
        name: Name of the value in error messages
        value: The number or text

    Raises:
        TypeError, ValueError: The value is not a size
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
    """The index of the entries in a store; each method may raise a `BackendError`"""

    @abstractmethod
    def touch(self, uses: Mapping[str, int]) -> None:
        """Record when entries were last used; keys that do not exist are ignored

        Args:
            uses: Nanoseconds since the epoch, by key
        """

    @abstractmethod
    def reserve(self, key: str, n_bytes: int) -> Usage:
        """Account for an entry that is about to be written, as used now

        If it replaces an older entry, the larger of both sizes counts until the new one is written.

        Args:
            key: Key of the entry
            n_bytes: Size of the entry, as the store counts it

        Returns:
            The usage including the entry
        """

    @abstractmethod
    def oldest(self, count: int) -> Sequence[Candidate]:
        """The least recently used entries, in order"""

    @abstractmethod
    def evict(self, keys: Sequence[str]) -> Eviction:
        """Delete entries, and then remove them from the index"""


class _Noted(local):
    evicted: list[str] | None = None


_noted = _Noted()


@contextmanager
def evictions() -> Iterator[list[str]]:
    """A block that collects the keys of entries that this thread evicts"""
    before, _noted.evicted = _noted.evicted, []
    try:
        yield _noted.evicted
    finally:
        _noted.evicted = before


def note_evicted(keys: Iterable[str]) -> None:
    """Report evicted entries to the surrounding `evictions` block, if any"""
    if _noted.evicted is not None:
        _noted.evicted += keys


@contextmanager
def forgotten_on_error() -> Iterator[None]:
    """A block, such as a transaction, whose evictions are not reported if it raises an exception"""
    noted = _noted.evicted
    count = len(noted) if noted is not None else 0
    try:
        yield
    except BaseException:
        if noted is not None:
            del noted[count:]
        raise


def make_room(index: Index, bounds: Bounds, key: str, n_bytes: int, more: Usage | None = None) -> list[str]:
    """Reserve space in the index for an entry that is about to be written, and evict entries if necessary

    Args:
        index: The index
        bounds: The bounds
        key: Key of the entry
        n_bytes: Size of the entry, as the store counts it
        more: How much may be evicted in advance if entries must be evicted; by default 1 % of the bounds

    Returns:
        Keys of the evicted entries

    Raises:
        EntryTooLargeError: The entry is too large to be stored; nothing was evicted
        BackendError: Not enough entries can be deleted
    """
    bounds.check(n_bytes)
    usage = index.reserve(key, n_bytes)
    return evict_excess(index, bounds, usage, {key}, bounds.part(ONE_IN) if more is None else more)


def evict_excess(
    index: Index, bounds: Bounds, usage: Usage, staying: Collection[str] = (), more: Usage = NOTHING
) -> list[str]:
    """Evict entries until the bounds hold

    Args:
        index: The index
        bounds: The bounds
        usage: The current usage
        staying: Keys of entries that must not be evicted
        more: See `make_room`

    Returns:
        Keys of the evicted entries

    Raises:
        BackendError: Not enough entries can be deleted
    """
    evicted: list[str] = []
    staying, count = set(staying), FIRST_CANDIDATES
    while min(room := bounds.room(usage)) < 0:
        oldest = index.oldest(count + len(staying))
        keys = _enough([candidate for candidate in oldest if candidate.key not in staying], room, more)
        if not keys:
            raise BackendError('The cache is full, and no more entries can be deleted')
        usage, stuck = index.evict(keys)
        if stuck:
            logger.warning('%d entries could not be deleted to make room', len(stuck))
            staying.update(stuck)
        evicted += (k for k in keys if k not in staying)
        note_evicted(k for k in keys if k not in staying)
        count = min(2 * count, MOST_CANDIDATES)
    return evicted


def _enough(candidates: Sequence[Candidate], room: Usage, more: Usage) -> list[str]:
    """Keys of as many candidates as must be evicted to free `room`, and of those that can be evicted in advance"""
    missing_bytes, missing_entries = max(-room.n_bytes, 0), max(-room.n_entries, 0)
    keys = []
    for candidate in candidates:
        is_in_the_way = missing_bytes > 0 or missing_entries > 0
        missing_bytes -= candidate.n_bytes
        missing_entries -= 1
        if not is_in_the_way and (missing_bytes < -more.n_bytes or missing_entries < -more.n_entries):
            break
        keys.append(candidate.key)
    return keys


class Uses:
    """Records the uses of entries until they are passed to the index

    Args:
        flush: A function that is called occasionally to pass the uses (`take`) to the index, without waiting or raising
            an error
    """

    def __init__(self, flush: Callable[[], object]):
        self._uses: dict[str, int] = {}
        self._last_ns = 0
        self._flush = flush
        self._flushed_at = monotonic()

    def note(self, key: str) -> None:
        """Record that an entry was used now"""
        self._uses[key] = self.now_ns()
        if len(self._uses) >= MAX_USES or monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.postpone()
            self._flush()

    def take(self) -> dict[str, int]:
        """Remove and return the recorded uses: nanoseconds since the epoch, by key"""
        self.postpone()
        uses, self._uses = self._uses, {}
        return uses

    def give_back(self, uses: Mapping[str, int]) -> None:
        """Keep uses for later that could not be written; only the latest, so that hits do not soon try again"""
        kept = {**uses, **self._uses}
        if len(kept) > MAX_USES // 2:
            kept = dict(sorted(kept.items(), key=itemgetter(1))[-MAX_USES // 2 :])
        self._uses = kept

    def postpone(self) -> None:
        """Do not write uses on hits for a while"""
        self._flushed_at = monotonic()

    def __bool__(self) -> bool:
        return bool(self._uses)

    def now_ns(self) -> int:
        """Nanoseconds since the epoch; strictly increasing, so that uses are ordered"""
        self._last_ns = now = max(time_ns(), self._last_ns + 1)
        return now
