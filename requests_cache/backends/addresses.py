"""Parsing the URLs of caches: backend, cache name and options

    memory:
    sqlite:///relative.sqlite           sqlite:////absolute/path.sqlite      as SQLAlchemy writes it
    file:///path/of/a/directory/        filesystem:///path/of/a/directory
    redis://user:password@host:6379/0   rediss://…, unix:///path/of/a/socket
    mongodb://host/database             mongodb+srv://…, gridfs://…, gridfs+srv://…
    dynamodb://table

The query holds keywords of the backend, such as `?namespace=x` or `?wal=true`, or of its driver's client. This module
only parses URLs; it opens nothing.
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
    """The parsed URL of a cache

    Args:
        backend: Name of the backend
        cache_name: Path, database, table or namespace; None if the URL does not contain it
        options: Keywords of the backend
        option_names: Names of all options in the URL, including those for the driver
        shown: The URL without its secrets, for messages
    """

    backend: str
    cache_name: str | None
    options: dict[str, Any]
    option_names: tuple[str, ...]
    shown: str


def scheme_of(text: object) -> str | None:
    """The scheme of a URL, whether it is known or not; None if the text is not a URL"""
    match = _URL.fullmatch(text) if isinstance(text, str) else None
    return (match[1] or match[2]).lower() if match else None


def parse_address(url: str) -> Address:
    """Parse the URL of a cache

    Raises:
        ValueError: It is not the URL of a cache, or it is invalid; the message contains no secrets
    """
    scheme, shown = scheme_of(url), _shown(url)
    if scheme not in SCHEMES:
        known = ', '.join(f'{name}:' for name in SCHEMES)
        raise ValueError(f'{shown} is not the URL of a cache; use a URL that begins with one of: {known}')
    try:
        address = _URL_READERS[SCHEMES[scheme]](_split_url(url))
    except _AddressError as e:
        raise ValueError(f'{shown}: {e}') from None
    except ValueError:  # its message may quote a part of a password
        raise ValueError(f'{shown} is not a valid URL; percent-encode its special characters') from None
    return address._replace(shown=shown)


def path_address(path: str) -> Address:
    """The address of a path: a file cache if it is a directory or ends with a slash, otherwise SQLite"""
    is_directory = path.endswith(('/', os.sep)) or os.path.isdir(path)
    return Address('filesystem' if is_directory else 'sqlite', path, {}, (), path)


def _shown(url: str) -> str:
    """A URL without its secrets; as a password may contain unescaped characters, it extends to the last `@`"""
    before, slashes, rest = url.partition('://')
    userinfo, at, location = rest.rpartition('@')
    if not at:
        return shown_url(url)
    user = userinfo.partition(':')[0]
    name = f'{user}:' if user != userinfo and _WORD.fullmatch(user) else ''
    return shown_url(f'{before}{slashes}{name}{REDACTED}@{location}')


class _AddressError(ValueError):
    """What is wrong with a URL; the message contains no secrets"""


def quote_word(text: str) -> str:
    """Quote a name or value for a message if it is a single word; other text may be a part of an unescaped password"""
    return repr(text) if _WORD.fullmatch(text) else 'some text'


class _Url(NamedTuple):
    """A split URL

    Args:
        parts: The result of `urlsplit`
        own: Our own keywords, with converted values
        others: Options for the driver, which converts their values itself
        for_driver: The URL without our own options
    """

    parts: SplitResult
    own: dict[str, Any]
    others: dict[str, str]
    for_driver: str

    def address(self, backend: str, cache_name: str | None, **options: Any) -> Address:
        return Address(backend, cache_name, {**self.own, **options}, (*self.own, *self.others), '')

    def reject_driver_options(self) -> None:
        if self.others:
            raise _AddressError(f'there is no option {quote_word(next(iter(self.others)))}')


def _split_url(url: str) -> _Url:
    parts = urlsplit(url, allow_fragments=False)
    own, others, pairs = {}, {}, []
    for pair in filter(None, parts.query.split('&')):
        name, _, text = pair.partition('=')
        name, text = unquote_plus(name), unquote_plus(text)
        if name in SECRETS:
            raise _AddressError(f'{name} is too secret for a URL; pass it as a keyword')
        if name in _CONVERTERS:
            own[name] = _convert(name, text)
        else:
            others[name] = text
            pairs.append(pair)
    scheme, _, rest = url.partition('?')[0].partition(':')
    base, query = f'{scheme.lower()}:{rest}', '&'.join(pairs)
    return _Url(parts, own, others, f'{base}?{query}' if query else base)


# Converting our own options


def _convert(name: str, text: str) -> Any:
    try:
        return _CONVERTERS[name](text)
    except (KeyError, ValueError):
        raise _AddressError(f'{quote_word(text)} is not a valid value of the option {name}') from None


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


# The URLs of each backend


def _memory(url: _Url) -> Address:
    url.reject_driver_options()
    return url.address('memory', url.parts.netloc or None)


def _sqlite(url: _Url) -> Address:
    url.reject_driver_options()
    if url.parts.netloc:
        raise _AddressError('use sqlite: with three slashes before a relative path, or four before an absolute one')
    path = unquote(url.parts.path)[1:]
    if not path or path.endswith('/'):
        raise _AddressError('the path of the file is missing')
    return url.address('sqlite', path)


def _filesystem(url: _Url) -> Address:
    url.reject_driver_options()
    scheme, netloc = url.parts.scheme, url.parts.netloc
    if netloc not in ('', 'localhost'):
        raise _AddressError(f'use {scheme}: with three slashes and the absolute path of a directory')
    path = unquote(url.parts.path)
    if not path.strip('/'):
        raise _AddressError('the path of the directory is missing')
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
        raise _AddressError('the path must be the number of a database; name a cache with ?namespace=')
    else:
        _ = url.parts.port  # raises an error if it is not a number
    return url.address('redis', None, url=url.for_driver)


def _mongodb(url: _Url) -> Address:
    scheme, _, rest = url.for_driver.partition('://')
    backend = url.own.pop('backend', scheme.removesuffix('+srv'))
    if backend not in ('mongodb', 'gridfs'):
        raise _AddressError(f'{quote_word(backend)} is not a backend for MongoDB; use mongodb or gridfs')
    hosts = url.parts.netloc.rpartition('@')[2].split(',')
    if not all(_HOST.fullmatch(unquote(host)) for host in hosts):
        raise _AddressError('the names of hosts must follow mongodb://, or the user and password')
    database = unquote(url.parts.path).strip('/')
    if '/' in database:
        raise _AddressError('the path must be the name of a database, without slashes')
    return url.address(backend, database or None, host=f'{scheme.replace("gridfs", "mongodb")}://{rest}')


def _dynamodb(url: _Url) -> Address:
    if '@' in url.parts.netloc:
        raise _AddressError(
            'credentials are not accepted here; use the AWS configuration, the environment or ?profile_name='
        )
    if url.parts.path.strip('/'):
        raise _AddressError('only the name of a table may follow dynamodb://, and options after a question mark')
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
