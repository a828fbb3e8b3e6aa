"""Bounds of a cache: what was least recently used makes room for what is new

Nothing here knows a store. A store keeps an index of its entries (`Index`): how large each one is, and when it was last
used. The algorithm is LRU with batched touches. A hit is noted in memory (`Uses`) and writes nothing; the next write to
the store, or once in a while a hit, tells the index of all uses since then. So the order is exact within a process, and
a few seconds behind among several.

The index is ahead of the store. A writer first reserves room for its entry, then evicts what is in the way, and writes
the entry last; an evicted entry is deleted before the index forgets it. Whatever happens in between, the index accounts
for at least what is stored, and the bounds hold.
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

# Hits tell the index what was used when this time has passed, or when there are so many uses to tell
FLUSH_SECONDS = 10.0
MAX_USES = 4096
# Candidates that are looked at together: few at first, and more if that is not enough, as after a bound was lowered
FIRST_CANDIDATES, MOST_CANDIDATES = 16, 512
# When there is no room, up to one in so many bytes and entries more is evicted, so that the next few writes find room
ONE_IN = 100
# So many entries that have long expired are deleted with each write
EXPIRED_PER_WRITE = 8
_UNITS = {'': 1, 'k': 10**3, 'm': 10**6, 'g': 10**9, 't': 10**12, 'ki': 2**10, 'mi': 2**20, 'gi': 2**30, 'ti': 2**40}
_SIZE = lazy_pattern(r'\s*([0-9][0-9_]{,30}(?:\.[0-9]+)?)\s*([kmgt]i?|)b?\s*', re.IGNORECASE | re.ASCII)


class Usage(NamedTuple):
    """What an index accounts for"""

    n_bytes: int
    n_entries: int


NOTHING = Usage(0, 0)


class Candidate(NamedTuple):
    """An entry that may be evicted"""

    key: str
    n_bytes: int


class Eviction(NamedTuple):
    """What came of an attempt to evict entries

    Args:
        usage: What is left
        stuck: Keys of those that could not be deleted
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
        """Bounds from the keywords of a backend; None if there are none

        Args:
            max_cache_bytes: A number of bytes, or text such as '500 MB' or '2 GiB'
            max_entries: A number

        Raises:
            TypeError, ValueError: They cannot be understood
        """
        if max_cache_bytes is None and max_entries is None:
            return None
        if max_entries is not None and (isinstance(max_entries, bool) or not isinstance(max_entries, int)):
            raise TypeError(f'max_entries must be a whole number, not {max_entries!r}')
        if max_entries is not None and max_entries < 1:
            raise ValueError(f'max_entries must be at least 1, but is {max_entries}')
        return cls(None if max_cache_bytes is None else to_bytes('max_cache_bytes', max_cache_bytes), max_entries)

    @property
    def largest(self) -> int | None:
        """Size of the largest entry that may be kept, in bytes; None for any"""
        return self.max_bytes if self.max_entry_bytes is None else self.max_entry_bytes

    def check(self, n_bytes: int) -> None:
        """
        Raises:
            EntryTooLargeError: An entry of this size is not to be kept
        """
        if self.largest is not None and n_bytes > self.largest:
            raise EntryTooLargeError(f'its {n_bytes} bytes are more than the {self.largest} that may be kept')

    def room(self, usage: Usage) -> Usage:
        """How much more may be held: less than nothing if it is too much, a very large number without a bound"""
        limits = self.part(1)
        return Usage(limits.n_bytes - usage.n_bytes, limits.n_entries - usage.n_entries)

    def part(self, one_in: int) -> Usage:
        """One in so many of the bytes and entries that may be held; a very large number where there is no bound"""
        n_bytes, n_entries = (maxsize if limit is None else limit // one_in for limit in self[:2])
        return Usage(n_bytes, n_entries)


def to_bytes(name: str, value: Any) -> int:
    """A size in bytes from a number, or from text such as '500 MB' (of 1000 kB) or '2 GiB' (of 1024 MiB)

    Args:
        name: What to call it in an error
        value: The number or text

    Raises:
        TypeError, ValueError: It is no size
    """
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if match is None:
            raise ValueError(f"{name} must be a number of bytes, or text such as '500 MB' or '2 GiB', not {value!r}")
        number, unit = match[1].replace('_', ''), match[2].lower()
        # A float is exact up to 8 PiB only
        value = int((float(number) if '.' in number else int(number)) * _UNITS[unit])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of bytes, or text such as '500 MB' or '2 GiB', not {value!r}")
    if not 1 <= value < 2**63:
        raise ValueError(f'{name} must be between 1 byte and 8 EiB, but is {value}')
    return int(value)


class Index(ABC):
    """What a store keeps about its entries; each method may raise a `BackendError`"""

    @abstractmethod
    def touch(self, uses: Mapping[str, int]) -> None:
        """Note when entries were last used; keys that there are no entries for are passed over

        Args:
            uses: Nanoseconds since the epoch, by key
        """

    @abstractmethod
    def reserve(self, key: str, n_bytes: int) -> Usage:
        """Account for an entry that is about to be written, and is used now

        If there is an older one under the key, the larger of both counts until the new one is written.

        Args:
            key: Its key
            n_bytes: Its size, as the store counts it

        Returns:
            What is accounted for now
        """

    @abstractmethod
    def oldest(self, count: int) -> Sequence[Candidate]:
        """Entries that were not used for the longest time, in this order"""

    @abstractmethod
    def evict(self, keys: Sequence[str]) -> Eviction:
        """Delete entries, and then forget them"""


class _Noted(local):
    evicted: list[str] | None = None


_noted = _Noted()


@contextmanager
def evictions() -> Iterator[list[str]]:
    """A block that learns the keys of what is evicted in it, by this thread"""
    before, _noted.evicted = _noted.evicted, []
    try:
        yield _noted.evicted
    finally:
        _noted.evicted = before


def note_evicted(keys: Iterable[str]) -> None:
    """Let the block know that there may be (`evictions`) of entries that a store has evicted"""
    if _noted.evicted is not None:
        _noted.evicted += keys


@contextmanager
def forgotten_on_error() -> Iterator[None]:
    """A block in which nothing was evicted if it raises an exception, such as a transaction"""
    noted = _noted.evicted
    count = len(noted) if noted is not None else 0
    try:
        yield
    except BaseException:
        if noted is not None:
            del noted[count:]
        raise


def make_room(index: Index, bounds: Bounds, key: str, n_bytes: int, more: Usage | None = None) -> list[str]:
    """Have an index account for an entry that is about to be written, and evict what is in its way

    Args:
        index: The index
        bounds: The bounds
        key: Key of the entry
        n_bytes: Its size, as the store counts it
        more: If something has to go, what may go besides; by default one in a hundred of what may be held

    Returns:
        The keys of what was evicted

    Raises:
        EntryTooLargeError: It is not to be kept; nothing was evicted
        BackendError: There is not enough that can be deleted
    """
    bounds.check(n_bytes)
    usage = index.reserve(key, n_bytes)
    return evict_excess(index, bounds, usage, {key}, bounds.part(ONE_IN) if more is None else more)


def evict_excess(
    index: Index, bounds: Bounds, usage: Usage, staying: Collection[str] = (), more: Usage = NOTHING
) -> list[str]:
    """Evict what is too much

    Args:
        index: The index
        bounds: The bounds
        usage: What the index accounts for
        staying: Keys of entries that are not to go
        more: See `make_room`

    Returns:
        The keys of what was evicted

    Raises:
        BackendError: There is not enough that can be deleted
    """
    evicted: list[str] = []
    staying, count = set(staying), FIRST_CANDIDATES
    while min(room := bounds.room(usage)) < 0:
        oldest = index.oldest(count + len(staying))
        keys = _enough([candidate for candidate in oldest if candidate.key not in staying], room, more)
        if not keys:
            raise BackendError('There is no room for more: nothing can be deleted any more')
        usage, stuck = index.evict(keys)
        if stuck:
            logger.warning('%d entries could not be deleted to make room', len(stuck))
            staying.update(stuck)
        evicted += (k for k in keys if k not in staying)
        note_evicted(k for k in keys if k not in staying)
        count = min(2 * count, MOST_CANDIDATES)
    return evicted


def _enough(candidates: Sequence[Candidate], room: Usage, more: Usage) -> list[str]:
    """Keys of as many candidates, in their order, as are in the way, and of as many after them as fit into some more"""
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
    """Entries that were used since the index was last told so

    Args:
        flush: Called once in a while to have the index told; it takes what there is (`take`), and neither waits nor
            raises an error
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
        """What the index is to be told: nanoseconds since the epoch, by key"""
        self.postpone()
        uses, self._uses = self._uses, {}
        return uses

    def give_back(self, uses: Mapping[str, int]) -> None:
        """Keep for later what the index could not be told; of many, the latest, so that hits do not try again soon"""
        kept = {**uses, **self._uses}
        if len(kept) > MAX_USES // 2:
            kept = dict(sorted(kept.items(), key=itemgetter(1))[-MAX_USES // 2 :])
        self._uses = kept

    def postpone(self) -> None:
        """Let hits write nothing for a while"""
        self._flushed_at = monotonic()

    def __bool__(self) -> bool:
        return bool(self._uses)

    def now_ns(self) -> int:
        """Nanoseconds since the epoch; always later than before, so that uses have an order"""
        self._last_ns = now = max(time_ns(), self._last_ns + 1)
        return now
