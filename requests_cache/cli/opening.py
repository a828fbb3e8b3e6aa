"""Opening caches by name: without creating one by mistake, and with the serializer that wrote them"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from .._utils import is_bad_signature
from ..backends.addresses import Address, parse_address, path_address, scheme_of
from ..backends.base import BaseCache
from ..backends.dynamodb.client import error_code
from ..backends.presence import local_path, why_no_cache, why_not_usable
from ..backends.registry import create_at
from ..backends.rekey import explain_key
from ..exceptions import BackendError, InvalidEntryError, MissingDependencyError, MissingKeyError, SealError
from ..keys.shown import shown_text
from ..models.response import CachedResponse
from ..serializers.preconf import safe_pickle_serializer
from ..serializers.registry import SERIALIZERS
from .terminal import CommandError

KEY_VARIABLE = 'REQUESTS_CACHE_ENCRYPTION_KEY'
SIGNING_VARIABLE = 'REQUESTS_CACHE_SECRET_KEY'
SAFE_PICKLE = 'safe_pickle'
SERIALIZER_NAMES = [*SERIALIZERS, SAFE_PICKLE]
# Number of entries that are read to detect the serializer of a cache
SAMPLE = 5


class Access(NamedTuple):
    """How entries are written and read

    Args:
        serializer: Name of the serializer; None detects it in order to read, and means the backend's own to write
        encryption_keys: Keys; the first one encrypts, all of them decrypt; without any, nothing is encrypted
        compression: Name of a codec, or whether to compress
    """

    serializer: str | None = None
    encryption_keys: tuple[str | bytes, ...] = ()
    compression: str | bool = False

    def keywords(self) -> dict[str, Any]:
        """These options as keywords for a backend"""
        given: dict[str, Any] = {'serializer': _serializer(self.serializer)} if self.serializer else {}
        if self.encryption_keys:
            given['encryption_key'] = list(self.encryption_keys)
        return {**given, 'compression': self.compression} if self.compression else given


def encryption_keys(path: str | None, variable: str = KEY_VARIABLE) -> tuple[str | bytes, ...]:
    """The keys in a file, or in an environment variable if there is no path

    A file holds the 32 bytes of one key, or keys in base64, one on each line.

    Raises:
        CommandError: The file holds no key
    """
    if path is None:
        return tuple(os.environ.get(variable, '').replace(',', ' ').split())
    data = Path(path).read_bytes()
    try:
        keys = data.decode('ascii').split()
    except UnicodeDecodeError:
        return (data,)
    if not keys:
        raise CommandError(f'There is no key in {path}. requests_cache.new_encryption_key() makes one.')
    return tuple(keys)


def _serializer(name: str) -> Any:
    if name != SAFE_PICKLE:
        return name
    secret = os.environ.get(SIGNING_VARIABLE)
    if not secret:
        raise CommandError(f'The serializer safe_pickle needs its key in the environment variable {SIGNING_VARIABLE}.')
    return safe_pickle_serializer(secret_key=secret)


class OpenCache:
    """An open cache, which remembers why its last unreadable entry could not be read

    Args:
        cache: The cache; unreadable entries are None in it, even those with a wrong signature
        address: Where the cache is
    """

    def __init__(self, cache: BaseCache, address: Address):
        self.cache = cache
        self.address = address
        self._last: tuple[Any, Exception] | None = None
        storage: Any = cache.responses
        loads = storage._loads

        def load(key: Any, value: Any) -> Any:
            try:
                return loads(key, value)
            except Exception as e:
                self._last = key, e
                if isinstance(e, SealError):
                    raise
                raise InvalidEntryError(str(e)) from e

        storage._loads = load

    @property
    def shown(self) -> str:
        """The name of the cache for messages: the path of a file or directory, or the URL without its password"""
        is_local = self.address.backend in ('sqlite', 'filesystem')
        return str(local_path(self.address)) if is_local else self.address.shown

    def count(self) -> int:
        """The number of entries"""
        return len(self.cache.responses)

    def read(self, key: str) -> CachedResponse | None:
        """The entry with a key, or None if it does not exist or cannot be read; this does not count as a use of it"""
        storage: Any = self.cache.responses
        try:
            response = storage.peek(key)
        except KeyError:
            return None
        return response if isinstance(response, CachedResponse) else None

    def why_unreadable(self, key: str) -> str:
        """Why an entry could not be read, if it was the last one that was tried"""
        error = self._error(key)
        if error is None:
            return 'a part of the entry is missing'
        return ' '.join(shown_text(error).split()) or type(error).__name__

    def lacks_key(self, key: str) -> bool:
        """Whether an entry, the last one that was tried, is not damaged but encrypted with a key that is missing"""
        return isinstance(self._error(key), (MissingKeyError, MissingDependencyError))

    def may_lack_key(self, key: str) -> bool:
        """The same, but also true for wrong signatures, which may have been made with another key"""
        error = self._error(key)
        return self.lacks_key(key) or (error is not None and is_bad_signature(error))

    def _error(self, key: str) -> Exception | None:
        return self._last[1] if self._last is not None and self._last[0] == key else None


def open_cache(name: str, access: Access) -> AbstractContextManager[OpenCache]:
    """Open an existing cache until the end of the block

    Raises:
        CommandError: There is no such cache
    """
    return _opened(name, access, why_no_cache, _open_with_its_serializer)


def open_target(name: str, access: Access) -> AbstractContextManager[OpenCache]:
    """Open a cache to write to until the end of the block, and create it if it does not exist

    Raises:
        CommandError: There is something else at this place
    """
    return _opened(name, access, why_not_usable, _create)


@contextmanager
def _opened(
    name: str,
    access: Access,
    why_not: Callable[[Address], str | None],
    open_it: Callable[[Address, Access], BaseCache],
) -> Iterator[OpenCache]:
    address = _address(name)
    reason = why_not(address)
    if reason is not None:
        raise CommandError(reason)
    cache = open_it(address, access)
    try:
        yield OpenCache(cache, address)
    finally:
        cache.close()


def _address(name: str) -> Address:
    is_url = scheme_of(name) is not None and not os.path.exists(name)
    try:
        address = parse_address(name) if is_url else path_address(name)
    except ValueError as e:
        raise CommandError(str(e)) from None
    path = str(address.cache_name)
    if address.backend == 'memory' or (address.backend == 'sqlite' and (':memory:' in path or 'mode=memory' in path)):
        raise CommandError(f'{name} is a cache in memory. Only the process that created it can open it.')
    return address


def _create(address: Address, access: Access, **options: Any) -> BaseCache:
    try:
        return create_at(address, None, {**options, **access.keywords()})
    except (KeyError, TypeError, ValueError, OSError) as e:
        text = e.args[0] if isinstance(e, KeyError) and e.args else e
        raise CommandError(f'{address.shown}: {text}') from None


def _open(address: Address, access: Access) -> BaseCache:
    # By default, DynamoDbCache would create the table and let it delete expired items
    options = {'create_table': False, 'ttl': False} if address.backend == 'dynamodb' else {}
    return _create(address, access, **options)


def _check_exists(cache: BaseCache, address: Address) -> None:
    """Check that a cache on a server exists

    Raises:
        CommandError: There is no such table, or nothing is stored there
    """
    try:
        is_there = next(iter(cache.responses), None) is not None or len(cache.redirects) > 0
    except BackendError as e:
        if error_code(e.__cause__) != 'ResourceNotFoundException':
            raise
        raise CommandError(f'There is no cache at {address.shown}: the table does not exist.') from None
    if not is_there and address.backend != 'dynamodb':
        raise CommandError(f'There is no cache at {address.shown}: nothing is stored under this name.')


# Serializers

UNREADABLE, READABLE, SAME_KEYS = range(3)


def _open_with_its_serializer(address: Address, access: Access) -> BaseCache:
    """Open a cache with the serializer that wrote its first entries"""
    best = _open(address, access)
    if address.backend not in ('sqlite', 'filesystem'):
        try:
            _check_exists(best, address)
        except BaseException:
            best.close()
            raise
    if access.serializer is not None or 'serializer' in address.options:
        return best
    best_fit = _fit(best)
    for name in _others(best) if best_fit < SAME_KEYS else ():
        try:
            other = _open(address, access._replace(serializer=name))
        except MissingDependencyError:
            continue
        fit = _fit(other)
        if fit > best_fit:
            best, other, best_fit = other, best, fit
        other.close()
        if best_fit == SAME_KEYS:
            break
    return best


def _others(cache: BaseCache) -> list[str]:
    """Names of the serializers that may have written a cache, other than the one it has now"""
    own = getattr(getattr(cache.responses, 'serializer', None), 'name', None)
    names = SERIALIZER_NAMES if os.environ.get(SIGNING_VARIABLE) else list(SERIALIZERS)
    return [name for name in names if name != own]


def _fit(cache: BaseCache) -> int:
    """How well the serializer fits: whether it can read the first entries, and would give them the same keys"""
    fit = UNREADABLE
    try:
        for key, response in islice(cache._entries(), SAMPLE):
            if response is not None:
                fit = READABLE
                if explain_key(cache, key, response) is not None:
                    return SAME_KEYS
    except Exception as e:
        if not is_bad_signature(e):
            raise
    return fit
