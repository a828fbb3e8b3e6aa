"""Bounds of a storage of files, by an index in a database beside them

The index of sizes is always ahead of the files. A writer first makes room and enters the size of its file, in one
transaction, and then moves the file into its place. Whatever happens in between, the index accounts for at least what
is on disk, so the bounds hold for all processes, killed ones included. An index that is damaged, or that somebody
removed, is made anew from the files.

A transaction costs as much as a file. So who makes room for a small file reserves some for the next few ones as well
(`Advance`), and enters these in the index together, in the next transaction. If a process is killed before that, what
it has reserved stays accounted for until another one opens the storage, and looks for files that are not in the index.
What others have done without the index is found by and by (`Reconciling`).
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
    """What is to be looked after"""

    bounds: Bounds | None

    def _all_paths(self) -> Iterator[Path]: ...

    def _changing(self) -> AbstractContextManager[None]: ...

    def _clear_files(self) -> None: ...

    def _measure_file(self, path: Path, is_large: bool) -> Measured | None: ...


class BoundedFiles:
    """What is done about bounds beside writing and deleting files

    Args:
        storage: The storage
        options: Options of the database for the index
    """

    def __init__(self, storage: Storage, options: dict[str, Any]):
        self._storage = storage
        self._path = str(Path(storage.cache_dir, LRU_INDEX_FILE))
        # An index that a power failure damaged is made anew, so nothing waits until it has reached the disk
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
        """Make the index from the files, if there is none or it is wrong

        Args:
            sync_index: Do so in any case
        """
        try:
            if sync_index or not self.index.is_plausible():
                with self._storage._changing():
                    self.index.make_anew()
            self._release_abandoned()
        except BackendError as e:
            logger.warning('The index of %s cannot be used: %s', self._storage.cache_dir, shown_text(e))

    def _release_abandoned(self) -> None:
        """After processes were killed, find what they have written, and release what they have reserved"""
        if owners := [owner for owner in self.index.owners() if is_abandoned(owner)]:
            for some in self._reconciling.all_files():
                self._with_index(partial(self._reconciling.add_unknown, some))
            self._with_index(lambda index: index.release(owners))

    # Reading

    def note(self, key: str) -> None:
        """Note that an entry was used"""
        self._uses.note(key)

    def _tell_uses_if_idle(self) -> None:
        """Tell the index what was used, unless that takes a wait"""
        uses, not_entered = self._uses.take(), self._advance.files
        later = {key: uses.pop(key) for key in list(uses) if key in not_entered}
        if not self.index.write_if_idle(lambda connection: self._within(connection).touch(uses)):
            later |= uses
        if later:
            self._uses.give_back(later)

    # Writing and deleting

    def write(self, key: str, n_bytes: int, put: Callable[[], None]) -> None:
        """Put a file in its place, as soon as there is room for it

        Args:
            key: Key of the entry
            n_bytes: Size of its files
            put: Puts it in its place

        Raises:
            FileNotFoundError: The index was replaced, maybe before the file was seen
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
                raise FileNotFoundError(f'the index was replaced, maybe before the file was seen: {self._path}')

    def _make_room(self, key: str, n_bytes: int, index: FileIndex) -> tuple[int | None, Advance]:
        """Make room for an entry, and for the next ones

        Returns:
            The size that is accounted for, which is that of the older entry if it is larger, and the room for others
        """
        self._reconciling.step(index, self._advance.n_written)
        more = wanted_in_advance(self._bounds, n_bytes)
        try:
            make_room(index, self._bounds, key, n_bytes, more)
        except BackendError:
            # If nothing is left, and there is still no room, the sum was wrong
            index.count_anew()
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
            # What is gone from the disk and still in the index takes up room until its turn comes
            logger.warning('Deleting without the index of %s: %s', self._storage.cache_dir, shown_text(e))
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
        """Delete what was not used for the longest time, until a number of bytes is free"""
        limit = max((self._bounds.max_bytes or 0) - n_bytes, 0)
        self._with_index(lambda index: evict_excess(index, Bounds(limit), index.usage()))

    # The index

    def _within(self, connection: Connection) -> FileIndex:
        return FileIndex(connection, self.index.table, self._storage, self._uses.now_ns)

    def _with_index(self, action: Callable[[FileIndex], T], comes_first: bool = False) -> T:
        """Call a function in a transaction, in which the index is also told all that it is yet to be told

        Args:
            action: The function
            comes_first: Call it before that, as there may be no room on the disk if it does not make some
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
        """Tell the index all that it is yet to be told"""
        if not (self._advance.owner or self._uses):
            return
        try:
            self._with_index(lambda index: None)
        except BackendError as e:
            logger.debug('The index cannot be told of everything yet: %s', shown_text(e))

    def settle_if_idle(self) -> None:
        """The same, unless that takes a wait"""
        advance = self._advance
        if advance.owner and os.path.exists(self._path):
            self.index.write_if_idle(lambda connection: self._within(connection).enter(advance.owner, advance.files))

    def close(self) -> None:
        """Tell the index all, and close it"""
        if os.path.exists(self._path):
            self.settle()
        if self._reconciling.is_open:
            try:
                with self._storage._changing():
                    self._reconciling.close()
            except BackendError as e:
                logger.debug('A directory stays open: %s', shown_text(e))
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
    """Bounds with the size of the largest entry to keep, and the size of blocks

    Args:
        bounds: The bounds
        max_file_bytes: Size of the largest entry, as a number or text; None for any that the bounds allow
        block_bytes: Size of blocks, as a number or text

    Raises:
        TypeError, ValueError: One of the sizes cannot be understood, or they contradict each other
    """
    largest = bounds.max_bytes if max_file_bytes is None else to_bytes('max_file_bytes', max_file_bytes)
    block = to_bytes('block_bytes', block_bytes)
    if largest is not None and bounds.max_bytes is not None and largest > bounds.max_bytes:
        raise ValueError(f'max_file_bytes must not be greater than max_cache_bytes ({bounds.max_bytes})')
    if largest is not None and block > largest:
        raise ValueError(f'block_bytes must not be greater than max_file_bytes ({largest})')
    return bounds._replace(max_entry_bytes=largest), block


_all: WeakSet[BoundedFiles] = WeakSet()


@atexit.register
def _settle_all() -> None:
    """Leave nothing reserved when the process comes to its end"""
    for files in list(_all):
        files.settle_if_idle()
