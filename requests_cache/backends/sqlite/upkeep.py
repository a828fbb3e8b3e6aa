"""Bounds and cleaning of a table, by an index beside it that triggers keep up to date

    NAME_index   key, size and last use of each entry
    NAME_total   one row with the sum of the sizes, and the number of entries

The triggers also notice writes of earlier versions and of sessions without bounds. Everything happens in the
transaction that writes an entry, so the bounds hold for every process, even if some are killed.

Two sizes are limited: that of the entries, and that of the pages of the file that are in use, as a page from which some
entries were deleted still takes up space. `SLACK_BYTES` of the pages are allowed for the tables themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import TYPE_CHECKING

from ..eviction import (
    EXPIRED_PER_WRITE,
    Bounds,
    Candidate,
    Eviction,
    Index,
    Usage,
    Uses,
    make_room,
    unrecorded_on_error,
)
from .table import Table, from_column, has_table, to_column, value_of

if TYPE_CHECKING:
    from sqlite3 import Connection

    from .database import Database

# Measured size of an entry besides its value, and its keys in four trees
OVERHEAD_BYTES = 120
KEYS = 3
# Size of the pages of empty tables and indexes
SLACK_BYTES = 128 * 1024
# A value may need so many pages more than its bytes would fill
SPARE_PAGES = 4
# At most so many pages are given back to the system with each write
PAGES_PER_WRITE = 64
INCREMENTAL = 2
# Nanoseconds since the epoch, with the resolution of SQLite's clock
_NOW = 'CAST((julianday() - 2440587.5) * 86400000 AS INTEGER) * 1000000'


class Statements:
    """Statements that create, read and write the index of a table"""

    def __init__(self, table: Table):
        quote = '"' + table.name.replace('"', '""')
        self.names = (f'{table.name}_index', f'{table.name}_total')
        index, total = f'{quote}_index"', f'{quote}_total"'
        size = f'coalesce(length(CAST({{0}}value AS BLOB)), 0) + {KEYS} * length({{0}}key) + {OVERHEAD_BYTES}'

        first_used = f'{_NOW} - (SELECT max(rowid) FROM {table.quoted}) + rowid'
        entries = f'{table.quoted} WHERE key IS NOT NULL'

        def trigger(name: str, event: str, *actions: str) -> str:
            return f'CREATE TRIGGER IF NOT EXISTS {quote}_{name}" AFTER {event} BEGIN {"; ".join(actions)}; END'

        def add(sign: str, row: str) -> str:
            return f'UPDATE {total} SET bytes = bytes {sign} {row}.size, entries = entries {sign} 1'

        self.make = (
            f'CREATE TABLE {index} (key PRIMARY KEY, size INTEGER, used INTEGER) WITHOUT ROWID',
            # Entries that were written first count as used first
            f'INSERT INTO {index} SELECT key, {size.format("")}, {first_used} FROM {entries}',
            f'CREATE INDEX {quote}_index_used" ON {index} (used)',
            f'CREATE TABLE {total} (bytes INTEGER, entries INTEGER)',
            f'INSERT INTO {total} SELECT coalesce(sum(size), 0), count(*) FROM {index}',
            trigger('index_added', f'INSERT ON {index}', add('+', 'NEW')),
            trigger('index_removed', f'DELETE ON {index}', add('-', 'OLD')),
            trigger(
                'index_resized',
                f'UPDATE OF size ON {index}',
                f'UPDATE {total} SET bytes = bytes + NEW.size - OLD.size',
            ),
            # Replacing an entry does not run the trigger for deletions
            trigger(
                'counted',
                f'INSERT ON {table.quoted}',
                f'DELETE FROM {index} WHERE key = NEW.key',
                f'INSERT INTO {index} VALUES (NEW.key, {size.format("NEW.")}, '
                f'max({_NOW}, coalesce((SELECT max(used) + 1 FROM {index}), 0)))',
            ),
            trigger('uncounted', f'DELETE ON {table.quoted}', f'DELETE FROM {index} WHERE key = OLD.key'),
        )
        self.usage = f'SELECT bytes, entries FROM {total}'
        self.size = f'SELECT size FROM {index} WHERE key = ?'
        self.resize = f'UPDATE {index} SET size = ? WHERE key = ?'
        self.touch = f'UPDATE {index} SET used = ? WHERE key = ? AND used < ?'
        self.oldest = f'SELECT key, size FROM {index} ORDER BY used LIMIT ?'


class TableIndex(Index):
    """The index of a table, as seen within a transaction

    Args:
        connection: The connection
        statements: The statements for the index
        table: The table
        max_bytes: Limit for the size of the file
    """

    def __init__(self, connection: Connection, statements: Statements, table: Table, max_bytes: int | None):
        self._connection = connection
        self._statements = statements
        self._table = table
        self._max_bytes = max_bytes
        # What the entry that is about to be written will add
        self._coming = Usage(0, 0)
        self._coming_bytes = 0

    def touch(self, uses: Mapping[str, int]) -> None:
        rows = ((used, to_column(key), used) for key, used in uses.items())
        self._connection.executemany(self._statements.touch, rows)

    def reserve(self, key: str, n_bytes: int) -> Usage:
        old = self._connection.execute(self._statements.size, (to_column(key),)).fetchone()
        self._coming = Usage(n_bytes - (old[0] if old else 0), 0 if old else 1)
        self._coming_bytes = n_bytes
        return self._usage()

    def oldest(self, count: int) -> list[Candidate]:
        rows = self._connection.execute(self._statements.oldest, (count,)).fetchall()
        return [Candidate(from_column(key), n_bytes) for key, n_bytes in rows]

    def evict(self, keys: Sequence[str]) -> Eviction:
        statement = self._table.delete_in('key', len(keys))
        self._connection.execute(statement, [to_column(key) for key in keys])
        return Eviction(self._usage())

    def _usage(self) -> Usage:
        n_bytes, n_entries = self._connection.execute(self._statements.usage).fetchone()
        n_bytes += self._coming.n_bytes
        if self._max_bytes is not None:
            # Pages that are not full do not matter unless they make the file too large
            n_bytes = max(n_bytes, self._bytes_of_pages() - SLACK_BYTES)
        return Usage(n_bytes, n_entries + self._coming.n_entries)

    def _bytes_of_pages(self) -> int:
        """Largest size that the file may have after the write, without unused pages"""
        used = value_of(self._connection, 'page_count') - value_of(self._connection, 'freelist_count')
        page_size = value_of(self._connection, 'page_size')
        return int(used * page_size + self._coming_bytes + SPARE_PAGES * page_size)


class TableUpkeep:
    """Keeps a table within its bounds when entries are written

    Args:
        database: The database
        table: The table
        bounds: The bounds; None for none
        delete_expired_after: Seconds for which expired entries are kept; None to keep them forever
    """

    def __init__(self, database: Database, table: Table, bounds: Bounds | None, delete_expired_after: float | None):
        self._database = database
        self._table = table
        self._bounds = bounds
        self._delete_expired_after = delete_expired_after
        self._statements = Statements(table)
        self.names = self._statements.names if bounds is not None else ()
        self._uses = Uses(self._flush)
        quoted = table.quoted
        self._delete_expired = (
            f'DELETE FROM {quoted} WHERE rowid IN '
            f'(SELECT rowid FROM {quoted} WHERE expires <= ? ORDER BY expires LIMIT {EXPIRED_PER_WRITE})'
        )

    def note(self, key: str) -> None:
        """Record that an entry was used"""
        if self._bounds is not None:
            self._uses.note(key)

    def write(self, action: Callable[[Connection], None]) -> None:
        """Call a function that writes, in a transaction; if that fails, nothing was evicted"""
        with unrecorded_on_error():
            self._database.write(action)

    def before_writing(self, connection: Connection, key: str, n_bytes: int) -> None:
        """Make room for an entry, and delete some that have long expired, in the transaction that will write it

        Args:
            connection: The connection
            key: The key of the entry
            n_bytes: Size of its value, with its body

        Raises:
            EntryTooLargeError: The entry is larger than the bounds allow
        """
        if self._delete_expired_after is not None:
            connection.execute(self._delete_expired, (time() - self._delete_expired_after,))
        if self._bounds is None:
            return
        self._prepare(connection)
        index = TableIndex(connection, self._statements, self._table, self._bounds.max_bytes)
        uses = self._uses.take()
        try:
            index.touch(uses)
            make_room(index, self._bounds, key, size_of(key, n_bytes))
        except BaseException:
            self._uses.give_back(uses)
            raise

    def after_writing(self, connection: Connection, key: str, n_bytes: int, is_apart: bool) -> None:
        """Count a large body, which triggers do not see, and give unused space back"""
        if self._bounds is None:
            return
        if is_apart:
            connection.execute(self._statements.resize, (size_of(key, n_bytes), to_column(key)))
        if self._bounds.max_bytes is not None:
            _shrink(connection, self._bounds.max_bytes)

    def _prepare(self, connection: Connection) -> None:
        if not has_table(connection, self._statements.names[1]):
            for statement in self._statements.make:
                connection.execute(statement)

    def _flush(self) -> None:
        """Write to the index what was used, unless the database is locked"""
        uses = self._uses.take()

        def touch(connection: Connection) -> None:
            if has_table(connection, self._statements.names[1]):
                TableIndex(connection, self._statements, self._table, None).touch(uses)

        if not self._database.write_if_idle(touch):
            self._uses.give_back(uses)

    def close(self) -> None:
        """Write the last uses to the index before the database is closed"""
        if self._uses and self._database.connection is not None:
            self._flush()


def size_of(key: str, n_bytes: int) -> int:
    """Size of an entry as the index counts it

    Args:
        key: The key of the entry
        n_bytes: Size of its value, with its body
    """
    return n_bytes + KEYS * len(to_column(key)) + OVERHEAD_BYTES


def _shrink(connection: Connection, max_bytes: int) -> None:
    """Give some unused pages back to the system, if the file is larger than its limit"""
    page_size = value_of(connection, 'page_size')
    excess = value_of(connection, 'page_count') - (max_bytes + SLACK_BYTES) // page_size
    if excess > 0 and value_of(connection, 'auto_vacuum') == INCREMENTAL:
        # One page at a time, as the driver executes only one step of a statement that returns no rows
        for _ in range(min(excess, PAGES_PER_WRITE, value_of(connection, 'freelist_count'))):
            connection.execute('PRAGMA incremental_vacuum(1)')
