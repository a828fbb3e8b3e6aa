"""What the Redis storages need of a client beyond its methods: replies in bytes, many names at once"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Iterator
from inspect import isfunction
from typing import Any, TypeVar

T = TypeVar('T')

# How many names are kept in mind while scanning. A server repeats one only if its table shrinks in the meantime.
REMEMBERED_NAMES = 50_000
UNDECODED: dict[str, Any] = {'NEVER_DECODE': []}


def is_wrong_type(error: object) -> bool:
    """Whether the server says that the value under a name is of another type than the command is for"""
    return isinstance(error, Exception) and str(error).startswith('WRONGTYPE')


def unless_wrong_type(command: Callable[..., Any], *args: Any) -> Any:
    """The reply to a command; None if the value under the name is of a type that it is not for"""
    try:
        return command(*args)
    except Exception as e:
        if is_wrong_type(e):
            return None
        raise


class RepliesInBytes:
    """A client or pipeline whose replies stay bytes, though it was made with `decode_responses=True`"""

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
    """The client itself, or `RepliesInBytes` if it decodes them"""
    get_encoder = getattr(client, 'get_encoder', None)
    if get_encoder is not None and get_encoder().decode_responses is True:
        return RepliesInBytes(client)
    return client


def set_for(client: Any, name: bytes, seconds: int, value: Any) -> None:
    """Write a string that the server removes after a time"""
    setex = client.setex
    plain = getattr(setex, '__wrapped__', None)
    if isfunction(plain):  # redis-py 8 wraps this method to warn of its age, which would fail under `-W error`
        plain(setex.__self__, name, seconds, value)
    else:
        setex(name, seconds, value)


def each(client: Any, command: str, names: list[bytes]) -> list[Any]:
    """The replies to a command about each of several names, in one round trip per server

    Each name has a command of its own, as they may be on different servers. For a value of a wrong type there is None.
    """
    cluster = sys.modules.get('redis.cluster')
    if cluster is not None and isinstance(client, cluster.RedisCluster):
        replies = _each_in_cluster(client, command, names)
    else:
        replies = _pipelined(client, command, names)
    for reply in replies:
        if isinstance(reply, Exception) and not is_wrong_type(reply):
            raise reply
    return [None if isinstance(reply, Exception) else reply for reply in replies]


def _pipelined(client: Any, command: str, names: list[bytes]) -> list[Any]:
    with with_replies_in_bytes(client).pipeline(transaction=False) as pipeline:
        for name in names:
            getattr(pipeline, command)(name)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
    return replies


def _each_in_cluster(client: Any, command: str, names: list[bytes]) -> list[Any]:
    # The driver's own pipelines go on one by one when a server is away, and wait for it with each name anew
    from redis import exceptions

    nodes: dict[str, list[bytes]] = {}
    for name in dict.fromkeys(names):
        nodes.setdefault(client.get_node_from_key(name).name, []).append(name)
    replies: dict[bytes, Any] = {}
    for group in nodes.values():
        try:
            found = _pipelined(_server_of(client, group[0]), command, group)
        except (exceptions.ConnectionError, exceptions.TimeoutError):
            client.exists(group[0])  # makes the client look for the server that has the name by now, or fails
            found = _pipelined(_server_of(client, group[0]), command, group)
        replies.update(zip(group, found, strict=True))
    for name, reply in replies.items():
        if isinstance(reply, (exceptions.AskError, exceptions.TryAgainError)):  # the name has moved
            replies[name] = getattr(with_replies_in_bytes(client), command)(name)
    return [replies[name] for name in names]


def _server_of(client: Any, name: bytes) -> Any:
    return client.get_redis_connection(client.get_node_from_key(name))


def scan_names(client: Any, pattern: bytes, count: int) -> Iterator[bytes]:
    """Names of all strings that match a pattern, some perhaps more than once"""
    is_first = True
    try:
        for name in client.scan_iter(match=pattern, count=count, _type='STRING'):
            is_first = False
            yield name
    except Exception as e:
        if not (is_first and 'syntax error' in str(e)):
            raise
        # Servers before Redis 6 do not select by type
        yield from client.scan_iter(match=pattern, count=count)


def scan_fields(client: Any, name: bytes, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Fields of a hash with their values, some perhaps more than once; none if the name holds no hash"""
    try:
        yield from client.hscan_iter(name, count=count)
    except Exception as e:
        if not is_wrong_type(e):
            raise


def unique(items: Iterable[T], key: Callable[[T], Hashable]) -> Iterator[T]:
    """Items with different keys, as far as that takes no more memory than `REMEMBERED_NAMES` of these do"""
    seen: set[Hashable] = set()
    for item in items:
        if (name := key(item)) not in seen:
            if len(seen) < REMEMBERED_NAMES:
                seen.add(name)
            yield item
