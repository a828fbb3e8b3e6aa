"""Checking that a stored response matches the URL and headers of a request

Requests without a body have the keys of 1.x, which are the same for some URLs of different resources: blank parameters
and repeated slashes are dropped, parameters with the same name are sorted, escapes that are part of the data are
decoded, and headers are concatenated. So the stored URL is compared as well, by rules that never confuse two resources:

- URLs are normalised by RFC 3986, sections 6.2.2 and 6.2.3: case of scheme, host and escapes, escapes of unreserved
  characters, dot segments, the default port, an empty path
- the order of parameters with different names is ignored, and they are compared after decoding
- an ignored parameter, or one that was stored as a placeholder, matches any value
- the fragment is ignored, as it is not sent
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
# Characters that are allowed in a path or query besides unreserved ones, and the percent sign of escapes
_PATH_CHARACTERS = "!$&'()*+,/:;=?@%"
_UNRESERVED = frozenset('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~')


def same_target(
    request_url: str,
    stored_url: str,
    ignored_parameters: Iterable[str] | None,
    written_by_1x: bool = False,
    exact_query: bool = False,
) -> bool:
    """Whether a request is for the same URL as a stored response

    Args:
        request_url: URL of the new request
        stored_url: URL of the stored request, without secrets
        ignored_parameters: Names of parameters whose values are ignored
        written_by_1x: The entry was written by 1.x, which stores normalised URLs; so both are compared normalised
        exact_query: Compare the parameters in their order: RFC 3986 and RFC 9110, section 4.2.3, treat the query as one
            string

    Returns:
        True if both may be the same resource, False if they certainly are not
    """
    if request_url == stored_url:
        return True
    ignored = tuple(ignored_parameters or ())
    if _is_same(request_url, stored_url, ignored, written_by_1x, exact_query):
        return True
    # Redaction finds secrets in more places than keys do
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
        _same_location(request, stored)
        and _same_user(request.userinfo or '', stored.userinfo or '')
        and same_query(request.query or '', stored.query or '', ignored_parameters)
    )


def same_headers(
    request_headers: Mapping[str, Any],
    stored_headers: Mapping[str, Any],
    match_headers: Iterable[str] | bool,
    ignored_parameters: Iterable[str] | None,
) -> bool:
    """Whether a request has the same headers as a stored response with the same key

    A key contains the matched headers concatenated, and different headers may yield the same text. If the stored
    headers yield a different text, they were changed after the key was made (by an adapter, for example), and cannot
    be compared.

    Args:
        request_headers: Headers of the new request
        stored_headers: Headers of the stored request, without secrets
        match_headers: Names of the headers to compare; True for all
        ignored_parameters: Names of headers whose values are ignored

    Returns:
        False if the headers are certainly different
    """
    if not match_headers:
        return True
    ignored = tuple(ignored_parameters or ())
    parts = matched_headers(redact_headers(request_headers, ignored), ignored, match_headers)
    text = ''.join(parts)
    if text.count('=') < 2:  # at most one header, so the text is unambiguous
        return True
    stored_parts = matched_headers(redact_headers(stored_headers, ignored), ignored, match_headers)
    return parts == stored_parts or text != ''.join(stored_parts)


def _same_location(request: UrlParts, stored: UrlParts) -> bool:
    if (request.scheme, request.location, request.path) == (stored.scheme, stored.location, stored.path):
        return True
    return _normalized_location(request) == _normalized_location(stored)


def _normalized_location(parts: UrlParts) -> tuple[str | None, str, str, str]:
    scheme = parts.scheme and parts.scheme.lower()
    path = _normalize_escapes(parts.path)
    if '/.' in path and path.startswith('/'):
        path = remove_dot_segments(path)
    return scheme, *_host_and_port(parts.location or '', scheme), path or ('/' if parts.location else '')


def _same_user(userinfo: str, stored_userinfo: str) -> bool:
    user, _, password = userinfo.partition(':')
    stored_user, _, stored_password = stored_userinfo.partition(':')
    return user == stored_user and _value_matches(password, stored_password)


def _same_fields(query: str, stored_query: str, ignored_parameters: Iterable[str] | None) -> bool:
    if query == stored_query:
        return True
    pieces, stored_pieces = query.split('&'), stored_query.split('&')
    if len(pieces) == len(stored_pieces) and all(map(_is_stored_as, pieces, stored_pieces)):
        return True
    ignored = frozenset(str(name).lower() for name in ignored_parameters or ())
    fields, stored_fields = _fields(pieces, ignored), _fields(stored_pieces, ignored)
    return len(fields) == len(stored_fields) and all(
        name == stored_name and _value_matches(value, stored_value)
        for (name, value), (stored_name, stored_value) in zip(fields, stored_fields, strict=True)
    )


def _same_pieces(query: str, stored_query: str, ignored_parameters: Iterable[str] | None) -> bool:
    if query == stored_query:
        return True
    pieces, stored_pieces = query.split('&'), stored_query.split('&')
    ignored = frozenset(str(name).lower() for name in ignored_parameters or ())
    return len(pieces) == len(stored_pieces) and all(
        _is_stored_as(piece, stored)
        or _normalize_escapes(piece) == _normalize_escapes(stored)
        or (bool(ignored) and _is_ignored_field(piece, stored, ignored))
        for piece, stored in zip(pieces, stored_pieces, strict=True)
    )


def _is_ignored_field(piece: str, stored: str, ignored: frozenset[str]) -> bool:
    (name, value), (stored_name, stored_value) = _field(piece, ignored), _field(stored, ignored)
    return name == stored_name and unquote_plus(name).lower() in ignored and _value_matches(value, stored_value)


def _is_stored_as(piece: str, stored: str) -> bool:
    """Whether a parameter was stored unchanged, or with a placeholder for its value; a fast check for most of them"""
    if piece == stored:
        return True
    name, _, value = piece.partition('=')
    return value != '' and stored == f'{name}={REDACTED}'


def _value_matches(value: str, stored: str) -> bool:
    # Redaction does not replace blank values
    return value == stored or (stored == REDACTED and value not in ('', '='))


def _fields(pieces: Iterable[str], ignored: frozenset[str]) -> list[tuple[str, str]]:
    """Names and values, sorted by name; fields with the same name keep their order"""
    return sorted((_field(piece, ignored) for piece in pieces if piece), key=itemgetter(0))


def _host_and_port(location: str, scheme: str | None) -> tuple[str, str]:
    match = _PORT.fullmatch(location)
    host, port = (match[1], match[2] or '') if match else (location, '')
    port = port.lstrip('0') or port[:1]
    return host.lower(), '' if port == str(DEFAULT_PORTS.get(scheme or '')) else port


def _normalize_escapes(text: str) -> str:
    """Escapes in upper case, and only where they are needed; malformed escapes are unchanged"""
    if '%' in text:
        text = _ESCAPE.sub(_normalize_escape, text)
    return quote(text, _PATH_CHARACTERS, errors='surrogatepass')


def _normalize_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _field(piece: str, ignored: frozenset[str]) -> tuple[str, str]:
    """Name and value of a parameter, normalised; the value is `=` if it is blank, and empty if there is no `=`"""
    name, separator, value = piece.partition('=')
    if value and ignored and unquote_plus(name).lower() in ignored:
        value = REDACTED
    return _normalize_field(name), _normalize_field(value) if value else separator


def _normalize_field(text: str) -> str:
    # Malformed text is kept unchanged, so that it differs from any well-formed text
    if BAD_ESCAPE.search(text):
        return text
    return quote(unquote_to_bytes(text.replace('+', ' ').encode('utf-8', 'surrogatepass')), safe='')
