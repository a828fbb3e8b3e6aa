"""Who may change entries: one thread of one process at a time"""

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
# How long to sleep before looking again whether another process is done
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.0005, 0.02

if sys.platform == 'win32':
    from msvcrt import LK_NBLCK, LK_UNLCK, locking

    # What is raised for a lock that another process has
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
        # To close it does not do if a child was forked meanwhile, which has it as well
        flock(descriptor, LOCK_UN)


class ChangeLock(local):
    """Held by one thread while it changes entries, as often as it asks for it

    Threads exclude each other by a lock of the storage, and processes by an advisory lock: on the directory itself, so
    that there is no file to keep, or on Windows on a file in it. Processes do not exclude each other where the file
    system has no such locks (as most that are shared by networks) or where the directory may not be read, and 1.3 does
    not ask for the lock. Each change is whole even then; but if two processes write over what they both read, both may
    take themselves for the only one.
    """

    _current: Callable[[], _AdvisoryLock | None] = staticmethod(lambda: None)

    @property
    def is_held(self) -> bool:
        """Whether this thread holds it"""
        current = self._current()
        return current is not None and current.is_held

    @contextmanager
    def held(self, directory: Path, threads: Any, is_foreign: bool) -> Iterator[None]:
        """A block that changes entries

        Args:
            directory: Where they are
            threads: The lock that keeps other threads out
            is_foreign: It was given by the caller, and may be of any kind; otherwise it is not waited for without end

        Raises:
            BackendUnavailableError: Others have it for too long
        """
        if self.is_held:
            yield
            return
        # If an interruption keeps it from being released, that is done when this frame is gone
        lock = _AdvisoryLock()
        with threads if is_foreign else within(threads, LOCK_SECONDS) as is_mine:
            if not (is_mine or is_foreign):
                raise BackendUnavailableError(f'{directory} is in use by another thread') from TimeoutError()
            try:
                lock.acquire(directory)
                self._current = ref(lock)
                yield
            finally:
                lock.release()


class _AdvisoryLock:
    """A lock that keeps other processes out, where that is possible"""

    is_held = False
    _descriptor = -1

    def acquire(self, directory: Path) -> None:
        while not self.is_held:
            with suppress(OSError):
                self._descriptor = _open(directory)
            if self._descriptor >= 0 and self._waits(directory) and not os.fstat(self._descriptor).st_nlink:
                # Another process removed the directory meanwhile, and may have made it anew
                self.release()
            else:
                self.is_held = True

    def _waits(self, directory: Path) -> bool:
        """Lock what is open; returns whether that took some time"""
        end, pause = monotonic() + LOCK_SECONDS, 0.0
        while True:
            try:
                _try_to_lock(self._descriptor)
            except _IsTaken:
                if monotonic() > end:
                    raise BackendUnavailableError(f'{directory} is in use by another process') from TimeoutError()
            except OSError:  # not possible here
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
