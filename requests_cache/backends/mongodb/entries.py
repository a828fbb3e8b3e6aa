"""The size and the last use of entries, as fields of bounded entries in MongoDB

The fields are in the document of an entry (GridFS: of its file), with an index on both. So they are deleted together
with the entry, even by other programs. Entries without them were written without bounds, or by older versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..eviction import NOTHING, Bounds, Usage
from .bodies import INDEX_PATIENCE_SECONDS, value_at
from .connection import MongoConnection, patience
from .ids import to_id

if TYPE_CHECKING:
    from pymongo.collection import Collection

    Document = dict[str, Any]

INDEX = 'used_idx'
# Number of candidates for eviction that are read at a time
CANDIDATES = 512
# Number of entries written without bounds that are read at a time: the first time, and later
FOUND_AT_FIRST, FOUND_LATER = 1024, 64
# When to search for such entries again after none were found, or after a failure
SECONDS_BETWEEN_SEARCHES, SECONDS_AFTER_FAILURE = 5.0, 60.0


class Storage(Protocol):
    """A storage with bounds or automatic deletion; see `MongoStorage`"""

    bounds: Bounds | None
    delete_expired_after: float | None
    _mongo: MongoConnection
    _db_name: str
    _dates_in: str
    _size_in: str
    _used_in: str
    _needed_columns: Document

    @property
    def _index(self) -> Collection[Document]: ...

    def _evict(self, documents: list[Document], used: int) -> int: ...

    def _version_and_size(self, document: Document) -> tuple[Document, int]: ...

    def _prepare_to_expire(self, seconds: float) -> None: ...

    def _delete_expired(self) -> None: ...


class _Found(NamedTuple):
    """An entry without the fields: a query for this version of it, and the values of the fields"""

    query: Document
    n_bytes: int
    used: int


class Entries:
    """The entries of a storage

    Args:
        storage: The storage
    """

    def __init__(self, storage: Storage):
        self._storage = storage
        self._size_in, self._used_in = storage._size_in, storage._used_in
        # Fields that are needed when an entry is replaced or deleted
        self.columns: Document = {**storage._needed_columns, self._size_in: 1, self._used_in: 1}
        self._oldest: dict[Any, Document] = {}
        self._next_search_at = -inf

    @property
    def _collection(self) -> Collection[Document]:
        from pymongo import ReadPreference

        # A secondary may not know the latest uses
        return self._storage._index.with_options(read_preference=ReadPreference.PRIMARY)

    def _calling(self, purpose: str) -> Any:
        return self._storage._mongo.calling(purpose)

    def create_index(self) -> None:
        self._storage._index.create_index([(self._used_in, 1), (self._size_in, 1)], name=INDEX)

    def read(self, key: str) -> Document | None:
        """The document of an entry; None if it does not exist"""
        with self._calling('read from it'):
            return self._collection.find_one({'_id': to_id(key)}, self.columns)

    def size(self, document: Document | None) -> Usage:
        """The recorded size of an entry"""
        n_bytes = None if document is None else value_at(document, self._size_in)
        return NOTHING if n_bytes is None else Usage(n_bytes, 1)

    def minimum_size(self, documents: Sequence[Document], count: int) -> Usage:
        """The minimum size of `count` of the entries, as it is unknown which ones"""
        sizes = sorted(map(self.size, documents))[:count]
        return Usage(sum(size.n_bytes for size in sizes), sum(size.n_entries for size in sizes))

    def count(self) -> Usage:
        """The size of all entries, read from the index in the order of their last use"""
        found = {'_id': None, 'bytes': {'$sum': f'${self._size_in}'}, 'entries': {'$sum': 1}}
        pipeline: list[Document] = [{'$match': {self._used_in: {'$gt': 0}}}, {'$group': found}]
        with self._calling('read from it'), patience(INDEX_PATIENCE_SECONDS):
            counted = next(iter(self._collection.aggregate(pipeline)), {})
        return Usage(counted.get('bytes', 0), counted.get('entries', 0))

    def touch(self, uses: Mapping[str, int]) -> None:
        """Record when entries were used: nanoseconds since the epoch, by key"""
        changes = []
        for key, time in uses.items():
            self.forget(key)
            query = {'_id': to_id(key), self._size_in: {'$exists': True}}
            changes.append((query, {'$max': {self._used_in: time}}))
        self._update(changes)

    def _update(self, changes: list[tuple[Document, Document]]) -> int:
        """Update one document for each change; returns how many documents were found"""
        from pymongo import UpdateOne

        if not changes:
            return 0
        entries = self._storage._index
        with self._calling('write to it'):
            try:
                return entries.bulk_write([UpdateOne(*change) for change in changes], ordered=False).matched_count
            except TypeError:  # mongomock with a newer driver
                return sum(entries.update_one(*change).matched_count for change in changes)

    # Evicting

    def oldest(self, count: int, key: str) -> list[Document]:
        """The least recently used entries, except one; empty only if there are no others"""
        entry_id = to_id(key)
        if len(self._oldest) <= (entry_id in self._oldest):
            query = {self._used_in: {'$gt': 0}}
            with self._calling('read from it'):
                found = self._collection.find(query, self.columns).sort(self._used_in, 1).limit(CANDIDATES)
                self._oldest = {document['_id']: document for document in found}
        return [d for d in islice(list(self._oldest.values()), count + 1) if d['_id'] != entry_id][:count]

    def forget(self, key: str) -> None:
        """Remove an entry that was used from the known candidates"""
        self._oldest.pop(to_id(key), None)

    def evict(self, keys: Sequence[str]) -> Usage:
        """Delete entries returned by `oldest`, unless they have been used since; returns the room they have freed"""
        documents = [d for d in (self._oldest.pop(to_id(key), None) for key in keys) if d is not None]
        if not documents:
            return NOTHING
        used = max(value_at(d, self._used_in) for d in documents)
        return self.minimum_size(documents, self._storage._evict(documents, used))

    def clear(self) -> None:
        """Forget all candidates, after all entries were deleted"""
        self._oldest.clear()

    # Entries that were written without bounds

    def find_some(self, account: Callable[[Usage, Callable[[], Usage]], None]) -> None:
        """Account for some entries that were written without bounds, if there are any

        Args:
            account: Called with the total size of the entries, and with a function that adds the fields to them; that
                returns the size of those that were changed or deleted by others, and must not be accounted for
        """
        if monotonic() < self._next_search_at:
            return
        limit = FOUND_AT_FIRST if self._next_search_at == -inf else FOUND_LATER
        self._next_search_at = monotonic() + SECONDS_AFTER_FAILURE
        query = {self._used_in: None, '_id': {'$not': {'$type': 'objectId'}}}
        cursor = self._collection.find(query).limit(limit)
        found = [self._found(document) for document in self._storage._mongo.each(cursor, 'read from it')]
        if found:
            account(Usage(sum(f.n_bytes for f in found), len(found)), lambda: self._fill_in(found))
        self._next_search_at = -1.0 if len(found) == limit else monotonic() + SECONDS_BETWEEN_SEARCHES

    def _found(self, document: Document) -> _Found:
        version, n_bytes = self._storage._version_and_size(document)
        created_at = value_at(document, f'{self._storage._dates_in}created_at')
        used = int(created_at.timestamp() * 1e9) if isinstance(created_at, datetime) else 1
        return _Found({'_id': document['_id'], self._used_in: None, **version}, n_bytes, max(used, 1))

    def _fill_in(self, found: Sequence[_Found]) -> Usage:
        changes = [(f.query, {'$set': {self._size_in: f.n_bytes, self._used_in: f.used}}) for f in found]
        left = sorted(f.n_bytes for f in found)[: len(found) - self._update(changes)]
        return Usage(sum(left), len(left))
