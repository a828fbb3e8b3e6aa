"""Helpers for Redis clients: replies in bytes, pipelines and transactions, also in a cluster"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from inspect import isfunction
from typing import Any, TypeVar

from ..._utils import lazy_pattern

T = TypeVar('T')

# How many names are remembered while scanning. A server repeats a name only if its table shrinks in the meantime.
REMEMBERED_NAMES = 50_000
UNDECODED: dict[str, Any] = {'NEVER_DECODE': []}
# How often a transaction is attempted while others change the watched names
MAX_ATTEMPTS = 100
# Servers, and proxies in front of them, word it differently. "Not allowed when" memory is short is not a refusal.
REFUSAL = lazy_pattern(
    '(Transaction discarded because of: )?'
    "(NOPERM|EXEC without MULTI|.*The user executing the script can't|"
    '(unknown|unsupported|disabled) command|command (is )?not (allowed|permitted|supported)(?! when))',
    re.IGNORECASE,
)

# The name of a method, or a function that takes a client; then the arguments, the first of which is a name in Redis
Command = tuple[Any, ...]


def is_wrong_type(error: object) -> bool:
    """Whether an error means that a value has the wrong type for the command"""
    return isinstance(error, Exception) and str(error).startswith('WRONGTYPE')


def is_refusal(error: object) -> bool:
    """Whether an error means that the server does not permit a command, or does not know it"""
    kinds = {cls.__name__ for cls in type(error).__mro__}
    # For pipelines, the driver puts the command before the server's message
    text = str(error).rpartition('of pipeline caused error: ')[2]
    return 'NoPermissionError' in kinds or ('ResponseError' in kinds and REFUSAL.match(text) is not None)


def unless_wrong_type(command: Callable[..., Any], *args: Any) -> Any:
    """The reply to a command; None if the value has the wrong type for it"""
    try:
        return command(*args)
    except Exception as e:
        if is_wrong_type(e):
            return None
        raise


class RepliesInBytes:
    """A client or pipeline whose replies are bytes, although it was created with `decode_responses=True`"""

    def __init__(self, client: Any):
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def __enter__(self) -> RepliesInBytes:
        self._client.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._client.__exit__(*exc_info)

    def get(self, name: bytes) -> Any:
        return self._client.execute_command('GET', name, **UNDECODED)

    def hget(self, name: bytes, field: bytes) -> Any:
        return self._client.execute_command('HGET', name, field, **UNDECODED)

    def scan_iter(self, **kwargs: Any) -> Iterator[Any]:
        return iter(self._client.scan_iter(**kwargs, **UNDECODED))

    def hscan_iter(self, name: bytes, count: int) -> Iterator[tuple[Any, Any]]:
        cursor, is_first = 0, True
        while cursor or is_first:
            is_first = False
            cursor, fields = self.hscan(name, cursor, count)
            yield from fields.items()

    def hscan(self, name: bytes, cursor: int, count: int) -> tuple[int, dict[Any, Any]]:
        reply: tuple[int, dict[Any, Any]]
        reply = self._client.execute_command('HSCAN', name, cursor, 'COUNT', count, **UNDECODED)
        return reply

    def pipeline(self, **kwargs: Any) -> RepliesInBytes:
        return RepliesInBytes(self._client.pipeline(**kwargs))


def with_replies_in_bytes(client: Any) -> Any:
    """The client itself, or `RepliesInBytes` if it decodes replies"""
    get_encoder = getattr(client, 'get_encoder', None)
    if get_encoder is not None and get_encoder().decode_responses is True:
        return RepliesInBytes(client)
    return client


def set_with_expiration(client: Any, name: bytes, seconds: int, value: Any) -> None:
    """Write a string that the server removes after a time"""
    setex = client.setex
    plain = getattr(setex, '__wrapped__', None)
    if isfunction(plain):  # redis-py 8 wraps the method to emit a deprecation warning, which fails under `-W error`
        plain(setex.__self__, name, seconds, value)
    else:
        setex(name, seconds, value)


def is_cluster(client: Any) -> bool:
    """Whether this is a client of a cluster, where names may be on different servers"""
    cluster = sys.modules.get('redis.cluster')
    return cluster is not None and isinstance(client, cluster.RedisCluster)


def run_each(client: Any, commands: Sequence[Command]) -> list[Any]:
    """Run several commands, in one round trip per server, and return their replies

    All names of one command must be on one server; different commands may use different servers. The reply is None if
    a value has the wrong type.
    """
    replies = replies_or_errors(client, commands)
    for reply in replies:
        if isinstance(reply, Exception) and not is_wrong_type(reply):
            raise reply
    return [None if isinstance(reply, Exception) else reply for reply in replies]


def replies_or_errors(client: Any, commands: Sequence[Command]) -> list[Any]:
    """As `run_each`, but return the driver's exceptions for commands that failed"""
    return _each_in_cluster(client, commands) if is_cluster(client) else _pipelined(client, commands)


def _pipelined(client: Any, commands: Iterable[Command]) -> list[Any]:
    with with_replies_in_bytes(client).pipeline(transaction=False) as pipeline:
        for command in commands:
            run(pipeline, command)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
    return replies


def run(client: Any, command: Command) -> Any:
    """Run a command and return the reply; a pipeline queues it"""
    method, *arguments = command
    if callable(method):
        return method(client, *arguments)
    return set_with_expiration(client, *arguments) if method == 'setex' else getattr(client, method)(*arguments)


def _each_in_cluster(client: Any, commands: Sequence[Command]) -> list[Any]:
    # If a server is down, the driver's own pipelines run commands one by one, and wait for the server each time
    from redis import exceptions

    nodes: dict[str, list[int]] = {}
    for index, command in enumerate(commands):
        nodes.setdefault(client.get_node_from_key(command[1]).name, []).append(index)
    replies: list[Any] = [None] * len(commands)
    for indexes in nodes.values():
        group = [commands[index] for index in indexes]
        name = group[0][1]
        try:
            found = _pipelined(_server_of(client, name), group)
        except (exceptions.ConnectionError, exceptions.TimeoutError):
            client.exists(name)  # makes the client find the current server of the name, or fails
            found = _pipelined(_server_of(client, name), group)
        for index, reply in zip(indexes, found, strict=True):
            has_moved = isinstance(reply, (exceptions.AskError, exceptions.TryAgainError))
            replies[index] = run(with_replies_in_bytes(client), commands[index]) if has_moved else reply
    return replies


def _server_of(client: Any, name: bytes) -> Any:
    return client.get_redis_connection(client.get_node_from_key(name))


def on_server_of(client: Any, name: bytes, function: Callable[[Any], T]) -> T:
    """Call a function with a client for the server of a name; call it again if the name has moved to another server"""
    if not is_cluster(client):
        return function(client)
    from redis import exceptions

    try:
        return function(_server_of(client, name))
    except (exceptions.AskError, exceptions.TryAgainError, exceptions.ConnectionError, exceptions.TimeoutError):
        client.exists(name)  # makes the client find the current server
        return function(_server_of(client, name))


def servers_of(client: Any) -> dict[str, Any]:
    """A client for each primary server, by the name of the server, in a fixed order"""
    if not is_cluster(client):
        return {'': client}
    nodes = sorted(client.get_primaries(), key=lambda node: node.name)
    return {node.name: client.get_redis_connection(node) for node in nodes}


def check_transactions(client: Any, name: bytes) -> None:
    """Check that a server permits transactions

    If it refused only EXEC, all later commands on the connection would become part of the transaction. If it refused
    only MULTI, each command would run on its own.

    Raises:
        redis.exceptions.ResponseError: Transactions are not permitted
    """
    server = _server_of(client, name) if is_cluster(client) else client
    try:
        server.execute_command('EXEC')
    except Exception as e:
        if 'EXEC without MULTI' not in str(e):
            raise

    def begin(pipeline: Any) -> None:
        pipeline.exists(name)
        pipeline.execute()

    in_transaction(client, name, begin)


def in_transaction(client: Any, name: bytes, function: Callable[[Any], T]) -> T:
    """Run a transaction: watch names, read them, and change them in one step

    The function is called again if others have changed the names meanwhile.

    Args:
        client: A client of any kind
        name: One of the names; all must be in the same slot
        function: Called with a pipeline; it must call `watch`, `multi` and `execute`
    """
    from redis import exceptions

    def attempt(server: Any) -> T:
        with with_replies_in_bytes(server).pipeline(transaction=True) as pipeline:
            return function(pipeline)

    for _ in range(MAX_ATTEMPTS):
        try:
            return on_server_of(client, name, attempt)
        except exceptions.WatchError:  # noqa: PERF203
            continue
    raise exceptions.WatchError(f'Others changed the value during each of {MAX_ATTEMPTS} attempts')


def scan_names(client: Any, pattern: bytes, count: int, kind: str = 'STRING') -> Iterator[bytes]:
    """Names of all values of a type that match a pattern; a name may be repeated"""
    is_first = True
    try:
        for name in client.scan_iter(match=pattern, count=count, _type=kind):
            is_first = False
            yield name
    except Exception as e:
        if not (is_first and 'syntax error' in str(e)):
            raise
        # Servers before Redis 6 cannot filter by type
        yield from client.scan_iter(match=pattern, count=count)


def scan_fields(client: Any, name: bytes, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Fields and values of a hash; a field may be repeated; empty if the value is not a hash"""
    try:
        yield from client.hscan_iter(name, count=count)
    except Exception as e:
        if not is_wrong_type(e):
            raise


def unique(items: Iterable[T], key: Callable[[T], Hashable]) -> Iterator[T]:
    """Items without duplicate keys; only the first `REMEMBERED_NAMES` keys are remembered, to limit memory"""
    seen: set[Hashable] = set()
    for item in items:
        if (name := key(item)) not in seen:
            if len(seen) < REMEMBERED_NAMES:
                seen.add(name)
            yield item
