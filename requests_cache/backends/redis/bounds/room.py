"""Making room for an entry and writing it: in one step on one server, in several steps in a cluster"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import chain
from os import urandom
from typing import Any, NamedTuple

from ....exceptions import BackendError
from ...eviction import FIRST_CANDIDATES, Eviction, Usage, record_evicted
from ..connection import RedisConnection
from ..writes import Write
from .index import IncompleteError, IndexAccess, Items, RedisIndex, microseconds
from .room_scripts import RUN, WRITE
from .scripting import as_arguments

# How often all entries are counted while others start the index again
MAX_COUNTS = 10
# The usage after an entry was written; all that matters is that it does not exceed the bounds
WRITTEN = Usage(0, 0)
# Instead of seconds: commands write the entry
BY_COMMANDS = -1


class Entry(NamedTuple):
    """An entry to write

    Args:
        member: Its name in the index
        names: Names of the string and of the hash
        size: Its size in bytes
        value: The string, or the entry without its large body
        seconds: After how many seconds Redis removes it; None for never
        removed_at: When Redis removes it, in seconds since the epoch; 0 for never
        write: The commands that write it
    """

    member: bytes
    names: tuple[bytes, bytes]
    size: int
    value: Any
    seconds: int | None
    removed_at: int
    write: Write


class WritingIndex(RedisIndex):
    """The index while an entry is written

    Args:
        entry: The entry
        connection: Connection to its server
        complete: Called with the generation of an incomplete index; adds all stored entries to it
        others: As for `RedisIndex`
    """

    def __init__(self, entry: Entry, connection: RedisConnection, complete: Callable[[bytes], None], *others: Any):
        super().__init__(*others)
        self._entry = entry
        self._connection = connection
        self._complete = complete

    def reserve(self, key: str, n_bytes: int) -> Usage:
        return self._add_entry()

    def _add_entry(self) -> Usage:
        for _ in range(MAX_COUNTS):
            try:
                return self._try_to_add()
            except IncompleteError as e:  # noqa: PERF203
                self._complete(*e.args)
        raise BackendError(f'Could not complete the index of the cache: it was started again {MAX_COUNTS} times')

    @abstractmethod
    def _try_to_add(self) -> Usage:
        """Add the new entry to the index"""


class ServerIndex(WritingIndex):
    """On one server, the entry is written as soon as there is room for it"""

    def evict(self, keys: Sequence[str]) -> Eviction:
        super().evict(keys)
        return Eviction(self._add_entry())

    def _try_to_add(self) -> Usage:
        reply = write_at_once(self._connection, self.access, self.limits, self._entry, self._take_uses(), self._count)
        if is_written(self.access, reply):
            return WRITTEN
        if reply[0] == b'incomplete':
            raise IncompleteError(reply[1])
        _, n_bytes, n_entries, *candidates = reply
        self._note(candidates)
        return Usage(n_bytes, n_entries)


def is_written(access: IndexAccess, reply: Any) -> bool:
    """Whether an entry was written, according to the reply of `WRITE`; also records which entries were evicted"""
    if reply != 1 and reply[0] == b'written':
        record_evicted(access.key(member) for member in reply[1:])
        return True
    return bool(reply == 1)


def write_at_once(
    connection: RedisConnection,
    access: IndexAccess,
    limits: tuple[int, int],
    entry: Entry,
    uses: Items = (),
    count: int = FIRST_CANDIDATES + 1,
) -> Any:
    """Write an entry on the server of the index, if there is room, or if the script can evict enough in one step

    Args:
        connection: Connection to the server
        access: Access to the index
        limits: The bounds
        entry: The entry
        uses: Uses to record in the index
        count: How many candidates to request if there is no room

    Returns:
        The reply of `WRITE`
    """

    def arguments(count: int, is_plain: bool, seconds: int) -> list[Any]:
        head = (
            f'{microseconds()} {limits[0]} {limits[1]} {count} {len(uses)} {len(access.start)} {is_plain:d} '
            f'{entry.size} {entry.removed_at} {seconds}'
        )
        return [head, *entry.names, *chain.from_iterable(uses)]

    write = entry.write
    if not write.watched:
        return access.run(WRITE, *arguments(count, access.is_plain, entry.seconds or 0), entry.value)

    def attempt(pipeline: Any) -> Any:
        """Evicts nothing and requests no candidates, as some clients would decode their names here"""
        commands = as_arguments(write.begin(pipeline))
        access.queue(pipeline, WRITE, [*arguments(0, False, BY_COMMANDS), *commands])
        return pipeline.execute()[-1]

    reply = connection.in_transaction(write.watched[0], attempt)
    return [each.encode() if isinstance(each, str) else each for each in reply] if reply != 1 else reply


class ClusterIndex(WritingIndex):
    """In a cluster, room is reserved first, and the entry is written when there is enough"""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self._token = urandom(8).hex()
        self._old: tuple[int, int] | None = None

    def evict(self, keys: Sequence[str]) -> Eviction:
        """Delete entries; the next step removes them from the index"""
        evictions = self._evictions(keys)
        self._pending.evicted += evictions
        gone = {candidate for candidate in self._oldest if candidate.key in set(keys)}
        self._oldest = [candidate for candidate in self._oldest if candidate not in gone]
        n_bytes = self.usage.n_bytes - sum(candidate.n_bytes for candidate in gone)
        self.usage = Usage(n_bytes, self.usage.n_entries - len(gone))
        return Eviction(self.usage)

    def _try_to_add(self) -> Usage:
        entry = self._entry
        usage = self.step(new=[(entry.member, self._token, entry.size, entry.removed_at)])
        if self._old is None:
            self._old = self.old
        return usage

    def write(self) -> None:
        """Write the entry, now that there is room"""
        write = self._entry.write
        if write.watched:
            write.execute(self._connection)
        else:
            client = self._connection.client
            RUN.run(client, write.names, *as_arguments(write.commands(client)))

    def pending_update(self, is_written: bool) -> tuple[bytes, str, int, int]:
        """The pending update of the index after writing

        Args:
            is_written: Whether the entry was written; otherwise the old entry still exists
        """
        size, removed_at = (self._entry.size, self._entry.removed_at) if is_written else self._old or (-1, 0)
        return self._entry.member, self._token, size, removed_at
