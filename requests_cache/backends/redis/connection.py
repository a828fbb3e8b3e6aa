"""Creating clients for Redis, and translating the driver's errors"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from inspect import Parameter, signature
from typing import Any, TypeVar

from ..clients import Fault, ServerConnection
from .commands import check_transactions, in_transaction, with_replies_in_bytes

T = TypeVar('T')

# For drivers that would otherwise wait forever
TIMEOUT_SECONDS = 5.0
TIMEOUT_NAMES = ('socket_timeout', 'socket_connect_timeout')

# Exceptions for an unreachable server (not every version of the driver has all of them), and advice about others
AWAY = ('ConnectionError', 'TimeoutError', 'ClusterDownError', 'RedisClusterException')
ADVICE = {
    'AuthenticationError': 'check the username and the password',
    'NoPermissionError': 'grant the user more permissions with ACL SETUSER',
    'OutOfMemoryError': 'raise maxmemory, or choose a maxmemory-policy that evicts entries',
}


class RedisConnection(ServerConnection):
    """A client for Redis

    The constructor contacts no server: a client that connects when it is created is created on first use.

    Args:
        client: The caller's client, or None to create one
        keywords: Any keywords; only `url`, `cluster` and those of the driver's client are used
        client_class: Returns the class of a client for one server

    Raises:
        MissingDependencyError: A client must be created, and redis-py is not installed
        TypeError, ValueError: The keywords are invalid, or the client is for asyncio
    """

    server = 'Redis'
    keywords = 'url=, or host= and port='

    _bytes_client: tuple[Any, Any]
    _has_transactions = False

    def __init__(self, client: Any, keywords: Mapping[str, Any], client_class: Callable[[], Any]):
        super().__init__(client)
        self._client_class = client_class
        self._is_cluster = bool(keywords.get('cluster'))
        self._options: dict[str, Any] = {}
        if client is not None:
            _refuse_asynchronous(client)
            return
        names = keyword_names(client_class())
        known = {k: v for k, v in keywords.items() if k in names}
        self._options = _cluster_options(known) if self._is_cluster else _server_options(known, client_class())
        if not (self._is_cluster or self._options.get('single_connection_client')):
            _ = self.client

    def _local_state(self) -> dict[str, Any]:
        return {**super()._local_state(), '_bytes_client': (None, None)}

    def _make_client(self) -> Any:
        if self._is_cluster:
            return _make_for_cluster(self._options)
        return _make_for_server(self._client_class(), self._options)

    @property
    def bytes_client(self) -> Any:
        """The client, or a wrapper for it whose replies are bytes"""
        client, known = self.client, self._bytes_client
        if known[0] is not client:
            known = self._bytes_client = client, with_replies_in_bytes(client)
        return known[1]

    def in_transaction(self, name: bytes, function: Callable[[Any], T]) -> T:
        """As `commands.in_transaction`, but check first that the server permits transactions"""
        client = self.client
        if not self._has_transactions:
            check_transactions(client, name)
            self._has_transactions = True
        return in_transaction(client, name, function)

    def _close_client(self, client: Any) -> None:
        with self.calling('close its connections'):
            client.close()
            if not self._is_cluster and 'connection_pool' not in self._options:
                client.connection_pool.disconnect()  # redis-py 4 leaves this to the garbage collector

    def _where(self) -> str:
        pool = self._options.get('connection_pool') or getattr(self._callers_client, 'connection_pool', None)
        service = getattr(pool, 'service_name', None)
        if service is not None:
            return f'Redis as the service {service} of a Sentinel'
        if self._is_cluster or hasattr(self._callers_client, 'nodes_manager'):
            return f'Redis Cluster at {", ".join(sorted(self._nodes()))}'
        known = self._options if pool is None else pool.connection_kwargs
        path = known.get('unix_socket_path') or known.get('path')
        return f'Redis at {path or _address(known)}'

    def _nodes(self) -> list[str]:
        if self._callers_client is not None:
            return list(self._callers_client.nodes_manager.startup_nodes)
        nodes = [node.name for node in self._options.get('startup_nodes') or ()]
        by_url = _parse(str(self._options['url'])) if self._options.get('url') else {}
        return nodes or [_address({**self._options, **by_url})]

    def _fault(self, error: Exception) -> Fault | None:
        redis = sys.modules.get('redis')
        if redis is None:
            return None
        away = tuple(getattr(redis.exceptions, name) for name in AWAY if hasattr(redis.exceptions, name))
        advice = next((ADVICE[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in ADVICE), None)
        if isinstance(error, (OSError, *away)):
            return Fault(unavailable=True, advice=advice)
        return Fault(unavailable=False, advice=advice or '') if isinstance(error, redis.exceptions.RedisError) else None


def _address(options: Mapping[str, Any]) -> str:
    return f'{options.get("host") or "localhost"}:{options.get("port") or 6379}'


def _refuse_asynchronous(client: Any) -> None:
    if any(cls.__module__.startswith('redis.asyncio') for cls in type(client).__mro__):
        raise TypeError('The client is for asyncio; pass redis.Redis or redis.RedisCluster instead')


def keyword_names(client_class: Any) -> frozenset[str]:
    """Keywords of clients for one server or a cluster, and our own keywords `cluster` and `url`"""
    classes = client_class, _driver_class('Redis'), _driver_class('RedisCluster')
    return frozenset({'cluster', 'url'}).union(*map(_names, classes))


def _names(cls: Any) -> frozenset[str]:
    by_name = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return frozenset(n for n, p in _parameters(cls).items() if p.kind in by_name)


@lru_cache(maxsize=8)
def _parameters(cls: Any) -> Mapping[str, Parameter]:
    try:
        return signature(cls).parameters
    except (TypeError, ValueError):
        return {}


def _driver_class(name: str) -> Any:
    """A class of the driver; None if it does not exist, or if a mock is used without the driver"""
    try:
        import redis
    except ImportError:
        return None
    return getattr(redis, name, None)


def _server_options(keywords: Mapping[str, Any], client_class: Any) -> dict[str, Any]:
    names = _names(client_class) | _names(_driver_class('Redis'))
    options = {k: v for k, v in keywords.items() if k in names}
    if keywords.get('url'):
        options.update(_parse(str(keywords['url'])))
    return _with_timeouts(options)


def _parse(url: str) -> dict[str, Any]:
    from redis.connection import SSLConnection, parse_url

    try:
        options: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call, unused-ignore]
    except ValueError as e:
        # The driver's message may quote a part of the password, so it is not chained as the cause
        reason = str(e) if str(e).startswith(('Redis URL must', 'Invalid value for')) else 'it cannot be parsed'
        hint = 'percent-encode special characters in the password'
        raise ValueError(f'The URL of the Redis server is not valid ({reason}); {hint}') from None
    if options.pop('connection_class', None) is SSLConnection:
        options['ssl'] = True
    if 'path' in options:
        options['unix_socket_path'] = options.pop('path')
    return options


def _cluster_options(keywords: Mapping[str, Any]) -> dict[str, Any]:
    options = {k: v for k, v in keywords.items() if k != 'cluster'}
    if options.get('url'):
        _parse(str(options['url']))  # to raise an error now, not when the client is created
    if options.pop('db', None):
        raise ValueError(f'A Redis Cluster has only one database; omit db={keywords["db"]!r}')
    if not any(options.get(name) for name in ('url', 'host', 'startup_nodes')):
        options['host'] = 'localhost'
    return _with_timeouts(options)


def _with_timeouts(options: dict[str, Any]) -> dict[str, Any]:
    parameters = _parameters(_driver_class('Redis'))
    unlimited = [name for name in TIMEOUT_NAMES if name in parameters and parameters[name].default is None]
    return {**dict.fromkeys(unlimited, TIMEOUT_SECONDS), **options}


def _make_for_server(client_class: Any, options: dict[str, Any]) -> Any:
    client = client_class(**options)
    if not options.keys() & {'retry', 'connection_pool'} and hasattr(client, 'set_retry'):
        client.set_retry(_retry_once())
    return client


def _make_for_cluster(options: dict[str, Any]) -> Any:
    from redis.cluster import RedisCluster

    given = options.keys() & {'retry', 'cluster_error_retry_attempts'}
    return RedisCluster(**options if given else {**options, 'retry': _retry_once()})


def _retry_once() -> Any:
    """Retry once, as idle connections may be broken; the driver's default of a minute is worse than a cache miss"""
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as Disconnected
    from redis.retry import Retry

    return Retry(NoBackoff(), 1, supported_errors=(Disconnected,))
