"""Leases, in a table of an SQLite database that is created for the first one"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from ..bodies import LEFTOVERS_PER_STEP
from ..leases import Leases
from .database import Database
from .table import Table, from_column, has_table, to_column

if TYPE_CHECKING:
    from sqlite3 import Connection

# A living holder changes its lease every few seconds
ABANDONED_AFTER_SECONDS = 1800.0


class LeaseTable(Leases):
    """The leases for the entries of a table

    Args:
        database: The database
        table: The table with the entries
    """

    def __init__(self, database: Database, table: Table):
        self._database = database
        own = Table(f'{table.name}_leases')
        self.name, self._quoted = own.name, own.quoted
        self._seen: list[tuple[str, str]] = []
        self._seen_at = -inf

    def read(self, key: str) -> str | None:
        def read(connection: Connection) -> str | None:
            if not has_table(connection, self.name):
                return None
            row = connection.execute(f'SELECT value FROM {self._quoted} WHERE key = ?', (to_column(key),)).fetchone()
            return None if row is None else str(row[0])

        return self._database.read(read)

    def remove_leftovers(self) -> None:
        """Remove leases that this object saw unchanged for so long that their holders cannot be alive"""
        now = monotonic()
        if now - self._seen_at < ABANDONED_AFTER_SECONDS:
            return
        for key, value in self._seen:
            self.swap(key, value, None)

        def read(connection: Connection) -> list[tuple[str, str]]:
            if not has_table(connection, self.name):
                return []
            return connection.execute(f'SELECT key, value FROM {self._quoted} LIMIT {LEFTOVERS_PER_STEP}').fetchall()

        self._seen = [(from_column(key), value) for key, value in self._database.read(read)]
        self._seen_at = now

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        stored, table = to_column(key), self._quoted

        def swap(connection: Connection) -> bool:
            if not has_table(connection, self.name):
                if old is not None:
                    return False
                connection.execute(f'CREATE TABLE IF NOT EXISTS {table} (key PRIMARY KEY, value TEXT)')
            if old is None:
                insert = f'INSERT OR IGNORE INTO {table} VALUES (?, ?)'
                return connection.execute(insert, (stored, new)).rowcount > 0
            if new is None:
                delete = f'DELETE FROM {table} WHERE key = ? AND value = ?'
                return connection.execute(delete, (stored, old)).rowcount > 0
            update = f'UPDATE {table} SET value = ? WHERE key = ? AND value = ?'
            return connection.execute(update, (new, stored, old)).rowcount > 0

        return self._database.write(swap)
