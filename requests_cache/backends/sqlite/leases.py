"""Leases in a table of an SQLite database, made when the first one is taken"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..leases import Leases
from .database import Database
from .table import Table, has_table, to_column

if TYPE_CHECKING:
    from sqlite3 import Connection


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

    def read(self, key: str) -> str | None:
        def read(connection: Connection) -> str | None:
            if not has_table(connection, self.name):
                return None
            row = connection.execute(f'SELECT value FROM {self._quoted} WHERE key = ?', (to_column(key),)).fetchone()
            return None if row is None else str(row[0])

        return self._database.read(read)

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
