"""Whether a stored response is one for the URL and headers of a request

Keys of requests without a body are those of 1.x, which spell some URLs of different resources alike: they drop blank
parameters and repeated slashes, sort parameters of equal names, decode escapes that are part of the data, and put
headers one after another. So what an entry was stored for is compared, too, by rules that never take different
resources for one:

- RFC 3986, section 6.2.2 and 6.2.3: case of scheme, host and escapes, escapes of unreserved characters, dot segments,
  the default port, an empty path
- parameters of different names may change places, and are compared as servers decode them
- what is ignored, and what was stored as a placeholder, agrees with any value
- the fragment is not sent
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any
from urllib.parse import quote, unquote_plus, unquote_to_bytes

from .._utils import lazy_pattern
from ..cache_keys import matched_headers, normalize_url
from .bodies import BAD_ESCAPE, REDACTED
from .redaction import redact_headers, redact_url
from .urls import DEFAULT_PORTS, UrlParts, remove_dot_segments, split_url

_ESCAPE = lazy_pattern(r'%([0-9A-Fa-f]{2})')
_PORT = lazy_pattern(r'(.*?)(?::([0-9]*))?', re.DOTALL)
# All that may stand in a path or query besides unreserved characters, and the sign of an escape
_PATH_CHARACTERS = "!$&'()*+,/:;=?@%"
_UNRESERVED = frozenset('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~')


def same_target(
    request_url: str,
    stored_url: str,
    ignored_parameters: Iterable[str] | None,
    written_by_1x: bool = False,
    exact_query: bool = False,
) -> bool:
    """Whether a stored response can be one for a URL, judged by the URL that it was stored for

    Args:
        request_url: URL of the request that is to be answered
        stored_url: URL of the request that was answered, as it was stored: without secrets
        ignored_parameters: Names whose values do not count
        written_by_1x: The entry was written by 1.x, which stores URLs normalised; what it normalises to the same URL is
            the same
        exact_query: Parameters are part of the identifier as they are, in their order, by RFC 3986 and RFC 9110,
            section 4.2.3, which know no parameters

    Returns:
        True if it can be the same resource, False if it certainly is not
    """
    if request_url == stored_url:
        return True
    ignored = tuple(ignored_parameters or ())
    if _is_same(request_url, stored_url, ignored, written_by_1x, exact_query):
        return True
    # Redaction knows more places of secrets than keys do
    redacted, stored_redacted = redact_url(request_url, ignored), redact_url(stored_url, ignored)
    return (redacted, stored_redacted) != (request_url, stored_url) and (
        redacted == stored_redacted or _is_same(redacted, stored_redacted, ignored, written_by_1x, exact_query)
    )


def _is_same(
    request_url: str, stored_url: str, ignored_parameters: tuple[str, ...], written_by_1x: bool, exact_query: bool
) -> bool:
    if written_by_1x:
        return normalize_url(request_url, ignored_parameters) == normalize_url(stored_url, ignored_parameters)
    request, stored = split_url(request_url), split_url(stored_url)
    same_query = _same_pieces if exact_query else _same_fields
    return (
        _same_place(request, stored)
        and _same_user(request.userinfo or '', stored.userinfo or '')
        and same_query(request.query or '', stored.query or '', ignored_parameters)
    )


def same_headers(
    request_headers: Mapping[str, Any],
    stored_headers: Mapping[str, Any],
    match_headers: Iterable[str] | bool,
    ignored_parameters: Iterable[str] | None,
) -> bool:
    """Whether a response that is stored under the key of a request can be one for its headers

    A key holds the matched headers as one text, which different headers may have in common. Headers that have another
    text today were changed after the key was made (by an adapter, say), and do not tell what was asked for.

    Args:
        request_headers: Headers of the request that is to be answered
        stored_headers: Headers of the request that was answered, as they were stored: without secrets
        match_headers: Names of the headers that count; True for all
        ignored_parameters: Names whose values do not count

    Returns:
        False if the headers are certainly different ones
    """
    if not match_headers:
        return True
    ignored = tuple(ignored_parameters or ())
    parts = matched_headers(redact_headers(request_headers, ignored), ignored, match_headers)
    text = ''.join(parts)
    if text.count('=') < 2:  # there is only one way to take it apart
        return True
    stored_parts = matched_headers(redact_headers(stored_headers, ignored), ignored, match_headers)
    return parts == stored_parts or text != ''.join(stored_parts)


def _same_place(request: UrlParts, stored: UrlParts) -> bool:
    if (request.scheme, request.location, request.path) == (stored.scheme, stored.location, stored.path):
        return True
    return _place(request) == _place(stored)


def _place(parts: UrlParts) -> tuple[str | None, str, str, str]:
    scheme = parts.scheme and parts.scheme.lower()
    path = _unify_escapes(parts.path)
    if '/.' in path and path.startswith('/'):
        path = remove_dot_segments(path)
    return scheme, *_host_and_port(parts.location or '', scheme), path or ('/' if parts.location else '')


def _same_user(userinfo: str, stored_userinfo: str) -> bool:
    user, _, password = userinfo.partition(':')
    stored_user, _, stored_password = stored_userinfo.partition(':')
    return user == stored_user and _agrees(password, stored_password)


def _same_fields(query: str, stored_query: str, ignored_parameters: Iterable[str] | None) -> bool:
    if query == stored_query:
        return True
    pieces, stored_pieces = query.split('&'), stored_query.split('&')
    if len(pieces) == len(stored_pieces) and all(map(_is_stored_as, pieces, stored_pieces)):
        return True
    ignored = frozenset(str(name).lower() for name in ignored_parameters or ())
    fields, stored_fields = _fields(pieces, ignored), _fields(stored_pieces, ignored)
    return len(fields) == len(stored_fields) and all(
        name == stored_name and _agrees(value, stored_value)
        for (name, value), (stored_name, stored_value) in zip(fields, stored_fields, strict=True)
    )


def _same_pieces(query: str, stored_query: str, ignored_parameters: Iterable[str] | None) -> bool:
    if query == stored_query:
        return True
    pieces, stored_pieces = query.split('&'), stored_query.split('&')
    ignored = frozenset(str(name).lower() for name in ignored_parameters or ())
    return len(pieces) == len(stored_pieces) and all(
        _is_stored_as(piece, stored)
        or _unify_escapes(piece) == _unify_escapes(stored)
        or (bool(ignored) and _is_ignored_field(piece, stored, ignored))
        for piece, stored in zip(pieces, stored_pieces, strict=True)
    )


def _is_ignored_field(piece: str, stored: str, ignored: frozenset[str]) -> bool:
    (name, value), (stored_name, stored_value) = _field(piece, ignored), _field(stored, ignored)
    return name == stored_name and unquote_plus(name).lower() in ignored and _agrees(value, stored_value)


def _is_stored_as(piece: str, stored: str) -> bool:
    """Whether a parameter was stored as it is, or with a placeholder for its value; what most of them are"""
    if piece == stored:
        return True
    name, _, value = piece.partition('=')
    return value != '' and stored == f'{name}={REDACTED}'


def _agrees(value: str, stored: str) -> bool:
    # A blank value is no secret, and is not replaced
    return value == stored or (stored == REDACTED and value not in ('', '='))


def _fields(pieces: Iterable[str], ignored: frozenset[str]) -> list[tuple[str, str]]:
    """Names and values, sorted by name; those of equal names keep their order"""
    return sorted((_field(piece, ignored) for piece in pieces if piece), key=itemgetter(0))


def _host_and_port(location: str, scheme: str | None) -> tuple[str, str]:
    match = _PORT.fullmatch(location)
    host, port = (match[1], match[2] or '') if match else (location, '')
    port = port.lstrip('0') or port[:1]
    return host.lower(), '' if port == str(DEFAULT_PORTS.get(scheme or '')) else port


def _unify_escapes(text: str) -> str:
    """Escapes in upper case, and only where they are needed; those that are none stay as they are"""
    if '%' in text:
        text = _ESCAPE.sub(_unify_escape, text)
    return quote(text, _PATH_CHARACTERS, errors='surrogatepass')


def _unify_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _field(piece: str, ignored: frozenset[str]) -> tuple[str, str]:
    """Name and value of a parameter in one spelling; only a name that is not followed by `=` has no value"""
    name, separator, value = piece.partition('=')
    if value and ignored and unquote_plus(name).lower() in ignored:
        value = REDACTED
    return _unify_field(name), _unify_field(value) if value else separator


def _unify_field(text: str) -> str:
    # What is malformed is kept as written, and so differs from all that is well-formed
    if BAD_ESCAPE.search(text):
        return text
    return quote(unquote_to_bytes(text.replace('+', ' ').encode('utf-8', 'surrogatepass')), safe='')
