"""An SQLite database: its options, and reading and writing it in transactions, one thread at a time

The timeout limits two waits: for the lock that other threads of this process hold, and for the locks of other
processes. After a wait that was in vain, later ones are short until one succeeds, so that a request which reads and
writes a locked database does not wait several times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from logging import getLogger
from math import isnan
from pathlib import Path
from tempfile import gettempdir
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar

from ..._utils import within
from ...exceptions import BackendUnavailableError
from ..paths import StrOrPath, get_cache_path
from .connection import Connector, FreedIfInterrupted, set_busy_timeout
from .errors import DRIVER_ERRORS, Error, backend_error, is_locked, is_locked_at_once, is_stale
from .table import Table, prepare

if TYPE_CHECKING:
    from sqlite3 import Connection

T = TypeVar('T')
MAX_PAUSE_SECONDS = 0.05
IMPATIENT_WRITER_SECONDS = 0.25
# The content of such a database is lost when the last connection to it is closed
MEMORY_URI = 'file::memory:?cache=shared'
DEFAULT_SECONDS = 5.0
MAX_SECONDS = 2_000_000.0
CACHE_KIB = 1536
CONNECT_KEYWORDS = frozenset(
    {'cached_statements', 'check_same_thread', 'detect_types', 'factory', 'isolation_level', 'timeout', 'uri'}
)
logger = getLogger(__name__)


class _Attempts:
    """How often to try an operation, and for how long"""

    def __init__(self, seconds: float, waits_in_sqlite: bool = True):
        self.deadline = monotonic() + seconds
        self.waits_in_sqlite = waits_in_sqlite
        self.reopened = False
        self._pause = 0.0005

    def next_pause(self) -> float:
        """Seconds to wait before the next attempt; 0 when the time is up"""
        self._pause = min(2 * self._pause, MAX_PAUSE_SECONDS)
        return max(0.0, min(self._pause, self.deadline - monotonic()))


class Database(Connector):
    """A connection, with methods that read and write"""

    # Separate from `_patient`, as a database that is locked for writing can usually be read
    _patient_to_write = True

    def _prepare_retry(self, error: Exception, attempts: _Attempts) -> float:
        """Prepare another attempt after an error; the lock is held

        Returns:
            Seconds to wait before the attempt

        Raises:
            BackendError: Another attempt would fail as well
        """
        if is_locked(error):
            seconds = attempts.next_pause() if not attempts.waits_in_sqlite or is_locked_at_once(error) else 0
            if seconds:
                return seconds
            if attempts.waits_in_sqlite:
                self._set_patience(False)
            else:
                self._patient_to_write = False
        elif is_stale(error) and not attempts.reopened and not self.depth:
            attempts.reopened = True
            if not self.in_memory or 'closed' in str(error) or self.connection is None:
                self._close()
            else:
                prepare(self.connection, self.tables)
            return 0
        raise backend_error(error, self.path, self.timeout_seconds) from error

    def _attempt(self, action: Callable[[Connection], T], attempts: _Attempts, keep_lock: bool = False) -> T:
        """Call a function until it succeeds, or another attempt is useless"""
        while True:
            self.enter()
            failed = True
            try:
                result = action(self.usable())
                if not self._patient and not keep_lock:
                    self._set_patience(True)
                if not (self.is_frozen and self.has_changed()):
                    failed = False
                    return result
                pause = self._pause_after_change(attempts)
            except DRIVER_ERRORS as e:
                pause = self._prepare_retry(e, attempts)
            finally:
                if failed or not keep_lock:
                    self.lock.release()
            sleep(pause)

    def _pause_after_change(self, attempts: _Attempts) -> float:
        """Seconds to wait, after an unlocked database was changed while it was read"""
        pause = attempts.next_pause()
        if not pause:
            raise BackendUnavailableError(
                f'SQLite database {self.path}: another process keeps writing to it; set a longer busy_timeout'
            )
        return pause

    # Reading

    def row(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        """The first row of a query, or None"""
        with FreedIfInterrupted(self):
            self.enter()
            try:
                row = self.usable().execute(sql, parameters).fetchone()
                if not self._patient:
                    self._set_patience(True)
                if not self.is_frozen or not self.has_changed():
                    return row
                attempts = _Attempts(self.wait_seconds)
                pause = self._pause_after_change(attempts)
            except DRIVER_ERRORS as e:
                attempts = _Attempts(self.wait_seconds)
                pause = self._prepare_retry(e, attempts)
            finally:
                self.lock.release()
            sleep(pause)
            return self._attempt(lambda connection: connection.execute(sql, parameters).fetchone(), attempts)

    def read(self, action: Callable[[Connection], T]) -> T:
        """Call a function that reads; it may be called again after an error of the driver"""
        with FreedIfInterrupted(self):
            return self._attempt(action, _Attempts(self.wait_seconds))

    @contextmanager
    def held(self) -> Iterator[Connection]:
        """A block in which only this thread can use the connection"""
        with FreedIfInterrupted(self):
            connection = self._attempt(lambda connection: connection, _Attempts(self.wait_seconds), keep_lock=True)
            try:
                yield connection
            finally:
                self.lock.release()

    # Writing

    def write(self, action: Callable[[Connection], T]) -> T:
        """Call a function that writes, in a transaction; it may be called again after an error of the driver"""
        with FreedIfInterrupted(self):
            return self._write(action)

    def _write(self, action: Callable[[Connection], T]) -> T:
        attempts = _Attempts(self.wait_seconds)
        while True:
            connection = self._begin()
            try:
                result = action(connection)
            except (*DRIVER_ERRORS, OverflowError, UnicodeError) as e:
                pause = self._pause_before_writing_again(e, attempts)
                self._end(connection, commit=False)
                if pause is None:
                    raise backend_error(e, self.path, self.timeout_seconds) from e
                sleep(pause)
            except BaseException:
                self._end(connection, commit=False)
                raise
            else:
                self._end(connection, commit=True)
                return result

    def _pause_before_writing_again(self, error: Exception, attempts: _Attempts) -> float | None:
        if is_locked_at_once(error):
            return attempts.next_pause() or None
        if is_stale(error) and not attempts.reopened and self.depth == 1 and not self.in_memory:
            attempts.reopened = True
            self._close()
            return 0
        return None

    def write_if_idle(self, action: Callable[[Connection], object]) -> bool:
        """Call a function that writes, unless the database is locked; returns whether it was called and succeeded

        Errors of the driver are not raised, and a transaction that this thread has begun is left alone.
        """
        try:
            with FreedIfInterrupted(self), within(self.lock, 0) as held:
                if not held:
                    return False
                if self.connection is None:
                    self.try_to_open()
                connection = self.connection
                if connection is None or connection.in_transaction:
                    return False
                self._write_at_once(connection, action)
        except DRIVER_ERRORS as e:
            logger.debug('Could not write to %s yet: %s', self.path, e)
            return False
        return True

    def _write_at_once(self, connection: Connection, action: Callable[[Connection], object]) -> None:
        try:
            set_busy_timeout(connection, 0)
            connection.execute('BEGIN IMMEDIATE')
            action(connection)
            connection.commit()
        finally:
            if connection.in_transaction:
                connection.rollback()
            set_busy_timeout(connection, self.wait_seconds)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A block in a transaction; within another such block, a part of its transaction"""
        with FreedIfInterrupted(self):
            connection = self._begin()
            try:
                yield connection
            except BaseException:
                self._end(connection, commit=False)
                raise
            self._end(connection, commit=True)

    def _begin(self) -> Connection:
        """Begin a transaction, or join the one that this thread is in; holds the lock until `_end`"""
        seconds = self.timeout_seconds
        if not (self._patient and self._patient_to_write):
            seconds = min(seconds, IMPATIENT_WRITER_SECONDS)
        return self._attempt(self._start, _Attempts(seconds, waits_in_sqlite=False), keep_lock=True)

    def _start(self, connection: Connection) -> Connection:
        if not self.depth:
            if connection.in_transaction is True:  # begun by a caller's own statements, through `connection()`
                connection.commit()
            # `_attempt` waits for locks of the file, without keeping other threads from reading
            set_busy_timeout(connection, 0)
            try:
                connection.execute('BEGIN IMMEDIATE')
                self._patient_to_write = True
                if not self._patient:
                    self._set_patience(True)
            finally:
                set_busy_timeout(connection, self.wait_seconds)
        self.depth += 1
        return connection

    def _end(self, connection: Connection, commit: bool) -> None:
        try:
            if self.connection is not connection:  # closed meanwhile, or abandoned after a fork
                return
            self.depth -= 1
            if not self.depth:
                connection.commit() if commit else connection.rollback()
        except Error as e:
            self._roll_back_or_close(connection)
            if commit:
                raise backend_error(e, self.path, self.timeout_seconds) from e
        finally:
            self.lock.release()

    def _roll_back_or_close(self, connection: Connection) -> None:
        try:
            connection.rollback()
        except Error:
            self._close()


# Options


def database_path(db_path: StrOrPath, options: Mapping[str, Any]) -> Path | str:
    """The path of a file, or a name that is passed to SQLite unchanged

    Args:
        db_path: A path, `:memory:`, or an SQLite URI (with `mode=memory`, or with the option `uri`)
        options: `use_memory`, `use_cache_dir`, `use_temp`, `uri`
    """
    name = str(db_path)
    if options.get('use_memory'):
        return MEMORY_URI
    if _is_memory(name) or (options.get('uri') and name.startswith('file:')):
        return name
    return get_cache_path(database_name(name), bool(options.get('use_cache_dir')), bool(options.get('use_temp')))


def database_name(name: str) -> str:
    """A path with its suffix; `.sqlite` is added if there is none"""
    return name if Path(name).suffix else f'{name}.sqlite'


def _is_memory(name: str) -> bool:
    return ':memory:' in name or 'mode=memory' in name


def timeout_seconds(busy_timeout: float | None, timeout: float | None) -> float:
    """How long to wait for a lock

    Args:
        busy_timeout: Seconds if it is a float, milliseconds if it is an integer
        timeout: Seconds, if `busy_timeout` is None; None for the driver's default

    Raises:
        ValueError: It is NaN
    """
    if busy_timeout is None:
        seconds = DEFAULT_SECONDS if timeout is None else float(timeout)
    else:
        seconds = busy_timeout / 1000 if isinstance(busy_timeout, int) else float(busy_timeout)
    if isnan(seconds):
        raise ValueError('busy_timeout must be a number of seconds (float) or milliseconds (int), not NaN')
    return min(max(seconds, 0.0), MAX_SECONDS)


def make_database(
    path: Path | str, connect: Callable[..., Any], tables: tuple[Table, ...], options: Mapping[str, Any]
) -> Database:
    """Create a `Database`, and open it if it is not locked

    Args:
        path: What `database_path` returned
        connect: Called with the path and keywords of `sqlite3.connect`
        tables: Tables that the database must have
        options: `busy_timeout`, `fast_save`, `wal`, `use_memory`, `use_temp`, `use_cache_dir`, `max_cache_bytes`, and
            keywords of `sqlite3.connect`
    """
    given = {k: v for k, v in options.items() if k in CONNECT_KEYWORDS and (v is not None or k == 'isolation_level')}
    keywords = {'isolation_level': None, 'check_same_thread': False, **given}
    if isinstance(path, str) and path.startswith('file:'):
        keywords['uri'] = True
    if options.get('autocommit') is not None:
        logger.warning('autocommit has no effect, as the storage begins and ends transactions itself; remove it')
    in_temp = isinstance(path, Path) and options.get('use_temp') and not options.get('use_cache_dir')
    database = Database(
        # A separate database for each cache, whatever its name
        ':memory:' if options.get('use_memory') else path,
        partial(connect, **keywords),
        timeout_seconds(options.get('busy_timeout'), options.get('timeout')),
        _pragmas(options),
        tables,
        in_memory=isinstance(path, str) and _is_memory(path),
        temp_root=_temp_root(path) if in_temp else None,
    )
    database.try_to_open()
    return database


def _pragmas(options: Mapping[str, Any]) -> tuple[str, ...]:
    wal, fast_save = bool(options.get('wal')), bool(options.get('fast_save'))
    # Enough for a typical row, and no more, as bodies of any size pass through this cache
    pragmas = [f'cache_size = -{CACHE_KIB}']
    if options.get('max_cache_bytes') is not None:
        # Allows giving space back a little at a time; it has an effect on new databases only
        pragmas.append('auto_vacuum = INCREMENTAL')
    if wal:
        pragmas.append('journal_mode = WAL')
    if fast_save:
        pragmas.append('synchronous = OFF')
    elif wal:
        pragmas.append('synchronous = NORMAL')
    return tuple(pragmas)


def _temp_root(path: Path | str) -> Path | None:
    root = Path(gettempdir()).absolute()
    return root if root in Path(path).parents else None
