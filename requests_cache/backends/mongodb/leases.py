"""Leases in MongoDB: a document for each, in a separate collection, for entries in documents as well as in GridFS

The server records by its own clock when a lease was written, and deletes leases that are no longer written.
"""

from __future__ import annotations

from logging import getLogger
from typing import TYPE_CHECKING, Any

from ...exceptions import BackendError, BackendUnavailableError
from ...keys.shown import shown_text
from ..leases import Leases
from .bodies import TTL_INDEX
from .connection import MongoConnection
from .ids import to_id

if TYPE_CHECKING:
    from pymongo.collection import Collection

    Document = dict[str, Any]

logger = getLogger(__name__)

# Much longer than the interval at which a holder rewrites its lease
LEASE_SECONDS = 60
_VALUE, _WRITTEN_AT = 'value', 'written_at'


class MongoLeases(Leases):
    """The leases for the entries of one storage

    Args:
        mongo: Connection
        db_name: Name of the database
        name: Name of the collection for the leases
    """

    def __init__(self, mongo: MongoConnection, db_name: str, name: str):
        self._mongo = mongo
        self._db_name = db_name
        self._name = name
        self._is_prepared = False

    @property
    def collection(self) -> Collection[Document]:
        from pymongo import ReadPreference

        # A secondary may not know the latest holder yet
        collection = self._mongo.collection(self._db_name, self._name)
        return collection.with_options(read_preference=ReadPreference.PRIMARY)

    def read(self, key: str) -> str | None:
        with self._mongo.calling('read from it'):
            found = self.collection.find_one({'_id': to_id(key)})
        return str(found[_VALUE]) if found and _VALUE in found else None

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        if old is None:
            return self.read(key) is None if new is None else self._take(key, new)
        if new is None and self._is_prepared and self._mongo.known_client is None:
            # The cache was closed; do not create a client again, as the server will delete the lease anyway
            return False
        lease = {'_id': to_id(key), _VALUE: old}
        with self._mongo.calling('write to it'):
            if new is None:
                return self.collection.delete_one(lease).deleted_count > 0
            return self.collection.update_one(lease, _to(new)).matched_count > 0

    def _take(self, key: str, new: str) -> bool:
        """Insert a lease by an upsert, as only an update makes the server record the time"""
        from pymongo.errors import DuplicateKeyError

        self._prepare()
        none = {'_id': to_id(key), _VALUE: {'$exists': False}}
        with self._mongo.calling('write to it'):
            try:
                self.collection.update_one(none, _to(new), upsert=True)
            except DuplicateKeyError:
                return False
        return True

    def _prepare(self) -> None:
        """Before the first lease is taken: have the server delete abandoned leases, if the user has the permission"""
        if self._is_prepared:
            return
        try:
            with self._mongo.calling('change its indexes'):
                self.collection.create_index(_WRITTEN_AT, name=TTL_INDEX, expireAfterSeconds=LEASE_SECONDS)
        except BackendUnavailableError:
            raise
        except BackendError as e:
            logger.debug('Abandoned leases will not be deleted: %s', shown_text(e))
        self._is_prepared = True

    def __reduce__(self) -> Any:
        return MongoLeases, (self._mongo, self._db_name, self._name)


def _to(value: str) -> Document:
    return {'$set': {_VALUE: value}, '$currentDate': {_WRITTEN_AT: True}}
