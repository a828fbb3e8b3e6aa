"""The lock for changing entries, which one thread of one process holds at a time"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import ENOTSUP
from pathlib import Path
from threading import local
from time import monotonic, sleep
from typing import Any
from weakref import ref

from ..._utils import within
from ...exceptions import BackendUnavailableError
from .names import LOCK_FILE

LOCK_SECONDS = 10.0
# How long to sleep before trying again
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.0005, 0.02

if sys.platform == 'win32':
    from msvcrt import LK_NBLCK, LK_UNLCK, locking

    # Raised for a lock that another process holds
    _IsTaken = PermissionError

    def _open(directory: Path) -> int:
        return os.open(directory / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_BINARY, 0o600)

    def _try_to_lock(descriptor: int) -> None:
        locking(descriptor, LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        locking(descriptor, LK_UNLCK, 1)

else:
    try:
        from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

        _HAS_LOCKS = True
    except ImportError:  # WebAssembly, where there are no other processes either
        _HAS_LOCKS = False

    _IsTaken = BlockingIOError

    def _open(directory: Path) -> int:
        if not _HAS_LOCKS:
            raise OSError(ENOTSUP, 'There are no locks here')
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY)

    def _try_to_lock(descriptor: int) -> None:
        flock(descriptor, LOCK_EX | LOCK_NB)

    def _unlock(descriptor: int) -> None:
        # Closing the descriptor is not enough: a child that was forked meanwhile has a copy of it
        flock(descriptor, LOCK_UN)


class ChangeLock(local):
    """A reentrant lock that a thread holds while it changes entries

    The lock of the storage excludes other threads, and an advisory lock excludes other processes. It is on the
    directory itself, so that no file is needed; on Windows it is on a file in the directory. Processes do not exclude
    each other where the file system has no such locks (as on most network shares) or where the directory cannot be
    read, and 1.3 does not use the lock. Even then each change is atomic; but if two processes overwrite what both have
    read, each may believe that it was the only one.
    """

    _current: Callable[[], _AdvisoryLock | None] = staticmethod(lambda: None)

    @property
    def is_held(self) -> bool:
        """Whether this thread holds the lock"""
        current = self._current()
        return current is not None and current.is_held

    @contextmanager
    def held(self, directory: Path, threads: Any, is_foreign: bool) -> Iterator[None]:
        """A block that changes entries

        Args:
            directory: The directory of the entries
            threads: The lock that excludes other threads
            is_foreign: Whether the caller has given that lock: it may be of any kind, and there is no timeout for it

        Raises:
            BackendUnavailableError: Others have held a lock for too long
        """
        if self.is_held:
            yield
            return
        # If an interruption prevents its release, it is released when this frame is gone
        lock = _AdvisoryLock()
        with threads if is_foreign else within(threads, LOCK_SECONDS) as is_mine:
            if not (is_mine or is_foreign):
                raise _in_use(directory, 'thread') from TimeoutError()
            try:
                lock.acquire(directory)
                self._current = ref(lock)
                yield
            finally:
                lock.release()


def _in_use(directory: Path, by: str) -> BackendUnavailableError:
    text = f'{directory} is in use by another {by}, which did not release it within {LOCK_SECONDS:g} s; try again later'
    return BackendUnavailableError(text)


class _AdvisoryLock:
    """A lock that excludes other processes, where the system has one"""

    is_held = False
    _descriptor = -1

    def acquire(self, directory: Path) -> None:
        while not self.is_held:
            with suppress(OSError):
                self._descriptor = _open(directory)
            if self._descriptor >= 0 and self._lock(directory) and not os.fstat(self._descriptor).st_nlink:
                # Another process has removed the directory meanwhile, and may have made a new one
                self.release()
            else:
                self.is_held = True

    def _lock(self, directory: Path) -> bool:
        """Lock the open descriptor; returns whether it had to wait"""
        end, pause = monotonic() + LOCK_SECONDS, 0.0
        while True:
            try:
                _try_to_lock(self._descriptor)
            except _IsTaken:
                if monotonic() > end:
                    raise _in_use(directory, 'process') from TimeoutError()
            except OSError:  # there are no locks here
                return False
            else:
                return pause > 0
            pause = min(2 * pause or _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
            sleep(pause)

    def release(self) -> None:
        self.is_held = False
        if self._descriptor >= 0:
            with suppress(OSError):
                _unlock(self._descriptor)
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    __del__ = release
