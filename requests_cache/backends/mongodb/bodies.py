"""Large bodies, in a separate collection

Each piece is a document with the key of its entry, the id of its body, its number and its data. The entry contains the
id of its body. Until the entry is written, the first piece has the time at which it was written in `pending`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING, Any

from ..._utils import chunkify
from ...exceptions import BackendError
from ...models.body import Body
from ...policy.expiration import utcnow
from ..bodies import LEFTOVERS_PER_STEP, Pieces, is_abandoned
from .connection import MongoConnection, patience
from .ids import from_id

if TYPE_CHECKING:
    from pymongo.collection import Collection

    Document = dict[str, Any]

TTL_INDEX, EXPIRES_INDEX = 'ttl_idx', 'expires_ttl_idx'
MAX_TTL_SECONDS = 2**31 - 1
INDEX_PATIENCE_SECONDS = 300
# The server deletes pieces this much later than their entry, so that a reader of the entry can still read its body
TTL_GRACE_SECONDS = 3600
# Number of bodies in one query
BATCH_SIZE = 100


class MongoPieces(Pieces):
    """The large bodies of the entries in one collection

    Args:
        mongo: Connection
        db_name: Name of the database
        name: Name of the collection for the pieces
        entries: Name of the collection with the entries
        field: Field of an entry with the id of its body
    """

    piece_bytes = 512 * 1024

    def __init__(self, mongo: MongoConnection, db_name: str, name: str, entries: str, field: str):
        self._mongo = mongo
        self._db_name = db_name
        self._names = name, entries
        self._field = field
        self._is_prepared = False

    @property
    def collection(self) -> Collection[Document]:
        return self._mongo.collection(self._db_name, self._names[0])

    @property
    def _entries(self) -> Collection[Document]:
        return self._mongo.collection(self._db_name, self._names[1])

    def write(self, key: str, body_id: str, index: int, piece: bytes) -> None:
        now = utcnow()
        document: Document = {**_of(key, body_id), 'n': index, 'data': piece, 'created_at': now}
        if not index:
            self._prepare()
            document['pending'] = now
        with self._mongo.calling('write to it'):
            self.collection.insert_one(document)

    def read(self, key: str, body_id: str, index: int) -> bytes | None:
        with self._mongo.calling('read from it'):
            found = self.collection.find_one({**_of(key, body_id), 'n': index}, {'_id': 0, 'data': 1})
        data = None if found is None else found.get('data')
        return data if isinstance(data, bytes) else None

    def delete(self, key: str, body_id: str) -> None:
        with self._mongo.calling('delete from it'):
            self.collection.delete_many(_of(key, body_id))

    def claim(self, key: str, body: Body, created_at: datetime, expires: datetime | None) -> None:
        """Mark a body as belonging to an entry that is about to be written

        Args:
            key: Key of the entry
            body: The body
            created_at, expires: Times of the entry, so that the server deletes the body at the same time

        Raises:
            BackendError: Some pieces no longer exist
        """
        times: Document = {'created_at': created_at} | ({} if expires is None else {'expires': expires})
        change = {'$set': times, '$unset': {'pending': ''} | ({'expires': ''} if expires is None else {})}
        with self._mongo.calling('write to it'):
            count = self.collection.update_many(_of(key, body.id), change).matched_count
        if count != body.piece_count:
            raise BackendError('The body of the entry was deleted before the entry was written')

    def size_of(self, key: str, body_id: str) -> int:
        """Size of a body; the last piece is counted with its full length"""
        from .sizes import size_of_pieces

        with self._mongo.calling('read from it'):
            count = self.collection.count_documents(_of(key, body_id))
        return size_of_pieces(key, count * self.piece_bytes, count)

    # Bodies without an entry

    def unused(self) -> Iterator[tuple[str, str]]:
        columns = {'_id': 0, 'key': 1, 'body': 1}
        cursor = self.collection.find({'key': {'$gte': ''}}, columns).sort([('key', 1), ('body', 1)])
        pieces = self._mongo.each(cursor, 'read from it')
        bodies = (pair for pair, _ in groupby((piece['key'], piece['body']) for piece in pieces))
        for batch in chunkify(bodies, BATCH_SIZE):
            used = self._used({'_id': {'$in': [key for key, _ in batch]}})
            left = [body_id for _, body_id in batch if body_id not in used]
            if left:  # the key of the entry may not be text
                used |= self._used({self._field: {'$in': left}})
            yield from (pair for pair in batch if pair[1] not in used)

    def _used(self, query: Document) -> set[Any]:
        """Ids of the bodies to which the matching entries refer"""
        entries = self._mongo.each(self._entries.find(query, {self._field: 1}), 'read from it')
        return {body_id for entry in entries if (body_id := self.body_of(entry)) is not None}

    def body_of(self, entry: Document) -> str | None:
        """The id of the body of an entry; None if it has no separate body"""
        found = value_at(entry, self._field)
        return found if isinstance(found, str) else None

    def delete_orphans(self, entries: Iterable[Document]) -> None:
        """Delete the bodies of deleted entries, except for entries that exist again, as they were renewed"""
        ids = {body_id: entry['_id'] for entry in entries if (body_id := self.body_of(entry)) is not None}
        for batch in chunkify(ids, BATCH_SIZE):
            used = self._used({'_id': {'$in': [ids[body_id] for body_id in batch]}})
            left = [body_id for body_id in batch if body_id not in used]
            if left:
                query = {'key': {'$in': [_text(ids[body_id]) for body_id in left]}, 'body': {'$in': left}}
                with self._mongo.calling('delete from it'):
                    self.collection.delete_many(query)

    # Indexes

    def _prepare(self) -> None:
        """Before the first body is written: create indexes, and remove what interrupted writers left behind"""
        if self._is_prepared:
            return
        with self._mongo.calling('change its indexes'), patience(INDEX_PATIENCE_SECONDS):
            self.collection.create_index([('key', 1), ('body', 1), ('n', 1)], unique=True)
            self.collection.create_index('pending', sparse=True)
            seconds = ttl_of(self._entries)
            if seconds and ttl_of(self.collection) is None:
                self.set_ttl(seconds)
        self._is_prepared = True
        oldest = self.collection.find({'pending': {'$exists': True}}, {'key': 1, 'body': 1}).sort('pending', 1)
        for piece in list(self._mongo.each(oldest.limit(LEFTOVERS_PER_STEP), 'read from it')):
            if is_abandoned(piece['body']):
                self.delete(piece['key'], piece['body'])

    def set_ttl(self, seconds: float) -> None:
        """Have the server delete bodies together with their entries; 0 for never"""
        if ttl_of(self.collection) is not None:
            self.collection.drop_index(TTL_INDEX)
        create_ttl_index(self.collection, seconds + TTL_GRACE_SECONDS if seconds else 0)


def ttl_of(collection: Collection[Document], name: str = TTL_INDEX) -> float | None:
    """After how many seconds the server deletes documents of a collection; None for never"""
    seconds: float | None = collection.index_information().get(name, {}).get('expireAfterSeconds')
    return seconds


def create_ttl_index(collection: Collection[Document], seconds: float) -> None:
    """Have the server delete documents some seconds after their `created_at`; 0 for never"""
    if seconds:
        collection.create_index('created_at', name=TTL_INDEX, expireAfterSeconds=min(seconds, MAX_TTL_SECONDS))


def delete_expired_after(collection: Collection[Document], seconds: float) -> None:
    """Have the server delete documents some seconds after their `expires`, if they have one"""
    from pymongo.errors import OperationFailure

    seconds = min(ceil(seconds), MAX_TTL_SECONDS)
    before = ttl_of(collection, EXPIRES_INDEX)
    if before is not None and before != seconds:
        index = {'name': EXPIRES_INDEX, 'expireAfterSeconds': seconds}
        with suppress(OperationFailure, NotImplementedError):  # the user may lack the permission; mongomock
            collection.database.command('collMod', collection.name, index=index)
            return
        collection.drop_index(EXPIRES_INDEX)
    if before != seconds:
        collection.create_index('expires', name=EXPIRES_INDEX, expireAfterSeconds=seconds)


def value_at(document: Document, path: str) -> Any:
    """The value of a field, or of a nested field such as 'metadata.expires'; None if it does not exist"""
    found: Any = document
    for name in path.split('.'):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _of(key: Any, body_id: str) -> Document:
    return {'key': _text(key), 'body': body_id}


def _text(key: Any) -> str:
    """A key as text that BSON can store; two keys may have the same text, but each body has a unique id"""
    return str(from_id(key)).encode('utf-8', 'backslashreplace').decode()
