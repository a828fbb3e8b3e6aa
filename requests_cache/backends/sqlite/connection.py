"""The connection to an SQLite database: how it is opened, given up, and left behind"""

from __future__ import annotations

import os
from collections.abc import Callable
from logging import getLogger
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from ..._utils import within
from ...exceptions import BackendUnavailableError
from .errors import DRIVER_ERRORS, Error, OperationalError, is_locked
from .file import create_file, identity, let_go
from .fork import abandon, register
from .table import Table, decode_text, prepare

if TYPE_CHECKING:
    from sqlite3 import Connection

# How long to wait when the last wait was in vain. Threads that read wait one after the other, so theirs add up.
IMPATIENT_SECONDS = 0.02
# However short the timeout, threads of one process take turns
MIN_LOCK_SECONDS = 2.0
logger = getLogger(__name__)


class FreedIfInterrupted:
    """A block after which this thread holds nothing of a database, if KeyboardInterrupt or the like ends it"""

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
        path: Path of a file, or text that SQLite takes as it is
        connect: Makes a connection to the path
        timeout_seconds: How long to wait for others
        pragmas: Settings of each connection
        tables: Tables that it must have
        in_memory: Whether the database lives no longer than the connection
        temp_root: Directory that all users may write to, if the file lies below it
    """

    def __init__(
        self,
        path: Path | str,
        connect: Callable[[Path | str], Any],
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
        self._identity: tuple[int, int] | None = None
        self._set_patience(True)
        register(self)

    def is_held(self) -> bool:
        """Whether this thread has the lock"""
        return bool(self.lock._is_owned())  # type: ignore[attr-defined]

    def try_to_open(self) -> None:
        """Open the connection unless that fails or takes a wait; then the next use will have to"""
        try:
            with self.lock:
                self.open(wait=False)
        except DRIVER_ERRORS as e:
            logger.debug('Could not open %s yet: %s', self.path, e)

    def open(self, wait: bool = True) -> Connection:
        """Open the connection anew, and make the tables that are missing; the lock is held"""
        if isinstance(self.path, Path):
            create_file(self.path, self._temp_root)
        connection: Connection = self._connect(self.path)
        try:
            set_busy_timeout(connection, self.wait_seconds if wait else 0)
            connection.text_factory = decode_text
            self._configure(connection)
            prepare(connection, self.tables)
            set_busy_timeout(connection, self.wait_seconds)
        except BaseException:
            connection.close()
            raise
        # Elsewhere a file cannot be removed while it is open
        is_removable = isinstance(self.path, Path) and os.name == 'posix'
        self._identity = identity(self._file_name) if is_removable else None
        self.connection, self.depth = connection, 0
        return connection

    def _configure(self, connection: Connection) -> None:
        # The file may come from somebody else, so nothing that its schema might call is trusted
        for pragma in ('trusted_schema = OFF', *self._pragmas):
            if not _set_pragma(connection, pragma):
                # One wait in vain is enough; what follows meets the same lock
                set_busy_timeout(connection, 0)

    def usable(self) -> Connection:
        """The connection, opened if need be; the lock is held"""
        if self.connection is not None:
            if self._identity is None or self.depth or self._identity == identity(self._file_name):
                return self.connection
            connection, self.connection = self.connection, None
            let_go(connection)
        return self.open()

    def enter(self) -> None:
        """Take the lock, within the time limit

        Raises:
            BackendUnavailableError: Another thread keeps it
        """
        if not self.lock.acquire(timeout=self._lock_seconds):
            raise self._in_use()

    def _in_use(self) -> BackendUnavailableError:
        error = BackendUnavailableError(f'SQLite database {self.path}: in use by another thread')
        error.__cause__ = TimeoutError()
        return error

    def _set_patience(self, patient: bool) -> None:
        """Wait as long as was asked for, or only as long as is needed to see that nothing has changed"""
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
        """After an exception that may come at any moment, such as KeyboardInterrupt, free all that this thread holds

        Args:
            error: The exception; others are seen to where they are raised
            was_held: Whether this thread was in the middle of something, which will do that
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
        if not self.in_memory and not self.depth and not (self.connection and self.connection.in_transaction):
            self._close()

    def after_fork(self, was_idle: bool) -> None:
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
    """Whether the database was not locked; also one that is, or cannot be written to, may be of use"""
    try:
        connection.execute(f'PRAGMA {pragma}').fetchall()
    except OperationalError as e:
        logger.debug('Could not set %s: %s', pragma, e)
        return not is_locked(e)
    return True
