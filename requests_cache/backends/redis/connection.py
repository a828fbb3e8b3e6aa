"""Clients for Redis, made here or passed in"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from inspect import Parameter, signature
from os import getpid
from threading import Lock
from typing import Any

from .commands import driver_errors, with_replies_in_bytes

# For drivers that would wait without end
TIMEOUT_SECONDS = 5.0
TIMEOUT_NAMES = ('socket_timeout', 'socket_connect_timeout')


class RedisConnection:
    """A client, and whether it is ours to close

    Making one contacts no server: a client that would, when it is made, is made on its first use. In a forked child, a
    client of ours is made anew.

    Args:
        client: A client that belongs to the caller, or None to make one
        keywords: Any keywords; `url`, `cluster` and those of the driver's client are picked out
        client_class: Called for the class of a client for one server

    Raises:
        MissingDependencyError: A client has to be made, and redis-py is not installed
        TypeError, ValueError: The keywords do not fit, or the client is one for asyncio
    """

    _client: Any

    def __init__(self, client: Any, keywords: Mapping[str, Any], client_class: Callable[[], Any]):
        self._is_own = client is None
        self._client_class = client_class
        self._forget()
        if client is not None:
            _refuse_asynchronous(client)
            self._client = client
            return
        names = keyword_names(client_class())
        self._keywords = {k: v for k, v in keywords.items() if k in names}
        if keywords.get('cluster'):
            self._make, self._options = _make_for_cluster, _cluster_options(self._keywords)
        else:
            self._make, self._options = _make_for_server, _server_options(self._keywords, client_class())
            if not self._options.get('single_connection_client'):
                self._client = self._make(client_class(), self._options)

    def _forget(self) -> None:
        self._client = None
        self._bytes_client: tuple[Any, Any] = (None, None)
        self._pid = getpid()
        self._lock = Lock()

    @property
    def client(self) -> Any:
        """The client as it was passed in or made"""
        if self._is_own and self._pid != getpid():
            self._forget()
        client = self._client
        return client if client is not None else self._make_late()

    def _make_late(self) -> Any:
        # Without holding the lock: threads that find no server should not wait for each other's failures
        client = self._make(self._client_class(), self._options)
        with self._lock:
            kept = self._client = self._client if self._client is not None else client
        if kept is not client:
            client.close()
        return kept

    @property
    def bytes_client(self) -> Any:
        """The client, or something like it over the same connections whose replies are bytes"""
        client, known = self.client, self._bytes_client
        if known[0] is not client:
            known = self._bytes_client = client, with_replies_in_bytes(client)
        return known[1]

    def close(self) -> None:
        """Close the connections of a client of ours; they are opened again on its next use"""
        if not self._is_own or self._pid != getpid() or self._client is None:
            return
        client = self._client
        if self._make is _make_for_cluster:  # which cannot be used again
            self._forget()
        with driver_errors:
            client.close()
            if self._make is _make_for_server and 'connection_pool' not in self._options:
                client.connection_pool.disconnect()  # which redis-py 4 leaves to the garbage collector

    def __getstate__(self) -> dict[str, Any]:
        if not self._is_own:
            raise TypeError(
                'A cache with a Redis client that was passed to it cannot be copied or sent to another process, as the '
                'client cannot; have the cache make one, by url=, or host= and the like'
            )
        return {'keywords': self._keywords, 'client_class': self._client_class}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(None, **state)  # type: ignore[misc]


def _refuse_asynchronous(client: Any) -> None:
    if any(cls.__module__.startswith('redis.asyncio') for cls in type(client).__mro__):
        raise TypeError('The client is one for asyncio; pass redis.Redis, redis.RedisCluster, or the like')


def keyword_names(client_class: Any) -> frozenset[str]:
    """Keywords that clients take, for one server or a cluster, and those that say which of these to make"""
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
    """A class of the driver; None if it has no such class, or if the driver is not installed and something stands in"""
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
        # The driver's own text may quote a part of the password, so that it is not kept as the cause either
        known = str(e) if str(e).startswith(('Redis URL must', 'Invalid value for')) else 'it cannot be taken apart'
        hint = 'special characters of a password have to be percent-encoded'
        raise ValueError(f'The URL of the Redis server is not valid ({known}); {hint}') from None
    if options.pop('connection_class', None) is SSLConnection:
        options['ssl'] = True
    if 'path' in options:
        options['unix_socket_path'] = options.pop('path')
    return options


def _cluster_options(keywords: Mapping[str, Any]) -> dict[str, Any]:
    options = {k: v for k, v in keywords.items() if k != 'cluster'}
    if options.get('url'):
        _parse(str(options['url']))  # which the driver does only when the client is made
    if options.pop('db', None):
        raise ValueError('A Redis Cluster has no databases to choose from by `db`')
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


def _make_for_cluster(client_class: Any, options: dict[str, Any]) -> Any:
    from redis.cluster import RedisCluster

    given = options.keys() & {'retry', 'cluster_error_retry_attempts'}
    return RedisCluster(**options if given else {**options, 'retry': _retry_once()})


def _retry_once() -> Any:
    """For connections that broke since their last use; the driver's own patience, of a minute, is worse than a miss"""
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as Disconnected
    from redis.retry import Retry

    return Retry(NoBackoff(), 1, supported_errors=(Disconnected,))
