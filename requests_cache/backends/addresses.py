"""URLs of caches: the backend, the name of the cache, and options

    memory:
    sqlite:///relative.sqlite           sqlite:////absolute/path.sqlite      as SQLAlchemy writes it
    file:///path/of/a/directory/        filesystem:///path/of/a/directory
    redis://user:password@host:6379/0   rediss://…, unix:///path/of/a/socket
    mongodb://host/database             mongodb+srv://…, gridfs://…, gridfs+srv://…
    dynamodb://table

After the question mark, there may be keywords of the backend, such as `?namespace=x` or `?wal=true`, or of its driver's
client. This module only parses URLs, and opens nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

from .._utils import lazy_pattern
from ..keys.bodies import REDACTED
from ..keys.shown import shown_url

SCHEMES = {
    'memory': 'memory',
    'sqlite': 'sqlite',
    'file': 'filesystem',
    'filesystem': 'filesystem',
    'redis': 'redis',
    'rediss': 'redis',
    'unix': 'redis',
    'mongodb': 'mongodb',
    'mongodb+srv': 'mongodb',
    'gridfs': 'gridfs',
    'gridfs+srv': 'gridfs',
    'dynamodb': 'dynamodb',
}
SECRETS = ('encryption_key', 'secret_key')
_HOST = lazy_pattern(r'(\[[0-9a-fA-F:.]+\]|[^:@\[\]]+)(:[0-9]{1,5})?')
_WORD = lazy_pattern(r'[\w.-]{1,40}')
_URL = lazy_pattern(r'([a-z][a-z0-9+.-]*)://.*|(memory):', re.IGNORECASE | re.DOTALL)


class Address(NamedTuple):
    """The address of a cache, parsed from a URL

    Args:
        backend: Name of the backend
        cache_name: Name of the cache; None if the URL does not contain one
        options: Keywords of the backend
        given: Names of all options in the URL, including those of the driver
        shown: The URL without secrets, for messages
    """

    backend: str
    cache_name: str | None
    options: dict[str, Any]
    given: tuple[str, ...]
    shown: str


def scheme_of(text: object) -> str | None:
    """The scheme of a URL, known or unknown; None if the text is not a URL"""
    match = _URL.fullmatch(text) if isinstance(text, str) else None
    return (match[1] or match[2]).lower() if match else None


def parse_address(url: str) -> Address:
    """Parse the URL of a cache

    Raises:
        ValueError: The URL is invalid, or not that of a cache; the message contains no secrets
    """
    scheme, shown = scheme_of(url), _shown(url)
    if scheme not in SCHEMES:
        known = ', '.join(f'{name}:' for name in SCHEMES)
        raise ValueError(f'{shown} is not the URL of a cache; such URLs start with {known}')
    try:
        address = _URL_READERS[SCHEMES[scheme]](_taken_apart(url))
    except _AddressError as e:
        raise ValueError(f'{shown}: {e}') from None
    except ValueError:  # its message may contain a part of a password
        raise ValueError(f'{shown} is not a valid URL; special characters must be percent-encoded') from None
    return address._replace(shown=shown)


def path_address(path: str) -> Address:
    """The address for a path: `filesystem` if it is a directory or ends with a slash, otherwise `sqlite`"""
    is_directory = path.endswith(('/', os.sep)) or os.path.isdir(path)
    return Address('filesystem' if is_directory else 'sqlite', path, {}, (), path)


def _shown(url: str) -> str:
    """A URL without secrets; an unescaped password may contain any characters, up to the last `@`"""
    before, slashes, rest = url.partition('://')
    userinfo, at, place = rest.rpartition('@')
    if not at:
        return shown_url(url)
    user = userinfo.partition(':')[0]
    name = f'{user}:' if user != userinfo and _WORD.fullmatch(user) else ''
    return shown_url(f'{before}{slashes}{name}{REDACTED}@{place}')


class _AddressError(ValueError):
    """An error in a URL; the message contains no secrets"""


def quoted(text: str) -> str:
    """A name or value for a message; hidden unless it is a word, as it may be part of an unescaped password"""
    return repr(text) if _WORD.fullmatch(text) else 'some text'


class _Url(NamedTuple):
    """The parts of a URL

    Args:
        parts: The parts of the URL according to `urllib.parse`
        own: Keywords of the backend and their values
        others: Options of the driver, as text
        for_driver: The URL without the keywords of the backend
    """

    parts: SplitResult
    own: dict[str, Any]
    others: dict[str, str]
    for_driver: str

    def address(self, backend: str, cache_name: str | None, **options: Any) -> Address:
        return Address(backend, cache_name, {**self.own, **options}, (*self.own, *self.others), '')

    def only_ours(self) -> None:
        if self.others:
            raise _AddressError(f'there is no option {quoted(next(iter(self.others)))}')


def _taken_apart(url: str) -> _Url:
    parts = urlsplit(url, allow_fragments=False)
    own, others, pairs = {}, {}, []
    for pair in filter(None, parts.query.split('&')):
        name, _, text = pair.partition('=')
        name, text = unquote_plus(name), unquote_plus(text)
        if name in SECRETS:
            raise _AddressError(f'{name} must not be in a URL, as it is a secret; pass it as a keyword')
        if name in _CONVERTERS:
            own[name] = _converted(name, text)
        else:
            others[name] = text
            pairs.append(pair)
    scheme, _, rest = url.partition('?')[0].partition(':')
    base, query = f'{scheme.lower()}:{rest}', '&'.join(pairs)
    return _Url(parts, own, others, f'{base}?{query}' if query else base)


# Keywords of backends


def _converted(name: str, text: str) -> Any:
    try:
        return _CONVERTERS[name](text)
    except (KeyError, ValueError):
        raise _AddressError(f'{quoted(text)} is not a valid value of the option {name}') from None


def _boolean(text: str) -> bool:
    return {'true': True, 'yes': True, '1': True, 'false': False, 'no': False, '0': False}[text.lower()]


def _compression(text: str) -> bool | str:
    try:
        return _boolean(text)
    except KeyError:
        return text


_NAMES: tuple[tuple[Callable[[str], Any], tuple[str, ...]], ...] = (
    (_boolean, ('cluster', 'create_table', 'decode_content', 'fast_save', 'large_items', 'sync_index', 'ttl')),
    (_boolean, ('use_cache_dir', 'use_memory', 'use_temp', 'wal')),
    (_compression, ('compression',)),
    (int, ('block_bytes', 'large_body_bytes', 'max_entries', 'max_file_bytes', 'ttl_offset')),
    (float, ('busy_timeout', 'delete_expired_after')),
    (str, ('backend', 'extension', 'max_cache_bytes', 'namespace', 'serializer')),
)
_CONVERTERS = {name: convert for convert, names in _NAMES for name in names}


# Parsing by backend


def _memory(url: _Url) -> Address:
    url.only_ours()
    return url.address('memory', url.parts.netloc or None)


def _sqlite(url: _Url) -> Address:
    url.only_ours()
    if url.parts.netloc:
        raise _AddressError('write sqlite:/// and a relative path, or sqlite://// and an absolute path')
    path = unquote(url.parts.path)[1:]
    if not path or path.endswith('/'):
        raise _AddressError('the name of the file is missing')
    return url.address('sqlite', path)


def _filesystem(url: _Url) -> Address:
    url.only_ours()
    scheme, netloc = url.parts.scheme, url.parts.netloc
    if netloc not in ('', 'localhost'):
        raise _AddressError(f'write {scheme}:/// and the absolute path of a directory')
    path = unquote(url.parts.path)
    if not path.strip('/'):
        raise _AddressError('the name of the directory is missing')
    if os.name == 'nt':
        from urllib.request import url2pathname

        path = url2pathname(url.parts.path)
    return url.address('filesystem', path)


def _redis(url: _Url) -> Address:
    database = unquote(url.parts.path).strip('/')
    if url.parts.scheme == 'unix':
        if not database:
            raise _AddressError('the path of the socket is missing')
    elif database and not (database.isascii() and database.isdigit()):
        raise _AddressError('the path must be the number of a database; use ?namespace= for the name of the cache')
    else:
        _ = url.parts.port  # raises an error if it is not a number
    return url.address('redis', None, url=url.for_driver)


def _mongodb(url: _Url) -> Address:
    scheme, _, rest = url.for_driver.partition('://')
    backend = url.own.pop('backend', scheme.removesuffix('+srv'))
    if backend not in ('mongodb', 'gridfs'):
        raise _AddressError(f'{quoted(backend)} is not a backend for MongoDB; use mongodb or gridfs')
    hosts = url.parts.netloc.rpartition('@')[2].split(',')
    if not all(_HOST.fullmatch(unquote(host)) for host in hosts):
        raise _AddressError('the host is missing; write it after mongodb://, or after the user and the password')
    database = unquote(url.parts.path).strip('/')
    if '/' in database:
        raise _AddressError('the path must be the name of a database, without a slash')
    return url.address(backend, database or None, host=f'{scheme.replace("gridfs", "mongodb")}://{rest}')


def _dynamodb(url: _Url) -> Address:
    if '@' in url.parts.netloc:
        raise _AddressError('credentials must come from the AWS configuration, the environment or ?profile_name=')
    if url.parts.path.strip('/'):
        raise _AddressError('write dynamodb:// and the name of a table, and only options after that')
    if 'region' in url.others:
        url.others['region_name'] = url.others.pop('region')
    return url.address('dynamodb', unquote(url.parts.netloc) or None, **url.others)


_URL_READERS: dict[str, Callable[[_Url], Address]] = {
    'memory': _memory,
    'sqlite': _sqlite,
    'filesystem': _filesystem,
    'redis': _redis,
    'mongodb': _mongodb,
    'gridfs': _mongodb,
    'dynamodb': _dynamodb,
}
