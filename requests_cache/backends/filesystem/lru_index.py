"""An index of files: their sizes, and when they were last used"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from logging import getLogger
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..._utils import chunkify
from ...exceptions import BackendError, BackendUnavailableError
from ..sqlite import _connect
from ..sqlite.access import DatabaseAccess
from ..sqlite.database import database_path, make_database
from ..sqlite.errors import Error, backend_error
from ..sqlite.table import from_column, to_column, unpack
from ..storage import CHUNK_SIZE
from .access import remove_database
from .lru_table import LRUTable

if TYPE_CHECKING:
    from sqlite3 import Connection

T = TypeVar('T')
SORT_KEYS = ('access_time', 'size', 'key')
_DAMAGED = ('malformed', 'not a database')
# The file was emptied, or replaced while it was open
_OUTDATED = ('no such table', 'readonly database', 'disk i/o error')
logger = getLogger(__name__)


class Files(Protocol):
    """The files that an index describes"""

    def measure_all(self) -> Iterator[tuple[str, int, int]]:
        """Key, time of the last use in nanoseconds since the epoch, and size in bytes of every file"""

    def settle(self) -> None:
        """Write everything to the index that is still pending"""


class LRUDict(DatabaseAccess, MutableMapping[str, int]):
    """Sizes of files by key, in an SQLite database, with the times when they were last used

    Values are sizes in bytes. Times are nanoseconds since the epoch.

    Args:
        db_path: Path of the database; `.sqlite` is added if it has no suffix
        table_name: Name of the table
        args: `busy_timeout` and `fast_save`
        files: The files, from which the index can be rebuilt
        kwargs: See `SQLiteDict`
    """

    serializer = None

    def __init__(
        self,
        db_path: Path | str,
        table_name: str = 'http_cache',
        *args: Any,
        files: Files | None = None,
        **kwargs: Any,
    ):
        options = {**dict(zip(('busy_timeout', 'fast_save'), args, strict=False)), **kwargs}
        self.table_name = table_name
        self.db_path = database_path(db_path, options)
        self._files = files
        self.table = LRUTable(table_name, has_bounds=files is not None)
        self._database = make_database(self.db_path, _connect, (self.table,), options)

    def _settle(self) -> None:
        # Not while this thread is in the middle of using the database
        if self._files is not None and not self._database.is_held():
            self._files.settle()

    # One file

    def __getitem__(self, key: str) -> int:
        self._settle()
        row = self._database.row(self.table.select, (to_column(key),))
        if row is None:
            raise KeyError(key)
        return self.deserialize(key, row[0])

    def __setitem__(self, key: str, size: int) -> None:
        def enter(connection: Connection) -> None:
            if len(connection.execute(self.table.select_total).fetchall()) != 1:
                self.table.set_total(connection)
            connection.execute(self.table.put, (to_column(key), time_ns(), self.serialize(size)))

        self._database.write(enter)

    def __delitem__(self, key: str) -> None:
        if not self.bulk_delete([key]):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        self._settle()
        return self._database.row(self.table.contains, (to_column(key),)) is not None

    def update_access_time(self, key: str) -> None:
        """Record that a file was used just now

        Raises:
            KeyError: The file is not in the index
        """
        self._settle()
        parameters = (time_ns(), to_column(key))
        if not self._database.write(lambda c: c.execute(self.table.set_access_time, parameters).rowcount):
            raise KeyError(key)

    def serialize(self, value: int) -> int:
        """The stored form of a size: the size itself"""
        return value

    def deserialize(self, key: str, value: int) -> int:
        """Undo `serialize`"""
        return value

    # All files

    def __len__(self) -> int:
        return self.count()

    def count(self, *args: Any, **kwargs: Any) -> int:
        """Number of files; arguments are ignored, as entries of an index do not expire"""
        self._settle()
        return int(self._database.row(self.table.count)[0])

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self.scan())

    def scan(self) -> Iterator[tuple[str, int]]:
        """All keys with their sizes, read a page at a time"""
        self._settle()
        after: Any = None
        while rows := self._read_page(after):
            after = rows[-1][0]
            yield from ((from_column(key), size) for key, size in rows)

    def _read_page(self, after: Any) -> list[Any]:
        return self._database.read(lambda connection: self.table.page(connection, 'key, size', after))

    def sorted(
        self,
        key: str = 'access_time',
        reversed: bool = False,  # noqa: A002
        limit: int | None = None,
        **kwargs: Any,
    ) -> Iterator[str]:
        """Keys, in a given order

        Args:
            key: `access_time`, `size` or `key`
            reversed: In descending order
            limit: How many keys to return; None for all
            kwargs: Ignored

        Raises:
            ValueError: `key` is none of these
        """
        if key not in SORT_KEYS:
            raise ValueError(f'Invalid sort key: {key}; use one of {", ".join(SORT_KEYS)}')
        self._settle()
        order = f'{key} {"DESC" if reversed else "ASC"}'
        pages = self._database.read(lambda c: self.table.sorted_keys(c, order, '1', (), limit or None))
        for keys in unpack(pages):
            yield from map(from_column, keys)

    def get_lru(self, total_size: int) -> list[str]:
        """Keys of the files to remove to free a number of bytes, least recently used first"""
        keys = []
        for key in self.sorted() if total_size > 0 else ():
            keys.append(key)
            total_size -= self.get(key, 0)
            if total_size <= 0:
                break
        return keys

    def total_size(self) -> int:
        """Sum of all sizes, in bytes"""
        self._settle()
        return int((self._database.row(self.table.select_total) or self._database.row(self.table.sum_and_count))[0])

    def bulk_delete(self, keys: Iterable[str] | None = None, values: Iterable[int] | None = None) -> int:
        """Remove files with any of the given keys or sizes from the index; returns how many there were"""
        self._settle()
        stored = map(to_column, keys or ())
        return self._delete_in('key', stored) + self._delete_in('size', values or ())

    def _delete_in(self, column: str, items: Iterable[Any]) -> int:
        return sum(self._delete_chunk(column, chunk) for chunk in chunkify(items, CHUNK_SIZE))

    def _delete_chunk(self, column: str, items: list[Any]) -> int:
        statement = self.table.delete_in(column, len(items))
        return self._database.write(lambda connection: connection.execute(statement, items).rowcount)

    def clear(self) -> None:
        def clear(connection: Connection) -> None:
            connection.execute(self.table.delete_all)
            self.table.set_total(connection)

        self._settle()
        self._database.write(clear)

    def __str__(self) -> str:
        return str(list(self))

    def close(self) -> None:
        try:
            super().close()
        except BackendError as e:
            logger.debug('Could not close the index: %s', e)

    # For a storage with bounds

    def owners(self) -> list[str]:
        """Names of all reservations"""
        return [owner for (owner,) in self._database.read(lambda c: c.execute(self.table.owners).fetchall())]

    @property
    def opened_file(self) -> tuple[int, ...] | None:
        """What identifies the open file, if another one can take its place; see `identity`"""
        return self._database.opened_file

    def write_if_idle(self, action: Callable[[Connection], object]) -> bool:
        """Call a function in a transaction, unless the database is locked; see `Database.write_if_idle`"""
        return self._database.write_if_idle(action)

    def apply(self, action: Callable[[Connection], T]) -> T:
        """Repair the index if necessary, and call a function in a transaction; it may be called twice"""
        for is_last in (False, True):
            try:
                with self.connection(commit=True) as connection:
                    totals = connection.execute(self.table.select_total).fetchall()
                    if not totals:
                        self._fill(connection)
                    elif len(totals) > 1:  # 1.3 adds a row whenever it opens the index
                        self.table.set_total(connection)
                    return action(connection)
            except Error as e:  # noqa: PERF203
                if is_last or not self._repair(e):
                    raise backend_error(e, self.db_path) from e
            except BackendError as e:
                if is_last or not self._repair(e.__cause__):
                    raise
        raise AssertionError('the last attempt returns or raises')

    def is_plausible(self) -> bool:
        """Whether the index is not empty, and its sums are right

        Raises:
            BackendUnavailableError: The database is locked, or cannot be opened
        """

        def look(connection: Connection) -> bool:
            totals = connection.execute(self.table.select_total).fetchall()
            total, count = connection.execute(self.table.sum_and_count).fetchone()
            counts = connection.execute(self.table.select_count).fetchall() if self.table.has_bounds else [(count,)]
            # 1.3 uses the first total, and adds another one whenever it opens the index
            return bool(count) and totals[:1] == [(total,)] and counts == [(count,)]

        try:
            return self._database.read(look)
        except BackendUnavailableError:
            raise
        except BackendError:
            return False

    def rebuild(self) -> None:
        """Rebuild the index from the files, keeping the access times that it has"""
        try:
            self._database.write(lambda connection: connection.execute(self.table.delete_total))
        except BackendUnavailableError:
            raise
        except BackendError as e:
            logger.debug('The index is damaged: %s', e)
        self.apply(lambda connection: None)

    def _fill(self, connection: Connection) -> None:
        if self._files is not None:
            connection.execute(self.table.forget_sizes)
            rows = ((to_column(key), used, size) for key, used, size in self._files.measure_all())
            connection.executemany(self.table.put_size, rows)
            connection.execute(self.table.delete_unsized)
        self.table.set_total(connection)

    def _repair(self, error: BaseException | None) -> bool:
        """Repair a damaged index; returns whether there was something to repair"""
        text = str(error).lower() if isinstance(error, Error) else ''
        if any(part in text for part in _DAMAGED):
            logger.warning('The index %s is damaged, and will be rebuilt: %s', self.db_path, error)
            self._database.close()
            remove_database(Path(self.db_path))
        elif not any(part in text for part in _OUTDATED):
            return False
        self.init_db()
        return True
