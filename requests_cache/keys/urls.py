"""One spelling for equivalent URLs, equal to what `url_normalize()` of url-normalize 3.0.0 gives.

Cache keys depend on every character of the result, so this is kept apart from whichever release of that package may be
installed. Splitting and joining are left to `urllib.parse`. Where 3.0.0 raises, the URL (or its host) is left as it is.
"""

from __future__ import annotations

import re
from unicodedata import normalize
from urllib.parse import quote, unquote, urlsplit, urlunsplit

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
    return _resolve_dot_segments(path) if scheme in HIERARCHICAL_SCHEMES else path


def _resolve_dot_segments(path: str) -> str:
    """Resolve `.` and `..` and merge slashes; unlike RFC 3986, section 5.2.4, `..` never removes a leading segment"""
    segments = path.split('/')
    resolved: list[str] = []
    for segment in segments:
        if segment == '..':
            if len(resolved) > 1:
                resolved.pop()
        elif segment != '.' and (segment or not resolved):
            resolved.append(segment)
    if segments[-1] in ('', '.', '..'):
        resolved.append('')
    return '/'.join(resolved)


def _canonical_query(query: str) -> str:
    return '&'.join(_canonical_parameter(piece) for piece in query.split('&') if piece)


def _canonical_parameter(piece: str) -> str:
    name, _, value = piece.partition('=')
    name = _requote(name, QUERY_SAFE)
    return f'{name}={_requote(value, QUERY_SAFE)}' if value else name


def _requote(text: str, safe: str) -> str:
    return quote(normalize('NFC', unquote(text)), safe) if text else ''
