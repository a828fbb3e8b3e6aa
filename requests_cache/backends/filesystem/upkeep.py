"""Keeping a storage of files within its bounds, by an index in a database beside them

The index of sizes is always ahead of the files. In one transaction, a writer makes room and records the size of its
file; then it moves the file into place. If it is killed in between, the index still accounts for at least what is on
disk, so the bounds hold for all processes. An index that is damaged or was removed is rebuilt from the files.

A transaction costs as much as writing a file. So a writer that makes room for a small file also reserves room for the
next few (`Advance`), and records all of them together in its next transaction. If it is killed before that, its
reservation counts until another process opens the storage and looks for files that are missing from the index.
Changes that others make without the index are found gradually (`Reconciling`).
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakSet

from ..._utils import renew_after_fork
from ...exceptions import BackendError, BackendUnavailableError
from ...keys.shown import shown_text
from ..bodies import is_abandoned, new_body_id
from ..eviction import Bounds, Usage, Uses, evict_excess, make_room, to_bytes
from ..sqlite.connection import identity
from .advance import Advance, room_in_advance, wanted_in_advance
from .directory import Measured
from .index import FileIndex, Files
from .lru_index import LRUDict
from .names import LRU_INDEX_FILE
from .reconciling import Reconciled, Reconciling

if TYPE_CHECKING:
    from sqlite3 import Connection

T = TypeVar('T')
logger = getLogger(__name__)


class Storage(Reconciled, Files, Protocol):
    """The storage to keep within its bounds"""

    bounds: Bounds | None

    def _all_paths(self) -> Iterator[Path]: ...

    def _changing(self) -> AbstractContextManager[None]: ...

    def _clear_files(self) -> None: ...

    def _measure_file(self, path: Path, is_large: bool) -> Measured | None: ...


class BoundedFiles:
    """Keeps a storage within its bounds when files are written and deleted

    Args:
        storage: The storage
        options: Options of the database for the index
    """

    def __init__(self, storage: Storage, options: dict[str, Any]):
        self._storage = storage
        self._path = str(Path(storage.cache_dir, LRU_INDEX_FILE))
        # If a power failure damages the index, it is rebuilt; so there is no need to wait for the disk
        self.index = LRUDict(Path(self._path), 'lru', files=self, **{'fast_save': True, **options})
        self._uses = Uses(self._tell_uses_if_idle)
        self._reconciling = Reconciling(storage)
        self._advance = Advance()
        renew_after_fork(self, '_advance', Advance)
        _all.add(self)

    @property
    def _bounds(self) -> Bounds:
        return self._storage.bounds or Bounds()

    def open(self, sync_index: bool) -> None:
        """Build the index from the files, if it is missing or wrong

        Args:
            sync_index: Build it in any case
        """
        try:
            if sync_index or not self.index.is_plausible():
                with self._storage._changing():
                    self.index.rebuild()
            self._release_abandoned()
        except BackendError as e:
            logger.warning('Could not use the index of %s: %s', self._storage.cache_dir, shown_text(e))

    def _release_abandoned(self) -> None:
        """After processes were killed, find the files that they wrote, and release their reservations"""
        if owners := [owner for owner in self.index.owners() if is_abandoned(owner)]:
            for some in self._reconciling.all_files():
                self._with_index(partial(self._reconciling.add_unknown, some))
            self._with_index(lambda index: index.release(owners))

    # Reading

    def note(self, key: str) -> None:
        """Record that an entry was used"""
        self._uses.note(key)

    def _tell_uses_if_idle(self) -> None:
        """Write to the index what was used, unless it is locked"""
        uses, not_entered = self._uses.take(), self._advance.files
        later = {key: uses.pop(key) for key in list(uses) if key in not_entered}
        if not self.index.write_if_idle(lambda connection: self._within(connection).touch(uses)):
            later |= uses
        if later:
            self._uses.give_back(later)

    # Writing and deleting

    def write(self, key: str, n_bytes: int, put: Callable[[], None]) -> None:
        """Make room for a file, and move it into place

        Args:
            key: Key of the entry
            n_bytes: Size of its files
            put: Moves the file into place

        Raises:
            FileNotFoundError: The index was replaced, possibly without the file
        """
        with self._storage._changing():
            if self._advance.has_room(n_bytes, identity(self._path)):
                self._advance.put(key, Measured(self._uses.now_ns(), n_bytes), put)
                return
            reserved, self._advance = self._with_index(partial(self._make_room, key, n_bytes))
            index_file = self.index.opened_file
            put()
            if reserved != n_bytes and not self._advance.measure_later(key):
                self._with_index(lambda index: index.set_size(key, n_bytes))
            if index_file not in (None, identity(self._path)):
                raise FileNotFoundError(f'the index was replaced, possibly without the new file: {self._path}')

    def _make_room(self, key: str, n_bytes: int, index: FileIndex) -> tuple[int | None, Advance]:
        """Make room for an entry, and reserve some for the next ones

        Returns:
            The size that the index now has for the entry, which is the old entry's if that is larger; the reservation
        """
        self._reconciling.step(index, self._advance.n_written)
        more = wanted_in_advance(self._bounds, n_bytes)
        try:
            make_room(index, self._bounds, key, n_bytes, more)
        except BackendError:
            # If nothing is left to evict and there is still no room, the sum was wrong
            index.recount()
            make_room(index, self._bounds, key, n_bytes, more)
        return index.size_of(key), self._reserve_in_advance(index, n_bytes, more)

    def _reserve_in_advance(self, index: FileIndex, n_bytes: int, wanted: Usage) -> Advance:
        room = room_in_advance(self._bounds, index.usage(), index.reserved(), wanted)
        advance = Advance(new_body_id(), room, self.index.opened_file)
        if not advance.has_room(n_bytes, advance.index_file):
            return Advance()
        index.reserve_more(advance.owner, room)
        return advance

    def remove(self, keys: list[str]) -> int:
        """Delete entries; returns how many there were"""

        def remove(index: FileIndex) -> int:
            removed = index.remove(keys)
            for key in keys:
                self._advance.files.pop(key, None)
            return removed

        try:
            return self._with_index(remove, comes_first=True)
        except BackendUnavailableError as e:
            # Deleted files that are still in the index count until they would be evicted
            logger.warning(
                'Deleting files without updating the index of %s: %s', self._storage.cache_dir, shown_text(e)
            )
            with self._storage._changing():
                return sum(map(self._storage._remove_files, keys))

    def clear(self) -> None:
        """Delete all entries"""

        def clear(index: FileIndex) -> None:
            self._storage._clear_files()
            self._advance.files.clear()
            index.clear()

        with self._storage._changing():
            self._reconciling.close()
            try:
                self._with_index(clear, comes_first=True)
            except BackendUnavailableError:
                self._storage._clear_files()
                raise

    def evict(self, n_bytes: int) -> None:
        """Delete the least recently used entries until a number of bytes is free"""
        limit = max((self._bounds.max_bytes or 0) - n_bytes, 0)
        self._with_index(lambda index: evict_excess(index, Bounds(limit), index.usage()))

    # The index

    def _within(self, connection: Connection) -> FileIndex:
        return FileIndex(connection, self.index.table, self._storage, self._uses.now_ns)

    def _with_index(self, action: Callable[[FileIndex], T], comes_first: bool = False) -> T:
        """Call a function in a transaction that also records all pending writes and uses

        Args:
            action: The function
            comes_first: Call the function first, as it may have to free space on a full disk
        """
        with self._storage._changing():
            advance, uses = self._advance, self._uses.take()
            advance.close()

            def act(connection: Connection) -> T:
                index = self._within(connection)
                if comes_first:
                    result = action(index)
                index.enter(advance.owner, advance.files)
                index.touch(uses)
                return result if comes_first else action(index)

            try:
                result = self.index.apply(act)
            except BaseException:
                self._uses.give_back(uses)
                raise
            self._advance = Advance()
            return result

    def settle(self) -> None:
        """Write all pending writes and uses to the index"""
        if not (self._advance.owner or self._uses):
            return
        try:
            self._with_index(lambda index: None)
        except BackendError as e:
            logger.debug('Could not update the index yet: %s', shown_text(e))

    def settle_if_idle(self) -> None:
        """Write all pending writes to the index, unless it is locked"""
        advance = self._advance
        if advance.owner and os.path.exists(self._path):
            self.index.write_if_idle(lambda connection: self._within(connection).enter(advance.owner, advance.files))

    def close(self) -> None:
        """Write everything to the index, and close it"""
        if os.path.exists(self._path):
            self.settle()
        if self._reconciling.is_open:
            try:
                with self._storage._changing():
                    self._reconciling.close()
            except BackendError as e:
                logger.debug('Could not close a directory: %s', shown_text(e))
        self.index.close()

    # The files

    def measure_all(self) -> Iterator[tuple[str, int, int]]:
        """Key, time of the last use in nanoseconds since the epoch, and size in bytes of every entry"""
        root = self._storage.pieces.root
        for path in self._storage._all_paths():
            measured, key = self._storage._measure_file(path, path.parent == root), self._storage._path2key(path)
            if measured is not None and key is not None and self._storage._holds_entry(path):
                yield key, measured.used_ns, measured.n_bytes


def file_bounds(bounds: Bounds, max_file_bytes: Any, block_bytes: Any) -> tuple[Bounds, int]:
    """Add the limit for single entries to bounds; returns them with the block size

    Args:
        bounds: The bounds
        max_file_bytes: Size of the largest entry to keep, as a number or text; None for `max_cache_bytes`
        block_bytes: Size of blocks, as a number or text

    Raises:
        TypeError, ValueError: A size is invalid, or they contradict each other
    """
    largest = bounds.max_bytes if max_file_bytes is None else to_bytes('max_file_bytes', max_file_bytes)
    block = to_bytes('block_bytes', block_bytes)
    if largest is not None and bounds.max_bytes is not None and largest > bounds.max_bytes:
        raise ValueError(f'max_file_bytes ({largest}) must not be greater than max_cache_bytes ({bounds.max_bytes})')
    if largest is not None and block > largest:
        raise ValueError(f'block_bytes ({block}) must not be greater than max_file_bytes ({largest})')
    return bounds._replace(max_entry_bytes=largest), block


_all: WeakSet[BoundedFiles] = WeakSet()


@atexit.register
def _settle_all() -> None:
    """Leave no reservations behind when the process ends"""
    for files in list(_all):
        files.settle_if_idle()
