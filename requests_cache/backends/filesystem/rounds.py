"""Visiting all files of a storage in rounds, a few files with each write, and deleting what has long expired

A directory stays open from one write to the next, so that a round needs little memory, however many files there are.
Files that are written or deleted meanwhile may be missed or visited twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from logging import getLogger
from pathlib import Path
from threading import Lock
from time import time
from typing import TYPE_CHECKING, Any, Protocol

from ..._utils import renew_after_fork
from ...exceptions import CacheError
from ...keys.shown import shown_text
from ...models.response import CachedResponse
from ..bodies import ABANDONED_AFTER_SECONDS
from ..eviction import EXPIRED_PER_WRITE
from .access import remove_file
from .names import is_temporary

if TYPE_CHECKING:
    from .bodies import BodyFiles

# With each write, at most so many files are looked at, and so many are read that turn out not to have expired. What
# earlier writes did not use of the second limit is saved up to `MOST_READ_IN_VAIN`.
LOOKED_AT_PER_WRITE = 8
READ_IN_VAIN_PER_WRITE = 2
MOST_READ_IN_VAIN = 8
# How long to wait for another thread that is deleting
CLOSING_SECONDS = 1.0
logger = getLogger(__name__)


class Directories(Protocol):
    """A storage, as far as its directories matter here"""

    cache_dir: Path
    pieces: BodyFiles


class Storage(Directories, Protocol):
    """A storage whose expired entries are deleted"""

    delete_expired_after: float | None

    def bulk_delete(self, keys: Iterable[str]) -> int: ...

    def _changing(self) -> AbstractContextManager[None]: ...

    def _path2key(self, path: Path | os.DirEntry[str]) -> str | None: ...

    def _read_quietly(self, key: str) -> Any: ...


class Rounds:
    """Iterates over all files of a storage, and over everything else in its directories

    After the end of a round, iterating again begins the next one. Temporary files that killed writers have left behind
    are removed on the way.

    Args:
        storage: The storage
    """

    def __init__(self, storage: Directories):
        self._storage = storage
        # Directories that are still to be visited in this round; None between rounds
        self._to_come: list[Path] | None = None
        self._files: Any = None
        self._process = os.getpid()

    def __iter__(self) -> Iterator[os.DirEntry[str]]:
        return self

    def __next__(self) -> os.DirEntry[str]:
        if self._process != os.getpid():
            # In a forked child, the open directory still belongs to the parent
            self._process = os.getpid()
            self.close()
        while self._files is not None or self._open_next():
            file = self._next_of_directory()
            if file is not None:
                if is_temporary(file.name) and _is_older(file, time() - ABANDONED_AFTER_SECONDS):
                    self._remove(file)
                return file
        raise StopIteration

    def _open_next(self) -> bool:
        """Open the next directory; False at the end of a round"""
        if self._to_come is None:
            self._to_come = [self._storage.pieces.root, self._storage.cache_dir]
        while self._to_come:
            try:
                self._files = os.scandir(self._to_come.pop())
                return True
            except OSError as e:  # noqa: PERF203
                if not isinstance(e, FileNotFoundError):  # most caches have no large entries
                    logger.debug('Could not list a cache directory: %s', e)
        self._to_come = None
        return False

    def _next_of_directory(self) -> os.DirEntry[str] | None:
        try:
            file: os.DirEntry[str] | None = next(self._files, None)
        except OSError as e:
            logger.debug('Could not list all of a cache directory: %s', e)
            file = None
        if file is None:
            self._close_directory()
        return file

    def _remove(self, file: os.DirEntry[str]) -> None:
        try:
            remove_file(Path(file.path))
        except OSError as e:
            logger.debug('Could not remove an abandoned temporary file: %s', e)

    def _close_directory(self) -> None:
        if self._files is not None:
            self._files.close()
            self._files = None

    @property
    def is_open(self) -> bool:
        """Whether a directory is open"""
        return self._files is not None

    def close(self) -> None:
        """Close the open directory; the next iteration begins a new round"""
        self._close_directory()
        self._to_come = None

    def __del__(self) -> None:
        self._close_directory()


def _is_older(file: os.DirEntry[str], limit: float) -> bool:
    """Whether a file was last written before a time; False if it does not exist any more"""
    try:
        return file.stat(follow_symlinks=False).st_mtime < limit
    except OSError:
        return False


class ExpiredFiles:
    """Deletes entries that have long expired, a few with each write

    Only the file of an entry says when it expires. An entry that was written after the time in question cannot have
    expired before it, so its file need not be read. Files that do not contain a response are left alone.

    Args:
        storage: The storage
    """

    def __init__(self, storage: Storage):
        self._storage = storage
        self._rounds = Rounds(storage)
        self._may_be_in_vain = MOST_READ_IN_VAIN
        self._lock = Lock()
        renew_after_fork(self, '_lock', Lock)

    def step(self) -> None:
        """Delete some of them, unless another thread is doing so; errors are logged"""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._step()
        except (CacheError, OSError) as e:
            logger.debug('Could not delete expired entries: %s', shown_text(e))
        finally:
            self._lock.release()

    def _step(self) -> None:
        limit = time() - (self._storage.delete_expired_after or 0)
        self._may_be_in_vain = min(self._may_be_in_vain + READ_IN_VAIN_PER_WRITE, MOST_READ_IN_VAIN)
        found: list[str] = []
        for file in islice(self._rounds, LOOKED_AT_PER_WRITE):
            key = self._storage._path2key(file) if _is_older(file, limit) else None
            if key is None:
                continue
            if self._expired_before(key, limit):
                found.append(key)
            else:
                self._may_be_in_vain -= 1
            if not self._may_be_in_vain or len(found) == EXPIRED_PER_WRITE:
                break
        if found:
            with self._storage._changing():  # as they may have been replaced meanwhile, look again
                self._storage.bulk_delete([key for key in found if self._expired_before(key, limit)])

    def _expired_before(self, key: str, limit: float) -> bool:
        value = self._storage._read_quietly(key)
        expires = value.expires_unix if isinstance(value, CachedResponse) else None
        return expires is not None and expires <= limit

    def close(self) -> None:
        """Close the directory that is open"""
        if self._lock.acquire(timeout=CLOSING_SECONDS):
            try:
                self._rounds.close()
            finally:
                self._lock.release()
