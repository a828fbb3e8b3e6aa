"""Reading and writing whole files, safely with other threads and processes"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from ...exceptions import BackendError
from ..busy_files import IS_WINDOWS, remove, try_again
from ..paths import explanation
from ..sqlite.connection import remove_files
from .names import file_name, key_file, temp_file

ENTRY_MODE = 0o600
DIRECTORY_MODE = 0o700
WRITE_ATTEMPTS = 10
_WRITE_FLAGS = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, 'O_BINARY', 0)
# A FIFO that somebody put in place of an entry must not keep the reader waiting
_READ_FLAGS = os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0)
MAX_READ_BYTES = 1 << 20


@contextmanager
def storage_errors(action: str, path: Path) -> Iterator[None]:
    """Raise a BackendError in place of an OSError"""
    try:
        yield
    except OSError as e:
        raise storage_error(action, path, e) from e


def storage_error(action: str, path: Path, error: OSError) -> BackendError:
    """A BackendError for an error of the operating system: what happened, why, and what to do about it"""
    return BackendError(f'Could not {action} {path}: {error.strerror or error}{explanation(path, error)}')


def make_directory(path: Path) -> None:
    """Make a directory that only its owner can read; an existing one stays as it is"""
    try:
        path.mkdir(mode=DIRECTORY_MODE, parents=True)
    except FileExistsError:
        if not path.is_dir():
            raise
    except PermissionError as e:
        # Windows says so of a drive, and of a directory that was deleted while somebody had it open
        if not path.is_dir():
            try_again(lambda: path.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True), path, e)


def read_file(path: Path) -> bytes:
    """Read a regular file

    Raises:
        FileNotFoundError: There is no regular file at this path
        OSError: The file cannot be read
    """
    descriptor = _open_to_read(path)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(f'not a regular file: {path}')
        # One byte more than the file holds, so that a single call also reaches its end
        data = os.read(descriptor, status.st_size + 1)
        if len(data) == status.st_size:
            return data
        pieces = [data]
        while piece := os.read(descriptor, MAX_READ_BYTES):
            pieces.append(piece)
        return b''.join(pieces)
    finally:
        os.close(descriptor)


def open_file(path: Path) -> IO[bytes]:
    """Open a file for reading parts of it"""
    return open(_open_to_read(path), 'rb', buffering=0)


def _open_to_read(path: Path) -> int:
    try:
        return os.open(path, _READ_FLAGS)
    except PermissionError as e:
        if IS_WINDOWS and os.path.isdir(path):
            raise FileNotFoundError(f'not a regular file: {path}') from e
        return try_again(lambda: os.open(path, _READ_FLAGS), path, e)


def open_to_change(path: Path) -> IO[bytes]:
    """Open an existing file for reading and writing parts of it"""
    try:
        return open(path, 'r+b')
    except PermissionError as e:
        return try_again(lambda: open(path, 'r+b'), path, e)


def create_file(path: Path) -> IO[bytes]:
    """Create a file, which must not exist yet, and open it for writing"""
    return open(os.open(path, _WRITE_FLAGS, ENTRY_MODE), 'wb')


def replace_file(path: Path, data: bytes, lock: AbstractContextManager[object]) -> None:
    """Write a file so that readers see either all of the old content or all of the new

    Args:
        path: The file, which need not exist; a symbolic link is replaced, not followed
        data: The content
        lock: Held while the file is moved into its place
    """

    def move(temp: Path) -> None:
        with lock:
            move_file(temp, path)

    write_and_move(path.parent, data, move)


def move_file(source: Path, target: Path) -> None:
    """Move a file; a file that exists at the target is replaced"""
    try:
        os.replace(source, target)
    except PermissionError as e:
        try_again(lambda: os.replace(source, target), target, e)


def write_and_move(directory: Path, data: bytes, move: Callable[[Path], None]) -> None:
    """Write a temporary file and call `move` with its path; if anything fails, the file is removed

    If `move` raises FileNotFoundError, it is called again with another file: the directory was removed, or a process
    that cleared it took the temporary file for a leftover.
    """
    for attempt in range(1, WRITE_ATTEMPTS + 1):
        try:
            with _written(directory, data) as temp:
                move(temp)
            return
        except FileNotFoundError:  # noqa: PERF203
            if attempt == WRITE_ATTEMPTS:
                raise
            make_directory(directory)


@contextmanager
def _written(directory: Path, data: bytes) -> Iterator[Path]:
    temp = temp_file(directory)
    file = create_file(temp)
    try:
        with file:
            file.write(data)
        yield temp
    except BaseException:
        remove_file(temp)
        raise


def remove_file(path: Path) -> bool:
    """Remove a file; returns whether there was one

    Raises:
        OSError: The file cannot be removed
    """
    try:
        remove(path)
    except FileNotFoundError:
        return False
    except OSError:
        if path.is_dir() and not path.is_symlink():
            return False
        raise
    return True


def remove_database(path: Path) -> None:
    """Remove a database in a cache directory, and the journals beside it"""
    with storage_errors('remove', path):
        remove_files(path)


def read_key_file(path: Path, extension: str) -> str | None:
    """The key of an entry with a long key; None if it is unknown"""
    try:
        key = read_file(key_file(path)).decode('utf-8', 'surrogatepass')
    except (OSError, ValueError):
        return None
    return key if file_name(key, extension) == path.name else None


def has_entry_mode(path: Path) -> bool:
    """Whether a path is that of a regular file with the permissions that entries are created with"""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and stat.S_IMODE(mode) == ENTRY_MODE


def encode_text(value: object) -> bytes:
    """The bytes to write for what a serializer returned

    Raises:
        BackendError: The serializer returned neither text nor bytes
    """
    if isinstance(value, str):
        return value.encode('utf-8', 'surrogatepass')
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    kind = type(value).__name__
    message = f'The serializer returned a {kind}, but a file holds text or bytes; use one that returns either of them'
    raise BackendError(message) from TypeError(kind)
