"""MongoDB backend: one document for each response, in BSON types; for bodies over 16 MB there is `gridfs`"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
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
from .connection import patience
from .storage import BATCH_SIZE, SMALL_BATCH_SIZE, MongoBackend, MongoStorage, from_id, to_id, to_ids

if TYPE_CHECKING:
    from pymongo.collection import Collection

    Document = dict[str, Any]

logger = getLogger(__name__)

TTL_INDEX = 'ttl_idx'
MAX_TTL_SECONDS = 2**31 - 1
_INDEX_PATIENCE_SECONDS = 300
_TOO_LARGE_CODES = (10334, 17419, 17420)
_TOO_LARGE = (
    "The entry is larger than the 16 MB that a MongoDB document can hold; use backend='gridfs', which holds larger ones"
)


class MongoCache(MongoBackend):
    """A cache in a MongoDB database, in the collections `responses` and `redirects`

    Args:
        db_name: Name of the database
        connection: A `pymongo.MongoClient`; it is not closed by the cache
        decode_content: Keep a readable copy of JSON and text bodies beside the body
        serializer: Name or object; by default responses are documents with a field for each of their parts
        kwargs: Options of `MongoClient`: host (also a connection string), port, username, password, tls, replicaSet, …
            Timeouts for reaching a server, connecting and answers are 5 seconds each unless given.

    Raises:
        MissingDependencyError: pymongo is not installed
        ValueError, TypeError, pymongo.errors.PyMongoError: The driver does not take a value of an option, or the name
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
        """Let the server delete responses some time after they were received, whether they have expired or not

        Args:
            ttl: Seconds or a timedelta, rounded up; None, 0 or -1 for never
            overwrite: Change or remove a time that was set before; otherwise it stays

        Raises:
            ValueError: The time is negative, or above 2**31 - 1 seconds
        """
        self.responses.set_ttl(ttl, overwrite=overwrite)


class MongoDict(MongoStorage):
    """A mapping in a MongoDB collection

    A response is a document with `_id` = key and a field for each of its parts; anything else, such as the bytes of
    another serializer, is in the field `data`. `len()` is the server's own count of the collection, at the same cost
    for any size; it may be wrong for a while after a crash of the server, and on a sharded collection.

    Args:
        db_name: Name of the database
        collection_name: Name of the collection
        connection: A `pymongo.MongoClient`; it is not closed by the storage
        serializer: Name or object, or None to keep values as they are
        kwargs: `decode_content`, and options of `MongoClient`
    """

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

    @property
    def collection(self) -> Collection[Document]:
        return self._mongo.collection(self._db_name, self._collection_name)

    _index = collection

    def __getitem__(self, key: str) -> Any:
        with self._mongo.calling('read from it'):
            document = self.collection.find_one({'_id': to_id(key)})
        if document is None:
            raise KeyError(key)
        return self._from_document(key, document)

    def __setitem__(self, key: str, item: Any) -> None:
        document = self._to_document(key, item)
        with self._mongo.calling('write to it'):
            try:
                self._replace(key, document)
            except Exception as e:
                # A readable copy may hold what BSON cannot, and may make the document too large
                if _is_unreachable(e) or not {'_content', '_decoded_content'} <= document.keys():
                    raise
                self._replace(key, {k: v for k, v in document.items() if k != '_decoded_content'})

    def _replace(self, key: str, document: Document) -> None:
        from pymongo.errors import DuplicateKeyError

        one = {'_id': to_id(key)}
        try:
            try:
                self.collection.replace_one(one, document, upsert=True)
            except DuplicateKeyError:  # somebody else inserted it at the same moment
                self.collection.replace_one(one, document, upsert=True)
        except Exception as e:
            if _is_too_large(e):
                raise BackendError(_TOO_LARGE) from e
            raise

    def update(self, other: Any = (), /, **kwargs: Any) -> None:
        """Write many entries, in batches"""
        from pymongo import ReplaceOne

        pairs = other.items() if isinstance(other, Mapping) else other
        for batch in chunkify(chain(pairs, kwargs.items()), SMALL_BATCH_SIZE):
            writes = [ReplaceOne({'_id': to_id(k)}, self._to_document(k, v), upsert=True) for k, v in batch]
            try:
                with self._mongo.calling('write to it'):
                    self.collection.bulk_write(writes)
            except BackendUnavailableError:
                raise
            except (BackendError, TypeError):  # also from mongomock, for operations of later drivers
                for key, item in batch:
                    self[key] = item

    def __delitem__(self, key: str) -> None:
        if not self._delete([{'_id': to_id(key)}]):
            raise KeyError(key)

    def bulk_delete(self, keys: Iterable[str]) -> int:
        return sum(self._delete([{'_id': i} for i in ids]) for ids in to_ids(keys, BATCH_SIZE))

    def _delete_matching(self, conditions: list[Document]) -> int:
        found = self._documents({'_id': 1}, {'$or': conditions})
        return sum(
            self._delete([{'_id': document['_id'], '$or': conditions} for document in batch])
            for batch in chunkify(found, BATCH_SIZE)
        )

    def _delete(self, queries: list[Document]) -> int:
        """Delete one entry for each query"""
        from pymongo import DeleteOne

        with self._mongo.calling('delete from it'):
            return self.collection.bulk_write([DeleteOne(q) for q in queries], ordered=False).deleted_count

    def __len__(self) -> int:
        with self._mongo.calling('read from it'):
            return self.collection.estimated_document_count()

    def _values_of(self, documents: Iterator[Document]) -> Iterator[tuple[str, Any]]:
        for document in documents:
            key = from_id(document['_id'])
            yield key, self._from_document(key, document)

    def _to_document(self, key: str, item: Any) -> Document:
        value = self._serialize(key, item)
        if isinstance(value, Mapping) and not {'_id', 'data'} & value.keys():
            return dict(value)
        document: Document = {'data': to_id(value) if isinstance(value, str) else value}
        if isinstance(item, CachedResponse):
            # For the server, which deletes by time
            document['created_at'] = item.created_at
            if item.expires is not None:
                document['expires'] = item.expires
        return document

    def _from_document(self, key: str, document: Document) -> Any:
        value = from_id(document['data']) if 'data' in document else {k: v for k, v in document.items() if k != '_id'}
        return self.deserialize(key, value)

    def get_ttl(self) -> int | None:
        """Seconds after which the server deletes entries; None if it does not"""
        with self._mongo.calling('read its indexes'):
            seconds = self.collection.index_information().get(TTL_INDEX, {}).get('expireAfterSeconds')
        return int(seconds) if seconds is not None else None

    def set_ttl(self, ttl: float | timedelta | None, overwrite: bool = False) -> None:
        """Let the server delete entries some time after they were received; see `MongoCache.set_ttl`"""
        seconds = _ttl_seconds(ttl)
        exists = self.get_ttl() is not None
        if exists and not overwrite:
            logger.warning('The TTL index exists and stays as it is; pass overwrite=True to change it')
            return
        with self._mongo.calling('change its indexes'), patience(_INDEX_PATIENCE_SECONDS):
            if exists:
                self.collection.drop_index(TTL_INDEX)
            if seconds:
                self.collection.create_index('created_at', name=TTL_INDEX, expireAfterSeconds=seconds)


class MongoRedirects(MongoDict):
    """A mapping from keys to keys; anything else than text is no key, and read as None"""

    def deserialize(self, key: str, value: Any) -> Any:
        return value if isinstance(value, str) else None


def _ttl_seconds(ttl: float | timedelta | None) -> int:
    seconds = ceil(ttl.total_seconds() if isinstance(ttl, timedelta) else ttl or 0)
    if seconds == NEVER_EXPIRE:
        return 0
    if not 0 <= seconds <= MAX_TTL_SECONDS:
        raise ValueError(f'Invalid TTL: {ttl!r}; it must be between 0 and {MAX_TTL_SECONDS} seconds, or -1 for never')
    return seconds


def _is_unreachable(error: Exception) -> bool:
    from pymongo.errors import ConnectionFailure

    return isinstance(error, ConnectionFailure)


def _is_too_large(error: Exception) -> bool:
    from pymongo.errors import DocumentTooLarge, OperationFailure

    code = error.code if isinstance(error, OperationFailure) else None
    return isinstance(error, DocumentTooLarge) or code in _TOO_LARGE_CODES
