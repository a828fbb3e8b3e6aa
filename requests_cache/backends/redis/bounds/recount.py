"""Comparing the index of a bounded storage with the stored entries

Some entries are deleted without an update of the index: by Redis when its memory is full, and by older versions and
sessions without bounds, which also write entries. So an occasional write checks a few rows of the index and a few names
on a server; over time, all of them. If there is no index, all entries are counted at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from ...._utils import chunkify
from ....exceptions import CacheError
from ...eviction import Usage
from ..commands import UNDECODED, on_server_of, run_each, servers_of, unique
from ..names import key_of_entry
from ..writes import Entries
from .index import IndexAccess, microseconds, removed_at
from .recount_scripts import COMPLETE, CORRECT, LAST_USED, MEASURE, SAMPLE
from .scripts import SLACK_SECONDS
from .sizes import Allocator, jemalloc, libc, size_of

# How many rows of the index, and how many names on a server, are checked in a round
ROWS_PER_ROUND, NAMES_PER_ROUND = 8, 64
# Number of entries that are measured together
PAGE = 500


class Measured(NamedTuple):
    """A stored entry

    Args:
        size: Its size in bytes
        removed_at: When Redis removes it, in seconds since the epoch; 0 for never
        used_at: When it was last used, in microseconds since the epoch, as far as the server knows
    """

    size: int
    removed_at: int
    used_at: int


# An entry that does not exist
MISSING = Measured(-1, 0, 0)
# The member of the index, when it was last used (b'' if it is not in the index), and the stored entry
Correction = tuple[bytes, bytes, Measured]


class Row(NamedTuple):
    """An entry in the index

    Args:
        member: Its name in the index
        used_at: When it was last used
        size: Its size in bytes
        removed_at: When Redis removes it, in seconds since the epoch; 0 for never
    """

    member: bytes
    used_at: bytes
    size: int
    removed_at: int


class Recount:
    """Compares the index and the entries of one storage; the driver's errors are not translated

    Args:
        storage: The storage
        access: Access to its index
    """

    def __init__(self, storage: Entries, access: IndexAccess):
        self._storage = storage
        self._access = access

    @cached_property
    def _allocate(self) -> Allocator:
        from redis.exceptions import ResponseError

        access = self._access
        try:
            info = on_server_of(access.client, access.names[0], lambda server: server.info('memory'))
        except ResponseError:  # the user may have no permission
            return jemalloc
        return libc if str(info.get('mem_allocator')).startswith('libc') else jemalloc

    def size_of(self, kind: int, name: bytes, member: bytes, lengths: Iterable[int]) -> int:
        """Size of an entry in the index; see `sizes.size_of`"""
        return size_of(kind, name, member, lengths, self._allocate)

    # The index

    def last_used(self, members: Sequence[bytes], position: str = '') -> dict[bytes, bytes]:
        """When entries were last used; members that are not in the index are left out

        Args:
            members: Members of the index
            position: Where the next round continues checking entries; empty to leave this unchanged
        """
        found = self._access.run(LAST_USED, position, *members)
        return {member: used_at for member, used_at in zip(members, found, strict=True) if used_at}

    def forget(self, known: Mapping[bytes, bytes]) -> None:
        """Remove entries from the index, unless they have been used or written since

        Args:
            known: When each member was last used
        """
        if known:
            self._correct([(member, used_at, MISSING) for member, used_at in known.items()])

    def _correct(self, corrections: Iterable[Correction]) -> Usage:
        arguments = (part for member, used_at, found in corrections for part in (member, used_at, *found))
        return Usage(*self._access.run(CORRECT, microseconds(), *arguments))

    def _sample(self, rank: int | str, count: int) -> tuple[str, Usage, list[Row]]:
        position, n_bytes, n_entries, *rest = self._access.run(SAMPLE, microseconds(), rank, count)
        return (
            position.decode(),
            Usage(n_bytes, n_entries),
            [Row(*four) for four in zip(*(iter(rest),) * 4, strict=True)],
        )

    # Entries

    def _measure(self, members: Sequence[bytes]) -> dict[bytes, Measured]:
        """Measure the entries that exist"""
        client, names = self._access.client, [self._storage._names(self._access.key(member)) for member in members]
        if self._access.is_distributed:
            replies = [reply[0] for reply in run_each(client, [(MEASURE.queue, *pair) for pair in names])]
        else:
            replies = MEASURE.run(client, [name for pair in names for name in pair]) if names else []
        now, found = microseconds(), {}
        for member, pair, (seconds_left, idle, kind, *lengths) in zip(members, names, replies, strict=True):
            if kind:
                size = self.size_of(kind, pair[kind - 1], member, lengths)
                end = removed_at(None if seconds_left < 0 else seconds_left)
                # The server counts whole seconds, and an entry in the index was used later than an unknown one
                found[member] = Measured(size, end, now - (idle + 1) * 1_000_000)
        return found

    def _missing(self, members: Sequence[bytes], position: str) -> list[Correction]:
        """Corrections for entries that are not in the index"""
        known = self.last_used(members, position)
        found = self._measure([member for member in members if member not in known])
        return [(member, b'', entry) for member, entry in found.items()]

    def complete(self, generation: bytes) -> None:
        """Add all stored entries to the index

        Args:
            generation: Generation of the index; if it changes meanwhile, the index remains incomplete
        """
        members = unique((self._access.member(key) for key, _ in self._storage._keys()), key=bytes)
        for page in chunkify(members, PAGE):
            self._correct((member, b'', found) for member, found in self._measure(page).items())
        self._access.run(COMPLETE, generation)

    # Checking

    def round(self) -> Usage:
        """Check some rows and some names, and correct the index; returns the usage after that"""
        position, usage, rows = self._sample('', ROWS_PER_ROUND)
        members, position = self._some_members(position)
        wrong = [*self._wrong(rows), *self._missing(members, position)]
        return self._correct(wrong) if wrong else usage

    def forget_missing(self) -> None:
        """Remove all entries from the index that do not exist"""
        rank = 0
        while rows := self._sample(rank, PAGE)[2]:
            gone = {row.member: row.used_at for row in rows}
            for member in self._measure(list(gone)):
                del gone[member]
            self.forget(gone)
            rank += len(rows) - len(gone)

    def _wrong(self, rows: Sequence[Row]) -> list[Correction]:
        """Corrections of rows"""
        found = self._measure([row.member for row in rows])
        pairs = ((row, found.get(row.member, MISSING)) for row in rows)
        return [(row.member, row.used_at, entry) for row, entry in pairs if not _agrees(row, entry)]

    def _some_members(self, position: str) -> tuple[list[bytes], str]:
        """Members of some entries on a server, and where the next round continues

        Args:
            position: Name of the server, and the cursor there; empty to start
        """
        servers = servers_of(self._access.client)
        known = list(servers)
        server, _, cursor = position.rpartition(' ')
        if server not in servers:
            server, cursor = known[0], ''
        next_cursor, names = 0, []
        try:
            with self._storage._calling('read from it'):
                next_cursor, names = servers[server].scan(
                    int(cursor or 0), match=self._access.pattern, count=NAMES_PER_ROUND, **UNDECODED
                )
        except CacheError:
            if len(known) == 1:
                raise
        if next_cursor == 0:
            server = known[(known.index(server) + 1) % len(known)]
        found = dict.fromkeys(map(self._member_of, names))
        return [member for member in found if member is not None], f'{server} {next_cursor}'

    def _member_of(self, name: bytes) -> bytes | None:
        """The member for the name of an entry; None for any other name"""
        start, storage = self._access.start, self._storage
        if name.startswith(start):
            return name[len(start) :] if key_of_entry(storage.namespace, name) is not None else None
        key = storage.pieces.key(name)
        return None if key is None else self._access.member(key)


def _agrees(row: Row, found: Measured) -> bool:
    """Whether the size is the same, and the removal time about the same"""
    return row.size == found.size and abs(row.removed_at - found.removed_at) <= SLACK_SECONDS
