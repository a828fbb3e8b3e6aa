"""Making room for an entry, and writing it: in one step on one server, in several steps in a cluster"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import chain
from os import urandom
from typing import Any, NamedTuple

from ....exceptions import BackendError
from ...eviction import FIRST_CANDIDATES, Eviction, Usage, note_evicted
from ..connection import RedisConnection
from ..writes import Write
from .index import IncompleteError, Items, Place, RedisIndex, microseconds
from .room_scripts import RUN, WRITE
from .scripting import as_arguments

# How often the entries that are there are counted, while others begin the index anew
MOST_COUNTS = 10
# What is accounted for is no more than the bounds, whatever it is
WRITTEN = Usage(0, 0)
# In place of seconds: the entry is written by commands
BY_COMMANDS = -1


class Entry(NamedTuple):
    """An entry that is to be written

    Args:
        member: What it is called in the index
        names: Names of the string and of the hash
        size: Its size, in bytes
        value: The string, or what is left of an entry with a large body
        seconds: After which Redis removes it; None for never
        removed_at: When that is, in seconds since the epoch; 0 for never
        write: How it is written
    """

    member: bytes
    names: tuple[bytes, bytes]
    size: int
    value: Any
    seconds: int | None
    removed_at: int
    write: Write


class Room(RedisIndex):
    """The index, while an entry is written

    Args:
        entry: The entry
        connection: To its server
        complete: Counts all entries that are there, for an index of a generation
        others: As for `RedisIndex`
    """

    def __init__(self, entry: Entry, connection: RedisConnection, complete: Callable[[bytes], None], *others: Any):
        super().__init__(*others)
        self._entry = entry
        self._connection = connection
        self._complete = complete

    def reserve(self, key: str, n_bytes: int) -> Usage:
        return self._with_new()

    def _with_new(self) -> Usage:
        for _ in range(MOST_COUNTS):
            try:
                return self._try()
            except IncompleteError as e:  # noqa: PERF203
                self._complete(*e.args)
        raise BackendError(f'The index of the cache was begun anew {MOST_COUNTS} times meanwhile')

    @abstractmethod
    def _try(self) -> Usage:
        """Have the index account for the new entry"""


class RoomOnServer(Room):
    """On one server, an entry is written as soon as there is room for it"""

    def evict(self, keys: Sequence[str]) -> Eviction:
        super().evict(keys)
        return Eviction(self._with_new())

    def _try(self) -> Usage:
        reply = write_at_once(self._connection, self.place, self.most, self._entry, self._taken_uses(), self._count)
        if is_written(self.place, reply):
            return WRITTEN
        if reply[0] == b'incomplete':
            raise IncompleteError(reply[1])
        _, n_bytes, n_entries, *candidates = reply
        self._note(candidates)
        return Usage(n_bytes, n_entries)


def is_written(place: Place, reply: Any) -> bool:
    """Whether an entry was written, by what `WRITE` returned; those that were evicted for it are noted"""
    if reply != 1 and reply[0] == b'written':
        note_evicted(place.key(member) for member in reply[1:])
        return True
    return bool(reply == 1)


def write_at_once(
    connection: RedisConnection,
    place: Place,
    most: tuple[int, int],
    entry: Entry,
    uses: Items = (),
    count: int = FIRST_CANDIDATES + 1,
) -> Any:
    """Write an entry that is on the server of the index, if there is room, or if a script finds some within its limits

    Args:
        connection: To the server
        place: Where the index is
        most: The bounds
        entry: The entry
        uses: What is to be told of uses
        count: How many candidates to ask for if there is no room

    Returns:
        What `WRITE` returns
    """

    def arguments(count: int, is_plain: bool, seconds: int) -> list[Any]:
        head = (
            f'{microseconds()} {most[0]} {most[1]} {count} {len(uses)} {len(place.start)} {is_plain:d} '
            f'{entry.size} {entry.removed_at} {seconds}'
        )
        return [head, *entry.names, *chain.from_iterable(uses)]

    write = entry.write
    if not write.watched:
        return place.run(WRITE, *arguments(count, place.is_plain, entry.seconds or 0), entry.value)

    def attempt(pipeline: Any) -> Any:
        """It evicts nothing, and returns no entries, as some clients would decode them here"""
        commands = as_arguments(write.look(pipeline))
        place.queue(pipeline, WRITE, [*arguments(0, False, BY_COMMANDS), *commands])
        return pipeline.execute()[-1]

    reply = connection.in_transaction(write.watched[0], attempt)
    return [each.encode() if isinstance(each, str) else each for each in reply] if reply != 1 else reply


class RoomInCluster(Room):
    """In a cluster, room is reserved, and the entry is written when there is enough"""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self._token = urandom(8).hex()
        self._old: tuple[int, int] | None = None

    def evict(self, keys: Sequence[str]) -> Eviction:
        """Delete entries; the index forgets them with the next step"""
        evictions = self._evictions(keys)
        self._untold.evicted += evictions
        gone = {candidate for candidate in self._oldest if candidate.key in set(keys)}
        self._oldest = [candidate for candidate in self._oldest if candidate not in gone]
        n_bytes = self.usage.n_bytes - sum(candidate.n_bytes for candidate in gone)
        self.usage = Usage(n_bytes, self.usage.n_entries - len(gone))
        return Eviction(self.usage)

    def _try(self) -> Usage:
        entry = self._entry
        usage = self.step(new=[(entry.member, self._token, entry.size, entry.removed_at)])
        if self._old is None:
            self._old = self.old
        return usage

    def write(self) -> None:
        """Write the entry, now that there is room"""
        write = self._entry.write
        if write.watched:
            write.carry_out(self._connection)
        else:
            client = self._connection.client
            RUN.run(client, write.names, *as_arguments(write.commands(client)))

    def done(self, is_written: bool) -> tuple[bytes, str, int, int]:
        """What the index is to be told

        Args:
            is_written: Whether the entry is there; otherwise what was there before is
        """
        size, removed_at = (self._entry.size, self._entry.removed_at) if is_written else self._old or (-1, 0)
        return self._entry.member, self._token, size, removed_at
