"""Storage in Redis, on one server or a cluster

NAMESPACE:KEY                     a string: one serialized response
NAMESPACE-body:{NAMESPACE:KEY}    a hash instead of the string, for a response with a large body, see `bodies`
NAMESPACE-lease:{NAMESPACE:KEY}   a string: which process sends a request, see `leases`
NAMESPACE-index:{NAMESPACE:}:…    sizes and last uses of entries, if the cache is bounded, see `bounds`
NAMESPACE-redirects               a hash: the redirects, field by field

Before version 7.4, Redis can expire strings, but not single fields of a hash. So the hash as a whole is kept as long as
the entry that is kept longest, even if that entry is written later. In addition, each write of redirects checks some
others, and deletes them if their targets no longer exist.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ...exceptions import MissingDependencyError
from ...policy.settings import DEFAULT_CACHE_NAME
from ...serializers.pipeline import Stage
from ...serializers.preconf import pickle_serializer
from ..base import BaseCache
from ..storage import STORAGE_KEYWORDS
from .connection import RedisConnection, keyword_names
from .entries import DEFAULT_TTL_OFFSET, EntryStorage, if_permitted
from .names import REDIRECTS, decode, encode
from .storage import HashStorage

__all__ = ['DEFAULT_TTL_OFFSET', 'RedisCache', 'RedisDict', 'RedisHashDict']

text_stage = Stage(dumps=encode, loads=decode)


def __getattr__(name: str) -> Any:
    if name == 'StrictRedis':
        try:
            return _client_class()
        except MissingDependencyError as e:
            raise AttributeError(f'module {__name__!r} has no attribute {name!r}: {e}') from e
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def _client_class() -> Any:
    """The driver's class, or the one that was assigned to `StrictRedis` in this module, for example by a test"""
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


class RedisDict(EntryStorage):
    """A storage with a Redis string per entry, or a hash if its body is large

    Other names in the database are not touched. If a value of another type has the name of an entry, it is read as None
    and overwritten.

    Args:
        namespace: Prefix of the names
        collection_name: Ignored
        connection: An existing client. It is not closed.
        serializer: As for `BaseStorage`
        ttl, ttl_offset: As for `RedisCache`
        kwargs: Further keywords of `RedisCache`

    Raises:
        MissingDependencyError: redis-py is not installed
        ValueError: `delete_expired_after` contradicts `ttl` or `ttl_offset`
    """

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
        shared = _connect(connection, kwargs)
        super().__init__(shared, namespace, ttl, ttl_offset, serializer=serializer, **kwargs)


class RedisHashDict(HashStorage):
    """A storage in a single Redis hash, with a field per entry

    Args:
        namespace: First part of the hash's name
        collection_name: Second part of its name
        connection: An existing client. It is not closed.
        serializer: As for `BaseStorage`; by default, values are text
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
        namespace: Prefix of all names in the database. Other caches and programs may use the same database.
        connection: An existing client: `redis.Redis`, `redis.RedisCluster`, or one from a Sentinel. It is not closed.
        serializer: A name, a pipeline, a stage, or any object with `dumps` and `loads`; pickle by default
        ttl: Have Redis remove entries after they have expired
        ttl_offset: How many seconds Redis keeps entries after they have expired
        large_body_bytes: Keep bodies longer than this in pieces, in hashes of their own; 1 MiB by default
        max_cache_bytes: How much memory of the server the responses may use: a number of bytes, or text such as
            `'500 MB'`; no bound by default. With bounds, the user of Redis must be allowed to run scripts.
        max_entries: Maximum number of responses; no bound by default
        delete_expired_after: The same as `ttl_offset`, in seconds or as a `timedelta`; needs `ttl=True`
        url: The server: a URL that begins with `redis://`, `rediss://` or `unix://`
        cluster: Connect to a Redis Cluster
        kwargs: `compression`, `encryption_key` and `decode_content` (see `BaseStorage`); all keywords of `redis.Redis`
            or `redis.RedisCluster`. By default, the client waits at most 5 seconds for the server.

    Raises:
        MissingDependencyError: redis-py is not installed
        ValueError: `delete_expired_after` contradicts `ttl` or `ttl_offset`
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
        others = {name: value for name, value in kwargs.items() if name not in STORAGE_KEYWORDS}
        self.redirects = self.responses._redirects = RedisHashDict(namespace, REDIRECTS, shared, **others)

    @classmethod
    def owned_keywords(cls) -> frozenset[str]:
        """Names of the keywords that this class or the driver's client takes"""
        own = {'connection', 'decode_content', 'namespace', 'serializer', 'ttl', 'ttl_offset', *STORAGE_KEYWORDS}
        try:
            return keyword_names(_client_class()) | own
        except MissingDependencyError:
            return keyword_names(None) | own

    def _save_redirects(self, redirects: dict[str, str], expires: datetime | None = None) -> None:
        if not redirects:
            return
        self.redirects.update(redirects)
        with if_permitted():
            self.redirects.keep_for(self.responses.seconds_left(set(redirects.values())), len(redirects))
            self.redirects.prune_some(self.responses.existing)

    def _clean(self, n_redirects: int) -> None:
        """Nothing to do: Redis removes leftovers itself, and `_save_redirects` checks redirects"""
