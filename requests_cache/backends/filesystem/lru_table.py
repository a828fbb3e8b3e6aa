"""The tables of an index of files, and the statements that create, read and write them

    NAME        key, time of the last use, and size of each file, as in 1.3
    NAME_size   one row with the sum of the sizes, kept up to date by triggers, as in 1.3
    NAME_room   what processes have reserved for files that are not in the index yet
    NAME_count  one row with the number of files, kept up to date by triggers

The second table has no row until the sum is known, which tells a new database from the index of an empty directory. The
last two tables exist only for bounded storages, and 1.3 does not look at them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..sqlite.table import Table

if TYPE_CHECKING:
    from sqlite3 import Connection


class LRUTable(Table):
    """Statements for an index

    Args:
        name: Name of the table
        has_bounds: Whether the index belongs to a bounded storage
    """

    def __init__(self, name: str, has_bounds: bool = False):
        super().__init__(name)
        self.has_bounds = has_bounds
        table, total, room, number = self.quoted, self._quoted('size'), self._quoted('room'), self._quoted('count')
        self.select = f'SELECT size FROM {table} WHERE key = ?'
        self.put = (
            f'INSERT INTO {table} (key, access_time, size) VALUES (?, ?, ?) '
            'ON CONFLICT (key) DO UPDATE SET access_time = excluded.access_time, size = excluded.size'
        )
        self.put_size = (
            f'INSERT INTO {table} (key, access_time, size) VALUES (?, ?, ?) '
            'ON CONFLICT (key) DO UPDATE SET size = excluded.size'
        )
        self.add = f'INSERT OR IGNORE INTO {table} (key, access_time, size) VALUES (?, ?, ?)'
        self.set_access_time = f'UPDATE {table} SET access_time = max(access_time, ?) WHERE key = ?'
        self.set_size = f'UPDATE {table} SET size = ? WHERE key = ?'
        self.forget_sizes = f'UPDATE {table} SET size = -1'
        self.delete_unsized = f'DELETE FROM {table} WHERE size < 0'
        self.oldest = f'SELECT rowid, key, size FROM {table} ORDER BY access_time, rowid LIMIT ?'
        self.next_rows = f'SELECT rowid, key, size FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?'
        self.delete_row = f'DELETE FROM {table} WHERE rowid = ?'
        self.select_total = f'SELECT total_size FROM {total}'
        self.delete_total = f'DELETE FROM {total}'
        self.insert_total = f'INSERT INTO {total} SELECT COALESCE(SUM(size), 0) FROM {table}'
        self.sum_and_count = f'SELECT COALESCE(SUM(size), 0), COUNT(*) FROM {table}'
        self.select_count = f'SELECT COALESCE(MAX(entries), 0) FROM {number}'
        self.delete_count = f'DELETE FROM {number}'
        self.insert_count = f'INSERT INTO {number} SELECT COUNT(*) FROM {table}'
        self.reserved = f'SELECT COALESCE(SUM(bytes), 0), COALESCE(SUM(entries), 0) FROM {room}'
        self.owners = f'SELECT owner FROM {room}'
        self.reserve = f'INSERT OR REPLACE INTO {room} (owner, bytes, entries) VALUES (?, ?, ?)'
        self.release = f'DELETE FROM {room} WHERE owner = ?'

    def _quoted(self, suffix: str) -> str:
        return '"' + f'{self.name}_{suffix}'.replace('"', '""') + '"'

    def keys_in(self, count: int) -> str:
        """Select those of a number of keys that are in the index"""
        return f'SELECT key FROM {self.quoted} WHERE key IN ({",".join("?" * count)})'

    @property
    def is_complete(self) -> str:
        literals = [f"""'{name.replace("'", "''")}'""" for name in self._schema()]
        return f'(SELECT COUNT(*) FROM sqlite_master WHERE name IN ({", ".join(literals)})) = {len(literals)}'

    def lacking(self, connection: Connection) -> list[str]:
        present = {name for (name,) in connection.execute('SELECT name FROM sqlite_master').fetchall()}
        return [statement for name, statement in self._schema().items() if name not in present]

    def _schema(self) -> dict[str, str]:
        """Statements that create the tables, indexes and triggers, by name"""
        table, total = self.quoted, self._quoted('size')
        return {
            f'{self.name}_size': f'CREATE TABLE IF NOT EXISTS {total} (total_size INTEGER NOT NULL)',
            self.name: (
                f'CREATE TABLE IF NOT EXISTS {table} '
                '(key TEXT PRIMARY KEY, access_time INTEGER NOT NULL, size INTEGER NOT NULL)'
            ),
            'idx_access_time': f'CREATE INDEX IF NOT EXISTS idx_access_time ON {table} (access_time)',
            'idx_size': f'CREATE INDEX IF NOT EXISTS idx_size ON {table} (size)',
            **self._trigger('insert', f'INSERT ON {table}', f'{total} SET total_size = total_size + NEW.size'),
            **self._trigger('delete', f'DELETE ON {table}', f'{total} SET total_size = total_size - OLD.size'),
            **self._trigger(
                'update',
                f'UPDATE OF size ON {table} WHEN OLD.size != NEW.size',
                f'{total} SET total_size = total_size + (NEW.size - OLD.size)',
            ),
            **(self._schema_for_bounds() if self.has_bounds else {}),
        }

    def _schema_for_bounds(self) -> dict[str, str]:
        table, room, number = self.quoted, self._quoted('room'), self._quoted('count')
        return {
            f'{self.name}_room': (
                f'CREATE TABLE IF NOT EXISTS {room} '
                '(owner TEXT PRIMARY KEY, bytes INTEGER NOT NULL, entries INTEGER NOT NULL)'
            ),
            f'{self.name}_count': f'CREATE TABLE IF NOT EXISTS {number} AS SELECT COUNT(*) AS entries FROM {table}',
            **self._trigger('counted', f'INSERT ON {table}', f'{number} SET entries = entries + 1'),
            **self._trigger('uncounted', f'DELETE ON {table}', f'{number} SET entries = entries - 1'),
        }

    def _trigger(self, suffix: str, event: str, update: str) -> dict[str, str]:
        name = f'{self.name}_{suffix}'
        return {name: f'CREATE TRIGGER IF NOT EXISTS {self._quoted(suffix)} AFTER {event} BEGIN UPDATE {update}; END'}

    def set_total(self, connection: Connection) -> None:
        """Compute the sum and the number of files again"""
        connection.execute(self.delete_total)
        connection.execute(self.insert_total)
        if self.has_bounds:
            connection.execute(self.delete_count)
            connection.execute(self.insert_count)
