"""Large bodies in an SQLite database: two tables beside that of the entries, created when they are needed

    NAME_bodies   id of a body, key of its entry, and the rest of the entry, which is NULL until the body is complete
    NAME_pieces   the pieces of the body

Each transaction waits for the disk, and none should wait for a slow origin. So pieces are collected in a temporary file
and written many at a time. The last ones are written together with the entry.

The entry itself has no value then, so 1.3.x and older treat it as unreadable. Triggers delete the body together with
its entry, even if an earlier version deletes or replaces the entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from ...exceptions import BackendError
from ..bodies import Pieces
from .database import Database
from .table import Table, from_column, has_table, to_column

if TYPE_CHECKING:
    from sqlite3 import Connection

# So much is written in one transaction
COLLECTED_BYTES = 16 << 20
COLLECTED_IN_MEMORY_BYTES = 256 * 1024


class BodyTables(Pieces):
    """The tables for the bodies of one table

    Args:
        database: The database
        table: The table with the entries
        is_bounded: Write a body only together with its entry, as it may turn out to be too large
    """

    def __init__(self, database: Database, table: Table, is_bounded: bool = False):
        self.database = database
        self._is_bounded = is_bounded
        self._table = table
        self._collected: dict[str, _Collected] = {}
        quote = '"' + table.name.replace('"', '""')
        self.bodies, self.pieces = f'{quote}_bodies"', f'{quote}_pieces"'
        self.names = (f'{table.name}_bodies', f'{table.name}_pieces')

        def trigger(name: str, event: str, condition: str, row: str) -> str:
            of_entry = f'key = {row}.key AND record IS NOT NULL'
            return (
                f'CREATE TRIGGER IF NOT EXISTS {quote}_body_{name}" AFTER {event} ON {table.quoted} '
                f'WHEN {condition} BEGIN '
                f'DELETE FROM {self.pieces} WHERE body IN (SELECT body FROM {self.bodies} WHERE {of_entry}); '
                f'DELETE FROM {self.bodies} WHERE {of_entry}; END'
            )

        self._make = (
            f'CREATE TABLE IF NOT EXISTS {self.bodies} (body TEXT PRIMARY KEY, key, record BLOB)',
            f'CREATE INDEX IF NOT EXISTS {quote}_bodies_key" ON {self.bodies} (key)',
            f'CREATE TABLE IF NOT EXISTS {self.pieces} (body TEXT, piece INTEGER, data BLOB, UNIQUE (body, piece))',
            trigger('deleted', 'DELETE', 'OLD.value IS NULL', 'OLD'),
            trigger('replaced', 'INSERT', 'NEW.value IS NOT NULL', 'NEW'),
        )

    def exist(self, connection: Connection) -> bool:
        """Whether the tables have been created"""
        return has_table(connection, self.names[1])

    # Pieces

    def write(self, key: str, body_id: str, index: int, piece: bytes) -> None:
        collected = self._collected.get(body_id)
        if collected is None:
            collected = self._collected[body_id] = _Collected()
        collected.add(piece)
        if collected.size >= COLLECTED_BYTES and not self._is_bounded:
            self.database.write(lambda connection: self._write(connection, to_column(key), body_id, collected))
            collected.clear()

    def _write(self, connection: Connection, key: str | bytes, body_id: str, collected: _Collected) -> None:
        """Write the collected pieces of a body, within a transaction"""
        if collected.first == 0:
            for statement in self._make:
                connection.execute(statement)
            connection.execute(f'INSERT INTO {self.bodies} (body, key) VALUES (?, ?)', (body_id, key))
        insert = f'INSERT INTO {self.pieces} VALUES (?, ?, ?)'
        for index, piece in collected:
            connection.execute(insert, (body_id, index, piece))

    def read(self, key: str, body_id: str, index: int) -> bytes | None:
        statement = f'SELECT data FROM {self.pieces} WHERE body = ? AND piece = ?'
        row = self.database.read(lambda c: c.execute(statement, (body_id, index)).fetchone() if self.exist(c) else None)
        return None if row is None else row[0]

    def delete(self, key: str, body_id: str) -> None:
        collected = self._collected.pop(body_id, None)
        if collected is not None:
            collected.close()
            if collected.first == 0:  # no piece has been written
                return

        def delete(connection: Connection) -> None:
            if self.exist(connection):
                connection.execute(f'DELETE FROM {self.pieces} WHERE body = ?', (body_id,))
                connection.execute(f'DELETE FROM {self.bodies} WHERE body = ?', (body_id,))

        self.database.write(delete)

    def unused(self) -> Iterator[tuple[str, str]]:
        statement = (
            f'SELECT key, body FROM {self.bodies} AS b WHERE record IS NULL OR NOT EXISTS '
            f'(SELECT 1 FROM {self._table.quoted} AS t WHERE t.key = b.key AND t.value IS NULL)'
        )
        rows = self.database.read(lambda c: c.execute(statement).fetchall() if self.exist(c) else [])
        return ((from_column(key), body_id) for key, body_id in rows)

    # Entries, in the same transaction as the table's own row

    def put(self, connection: Connection, key: str | bytes, body_id: str, piece_count: int, record: Any) -> None:
        """Complete a body with the rest of its entry, and delete other bodies of the same entry

        Raises:
            BackendError: The body does not exist any more
        """
        count = f'SELECT COUNT(*) FROM {self.pieces} WHERE body = ?'
        collected = self._collected.get(body_id)
        if collected is not None:
            self._write(connection, key, body_id, collected)
        is_there = self.exist(connection) and connection.execute(count, (body_id,)).fetchone()[0] == piece_count
        complete = f'UPDATE {self.bodies} SET record = ? WHERE body = ? AND key = ?'
        if not is_there or not connection.execute(complete, (record, body_id, key)).rowcount:
            raise BackendError(
                'the body of the entry was deleted before the entry was written; the cache may have been cleared'
            )
        others = f'SELECT body FROM {self.bodies} WHERE key = ? AND body != ? AND record IS NOT NULL'
        for (other,) in connection.execute(others, (key, body_id)).fetchall():
            connection.execute(f'DELETE FROM {self.pieces} WHERE body = ?', (other,))
            connection.execute(f'DELETE FROM {self.bodies} WHERE body = ?', (other,))

    def forget(self, body_id: str) -> None:
        """Forget the collected pieces of a body, as its entry has been written"""
        collected = self._collected.pop(body_id, None)
        if collected is not None:
            collected.close()

    def record(self, key: str) -> Any:
        """An entry without its body; None if there is no such entry"""
        statement = f'SELECT record FROM {self.bodies} WHERE key = ? AND record IS NOT NULL'
        values = (to_column(key),)
        row = self.database.read(lambda c: c.execute(statement, values).fetchone() if self.exist(c) else None)
        return None if row is None else row[0]

    def clear(self, connection: Connection) -> None:
        """Delete all bodies, including those that are being written"""
        if self.exist(connection):
            connection.execute(f'DELETE FROM {self.pieces}')
            connection.execute(f'DELETE FROM {self.bodies}')

    def size_of_entry(self, connection: Connection) -> str:
        """An SQL expression for the size of an entry with its body, for sorting"""
        if not self.exist(connection):
            return 'length(value)'
        bodies, of_entry = self.bodies, f'WHERE {self.bodies}.key = {self._table.quoted}.key'
        pieces = f'SELECT sum(length(data)) FROM {self.pieces} JOIN {bodies} USING (body) {of_entry}'
        return f'coalesce(length(value), ({pieces}) + (SELECT sum(length(record)) FROM {bodies} {of_entry}))'


class _Collected:
    """Pieces of one body that are not yet in the database: a few in memory, more of them in a temporary file"""

    def __init__(self) -> None:
        self._in_memory: list[bytes] = []
        self._file: Any = None
        self._lengths: list[int] = []
        self.first = 0
        self.size = 0

    def add(self, piece: bytes) -> None:
        self._lengths.append(len(piece))
        self.size += len(piece)
        if self._file is None and self.size <= COLLECTED_IN_MEMORY_BYTES:
            self._in_memory.append(piece)
            return
        if self._file is None:
            self._file = TemporaryFile()  # noqa: SIM115 - closed in `close()`
            self._file.writelines(self._in_memory)
            self._in_memory.clear()
        self._file.write(piece)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """The pieces with their numbers"""
        if self._file is None:
            return enumerate(self._in_memory, self.first)
        self._file.seek(0)
        return ((self.first + i, self._file.read(length)) for i, length in enumerate(self._lengths))

    def clear(self) -> None:
        """Forget pieces that have been written"""
        self.first += len(self._lengths)
        self._lengths.clear()
        self.size = 0
        self._in_memory.clear()
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    __del__ = close
