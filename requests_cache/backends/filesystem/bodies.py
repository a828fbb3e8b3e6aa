"""Large bodies, in files beside those of the entries, in a directory that earlier versions do not look into

    .requests-cache-large/entries.json/NAME        id of the body, line feed, and the rest of the entry NAME
    .requests-cache-large/entries.json/.bodies/ID  its body
    .requests-cache-large/entries.json/.loose/ID   a body that no entry refers to yet, or soon will not any more

The second directory is named after the extension of the files. A file with the same name in the cache directory itself
takes precedence, as an earlier version wrote it. The file of a body begins with the key of its entry. The pieces
follow, each with its length before it.

A body is loose until its entry is in place, and again when the entry is about to be replaced or deleted. So if the
process is killed in between, the leftovers are all in one directory, which is empty most of the time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from ..._utils import lazy_pattern, remember
from ...exceptions import BackendError
from ..bodies import Pieces
from .access import (
    MAX_READ_BYTES,
    WRITE_ATTEMPTS,
    create_file,
    encode_text,
    make_directory,
    move_file,
    open_file,
    open_to_change,
    read_file,
    remove_file,
    storage_errors,
)
from .names import LARGE_DIRECTORY, entry_of_key_file, is_entry, is_temporary

LENGTH_BYTES = 4
# For so many bodies, remember where the next piece begins: pieces are mostly read and written in order
MAX_REMEMBERED = 64
_NOT_KNOWN = (0, 0)
_BODIES, _LOOSE = '.bodies', '.loose'
_BODY_ID = lazy_pattern(r'[0-9a-f]+(-[0-9a-f]+){3}')
_MAX_ID_BYTES = 200
_NOTHING_THERE = (FileNotFoundError, NotADirectoryError)


class Files(Protocol):
    """The storage of the small entries, which knows the file names, and whose lock is for large entries as well"""

    cache_dir: Path
    extension: str

    def _reading(self) -> AbstractContextManager[Any]: ...

    def _changing(self) -> AbstractContextManager[None]: ...

    def _file_name(self, key: str) -> str: ...

    def _other_path(self, key: str, directory: Path) -> Path | None: ...

    def _path2key(self, path: Path) -> str | None: ...

    def _remove_file(self, path: Path) -> bool: ...


class BodyFiles(Pieces):
    """The large entries of a storage, and their bodies

    Args:
        storage: The storage; it is locked while entries are changed
    """

    def __init__(self, storage: Files):
        self._storage = storage
        self._was_seen = False
        self._root: tuple[object, Path] | None = None
        self._next: dict[str, tuple[int, int]] = {}

    @property
    def root(self) -> Path:
        """The directory of the large entries"""
        cache_dir = self._storage.cache_dir
        if self._root is None or self._root[0] is not cache_dir:
            self._root = cache_dir, Path(cache_dir, LARGE_DIRECTORY, f'entries{self._storage.extension}')
        return self._root[1]

    @property
    def is_there(self) -> bool:
        """Whether there may be large entries"""
        self._was_seen = self._was_seen or os.path.isdir(self.root)
        return self._was_seen

    # Bodies

    def write(self, key: str, body_id: str, index: int, piece: bytes) -> None:
        path, _ = self._places(body_id)
        with storage_errors('write', path), self._storage._reading():
            if index:
                # If the cache was cleared meanwhile, the file does not exist, and this fails
                with open_to_change(path) as file:
                    end = _append(file, key, index, piece, self._next.get(body_id, _NOT_KNOWN))
                remember(self._next, body_id, (index + 1, end), MAX_REMEMBERED)
            else:
                with self._created(path) as file:
                    file.write(_framed(encode_text(key)) + _framed(piece))

    def _created(self, path: Path) -> IO[bytes]:
        for _ in range(WRITE_ATTEMPTS - 1):
            with suppress(FileExistsError, FileNotFoundError):  # another process is clearing the cache
                self._make_place(_LOOSE)
                return create_file(path)
        self._make_place(_LOOSE)
        return create_file(path)

    def read(self, key: str, body_id: str, index: int) -> bytes | None:
        if not _BODY_ID.fullmatch(body_id):
            return None
        # The body may be moved meanwhile, and back again
        loose, in_place = self._places(body_id)
        for path in (in_place, loose, in_place):
            with storage_errors('read', path), self._storage._reading():
                try:
                    with open_file(path) as file:
                        piece, end = _read_piece(file, key, index, self._next.get(body_id, _NOT_KNOWN))
                    remember(self._next, body_id, (index + 1, end), MAX_REMEMBERED)
                    return piece
                except _NOTHING_THERE:
                    continue
        return None

    def delete(self, key: str, body_id: str) -> None:
        """Delete a body, and its entry with it"""
        with storage_errors('delete', self.root), self._storage._changing():
            for path in self._paths_of(key):
                if _body_of(path) == body_id:
                    self._storage._remove_file(path)
            for place in self._places(body_id):
                remove_file(place)

    def unused(self) -> Iterator[tuple[str, str]]:
        with storage_errors('list', self.root), self._storage._reading():
            return iter([*self._unused_loose(), *self._unused_entries()])

    def _unused_loose(self) -> Iterator[tuple[str, str]]:
        for body_id in _listed(self.root / _LOOSE):
            if not _BODY_ID.fullmatch(body_id):
                continue
            key = _key_of(self.root / _LOOSE / body_id)
            if all(_body_of(path) != body_id for path in self._paths_of(key)):
                yield key, body_id

    def _unused_entries(self) -> Iterator[tuple[str, str]]:
        """Entries that an earlier version has overwritten"""
        for path in filter(self._is_hidden, self._all_paths()):
            key, body_id = self._storage._path2key(path), _body_of(path)
            if key is not None and body_id:
                yield key, body_id

    # Entries; the storage is locked while the methods that change them are called

    def read_entry(self, key: str) -> bytes | None:
        """An entry without its body; None if there is no such entry"""
        if not self.is_there:
            return None
        for path in self._paths_of(key):
            try:
                return read_file(path).partition(b'\n')[2]
            except _NOTHING_THERE:  # noqa: PERF203
                continue
        return None

    def has_entry(self, key: str) -> bool:
        return any(path.is_file() for path in self._paths_of(key))

    def path_of(self, key: str) -> Path:
        """The file of the entry of a key, which need not exist"""
        return self.root / self._storage._file_name(key)

    def names(self) -> Iterator[str]:
        """Names of the files of all entries"""
        return (path.name for path in self._all_paths() if not self._is_hidden(path))

    def put_entry(self, temp: Path, path: Path, key: str, body_id: str) -> None:
        """Move the file of an entry into place, if its body exists

        Raises:
            BackendError: The body does not exist any more
        """
        self.size_of_body(body_id)
        old = _body_of(path)
        if old and old != body_id:
            self._make_loose(old)
        move_file(temp, path)
        self._put_in_place(body_id)
        if old and old != body_id:
            remove_file(self._places(old)[0])
        self.remove_entry(key, keep=path)

    def remove_entry(self, key: str, keep: Path | None = None) -> bool:
        """Remove an entry from everywhere but one path; returns whether there was one

        If there is none, this costs a single failed system call.
        """
        if not self.is_there:
            return False
        removed = False
        for path in self._paths_of(key):
            if path == keep or (body_id := _body_of(path)) is None:
                continue
            if body_id:
                self._make_loose(body_id)
            removed = self._storage._remove_file(path) or removed
            if body_id:
                remove_file(self._places(body_id)[0])
        return removed

    def clear(self) -> None:
        """Remove everything that is ours, including what is being written"""
        root, extension = self.root, self._storage.extension
        for name in _listed(root):
            path = root / name
            if is_entry(name, extension) or is_temporary(name) or entry_of_key_file(path, extension):
                remove_file(path)
        for place in (root / _BODIES, root / _LOOSE):
            for name in _listed(place):
                if _BODY_ID.fullmatch(name):
                    remove_file(place / name)
        for directory in (root / _BODIES, root / _LOOSE, root, root.parent):
            with suppress(OSError):  # it does not exist, or contains something that is not ours
                directory.rmdir()
        self._was_seen = False

    def size_of_body_at(self, path: Path) -> int:
        """Size of the file with the body of an entry; 0 if there is none"""
        body_id = _body_of(path)
        return self._size_of_body(body_id) or 0 if body_id else 0

    def size_of_body(self, body_id: str) -> int:
        """Size of the file of a body

        Raises:
            BackendError: The body does not exist
        """
        size = self._size_of_body(body_id)
        if size is None:
            raise BackendError(
                'the body of the entry was deleted before the entry was written; the cache may have been cleared'
            )
        return size

    def _size_of_body(self, body_id: str) -> int | None:
        loose, in_place = self._places(body_id)
        for path in (in_place, loose, in_place):
            with suppress(*_NOTHING_THERE):
                return path.stat().st_size
        return None

    # Places

    def _places(self, body_id: str) -> tuple[Path, Path]:
        """The paths of a body: while it is loose, and once it is in place"""
        if not _BODY_ID.fullmatch(body_id):
            raise BackendError(f'{body_id!r} is not the id of a body; the entry may be damaged')
        root = self.root
        return root / _LOOSE / body_id, root / _BODIES / body_id

    def _make_loose(self, body_id: str) -> None:
        loose, in_place = self._places(body_id)
        self._move(in_place, loose)

    def _put_in_place(self, body_id: str) -> None:
        self._move(*self._places(body_id))

    def _move(self, source: Path, target: Path) -> None:
        try:
            move_file(source, target)
        except FileNotFoundError:
            if source.exists():
                self._make_place(target.parent.name)
                move_file(source, target)

    def _make_place(self, name: str) -> None:
        root = self.root
        for directory in (root.parent.parent, root.parent, root, root / name):
            make_directory(directory)
        self._was_seen = True

    def _paths_of(self, key: str) -> list[Path]:
        """Paths where the entry of a key may be"""
        other = self._storage._other_path(key, self.root)
        return [self.path_of(key)] if other is None else [self.path_of(key), other]

    def _all_paths(self) -> Iterator[Path]:
        root = self.root
        return (root / name for name in _listed(root) if is_entry(name, self._storage.extension))

    def _is_hidden(self, path: Path) -> bool:
        """Whether an earlier version wrote an entry with the same key, which takes precedence"""
        return os.path.lexists(Path(self._storage.cache_dir, path.name))


def entry_file(body_id: str, data: bytes) -> bytes:
    """Content of the file of an entry

    Args:
        body_id: Id of its body
        data: The entry without its body
    """
    return b'%s\n%s' % (body_id.encode(), data)


def _listed(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except _NOTHING_THERE:
        return []


def _body_of(path: Path) -> str | None:
    """The id of the body of an entry; None if there is no entry, and empty if the entry is damaged"""
    try:
        with open_file(path) as file:
            body_id, end, _ = file.read(_MAX_ID_BYTES).partition(b'\n')
    except _NOTHING_THERE:
        return None
    text = body_id.decode('ascii', 'replace')
    return text if end and _BODY_ID.fullmatch(text) else ''


# The file of a body


def _append(file: IO[bytes], key: str, index: int, piece: bytes, known: tuple[int, int]) -> int:
    """Write the next piece; returns where the one after it will begin"""
    length = file.seek(0, os.SEEK_END)
    if _start_of(file, key, index, known) != length:
        raise BackendError(f'piece {index} of a body was written out of order')
    file.seek(length)
    file.write(_framed(piece))
    return length + LENGTH_BYTES + len(piece)


def _read_piece(file: IO[bytes], key: str, index: int, known: tuple[int, int]) -> tuple[bytes | None, int]:
    """A piece, and the position where the next one begins"""
    start = _start_of(file, key, index, known)
    if start is None:
        return None, 0
    file.seek(start)
    length = int.from_bytes(file.read(LENGTH_BYTES), 'big')
    end = start + LENGTH_BYTES + length
    # A damaged length must not make us allocate all memory
    is_there = length > 0 and end <= os.fstat(file.fileno()).st_size
    return (file.read(length), end) if is_there else (None, 0)


def _start_of(file: IO[bytes], key: str, index: int, known: tuple[int, int]) -> int | None:
    """The position where a piece begins, computed from the lengths of those before it; None if there are too few

    Args:
        known: Number of an earlier piece, and the position where it begins
    """
    at, position = known if known[0] <= index and known[1] else (0, LENGTH_BYTES + len(encode_text(key)))
    size = os.fstat(file.fileno()).st_size
    while at < index:
        if position >= size:
            return None
        file.seek(position)
        position += LENGTH_BYTES + int.from_bytes(file.read(LENGTH_BYTES), 'big')
        at += 1
    return position


def _key_of(path: Path) -> str:
    """The key of the entry that a body is for; empty if it cannot be read"""
    try:
        with open_file(path) as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), 'big')
            return file.read(min(length, MAX_READ_BYTES)).decode('utf-8', 'surrogatepass')
    except (*_NOTHING_THERE, ValueError):
        return ''


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(LENGTH_BYTES, 'big') + data
