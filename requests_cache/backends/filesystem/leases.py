"""Leases, as small files in a directory that earlier versions do not look into

    .requests-cache-leases/NAME    the lease for an entry

They have a separate lock, so that they need not wait while many entries are changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import RLock
from time import time
from typing import TYPE_CHECKING

from ..._utils import lazy_pattern, renew_after_fork
from ..leases import Leases
from .access import encode_text, make_directory, move_file, read_file, remove_file, storage_errors, write_and_move
from .locking import ChangeLock
from .names import LEASES_DIRECTORY, LOCK_FILE, is_temporary

if TYPE_CHECKING:
    from .bodies import Files

# A holder writes its lease every other second; the margin is for a file system whose clock differs
ABANDONED_AFTER_SECONDS = 3600
_NAME = lazy_pattern(r'[0-9a-f]{64}')


class FileLeases(Leases):
    """The leases for the entries of one storage

    Args:
        storage: The storage
    """

    def __init__(self, storage: Files):
        self._storage = storage
        self._changes = ChangeLock()
        self._lock = RLock()
        renew_after_fork(self, '_lock', RLock)

    @property
    def directory(self) -> Path:
        """The directory of the leases"""
        return Path(self._storage.cache_dir, LEASES_DIRECTORY)

    def _path(self, key: str) -> Path:
        # Entries whose files have another extension are different entries
        return self.directory / sha256(encode_text(f'{self._storage.extension}\n{key}')).hexdigest()

    def read(self, key: str) -> str | None:
        path = self._path(key)
        with storage_errors('read', path):
            try:
                return read_file(path).decode('utf-8', 'replace')
            except FileNotFoundError:
                return None

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        path = self._path(key)
        with storage_errors('write', path):
            if old is None:
                make_directory(path.parent)
            with self._changes.held(path.parent, self._lock, is_foreign=False):
                if self.read(key) != old:
                    return False
                if new is None:
                    remove_file(path)
                else:
                    write_and_move(path.parent, encode_text(new), lambda temp: move_file(temp, path))
                return True

    def clear(self) -> None:
        """Remove all leases"""
        directory = self.directory
        for path in self._files():
            remove_file(path)
        with suppress(OSError):  # it does not exist, or another process has it open
            os.unlink(directory / LOCK_FILE)
        with suppress(OSError):  # it does not exist, or contains something that is not ours
            directory.rmdir()

    def remove_leftovers(self) -> None:
        """Remove leases of processes that ended without removing them"""
        oldest = time() - ABANDONED_AFTER_SECONDS
        with suppress(OSError):  # they do no harm
            for path in self._files():
                if path.stat().st_mtime < oldest:
                    remove_file(path)

    def _files(self) -> Iterator[Path]:
        try:
            names = os.listdir(self.directory)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if _NAME.fullmatch(name) or is_temporary(name):
                yield self.directory / name
