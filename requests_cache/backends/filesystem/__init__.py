"""The filesystem backend: a directory with one file per response"""

from __future__ import annotations

from collections.abc import Iterator
from logging import getLogger
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from ...exceptions import BackendError
from ...policy.settings import DEFAULT_CACHE_NAME
from ...serializers.pipeline import SerializerType
from ...serializers.unpickling import loads as unpickle
from ..base import BaseCache
from ..paths import get_cache_path
from ..sqlite import SQLiteCache, SQLiteDict
from ..storage import STORAGE_KEYWORDS
from .access import remove_database
from .names import REDIRECTS_FILE
from .storage import FileDict, database_options

if TYPE_CHECKING:
    from ..eviction import Bounds
    from .lru_index import LRUDict
    from .upkeep import BoundedFiles

__all__ = ['FileCache', 'FileDict', 'LRUDict', 'LRUFileDict', 'get_cache_path']

# The first byte of redirects that 1.0 pickled; no text in UTF-8 begins with it
PICKLE_START = b'\x80'
DEFAULT_MAX_CACHE_BYTES = 100 * 1024 * 1024
logger = getLogger(__name__)


def __getattr__(name: str) -> Any:
    # Only bounded storages need the index
    if name == 'LRUDict':
        from .lru_index import LRUDict

        return LRUDict
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


class LRUFileDict(FileDict):
    """A storage with one file per entry, and a bound on the size of all files

    Args:
        args: As for `FileDict`
        block_bytes, max_cache_bytes, max_file_bytes, sync_index: As for `FileCache`; `max_cache_bytes` is 100 MiB by
            default
        kwargs: As for `FileDict`, and keywords of `SQLiteDict` for the index

    Raises:
        TypeError: One of the sizes is None
        ValueError: The sizes contradict each other
    """

    bounds: Bounds
    _bounded: BoundedFiles

    def __init__(
        self,
        *args: Any,
        block_bytes: int = 1,
        max_cache_bytes: int | str = DEFAULT_MAX_CACHE_BYTES,
        max_file_bytes: int | str | None = None,
        sync_index: bool = False,
        **kwargs: Any,
    ):
        if max_cache_bytes is None:
            raise TypeError(
                'max_cache_bytes must be a number of bytes, not None; use FileDict for a cache without a limit'
            )
        kwargs.update(max_cache_bytes=max_cache_bytes, max_file_bytes=max_file_bytes)
        super().__init__(*args, block_bytes=block_bytes, sync_index=sync_index, **kwargs)

    @property
    def max_cache_bytes(self) -> int:
        """Limit for the size of all files, in bytes"""
        return self.bounds.max_bytes or 0

    @max_cache_bytes.setter
    def max_cache_bytes(self, value: int) -> None:
        self.bounds = self.bounds._replace(max_bytes=value, max_entry_bytes=min(value, self.max_file_bytes))

    @property
    def max_file_bytes(self) -> int:
        """Size of the largest file to keep, in bytes"""
        return self.bounds.largest or 0

    @max_file_bytes.setter
    def max_file_bytes(self, value: int) -> None:
        self.bounds = self.bounds._replace(max_entry_bytes=value)

    @property
    def lru_index(self) -> LRUDict:
        """Sizes of the files, by key"""
        return self._bounded.index

    def _evict(self, desired_free_bytes: int) -> None:
        """Delete the least recently used files until a number of bytes is free"""
        self._bounded.evict(desired_free_bytes)


class RedirectDict(SQLiteDict):
    """Redirects, from key to key, in a database beside the files"""

    def deserialize(self, key: str, value: Any) -> Any:
        if isinstance(value, bytes) and value.startswith(PICKLE_START):
            try:
                value = unpickle(value)
            except Exception:
                return None
        return super().deserialize(key, value)


class FileCache(BaseCache):
    """A cache in a directory, with one file for each response; redirects are in an SQLite database beside them

    Args:
        cache_name: Path of the directory
        use_temp: Put the directory into the one for temporary files, if the path is relative
        decode_content: Add readable copies of JSON and text bodies to the files
        serializer: A name, a pipeline, a stage, or any object with `dumps` and `loads`; JSON by default
        use_cache_dir: Put the directory into the user's cache directory, if the path is relative
        extension: Extension of the files, without a dot; by default that of the serializer
        large_body_bytes: Keep bodies longer than this in pieces, in files of their own; 1 MiB by default
        max_cache_bytes: Size of all files together: a number of bytes, or text such as `'500 MB'`; no bound by default
        max_entries: How many responses are kept; no bound by default
        max_file_bytes: Size of the largest response to keep; by default `max_cache_bytes`
        block_bytes: Size of the blocks that files take up on the disk. With a bound, sizes are rounded up to a multiple
            of it; 1 by default.
        sync_index: With a bound, compare the index with all files when the cache is opened
        delete_expired_after: Delete responses that have been expired for this long: seconds or a `timedelta`; by
            default never
        lock: A lock that is held during every operation, so that it can be shared with other code. An `RLock` also
            guards the redirects.
        kwargs: `compression` and `encryption_key` (see `BaseStorage`); `busy_timeout`, `fast_save`, `wal` and keywords
            of `sqlite3.connect` for the databases
    """

    def __init__(
        self,
        cache_name: str | Path = DEFAULT_CACHE_NAME,
        use_temp: bool = False,
        decode_content: bool = True,
        serializer: SerializerType | Any = None,
        **kwargs: Any,
    ):
        super().__init__(str(cache_name))
        options = {**kwargs, 'use_temp': use_temp, 'decode_content': decode_content}
        if serializer:
            options['serializer'] = serializer
        storage = LRUFileDict if 'max_cache_bytes' in kwargs else FileDict
        self.responses: FileDict = storage(cache_name, **options)
        self.redirects: SQLiteDict = RedirectDict(
            self.cache_dir / REDIRECTS_FILE, 'redirects', serializer=None, **database_options(kwargs)
        )
        if isinstance(kwargs.get('lock'), type(RLock())):
            self.redirects._database.lock = kwargs['lock']

    @classmethod
    def owned_keywords(cls) -> frozenset[str]:
        own = {'cache_name', 'decode_content', 'extension', 'lock', 'serializer', 'use_cache_dir', 'use_temp'}
        of_bounds = {'block_bytes', 'max_file_bytes', 'sync_index'}
        of_databases = database_options(dict.fromkeys(SQLiteCache.owned_keywords()))
        return STORAGE_KEYWORDS | own | of_bounds | set(of_databases)

    @property
    def cache_dir(self) -> Path:
        """The directory of the files"""
        return Path(self.responses.cache_dir)

    @property
    def lock(self) -> Any:
        """The lock that is held while files are changed"""
        return self.responses.lock

    def paths(self) -> Iterator[Path]:
        """Paths of the files of all responses"""
        return self.responses.paths()

    def delete(self, *args: str, **kwargs: Any) -> int:
        """Delete entries that match any of the conditions; see `BaseCache.delete`"""
        return super().delete(*args, **kwargs)

    def clear(self) -> None:
        """Delete all entries, and nothing else in the directory"""
        self.responses.clear()
        try:
            self.redirects.clear()
        except BackendError as e:
            logger.warning('Could not clear the redirects, so their database is replaced by a new one: %s', e)
            self.redirects.close()
            remove_database(self.cache_dir / REDIRECTS_FILE)
            self.redirects.clear()
