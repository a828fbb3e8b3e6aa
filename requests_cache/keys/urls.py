"""Splitting and normalising URLs

`canonicalize_url()` returns the same as `url_normalize()` of url-normalize 3.0.0. Cache keys depend on every character
of the result, so it must not change with the release of that package that is installed. Like that package, it splits
URLs with `urllib.parse`, which drops some characters and rejects some URLs; then the URL (or its host) is unchanged.
`split_url()` splits any text without losing a character.
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

# RFC 3986, appendix B, with a group for user information, and allowing empty schemes
_PARTS = lazy_pattern(r'(?:([^:/?#]*):)?(?://(?:([^/?#]*)@)?([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?', re.DOTALL)


class UrlParts(NamedTuple):
    """The parts of a URL, unchanged and without delimiters; None if a part is absent

    Args:
        scheme: Scheme without the colon
        userinfo: User and password, before the last `@` of the authority
        location: Host and port
        path: Everything up to the query; never None
        query: Query without the question mark
        fragment: Fragment without the hash sign
    """

    scheme: str | None
    userinfo: str | None
    location: str | None
    path: str
    query: str | None
    fragment: str | None

    def join(self) -> str:
        """Put the URL back together"""
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
    """Split any text like a URL; nothing is lost, checked or normalised"""
    match = _PARTS.fullmatch(url)
    return UrlParts(*match.groups()) if match else UrlParts(None, None, None, url, None, None)


def replace_query(url: str, replace: Callable[[str], str]) -> str:
    """Apply a function to the query of a URL; a URL that cannot be split is returned unchanged"""
    try:
        parts = urlparse(url)
        return urlunparse(parts._replace(query=replace(parts.query)))
    except ValueError:
        return url


def remove_dot_segments(path: str, merge_slashes: bool = False) -> str:
    """Resolve `.` and `..` in an absolute path (RFC 3986, section 5.2.4)

    Args:
        path: An absolute path; the first segment of a relative path is always kept
        merge_slashes: Drop empty segments too, except for a final slash; RFC 3986 would keep them
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
    """Normalise a URL; accepts any str, and never raises

    RFC 3986, section 6.2: scheme and host in lower case, no default port, percent-escapes only where needed, dot
    segments resolved. In addition, a missing scheme becomes `https`, repeated slashes are merged, and a fragment that
    starts with `!` becomes part of the query.
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
        # Imported only when needed: its tables are large, and most hosts are ASCII
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
