"""Creating backends by name, by class, or by the URL of a cache"""

from __future__ import annotations

from inspect import isclass
from typing import TYPE_CHECKING, Any
from warnings import warn

from .._utils import nearest_name
from ..policy.settings import DEFAULT_CACHE_NAME
from .base import BackendSpecifier, BaseCache
from .dynamodb import DynamoDbCache
from .filesystem import FileCache
from .gridfs import GridFSCache
from .mongodb import MongoCache
from .redis import RedisCache
from .sqlite import SQLiteCache, sqlite3_available

if TYPE_CHECKING:
    from .addresses import Address

BACKEND_CLASSES: dict[str, Any] = {
    'dynamodb': DynamoDbCache,
    'filesystem': FileCache,
    'gridfs': GridFSCache,
    'memory': BaseCache,
    'mongodb': MongoCache,
    'redis': RedisCache,
    'sqlite': SQLiteCache,
}
# Keywords by which backends take the name of a cache
CACHE_NAME_KWARGS = ('db_path', 'db_name', 'namespace', 'table_name')


def init_backend(cache_name: Any, backend: BackendSpecifier | None = None, **kwargs: Any) -> BaseCache:
    """Create a backend from its name, its class, or the URL of a cache; an instance is returned unchanged

    Args:
        cache_name: Name of the cache. Depending on the backend, this is a path, a database, a table or a prefix of the
            keys. It may also be the URL of a cache.
        backend: A key of `BACKEND_CLASSES` in upper or lower case, a class, an instance, the URL of a cache, or None
            for SQLite
        kwargs: Keywords of the backend. They take precedence over those in a URL; `db_path`, `db_name`, `namespace` and
            `table_name` take precedence over `cache_name`.

    Raises:
        ValueError: There is no backend with that name, or the URL is not valid
    """
    if isinstance(backend, BaseCache):
        return _named_instance(backend, cache_name)
    if isclass(backend) and issubclass(backend, BaseCache):
        return _create(backend, cache_name, kwargs)
    address = _address(cache_name, backend, kwargs)
    if address is not None:
        return create_at(address, cache_name if _may_be_url(backend) else None, kwargs)
    name = str(backend or _default_backend()).lower()
    factory = BACKEND_CLASSES.get(name)
    if factory is None:
        raise ValueError(
            f'Invalid backend: {backend}. Provide a backend instance, or choose from one of the following aliases: '
            f'{list(BACKEND_CLASSES)}'
        )
    return _create(factory, cache_name, kwargs)


# URLs


def _may_be_url(text: object) -> bool:
    return isinstance(text, str) and ('://' in text or text.lower().startswith('memory:'))


def _address(cache_name: Any, backend: Any, kwargs: dict[str, Any]) -> Address | None:
    """Parse the backend if it is a URL, or the name if it is a URL and no other backend is specified"""
    if not (_may_be_url(backend) or _may_be_url(cache_name)):
        return None
    from .addresses import SCHEMES, parse_address, scheme_of

    if _may_be_url(backend):
        return parse_address(backend)
    # SQLite has URIs of its own
    is_sqlite_uri = bool(kwargs.get('uri')) or ':memory:' in cache_name or 'mode=memory' in cache_name
    scheme = scheme_of(cache_name)
    if scheme not in SCHEMES or (scheme == 'file' and is_sqlite_uri):
        return None
    named = str(backend).lower() if backend is not None else None
    if named not in (None, SCHEMES[scheme]) and {named, SCHEMES[scheme]} != {'gridfs', 'mongodb'}:
        return None  # for another backend, it is a name like any other
    address = parse_address(cache_name)
    return address._replace(backend=named or address.backend)


def create_at(address: Address, cache_name: Any, kwargs: dict[str, Any]) -> BaseCache:
    """Create the cache at an address; keywords take precedence over the URL, and the URL over `cache_name`"""
    factory = BACKEND_CLASSES[address.backend]
    _check_options(address, factory)
    given = {name: value for name, value in kwargs.items() if value is not None}
    try:
        return _create(factory, address.cache_name or cache_name, {**address.options, **given})
    except Exception as e:
        # Messages of MongoDB's driver about a URL may quote its password
        if not type(e).__module__.startswith('pymongo'):
            raise
        hint = 'percent-encode special characters in names and passwords'
        raise ValueError(f'{address.shown} is not valid ({type(e).__name__}); {hint}') from None


def _check_options(address: Address, factory: Any) -> None:
    """Check the names of the options in a URL

    Raises:
        ValueError: Neither the backend nor its driver has an option of that name
    """
    known = factory.owned_keywords()
    # The options of a driver are unknown if it is not installed; that is reported elsewhere
    if known is None or (address.backend == 'dynamodb' and 'region_name' not in known):
        return
    for name in address.option_names:
        if name not in known:
            from .addresses import quote_word

            nearest = nearest_name(name, known)
            hint = f'; did you mean {nearest!r}?' if nearest else ''
            raise ValueError(f'{address.shown}: there is no option {quote_word(name)}{hint}')


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
            f'cache_name {str(cache_name)!r} cannot be set after the backend was initialized; pass it to '
            f'{type(backend).__name__}() instead',
            DeprecationWarning,
            stacklevel=4,
        )
        backend.cache_name = str(cache_name)
    return backend
