"""Keywords of `MongoClient`, by the driver's own account"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import Parameter, signature
from typing import Any

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


def looks_up_hosts(host: Any) -> bool:
    """Whether making a client asks the DNS, and so may wait"""
    return any(h.startswith('mongodb+srv:') for h in _hosts(host))
