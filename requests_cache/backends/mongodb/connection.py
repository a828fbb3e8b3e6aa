"""The MongoDB client that the storages of a cache share"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from datetime import timezone
from os import getpid
from time import monotonic
from typing import TYPE_CHECKING, Any

from ...exceptions import BackendError, BackendUnavailableError, MissingDependencyError
from ...keys.shown import shown_text
from .options import client_options, looks_up_hosts

if TYPE_CHECKING:
    from bson.codec_options import CodecOptions
    from pymongo import MongoClient, WriteConcern
    from pymongo.collection import Collection

    Document = dict[str, Any]

# After a server was not reached in the client's own time, each call gets no more than `AWAY_LIMIT_SECONDS`, for
# `AWAY_SECONDS`. Each request makes two calls or more; they are not to wait in vain one after the other.
AWAY_SECONDS = 10.0
AWAY_LIMIT_SECONDS = 1.0

# Binary subtypes from 128 on are free for applications
_TEXT_SUBTYPE = 128


class MongoConnection:
    """A client made from options, when it is needed, and again after `close` or a fork; or a client of the caller's

    Making it does not wait for a server.

    Args:
        connection: A `MongoClient`, which is never closed here
        options: Keywords, of which `MongoClient` gets those that it takes

    Raises:
        MissingDependencyError: pymongo is not installed
    """

    def __init__(self, connection: Any = None, options: Mapping[str, Any] | None = None):
        try:
            import pymongo  # noqa: F401
        except ImportError as e:
            raise MissingDependencyError('The MongoDB backend', 'pymongo', 'mongodb') from e
        self._supplied = connection
        self._options = client_options(options or {}) if connection is None else {}
        self._reset()

    def _reset(self) -> None:
        # By process, as a child must not use its parent's sockets, nor close them
        self._clients: dict[int, MongoClient[Document]] = {}
        self._collections: tuple[Any, dict[tuple[str, str], Collection[Document]]] = (None, {})
        self._away_until = 0.0

    @classmethod
    def of(cls, connection: Any, options: Mapping[str, Any]) -> MongoConnection:
        """The same connection if it is one already, so that storages can share it"""
        return connection if isinstance(connection, cls) else cls(connection, options)

    def check(self, database: str) -> None:
        """Make the client and look at the name of a database, if that can be done without waiting"""
        if not looks_up_hosts(self._options.get('host')):
            _ = self.client[database]

    @property
    def client(self) -> MongoClient[Document]:
        if self._supplied is not None:
            return self._supplied  # type: ignore[no-any-return]
        pid = getpid()
        client = self._clients.get(pid)
        if client is None:
            made = self._make_client()
            client = self._clients.setdefault(pid, made)
            if client is not made:  # another thread was first
                made.close()
        return client

    def _make_client(self) -> MongoClient[Document]:
        from pymongo import MongoClient

        return MongoClient(**self._options)

    def collection(self, database: str, name: str) -> Collection[Document]:
        """A collection that reads times as aware ones, in UTC, whatever the client does"""
        client = self.client
        owner, collections = self._collections
        if owner is not client:
            collections = {}
            self._collections = (client, collections)
        collection = collections.get((database, name))
        if collection is None:
            collection = client[database].get_collection(name, codec_options=_codec_options(client))
            if not collection.write_concern.acknowledged:
                # No write may fail unnoticed, and deletions are counted
                collection = collection.with_options(write_concern=_acknowledged())
            collections[database, name] = collection
        return collection

    @contextmanager
    def calling(self, purpose: str) -> Iterator[None]:
        """Calls of the driver, whose exceptions are raised as ours

        Args:
            purpose: What is being done, for the message

        Raises:
            BackendUnavailableError: No server could be reached, or none answered in time
            BackendError: Anything else that the driver says
        """
        from bson.errors import BSONError
        from pymongo.errors import ConnectionFailure, PyMongoError

        limited = monotonic() < self._away_until
        try:
            with patience(AWAY_LIMIT_SECONDS) if limited else nullcontext():
                yield
        except (PyMongoError, BSONError, OverflowError, RecursionError, ValueError) as e:
            if isinstance(e, ConnectionFailure) or getattr(e, 'timeout', False):
                if not limited and self._is_patient():
                    self._away_until = monotonic() + AWAY_SECONDS
                raise BackendUnavailableError(f'MongoDB cannot be reached to {purpose}: {shown_text(e)}') from e
            raise BackendError(f'MongoDB failed to {purpose}: {shown_text(e)}') from e
        self._away_until = 0.0

    def _is_patient(self) -> bool:
        options = getattr(self.client, 'options', None)
        return bool(getattr(options, 'server_selection_timeout', 0) > AWAY_LIMIT_SECONDS)

    def each(self, cursor: Any, purpose: str) -> Iterator[Document]:
        """All that a cursor has; it is closed at the end, also if the caller stops before"""
        with closing(cursor):
            while True:
                with self.calling(purpose):
                    document = next(cursor, None)
                if document is None:
                    return
                yield document

    def close(self) -> None:
        """Close the client of this process; the next use makes another"""
        client = self._clients.pop(getpid(), None)
        if client is not None:
            self._collections = (None, {})
            client.close()

    def __getstate__(self) -> dict[str, Any]:
        if self._supplied is not None:
            raise TypeError(
                'A cache that was given a live client as `connection` cannot be copied, pickled or sent to another '
                'process; give it the options of the client (host, port, …) instead'
            )
        return {'_supplied': None, '_options': self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()


def patience(seconds: float) -> AbstractContextManager[Any]:
    """A time for each call in this block, instead of the client's own timeouts; older drivers do not have it"""
    import pymongo

    return pymongo.timeout(seconds) if hasattr(pymongo, 'timeout') else nullcontext()


def _acknowledged() -> WriteConcern:
    from pymongo import WriteConcern

    return WriteConcern(w=1)


def _codec_options(client: Any) -> CodecOptions[Any]:
    options: dict[str, Any] = {'document_class': dict, 'tz_aware': True, 'tzinfo': timezone.utc}
    try:
        from bson.codec_options import DatetimeConversion

        # A time beyond those of Python is a fault of its own document, not of the whole batch that it comes in
        options['datetime_conversion'] = DatetimeConversion.DATETIME_AUTO
    except ImportError:
        pass
    try:
        return client.codec_options.with_options(**options)  # type: ignore[no-any-return]
    except NotImplementedError:  # mongomock
        return client.codec_options.with_options(tz_aware=True)  # type: ignore[no-any-return]


def to_id(key: Any) -> Any:
    """A key as `_id`: as it is, but for text that is not valid Unicode, which BSON cannot hold as text

    Raises:
        TypeError: It is a list or dict, which would be taken for a query
    """
    if not isinstance(key, str) or key.isascii():
        hash(key)
        return key
    try:
        key.encode()
    except UnicodeEncodeError:
        from bson.binary import Binary

        return Binary(key.encode('utf-8', 'surrogatepass'), _TEXT_SUBTYPE)
    return key


def from_id(value: Any) -> Any:
    """Undo `to_id`"""
    if getattr(value, 'subtype', None) == _TEXT_SUBTYPE:
        return bytes(value).decode('utf-8', 'surrogatepass')
    return value


def to_ids(keys: Iterable[Any], size: int, max_bytes: int = 4 << 20) -> Iterator[list[Any]]:
    """The ids of keys, in lists that fit into one command"""
    batch: list[Any] = []
    used = 0
    for key in keys:
        batch.append(to_id(key))
        used += 4 * len(key) if isinstance(key, str) else 0
        if len(batch) >= size or used >= max_bytes:
            yield batch
            batch, used = [], 0
    if batch:
        yield batch
