"""An index of files: how large they are, and when they were last used"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from logging import getLogger
from pathlib import Path
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..._utils import within
from ...exceptions import BackendError, BackendUnavailableError
from ...keys.shown import shown_text
from ..sqlite import SQLiteDict
from ..sqlite.connection import FreedIfInterrupted, set_busy_timeout
from ..sqlite.errors import DRIVER_ERRORS, Error, backend_error
from ..sqlite.table import Table, from_column, to_column, unpack
from .access import remove_database

if TYPE_CHECKING:
    from sqlite3 import Connection

T = TypeVar('T')
FLUSH_SECONDS = 1.0
MAX_TOUCHED = 1000
SORT_KEYS = ('access_time', 'size', 'key')
_DAMAGED = ('malformed', 'not a database')
# The file was emptied, or replaced while it was open
_OUTDATED = ('no such table', 'readonly database', 'disk i/o error')
logger = getLogger(__name__)


class Files(Protocol):
    """What an index is about"""

    def _measure(self, key: str) -> int | None:
        """Size of a file in bytes; None if there is none"""

    def _measure_all(self) -> Iterator[tuple[str, int, int]]:
        """Key, time of the last use in nanoseconds since the epoch, and size in bytes of every file"""


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


class LRUDict(SQLiteDict):
    """Sizes of files by key, in an SQLite database, with the times when they were last used

    Takes the parameters of `SQLiteDict`. Values are sizes in bytes. Times are nanoseconds since the epoch.
    """

    _table: LRUTable
    # To make the index anew from, and to add files that are in use and not in it
    files: Files | None = None

    def __init__(self, *args: Any, **kwargs: Any):
        self._touched: dict[str, int] = {}
        self._flushed_at = 0.0
        super().__init__(*args, **kwargs)
        self.serializer = None

    def _make_table(self, name: str) -> Table:
        return LRUTable(name)

    def __setitem__(self, key: str, size: int) -> None:
        self._database.write(lambda connection: self.enter(connection, key, size))

    def enter(self, connection: Connection, key: str, size: int) -> None:
        """Write a size, and the present time, in a transaction of the caller"""
        if len(connection.execute(self._table.select_total).fetchall()) != 1:
            self._table.set_total(connection)
        connection.execute(self._table.put, (to_column(key), time_ns(), size))

    def update_access_time(self, key: str) -> None:
        """Note that a file was used just now

        Raises:
            KeyError: It is not in the index
        """
        parameters = (time_ns(), to_column(key))
        if not self._database.write(lambda c: c.execute(self._table.set_access_time, parameters).rowcount):
            raise KeyError(key)

    def touch(self, key: str) -> None:
        """Note that a file was used just now; written later, together with others, so that it takes no time"""
        self._touched[key] = time_ns()
        now = monotonic()
        if now - self._flushed_at >= FLUSH_SECONDS or len(self._touched) >= MAX_TOUCHED:
            self._flushed_at = now
            self.flush()

    def flush(self) -> None:
        """Write access times, unless that takes a wait or fails; then they are kept for the next time"""
        database = self._database
        if not self._touched:
            return
        touched = dict(self._touched)
        try:
            with FreedIfInterrupted(database), within(database.lock, 0) as held:
                if held:
                    self._open_and_flush()
        except DRIVER_ERRORS as e:
            self._touched = {**touched, **self._touched}
            logger.debug('Access times could not be written yet: %s', shown_text(e))

    def _open_and_flush(self) -> None:
        connection = self._connection
        if connection is None:
            self._database.try_to_open()
            connection = self._connection
        if connection is not None and not connection.in_transaction:
            self._flush(connection)

    def _flush(self, connection: Connection) -> None:
        try:
            set_busy_timeout(connection, 0)
            connection.execute('BEGIN IMMEDIATE')
            self.write_access_times(connection)
            connection.commit()
        finally:
            if connection.in_transaction:
                connection.rollback()
            set_busy_timeout(connection, self._database.wait_seconds)

    def write_access_times(self, connection: Connection) -> None:
        """Write what `touch` noted, in a transaction of the caller"""
        touched, self._touched = self._touched, {}
        for key, access_time in list(touched.items()):  # another thread may be about to add one
            column = to_column(key)
            known = connection.execute(self._table.set_access_time, (access_time, column)).rowcount
            if not known and self.files is not None and (size := self.files._measure(key)) is not None:
                connection.execute(self._table.add, (column, access_time, size))

    def sorted(
        self,
        key: str = 'access_time',
        reversed: bool = False,  # noqa: A002
        limit: int | None = None,
        expired: bool = True,
        **kwargs: Any,
    ) -> Iterator[str]:
        """Keys in a given order

        Args:
            key: `access_time`, `size` or `key`
            reversed: In descending order
            limit: How many; None for all
            expired: Ignored, as are `kwargs`: nothing in an index expires

        Raises:
            ValueError: There is no such order
        """
        if key not in SORT_KEYS:
            raise ValueError(f'Invalid sort key: {key}')
        self.flush()
        order = f'{key} {"DESC" if reversed else "ASC"}'
        pages = self._database.read(lambda c: self._table.sorted_keys(c, order, '1', (), limit or None))
        for keys in unpack(pages):
            yield from map(from_column, keys)

    def get_lru(self, total_size: int) -> list[str]:
        """Keys of the files to remove to free a number of bytes: those first that were not used for the longest time"""
        self.flush()
        return self._database.read(lambda connection: self._oldest(connection, total_size))

    def _oldest(self, connection: Connection, total_size: int) -> list[str]:
        keys: list[str] = []
        if total_size <= 0:
            return keys
        cursor = connection.execute(self._table.by_age)
        for key, size in cursor:
            keys.append(from_column(key))
            total_size -= size
            if total_size <= 0:
                break
        cursor.close()
        return keys

    def total_size(self) -> int:
        """Sum of all sizes, in bytes"""
        row = self._database.row(self._table.select_total) or self._database.row(self._table.sum)
        return int(row[0])

    def count(self, *args: Any, **kwargs: Any) -> int:
        """Number of files"""
        return super().count()

    def clear(self) -> None:
        self._database.write(self.remove_all)

    def remove_all(self, connection: Connection) -> None:
        """Remove all rows, in a transaction of the caller"""
        self._touched = {}
        connection.execute(self._table.delete_all)
        self._table.set_total(connection)

    def close(self) -> None:
        if self._touched and Path(self.db_path).exists():
            self.flush()
        try:
            super().close()
        except BackendError as e:
            logger.debug('The index could not be closed: %s', e)

    # Keeping it right

    def apply(self, action: Callable[[Connection], T]) -> T:
        """Call a function in a transaction, after what is wrong with the index was put right; it may be called twice"""
        for is_last in (False, True):
            try:
                with self.connection(commit=True) as connection:
                    totals = connection.execute(self._table.select_total).fetchall()
                    if not totals:
                        self.fill(connection)
                    elif len(totals) > 1:  # 1.3 adds a row whenever it opens the index
                        self._table.set_total(connection)
                    return action(connection)
            except Error as e:  # noqa: PERF203
                if is_last or not self._mend(e):
                    raise backend_error(e, self.db_path) from e
            except BackendError as e:
                if is_last or not self._mend(e.__cause__):
                    raise
        raise AssertionError('the last attempt returns or raises')

    def is_plausible(self) -> bool:
        """Whether there is something in the index, and its total is right

        Raises:
            BackendUnavailableError: That cannot be told at present
        """

        def look(connection: Connection) -> bool:
            totals = connection.execute(self._table.select_total).fetchall()
            rows = connection.execute(self._table.sum_and_count).fetchone()
            return bool(rows[1]) and totals == [(rows[0],)]

        try:
            return self._database.read(look)
        except BackendUnavailableError:
            raise
        except BackendError:
            return False

    def fill(self, connection: Connection) -> None:
        """Make the index anew from the files, in a transaction of the caller; access times that are in it are kept"""
        known = dict(connection.execute(self._table.access_times).fetchall())
        connection.execute(self._table.delete_all)
        if self.files is not None:
            rows = ((to_column(key), used, size) for key, used, size in self.files._measure_all())
            connection.executemany(self._table.add, ((key, known.get(key, used), size) for key, used, size in rows))
        self._table.set_total(connection)

    def _mend(self, error: BaseException | None) -> bool:
        """Do something about a damaged index; whether there was something to do"""
        text = str(error).lower() if isinstance(error, Error) else ''
        if any(part in text for part in _DAMAGED):
            logger.warning('The index %s is damaged, and made anew: %s', self.db_path, error)
            self._database.close()
            remove_database(Path(self.db_path))
        elif not any(part in text for part in _OUTDATED):
            return False
        self.init_db()
        return True
