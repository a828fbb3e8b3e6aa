"""Taking URLs apart, and giving equivalent ones the same spelling

`canonicalize_url()` gives what `url_normalize()` of url-normalize 3.0.0 gives. Cache keys depend on every character of
the result, so this is kept apart from whichever release of that package may be installed. It splits URLs as that does,
by `urllib.parse`, which drops some characters and refuses some URLs; then the URL (or its host) is left as it is.
`split_url()` takes any text apart without losing a character.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple
from unicodedata import normalize
from urllib.parse import quote, unquote, urlparse, urlsplit, urlunparse, urlunsplit

from .._utils import lazy_pattern

DEFAULT_PORTS = {
    'ftp': 21,
    'gopher': 70,
    'http': 80,
    'https': 443,
    'news': 119,
    'nntp': 119,
    'snews': 563,
    'snntp': 563,
    'telnet': 23,
    'ws': 80,
    'wss': 443,
}
HIERARCHICAL_SCHEMES = frozenset({'', 'file', 'ftp', 'http', 'https'})
LEADING_SLASHES = lazy_pattern(r'^(https?|ftp):/*', re.IGNORECASE)
SCHEME_SEARCH_LENGTH = 7

PATH_SAFE = "!#$&'()*+,/:;=@[]"
QUERY_SAFE = "!$'()*+,/:;?@[]"
FRAGMENT_SAFE = '='

# RFC 3986, appendix B, with user information apart from host and port, and with schemes that are empty
_PARTS = lazy_pattern(r'(?:([^:/?#]*):)?(?://(?:([^/?#]*)@)?([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?', re.DOTALL)


class UrlParts(NamedTuple):
    """The parts of a URL as they are written, without the delimiters; None is absent

    Args:
        scheme: Without the colon
        userinfo: User and password, before the last `@` of the authority
        location: Host and port
        path: Everything up to the query; it can be empty, but not absent
        query: Without the question mark
        fragment: Without the hash sign
    """

    scheme: str | None
    userinfo: str | None
    location: str | None
    path: str
    query: str | None
    fragment: str | None

    def join(self) -> str:
        """The URL again"""
        return ''.join(
            (
                '' if self.scheme is None else f'{self.scheme}:',
                '' if self.location is None else '//',
                '' if self.userinfo is None else f'{self.userinfo}@',
                self.location or '',
                self.path,
                '' if self.query is None else f'?{self.query}',
                '' if self.fragment is None else f'#{self.fragment}',
            )
        )


def split_url(url: str) -> UrlParts:
    """Split any text as a URL; nothing is lost, checked or unified"""
    match = _PARTS.fullmatch(url)
    return UrlParts(*match.groups()) if match else UrlParts(None, None, None, url, None, None)


def replace_query(url: str, replace: Callable[[str], str]) -> str:
    """A URL with its query replaced by what a function makes of it; the URL itself if it is none that can be split"""
    try:
        parts = urlparse(url)
        return urlunparse(parts._replace(query=replace(parts.query)))
    except ValueError:
        return url


def remove_dot_segments(path: str, merge_slashes: bool = False) -> str:
    """Resolve `.` and `..` in an absolute path (RFC 3986, section 5.2.4)

    Args:
        path: An absolute path. The first segment of any other is kept like the empty one before the first slash.
        merge_slashes: Drop empty segments, which are segments like others by RFC 3986; only a final slash stays
    """
    segments = path.split('/')
    kept: list[str] = []
    for segment in segments:
        if segment == '..':
            if len(kept) > 1:
                kept.pop()
        elif segment != '.' and (segment or not kept or not merge_slashes):
            kept.append(segment)
    if segments[-1] in ('.', '..') or (merge_slashes and not segments[-1]):
        kept.append('')
    return '/'.join(kept)


def canonicalize_url(url: str) -> str:
    """Get the canonical spelling of a URL; of any str, without raising.

    RFC 3986, section 6.2: scheme and host in lower case, no default port, percent-escapes only where needed, dot
    segments resolved. Beyond that: a missing scheme becomes `https`, repeated slashes are merged, and a fragment that
    starts with `!` moves to the query.
    """
    if not url:
        return ''
    try:
        scheme, netloc, path, query, fragment = urlsplit(_clean(_add_scheme(url)))
        return urlunsplit(
            (
                scheme,
                _canonical_netloc(netloc, scheme),
                _canonical_path(path, scheme),
                _canonical_query(query),
                _requote(fragment, FRAGMENT_SAFE),
            )
        )
    except ValueError:
        return url


def _add_scheme(url: str) -> str:
    if ':' in url[:SCHEME_SEARCH_LENGTH] or url == '-':
        return url
    if url.startswith('//'):
        return f'https:{url}'
    return url if url.startswith('/') else f'https://{url}'


def _clean(url: str) -> str:
    url = url.replace('#!', '?_escaped_fragment_=')
    url = LEADING_SLASHES.sub(r'\1://', url)
    return url.rstrip('?& ').strip()


def _canonical_netloc(netloc: str, scheme: str) -> str:
    head, at, tail = netloc.partition('@')
    userinfo, location = (head + at, tail) if at else ('', head)
    if userinfo in ('@', ':@'):
        userinfo = ''
    host, _, port = location.partition(':')
    host = _canonical_host(host)
    if port.isdecimal():
        port = '' if int(port) == DEFAULT_PORTS.get(scheme) else str(int(port))
    return f'{userinfo}{host}:{port}' if port else userinfo + host


def _canonical_host(host: str) -> str:
    host = '.'.join(label for label in host.lower().split('.') if label)
    return host if host.isascii() else _idna_encode(host)


def _idna_encode(host: str) -> str:
    labels = host.split('.')
    try:
        # Loaded when the first such host is met: its tables are large and most hosts are ASCII
        import idna

        return '.'.join(idna.encode(label, uts46=True).decode('ascii') for label in labels)
    except (ImportError, UnicodeError):
        pass
    try:
        return '.'.join(label.encode('idna').decode('ascii') for label in labels)
    except UnicodeError:
        return host


def _canonical_path(path: str, scheme: str) -> str:
    path = _requote(path, PATH_SAFE)
    return remove_dot_segments(path, merge_slashes=True) if scheme in HIERARCHICAL_SCHEMES else path


def _canonical_query(query: str) -> str:
    return '&'.join(_canonical_parameter(piece) for piece in query.split('&') if piece)


def _canonical_parameter(piece: str) -> str:
    name, _, value = piece.partition('=')
    name = _requote(name, QUERY_SAFE)
    return f'{name}={_requote(value, QUERY_SAFE)}' if value else name


def _requote(text: str, safe: str) -> str:
    return quote(normalize('NFC', unquote(text)), safe) if text else ''
