"""The base classes of storages and caches in MongoDB and GridFS"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ...models.response import CachedResponse
from ...policy.expiration import ExpirationTime, get_expiration_datetime, utcnow
from ..base import BaseCache
from ..bodies import discard
from ..storage import STORAGE_KEYWORDS, BaseStorage
from .bodies import MongoPieces
from .connection import Keywords, MongoConnection
from .ids import from_id, to_id, to_ids

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.collection import Collection

    from .upkeep import MongoUpkeep

    Document = dict[str, Any]

# Number of small documents that are read at a time, and of single deletions in one command
BATCH_SIZE = 1000
# Number of entries that are read or written at a time, and of keys in one query
SMALL_BATCH_SIZE = 100
# Redirects are checked once in this many writes
WRITES_BETWEEN_CLEANING = 32
# Stands for any document, or none
ANY: Document = {}


class MongoStorage(BaseStorage[str, Any]):
    """A storage with one document for each key in a collection, here called its index

    Documents with an automatic `_id` (an ObjectId) are not entries, and are ignored.
    """

    iteration_tolerates_writes = True
    pieces: MongoPieces | None = None
    can_be_bounded = True
    deletes_expired = True
    # Leftovers are removed when the first large body is written, as small entries need not wait for that
    _has_swept = True
    _upkeep: MongoUpkeep | None = None

    def __init__(self, db_name: str, connection: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self._mongo = MongoConnection.of(connection, kwargs)
        self._db_name = str(db_name)
        self._mongo.check(self._db_name)

    @property
    def connection(self) -> MongoClient[Document]:
        """The `MongoClient` in use"""
        return self._mongo.client  # type: ignore[no-any-return]

    @property
    @abstractmethod
    def _index(self) -> Collection[Document]: ...

    @abstractmethod
    def bulk_delete(self, keys: Iterable[str]) -> int: ...

    @abstractmethod
    def _delete_matching(self, conditions: list[Document]) -> int:
        """Delete entries whose document meets any of the conditions; returns their number"""

    @abstractmethod
    def _values_of(self, documents: Iterator[Document]) -> Iterator[tuple[str, Any]]:
        """Keys and values of documents; None for a value that cannot be read"""

    @abstractmethod
    def _read(self, key: str) -> tuple[Document | None, Any]:
        """The document and the value of an entry; None if there is none, or if it cannot be read"""

    @abstractmethod
    def _write(self, key: str, item: Any, found: Document | None = ANY) -> None:
        """Write an entry

        Args:
            key: Its key
            item: Its value
            found: The document that is expected to exist; None if there should be none

        Raises:
            ChangedError: The existing document is not the expected one
        """

    # Prefix of the fields `created_at` and `expires`; in a bounded storage, the fields with the size and the last use
    _dates_in, _size_in, _used_in = '', '_size', '_used'
    # Columns of the index that are needed to delete or replace an entry
    _needed_columns: Document

    def _begin_upkeep(self, name: str) -> None:
        """Set up bounds and automatic deletion, if they were requested

        Args:
            name: Name of the collection for totals
        """
        if self.deletes_automatically:
            from .upkeep import MongoUpkeep

            self._upkeep = MongoUpkeep(self, name)

    @property
    def _columns(self) -> Document:
        """Columns of the index that are needed before entries are deleted"""
        return self._needed_columns if self._upkeep is None else self._upkeep.prepare_to_delete()

    def _deleted(self, documents: list[Document], count: int) -> None:
        """Called after `count` of the entries were deleted"""
        if self._upkeep is not None:
            self._upkeep.deleted(documents, count)

    def _evict(self, documents: list[Document], used: int) -> int:
        """Delete entries, except those that were used after a time; returns their number"""
        raise NotImplementedError

    def _version_and_size(self, document: Document) -> tuple[Document, int]:
        """A query for this version of an entry, and its size"""
        raise NotImplementedError

    def _prepare_to_expire(self, seconds: float) -> None:
        """Have the server delete entries that have been expired for some seconds, or prepare for it"""
        raise NotImplementedError

    def _delete_expired(self) -> None:
        """Delete some expired entries before an entry is written, if the server does not"""

    def _documents(
        self, projection: Document | None = None, query: Document | None = None, size: int = BATCH_SIZE
    ) -> Iterator[Document]:
        """All documents of the index, each once, read page by page

        A page continues after the last key of the previous page. So no cursor is needed, which might time out, and
        writes in the meantime do no harm.
        """
        from bson.objectid import ObjectId

        bound: Document = {'$gte': ''}
        while True:
            count = 0
            page = self._index.find({**(query or {}), '_id': bound}, projection).sort('_id', 1).limit(size)
            for document in self._mongo.each(page, 'read from it'):
                count += 1
                bound = {'$gt': document['_id']}
                yield document
            if count < size:
                break
        # Comparisons find only values of the same type
        others = self._index.find({**(query or {}), '_id': {'$not': {'$type': 'string'}}}, projection)
        for document in self._mongo.each(others, 'read from it'):
            if not isinstance(document['_id'], ObjectId):
                yield document

    def __setitem__(self, key: str, item: Any) -> None:
        self._write_apart(key, item, self._write)

    def write_if(self, key: str, value: Any, is_expected: Callable[[Any], bool]) -> bool:
        return self._write_if_unchanged(key, value, is_expected, self._read, self._write)

    def _claim_body(self, key: str, item: Any) -> str | None:
        """Claim the separate body of an entry that is about to be written; returns its id, or None if there is none"""
        body = item._body if isinstance(item, CachedResponse) and self.pieces is not None else None
        if body is None or self.pieces is None or self._usable_pieces is None:
            return None
        self.pieces.claim(str(key), body, item.created_at, item.expires)
        return body.id

    def _discard_body(self, key: str, replaced: Document | None, body_id: str | None) -> None:
        """Delete the body of a replaced entry, unless the new entry has the same one"""
        old_id = self.pieces.body_of(replaced) if replaced and self.pieces is not None else None
        if old_id is not None and old_id != body_id and self.pieces is not None:
            discard(self.pieces, str(key), old_id)

    def __contains__(self, key: object) -> bool:
        with self._mongo.calling('read from it'):
            return self._index.find_one({'_id': to_id(key)}, {'_id': 1}) is not None

    def __iter__(self) -> Iterator[str]:
        return (from_id(document['_id']) for document in self._documents({'_id': 1}))

    def scan(self) -> Iterator[tuple[str, Any]]:
        return self._values_of(self._documents(size=SMALL_BATCH_SIZE))

    def existing(self, keys: Iterable[str]) -> set[str]:
        """The keys that exist in this storage"""
        found: set[str] = set()
        for ids in to_ids(keys, SMALL_BATCH_SIZE):
            cursor = self._index.find({'_id': {'$in': ids}}, {'_id': 1})
            found.update(from_id(d['_id']) for d in self._mongo.each(cursor, 'read from it'))
        return found

    def clear(self) -> None:
        """Delete all entries, but no indexes"""
        self.bulk_delete(self)
        self.remove_leftovers()
        if self._upkeep is not None:
            self._upkeep.cleared()

    def delete_dated(self, expired_at: datetime | None, created_before: datetime | None) -> int:
        """Delete entries that have expired by a time, or were received before a time; returns their number"""
        conditions: list[Document] = []
        if expired_at is not None:
            conditions.append({f'{self._dates_in}expires': {'$lte': expired_at}})
        if created_before is not None:
            # BSON stores whole milliseconds
            limit = created_before + timedelta(microseconds=-created_before.microsecond % 1000)
            conditions.append({f'{self._dates_in}created_at': {'$lt': limit}})
        removed = self._delete_matching(conditions)

        # Entries that 1.x wrote with another serializer, or as files, have no dates that the server can compare
        without_date = {f'{self._dates_in}created_at': {'$not': {'$type': 'date'}}}
        undated = self._documents(query=without_date, size=SMALL_BATCH_SIZE)
        keys = (k for k, v in self._values_of(undated) if _is_outdated(v, expired_at, created_before))
        removed += self.bulk_delete(keys)
        self.remove_leftovers()
        return removed

    def close(self) -> None:
        """Close the client, unless it is the caller's; a later use creates another"""
        if self._upkeep is not None:
            self._upkeep.close()
        self._mongo.close()


def _is_outdated(value: Any, expired_at: datetime | None, created_before: datetime | None) -> bool:
    if not isinstance(value, CachedResponse):
        return False
    expired = expired_at is not None and value.expires is not None and value.expires <= expired_at
    return expired or (created_before is not None and value.created_at < created_before)


class MongoBackend(BaseCache):
    """A cache with both storages in one database"""

    responses: Any
    redirects: Any

    @classmethod
    def owned_keywords(cls) -> frozenset[str]:
        """Keywords of the constructor, and all options of `MongoClient`"""
        return Keywords(('db_name', 'connection', 'decode_content', 'serializer', *STORAGE_KEYWORDS))

    def _clean(self, n_redirects: int) -> None:
        # Not with each write, as it requires two or three commands
        n_writes, n_new = self.__dict__.get('_not_cleaned', (0, 0))
        n_writes, n_new = n_writes + 1, n_new + n_redirects
        if n_writes >= WRITES_BETWEEN_CLEANING:
            super()._clean(n_new + n_writes)
            n_writes = n_new = 0
        self._not_cleaned = n_writes, n_new

    def _save_redirects(self, redirects: dict[str, str], expires: datetime | None = None) -> None:
        if redirects:
            self.redirects.update(redirects)

    def _delete_where(self, expired: bool, invalid: bool, older_than: ExpirationTime) -> int:
        if not isinstance(self.responses, MongoStorage):
            return super()._delete_where(expired, invalid, older_than)
        if invalid:
            removed = super()._delete_where(expired, invalid, older_than)
            self.responses.remove_leftovers()
            return removed
        limit = get_expiration_datetime(older_than, negative_delta=True) if older_than else None
        return int(self.responses.delete_dated(utcnow() if expired else None, limit))
