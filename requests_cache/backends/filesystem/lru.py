"""A storage of files whose total size is bounded: what was not used for the longest time makes room for what is new

The index of sizes is always ahead of the files. A writer first makes room and enters the size of its file, in one
transaction, and then moves the file into its place in a second one, if the entry is still there. Whatever happens
between the two, the index accounts for at least what is on disk, so the bound holds for all processes, killed ones
included. An index that is damaged, or that somebody removed, is made anew from the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from logging import getLogger
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Any, TypeVar

from ..._utils import chunkify
from ...exceptions import BackendError, BackendUnavailableError, EntryTooLargeError
from ...keys.shown import shown_key, shown_text
from ...models.response import CachedResponse
from ..sqlite.connection import identity
from ..sqlite.table import from_column, to_column
from ..storage import CHUNK_SIZE
from .lru_index import LRUDict
from .names import LRU_INDEX_FILE
from .storage import FileDict

if TYPE_CHECKING:
    from sqlite3 import Connection

T = TypeVar('T')
DEFAULT_MAX_CACHE_BYTES = 100 * 1024 * 1024
MOVE_ATTEMPTS = 10
# They are about the directory and its files, not about the databases inside of it
_NOT_FOR_DATABASES = frozenset(
    {'database', 'db_path', 'decode_content', 'serializer', 'table_name', 'use_cache_dir', 'use_memory', 'use_temp'}
)
logger = getLogger(__name__)


def database_options(options: dict[str, Any]) -> dict[str, Any]:
    """Those of a cache's options that are meant for the databases in its directory"""
    return {k: v for k, v in options.items() if k not in _NOT_FOR_DATABASES}


class LRUFileDict(FileDict):
    """A storage with one file per entry that keeps no more than a number of bytes

    Args:
        args: See `FileDict`
        block_bytes: Size of the blocks that files take up; sizes are rounded up to a multiple of it
        max_cache_bytes: Size of all files
        max_file_bytes: Size of the largest file to keep; by default `max_cache_bytes`
        sync_index: Compare the index with the files once more, which takes a look at each of them
        kwargs: See `FileDict`, and options of `SQLiteDict` for the index

    Raises:
        TypeError: `max_cache_bytes` is not a number
        ValueError: The sizes contradict each other
    """

    def __init__(
        self,
        *args: Any,
        block_bytes: int = 1,
        max_cache_bytes: int = DEFAULT_MAX_CACHE_BYTES,
        max_file_bytes: int | None = None,
        sync_index: bool = False,
        **kwargs: Any,
    ):
        self.block_bytes = block_bytes
        self.max_cache_bytes = max_cache_bytes
        self.max_file_bytes = max_cache_bytes if max_file_bytes is None else max_file_bytes
        self._check_limits()
        super().__init__(*args, **kwargs)
        # An index that a power failure damaged is made anew, so nothing waits until it has reached the disk
        options = {'fast_save': True, **database_options(kwargs)}
        self.lru_index = LRUDict(Path(self.cache_dir, LRU_INDEX_FILE), 'lru', **options)
        self.lru_index.files = self
        try:
            if sync_index or not self.lru_index.is_plausible():
                self._sync_lru_index()
        except BackendError as e:
            logger.warning('The index of %s cannot be used: %s', self.cache_dir, shown_text(e))

    def _check_limits(self) -> None:
        for name in ('max_cache_bytes', 'max_file_bytes', 'block_bytes'):
            if not isinstance(getattr(self, name), (int, float)):
                raise TypeError(f'{name} must be a number of bytes, not {getattr(self, name)!r}')
        if self.max_file_bytes > self.max_cache_bytes:
            raise ValueError(f'max_file_bytes must not be greater than max_cache_bytes ({self.max_cache_bytes})')
        if self.block_bytes > self.max_file_bytes:
            raise ValueError(f'block_bytes must not be greater than max_file_bytes ({self.max_file_bytes})')
        if self.block_bytes < 1:
            raise ValueError(f'block_bytes must be greater than 0, not {self.block_bytes}')

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        self.lru_index.touch(str(key))
        return value

    def _peek(self, key: str) -> Any:
        return super().__getitem__(key)

    def bulk_delete(self, keys: Iterable[str]) -> int:
        return sum(self._remove_chunk(chunk) for chunk in chunkify(keys, CHUNK_SIZE))

    def clear(self) -> None:
        """Delete all entries, and nothing else that may be in the directory"""

        def clear(connection: Connection) -> None:
            self._clear_files()
            self.lru_index.remove_all(connection)

        try:
            self._with_index(clear)
        except BackendUnavailableError:
            super().clear()
            raise

    def size(self) -> int:
        """Size of all entries in bytes, each rounded up to a multiple of `block_bytes`"""
        return self.lru_index.total_size()

    def close(self) -> None:
        super().close()
        self.lru_index.close()

    def _get_size_on_disk(self, file_size: int) -> int:
        return int(-(-file_size // self.block_bytes) * self.block_bytes)

    # Writing

    def __setitem__(self, key: str, value: Any) -> None:
        length = _length_of_body(value) if self._usable_pieces is not None else 0
        try:
            if length > self._longest_content:
                self._check_length(length)
            super().__setitem__(key, value)
        except EntryTooLargeError:
            self._pass_over(key, length)

    def _pass_over(self, key: str, size: int) -> None:
        logger.debug('Not stored, as its %d bytes are more than %d: %s', size, self.max_file_bytes, shown_key(key))
        self._remove(key)

    def _check_length(self, length: int) -> None:
        if length > self.max_file_bytes:
            raise EntryTooLargeError(f'the body is longer than the {self.max_file_bytes} bytes that are to be kept')

    def _store(self, key: str, data: bytes, body_id: str | None) -> None:
        size = self._get_size_on_disk(len(data))
        if body_id is not None:
            size += self._get_size_on_disk(self.pieces.size_of_body(body_id))
        if size > self.max_file_bytes:
            self._pass_over(key, size)
            if body_id is not None:
                self.pieces.delete(key, body_id)
            return
        path = self._place_of(key, body_id)

        def move(temp: Path) -> None:
            self._move(str(key), size, lambda: self._put_in_place(temp, path, key, body_id))

        self._write_file(key, path, data, move)

    def _move(self, key: str, size: int, put: Callable[[], None]) -> None:
        index_path = str(self.lru_index.db_path)
        for _ in range(MOVE_ATTEMPTS):
            index_file = identity(index_path)
            self._with_index(lambda connection: self._make_room(connection, key, size))
            if self._with_index(lambda c: self._put_if_accounted_for(c, key, size, put)):
                if index_file is not None and identity(index_path) != index_file:
                    raise FileNotFoundError(f'the index was replaced, maybe before the file was seen: {index_path}')
                return
        raise BackendUnavailableError(f'Could not write to {self.cache_dir}: others need the room') from TimeoutError()

    def _make_room(self, connection: Connection, key: str, size: int) -> None:
        """Enter the size of a file that is about to be written; of the old and the new file, the larger one counts"""
        self.lru_index.write_access_times(connection)
        old_size = self._indexed_size(connection, key) or 0
        reserved = max(old_size, size)
        self._free(connection, reserved - old_size, key)
        connection.execute(self.lru_index._table.put, (to_column(key), time_ns(), reserved))

    def _put_if_accounted_for(self, connection: Connection, key: str, size: int, put: Callable[[], None]) -> bool:
        reserved = self._indexed_size(connection, key)
        if reserved is None or reserved < size:
            return False
        put()
        if reserved != size:
            connection.execute(self.lru_index._table.set_size, (size, to_column(key)))
        return True

    def _indexed_size(self, connection: Connection, key: str) -> int | None:
        row = connection.execute(self.lru_index._table.select, (to_column(key),)).fetchone()
        return None if row is None else int(row[0])

    # Deleting

    def _evict(self, desired_free_bytes: int) -> None:
        """Delete what was not used for the longest time, until a number of bytes is free"""
        self._with_index(lambda connection: self._free(connection, desired_free_bytes))

    def _free(self, connection: Connection, wanted: int, kept_key: str | None = None) -> None:
        table = self.lru_index._table
        excess = connection.execute(table.select_total).fetchone()[0] + wanted - self.max_cache_bytes
        kept = None if kept_key is None else to_column(kept_key)
        immovable = 0
        while excess > 0:
            row = connection.execute(table.oldest, (kept, immovable)).fetchone()
            if row is None:
                self._recount(connection, wanted)
                return
            try:
                self._remove_files(from_column(row[0]))
            except BackendError as e:
                logger.warning('Could not make room: %s', shown_text(e))
                immovable += 1
                continue
            connection.execute(table.delete, (row[0],))
            excess -= row[1]

    def _recount(self, connection: Connection, wanted: int) -> None:
        table = self.lru_index._table
        table.set_total(connection)
        excess = connection.execute(table.select_total).fetchone()[0] + wanted - self.max_cache_bytes
        if excess > 0:
            raise BackendError(f'{excess} bytes in {self.cache_dir} could not be freed')

    def _remove(self, key: str) -> bool:
        return bool(self._remove_chunk([key]))

    def _remove_chunk(self, keys: list[str]) -> int:
        def remove(connection: Connection) -> int:
            removed = 0
            for key in keys:
                removed += self._remove_files(key)
                connection.execute(self.lru_index._table.delete, (to_column(str(key)),))
            return removed

        try:
            return self._with_index(remove)
        except BackendUnavailableError as e:
            # What is gone from the disk and still in the index takes up room until its turn comes
            logger.warning('Deleting without the index of %s: %s', self.cache_dir, shown_text(e))
            return self._remove_without_index(keys)

    def _remove_without_index(self, keys: list[str]) -> int:
        with self._changing():
            return sum(self._remove_files(key) for key in keys)

    # The index

    def _sync_lru_index(self) -> None:
        """Make the index anew from the files; the access times that are in it are kept"""
        self._with_index(self.lru_index.fill)

    def _measure(self, key: str) -> int | None:
        try:
            path = self._key2path(key)
            if not path.exists():
                path = self._other_path(key) or path
            return self._size_of(path if path.exists() else self.pieces.path_of(key))
        except OSError:
            return None

    def _size_of(self, path: Path) -> int:
        """Size of all files of an entry"""
        return sum(map(self._get_size_on_disk, self._sizes(path)))

    def _measure_all(self) -> Iterator[tuple[str, int, int]]:
        for path in self._all_paths():
            try:
                status, size = path.stat(), self._size_of(path)
            except OSError:  # deleted in the meantime
                continue
            if (key := self._path2key(path)) is not None:
                yield key, max(status.st_atime_ns, status.st_mtime_ns), size

    def _with_index(self, action: Callable[[Connection], T]) -> T:
        with self._changing():
            return self.lru_index.apply(action)


def _length_of_body(value: object) -> int:
    if not isinstance(value, CachedResponse):
        return 0
    return value._body.size if value._body is not None else len(value._content or b'')
