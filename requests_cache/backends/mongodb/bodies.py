"""Large bodies in a collection beside the one with the entries

Each piece is a document with the key of its entry, the id of its body, its number and its data; the entry has the id of
its body in a field of its own. A piece without an entry has the time at which its body was begun in `pending`.
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
# The server deletes pieces so much later than their entry, so that those who have just found it can read them
TTL_GRACE_SECONDS = 3600
# Bodies in one query
BATCH_SIZE = 100


class MongoPieces(Pieces):
    """The large bodies of the entries in one collection

    Args:
        mongo: Connection
        db_name: Name of the database
        name: Name of the collection for the pieces
        entries: Name of the collection with the entries
        field: Where an entry has the id of its body
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
        """Give a body to an entry that is to be written

        Args:
            key, body: Whose body it is
            created_at, expires: Times of the entry, by which the server may delete it

        Raises:
            BackendError: Some of it is not there any more
        """
        times: Document = {'created_at': created_at} | ({} if expires is None else {'expires': expires})
        change = {'$set': times, '$unset': {'pending': ''} | ({'expires': ''} if expires is None else {})}
        with self._mongo.calling('write to it'):
            count = self.collection.update_many(_of(key, body.id), change).matched_count
        if count != body.piece_count:
            raise BackendError('the body of the entry was deleted before the entry was written')

    def size_of(self, key: str, body_id: str) -> int:
        """Size of a body, as it is counted; the last piece is taken for one of full length"""
        from .sizes import size_of_pieces

        with self._mongo.calling('read from it'):
            count = self.collection.count_documents(_of(key, body_id))
        return size_of_pieces(key, count * self.piece_bytes, count)

    # What no entry refers to

    def unused(self) -> Iterator[tuple[str, str]]:
        columns = {'_id': 0, 'key': 1, 'body': 1}
        cursor = self.collection.find({'key': {'$gte': ''}}, columns).sort([('key', 1), ('body', 1)])
        pieces = self._mongo.each(cursor, 'read from it')
        bodies = (place for place, _ in groupby((piece['key'], piece['body']) for piece in pieces))
        for batch in chunkify(bodies, BATCH_SIZE):
            used = self._used({'_id': {'$in': [key for key, _ in batch]}})
            left = [body_id for _, body_id in batch if body_id not in used]
            if left:  # perhaps the key is no text
                used |= self._used({self._field: {'$in': left}})
            yield from (place for place in batch if place[1] not in used)

    def _used(self, query: Document) -> set[Any]:
        """Ids of the bodies that those entries refer to which meet a condition"""
        entries = self._mongo.each(self._entries.find(query, {self._field: 1}), 'read from it')
        return {body_id for entry in entries if (body_id := self.body_of(entry)) is not None}

    def body_of(self, entry: Document) -> str | None:
        """The id of the body of an entry; None if it has none here"""
        found = value_at(entry, self._field)
        return found if isinstance(found, str) else None

    def delete_orphans(self, entries: Iterable[Document]) -> None:
        """Delete the bodies of entries that were deleted; not those of entries that are there, as they were renewed"""
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
        """Before the first body is written: make indexes, and remove what others have left behind"""
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
    """Seconds after which the server deletes documents of a collection; None if it does not"""
    seconds: float | None = collection.index_information().get(name, {}).get('expireAfterSeconds')
    return seconds


def create_ttl_index(collection: Collection[Document], seconds: float) -> None:
    """Have the server delete documents so long after their `created_at`; 0 for never"""
    if seconds:
        collection.create_index('created_at', name=TTL_INDEX, expireAfterSeconds=min(seconds, MAX_TTL_SECONDS))


def delete_expired_after(collection: Collection[Document], seconds: float) -> None:
    """Have the server delete documents so long after their `expires`; those without one stay"""
    from pymongo.errors import OperationFailure

    seconds = min(ceil(seconds), MAX_TTL_SECONDS)
    before = ttl_of(collection, EXPIRES_INDEX)
    if before is not None and before != seconds:
        index = {'name': EXPIRES_INDEX, 'expireAfterSeconds': seconds}
        with suppress(OperationFailure, NotImplementedError):  # a user may not be allowed to do that; mongomock
            collection.database.command('collMod', collection.name, index=index)
            return
        collection.drop_index(EXPIRES_INDEX)
    if before != seconds:
        collection.create_index('expires', name=EXPIRES_INDEX, expireAfterSeconds=seconds)


def value_at(document: Document, path: str) -> Any:
    """What a document has in a field, or in one of a field, as in 'metadata.expires'; None if there is none"""
    found: Any = document
    for name in path.split('.'):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _of(key: Any, body_id: str) -> Document:
    return {'key': _text(key), 'body': body_id}


def _text(key: Any) -> str:
    """A key as text that BSON can hold; bodies are told apart by their ids"""
    return str(from_id(key)).encode('utf-8', 'backslashreplace').decode()
