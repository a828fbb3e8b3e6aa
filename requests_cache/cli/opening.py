"""Opening caches by name: never making one by mistake, and finding out how one was written"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from .._utils import is_bad_signature
from ..backends.addresses import Address, parse_address, path_address, scheme_of
from ..backends.base import BaseCache
from ..backends.dynamodb.client import error_code
from ..backends.presence import place_of, why_no_cache, why_not_usable
from ..backends.registry import create_at
from ..backends.rekey import explain_key
from ..exceptions import BackendError, InvalidEntryError, MissingDependencyError, MissingKeyError, SealError
from ..keys.shown import shown_text
from ..models.response import CachedResponse
from ..serializers.preconf import safe_pickle_serializer
from ..serializers.registry import SERIALIZERS
from .terminal import Trouble

KEY_VARIABLE = 'REQUESTS_CACHE_ENCRYPTION_KEY'
SIGNING_VARIABLE = 'REQUESTS_CACHE_SECRET_KEY'
SAFE_PICKLE = 'safe_pickle'
SERIALIZER_NAMES = [*SERIALIZERS, SAFE_PICKLE]
# Entries that tell which serializer has written a cache
SAMPLE = 5


class Access(NamedTuple):
    """How entries are written and read

    Args:
        serializer: Name of the serializer; None for that of the backend, or, to read, for what fits
        encryption_keys: Keys, of which the first one encrypts; none for no encryption
        compression: Name of a codec, or whether to compress
    """

    serializer: str | None = None
    encryption_keys: tuple[str | bytes, ...] = ()
    compression: str | bool = False

    def keywords(self) -> dict[str, Any]:
        """Keywords of a backend"""
        given: dict[str, Any] = {'serializer': _serializer(self.serializer)} if self.serializer else {}
        if self.encryption_keys:
            given['encryption_key'] = list(self.encryption_keys)
        return {**given, 'compression': self.compression} if self.compression else given


def encryption_keys(path: str | None, variable: str = KEY_VARIABLE) -> tuple[str | bytes, ...]:
    """Keys from a file (32 bytes, or base64, a key on each line), or from the environment"""
    if path is None:
        return tuple(os.environ.get(variable, '').replace(',', ' ').split())
    data = Path(path).read_bytes()
    try:
        keys = data.decode('ascii').split()
    except UnicodeDecodeError:
        return (data,)
    if not keys:
        raise Trouble(f'{path} holds no key; requests_cache.new_encryption_key() makes one.')
    return tuple(keys)


def _serializer(name: str) -> Any:
    if name != SAFE_PICKLE:
        return name
    secret = os.environ.get(SIGNING_VARIABLE)
    if not secret:
        raise Trouble(f'The serializer safe_pickle needs its secret key in the environment, as {SIGNING_VARIABLE}.')
    return safe_pickle_serializer(secret_key=secret)


class Opened:
    """A cache that is open, and why entries of it cannot be read

    Args:
        cache: The cache; what cannot be read is None, whatever the reason, wrong signatures included
        address: Where it is
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
        """Its name, for messages: the path of a file or directory, or the URL without its password"""
        is_local = self.address.backend in ('sqlite', 'filesystem')
        return str(place_of(self.address)) if is_local else self.address.shown

    def count(self) -> int:
        """How many entries there are"""
        return len(self.cache.responses)

    def read(self, key: str) -> CachedResponse | None:
        """An entry, which does not count as used by that; None if there is none, or it cannot be read"""
        storage: Any = self.cache.responses
        try:
            response = storage.peek(key)
        except KeyError:
            return None
        return response if isinstance(response, CachedResponse) else None

    def why_unreadable(self, key: str) -> str:
        """Why the entry that was read last could not be"""
        error = self._error(key)
        if error is None:
            return 'a part of it is missing'
        return ' '.join(shown_text(error).split()) or type(error).__name__

    def is_locked(self, key: str) -> bool:
        """Whether the entry that was read last, in vain, is not damaged but encrypted, and its key is not here"""
        return isinstance(self._error(key), (MissingKeyError, MissingDependencyError))

    def may_be_of_others(self, key: str) -> bool:
        """The same for signatures, of which nobody can tell whether they are wrong or made with another key"""
        error = self._error(key)
        return self.is_locked(key) or (error is not None and is_bad_signature(error))

    def _error(self, key: str) -> Exception | None:
        return self._last[1] if self._last is not None and self._last[0] == key else None


@contextmanager
def opened(name: str, access: Access) -> Iterator[Opened]:
    """A cache that exists, until the end of the block

    Raises:
        Trouble: There is none
    """
    address = _address(name)
    reason = why_no_cache(address)
    if reason is not None:
        raise Trouble(reason)
    cache = _as_written(address, access)
    try:
        yield Opened(cache, address)
    finally:
        cache.close()


@contextmanager
def opened_target(name: str, access: Access) -> Iterator[Opened]:
    """A cache to write to, which is made if there is none, until the end of the block

    Raises:
        Trouble: There is something else
    """
    address = _address(name)
    reason = why_not_usable(address)
    if reason is not None:
        raise Trouble(reason)
    cache = _made(address, access)
    try:
        yield Opened(cache, address)
    finally:
        cache.close()


def _address(name: str) -> Address:
    is_url = scheme_of(name) is not None and not os.path.exists(name)
    try:
        address = parse_address(name) if is_url else path_address(name)
    except ValueError as e:
        raise Trouble(str(e)) from None
    path = str(address.cache_name)
    if address.backend == 'memory' or (address.backend == 'sqlite' and (':memory:' in path or 'mode=memory' in path)):
        raise Trouble(f'{name} is a cache in memory, which only the process that made it can see.')
    return address


def _made(address: Address, access: Access, **options: Any) -> BaseCache:
    try:
        return create_at(address, None, {**options, **access.keywords()})
    except (KeyError, TypeError, ValueError, OSError) as e:
        text = e.args[0] if isinstance(e, KeyError) and e.args else e
        raise Trouble(f'{address.shown}: {text}') from None


def _open(address: Address, access: Access) -> BaseCache:
    # A table of DynamoDB would be made, and told to delete what has expired
    options = {'create_table': False, 'ttl': False} if address.backend == 'dynamodb' else {}
    return _made(address, access, **options)


def _check_server(cache: BaseCache, address: Address) -> None:
    """
    Raises:
        Trouble: There is nothing on the server
    """
    try:
        is_there = next(iter(cache.responses), None) is not None or len(cache.redirects) > 0
    except BackendError as e:
        if error_code(e.__cause__) != 'ResourceNotFoundException':
            raise
        raise Trouble(f'There is no cache {address.shown}: there is no such table.') from None
    if not is_there and address.backend != 'dynamodb':
        raise Trouble(f'There is no cache {address.shown}: nothing is stored there under this name.')


# Serializers

UNREADABLE, READABLE, EXPLAINED = range(3)


def _as_written(address: Address, access: Access) -> BaseCache:
    """The cache, with the serializer that it was written with, as far as its first entries tell"""
    best = _open(address, access)
    if address.backend not in ('sqlite', 'filesystem'):
        try:
            _check_server(best, address)
        except BaseException:
            best.close()
            raise
    if access.serializer is not None or 'serializer' in address.options:
        return best
    best_fit = _fit(best)
    for name in _others(best) if best_fit < EXPLAINED else ():
        try:
            other = _open(address, access._replace(serializer=name))
        except MissingDependencyError:
            continue
        fit = _fit(other)
        if fit > best_fit:
            best, other, best_fit = other, best, fit
        other.close()
        if best_fit == EXPLAINED:
            break
    return best


def _others(cache: BaseCache) -> list[str]:
    """Names of the serializers that a cache may also have been written with"""
    own = getattr(getattr(cache.responses, 'serializer', None), 'name', None)
    names = SERIALIZER_NAMES if os.environ.get(SIGNING_VARIABLE) else list(SERIALIZERS)
    return [name for name in names if name != own]


def _fit(cache: BaseCache) -> int:
    """Whether the first entries can be read, and their keys are those that the serializer makes"""
    fit = UNREADABLE
    try:
        for key, response in islice(cache._entries(), SAMPLE):
            if response is not None:
                fit = READABLE
                if explain_key(cache, key, response) is not None:
                    return EXPLAINED
    except Exception as e:
        if not is_bad_signature(e):
            raise
    return fit
