"""Creating the MongoDB client that the storages of a cache share, and translating the driver's errors"""

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

# After a call has timed out, the timeout of each call is `AWAY_LIMIT_SECONDS` for the next `AWAY_SECONDS`. Each request
# makes at least two calls, which should not all wait in vain.
AWAY_SECONDS = 10.0
AWAY_LIMIT_SECONDS = 1.0

# Milliseconds. By default, the driver waits half a minute for a server, and forever for a response.
DEFAULT_TIMEOUTS = {'serverSelectionTimeoutMS': 5000, 'connectTimeoutMS': 5000, 'socketTimeoutMS': 5000}

# The driver accepts names of options in any case, and lists them in lower case; these are the usual spellings.
_SPELLINGS = (
    'appName', 'authMechanism', 'authMechanismProperties', 'authSource', 'connectTimeoutMS', 'directConnection',
    'heartbeatFrequencyMS', 'loadBalanced', 'localThresholdMS', 'maxConnecting', 'maxIdleTimeMS', 'maxPoolSize',
    'maxStalenessSeconds', 'minPoolSize', 'readConcernLevel', 'readPreference', 'readPreferenceTags', 'replicaSet',
    'retryReads', 'retryWrites', 'serverMonitoringMode', 'serverSelectionTimeoutMS', 'socketTimeoutMS', 'srvMaxHosts',
    'srvServiceName', 'timeoutMS', 'tlsAllowInvalidCertificates', 'tlsAllowInvalidHostnames', 'tlsCAFile',
    'tlsCRLFile', 'tlsCertificateKeyFile', 'tlsCertificateKeyFilePassword', 'tlsDisableOCSPEndpointCheck',
    'tlsInsecure', 'uuidRepresentation', 'waitQueueTimeoutMS', 'wTimeoutMS', 'zlibCompressionLevel',
)  # fmt: skip

# Advice by error code
_ADVICE = {
    13: 'grant the user more permissions, or pass username= and password=',
    18: 'check the username, the password, and authSource=',
}


class MongoConnection(ServerConnection):
    """A client created from options, or the caller's client

    The constructor does not wait for a server.

    Args:
        connection: A `MongoClient`, which is never closed here
        options: Keywords; those that `MongoClient` accepts are passed to it

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
        """Create a connection; a `MongoConnection` is returned unchanged, so that storages can share it"""
        return connection if isinstance(connection, cls) else cls(connection, options)

    def check(self, database: str) -> None:
        """Create the client and check the name of a database, unless that would have to wait for DNS"""
        if not _looks_up_hosts(self._options.get('host')):
            _ = self.client[database]

    def _make_client(self) -> MongoClient[Document]:
        from pymongo import MongoClient

        return MongoClient(**self._options)

    def _close_client(self, client: Any) -> None:
        self._collections = (None, {})
        client.close()

    def collection(self, database: str, name: str) -> Collection[Document]:
        """A collection that returns times in UTC with a time zone, regardless of the client's settings"""
        client = self.client
        owner, collections = self._collections
        if owner is not client:
            collections = {}
            self._collections = (client, collections)
        collection = collections.get((database, name))
        if collection is None:
            collection = client[database].get_collection(name, codec_options=_codec_options(client))
            if not collection.write_concern.acknowledged:
                # Writes must not fail unnoticed, and deletions must be counted
                collection = collection.with_options(write_concern=_acknowledged())
            collections[database, name] = collection
        return collection

    @contextmanager
    def calling(self, purpose: str) -> Iterator[None]:
        """As in the base class, but with a short timeout if the server was unreachable a moment ago"""
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
        # The rest of the message is a long description of the servers
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
        """All documents of a cursor, which is closed afterwards, even if the caller stops early"""
        with closing(cursor):
            while True:
                with self.calling(purpose):
                    document = next(cursor, None)
                if document is None:
                    return
                yield document


def patience(seconds: float) -> AbstractContextManager[Any]:
    """A block with a timeout for each call, instead of the client's timeouts; no effect with older drivers"""
    import pymongo

    return pymongo.timeout(seconds) if hasattr(pymongo, 'timeout') else nullcontext()


def _acknowledged() -> WriteConcern:
    from pymongo import WriteConcern

    return WriteConcern(w=1)


def _codec_options(client: Any) -> CodecOptions[Any]:
    options: dict[str, Any] = {'document_class': dict, 'tz_aware': True, 'tzinfo': timezone.utc}
    try:
        from bson.codec_options import DatetimeConversion

        # So that a time outside the range of datetime makes only its own document unreadable, not the whole batch
        options['datetime_conversion'] = DatetimeConversion.DATETIME_AUTO
    except ImportError:
        pass
    try:
        return client.codec_options.with_options(**options)  # type: ignore[no-any-return]
    except NotImplementedError:  # mongomock
        return client.codec_options.with_options(tz_aware=True)  # type: ignore[no-any-return]


def driver_options() -> frozenset[str]:
    """Names of all keywords that `MongoClient` accepts, in lower case"""
    from pymongo import MongoClient, common

    parameters = signature(MongoClient.__init__).parameters.values()
    named = {p.name for p in parameters if p.kind is Parameter.POSITIONAL_OR_KEYWORD and p.name != 'self'}
    return frozenset(named | {name.lower() for name in common.VALIDATORS})


class Keywords(frozenset[str]):
    """Our own keywords and those of `MongoClient`, which are contained in upper and lower case

    Iteration yields those of the driver in lower case and in their usual spelling.
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
    """The arguments for a `MongoClient`: the keywords that it accepts, and finite timeouts

    None is passed on if the driver accepts it, and otherwise means the default.
    """
    names, plain = driver_options(), ('host', 'port', 'document_class', 'tz_aware', 'connect', 'type_registry')
    options = {(k.lower() if k.lower() in plain else k): v for k, v in keywords.items() if k.lower() in names}
    options = {k: v for k, v in options.items() if v is not None or (k not in plain and _takes_none(k))}
    given = {name.lower() for name in options} | _uri_options(options.get('host'))
    for name, milliseconds in DEFAULT_TIMEOUTS.items():
        if name.lower() not in given and not (name == 'socketTimeoutMS' and 'timeoutms' in given):
            options[name] = milliseconds
    # Create threads and sockets only when they are needed, as the process may still fork
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
    """Names of the options in a connection string, in lower case; defaults must not override them"""
    pairs = (pair for h in _hosts(host) for pair in h.partition('?')[2].replace(';', '&').split('&'))
    return {pair.partition('=')[0].lower() for pair in pairs if pair}


def _looks_up_hosts(host: Any) -> bool:
    """Whether creating a client requires DNS queries, which may take a while"""
    return any(h.startswith('mongodb+srv:') for h in _hosts(host))
