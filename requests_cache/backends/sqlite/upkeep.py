"""Work on a whole database: deleting much of it, and giving space back

SQLite is tuned for a few pages at a time. Its page cache holds 2 MB, deleting in the order of an index visits each page
time and again, and some builds overwrite all that is deleted. What is done here about it changes neither the
transactions nor the format of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from .errors import Error

if TYPE_CHECKING:
    from sqlite3 import Connection

    from .table import Table

CACHE_KIB = 16 * 1024
# Smaller files are vacuumed faster than anyone could notice; of larger ones, one page in four must be unused
SMALL_BYTES = 16_000_000
ONE_IN = 4


@contextmanager
def _set(connection: Connection, pragma: str, value: object) -> Iterator[None]:
    """A block in which a setting of the connection is another one"""
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
    """A block in which builds of SQLite that overwrite what is deleted do so, or spare themselves whole pages

    It takes most of the time of emptying a table, and is of no use before a `VACUUM`, which cuts the pages off.
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
        overwrite: See `overwriting`; heeded if all rows have expired, as a `VACUUM` may be too much otherwise
    """
    if connection.execute(table.any_unexpired, (now_seconds,)).fetchone() is None:
        with overwriting(connection, overwrite):
            return connection.execute(table.delete_all).rowcount
    with _set(connection, 'cache_size', -CACHE_KIB):
        return connection.execute(table.delete_expired, (now_seconds,)).rowcount


def is_worth_vacuuming(connection: Connection, table: Table, removed: int) -> bool:
    """Whether the table is empty, or the database small, or rewriting it would free at least a quarter of its file

    Args:
        connection: The connection
        table: The table that holds most of the data
        removed: Number of rows that were just deleted from it; they may leave pages that are half empty
    """
    pages = value_of(connection, 'page_count')
    if pages * value_of(connection, 'page_size') <= SMALL_BYTES:
        return True
    if value_of(connection, 'freelist_count') * ONE_IN >= pages:
        return True
    remaining = connection.execute(table.count).fetchone()[0]
    return bool(removed * ONE_IN >= removed + remaining)
