"""GridFS backend: a file for each response, for bodies of any size"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cached_property
from logging import getLogger
from typing import TYPE_CHECKING, Any

from .._utils import chunkify
from ..exceptions import BackendError
from ..keys.shown import shown_key
from ..models.response import CachedResponse
from ..policy.expiration import utcnow
from ..serializers.pipeline import SerializerType
from ..serializers.preconf import pickle_serializer
from .mongodb import MongoRedirects
from .mongodb.bodies import EXPIRES_INDEX, MongoPieces, value_at
from .mongodb.gridfs_files import BODY_ID, NEEDED, Files
from .mongodb.ids import from_id, to_id, to_ids
from .mongodb.leases import MongoLeases
from .mongodb.storage import ANY, SMALL_BATCH_SIZE, MongoBackend, MongoStorage

if TYPE_CHECKING:
    from gridfs import GridFS
    from pymongo.collection import Collection
    from pymongo.database import Database

    Document = dict[str, Any]

logger = getLogger(__name__)

# Size and number of files that are read together
READ_BYTES = 8 << 20
READ_FILES = 100


class GridFSCache(MongoBackend):
    """A cache in GridFS: responses are files in the bucket `fs`, and redirects documents in the collection `redirects`

    Args:
        db_name: Name of the database
        connection: An existing `pymongo.MongoClient`. It is not closed.
        decode_content: Add a readable copy of JSON and text bodies to the files
        serializer: A name, a pipeline, a stage, or any object with `dumps` and `loads`; pickle by default
        large_body_bytes: Keep bodies longer than this in pieces, in a collection of their own; 1 MiB by default
        max_cache_bytes: Maximum size of all responses: a number of bytes, or text such as `'500 MB'`; no bound by
            default
        max_entries: Maximum number of responses; no bound by default
        delete_expired_after: Delete responses that have been expired for this long, a few with each write: seconds or a
            `timedelta`; by default never
        kwargs: `compression` and `encryption_key` (see `BaseStorage`); options of `MongoClient`, as for `MongoCache`

    Raises:
        MissingDependencyError: pymongo is not installed
    """

    def __init__(
        self,
        db_name: str = 'http_cache',
        connection: Any = None,
        decode_content: bool = False,
        serializer: SerializerType | None = None,
        **kwargs: Any,
    ):
        super().__init__(cache_name=db_name, **kwargs)
        self.responses = GridFSDict(
            db_name,
            connection=connection,
            serializer=serializer or pickle_serializer,
            decode_content=decode_content,
            **kwargs,
        )
        self.redirects = MongoRedirects(db_name, 'redirects', self.responses._mongo, serializer=None)

    def delete(self, *args: Any, **kwargs: Any) -> int:
        """Delete entries that meet any of the conditions; see `BaseCache.delete`"""
        return super().delete(*args, **kwargs)


class GridFSDict(MongoStorage):
    """A mapping to files in the bucket `fs` of a database

    If a part of a file is missing, reading the entry raises `KeyError`, and scanning yields None for it.

    Args:
        db_name: Name of the database
        collection_name: Ignored
        connection: An existing `pymongo.MongoClient`. It is not closed.
        serializer: A name, or an object whose `dumps` returns bytes or text; None for values that are bytes or text
        kwargs: Keywords of `BaseStorage`, and options of `MongoClient`
    """

    _dates_in, _size_in, _used_in = 'metadata.', 'metadata.size', 'metadata.used'
    _needed_columns = NEEDED

    def __init__(
        self,
        db_name: str,
        collection_name: str | None = None,
        connection: Any = None,
        serializer: SerializerType | None = pickle_serializer,
        **kwargs: Any,
    ):
        super().__init__(db_name, connection, serializer=serializer, **kwargs)
        self._files = Files(self._mongo, self._db_name)
        if self.serializer is not None:
            self.pieces = MongoPieces(self._mongo, self._db_name, 'fs.bodies', 'fs.files', f'metadata.{BODY_ID}')
        self._begin_upkeep('fs.totals')

    @property
    def db(self) -> Database[Document]:
        """The database"""
        return self.connection[self._db_name]

    @property
    def fs(self) -> GridFS:
        """The driver's object for the bucket"""
        from gridfs import GridFS

        return GridFS(self.db)

    @property
    def _index(self) -> Collection[Document]:
        return self._files.files

    @cached_property
    def leases(self) -> MongoLeases:
        """The leases, in a collection next to those of the bucket"""
        return MongoLeases(self._mongo, self._db_name, 'fs.leases')

    def __getitem__(self, key: str) -> Any:
        found = self._files.read(to_id(key))
        if found is None:
            raise KeyError(key)
        file, content = found
        if content is None:
            logger.error('The file of an entry is damaged, so it is ignored')
            logger.debug('The damaged file belongs to the entry %s', shown_key(key))
            raise KeyError(key)
        if self._upkeep is not None:
            self._upkeep.note(key)
        return self._value(key, file, content)

    def _read(self, key: str) -> tuple[Document | None, Any]:
        file, content = self._files.read(to_id(key)) or (None, None)
        return file, None if file is None or content is None else self._value(key, file, content)

    def _write(self, key: str, item: Any, found: Document | None = ANY) -> None:
        value, encoding = self._serialize(key, item), None
        if isinstance(value, str):
            value, encoding = value.encode('utf-8', 'surrogatepass'), 'utf-8'
        elif not isinstance(value, bytes):
            raise BackendError(
                f'GridFS can only store bytes or text, but the serializer returned a value of type '
                f'{type(value).__name__}; use a different serializer'
            )
        metadata: Document = {}
        if isinstance(item, CachedResponse):
            # So that the server can find expired entries
            metadata = {'created_at': item.created_at, 'expires': item.expires}
        n_bytes = 0
        if self._upkeep is not None and self.bounds is not None:
            n_bytes = metadata['size'] = self._measure(key, item, len(value))
            metadata['used'] = self._upkeep.now_ns()

        def put(known: Document | None) -> Document | None:
            body_id = self._claim_body(key, item)
            owner = metadata if body_id is None else {**metadata, BODY_ID: body_id}
            expected = ANY if known is None and found is ANY else known
            replaced = self._files.write(to_id(key), value, encoding, owner, expected)
            self._discard_body(key, replaced, body_id)
            return replaced

        if self._upkeep is None:
            put(found)
        else:
            self._upkeep.write(key, n_bytes, found, put, is_any=found is ANY)

    def _measure(self, key: str, item: Any, length: int) -> int:
        """Size of an entry with a file of a given length"""
        from .mongodb.sizes import size_of_file, size_of_pieces

        body = item._body if isinstance(item, CachedResponse) and self._usable_pieces is not None else None
        return size_of_file(key, length) + (0 if body is None else size_of_pieces(key, body.size, body.piece_count))

    def __delitem__(self, key: str) -> None:
        if not self._delete(self._files.find([to_id(key)], self._columns)):
            raise KeyError(key)

    def __len__(self) -> int:
        with self._mongo.calling('read from it'):
            return self._index.count_documents({'_id': {'$not': {'$type': 'objectId'}}})

    def bulk_delete(self, keys: Iterable[str]) -> int:
        return sum(self._delete(self._files.find(ids, self._columns)) for ids in to_ids(keys, SMALL_BATCH_SIZE))

    def _delete_matching(self, conditions: list[Document]) -> int:
        found = self._documents(self._columns, {'$or': conditions})
        return sum(self._delete(batch) for batch in chunkify(found, SMALL_BATCH_SIZE))

    def _delete(self, files: list[Document]) -> int:
        removed = self._files.delete(files)
        self._deleted(files, removed)
        if self.pieces is not None:
            self.pieces.delete_orphans(files)
        return removed

    def _evict(self, documents: list[Document], used: int) -> int:
        # This also deletes entries that were used meanwhile, as chunks are deleted by the revision of their file
        removed = self._files.delete(documents)
        if self.pieces is not None:
            self.pieces.delete_orphans(documents)
        return removed

    def _version_and_size(self, document: Document) -> tuple[Document, int]:
        from .mongodb.sizes import size_of_file

        key, length = from_id(document['_id']), document.get('length')
        n_bytes = size_of_file(key, length if isinstance(length, int) else 0)
        body_id = value_at(document, f'metadata.{BODY_ID}')
        if self.pieces is not None and isinstance(body_id, str):
            n_bytes += self.pieces.size_of(key, body_id)
        return {'metadata.revision': value_at(document, 'metadata.revision')}, n_bytes

    def _prepare_to_expire(self, seconds: float) -> None:
        # Not a TTL index, as the server would not delete the chunks
        self._index.create_index('metadata.expires', name=EXPIRES_INDEX)

    def _delete_expired(self) -> None:
        """Delete some long-expired entries"""
        if self.delete_expired_after is not None:
            from .eviction import EXPIRED_PER_WRITE

            limit = utcnow() - timedelta(seconds=self.delete_expired_after)
            found = self._index.find({'metadata.expires': {'$lte': limit}}, self._columns)
            found = found.sort('metadata.expires', 1).limit(EXPIRED_PER_WRITE)
            self._delete(list(self._mongo.each(found, 'read from it')))

    def clear(self) -> None:
        """Delete all entries, but no other files"""
        super().clear()
        self._files.delete_abandoned()

    def _values_of(self, documents: Iterator[Document]) -> Iterator[tuple[str, Any]]:
        for files in _batches(documents):
            for file, content in self._files.read_all(files):
                key = from_id(file['_id'])
                yield key, None if content is None else self._value(key, file, content)

    def _value(self, key: str, file: Document, content: bytes) -> Any:
        encoding = file.get('encoding')
        try:
            value = content.decode(encoding, 'surrogatepass') if isinstance(encoding, str) else content
        except (LookupError, UnicodeError):
            return None
        return self.deserialize(key, value)


def _batches(files: Iterator[Document]) -> Iterator[list[Document]]:
    """Lists of files whose contents may be in memory at the same time"""
    batch: list[Document] = []
    used = 0
    for file in files:
        batch.append(file)
        length = file.get('length')
        used += length if isinstance(length, int) else 0
        if used >= READ_BYTES or len(batch) >= READ_FILES:
            yield batch
            batch, used = [], 0
    if batch:
        yield batch
