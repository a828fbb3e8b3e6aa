"""The MongoDB client that the storages of a cache share, the keywords it is made with, and what its errors mean"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from datetime import timezone
from inspect import Parameter, signature
from time import monotonic
from typing import TYPE_CHECKING, Any

from ...exceptions import BackendUnavailableError, MissingDependencyError
from ..clients import Fault, ServerConnection

if TYPE_CHECKING:
    from bson.codec_options import CodecOptions
    from pymongo import MongoClient, WriteConcern
    from pymongo.collection import Collection

    Document = dict[str, Any]

# After a server was not reached in the client's own time, each call gets no more than `AWAY_LIMIT_SECONDS`, for
# `AWAY_SECONDS`. Each request makes two calls or more; they are not to wait in vain one after the other.
AWAY_SECONDS = 10.0
AWAY_LIMIT_SECONDS = 1.0

# Milliseconds. The driver itself waits half a minute for a server, and for an answer without limit.
DEFAULT_TIMEOUTS = {'serverSelectionTimeoutMS': 5000, 'connectTimeoutMS': 5000, 'socketTimeoutMS': 5000}

# The driver takes names of options in any case, and knows them in lower case; these are the usual spellings.
_SPELLINGS = (
    'appName', 'authMechanism', 'authMechanismProperties', 'authSource', 'connectTimeoutMS', 'directConnection',
    'heartbeatFrequencyMS', 'loadBalanced', 'localThresholdMS', 'maxConnecting', 'maxIdleTimeMS', 'maxPoolSize',
    'maxStalenessSeconds', 'minPoolSize', 'readConcernLevel', 'readPreference', 'readPreferenceTags', 'replicaSet',
    'retryReads', 'retryWrites', 'serverMonitoringMode', 'serverSelectionTimeoutMS', 'socketTimeoutMS', 'srvMaxHosts',
    'srvServiceName', 'timeoutMS', 'tlsAllowInvalidCertificates', 'tlsAllowInvalidHostnames', 'tlsCAFile',
    'tlsCRLFile', 'tlsCertificateKeyFile', 'tlsCertificateKeyFilePassword', 'tlsDisableOCSPEndpointCheck',
    'tlsInsecure', 'uuidRepresentation', 'waitQueueTimeoutMS', 'wTimeoutMS', 'zlibCompressionLevel',
)  # fmt: skip

# Codes of errors that have to do with users, and what helps
_ADVICE = {
    13: 'the user needs more permissions, or a username and a password have to be given',
    18: 'check the username, the password, and authSource=',
}


class MongoConnection(ServerConnection):
    """A client made from options, or one of the caller's

    Making it does not wait for a server.

    Args:
        connection: A `MongoClient`, which is never closed here
        options: Keywords, of which `MongoClient` gets those that it takes

    Raises:
        MissingDependencyError: pymongo is not installed
    """

    server = 'MongoDB'
    keywords = 'host= and port='

    _collections: tuple[Any, dict[tuple[str, str], Collection[Document]]]
    _away_until: float

    def __init__(self, connection: Any = None, options: Mapping[str, Any] | None = None):
        try:
            import pymongo  # noqa: F401
        except ImportError as e:
            raise MissingDependencyError('The MongoDB backend', 'pymongo', 'mongodb') from e
        super().__init__(connection)
        self._options = client_options(options or {}) if connection is None else {}

    def _local_state(self) -> dict[str, Any]:
        return {**super()._local_state(), '_collections': (None, {}), '_away_until': 0.0}

    @classmethod
    def of(cls, connection: Any, options: Mapping[str, Any]) -> MongoConnection:
        """The same connection if it is one already, so that storages can share it"""
        return connection if isinstance(connection, cls) else cls(connection, options)

    def check(self, database: str) -> None:
        """Make the client and look at the name of a database, if that can be done without waiting"""
        if not _looks_up_hosts(self._options.get('host')):
            _ = self.client[database]

    def _make_client(self) -> MongoClient[Document]:
        from pymongo import MongoClient

        return MongoClient(**self._options)

    def _close_client(self, client: Any) -> None:
        self._collections = (None, {})
        client.close()

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
        """Calls of the driver, as in the base class; they are to end soon if the server was away a moment ago"""
        limited = monotonic() < self._away_until
        try:
            with super().calling(purpose), patience(AWAY_LIMIT_SECONDS) if limited else nullcontext():
                yield
        except BackendUnavailableError:
            if not limited and self._is_patient():
                self._away_until = monotonic() + AWAY_SECONDS
            raise
        self._away_until = 0.0

    def _fault(self, error: Exception) -> Fault | None:
        from bson.errors import BSONError
        from pymongo.errors import ConnectionFailure, PyMongoError

        if not isinstance(error, (PyMongoError, BSONError, OverflowError, RecursionError, ValueError)):
            return None
        # What follows there is all that the driver knows of the servers
        reason = str(error).partition(', Topology Description:')[0]
        unavailable = isinstance(error, ConnectionFailure) or bool(getattr(error, 'timeout', False))
        return Fault(unavailable, None if unavailable else _ADVICE.get(getattr(error, 'code', None) or 0, ''), reason)

    def _where(self) -> str:
        client = self.known_client
        if client is None:
            return f'MongoDB at {", ".join(_hosts(self._options.get("host"))) or "localhost"}'
        servers = client.topology_description.server_descriptions()
        return f'MongoDB at {", ".join(sorted(f"{host}:{port}" if port else host for host, port in servers))}'

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


def driver_options() -> frozenset[str]:
    """Names of all keywords that `MongoClient` takes, in lower case"""
    from pymongo import MongoClient, common

    parameters = signature(MongoClient.__init__).parameters.values()
    named = {p.name for p in parameters if p.kind is Parameter.POSITIONAL_OR_KEYWORD and p.name != 'self'}
    return frozenset(named | {name.lower() for name in common.VALIDATORS})


class Keywords(frozenset[str]):
    """Keywords of ours, and those of `MongoClient`, of which it also contains other spellings

    To be gone through, there are those of the driver in lower case and in the usual spelling.
    """

    _of_driver: frozenset[str]

    def __new__(cls, own: Iterable[str]) -> Keywords:
        try:
            names = driver_options()
        except ImportError:
            names = frozenset(name.lower() for name in _SPELLINGS)
        self = super().__new__(cls, {*own, *names, *(name for name in _SPELLINGS if name.lower() in names)})
        self._of_driver = names
        return self

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and name.lower() in self._of_driver)


def client_options(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for a `MongoClient`: those of `keywords` that it takes, and finite timeouts

    None is passed on where the driver takes it, and otherwise stands for the default.
    """
    names, plain = driver_options(), ('host', 'port', 'document_class', 'tz_aware', 'connect', 'type_registry')
    options = {(k.lower() if k.lower() in plain else k): v for k, v in keywords.items() if k.lower() in names}
    options = {k: v for k, v in options.items() if v is not None or (k not in plain and _takes_none(k))}
    given = {name.lower() for name in options} | _uri_options(options.get('host'))
    for name, milliseconds in DEFAULT_TIMEOUTS.items():
        if name.lower() not in given and not (name == 'socketTimeoutMS' and 'timeoutms' in given):
            options[name] = milliseconds
    # Threads and sockets only once they are needed: a process may still fork
    options.setdefault('connect', False)
    return options


def _takes_none(name: str) -> bool:
    from pymongo import common
    from pymongo.errors import PyMongoError

    try:
        common.validate(name, None)
    except (PyMongoError, TypeError, ValueError):
        return False
    return True


def _hosts(host: Any) -> list[str]:
    return [host] if isinstance(host, str) else [h for h in host or () if isinstance(h, str)]


def _uri_options(host: Any) -> set[str]:
    """Names of the options in a connection string, in lower case; they are not to be overruled by defaults"""
    pairs = (pair for h in _hosts(host) for pair in h.partition('?')[2].replace(';', '&').split('&'))
    return {pair.partition('=')[0].lower() for pair in pairs if pair}


def _looks_up_hosts(host: Any) -> bool:
    """Whether making a client asks the DNS, and so may wait"""
    return any(h.startswith('mongodb+srv:') for h in _hosts(host))
