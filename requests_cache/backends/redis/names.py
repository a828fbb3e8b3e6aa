"""Names in Redis

The name of an entry is `NAMESPACE:KEY`. The key of a request contains no colon, so that names in different namespaces
are distinct: `a:b:KEY` belongs to the namespace `a:b`, not to `a`. Custom keys are escaped if they contain a colon, or
if the name would be that of a hash.
"""

from __future__ import annotations

from ..._utils import lazy_pattern

REDIRECTS = 'redirects'
GLOB_CHARACTERS = lazy_pattern(rb'([*?\[\]\\])')


def encode(text: str) -> bytes:
    """Encode any text, including lone surrogates"""
    return text.encode('utf-8', 'surrogatepass')


def decode(data: bytes) -> str:
    """Decode the result of `encode`; raises UnicodeDecodeError for other data"""
    return data.decode('utf-8', 'surrogatepass')


def name_of_entry(namespace: str, key: str) -> bytes:
    return encode(f'{namespace}:{_escape(key)}')


def key_of_entry(namespace: str, name: bytes) -> str | None:
    """The key in a name; None if the name does not belong to this namespace"""
    prefix = encode(f'{namespace}:')
    if not name.startswith(prefix):
        return None
    try:
        escaped = decode(name[len(prefix) :])
    except UnicodeDecodeError:
        return None
    key = _unescape(escaped)
    return key if _escape(key) == escaped else None


def pattern_of(prefix: bytes) -> bytes:
    """A glob pattern that matches all names with a prefix"""
    return GLOB_CHARACTERS.sub(rb'\\\1', prefix) + b'*'


def _escape(key: str) -> str:
    if ':' in key or key.startswith('%') or key.endswith(f'-{REDIRECTS}'):
        return '%' + key.replace('%', '%25').replace(':', '%3A').replace('-', '%2D')
    return key


def _unescape(escaped: str) -> str:
    if not escaped.startswith('%'):
        return escaped
    return escaped[1:].replace('%3A', ':').replace('%2D', '-').replace('%25', '%')
