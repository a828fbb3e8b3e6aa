"""The connection to an SQLite database: how it is opened, closed, and left behind when the process forks

SQLite keeps track of its file locks per process, so a child that inherits an open database has wrong information about
them. Idle connections are therefore closed before a fork, and each process opens its own when it needs one. The locks
that guard connections are held during the fork, so that no other thread is using one. A connection that stays busy, or
is in a transaction of the forking thread, remains open. The child abandons it without closing it, as closing it would
undo the transaction of its parent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from logging import getLogger
from pathlib import Path
from threading import Lock, RLock, local
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from ..._utils import renew_after_fork, within
from ...exceptions import BackendUnavailableError
from ..busy_files import remove
from ..paths import check_owner, make_parents
from .errors import DRIVER_ERRORS, Error, OperationalError, is_locked, is_unwritable
from .table import Table, decode_text, prepare

if TYPE_CHECKING:
    from sqlite3 import Connection

# How long to wait after a wait that was in vain. Threads that read wait one after the other, so their waits add up.
IMPATIENT_SECONDS = 0.02
# Threads of one process wait at least so long for each other, however short the timeout
MIN_LOCK_SECONDS = 2.0
# How long a fork waits for threads that are using a connection
FORK_PATIENCE_SECONDS = 1.0
JOURNALS = ('-journal', '-wal')
SUFFIXES = ('', *JOURNALS, '-shm')
SQLITE_HEADER = b'SQLite format 3\x00'
logger = getLogger(__name__)
_creating = Lock()
renew_after_fork(sys.modules[__name__], '_creating', Lock)


class FreedIfInterrupted:
    """A block that releases what this thread holds of a database if KeyboardInterrupt or the like ends it"""

    __slots__ = ('_connector', '_was_held')

    def __init__(self, connector: Connector):
        self._connector = connector

    def __enter__(self) -> None:
        self._was_held = self._connector.is_held()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            self._connector.give_up(error, self._was_held)


class Connector:
    """A connection that is opened when it is needed, and the lock that lets one thread use it at a time

    Args:
        path: Path of a file, or a name that is passed to SQLite unchanged
        connect: Opens a connection to a path, with keywords of `sqlite3.connect`
        timeout_seconds: How long to wait for locks
        pragmas: Settings of each connection
        tables: Tables that the database must have
        in_memory: Whether the database exists only as long as the connection
        temp_root: The directory that all users may write to, if the file is below it
    """

    def __init__(
        self,
        path: Path | str,
        connect: Callable[..., Any],
        timeout_seconds: float,
        pragmas: tuple[str, ...] = (),
        tables: tuple[Table, ...] = (),
        in_memory: bool = False,
        temp_root: Path | None = None,
    ):
        self.path = path
        self.in_memory = in_memory
        self.lock = RLock()
        self.connection: Connection | None = None
        self.depth = 0
        self.tables = tables
        self.timeout_seconds = timeout_seconds
        self._connect = connect
        self._pragmas = pragmas
        self._temp_root = temp_root
        self._file_name = str(path)
        self._identity: tuple[int, ...] | None = None
        # Whether the connection neither locks the file nor looks for changes, so that we have to look
        self.is_frozen = False
        self._set_patience(True)
        register(self)

    def is_held(self) -> bool:
        """Whether this thread has the lock"""
        return bool(self.lock._is_owned())  # type: ignore[attr-defined]

    @property
    def opened_file(self) -> tuple[int, ...] | None:
        """What identifies the open file; None where no other file can take its place"""
        return self._identity

    def try_to_open(self) -> None:
        """Open the connection, unless that fails or the database is locked: then the next use will open it"""
        try:
            with self.lock:
                self.open(wait=False)
        except DRIVER_ERRORS as e:
            logger.debug('Could not open %s yet: %s', self.path, e)

    def open(self, wait: bool = True) -> Connection:
        """Open a new connection, and create missing tables; the lock is held"""
        if isinstance(self.path, Path):
            create_file(self.path, self._temp_root)
        self.is_frozen = False
        try:
            connection = self._prepared(self._connect(self.path), wait)
        except OperationalError as e:
            connection = self._open_frozen(e)
        # On other systems, a file cannot be removed while it is open
        is_removable = isinstance(self.path, Path) and os.name == 'posix'
        if not self.is_frozen:
            self._identity = identity(self._file_name) if is_removable else None
        self.connection, self.depth = connection, 0
        return connection

    def _prepared(self, connection: Connection, wait: bool) -> Connection:
        try:
            set_busy_timeout(connection, self.wait_seconds if wait else 0)
            connection.text_factory = decode_text
            self._configure(connection)
            prepare(connection, self.tables)
            set_busy_timeout(connection, self.wait_seconds)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_frozen(self, error: OperationalError) -> Connection:
        """Open a database in WAL mode in a place where SQLite cannot create the files that it needs beside it

        SQLite is told that the file does not change (`immutable=1`), so it neither locks the file nor looks for
        changes. That is safe while there is no journal, as all changes are written to a journal or write-ahead log
        first. So the file and its journals are checked before and after each read, and the database is opened again if
        they have changed. A database with a journal is not opened, as its file may contain half of a change.

        Raises:
            sqlite3.OperationalError: The database cannot be opened in this way either
        """
        found = frozen_identity(self._file_name) if is_unwritable(error) and isinstance(self.path, Path) else None
        if found is None:
            raise error
        uri = f'{Path(self.path).as_uri()}?immutable=1'
        try:
            connection = self._prepared(self._connect(uri, uri=True), wait=False)
        except DRIVER_ERRORS:
            raise error from None
        self.is_frozen, self._identity = True, found
        return connection

    def _configure(self, connection: Connection) -> None:
        # The file may come from somebody else, so functions that its schema calls are not trusted
        for pragma in ('trusted_schema = OFF', *self._pragmas):
            if not _set_pragma(connection, pragma):
                # One wait in vain is enough, as the next pragmas would meet the same lock
                set_busy_timeout(connection, 0)

    def usable(self) -> Connection:
        """The connection, which is opened if necessary; the lock is held"""
        if self.connection is not None:
            if self._identity is None or self.depth or self._identity == self._current_identity():
                return self.connection
            self._close_outdated()
        return self.open()

    def _current_identity(self) -> tuple[int, ...] | None:
        return frozen_identity(self._file_name) if self.is_frozen else identity(self._file_name)

    def _close_outdated(self) -> None:
        """Close a connection to a file that is no longer at its path, or has changed unexpectedly"""
        connection, self.connection = self.connection, None
        # Closing a connection in WAL mode removes the write-ahead log, which may belong to a new database by now
        if not self.is_frozen and journal_mode(connection) == 'wal':
            abandon(connection)
        elif connection is not None:
            connection.close()

    def has_changed(self) -> bool:
        """Whether what was just read may be inconsistent, as the unlocked file was changed meanwhile"""
        return self._identity != self._current_identity()

    def enter(self) -> None:
        """Acquire the lock, within the time limit

        Raises:
            BackendUnavailableError: Another thread holds it for too long
        """
        if not self.lock.acquire(timeout=self._lock_seconds):
            raise self._in_use()

    def _in_use(self) -> BackendUnavailableError:
        wait = f'longer than {self._lock_seconds:g} s; set a longer busy_timeout'
        error = BackendUnavailableError(f'SQLite database {self.path}: another thread has used it for {wait}')
        error.__cause__ = TimeoutError()
        return error

    def _set_patience(self, patient: bool) -> None:
        """Set how long to wait for locks: the whole timeout, or only a moment after a wait that was in vain"""
        self._patient = patient
        self.wait_seconds = self.timeout_seconds if patient else min(self.timeout_seconds, IMPATIENT_SECONDS)
        self._lock_seconds = max(self.wait_seconds, MIN_LOCK_SECONDS)
        if self.connection is not None:
            set_busy_timeout(self.connection, self.wait_seconds)

    def close(self) -> None:
        """Close the connection; the next use opens it again"""
        with within(self.lock, self._lock_seconds) as held:
            if not held:
                raise self._in_use()
            self._close()

    def give_up(self, error: BaseException, was_held: bool) -> None:
        """Release what this thread holds, after an exception that may occur anywhere, such as KeyboardInterrupt

        Args:
            error: The exception; ordinary ones are handled where they are raised
            was_held: Whether the thread held the lock before, in an outer block that will release it
        """
        lock: Any = self.lock
        if was_held or isinstance(error, (Exception, GeneratorExit)):
            return
        if lock._is_owned() or lock.acquire(blocking=False):
            try:
                self._reset()
            finally:
                while lock._is_owned():
                    lock.release()

    def _reset(self) -> None:
        if not self.in_memory:
            self._close()
        elif self.connection is not None:
            self.depth = 0
            self.connection.rollback()
            set_busy_timeout(self.connection, self.wait_seconds)

    def _close(self) -> None:
        connection, self.connection, self.depth = self.connection, None, 0
        if connection is not None:
            try:
                connection.close()
            except Error as e:
                logger.debug('Could not close %s: %s', self.path, e)

    def __del__(self) -> None:
        connection = self.__dict__.get('connection')
        if connection is not None:
            try:
                connection.close()
            except Exception:
                pass

    def before_fork(self) -> None:
        """Close the connection if it is idle; the lock is held"""
        if not self.in_memory and not self.depth and not (self.connection and self.connection.in_transaction):
            self._close()

    def after_fork(self, was_idle: bool) -> None:
        """In the child, abandon what belongs to the parent; `was_idle`: the lock was held during the fork"""
        if not was_idle:
            self.lock = RLock()
        if self.connection is not None and not (self.in_memory and was_idle):
            abandon(self.connection)
            self.connection, self.depth = None, 0

    def __getstate__(self) -> dict[str, Any]:
        if self.in_memory:
            raise TypeError(f'A database in memory ({self.path}) cannot be copied or sent to another process')
        transient = ('lock', 'connection', 'depth', '_identity')
        return {k: v for k, v in self.__dict__.items() if k not in transient}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, lock=RLock(), connection=None, depth=0, _identity=None)
        self._set_patience(True)
        register(self)


def set_busy_timeout(connection: Connection, seconds: float) -> None:
    """Set how long SQLite waits for a lock; also within a transaction"""
    connection.cursor().execute(f'PRAGMA busy_timeout = {round(seconds * 1000)}')


def _set_pragma(connection: Connection, pragma: str) -> bool:
    """Set a pragma, if possible; returns whether the database was not locked"""
    try:
        connection.execute(f'PRAGMA {pragma}').fetchall()
    except OperationalError as e:
        logger.debug('Could not set %s: %s', pragma, e)
        return not is_locked(e)
    return True


# The file


def create_file(path: Path, temp_root: Path | None = None) -> None:
    """Create an empty file that only its owner can read, if there is none; SQLite would let everybody read it

    Args:
        path: The file
        temp_root: The directory that all users may write to, if the file is below it

    Raises:
        PermissionError: The file is below `temp_root`, and belongs to another user
    """
    # Closing a file releases all locks of the process on it, so no thread may have opened it as a database by then
    with _creating:
        if not os.path.exists(path):
            make_parents(path)
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            except OSError as e:
                logger.debug('Could not create %s: %s', path, e)
    if temp_root is not None:
        for suffix in SUFFIXES:
            check_owner(path.with_name(path.name + suffix), temp_root)


def remove_files(path: Path, unlink: Callable[[str], None] | None = None) -> None:
    """Remove the file of a database, if there is one, and the journals beside it

    Args:
        path: The file
        unlink: What removes a file, instead of `os.unlink`

    Raises:
        OSError: One of them cannot be removed, such as one that is open elsewhere on Windows
    """
    for suffix in SUFFIXES:
        try:
            remove(path.with_name(path.name + suffix), unlink)
        except FileNotFoundError:  # noqa: PERF203
            pass


def identity(path: str) -> tuple[int, int] | None:
    """What distinguishes a file from others at the same path; None if there is no file"""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_database(path: Path) -> bool:
    """Whether a file looks like a database, or is empty like a new one"""
    try:
        with open(path, 'rb') as file:
            return file.read(len(SQLITE_HEADER)) in (SQLITE_HEADER, b'')
    except OSError:
        return False


def journal_mode(connection: Any) -> str | None:
    try:
        return str(connection.execute('PRAGMA journal_mode').fetchone()[0])
    except Error:
        return None


def frozen_identity(path: str) -> tuple[int, ...] | None:
    """What distinguishes a file from others, and from itself after a change; None if it has a journal"""
    try:
        status = os.stat(path)
        if any(os.path.exists(f'{path}{suffix}') and os.path.getsize(f'{path}{suffix}') for suffix in JOURNALS):
            return None
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


# Forks


_databases: WeakValueDictionary[int, Connector] = WeakValueDictionary()
_thread = local()
_abandoned: list[Any] = []


def register(database: Connector) -> None:
    """Have a database prepared for forks of the process"""
    _databases[id(database)] = database


def abandon(connection: Any) -> None:
    """Keep a connection from ever being closed, even when the interpreter exits"""
    _abandoned.append(connection)
    try:
        from ctypes import py_object, pythonapi

        pythonapi.Py_IncRef(py_object(connection))
    except (ImportError, AttributeError):  # not every Python has `ctypes`; the list keeps the connection then
        pass


def _all() -> list[Connector]:
    return [database for ref in _databases.valuerefs() if (database := ref()) is not None]


def _before() -> None:
    _thread.held = held = []
    deadline = monotonic() + FORK_PATIENCE_SECONDS
    for database in _all():
        if database.lock.acquire(timeout=max(0, deadline - monotonic())):
            held.append(database)
            database.before_fork()


def _after_in_parent() -> None:
    for database in _thread.__dict__.pop('held', ()):
        database.lock.release()


def _after_in_child() -> None:
    held = _thread.__dict__.pop('held', ())
    idle = {id(database) for database in held}
    for database in _all():
        database.after_fork(id(database) in idle)
    for database in held:
        database.lock.release()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
