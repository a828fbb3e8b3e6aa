"""Storage in Redis, on one server or a cluster

NAMESPACE:KEY          a string: one serialized response
NAMESPACE-redirects    a hash: the redirects, field by field

Before version 7.4, Redis removes strings after their time, but no fields of a hash. So the hash as a whole is kept as
long as the entry that is kept longest, also if that is decided later. Besides, whenever redirects are written, some
others are looked at, and deleted if they lead to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from logging import getLogger
from typing import Any

from ..._utils import chunkify
from ...exceptions import BackendError, BackendUnavailableError, MissingDependencyError
from ...policy.settings import DEFAULT_CACHE_NAME
from ...serializers.pipeline import Stage
from ...serializers.preconf import pickle_serializer
from ..base import BaseCache
from ..storage import CHUNK_SIZE
from .commands import each, is_wrong_type, scan_names, set_for, unique
from .connection import RedisConnection, keyword_names
from .storage import (
    REDIRECTS,
    HashStorage,
    RedisStorage,
    decode,
    encode,
    key_of_entry,
    name_of_entry,
    pattern_of_entries,
)

logger = getLogger(__name__)

__all__ = ['DEFAULT_TTL_OFFSET', 'RedisCache', 'RedisDict', 'RedisHashDict']

# Seconds for which entries are kept after they have expired
DEFAULT_TTL_OFFSET = 3600
# Entries whose values are in memory at once
VALUES_PER_PAGE = 100

text_stage = Stage(dumps=encode, loads=decode)


def __getattr__(name: str) -> Any:
    if name == 'StrictRedis':
        try:
            return _client_class()
        except MissingDependencyError as e:
            raise AttributeError(f'module {__name__!r} has no attribute {name!r}: {e}') from e
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def _client_class() -> Any:
    """The driver's class, or what was put in its place by assigning to `StrictRedis` in this module"""
    replaced = globals().get('StrictRedis')
    if replaced is not None:
        return replaced
    try:
        from redis import StrictRedis
    except ImportError as e:
        raise MissingDependencyError('The Redis backend', 'redis', 'redis') from e
    return StrictRedis


def _connect(connection: Any, keywords: dict[str, Any]) -> RedisConnection:
    if isinstance(connection, RedisConnection):
        return connection
    return RedisConnection(connection, keywords, _client_class)


@contextmanager
def _if_permitted() -> Iterator[None]:
    """What is not done for users of Redis that may write and read, and no more than that"""
    try:
        yield
    except BackendUnavailableError:
        raise
    except BackendError as e:
        logger.debug('Redirects in Redis are not looked after: %s', e)


class RedisDict(RedisStorage):
    """A storage with a string of Redis per entry

    Names that are not those of its entries are left alone. Under the name of an entry, a value of another type reads as
    None, and gives way to what is written.

    Args:
        namespace: Prefix of the names
        collection_name: Ignored
        connection: An existing client; it is not closed
        serializer: As for `BaseStorage`
        ttl: Have Redis remove entries after they have expired
        ttl_offset: Seconds for which they are kept after that
        kwargs: Keywords of the client, as for `RedisCache`

    Raises:
        MissingDependencyError: redis-py is not installed
    """

    # Those that lead to the entries
    _redirects: HashStorage | None = None

    def __init__(
        self,
        namespace: str,
        collection_name: str | None = None,
        connection: Any = None,
        serializer: Any = pickle_serializer,
        ttl: bool = True,
        ttl_offset: int = DEFAULT_TTL_OFFSET,
        **kwargs: Any,
    ):
        super().__init__(_connect(connection, kwargs), serializer, **kwargs)
        self.namespace = namespace
        self.ttl = ttl
        self.ttl_offset = ttl_offset

    def _name(self, key: object) -> bytes:
        return name_of_entry(self.namespace, str(key))

    def __getitem__(self, key: str) -> Any:
        with self._calling('read from it'):
            try:
                value = self._client.get(self._name(key))
            except Exception as e:
                if is_wrong_type(e):
                    return None
                raise
        if value is None:
            raise KeyError(key)
        return self.deserialize(key, value)

    def __setitem__(self, key: str, item: Any) -> None:
        value = self._serialize(key, item)
        seconds = self._seconds_to_keep(item)
        with self._calling('write to it'):
            if seconds is None:
                self._client.set(self._name(key), value)
            else:
                set_for(self._client, self._name(key), seconds, value)
        if self._redirects is not None and getattr(item, 'history', None):
            with _if_permitted():
                self._redirects.outlast(seconds)

    def _seconds_to_keep(self, item: Any) -> int | None:
        expires_in: int | None = getattr(item, 'expires_delta', None) if self.ttl else None
        if expires_in is None:
            return None
        seconds = int(expires_in + self.ttl_offset)
        # An entry whose time is over is written for a reason: it was copied, or is to be validated on its next use
        return seconds if seconds > 0 else max(int(self.ttl_offset), 1)

    def seconds_left(self, keys: Iterable[str]) -> int | None:
        """Seconds after which Redis has removed all entries under some keys; None if it never does"""
        seconds = self._each('ttl', keys)
        return None if -1 in seconds else max(0, *seconds)

    def __delitem__(self, key: str) -> None:
        with self._calling('delete from it'):
            removed = self._client.unlink(self._name(key))
        if not removed:
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        with self._calling('read from it'):
            return bool(self._client.exists(self._name(key)))

    def __iter__(self) -> Iterator[str]:
        return unique(self._keys(), key=str)

    def _keys(self) -> Iterator[str]:
        with self._calling('read from it'):
            names = scan_names(self._client, pattern_of_entries(self.namespace), CHUNK_SIZE)
        for page in self._pages(names, CHUNK_SIZE):
            keys = (key_of_entry(self.namespace, name) for name in page)
            yield from (key for key in keys if key is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _each(self, command: str, keys: Iterable[str]) -> list[Any]:
        purpose = 'delete from it' if command == 'unlink' else 'read from it'
        with self._calling(purpose):
            return each(self._connection.client, command, [self._name(key) for key in keys])

    def scan(self) -> Iterator[tuple[str, Any]]:
        """All keys with their values, None for those that cannot be read; in memory that does not grow with them"""
        for keys in chunkify(self, VALUES_PER_PAGE):
            for key, value in zip(keys, self._each('get', keys), strict=True):
                if value is not None:
                    yield key, self.deserialize(key, value)

    def bulk_delete(self, keys: Iterable[str]) -> int:
        """Delete keys; those that do not exist are passed over. Returns the number of entries that were removed."""
        return sum(sum(self._each('unlink', dict.fromkeys(page))) for page in chunkify(keys, CHUNK_SIZE))

    def clear(self) -> None:
        """Delete all entries, and nothing else"""
        self.bulk_delete(self)

    def existing(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that there are entries for"""
        wanted = list(keys)
        return {key for key, exists in zip(wanted, self._each('exists', wanted), strict=True) if exists}


class RedisHashDict(HashStorage):
    """A storage in one hash of Redis, with a field per entry

    Args:
        namespace: First part of the hash's name
        collection_name: Second part of its name
        connection: An existing client; it is not closed
        serializer: As for `BaseStorage`; by default values are text
        kwargs: Keywords of the client, as for `RedisCache`

    Raises:
        MissingDependencyError: redis-py is not installed
    """

    def __init__(
        self,
        namespace: str = DEFAULT_CACHE_NAME,
        collection_name: str | None = None,
        connection: Any = None,
        serializer: Any = text_stage,
        **kwargs: Any,
    ):
        super().__init__(_connect(connection, kwargs), f'{namespace}-{collection_name}', serializer, **kwargs)


class RedisCache(BaseCache):
    """A cache in Redis, on one server or a cluster

    Args:
        namespace: Prefix of all names. Other caches and programs may use the same database, whatever theirs begin with.
        connection: An existing client: `redis.Redis`, `redis.RedisCluster`, one of a Sentinel; it is not closed
        serializer: As for `BaseStorage`; by default pickle, of plain values only
        ttl: Have Redis remove entries after they have expired
        ttl_offset: Seconds for which they are kept after that
        kwargs: `url` (`redis://`, `rediss://` or `unix://`), `cluster=True`, and all keywords of `redis.Redis` or
            `redis.RedisCluster`. Unless told otherwise, the client waits for a server no longer than 5 seconds.

    Raises:
        MissingDependencyError: redis-py is not installed
    """

    responses: RedisDict
    redirects: RedisHashDict

    def __init__(
        self,
        namespace: str = DEFAULT_CACHE_NAME,
        connection: Any = None,
        serializer: Any = None,
        ttl: bool = True,
        ttl_offset: int = DEFAULT_TTL_OFFSET,
        **kwargs: Any,
    ):
        super().__init__(namespace)
        shared = _connect(connection, kwargs)
        serializer = serializer or pickle_serializer
        self.responses = RedisDict(namespace, None, shared, serializer, ttl, ttl_offset, **kwargs)
        self.redirects = self.responses._redirects = RedisHashDict(namespace, REDIRECTS, shared, **kwargs)

    @classmethod
    def owned_keywords(cls) -> frozenset[str]:
        """Keywords that mean something to this class or to the driver's client"""
        own = {'namespace', 'connection', 'serializer', 'decode_content', 'ttl', 'ttl_offset'}
        try:
            return keyword_names(_client_class()) | own
        except MissingDependencyError:
            return keyword_names(None) | own

    def _save_redirects(self, redirects: dict[str, str], expires: datetime | None = None) -> None:
        if not redirects:
            return
        self.redirects.update(redirects)
        with _if_permitted():
            self.redirects.keep_for(self.responses.seconds_left(set(redirects.values())), len(redirects))
            self.redirects.prune_some(self.responses.existing)
