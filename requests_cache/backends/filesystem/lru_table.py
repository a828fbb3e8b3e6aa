"""The tables of an index of files: their columns, and the statements that read and write them"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..sqlite.table import Table

if TYPE_CHECKING:
    from sqlite3 import Connection


class LRUTable(Table):
    """Statements for an index: one table of files, and one of a single row with the sum of their sizes

    The second table has no row until the sum is known: so a database that was made anew can be told from the index of
    an empty directory.
    """

    def __init__(self, name: str):
        super().__init__(name)
        self.total = total = '"' + f'{name}_size'.replace('"', '""') + '"'
        table = self.quoted
        self.select = f'SELECT size FROM {table} WHERE key = ?'
        self.put = (
            f'INSERT INTO {table} (key, access_time, size) VALUES (?, ?, ?) '
            'ON CONFLICT (key) DO UPDATE SET access_time = excluded.access_time, size = excluded.size'
        )
        self.add = f'INSERT OR IGNORE INTO {table} (key, access_time, size) VALUES (?, ?, ?)'
        self.set_access_time = f'UPDATE {table} SET access_time = ? WHERE key = ?'
        self.set_size = f'UPDATE {table} SET size = ? WHERE key = ?'
        self.oldest = f'SELECT key, size FROM {table} WHERE key IS NOT ? ORDER BY access_time, rowid LIMIT 1 OFFSET ?'
        self.by_age = f'SELECT key, size FROM {table} ORDER BY access_time, rowid'
        self.select_total = f'SELECT total_size FROM {total}'
        self.sum = f'SELECT COALESCE(SUM(size), 0) FROM {table}'
        self.sum_and_count = f'SELECT COALESCE(SUM(size), 0), COUNT(*) FROM {table}'
        self.access_times = f'SELECT key, access_time FROM {table}'

    @property
    def is_complete(self) -> str:
        literals = [f"""'{name.replace("'", "''")}'""" for name in self._schema()]
        return f'(SELECT COUNT(*) FROM sqlite_master WHERE name IN ({", ".join(literals)})) = {len(literals)}'

    def lacking(self, connection: Connection) -> list[str]:
        present = {name for (name,) in connection.execute('SELECT name FROM sqlite_master').fetchall()}
        return [statement for name, statement in self._schema().items() if name not in present]

    def _schema(self) -> dict[str, str]:
        """Statements that make what is in the database, by name; as 1.3 makes it"""
        table, total = self.quoted, self.total

        def trigger(event: str, when: str, change: str) -> tuple[str, str]:
            name = f'{self.name}_{event}'
            quoted = '"' + name.replace('"', '""') + '"'
            return name, (
                f'CREATE TRIGGER IF NOT EXISTS {quoted} AFTER {when} '
                f'BEGIN UPDATE {total} SET total_size = total_size {change}; END'
            )

        return {
            f'{self.name}_size': f'CREATE TABLE IF NOT EXISTS {total} (total_size INTEGER NOT NULL)',
            self.name: (
                f'CREATE TABLE IF NOT EXISTS {table} '
                '(key TEXT PRIMARY KEY, access_time INTEGER NOT NULL, size INTEGER NOT NULL)'
            ),
            'idx_access_time': f'CREATE INDEX IF NOT EXISTS idx_access_time ON {table} (access_time)',
            'idx_size': f'CREATE INDEX IF NOT EXISTS idx_size ON {table} (size)',
            **dict(
                [
                    trigger('insert', f'INSERT ON {table}', '+ NEW.size'),
                    trigger('delete', f'DELETE ON {table}', '- OLD.size'),
                    trigger(
                        'update',
                        f'UPDATE OF size ON {table} WHEN OLD.size != NEW.size',
                        '+ (NEW.size - OLD.size)',
                    ),
                ]
            ),
        }

    def page(self, connection: Connection, columns: str, after: Any, where: str = '1') -> list[tuple[Any, ...]]:
        return super().page(connection, columns.replace('value', 'size'), after, where)

    def set_total(self, connection: Connection) -> None:
        """Count anew"""
        connection.execute(f'DELETE FROM {self.total}')
        connection.execute(f'INSERT INTO {self.total} {self.sum}')
