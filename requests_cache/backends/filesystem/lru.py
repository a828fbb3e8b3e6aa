"""The published storage of files with a bounded size"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .lru_index import LRUDict
from .storage import FileDict

if TYPE_CHECKING:
    from ..eviction import Bounds
    from .upkeep import BoundedFiles

DEFAULT_MAX_CACHE_BYTES = 100 * 1024 * 1024


class LRUFileDict(FileDict):
    """A storage with one file per entry that keeps no more than a number of bytes

    Args:
        args: See `FileDict`
        block_bytes: Size of the blocks that files take up; sizes are rounded up to a multiple of it
        max_cache_bytes: Size of all files: a number of bytes, or text such as '500 MB'
        max_file_bytes: Size of the largest file to keep; by default `max_cache_bytes`
        sync_index: Compare the index with the files once more, which takes a look at each of them
        kwargs: See `FileDict`, and options of `SQLiteDict` for the index

    Raises:
        TypeError: One of the sizes is none
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
            raise TypeError('max_cache_bytes must be a number of bytes, not None')
        kwargs.update(max_cache_bytes=max_cache_bytes, max_file_bytes=max_file_bytes)
        super().__init__(*args, block_bytes=block_bytes, sync_index=sync_index, **kwargs)

    @property
    def max_cache_bytes(self) -> int:
        """Size of all files, in bytes"""
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
        """Delete what was not used for the longest time, until a number of bytes is free"""
        self._bounded.evict(desired_free_bytes)
