"""The index of a storage of files, within one transaction"""

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
    """What the index is about"""

    def _measure(self, key: str) -> Measured | None: ...

    def _remove_files(self, key: str) -> bool: ...


class FileIndex(Index):
    """The index, within a transaction

    Args:
        connection: The connection
        table: Statements for the index
        files: The files
        now_ns: Gives the time
    """

    def __init__(self, connection: Connection, table: LRUTable, files: Files, now_ns: Callable[[], int]):
        self._connection = connection
        self._table = table
        self._files = files
        self._now_ns = now_ns
        # Of candidates, as a damaged database may hold keys that are found in no other way
        self._rows: dict[str, int] = {}

    def touch(self, uses: Mapping[str, int]) -> None:
        for key, used in uses.items():
            if not self._connection.execute(self._table.set_access_time, (used, to_column(key))).rowcount:
                self.add(key, used)

    def add(self, key: str, used_ns: int | None = None) -> None:
        """Account for an entry that is not in the index, if there is one"""
        if (measured := self._files._measure(key)) is not None:
            used_ns = measured.used_ns if used_ns is None else used_ns
            self._connection.execute(self._table.add, (to_column(key), used_ns, measured.n_bytes))

    def reserve(self, key: str, n_bytes: int) -> Usage:
        n_bytes = max(n_bytes, self.size_of(key) or 0)
        self._connection.execute(self._table.put, (to_column(key), self._now_ns(), n_bytes))
        return self.usage()

    def size_of(self, key: str) -> int | None:
        """Size that is accounted for an entry; None if there is none"""
        row = self._connection.execute(self._table.select, (to_column(key),)).fetchone()
        return None if row is None else int(row[0])

    def set_size(self, key: str, n_bytes: int) -> None:
        """Account for an entry as it was written"""
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
                logger.warning('Could not make room: %s', shown_text(e))
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
        """Account for nothing, after all was deleted"""
        self._connection.execute(self._table.delete_all)
        self.count_anew()

    def usage(self) -> Usage:
        """What is accounted for, with what is reserved"""
        n_bytes = self._connection.execute(self._table.select_total).fetchone()[0]
        n_entries = self._connection.execute(self._table.select_count).fetchone()[0]
        reserved = self.reserved()
        return Usage(n_bytes + reserved.n_bytes, n_entries + reserved.n_entries)

    def count_anew(self) -> None:
        """Have the sums right, whatever was wrong with them"""
        self._table.set_total(self._connection)

    # Room that is reserved for entries that are not in the index yet

    def reserved(self) -> Usage:
        """How much is reserved by all processes"""
        return Usage(*self._connection.execute(self._table.reserved).fetchone())

    def reserve_more(self, owner: str, room: Usage) -> None:
        """Reserve room for entries to come"""
        self._connection.execute(self._table.reserve, (owner, *room))

    def enter(self, owner: str, entries: Mapping[str, Measured | None]) -> None:
        """Account for entries that were written into reserved room, and release the rest of it

        Args:
            owner: Who reserved it
            entries: The entries; None for those that may have been written or not
        """
        for key, entry in entries.items():
            column = to_column(key)
            if entry is not None and self._connection.execute(self._table.add, (column, *entry)).rowcount:
                continue
            # It is in the index already, and another process may have written it in the meantime
            if (measured := self._files._measure(key)) is not None:
                used_ns = measured.used_ns if entry is None else entry.used_ns
                self._connection.execute(self._table.put, (column, used_ns, measured.n_bytes))
        if owner:
            self.release([owner])

    def release(self, owners: Iterable[str]) -> None:
        """Account no more for what some have reserved"""
        for owner in owners:
            self._connection.execute(self._table.release, (owner,))

    # What others have done without the index

    def unknown(self, keys: Collection[str]) -> set[str]:
        """Those of some keys that are not in the index"""
        if not keys:
            return set()
        statement = self._table.keys_in(len(keys))
        found = self._connection.execute(statement, [to_column(key) for key in keys]).fetchall()
        return set(keys).difference(from_column(key) for (key,) in found)

    def check_rows(self, after: int, count: int) -> int:
        """Compare some rows of the index with the files

        Args:
            after: What was returned the last time; 0 at first
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
