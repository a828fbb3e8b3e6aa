"""Finding what was written and deleted without the index: by 1.3, by sessions without bounds, by processes that ended

For each file that is written, another one is looked up in the index, and for every fourth, a row of the index is
compared with its file. So a full comparison is done by the time that as many files have been written as there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

from ..storage import CHUNK_SIZE
from .index import FileIndex
from .rounds import Directories, Rounds

WRITES_PER_CHECK = 4


class Reconciled(Directories, Protocol):
    """The storage of the files"""

    def _holds_entry(self, path: Path) -> bool: ...

    def _path2key(self, path: Path | os.DirEntry[str]) -> str | None: ...


class Reconciling:
    """Corrects the index by what is on disk

    Args:
        storage: The storage
    """

    def __init__(self, storage: Reconciled):
        self._storage = storage
        self._rounds = Rounds(storage)
        self._checked_row = 0

    def step(self, index: FileIndex, n_written: int) -> None:
        """Compare a few more, in proportion to the files that were written"""
        self.add_unknown(list(islice(self._rounds, 1 + n_written)), index)
        self._checked_row = index.check_rows(self._checked_row, 1 + n_written // WRITES_PER_CHECK)

    def all_files(self) -> Iterator[list[os.DirEntry[str]]]:
        """All files, in batches"""
        rounds, is_over = Rounds(self._storage), False
        while not is_over:
            some = list(islice(rounds, CHUNK_SIZE))
            is_over = len(some) < CHUNK_SIZE
            yield some

    def add_unknown(self, files: Iterable[os.DirEntry[str]], index: FileIndex) -> None:
        """Add files that are missing from the index"""
        found = {key: file for file in files if (key := self._storage._path2key(file)) is not None}
        for key in index.unknown(found):
            # Most were evicted after the system had read their names, many at a time, from the directory
            path = found[key].path
            if os.path.exists(path) and self._storage._holds_entry(Path(path)):
                index.add(key)

    @property
    def is_open(self) -> bool:
        """Whether a directory is open"""
        return self._rounds.is_open

    def close(self) -> None:
        """Close the directory that is open"""
        self._rounds.close()
