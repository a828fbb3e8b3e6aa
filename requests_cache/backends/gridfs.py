"""GridFS backend: a file for each response, for bodies of any size"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from logging import getLogger
from typing import TYPE_CHECKING, Any

from .._utils import chunkify
from ..exceptions import BackendError
from ..keys.shown import shown_key
from ..models.response import CachedResponse
from ..serializers.pipeline import SerializerType
from ..serializers.preconf import pickle_serializer
from .mongodb import MongoRedirects
from .mongodb.bodies import MongoPieces
from .mongodb.gridfs_files import BODY_ID, NEEDED_TO_DELETE, Files
from .mongodb.ids import from_id, to_id, to_ids
from .mongodb.leases import MongoLeases
from .mongodb.storage import ANY, SMALL_BATCH_SIZE, MongoBackend, MongoStorage

if TYPE_CHECKING:
    from gridfs import GridFS
    from pymongo.collection import Collection
    from pymongo.database import Database

    Document = dict[str, Any]

logger = getLogger(__name__)

# Files that are read together
READ_BYTES = 8 << 20
READ_FILES = 100


class GridFSCache(MongoBackend):
    """A cache in GridFS: responses are files in the bucket `fs`, and redirects documents in the collection `redirects`

    Args:
        db_name: Name of the database
        connection: A `pymongo.MongoClient`; it is not closed by the cache
        decode_content: Add a readable copy of JSON and text bodies to what is stored
        serializer: Name or object; pickle by default
        large_body_bytes: Length from which on bodies are kept in pieces, in a collection of their own; 1 MiB by default
        kwargs: Options of `MongoClient`, as for `MongoCache`

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

    A file of which some is missing is a KeyError when it is read, and None when it is scanned.

    Args:
        db_name: Name of the database
        collection_name: Ignored
        connection: A `pymongo.MongoClient`; it is not closed by the storage
        serializer: Name or object whose result is bytes or text, or None to keep bytes or text as they are
        kwargs: `decode_content`, `large_body_bytes`, and options of `MongoClient`
    """

    _dates_in = 'metadata.'

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

    @property
    def db(self) -> Database[Document]:
        """The database"""
        return self.connection[self._db_name]

    @property
    def fs(self) -> GridFS:
        """The bucket, as the driver has it"""
        from gridfs import GridFS

        return GridFS(self.db)

    @property
    def _index(self) -> Collection[Document]:
        return self._files.files

    @cached_property
    def leases(self) -> MongoLeases:
        """The leases, in a collection beside those of the bucket"""
        return MongoLeases(self._mongo, self._db_name, 'fs.leases')

    def __getitem__(self, key: str) -> Any:
        found = self._files.read(to_id(key))
        if found is None:
            raise KeyError(key)
        file, content = found
        if content is None:
            logger.error('The file of an entry is damaged')
            logger.debug('The file of the entry %s is damaged', shown_key(key))
            raise KeyError(key)
        return self._value(key, file, content)

    def _look(self, key: str) -> tuple[Document | None, Any]:
        file, content = self._files.read(to_id(key)) or (None, None)
        return file, None if file is None or content is None else self._value(key, file, content)

    def _write(self, key: str, item: Any, found: Document | None = ANY) -> None:
        value, encoding = self._serialize(key, item), None
        if isinstance(value, str):
            value, encoding = value.encode('utf-8', 'surrogatepass'), 'utf-8'
        elif not isinstance(value, bytes):
            raise BackendError(f'GridFS holds bytes and text; the serializer made a {type(value).__name__}')
        metadata: Document = {}
        if isinstance(item, CachedResponse):
            # For the server, which deletes by time
            metadata = {'created_at': item.created_at, 'expires': item.expires}
        body_id = self._claim_body(key, item)
        if body_id is not None:
            metadata[BODY_ID] = body_id
        self._discard_body(key, self._files.write(to_id(key), value, encoding, metadata, found), body_id)

    def __delitem__(self, key: str) -> None:
        if not self._delete(self._files.named([to_id(key)])):
            raise KeyError(key)

    def __len__(self) -> int:
        with self._mongo.calling('read from it'):
            return self._index.count_documents({'_id': {'$not': {'$type': 'objectId'}}})

    def bulk_delete(self, keys: Iterable[str]) -> int:
        return sum(self._delete(self._files.named(ids)) for ids in to_ids(keys, SMALL_BATCH_SIZE))

    def _delete_matching(self, conditions: list[Document]) -> int:
        found = self._documents(NEEDED_TO_DELETE, {'$or': conditions})
        return sum(self._delete(batch) for batch in chunkify(found, SMALL_BATCH_SIZE))

    def _delete(self, files: list[Document]) -> int:
        removed = self._files.delete(files)
        if self.pieces is not None:
            self.pieces.delete_orphans(files)
        return removed

    def clear(self) -> None:
        """Delete all entries; files that are not entries stay"""
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
    """Files whose contents may be in memory together"""
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
