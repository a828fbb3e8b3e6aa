"""The index of a storage of files, as seen within one transaction"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ...exceptions import BackendError
from ...keys.shown import shown_text
from ..eviction import Candidate, Eviction, Index, Usage, logger
from ..sqlite.table import from_column, to_column
from .lru_table import LRUTable

if TYPE_CHECKING:
    from sqlite3 import Connection

    from .directory import Measured


class Files(Protocol):
    """The files that the index describes"""

    def _measure(self, key: str) -> Measured | None: ...

    def _remove_files(self, key: str) -> bool: ...


class FileIndex(Index):
    """The index, within a transaction

    Args:
        connection: The connection
        table: Statements for the index
        files: The files
        now_ns: Returns the time, in nanoseconds since the epoch
    """

    def __init__(self, connection: Connection, table: LRUTable, files: Files, now_ns: Callable[[], int]):
        self._connection = connection
        self._table = table
        self._files = files
        self._now_ns = now_ns
        # Rows of candidates, as keys in a damaged database may not be found by their text
        self._rows: dict[str, int] = {}

    def touch(self, uses: Mapping[str, int]) -> None:
        for key, used in uses.items():
            if not self._connection.execute(self._table.set_access_time, (used, to_column(key))).rowcount:
                self.add(key, used)

    def add(self, key: str, used_ns: int | None = None) -> None:
        """Add an entry that is missing from the index, if its file exists"""
        if (measured := self._files._measure(key)) is not None:
            used_ns = measured.used_ns if used_ns is None else used_ns
            self._connection.execute(self._table.add, (to_column(key), used_ns, measured.n_bytes))

    def reserve(self, key: str, n_bytes: int) -> Usage:
        n_bytes = max(n_bytes, self.size_of(key) or 0)
        self._connection.execute(self._table.put, (to_column(key), self._now_ns(), n_bytes))
        return self.usage()

    def size_of(self, key: str) -> int | None:
        """Size of an entry in the index; None if it is not there"""
        row = self._connection.execute(self._table.select, (to_column(key),)).fetchone()
        return None if row is None else int(row[0])

    def set_size(self, key: str, n_bytes: int) -> None:
        """Correct the size of an entry"""
        self._connection.execute(self._table.set_size, (n_bytes, to_column(key)))

    def oldest(self, count: int) -> list[Candidate]:
        found = self._connection.execute(self._table.oldest, (count,)).fetchall()
        candidates = [Candidate(str(from_column(key)), n_bytes) for _, key, n_bytes in found]
        self._rows = {candidate.key: row for candidate, (row, *_) in zip(candidates, found, strict=True)}
        return candidates

    def evict(self, keys: Sequence[str]) -> Eviction:
        stuck, gone = [], []
        for key in keys:
            try:
                self._files._remove_files(key)
            except BackendError as e:  # noqa: PERF203
                logger.warning('Could not evict an entry: %s', shown_text(e))
                stuck.append(key)
            else:
                gone.append((self._rows[key],))
        self._connection.executemany(self._table.delete_row, gone)
        return Eviction(self.usage(), stuck)

    def remove(self, keys: Iterable[str]) -> int:
        """Delete entries; returns how many there were"""
        removed = 0
        for key in keys:
            removed += self._files._remove_files(key)
            self._connection.execute(self._table.delete, (to_column(key),))
        return removed

    def clear(self) -> None:
        """Empty the index, after all files were deleted"""
        self._connection.execute(self._table.delete_all)
        self.recount()

    def usage(self) -> Usage:
        """What all entries take up, with all reservations"""
        n_bytes = self._connection.execute(self._table.select_total).fetchone()[0]
        n_entries = self._connection.execute(self._table.select_count).fetchone()[0]
        reserved = self.reserved()
        return Usage(n_bytes + reserved.n_bytes, n_entries + reserved.n_entries)

    def recount(self) -> None:
        """Compute the sums again"""
        self._table.set_total(self._connection)

    # Reservations for entries that are not in the index yet

    def reserved(self) -> Usage:
        """What all processes have reserved"""
        return Usage(*self._connection.execute(self._table.reserved).fetchone())

    def reserve_more(self, owner: str, room: Usage) -> None:
        """Reserve room for future entries"""
        self._connection.execute(self._table.reserve, (owner, *room))

    def enter(self, owner: str, entries: Mapping[str, Measured | None]) -> None:
        """Add entries for which room was reserved, and release the reservation

        Args:
            owner: Name of the reservation
            entries: The entries; None for those that may or may not have been written
        """
        for key, entry in entries.items():
            column = to_column(key)
            if entry is not None and self._connection.execute(self._table.add, (column, *entry)).rowcount:
                continue
            # It is already in the index, and another process may have written it meanwhile
            if (measured := self._files._measure(key)) is not None:
                used_ns = measured.used_ns if entry is None else entry.used_ns
                self._connection.execute(self._table.put, (column, used_ns, measured.n_bytes))
        if owner:
            self.release([owner])

    def release(self, owners: Iterable[str]) -> None:
        """Release reservations"""
        for owner in owners:
            self._connection.execute(self._table.release, (owner,))

    # Changes that others have made without the index

    def unknown(self, keys: Collection[str]) -> set[str]:
        """The keys that are not in the index"""
        if not keys:
            return set()
        statement = self._table.keys_in(len(keys))
        found = self._connection.execute(statement, [to_column(key) for key in keys]).fetchall()
        return set(keys).difference(from_column(key) for (key,) in found)

    def check_rows(self, after: int, count: int) -> int:
        """Compare some rows of the index with the files, and correct them

        Args:
            after: What the previous call returned; 0 at first
            count: How many rows
        """
        rows = self._connection.execute(self._table.next_rows, (after, count)).fetchall()
        for row, key, n_bytes in rows:
            measured = self._files._measure(str(from_column(key)))
            if measured is None:
                self._connection.execute(self._table.delete_row, (row,))
            elif measured.n_bytes != n_bytes:
                self._connection.execute(self._table.set_size, (measured.n_bytes, key))
        return int(rows[-1][0]) if len(rows) == count else 0
