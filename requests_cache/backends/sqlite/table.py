"""A table of entries: its columns, the statements that read and write it, and deleting many rows

SQLite is tuned for changing a few pages at a time. Its page cache holds 2 MB, deleting in the order of an index visits
each page repeatedly, and some builds overwrite everything that is deleted. The remedies here change neither the
transactions nor the format of the file.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from .errors import Error, OperationalError

if TYPE_CHECKING:
    from sqlite3 import Connection

PAGE_ROWS = 999
PAGE_BYTES = 4_000_000
SORTED_PAGE_ROWS = 64
_IS_INDEX = "type = 'index' AND name = 'expires_idx'"
SORT_ORDERS = {'expires': 'expires', 'size': 'length(value)', 'key': 'key'}
DELETING_CACHE_KIB = 16 * 1024
# Smaller files are vacuumed in no time; larger ones only if at least one page in four is unused
SMALL_BYTES = 16_000_000
ONE_IN = 4


class UndecodableText(bytes):
    """Text in a database that is not UTF-8, and so must be damaged"""


def decode_text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return UndecodableText(data)


def to_column(value: object) -> str | bytes:
    """The stored form of a key; text that UTF-8 cannot represent, because of lone surrogates, is stored as a blob"""
    text = value if isinstance(value, str) else str(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode('utf-8', 'surrogatepass')
    return text


def from_column(value: Any) -> Any:
    """Undo `to_column`; a value that `to_column` never returns is not changed"""
    if type(value) is bytes:
        try:
            text = value.decode('utf-8', 'surrogatepass')
        except UnicodeDecodeError:
            return value
        return value if to_column(text) is text else text
    return value


class Table:
    """Statements for one table

    Args:
        name: Name of the table

    Raises:
        ValueError: A table cannot have this name
    """

    def __init__(self, name: str):
        if not name or '\x00' in name or name.lower().startswith('sqlite_'):
            raise ValueError(f'Invalid table name: {name!r}; it must not be empty, contain NUL, or begin with sqlite_')
        self.name = name
        self.quoted = table = '"' + name.replace('"', '""') + '"'
        self.select = f'SELECT value FROM {table} WHERE key = ?'
        self.contains = f'SELECT 1 FROM {table} WHERE key = ?'
        self.replace = f'INSERT OR REPLACE INTO {table} (key, value, expires) VALUES (?, ?, ?)'
        self.delete = f'DELETE FROM {table} WHERE key = ?'
        self.delete_all = f'DELETE FROM {table}'
        # In the order of the rows, as several share a page
        self.delete_expired = f'DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE expires <= ?)'
        self.any_unexpired = f'SELECT 1 FROM {table} WHERE expires IS NULL OR expires > ? LIMIT 1'
        self.count = f'SELECT COUNT(*) FROM {table}'
        self.count_unexpired = f'SELECT COUNT(*) FROM {table} WHERE expires IS NULL OR expires > ?'
        self.set_expiration = f'UPDATE {table} SET expires = ? WHERE key = ? AND expires IS NULL'

    @property
    def is_complete(self) -> str:
        """An expression that is true if the table is complete; otherwise it may raise an error"""
        return (
            f'EXISTS (SELECT 1 FROM sqlite_master WHERE {_IS_INDEX}) '
            f'AND NOT EXISTS (SELECT key, value, expires FROM {self.quoted} LIMIT 0)'
        )

    def delete_in(self, column: str, count: int) -> str:
        return f'DELETE FROM {self.quoted} WHERE {column} IN ({",".join("?" * count)})'

    def delete_dangling(self, target: Table) -> str:
        """Delete rows whose value is not a key of another table"""
        return (
            f'DELETE FROM {self.quoted} WHERE NOT EXISTS '
            f'(SELECT 1 FROM {target.quoted} WHERE {target.quoted}.key = {self.quoted}.value)'
        )

    def columns(self, connection: Connection) -> dict[str, str]:
        """Names and declared types of the columns; empty if there is no such table"""
        return {row[1]: row[2] for row in connection.execute(f'PRAGMA table_info({self.quoted})').fetchall()}

    def lacking(self, connection: Connection) -> list[str]:
        """Statements that create the table, or complete one that an earlier version created"""
        columns = self.columns(connection)
        statements = []
        if not columns:
            statements.append(
                f'CREATE TABLE IF NOT EXISTS {self.quoted} (key TEXT PRIMARY KEY, value BLOB, expires INTEGER)'
            )
        elif 'expires' not in columns:
            statements.append(f'ALTER TABLE {self.quoted} ADD COLUMN expires INTEGER')
        # The name of an index is unique in a database, so only the first table has one
        index = connection.execute(f'SELECT 1 FROM sqlite_master WHERE {_IS_INDEX}')
        if not index.fetchone():
            statements.append(f'CREATE INDEX IF NOT EXISTS expires_idx ON {self.quoted} (expires)')
        return statements

    def has_unknown_expirations(self, connection: Connection) -> bool:
        """Whether 0.9 created the table, which kept expirations only in the values"""
        return self.columns(connection).get('key') == ''

    def page(self, connection: Connection, columns: str, after: Any, where: str = '1') -> list[tuple[Any, ...]]:
        """The next rows in the order of their keys

        Args:
            connection: The connection
            columns: The columns to select: first the key, then a value
            after: The stored key of the last row on the previous page; None for the first page
            where: A condition
        """
        # This excludes NULL keys, which are never ours
        start = "key >= ''" if after is None else 'key > ?'
        if isinstance(after, UndecodableText):
            start = 'key > CAST(? AS TEXT)'
        cursor = connection.execute(
            f'SELECT {columns} FROM {self.quoted} WHERE {start} AND {where} ORDER BY key LIMIT {PAGE_ROWS}',
            () if after is None else (after,),
        )
        rows, size = [], 0
        for row in cursor:
            rows.append(row)
            size += len(row[1]) if len(row) > 1 and isinstance(row[1], (bytes, str)) else 0
            if size > PAGE_BYTES:
                break
        cursor.close()
        return rows

    def sorted_keys(
        self, connection: Connection, order: str, where: str, parameters: Sequence[Any], limit: int | None
    ) -> list[bytes]:
        """Keys in a given order, packed in pages, so that those of a large table need little memory"""
        cursor = connection.execute(
            f'SELECT key FROM {self.quoted} WHERE {where} ORDER BY {order} LIMIT ?',
            (*parameters, -1 if limit is None else limit),
        )
        pages = []
        while rows := cursor.fetchmany(SORTED_PAGE_ROWS):
            pages.append(marshal.dumps([bytes(k) if isinstance(k, bytes) else k for (k,) in rows]))
        return pages

    def values_in(self, connection: Connection, keys: list[Any]) -> list[tuple[Any, Any]]:
        """Rows with the given keys, in the order of the keys; missing keys are skipped"""
        marks = ','.join('?' * len(keys))
        found = dict(
            connection.execute(f'SELECT key, value FROM {self.quoted} WHERE key IN ({marks})', keys).fetchall()
        )
        return [(key, found[key]) for key in keys if key in found]


def prepare(connection: Connection, tables: Sequence[Table]) -> None:
    """Create missing tables and complete old ones, in one transaction

    Raises:
        sqlite3.Error: A table does not exist, and cannot be created
    """
    if _are_complete(connection, tables):
        return
    try:
        connection.execute('BEGIN IMMEDIATE')
        for table in tables:
            for statement in table.lacking(connection):
                connection.execute(statement)
        connection.commit()
    except Exception:
        connection.rollback()
        # Entries of a read-only database can still be read
        if not all(table.columns(connection) for table in tables):
            raise


def _are_complete(connection: Connection, tables: Sequence[Table]) -> bool:
    """Check with one statement what is nearly always true"""
    try:
        return bool(connection.execute(f'SELECT {" AND ".join(t.is_complete for t in tables)}').fetchone()[0])
    except OperationalError as e:
        if 'no such' not in str(e):
            raise
        return False


def has_table(connection: Connection, name: str) -> bool:
    """Whether a table exists, for those that are only created when they are needed"""
    return connection.execute('SELECT 1 FROM sqlite_master WHERE name = ?', (name,)).fetchone() is not None


def unpack(pages: Sequence[bytes]) -> Iterator[list[Any]]:
    return (marshal.loads(page) for page in pages)


# Deleting much, and giving space back


@contextmanager
def _set(connection: Connection, pragma: str, value: object) -> Iterator[None]:
    """A block in which a setting of the connection has another value"""
    before = value_of(connection, pragma)
    connection.execute(f'PRAGMA {pragma} = {value}').fetchall()
    try:
        yield
    finally:
        with suppress(Error):  # closed meanwhile
            connection.execute(f'PRAGMA {pragma} = {before}').fetchall()


def value_of(connection: Connection, pragma: str) -> Any:
    return connection.execute(f'PRAGMA {pragma}').fetchone()[0]


def overwriting(connection: Connection, overwrite: bool) -> AbstractContextManager[None]:
    """A block in which builds of SQLite that overwrite deleted data do so or, without `overwrite`, skip whole pages

    Overwriting takes most of the time that it takes to empty a table, and is useless before a `VACUUM`, which removes
    the pages.
    """
    if overwrite or not value_of(connection, 'secure_delete'):
        return nullcontext()
    return _set(connection, 'secure_delete', 'FAST')


def delete_expired(connection: Connection, table: Table, now_seconds: int, overwrite: bool = True) -> int:
    """Delete rows that have expired; returns their number

    Args:
        connection: The connection, in a transaction
        table: The table
        now_seconds: Unix time
        overwrite: See `overwriting`; ignored unless all rows have expired, as no `VACUUM` may follow otherwise
    """
    if connection.execute(table.any_unexpired, (now_seconds,)).fetchone() is None:
        with overwriting(connection, overwrite):
            return connection.execute(table.delete_all).rowcount
    with _set(connection, 'cache_size', -DELETING_CACHE_KIB):
        return connection.execute(table.delete_expired, (now_seconds,)).rowcount


def vacuum(connection: Connection) -> None:
    """Give unused space back to the system, including the write-ahead log; not possible in a transaction"""
    # Once before, too, as the new pages are written to the log, and the disk may be full
    _truncate_log(connection)
    connection.execute('VACUUM')
    _truncate_log(connection)


def _truncate_log(connection: Connection) -> None:
    """Copy the write-ahead log, if any, to the database and truncate it, unless others are using it"""
    with _set(connection, 'busy_timeout', 0):
        connection.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall()


def is_worth_vacuuming(connection: Connection, table: Table, removed: int) -> bool:
    """Whether the database is small, or rewriting it would free at least a quarter of its file

    Args:
        connection: The connection
        table: The table that holds most of the data
        removed: Number of rows that were just deleted from it, which may leave pages half empty
    """
    pages = value_of(connection, 'page_count')
    if pages * value_of(connection, 'page_size') <= SMALL_BYTES:
        return True
    if value_of(connection, 'freelist_count') * ONE_IN >= pages:
        return True
    remaining = connection.execute(table.count).fetchone()[0]
    return bool(removed * ONE_IN >= removed + remaining)
