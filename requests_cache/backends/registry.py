"""Backends by name"""

from __future__ import annotations

from inspect import isclass
from typing import Any
from warnings import warn

from ..policy.settings import DEFAULT_CACHE_NAME
from .base import BackendSpecifier, BaseCache
from .dynamodb import DynamoDbCache
from .filesystem import FileCache
from .gridfs import GridFSCache
from .mongodb import MongoCache
from .redis import RedisCache
from .sqlite import SQLiteCache, sqlite3_available

BACKEND_CLASSES: dict[str, Any] = {
    'dynamodb': DynamoDbCache,
    'filesystem': FileCache,
    'gridfs': GridFSCache,
    'memory': BaseCache,
    'mongodb': MongoCache,
    'redis': RedisCache,
    'sqlite': SQLiteCache,
}
# What each backend calls its name
CACHE_NAME_KWARGS = ('db_path', 'db_name', 'namespace', 'table_name')


def init_backend(cache_name: Any, backend: BackendSpecifier | None = None, **kwargs: Any) -> BaseCache:
    """Make a backend from its name or class, or take an instance as it is

    Args:
        cache_name: Name of the cache: a path, database, table, or prefix of keys, as the backend has it
        backend: A key of `BACKEND_CLASSES` in upper or lower case, a class, an instance, or None for SQLite
        kwargs: Keywords of the backend; `db_path`, `db_name`, `namespace` and `table_name` go before `cache_name`

    Raises:
        ValueError: There is no backend of that name
    """
    if isinstance(backend, BaseCache):
        return _named_instance(backend, cache_name)
    if isclass(backend) and issubclass(backend, BaseCache):
        factory: Any = backend
    else:
        name = str(backend or _default_backend()).lower()
        factory = BACKEND_CLASSES.get(name)
        if factory is None:
            raise ValueError(
                f'Invalid backend: {backend}. Provide a backend instance, or choose from one of the following aliases: '
                f'{list(BACKEND_CLASSES)}'
            )
    return _create(factory, cache_name, kwargs)


def _default_backend() -> str:
    return 'sqlite' if sqlite3_available() else 'memory'


def _create(factory: Any, cache_name: Any, kwargs: dict[str, Any]) -> BaseCache:
    own = ('table_name',) if isclass(factory) and issubclass(factory, DynamoDbCache) else CACHE_NAME_KWARGS
    given = [kwargs[name] for name in own if kwargs.get(name) is not None]
    rest = {k: v for k, v in kwargs.items() if k not in own}
    cache: BaseCache = factory(given[0] if given else cache_name or DEFAULT_CACHE_NAME, **rest)
    return cache


def _named_instance(backend: BaseCache, cache_name: Any) -> BaseCache:
    if cache_name and str(cache_name) != DEFAULT_CACHE_NAME:
        warn(
            f'cache_name {str(cache_name)!r} cannot be set after the backend was initialized; give it to '
            f'{type(backend).__name__}() instead',
            DeprecationWarning,
            stacklevel=4,
        )
        backend.cache_name = str(cache_name)
    return backend
