"""The index of a bounded storage in Redis

NAMESPACE-index:{NAMESPACE:}:used, :ends, :sizes, :writers    see `scripts`

No entry has such a name, as keys are escaped, see `names`. On one server, a script makes room and writes an entry in
one step. In a cluster, entries and index are on different servers. There, a script reserves room, evicted entries are
deleted before they are removed from the index, and the new entry is written last. An entry is not evicted while it is
being written.
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
# Larger than any bound, and exact as a number in Lua
UNBOUNDED = 2**53 - 1
# Bounds that are always exceeded
NOTHING = (-1, -1)
# How often, and for how long, to wait for other writers while there is nothing to evict
MAX_WAITS, WAIT_SECONDS = 20, 0.01

# Arguments of a script, a tuple for each entry
Items = Sequence[tuple[Any, ...]]


class IncompleteError(Exception):
    """Not all entries are in the index yet; the argument is the generation of the index"""


class IndexAccess:
    """The names of an index, and conversions for the arguments and replies of its scripts

    Args:
        storage: The storage
    """

    def __init__(self, storage: Entries):
        namespace = storage.namespace
        self._storage = storage
        self.start = encode(f'{namespace}:')
        # Whether scripts can create the names of entries, which is only possible without braces
        self.is_plain = b'{' not in self.start and b'}' not in self.start
        # Prefix of the names of the index; the first braces in it, perhaps those of the namespace, determine the slot
        tag = b':' + self.start if self.start.startswith(b'}') else self.start
        self._base = encode(f'{namespace}-index:').replace(b'{}', b'{:}') + b'{%b}:' % tag
        # Matches all names of entries, and some others
        self.pattern = pattern_of(encode(namespace))[:-1] + b'[-:]*'

    @property
    def names(self) -> tuple[bytes, ...]:
        """Names of the index, all in one slot"""
        return tuple(self._base + encode(value) for value in VALUES)

    @property
    def client(self) -> Any:
        return self._storage._connection.client

    @property
    def is_distributed(self) -> bool:
        """Whether entries may be on other servers than the index"""
        return is_cluster(self.client)

    def run(self, script: Script, *arguments: Any) -> Any:
        return script.run(self.client, (self._base,), *arguments)

    def queue(self, pipeline: Any, script: Script, arguments: Iterable[Any]) -> None:
        script.queue(pipeline, self._base, arguments=arguments)

    def member(self, key: str) -> bytes:
        """The name of an entry in the index"""
        return name_of_entry(self._storage.namespace, key)[len(self.start) :]

    def use_items(self, uses: Mapping[str, int]) -> Items:
        """Convert uses to arguments of a script: members and microseconds, no two of which are equal"""
        last, items = 0, []
        for key, nanoseconds in sorted(uses.items(), key=itemgetter(1)) if uses else ():
            last = max(nanoseconds // 1000, last + 1)
            items.append((self.member(key), last))
        return items

    def key(self, member: bytes) -> str:
        key = key_of_entry(self._storage.namespace, self.start + member)
        if key is None:
            raise BackendError(f'The index of the cache contains {member!r}, which is not an entry; clear the cache')
        return key


def microseconds() -> int:
    """The current time in microseconds since the epoch"""
    return time_ns() // 1000


def removed_at(seconds: int | None) -> int:
    """When Redis removes a value with a lifetime, in seconds since the epoch; 0 for never"""
    return 0 if seconds is None else int(time()) + seconds


def limits_of(bounds: Bounds) -> tuple[int, int]:
    """Bounds as numbers of bytes and entries"""
    n_bytes, n_entries = (UNBOUNDED if bound is None else min(bound, UNBOUNDED) for bound in bounds[:2])
    return n_bytes, n_entries


def join_numbers(numbers: Iterable[int]) -> str:
    """Numbers as one argument of a script"""
    return ' '.join(map(str, numbers))


class PendingUpdates:
    """Updates of a cluster's index that can wait, as the index may account for too much

    If they are lost, written entries cannot be evicted for a minute, and evicted entries stay in the index until they
    are chosen for eviction again.
    """

    def __init__(self) -> None:
        # Member, token, size, when Redis removes it
        self.written: deque[tuple[bytes, str, int, int]] = deque()
        # Member, when it was last used, number of names that remain to be deleted
        self.evicted: deque[tuple[bytes, bytes, int]] = deque()

    def __bool__(self) -> bool:
        return bool(self.written or self.evicted)


def drain(items: deque[T]) -> list[T]:
    """Remove and return all items"""
    found: list[T] = []
    with suppress(IndexError):
        while items:
            found.append(items.popleft())
    return found


class RedisIndex(Index):
    """The index while no entry is written

    Args:
        access: Access to the index
        limits: The bounds: bytes and entries
        delete: Deletes entries that are on other servers; otherwise returns their names, so that a script deletes them
        pending: Pending updates of the index
    """

    # How many candidates to request; the known candidates, and when they were last used
    _count = FIRST_CANDIDATES + 1
    _oldest: Sequence[Candidate] = ()
    _last_used: Mapping[str, bytes] = {}
    _uses: Items = ()
    # The usage of the index; in a cluster, the number of entries that are being written, and the size and the removal
    # time of the entry that is being replaced
    usage = Usage(0, 0)
    n_writers = 0
    old = (-1, 0)

    def __init__(
        self,
        access: IndexAccess,
        limits: tuple[int, int],
        delete: Callable[[Sequence[str]], Iterable[tuple[bytes, ...]]],
        pending: PendingUpdates,
    ):
        self.access = access
        self.limits = limits
        self._delete = delete
        self._pending = pending

    def touch(self, uses: Mapping[str, int]) -> None:
        """Record uses with the next step"""
        self._uses = self.access.use_items(uses)

    def reserve(self, key: str, n_bytes: int) -> Usage:
        return self.step()

    def oldest(self, count: int) -> list[Candidate]:
        for _ in range(MAX_WAITS):
            if not self._oldest:
                self.step(limits=NOTHING)  # so that it lists candidates, even if there is room
            if self._oldest or self.n_writers <= 1:
                break
            sleep(WAIT_SECONDS)  # other writers have reserved all the room, and are about to write
        return list(self._oldest[:count])

    def evict(self, keys: Sequence[str]) -> Eviction:
        return Eviction(self.step(self._evictions(keys)))

    def _evictions(self, keys: Sequence[str]) -> Items:
        last_used = self._last_used
        self._count = min(2 * self._count, MOST_CANDIDATES + 1)
        names = self._delete(keys)
        return [(self.access.member(key), last_used[key], len(n), *n) for key, n in zip(keys, names, strict=True)]

    def step(self, evictions: Items = (), new: Items = (), limits: tuple[int, int] | None = None) -> Usage:
        """Update the index with all pending updates, evictions and a new entry; returns the usage

        Args:
            evictions: Entries to evict: member, when it was last used, number of names, names
            new: An entry to write: member, token, size, when Redis removes it
            limits: The bounds, if they differ from the usual ones
        """
        pending = self._pending
        items = (drain(pending.written), self._take_uses(), [*drain(pending.evicted), *evictions], new)
        head = join_numbers((microseconds(), *(limits or self.limits), self._count, *map(len, items)))
        reply = self.access.run(STEP, head, *chain.from_iterable(chain.from_iterable(items)))
        if reply[0] == b'incomplete':
            raise IncompleteError(reply[1])
        self.n_writers, n_bytes, n_entries, *rest = reply
        if rest:
            self.old = rest[0], rest[1]
            self._note(rest[2:])
        self.usage = Usage(n_bytes, n_entries)
        return self.usage

    def _take_uses(self) -> Items:
        uses, self._uses = self._uses, ()
        return uses

    def _note(self, candidates: Sequence[Any]) -> None:
        found = [(self.access.key(member), at, size) for member, at, size in zip(*(iter(candidates),) * 3, strict=True)]
        self._oldest = [Candidate(key, size) for key, _, size in found]
        self._last_used = {key: at for key, at, _ in found}
