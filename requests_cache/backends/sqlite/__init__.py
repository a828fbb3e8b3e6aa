"""The SQLite backend: responses and redirects in two tables of one database"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from logging import getLogger
from os import unlink
from pathlib import Path
from typing import Any

from requests import Response

from ...exceptions import BackendError, BackendUnavailableError, MissingDependencyError
from ...keys.shown import shown_text, shown_traceback
from ...models.response import CachedResponse
from ...policy.expiration import ExpirationTime, check_expiration
from ...serializers.pipeline import SerializerType
from ...serializers.preconf import pickle_serializer
from ..base import BaseCache, reset_expiration_or_drop
from ..paths import StrOrPath
from ..storage import STORAGE_KEYWORDS, UPKEEP_KEYWORDS
from .bodies import BodyTables
from .connection import is_database, remove_files
from .database import CONNECT_KEYWORDS, MEMORY_URI, Database, database_path, make_database
from .errors import backend_error, is_full
from .storage import TableStorage
from .table import Table

try:
    import sqlite3
except ImportError:
    sqlite3 = None  # type: ignore[assignment]

__all__ = ['MEMORY_URI', 'SQLiteCache', 'SQLiteDict', 'sqlite3_available']

DEFAULT_TIMEOUT_SECONDS = 30.0
logger = getLogger(__name__)


def sqlite3_available() -> bool:
    """Whether this Python was built with SQLite"""
    return sqlite3 is not None


def _connect(path: StrOrPath, **kwargs: Any) -> Any:
    if sqlite3 is None:
        raise MissingDependencyError('The SQLite backend', 'sqlite3')
    return sqlite3.connect(path, **kwargs)


class SQLiteDict(TableStorage):
    """A table of an SQLite database as a mapping

    Args:
        db_path: As for `SQLiteCache`
        table_name: Name of the table
        busy_timeout, fast_save, use_cache_dir, use_memory, use_temp, wal: As for `SQLiteCache`
        serializer: A name, a pipeline, a stage, or any object with `dumps` and `loads`; None keeps values as they are
        database: Share the connection of another storage with the same `db_path`. Only `table_name` and `serializer`
            then have an effect.
        kwargs: Keywords of `sqlite3.connect`, and of `BaseStorage`

    Raises:
        FileExistsError: One of the parent directories of the path is a file
        PermissionError: With `use_temp`, the file belongs to somebody else
        ValueError: A table cannot have that name
    """

    def __init__(
        self,
        db_path: StrOrPath,
        table_name: str = 'http_cache',
        busy_timeout: float | None = None,
        fast_save: bool = False,
        serializer: SerializerType | Any = pickle_serializer,
        use_cache_dir: bool = False,
        use_memory: bool = False,
        use_temp: bool = False,
        wal: bool = False,
        database: Database | None = None,
        **kwargs: Any,
    ):
        of_storage = {name: kwargs[name] for name in STORAGE_KEYWORDS if name in kwargs}
        super().__init__(serializer, bool(kwargs.get('decode_content')), **of_storage)
        options = {
            **kwargs,
            'busy_timeout': busy_timeout,
            'fast_save': fast_save,
            'use_cache_dir': use_cache_dir,
            'use_memory': use_memory,
            'use_temp': use_temp,
            'wal': wal,
        }
        self.table_name = table_name
        self.busy_timeout = busy_timeout
        self.fast_save = fast_save
        self.wal = wal
        self._table = self._make_table(table_name)
        self.db_path = db_path if database else database_path(db_path, options)
        self._database = database or make_database(self.db_path, _connect, (self._table,), options)
        if self.serializer is not None:
            self.pieces = BodyTables(self._database, self._table, self.bounds is not None)
        if self.bounds is not None or self.delete_expired_after is not None:
            from .upkeep import TableUpkeep

            self._upkeep = TableUpkeep(self._database, self._table, self.bounds, self.delete_expired_after)

    def _make_table(self, name: str) -> Table:
        return Table(name)


class SQLiteCache(BaseCache):
    """A cache in an SQLite database: one file, no server

    Args:
        db_path: Path of the file. `.sqlite` is added if the name has no suffix.
        serializer: A name, a pipeline, a stage, or any object with `dumps` and `loads`; pickle by default
        use_cache_dir: Put the file into the user's cache directory, if the path is relative
        use_temp: Put the file into the directory for temporary files, if the path is relative
        use_memory: Keep the database in memory until it is closed
        busy_timeout: How long to wait for other processes and threads that have locked the file. A float is a number
            of seconds, an integer a number of milliseconds; None leaves it to the driver's `timeout` (5 seconds).
        fast_save: Do not wait until data has reached the disk. A power failure can then damage the database.
        wal: Use a write-ahead log, so that readers and a writer do not wait for each other
        large_body_bytes: Keep bodies longer than this in pieces, in tables of their own; 1 MiB by default
        max_cache_bytes: How large the file may become: a number of bytes, or text such as `'500 MB'`; no bound by
            default
        max_entries: How many responses are kept; no bound by default
        delete_expired_after: Delete responses that have been expired for this long: seconds or a `timedelta`; by
            default never
        kwargs: `compression`, `encryption_key` and `decode_content` (see `BaseStorage`); keywords of `sqlite3.connect`

    Raises:
        FileExistsError: One of the parent directories of the path is a file
        PermissionError: With `use_temp`, the file belongs to somebody else
    """

    responses: SQLiteDict
    redirects: SQLiteDict

    def __init__(
        self,
        db_path: StrOrPath = 'http_cache',
        serializer: SerializerType | Any = None,
        use_cache_dir: bool = False,
        use_temp: bool = False,
        use_memory: bool = False,
        busy_timeout: float | None = DEFAULT_TIMEOUT_SECONDS,
        fast_save: bool = False,
        wal: bool = False,
        **kwargs: Any,
    ):
        super().__init__(str(db_path))
        if kwargs.get('timeout') is not None and busy_timeout == DEFAULT_TIMEOUT_SECONDS:
            busy_timeout = None
        options = {
            **{k: v for k, v in kwargs.items() if k not in ('cache_name', 'database', 'table_name')},
            'use_cache_dir': use_cache_dir,
            'use_temp': use_temp,
            'use_memory': use_memory,
            'busy_timeout': busy_timeout,
            'fast_save': fast_save,
            'wal': wal,
        }
        tables = (Table('responses'), Table('redirects'))
        path = database_path(db_path, options)
        options['database'] = make_database(path, _connect, tables, options)
        self.responses = SQLiteDict(path, 'responses', serializer=serializer or pickle_serializer, **options)
        of_redirects = {k: v for k, v in options.items() if k not in UPKEEP_KEYWORDS}
        self.redirects = SQLiteDict(path, 'redirects', serializer=None, **of_redirects)

    @classmethod
    def owned_keywords(cls) -> frozenset[str]:
        own = {'busy_timeout', 'db_path', 'decode_content', 'fast_save', 'serializer', 'wal', *STORAGE_KEYWORDS}
        return frozenset(own | {'use_cache_dir', 'use_memory', 'use_temp', 'autocommit'}) | CONNECT_KEYWORDS

    @property
    def db_path(self) -> Path | str:
        """Path of the database file; text for a database in memory"""
        return self.responses.db_path

    def _save(
        self,
        response: Response,
        cache_key: str | None,
        expires: datetime | None,
        is_expected: Callable[[CachedResponse | None], bool] | None = None,
    ) -> bool:
        # In one transaction with the redirects that lead to the response
        with self._transaction() if response.history else nullcontext():
            return super()._save(response, cache_key, expires, is_expected)

    @property
    def _is_one_database(self) -> bool:
        return getattr(self.redirects, '_database', None) is self.responses._database

    def _transaction(self, overwrite: bool = True) -> AbstractContextManager[None]:
        """A block in one transaction for both tables, if they share a connection; two would wait for each other"""
        return self.responses.bulk_commit(overwrite) if self._is_one_database else nullcontext()

    def _save_redirects(self, redirects: dict[str, str], expires: datetime | None = None) -> None:
        if redirects:
            self.redirects.update(redirects)

    def delete(self, *keys: str, expired: bool = False, vacuum: bool = True, **kwargs: Any) -> int:
        """Delete entries that match any of the conditions

        Args:
            keys: Keys of entries
            expired: All entries that have expired
            vacuum: Give unused space back to the system, if there is much of it and more than one key was asked for
            kwargs: Further conditions; see `BaseCache.delete`

        Returns:
            The number of deleted responses
        """
        with self._transaction():
            removed = self._delete_keys(list(keys))
            if expired:
                removed += self.responses.delete_expired(overwrite=not vacuum)
                self._remove_leftovers()
            self._prune_redirects()
        if kwargs:
            removed += super().delete(**kwargs)
        if vacuum and removed and (expired or kwargs or len(keys) > 1):
            self._vacuum(removed)
        return removed

    def _prune_redirects(self) -> None:
        if self._is_one_database:
            self.redirects.delete_dangling(self.responses)
        else:
            super()._prune_redirects()

    def _vacuum(self, removed: int) -> None:
        try:
            self.responses.vacuum_if_worthwhile(removed)
        except BackendError as e:  # the entries are deleted; this can wait for the next time
            logger.info('Could not give unused space back: %s', shown_text(e))

    def filter(
        self, valid: bool = True, expired: bool = True, invalid: bool = False, older_than: ExpirationTime = None
    ) -> Iterator[CachedResponse]:
        if valid and not invalid and (expired or not older_than):
            return self.responses.sorted(expired=expired)
        if expired and not valid and not invalid and not older_than:
            return self.responses.expired()
        return super().filter(valid, expired, invalid, older_than)

    def count(self, expired: bool = True) -> int:
        """Number of responses; without `expired`, of those that have not expired"""
        return self.responses.count(expired=expired)

    def sorted(
        self,
        key: str = 'expires',
        reversed: bool = False,  # noqa: A002
        limit: int | None = None,
        expired: bool = True,
    ) -> Iterator[CachedResponse]:
        """Responses in a given order

        Args:
            key: Column to sort by: `expires`, `size` or `key`
            reversed: Sort in descending order
            limit: The largest number of responses to return
            expired: Whether to include expired responses
        """
        return self.responses.sorted(key, reversed, limit, expired)

    def recreate_keys(self) -> None:
        with self._transaction():
            super().recreate_keys()

    def reset_expiration(self, expire_after: ExpirationTime = None) -> None:
        check_expiration(expire_after)
        self.responses.change(lambda response: reset_expiration_or_drop(response, expire_after))

    def clear(self) -> None:
        """Delete all entries. If the database is damaged, replace it by a new one.

        Raises:
            BackendUnavailableError: The database is locked
            BackendError: It is damaged, and is not replaced because the file may belong to somebody else
        """
        try:
            with self._transaction(overwrite=False):
                self.responses.clear()
                self.redirects.clear()
        except BackendUnavailableError:
            raise
        except Exception as e:
            logger.warning('Could not clear the cache, so its database is replaced by a new one: %s', shown_text(e))
            logger.debug('Could not clear the cache:\n%s', shown_traceback(e))
            self._replace_database(e)
        else:
            self._give_back_space()

    def _give_back_space(self) -> None:
        """After everything was deleted, give space back, which may be all that a full disk has"""
        try:
            self.responses.vacuum_if_worthwhile(0)
        except BackendError as e:
            logger.info('Could not give unused space back: %s', shown_text(e))
            if is_full(e.__cause__):
                with suppress(BackendError):  # it is kept, as it contains more than the cache
                    self._replace_database(e)

    def _replace_database(self, reason: Exception) -> None:
        self.close()
        if isinstance(self.db_path, Path):
            if not is_database(self.db_path) or self._has_other_tables():
                raise BackendError(
                    f'{self.db_path} is not only a cache, so it was not removed; delete it, or give another path'
                ) from reason
            self.close()
            try:
                remove_files(self.db_path, unlink)
            except OSError as e:
                raise backend_error(e, self.db_path) from e
        self.responses.init_db()

    def _has_other_tables(self) -> bool:
        of_bodies = self.responses.pieces.names if self.responses.pieces is not None else ()
        of_leases = (self.responses.leases.name,) if self.responses.leases is not None else ()
        of_upkeep = self.responses._upkeep.names if self.responses._upkeep is not None else ()
        own = (self.responses.table_name, self.redirects.table_name, *of_bodies, *of_leases, *of_upkeep)
        try:
            with self.responses.connection() as connection:
                names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        except Exception:  # too damaged to tell
            return False
        return any(name not in own and not name.startswith('sqlite_') for (name,) in names)
