"""MongoDB backend: a document for each response, in BSON types; large bodies are in a separate collection"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cached_property, partial
from itertools import chain
from logging import getLogger
from math import ceil
from typing import TYPE_CHECKING, Any

from ..._utils import chunkify
from ...exceptions import BackendError, BackendUnavailableError
from ...models.response import CachedResponse
from ...policy.expiration import NEVER_EXPIRE
from ...serializers.pipeline import SerializerType
from ...serializers.preconf import bson_document_serializer
from ..storage import ChangedError
from .bodies import (
    INDEX_PATIENCE_SECONDS,
    MAX_TTL_SECONDS,
    TTL_GRACE_SECONDS,
    TTL_INDEX,
    MongoPieces,
    create_ttl_index,
    delete_expired_after,
    ttl_of,
)
from .connection import patience
from .ids import from_id, to_id, to_ids
from .leases import MongoLeases
from .storage import ANY, BATCH_SIZE, SMALL_BATCH_SIZE, MongoBackend, MongoStorage

if TYPE_CHECKING:
    from pymongo.collection import Collection

    Document = dict[str, Any]

logger = getLogger(__name__)

_TOO_LARGE_CODES = (10334, 17419, 17420)
_TOO_LARGE = (
    'The entry exceeds the 16 MB limit of MongoDB documents, even without a body that is kept separately; '
    "use a smaller large_body_bytes=, or backend='gridfs', which has no such limit"
)
# The document of an entry with a large body contains the id of the body, the rest of the entry as `record`, and None as
# `data`, so that older versions treat it as unreadable
_BODY_ID, _RECORD = 'body_id', 'record'
# Changes each time a response is written
_REVISION = '_revision'
_SIZE, _USED = MongoStorage._size_in, MongoStorage._used_in
_RESERVED = {'_id', 'data', _REVISION, _SIZE, _USED}
# Fields that are needed when an entry is replaced
_NEEDED = (_BODY_ID, _REVISION)


class MongoCache(MongoBackend):
    """A cache in a MongoDB database: documents in the collections `responses` and `redirects`

    Args:
        db_name: Name of the database
        connection: An existing `pymongo.MongoClient`. It is not closed.
        decode_content: Add a readable copy of JSON and text bodies to the documents
        serializer: A name, a pipeline, a stage, or any object with `dumps` and `loads`. By default, a
            response is a document with a field for each of its parts.
        large_body_bytes: Keep bodies longer than this in pieces, in a collection of their own; 1 MiB by default
        max_cache_bytes: Maximum size of all responses: a number of bytes, or text such as `'500 MB'`; no bound by
            default
        max_entries: Maximum number of responses; no bound by default
        delete_expired_after: Have the server delete responses that have been expired for this long: seconds, rounded
            up, or a `timedelta`; by default never
        kwargs: `compression` and `encryption_key` (see `BaseStorage`); options of `MongoClient`, such as `host` (which
            may be a connection string), `port`, `username`, `password`, `tls` and `replicaSet`. By default, the client
            waits at most 5 seconds each for finding a server, for connecting to it, and for a response.

    Raises:
        MissingDependencyError: pymongo is not installed
        ValueError, TypeError, pymongo.errors.PyMongoError: The driver refuses the name of the database, or an option
    """

    def __init__(
        self,
        db_name: str = 'http_cache',
        connection: Any = None,
        decode_content: bool = True,
        serializer: SerializerType | None = None,
        **kwargs: Any,
    ):
        super().__init__(cache_name=db_name, **kwargs)
        self.responses = MongoDict(
            db_name,
            collection_name='responses',
            connection=connection,
            serializer=serializer or bson_document_serializer,
            decode_content=decode_content,
            **kwargs,
        )
        self.redirects = MongoRedirects(db_name, 'redirects', self.responses._mongo, serializer=None)

    def get_ttl(self) -> int | None:
        """Seconds after which the server deletes responses; None if it does not"""
        return self.responses.get_ttl()  # type: ignore[no-any-return]

    def set_ttl(self, ttl: float | timedelta | None, overwrite: bool = False) -> None:
        """Have the server delete responses some time after they were received, whether they have expired or not

        Args:
            ttl: Seconds or a `timedelta`, rounded up; None, 0 or -1 for never
            overwrite: Change or remove a time that was set before. Otherwise, that time is kept.

        Raises:
            ValueError: The time is negative, or above 2**31 - 1 seconds
        """
        self.responses.set_ttl(ttl, overwrite=overwrite)


class MongoDict(MongoStorage):
    """A mapping in a MongoDB collection

    A response is a document whose `_id` is the key, with a field for each part of the response. Any other value, such
    as bytes from a different serializer, is in the field `data`. `len()` returns the server's estimate, which takes
    the same time for any size. It may be wrong for a while after a crash of the server, and for a sharded collection.

    Args:
        db_name: Name of the database
        collection_name: Name of the collection
        connection: An existing `pymongo.MongoClient`. It is not closed.
        serializer: A name or an object; None stores values unchanged
        kwargs: Keywords of `BaseStorage`, and options of `MongoClient`
    """

    _needed_columns = dict.fromkeys(_NEEDED, 1)

    def __init__(
        self,
        db_name: str,
        collection_name: str = 'http_cache',
        connection: Any = None,
        serializer: SerializerType | None = bson_document_serializer,
        **kwargs: Any,
    ):
        super().__init__(db_name, connection, serializer=serializer, **kwargs)
        self._collection_name = str(collection_name)
        if self.serializer is not None:
            name = self._collection_name
            self.pieces = MongoPieces(self._mongo, self._db_name, f'{name}_bodies', name, _BODY_ID)
        self._begin_upkeep(f'{self._collection_name}_totals')

    @property
    def collection(self) -> Collection[Document]:
        return self._mongo.collection(self._db_name, self._collection_name)

    _index = collection

    @cached_property
    def leases(self) -> MongoLeases:
        """The leases, in a collection of their own"""
        return MongoLeases(self._mongo, self._db_name, f'{self._collection_name}_leases')

    def __getitem__(self, key: str) -> Any:
        with self._mongo.calling('read from it'):
            document = self.collection.find_one({'_id': to_id(key)})
        if document is None:
            raise KeyError(key)
        if self._upkeep is not None:
            self._upkeep.note(key, document)
        return self._from_document(key, document)

    def _read(self, key: str) -> tuple[Document | None, Any]:
        with self._mongo.calling('read from it'):
            document = self.collection.find_one({'_id': to_id(key)})
        return document, None if document is None else self._from_document(key, document)

    def _write(self, key: str, item: Any, found: Document | None = ANY) -> None:
        document = self._to_document(key, item)
        if self._upkeep is None:
            self._put(key, item, document, found)
            return
        n_bytes = 0 if self.bounds is None else self._measure(key, item, document)
        put = partial(self._put, key, item, document)
        self._upkeep.write(key, n_bytes, found, put, is_any=found is ANY)

    def _put(self, key: str, item: Any, document: Document, found: Document | None) -> Document | None:
        """Write the document of an entry, and claim its body; returns the document that was replaced"""
        body_id = self._claim_body(key, item)
        with self._mongo.calling('write to it'):
            try:
                replaced = self._replace(key, document, found)
            except Exception as e:
                # The readable copy may contain values that BSON does not support, or make the document too large
                if (
                    isinstance(e, ChangedError)
                    or _is_unreachable(e)
                    or not {'_content', '_decoded_content'} <= document.keys()
                ):
                    raise
                document.pop('_decoded_content')
                replaced = self._replace(key, document, found)
        self._discard_body(key, replaced, body_id)
        return replaced

    def _replace(self, key: str, document: Document, found: Document | None) -> Document | None:
        """Replace the document `found`; returns the replaced document, if it has a body"""
        from pymongo.errors import DuplicateKeyError

        one = {'_id': to_id(key)}
        try:
            if found is ANY:
                return self._replace_any(one, document)
            if found is None:
                self.collection.insert_one({**one, **document})
            elif not self.collection.replace_one({**one, **_version(found)}, document).matched_count:
                raise ChangedError
            return found
        except DuplicateKeyError as e:
            raise ChangedError from e
        except Exception as e:
            if _is_too_large(e):
                raise BackendError(_TOO_LARGE) from e
            raise

    def _replace_any(self, one: Document, document: Document) -> Document | None:
        from pymongo.errors import DuplicateKeyError

        if _BODY_ID not in document:
            # The duplicate key is an entry with a body, or one that was inserted by another writer at the same time
            with suppress(DuplicateKeyError):
                self.collection.replace_one(_without_body(one), document, upsert=True)
                return None
        with suppress(DuplicateKeyError):
            return self.collection.find_one_and_replace(one, document, {_BODY_ID: 1}, upsert=True)
        return self.collection.find_one_and_replace(one, document, {_BODY_ID: 1}, upsert=True)

    def update(self, other: Any = (), /, **kwargs: Any) -> None:
        """Write many entries, in batches"""
        from pymongo import ReplaceOne

        if self._upkeep is not None:
            self._upkeep.prepare()
        pairs = other.items() if isinstance(other, Mapping) else other
        for batch in chunkify(chain(pairs, kwargs.items()), SMALL_BATCH_SIZE):
            if self.bounds is not None or any(self._has_pieces(v) for _, v in batch):
                for key, item in batch:
                    self[key] = item
                continue
            writes = [
                ReplaceOne(_without_body({'_id': to_id(k)}), self._to_document(k, v), upsert=True) for k, v in batch
            ]
            try:
                with self._mongo.calling('write to it'):
                    self.collection.bulk_write(writes)
            except BackendUnavailableError:
                raise
            except (BackendError, TypeError):  # TypeError: mongomock with a newer driver
                for key, item in batch:
                    self[key] = item

    def _has_pieces(self, value: Any) -> bool:
        if not isinstance(value, CachedResponse) or self._usable_pieces is None:
            return False
        return value._body is not None or self.seal is not None or value.size > self._longest_content

    def __delitem__(self, key: str) -> None:
        with self._mongo.calling('delete from it'):
            deleted = self.collection.find_one_and_delete({'_id': to_id(key)}, self._columns)
        if deleted is None:
            raise KeyError(key)
        self._deleted([deleted], 1)
        self._discard_body(key, deleted, None)

    def bulk_delete(self, keys: Iterable[str]) -> int:
        return sum(self._delete([{'_id': i} for i in ids], self._found(ids)) for ids in to_ids(keys, BATCH_SIZE))

    def _found(self, ids: list[Any]) -> list[Document]:
        """The documents that must be known before deletion: all of them with bounds, otherwise those with a body"""
        query: Document = {'_id': {'$in': ids}}
        if self.bounds is None:
            if self.pieces is None:
                return []
            query[_BODY_ID] = {'$exists': True}
        return list(self._mongo.each(self.collection.find(query, self._columns), 'read from it'))

    def _delete_matching(self, conditions: list[Document]) -> int:
        found = self._documents(self._columns, {'$or': conditions})
        return sum(
            self._delete([{'_id': document['_id'], '$or': conditions} for document in batch], batch)
            for batch in chunkify(found, BATCH_SIZE)
        )

    def _delete(self, queries: list[Document], found: list[Document]) -> int:
        """Delete one entry for each query, and the bodies of the entries in `found`"""
        from pymongo import DeleteOne

        if self.bounds is not None:
            # Do not delete an entry that has been replaced since, as it may be smaller
            sizes = {document['_id']: document[_SIZE] for document in found if _SIZE in document}
            queries = [{**q, _SIZE: sizes[q['_id']]} if q['_id'] in sizes else q for q in queries]
        with self._mongo.calling('delete from it'):
            removed = self.collection.bulk_write([DeleteOne(q) for q in queries], ordered=False).deleted_count
        self._deleted(found, removed)
        if self.pieces is not None:
            self.pieces.delete_orphans(found)
        return removed

    def _evict(self, documents: list[Document], used: int) -> int:
        query = {'_id': {'$in': [document['_id'] for document in documents]}, _USED: {'$lte': used}}
        with self._mongo.calling('delete from it'):
            removed = self.collection.delete_many(query).deleted_count
        if self.pieces is not None:
            self.pieces.delete_orphans(documents)
        return removed

    def _measure(self, key: str, item: Any, document: Document) -> int:
        """Store the size and the last use of an entry in its document; returns the size"""
        from .sizes import size_of_document, size_of_pieces

        assert self._upkeep is not None
        try:
            n_bytes = size_of_document(key, document)
        except Exception:  # if this is not because of the readable copy, writing the document will raise an error
            document.pop('_decoded_content', None)
            with suppress(Exception):
                n_bytes = size_of_document(key, document)
        if _BODY_ID in document:
            n_bytes += size_of_pieces(key, item._body.size, item._body.piece_count)
        document[_SIZE], document[_USED] = n_bytes, self._upkeep.now_ns()
        return n_bytes

    def _version_and_size(self, document: Document) -> tuple[Document, int]:
        from .sizes import size_of_document

        n_bytes, body_id = size_of_document(from_id(document['_id']), document), document.get(_BODY_ID)
        if self.pieces is not None and isinstance(body_id, str):
            n_bytes += self.pieces.size_of(from_id(document['_id']), body_id)
        return _version(document), n_bytes

    def _prepare_to_expire(self, seconds: float) -> None:
        delete_expired_after(self.collection, seconds)
        if self.pieces is not None:
            # With bounds, no grace period, as the bodies would exceed the bounds during that time
            delete_expired_after(self.pieces.collection, seconds + (TTL_GRACE_SECONDS if self.bounds is None else 0))

    def __len__(self) -> int:
        with self._mongo.calling('read from it'):
            return self.collection.estimated_document_count()

    def _values_of(self, documents: Iterator[Document]) -> Iterator[tuple[str, Any]]:
        for document in documents:
            key = from_id(document['_id'])
            yield key, self._from_document(key, document)

    def _to_document(self, key: str, item: Any) -> Document:
        from bson.objectid import ObjectId

        value = self._serialize(key, item)
        revision: Document = {_REVISION: ObjectId()} if isinstance(item, CachedResponse) else {}
        has_body = revision and item._body is not None and self._usable_pieces is not None
        if isinstance(value, Mapping) and not has_body and not _RESERVED & value.keys():
            return {**value, **revision}
        data = to_id(value) if isinstance(value, str) else value
        document: Document = {'data': None, _RECORD: data, _BODY_ID: item._body.id} if has_body else {'data': data}
        if isinstance(item, CachedResponse):
            # So that the server can delete expired entries
            document['created_at'] = item.created_at
            if item.expires is not None:
                document['expires'] = item.expires
        return {**document, **revision}

    def _from_document(self, key: str, document: Document) -> Any:
        if 'data' not in document:
            return self.deserialize(key, {k: v for k, v in document.items() if k not in _RESERVED})
        value = document['data']
        if value is None and isinstance(document.get(_BODY_ID), str):
            value = document.get(_RECORD)
        return self.deserialize(key, from_id(value))

    def get_ttl(self) -> int | None:
        """Seconds after which the server deletes entries; None if it does not"""
        with self._mongo.calling('read its indexes'):
            seconds = ttl_of(self.collection)
        return int(seconds) if seconds is not None else None

    def set_ttl(self, ttl: float | timedelta | None, overwrite: bool = False) -> None:
        """Have the server delete entries some time after they were received; see `MongoCache.set_ttl`"""
        seconds = _ttl_seconds(ttl)
        exists = self.get_ttl() is not None
        if exists and not overwrite:
            logger.warning('The TTL index already exists and is not changed; pass overwrite=True to change it')
            return
        with self._mongo.calling('change its indexes'), patience(INDEX_PATIENCE_SECONDS):
            if exists:
                self.collection.drop_index(TTL_INDEX)
            create_ttl_index(self.collection, seconds)
            if self.pieces is not None:
                self.pieces.set_ttl(seconds)


class MongoRedirects(MongoDict):
    """A mapping from keys to keys; values that are not text are read as None"""

    def deserialize(self, key: str, value: Any) -> Any:
        return value if isinstance(value, str) else None


def _ttl_seconds(ttl: float | timedelta | None) -> int:
    seconds = ceil(ttl.total_seconds() if isinstance(ttl, timedelta) else ttl or 0)
    if seconds == NEVER_EXPIRE:
        return 0
    if not 0 <= seconds <= MAX_TTL_SECONDS:
        raise ValueError(f'Invalid TTL: {ttl!r}; use 0 to {MAX_TTL_SECONDS} seconds, or -1 for never')
    return seconds


def _without_body(query: Document) -> Document:
    return {**query, _BODY_ID: {'$exists': False}}


def _version(document: Document) -> Document:
    """A query for this version of a document: by its revision or, if an older version wrote it, by all plain values"""
    if _REVISION in document:
        return {_REVISION: document[_REVISION]}
    plain = {k: v for k, v in document.items() if not isinstance(v, (dict, list)) and k.isidentifier() and k != _USED}
    values = {k: {'$eq': v} for k, v in plain.items()}
    return {**values, _REVISION: {'$exists': False}}


def _is_unreachable(error: Exception) -> bool:
    from pymongo.errors import ConnectionFailure

    return isinstance(error, ConnectionFailure)


def _is_too_large(error: Exception) -> bool:
    from pymongo.errors import DocumentTooLarge, OperationFailure

    code = error.code if isinstance(error, OperationFailure) else None
    return isinstance(error, DocumentTooLarge) or code in _TOO_LARGE_CODES
