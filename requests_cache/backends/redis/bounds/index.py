"""The index of a bounded storage in Redis

NAMESPACE-index:{NAMESPACE:}:used, :ends, :sizes, :writers    see `scripts`

No entry has such a name, as keys are escaped, see `names`. On one server, a script makes room and writes an entry in
one step. In a cluster, entries are on other servers than the index. There, a script reserves room, what is evicted is
deleted before the index forgets it, and the entry is written last; nobody evicts one that is about to be written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from operator import itemgetter
from time import sleep, time, time_ns
from typing import Any, TypeVar

from ....exceptions import BackendError
from ...eviction import FIRST_CANDIDATES, MOST_CANDIDATES, Bounds, Candidate, Eviction, Index, Usage
from ..commands import is_cluster
from ..names import encode, key_of_entry, name_of_entry, pattern_of
from ..writes import Entries
from .room_scripts import STEP
from .scripting import Script

T = TypeVar('T')

VALUES = ('used', 'ends', 'sizes', 'writers')
# More than any bound, and exact as a number of Lua; less than there ever is
UNBOUNDED = 2**53 - 1
NOTHING = (-1, -1)
# How often, and for how long, to wait for other writers while there is nothing else to evict
MOST_WAITS, WAIT_SECONDS = 20, 0.01

# What a script takes for each of some entries
Items = Sequence[tuple[Any, ...]]


class IncompleteError(Exception):
    """Not all entries are accounted for yet; its argument is the generation of the index"""


class Place:
    """Where the index of a storage is, and what its scripts take and give

    Args:
        storage: The storage
    """

    def __init__(self, storage: Entries):
        namespace = storage.namespace
        self._storage = storage
        self.start = encode(f'{namespace}:')
        # Whether scripts can make names of entries, which takes that they have no braces
        self.is_plain = b'{' not in self.start and b'}' not in self.start
        # What names of the index begin with; what is first in braces, perhaps in the namespace, says which slot it is
        tag = b':' + self.start if self.start.startswith(b'}') else self.start
        self._base = encode(f'{namespace}-index:').replace(b'{}', b'{:}') + b'{%b}:' % tag
        # All names of entries, and some others
        self.pattern = pattern_of(encode(namespace))[:-1] + b'[-:]*'

    @property
    def names(self) -> tuple[bytes, ...]:
        """Names of the index, all in one slot"""
        return tuple(self._base + encode(value) for value in VALUES)

    @property
    def client(self) -> Any:
        return self._storage._connection.client

    @property
    def is_apart(self) -> bool:
        """Whether entries may be on other servers"""
        return is_cluster(self.client)

    def run(self, script: Script, *arguments: Any) -> Any:
        return script.run(self.client, (self._base,), *arguments)

    def queue(self, pipeline: Any, script: Script, arguments: Iterable[Any]) -> None:
        script.queue(pipeline, self._base, arguments=arguments)

    def member(self, key: str) -> bytes:
        """What an entry is called in the index"""
        return name_of_entry(self._storage.namespace, key)[len(self.start) :]

    def told(self, uses: Mapping[str, int]) -> Items:
        """Uses for a script, in microseconds that are not the same for any two"""
        last, told = 0, []
        for key, nanoseconds in sorted(uses.items(), key=itemgetter(1)) if uses else ():
            last = max(nanoseconds // 1000, last + 1)
            told.append((self.member(key), last))
        return told

    def key(self, member: bytes) -> str:
        key = key_of_entry(self._storage.namespace, self.start + member)
        if key is None:
            raise BackendError('The index of the cache holds something that is no entry')
        return key


def microseconds() -> int:
    """Since the epoch"""
    return time_ns() // 1000


def removed_at(seconds: int | None) -> int:
    """When Redis removes what it removes after some seconds, in seconds since the epoch; 0 for never"""
    return 0 if seconds is None else int(time()) + seconds


def most_of(bounds: Bounds) -> tuple[int, int]:
    """Bounds as numbers of bytes and of entries"""
    n_bytes, n_entries = (UNBOUNDED if bound is None else min(bound, UNBOUNDED) for bound in bounds[:2])
    return n_bytes, n_entries


def spaced(numbers: Iterable[int]) -> str:
    """Numbers as one argument of a script"""
    return ' '.join(map(str, numbers))


class Untold:
    """What the index of a cluster is to be told later, as it does no harm that it accounts for too much

    If it is never told, entries that have been written are not evicted for a minute, and evicted ones are forgotten
    when they are to be evicted once more.
    """

    def __init__(self) -> None:
        # Entry, token, size, when it is removed
        self.written: deque[tuple[bytes, str, int, int]] = deque()
        # Entry, when it was last used, number of its names that are left
        self.evicted: deque[tuple[bytes, bytes, int]] = deque()

    def __bool__(self) -> bool:
        return bool(self.written or self.evicted)


def taken(items: deque[T]) -> list[T]:
    """All there is, which is not there any more then"""
    found: list[T] = []
    with suppress(IndexError):
        while items:
            found.append(items.popleft())
    return found


class RedisIndex(Index):
    """The index, while nothing is written

    Args:
        place: Where it is
        most: The bounds: bytes and entries
        delete: Deletes entries that are on other servers; otherwise gives their names, for a script to do it
        untold: What is to be told
    """

    # How many candidates to ask for; those that are known, and when they were last used
    _count = FIRST_CANDIDATES + 1
    _oldest: Sequence[Candidate] = ()
    _last_used: Mapping[str, bytes] = {}
    _uses: Items = ()
    # What is accounted for; in a cluster, how many entries are about to be written, the size that the new one had
    # before, and when it was to be removed
    usage = Usage(0, 0)
    n_writers = 0
    old = (-1, 0)

    def __init__(
        self,
        place: Place,
        most: tuple[int, int],
        delete: Callable[[Sequence[str]], Iterable[tuple[bytes, ...]]],
        untold: Untold,
    ):
        self.place = place
        self.most = most
        self._delete = delete
        self._untold = untold

    def touch(self, uses: Mapping[str, int]) -> None:
        """Told with the next step"""
        self._uses = self.place.told(uses)

    def reserve(self, key: str, n_bytes: int) -> Usage:
        return self.step()

    def oldest(self, count: int) -> list[Candidate]:
        for _ in range(MOST_WAITS):
            if not self._oldest:
                self.step(most=NOTHING)  # lists them, whether there is room or not
            if self._oldest or self.n_writers <= 1:
                break
            sleep(WAIT_SECONDS)  # others have reserved all that there is, and are about to write
        return list(self._oldest[:count])

    def evict(self, keys: Sequence[str]) -> Eviction:
        return Eviction(self.step(self._evictions(keys)))

    def _evictions(self, keys: Sequence[str]) -> Items:
        last_used = self._last_used
        self._count = min(2 * self._count, MOST_CANDIDATES + 1)
        names = self._delete(keys)
        return [(self.place.member(key), last_used[key], len(n), *n) for key, n in zip(keys, names, strict=True)]

    def step(self, evictions: Items = (), new: Items = (), most: tuple[int, int] | None = None) -> Usage:
        """Tell the index what there is to tell; returns what is accounted for

        Args:
            evictions: Entries to be evicted: entry, when it was last used, number of names, names
            new: An entry to be written: entry, token, size, when it is removed
            most: The bounds, if others than usual
        """
        untold = self._untold
        items = (taken(untold.written), self._taken_uses(), [*taken(untold.evicted), *evictions], new)
        head = spaced((microseconds(), *(most or self.most), self._count, *map(len, items)))
        reply = self.place.run(STEP, head, *chain.from_iterable(chain.from_iterable(items)))
        if reply[0] == b'incomplete':
            raise IncompleteError(reply[1])
        self.n_writers, n_bytes, n_entries, *rest = reply
        if rest:
            self.old = rest[0], rest[1]
            self._note(rest[2:])
        self.usage = Usage(n_bytes, n_entries)
        return self.usage

    def _taken_uses(self) -> Items:
        uses, self._uses = self._uses, ()
        return uses

    def _note(self, candidates: Sequence[Any]) -> None:
        found = [(self.place.key(member), at, size) for member, at, size in zip(*(iter(candidates),) * 3, strict=True)]
        self._oldest = [Candidate(key, size) for key, _, size in found]
        self._last_used = {key: at for key, at, _ in found}
