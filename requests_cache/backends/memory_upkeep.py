"""Bounds and cleaning of a storage in memory"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import islice
from sys import getsizeof
from time import time
from typing import Any, Protocol

from .eviction import EXPIRED_PER_WRITE, Bounds, Candidate, Eviction, Index, Usage, Uses, make_room

# Memory for a record in addition to its body and the text of its header fields, and for each field in addition to its
# text, measured with tracemalloc
OVERHEAD_BYTES = 900
FIELD_OVERHEAD_BYTES = 60
STORED_OVERHEAD_BYTES = 250
# The queue is rebuilt when it has about this many times as many items as there are expirations
MAX_QUEUE_FACTOR = 2


class Storage(Protocol):
    """A storage with bounds or automatic cleaning"""

    bounds: Bounds | None
    delete_expired_after: float | None
    data: dict[Any, Any]
    _lock: Any


class MemoryIndex(Index):
    """Sizes of the entries of a storage, in the order in which they were last used

    Args:
        delete: A function that deletes an entry
    """

    def __init__(self, delete: Callable[[Any], object]):
        self._delete = delete
        self._sizes: dict[Any, int] = {}
        self._n_bytes = 0

    @property
    def usage(self) -> Usage:
        return Usage(self._n_bytes, len(self._sizes))

    def touch(self, uses: Mapping[str, int]) -> None:
        for key in sorted(uses, key=uses.__getitem__):
            if key in self._sizes:
                self._sizes[key] = self._sizes.pop(key)

    def reserve(self, key: Any, n_bytes: int) -> Usage:
        # A replaced entry does not count, as the storage is locked until the new one is written
        self.forget(key)
        self._sizes[key] = n_bytes
        self._n_bytes += n_bytes
        return self.usage

    def oldest(self, count: int) -> list[Candidate]:
        return [Candidate(key, n_bytes) for key, n_bytes in islice(self._sizes.items(), count)]

    def evict(self, keys: Sequence[str]) -> Eviction:
        for key in keys:
            self._delete(key)
            self.forget(key)
        return Eviction(self.usage)

    def forget(self, key: Any) -> None:
        self._n_bytes -= self._sizes.pop(key, 0)

    def clear(self) -> None:
        self._sizes.clear()
        self._n_bytes = 0


class MemoryUpkeep:
    """Enforces bounds and deletes expired entries; all methods except `note` are called while the storage is locked

    Args:
        storage: The storage
    """

    def __init__(self, storage: Storage):
        self._storage = storage
        self._index = MemoryIndex(self._delete)
        self._uses = Uses(self._flush)
        # When entries expire, and a heap of the same times, some of which may be out of date
        self._expirations: dict[Any, float] = {}
        self._queue: list[tuple[float, Any]] = []

    def note(self, key: Any) -> None:
        """Note that an entry was used"""
        if self._storage.bounds is not None:
            self._uses.note(key)

    def _flush(self) -> None:
        with self._storage._lock:
            self._index.touch(self._uses.take())

    def _delete(self, key: Any) -> None:
        self._storage.data.pop(key, None)
        self.forget(key)

    def before_writing(self, key: Any, stored: Any, value: Any) -> None:
        """Make room for an entry, and delete some long-expired ones

        Args:
            key: Key of the entry
            stored: The snapshot or serialized value that will be stored
            value: The original value

        Raises:
            EntryTooLargeError: The entry exceeds the maximum size
        """
        if self._storage.bounds is not None:
            self._index.touch(self._uses.take())
            make_room(self._index, self._storage.bounds, key, size_of(key, stored))
        if self._storage.delete_expired_after is not None:
            self._expirations.pop(key, None)
            self._delete_expired(time() - self._storage.delete_expired_after)
            expires = getattr(value, 'expires_unix', None)
            if expires is not None:
                self._expirations[key] = expires
                heappush(self._queue, (expires, key))
            if len(self._queue) > MAX_QUEUE_FACTOR * len(self._expirations) + EXPIRED_PER_WRITE:
                self._queue = sorted((expires, key) for key, expires in self._expirations.items())

    def _delete_expired(self, limit: float) -> None:
        for _ in range(EXPIRED_PER_WRITE):
            if not self._queue or self._queue[0][0] > limit:
                return
            expires, key = heappop(self._queue)
            if self._expirations.get(key) == expires:
                self._delete(key)

    def forget(self, key: Any) -> None:
        """Forget an entry that was deleted"""
        self._index.forget(key)
        self._expirations.pop(key, None)

    def clear(self) -> None:
        """Forget all entries"""
        self._index.clear()
        self._queue.clear()
        self._expirations.clear()


def size_of(key: Any, stored: Any) -> int:
    """Estimate how much memory an entry uses, in bytes

    Args:
        key: Key of the entry
        stored: A snapshot of a response, or a serialized value
    """
    record = getattr(stored, 'record', None)
    if record is not None:
        return _size_of_record(record) + sum(map(len, stored.pieces or ())) + len(key)
    return (len(stored) if isinstance(stored, (bytes, str)) else getsizeof(stored)) + len(key) + STORED_OVERHEAD_BYTES


def _size_of_record(record: Mapping[str, Any]) -> int:
    fields = [*(record.get('headers') or {}).items(), *(record['request'].get('headers') or {}).items()]
    return (
        OVERHEAD_BYTES
        + len(record.get('_content') or b'')
        + len(record['request'].get('body') or b'')
        + sum(len(name) + len(value) + FIELD_OVERHEAD_BYTES for name, value in fields)
        + sum(map(_size_of_record, record.get('history') or ()))
    )
