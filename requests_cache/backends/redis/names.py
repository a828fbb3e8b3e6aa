"""Names in Redis

The name of an entry is `NAMESPACE:KEY`. The key of a request contains no colon. So caches with the namespaces `a` and
`a:b` do not mix up their names: `a:b:KEY` belongs to `a:b`. Other keys are escaped if they contain a colon, or if their
name would be that of a hash.
"""

from __future__ import annotations

from ..._utils import lazy_pattern

REDIRECTS = 'redirects'
GLOB_CHARACTERS = lazy_pattern(rb'([*?\[\]\\])')


def encode(text: str) -> bytes:
    """Convert any text to bytes, including lone surrogates"""
    return text.encode('utf-8', 'surrogatepass')


def decode(data: bytes) -> str:
    """Undo `encode`; raises UnicodeDecodeError for other bytes"""
    return data.decode('utf-8', 'surrogatepass')


def name_of_entry(namespace: str, key: str) -> bytes:
    return encode(f'{namespace}:{_escape(key)}')


def key_of_entry(namespace: str, name: bytes) -> str | None:
    """The key in the name of an entry; None if it is not such a name in this namespace"""
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
