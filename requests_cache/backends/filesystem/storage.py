"""A storage with one file per entry"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, KeysView
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property
from logging import getLogger
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from ..._utils import chunkify, decode_text, renew_after_fork
from ...exceptions import BackendError
from ...models.response import CachedResponse
from ...serializers.pipeline import SerializerType
from ...serializers.preconf import json_serializer
from ...serializers.sealing import is_sealed
from ..paths import get_cache_path
from ..storage import CHUNK_SIZE, UPKEEP_KEYWORDS, BaseStorage
from .access import (
    encode_text,
    has_entry_mode,
    make_directory,
    move_file,
    read_file,
    read_key_file,
    remove_file,
    replace_file,
    storage_error,
    storage_errors,
    write_and_move,
)
from .bodies import BodyFiles, entry_file
from .directory import Directory
from .locking import ChangeLock
from .names import (
    entry_of_key_file,
    extension_for,
    is_certainly_ours,
    is_long,
    is_temporary,
    key_file,
)

if TYPE_CHECKING:
    from .leases import FileLeases
    from .rounds import ExpiredFiles
    from .upkeep import BoundedFiles

logger = getLogger(__name__)
# A context manager that can be entered repeatedly, by many threads at once
_NO_LOCK: AbstractContextManager[None] = nullcontext()
# Options for the directory and its files, not for the databases in it
_NOT_FOR_DATABASES = UPKEEP_KEYWORDS | {
    'database', 'db_path', 'decode_content', 'serializer', 'table_name', 'use_cache_dir', 'use_memory', 'use_temp',
}  # fmt: skip


def database_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a cache that are meant for the databases in its directory"""
    return {k: v for k, v in options.items() if k not in _NOT_FOR_DATABASES}


class FileDict(Directory, BaseStorage[str, Any]):
    """A storage with one file per entry, named by its key and an extension for its format

    A file is written beside its place and then moved there. So readers in all threads and processes see either the old
    entry or the new one. Large bodies are in files of their own (see `BodyFiles`). Keys that are not safe as names of
    files are encoded. Nothing outside the directory is touched.

    Args:
        cache_name, use_temp, use_cache_dir, extension: As for `FileCache`
        serializer: A name, a pipeline, a stage, or any object with `dumps` and `loads`
        lock: A lock that is held during every operation, so that it can be shared with other storages and code. By
            default, the storage has its own lock, which is held while something is changed.
        kwargs: Further keywords of `FileCache`; others are ignored
    """

    iteration_tolerates_writes = True
    can_be_bounded = True
    deletes_expired = True
    pieces: BodyFiles
    _bounded: BoundedFiles | None = None
    _expired: ExpiredFiles | None = None
    _locks_reads = False

    def __init__(
        self,
        cache_name: str | Path,
        use_temp: bool = False,
        use_cache_dir: bool = False,
        extension: str | None = None,
        serializer: SerializerType | Any = json_serializer,
        lock: Any = None,
        **kwargs: Any,
    ):
        super().__init__(serializer=serializer, **kwargs)
        self._take_limits(**kwargs)
        self.cache_dir = get_cache_path(cache_name, use_cache_dir=use_cache_dir, use_temp=use_temp)
        self.extension = f'.{extension}' if extension else extension_for(self.serializer)
        self.is_binary = bool(getattr(self.serializer, 'is_binary', False))
        self.pieces = BodyFiles(self)
        self._changes = ChangeLock()
        self._lock = RLock() if lock is None else lock
        if lock is None:
            renew_after_fork(self, '_lock', RLock)
        else:
            self._locks_reads = True
        try:
            make_directory(self.cache_dir)
        except OSError as e:
            # If it matters, the first use of the cache reports it
            logger.debug('Could not create the cache directory %s: %s', self.cache_dir, e)
        self._begin_upkeep()
        if self._bounded is not None:
            self._bounded.open(bool(kwargs.get('sync_index')))

    def _take_limits(self, max_file_bytes: Any = None, block_bytes: Any = 1, **options: Any) -> None:
        self._index_options = database_options(options)
        if self.bounds is not None:
            from .upkeep import file_bounds

            self.bounds, self.block_bytes = file_bounds(self.bounds, max_file_bytes, block_bytes)

    def _begin_upkeep(self) -> None:
        if self.bounds is not None:
            from .upkeep import BoundedFiles

            self._bounded = BoundedFiles(self, self._index_options)
        if self.delete_expired_after is not None:
            from .rounds import ExpiredFiles

            self._expired = ExpiredFiles(self)

    def __getstate__(self) -> dict[str, Any]:
        if self._locks_reads:
            raise TypeError(
                'A cache that was given a lock cannot be pickled, copied or sent to another process; create one there'
            )
        left_out = ('_bounded', '_changes', '_expired', '_folds_case', '_lock', 'leases', 'pieces')
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _changes=ChangeLock(), _lock=RLock(), pieces=BodyFiles(self))
        renew_after_fork(self, '_lock', RLock)
        self._begin_upkeep()

    @property
    def lock(self) -> Any:
        """The lock that is held during changes, or during every operation if the caller has given it"""
        return self._lock

    @cached_property
    def leases(self) -> FileLeases:
        """The leases, in small files"""
        from .leases import FileLeases

        return FileLeases(self)

    def remove_leftovers(self) -> None:
        """Remove bodies and leases that killed processes have left behind"""
        super().remove_leftovers()
        self.leases.remove_leftovers()

    def _reading(self) -> AbstractContextManager[Any]:
        return self.lock if self._locks_reads and not self._changes.is_held else _NO_LOCK

    def _changing(self) -> AbstractContextManager[None]:
        """The lock for changes, which is reentrant and also excludes other processes"""
        return self._changes.held(self.cache_dir, self.lock, self._locks_reads)

    def __getitem__(self, key: str) -> CachedResponse | None:
        value = self._value_of(key)
        if self._bounded is not None and (isinstance(value, CachedResponse) or self.serializer is None):
            self._bounded.note(str(key))
        return value

    def _value_of(self, key: str) -> CachedResponse | None:
        path = self._key2path(key)
        try:
            with self._reading():
                data = self._read(key, path)
        except FileNotFoundError:
            raise KeyError(key) from None
        except OSError as e:
            raise storage_error('read', path, e) from e
        return self.deserialize(key, self._content(data))

    def _read(self, key: str, path: Path) -> bytes:
        try:
            return read_file(path)
        except FileNotFoundError:
            if (data := self._read_elsewhere(key)) is not None:
                return data
            # A small entry may have replaced a large one meanwhile
            if not self.pieces.is_there:
                raise
        return read_file(path)

    def _read_elsewhere(self, key: str) -> bytes | None:
        other = self._other_path(key)
        if other is not None:
            with suppress(FileNotFoundError):
                return read_file(other)
        return self.pieces.read_entry(key)

    def _content(self, data: bytes) -> str | bytes:
        """The content of a file, as text or bytes, whichever the serializer takes"""
        is_raw = self.is_binary or getattr(self.serializer, 'takes_buffers', False) or is_sealed(data)
        return data if is_raw else decode_text(data)

    def _peek(self, key: str) -> Any:
        """Read an entry without recording that it was used"""
        return self[key] if self._bounded is None else self._value_of(key)

    def _read_quietly(self, key: str) -> Any:
        """Read an entry without recording that; None if it cannot be read, which is not logged"""
        try:
            return self._loads(key, self._content(self._read(key, self._key2path(key))))
        except Exception:
            return None

    def __setitem__(self, key: str, value: Any) -> None:
        self._write_apart(key, value, self._write)

    def _write(self, key: str, value: Any) -> None:
        if self._expired is not None:
            self._expired.step()
        body = value._body if isinstance(value, CachedResponse) else None
        data = encode_text(self._serialize(key, value))
        if body is None:
            self._store(key, data, None)
        else:
            self._store(key, entry_file(body.id, data), body.id)

    def write_if(self, key: str, value: Any, is_expected: Callable[[Any], bool]) -> bool:
        """Write an entry if the stored one is as expected; see `ChangeLock` about other processes"""
        with self._changing():
            return super().write_if(key, value, is_expected)

    def __delitem__(self, key: str) -> None:
        if not self._remove(key):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        path = self._key2path(key)  # type: ignore[arg-type]
        with storage_errors('look for', path), self._reading():
            try:
                return stat.S_ISREG(os.stat(path).st_mode)
            except FileNotFoundError:
                return self._is_elsewhere_than(path, key)  # type: ignore[arg-type]

    def _is_elsewhere_than(self, path: Path, key: str) -> bool:
        other = self._other_path(key)
        if other is not None and other.is_file():
            return True
        # A small entry may have replaced a large one meanwhile
        return self.pieces.is_there and (self.pieces.has_entry(key) or path.is_file())

    def __iter__(self) -> Iterator[str]:
        for path in self.paths():
            if (key := self._path2key(path)) is not None:
                yield key

    def keys(self) -> KeysView[str]:
        """Keys of all entries, including unreadable ones"""
        return super().keys()

    def __len__(self) -> int:
        with self._listing():
            return sum(1 for _ in self._names()) + sum(1 for _ in self._large_names())

    def paths(self) -> Iterator[Path]:
        """Paths of the files of all entries; large bodies are in other files"""
        return self._all_paths()

    def size(self) -> int:
        """Size of all entries in bytes; in a bounded storage, each file counts as a multiple of `block_bytes`"""
        if self._bounded is not None:
            return self._bounded.index.total_size()
        total = 0
        for path in self.paths():
            with storage_errors('read', path):
                try:
                    total += sum(self._sizes(path))
                except FileNotFoundError:  # deleted in the meantime
                    continue
        return total

    def scan(self) -> Iterator[tuple[str, Any]]:
        """All keys with their values, None for those that cannot be read

        An unreadable file is skipped unless its name or mode shows that it is ours: callers that look for unreadable
        entries are about to delete them.
        """
        for path in self.paths():
            if (key := self._path2key(path)) is None:
                continue
            try:
                value = self._peek(key)
            except KeyError:  # deleted in the meantime
                continue
            except BackendError:
                if self._is_ours(path):
                    raise
                continue
            if isinstance(value, CachedResponse) or self.serializer is None or self._is_ours(path):
                yield key, value

    def bulk_delete(self, keys: Iterable[str]) -> int:
        if self._bounded is not None:
            return sum(self._bounded.remove([str(key) for key in chunk]) for chunk in chunkify(keys, CHUNK_SIZE))
        return sum(self._remove(key) for key in keys)

    def clear(self) -> None:
        """Delete all entries, and nothing else in the directory"""
        if self._expired is not None:
            self._expired.close()
        if self._bounded is not None:
            self._bounded.clear()
            return
        with self._changing():
            self._clear_files()

    def close(self) -> None:
        """Close open files and databases; the next use opens them again"""
        super().close()
        if self._expired is not None:
            self._expired.close()
        if self._bounded is not None:
            self._bounded.close()

    def _clear_files(self) -> None:
        with storage_errors('clear', self.cache_dir):
            self.pieces.clear()
            self.leases.clear()
            for path in self._all_paths():
                if self._is_ours(path) or self._is_readable(path):
                    remove_file(path)
            make_directory(self.cache_dir)
            with os.scandir(self.cache_dir) as files:
                others = [Path(file.path) for file in files if file.name.startswith('.')]
            for path in others:
                if is_temporary(path.name):
                    remove_file(path)
                elif entry := entry_of_key_file(path, self.extension):
                    self._drop_key(entry)

    def _is_ours(self, path: Path) -> bool:
        """Whether the name or mode of a file shows that a storage of this kind wrote it"""
        return is_certainly_ours(path.name, self.extension) or has_entry_mode(path) or path.parent == self.pieces.root

    def _holds_entry(self, path: Path) -> bool:
        """Whether a file that has the name of an entry is one"""
        return self.serializer is None or self._is_ours(path) or self._is_readable(path)

    def _is_readable(self, path: Path) -> bool:
        try:
            data = read_file(path)
            value = self._loads(self._path2key(path), self._content(data))
        except Exception:
            return False
        return isinstance(value, CachedResponse)

    def _store(self, key: str, data: bytes, body_id: str | None) -> None:
        """Write the file of an entry; if `body_id` is given, its body is in another file"""
        path = self._key2path(key) if body_id is None else self.pieces.path_of(key)
        size = 0 if self._bounded is None else self._checked_size(data, body_id)

        def move(temp: Path) -> None:
            def put() -> None:
                self._put_in_place(temp, path, key, body_id)

            if self._bounded is not None:
                self._bounded.write(str(key), size, put)
                return
            with self._changing():
                put()

        self._write_file(key, path, data, move)

    def _checked_size(self, data: bytes, body_id: str | None) -> int:
        """Size of an entry, after checking that it is not too large to keep"""
        sizes = [len(data)] if body_id is None else [len(data), self.pieces.size_of_body(body_id)]
        size = sum(map(self._get_size_on_disk, sizes))
        if self.bounds is not None:
            self.bounds.check(size)
        return size

    def _write_file(self, key: str, path: Path, data: bytes, move: Callable[[Path], None]) -> None:
        with storage_errors('write', path):
            self._keep_key(key, path)
            write_and_move(path.parent, data, move)
            # Another process that deleted an older entry may have deleted its key after we looked
            self._keep_key(key, path)

    def _put_in_place(self, temp: Path, path: Path, key: str, body_id: str | None) -> None:
        """Move an entry into place, and remove the one that it replaces, whether large or small"""
        if body_id is None:
            move_file(temp, path)
            self.pieces.remove_entry(key)
        else:
            self.pieces.put_entry(temp, path, key, body_id)
            self._remove_file(self._key2path(key))
        self._remove_other(key)

    def _remove(self, key: str) -> bool:
        if self._bounded is not None:
            return bool(self._bounded.remove([str(key)]))
        with self._changing():
            return self._remove_files(key)

    def _remove_files(self, key: str) -> bool:
        path = self._key2path(key)
        with storage_errors('delete', path):
            removed = self._remove_file(path)
            removed = self._remove_other(key) or removed
            return self.pieces.remove_entry(key) or removed

    def _remove_other(self, key: str) -> bool:
        other = self._other_path(key)
        return other is not None and self._remove_file(other)

    def _remove_file(self, path: Path) -> bool:
        removed = remove_file(path)
        if removed and is_long(path.name, self.extension):
            self._drop_key(path)
        return removed

    def _keep_key(self, key: str, path: Path) -> None:
        if is_long(path.name, self.extension) and read_key_file(path, self.extension) is None:
            replace_file(key_file(path), encode_text(key), _NO_LOCK)

    def _drop_key(self, path: Path) -> None:
        key = read_key_file(path, self.extension)
        remove_file(key_file(path))
        if key is not None and path.exists():  # written in the meantime
            self._keep_key(key, path)
