"""The directory of a storage: where the files of its entries are, and how large they are

A small entry is a file in the directory itself. The file of a large entry is in another directory, and its body in a
separate file (see `BodyFiles`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from itertools import chain
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, NamedTuple

from .access import read_key_file, storage_errors
from .names import file_name, folds_case, has_capitals, is_entry, is_long, key_of

if TYPE_CHECKING:
    from .bodies import BodyFiles


class Measured(NamedTuple):
    """What the file system knows about an entry

    Args:
        used_ns: When its file was last read or written, in nanoseconds since the epoch
        n_bytes: Size of its files
    """

    used_ns: int
    n_bytes: int


class Directory:
    """What a storage knows about its files"""

    cache_dir: Path
    extension: str
    pieces: BodyFiles
    # The index rounds sizes up to a multiple of this
    block_bytes = 1

    def _changing(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    def _reading(self) -> AbstractContextManager[Any]:
        raise NotImplementedError

    # One entry

    def _key2path(self, key: str) -> Path:
        # About four times as fast as passing both to `Path`
        return self.cache_dir / self._file_name(key)

    def _file_name(self, key: str) -> str:
        key = str(key)
        return file_name(key, self.extension, has_capitals(key) and self._folds_case)

    @cached_property
    def _folds_case(self) -> bool:
        return folds_case(self.cache_dir)

    def _other_path(self, key: str, directory: Path | None = None) -> Path | None:
        """Where the entry of a key is if it was written on a system that treats case differently; None if here"""
        key = str(key)
        if not has_capitals(key):
            return None
        path = Path(directory or self.cache_dir, file_name(key, self.extension, not self._folds_case))
        # Where case is ignored, the name with capitals would also find the file of another key
        if path.name == self._file_name(key) or (self._folds_case and path.name not in self._listed(path.parent)):
            return None
        return path

    def _listed(self, directory: Path) -> list[str]:
        try:
            return os.listdir(directory)
        except FileNotFoundError:
            return []

    def _path2key(self, path: Path | os.DirEntry[str]) -> str | None:
        """The key of the entry whose file is at a path; None if it is not the file of an entry"""
        if is_long(path.name, self.extension):
            return read_key_file(Path(path), self.extension)
        return key_of(path.name, self.extension)

    def _places(self, key: str) -> Iterator[tuple[Path, bool]]:
        """Paths where the file of an entry may be, in order of precedence, and whether each is for large entries"""
        yield self._key2path(key), False
        if (other := self._other_path(key)) is not None:
            yield other, False
        if self.pieces.is_there:
            yield self.pieces.path_of(key), True

    def _measure(self, key: str) -> Measured | None:
        """Measure an entry; None if there is none"""
        for path, is_large in self._places(key):
            if (measured := self._measure_file(path, is_large)) is not None:
                return measured
        return None

    def _measure_file(self, path: Path, is_large: bool) -> Measured | None:
        try:
            status = os.stat(path)
            n_bytes = self._get_size_on_disk(status.st_size)
            if is_large:
                n_bytes += self._get_size_on_disk(self.pieces.size_of_body_at(path))
        except OSError:  # deleted in the meantime
            return None
        return Measured(max(status.st_atime_ns, status.st_mtime_ns), n_bytes) if S_ISREG(status.st_mode) else None

    def _get_size_on_disk(self, file_size: int) -> int:
        return int(-(-file_size // self.block_bytes) * self.block_bytes)

    # All entries

    def _listing(self) -> AbstractContextManager[Any]:
        """A lock that keeps entries from moving between the two directories while both are listed"""
        return self._changing() if self.pieces.is_there else self._reading()

    def _all_paths(self) -> Iterator[Path]:
        # A file that is written while its directory is being read may be listed again, so that a loop which writes
        # would never end. So all names are read first, packed into one buffer: about 20 bytes each.
        with self._listing():
            small, large = _packed(self._names()), _packed(self._large_names())
        return chain(_unpack(Path(self.cache_dir), small), _unpack(self.pieces.root, large))

    def _large_names(self) -> Iterator[str]:
        with storage_errors('list', self.pieces.root):
            yield from self.pieces.names()

    def _names(self) -> Iterator[str]:
        with storage_errors('list', self.cache_dir):
            try:
                with os.scandir(self.cache_dir) as files:
                    for file in files:
                        if is_entry(file.name, self.extension) and file.is_file():
                            yield file.name
            except FileNotFoundError:
                return

    def _sizes(self, path: Path) -> list[int]:
        """Sizes of the files of an entry"""
        size = path.stat().st_size
        return [size, self.pieces.size_of_body_at(path)] if path.parent == self.pieces.root else [size]


def _packed(names: Iterator[str]) -> bytearray:
    packed = bytearray()
    for name in names:
        packed += os.fsencode(name) + b'/'
    return packed


def _unpack(directory: Path, names: bytearray) -> Iterator[Path]:
    start = 0
    while (end := names.find(b'/', start)) >= 0:
        yield Path(directory, os.fsdecode(bytes(names[start:end])))
        start = end + 1
