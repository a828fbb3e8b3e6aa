"""Comparing what the index of a bounded storage accounts for with what is there

Entries go without the index: Redis removes some when its memory is full, and earlier versions and sessions without
bounds delete some. The latter write some, too. So, once in a while, a write looks at a few rows of the index, and a few
names on a server; over time, at all of them. When there is no index, all entries are counted at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from ...._utils import chunkify
from ....exceptions import CacheError
from ...eviction import Usage
from ..commands import UNDECODED, each, on_server_of, servers_of, unique
from ..names import key_of_entry
from ..writes import Entries
from .index import Place, microseconds, removed_at
from .recount_scripts import COMPLETE, CORRECT, LOOK, MEASURE, SAMPLE
from .scripts import SLACK_SECONDS
from .sizes import Allocator, jemalloc, libc, size_of

# What is looked at in a round: so many entries that are accounted for, and so many names on a server
ROWS_PER_ROUND, NAMES_PER_ROUND = 8, 64
# Entries that are measured together
PAGE = 500


class Found(NamedTuple):
    """An entry that is there

    Args:
        size: Its size, in bytes
        removed_at: When Redis removes it, in seconds since the epoch; 0 for never
        used_at: When it was last used, in microseconds since the epoch, as far as the server knows
    """

    size: int
    removed_at: int
    used_at: int


# An entry that is gone
GONE = Found(-1, 0, 0)
# What the index calls an entry, when it was last used (b'' for one that is not accounted for), and what is there
Correction = tuple[bytes, bytes, Found]


class Row(NamedTuple):
    """What is accounted for an entry

    Args:
        member: What the index calls it
        used_at: When it was last used
        size: Its size, in bytes
        removed_at: When Redis removes it, in seconds since the epoch; 0 for never
    """

    member: bytes
    used_at: bytes
    size: int
    removed_at: int


class Recount:
    """Comparisons for one storage; the driver's errors are raised as they are

    Args:
        storage: The storage
        place: Where its index is
    """

    def __init__(self, storage: Entries, place: Place):
        self._storage = storage
        self._place = place

    @cached_property
    def _allocate(self) -> Allocator:
        from redis.exceptions import ResponseError

        place = self._place
        try:
            info = on_server_of(place.client, place.names[0], lambda server: server.info('memory'))
        except ResponseError:  # not everybody may ask
            return jemalloc
        return libc if str(info.get('mem_allocator')).startswith('libc') else jemalloc

    def size_of(self, kind: int, name: bytes, member: bytes, lengths: Iterable[int]) -> int:
        """Size of an entry, as it is accounted for; see `sizes.size_of`"""
        return size_of(kind, name, member, lengths, self._allocate)

    # The index

    def look(self, members: Sequence[bytes], position: str = '') -> dict[bytes, bytes]:
        """When entries were last used, for those that are accounted for

        Args:
            members: What the index calls them
            position: Where the look at entries is to go on; empty to leave that as it is
        """
        found = self._place.run(LOOK, position, *members)
        return {member: used_at for member, used_at in zip(members, found, strict=True) if used_at}

    def forget(self, known: Mapping[bytes, bytes]) -> None:
        """Forget entries, unless they were used or written meanwhile

        Args:
            known: When they were last used
        """
        if known:
            self._correct([(member, used_at, GONE) for member, used_at in known.items()])

    def _correct(self, corrections: Iterable[Correction]) -> Usage:
        arguments = (part for member, used_at, found in corrections for part in (member, used_at, *found))
        return Usage(*self._place.run(CORRECT, microseconds(), *arguments))

    def _sample(self, rank: int | str, count: int) -> tuple[str, Usage, list[Row]]:
        position, n_bytes, n_entries, *rest = self._place.run(SAMPLE, microseconds(), rank, count)
        return (
            position.decode(),
            Usage(n_bytes, n_entries),
            [Row(*four) for four in zip(*(iter(rest),) * 4, strict=True)],
        )

    # Entries

    def _measure(self, members: Sequence[bytes]) -> dict[bytes, Found]:
        """Those that there are entries for"""
        client, names = self._place.client, [self._storage._names(self._place.key(member)) for member in members]
        if self._place.is_apart:
            replies = [reply[0] for reply in each(client, [(MEASURE.queue, *pair) for pair in names])]
        else:
            replies = MEASURE.run(client, [name for pair in names for name in pair]) if names else []
        now, found = microseconds(), {}
        for member, pair, (seconds_left, idle, kind, *lengths) in zip(members, names, replies, strict=True):
            if kind:
                size = self.size_of(kind, pair[kind - 1], member, lengths)
                end = removed_at(None if seconds_left < 0 else seconds_left)
                # Whole seconds; and what is accounted for was used later
                found[member] = Found(size, end, now - (idle + 1) * 1_000_000)
        return found

    def _missing(self, members: Sequence[bytes], position: str) -> list[Correction]:
        """Corrections for entries that are not accounted for"""
        known = self.look(members, position)
        found = self._measure([member for member in members if member not in known])
        return [(member, b'', entry) for member, entry in found.items()]

    def complete(self, generation: bytes) -> None:
        """Count all entries that are there

        Args:
            generation: That of the index; if it is another one by then, it was all in vain
        """
        members = unique((self._place.member(key) for key, _ in self._storage._keys()), key=bytes)
        for page in chunkify(members, PAGE):
            self._correct((member, b'', found) for member, found in self._measure(page).items())
        self._place.run(COMPLETE, generation)

    # Looking again

    def round(self) -> Usage:
        """Look at some rows and some names, and put right what is wrong; returns what is accounted for then"""
        position, usage, rows = self._sample('', ROWS_PER_ROUND)
        members, position = self._some_members(position)
        wrong = [*self._wrong(rows), *self._missing(members, position)]
        return self._correct(wrong) if wrong else usage

    def forget_phantoms(self) -> None:
        """Forget all entries that are not there"""
        rank = 0
        while rows := self._sample(rank, PAGE)[2]:
            gone = {row.member: row.used_at for row in rows}
            for member in self._measure(list(gone)):
                del gone[member]
            self.forget(gone)
            rank += len(rows) - len(gone)

    def _wrong(self, rows: Sequence[Row]) -> list[Correction]:
        """Corrections of what is accounted for"""
        found = self._measure([row.member for row in rows])
        pairs = ((row, found.get(row.member, GONE)) for row in rows)
        return [(row.member, row.used_at, entry) for row, entry in pairs if not _is_like(row, entry)]

    def _some_members(self, position: str) -> tuple[list[bytes], str]:
        """Some entries on a server, and where the next round is to go on

        Args:
            position: Name of the server, and the cursor there; empty to begin
        """
        servers = servers_of(self._place.client)
        known = list(servers)
        server, _, cursor = position.rpartition(' ')
        if server not in servers:
            server, cursor = known[0], ''
        next_cursor, names = 0, []
        try:
            with self._storage._calling('read from it'):
                next_cursor, names = servers[server].scan(
                    int(cursor or 0), match=self._place.pattern, count=NAMES_PER_ROUND, **UNDECODED
                )
        except CacheError:
            if len(known) == 1:
                raise
        if next_cursor == 0:
            server = known[(known.index(server) + 1) % len(known)]
        found = dict.fromkeys(map(self._member_of, names))
        return [member for member in found if member is not None], f'{server} {next_cursor}'

    def _member_of(self, name: bytes) -> bytes | None:
        """The entry that has a name; None if there is none"""
        start, storage = self._place.start, self._storage
        if name.startswith(start):
            return name[len(start) :] if key_of_entry(storage.namespace, name) is not None else None
        key = storage.pieces.key(name)
        return None if key is None else self._place.member(key)


def _is_like(row: Row, found: Found) -> bool:
    """Whether the size is the same, and about the same the end"""
    return row.size == found.size and abs(row.removed_at - found.removed_at) <= SLACK_SECONDS
