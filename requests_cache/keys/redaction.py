"""Keeping secrets out of what is stored

Names of secrets (`ignored_parameters`) are compared without regard to case, wherever they occur: headers, fields of
queries, fragments and forms, members of JSON documents at any depth, cookies. All that is not secret stays as it is,
character for character. Blank values hide nothing and stay, too.

The key of a redacted request equals that of the original, except where this goes further than keys do:

- passwords in URLs, and parameters in fragments
- names that differ in case from the ignored ones
- JSON members below the first level or outside of `content_root_key`
- JSON documents that count byte by byte, as they are not valid, repeat a name, or are too long
- URLs in `Referer`, where that header is matched
- JSON documents and forms that are parts of a multipart document
- bodies, where `Content-Type` is ignored; cookies with an ignored name, where the `Cookie` header is matched
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from json import detect_encoding
from typing import Any, TypeVar

from requests.cookies import RequestsCookieJar

from .._utils import lazy_pattern
from ..models.request import AnyPreparedRequest, CachedRequest
from ..models.response import CachedResponse
from .bodies import (
    REDACTED,
    IsSecret,
    content_type,
    is_form,
    is_json,
    is_multipart,
    media_type,
    redact_pairs,
    redact_part,
    split_multipart,
)

Names = frozenset[str]
H = TypeVar('H', bound=Mapping[str, Any])

AUTHORITY = lazy_pattern(r'^([^/?#:]*:)?//[^/?#]*')
COOKIE_PAIR = lazy_pattern(r'(^\s*|,\s*)([^\s=;,]+)(\s*=\s*)("[^"]*"|(?:(?!,\s*[^\s=;,]+=)[^;])+)')
# A string without an end goes on to that of the text; to begin anew at each quote in it would take forever
JSON_STRING = lazy_pattern(r'("(?:[^"\\]|\\.)*(?:"|\\?\Z))(\s*:\s*)?', re.DOTALL)
JSON_TOKEN = lazy_pattern(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
PART_TYPE = lazy_pattern(rb'^content-type:[ \t]*([^\r\n]*)', re.IGNORECASE | re.MULTILINE)
URL_PARTS = lazy_pattern(r'([^?#]*)(?:\?([^#]*))?(?:#(.*))?', re.DOTALL)
URL_HEADERS = frozenset({'content-location', 'location', 'referer'})
_SPECIAL_HEADERS = URL_HEADERS | {'cookie', 'set-cookie'}


def redact_response(response: CachedResponse, ignored_parameters: Iterable[str] | None) -> CachedResponse:
    """Replace the values of secrets in a response that is about to be stored, and in its requests and history

    The response itself is changed, and returned; objects that it shares with others are replaced, not changed. With no
    ignored parameters nothing is done.
    """
    names = _secret_names(ignored_parameters)
    if names:
        _redact_response(response, names)
    return response


def redact_url(url: str, ignored_parameters: Iterable[str] | None) -> str:
    """Replace the password and the values of ignored parameters in a URL"""
    redacted: str = _redact_url(url, _secret_names(ignored_parameters))
    return redacted


def redact_headers(headers: H, ignored_parameters: Iterable[str] | None) -> H:
    """A copy of some headers, of the same type and in the same order, with values of secrets replaced

    Besides headers with an ignored name, these are URLs in `Location`, `Content-Location` and `Referer`, and
    cookies with an ignored name in `Cookie` and `Set-Cookie`.
    """
    names = _secret_names(ignored_parameters)
    return type(headers)(_redact_fields(headers.items(), names))  # type: ignore[call-arg]


def _secret_names(ignored_parameters: Iterable[str] | None) -> Names:
    return frozenset(str(name).lower() for name in ignored_parameters or ())


def _redact_response(response: CachedResponse, names: Names) -> None:
    if '_record' in response.__dict__:
        response._materialize()
    response.__dict__.pop('_raw', None)
    response.url = _redact_url(response.url, names)
    if response.headers is not None:
        response.headers = type(response.headers)(_redact_fields(response.headers.items(), names))
    if response._header_fields:
        response._header_fields = tuple(_redact_fields(response._header_fields, names))
    response.cookies = _redact_cookies(response.cookies, names, 'set-cookie')
    if response.request is not None:
        response.request = _redact_request(response.request, names)
    if response._next is not None:
        response._next = _redact_request(response._next, names)
    response.history = [CachedResponse.from_response(earlier) for earlier in response.history]
    for earlier in response.history:
        _redact_response(earlier, names)


def _redact_request(original: AnyPreparedRequest, names: Names) -> CachedRequest:
    if not isinstance(original, CachedRequest):
        original = CachedRequest.from_request(original)
    headers = original.headers
    return CachedRequest(
        body=_redact_body(original.body, headers, names) if original.body else b'',
        cookies=_redact_cookies(original.cookies, names, 'cookie').copy(),
        headers=type(headers)(_redact_fields(headers.items(), names)),
        method=original.method,
        url=_redact_url(original.url, names),
    )


def _redact_url(url: Any, names: Names) -> Any:
    match = URL_PARTS.fullmatch(url) if names and isinstance(url, str) else None
    if match is None:
        return url
    start, query, fragment = match.groups()
    if '@' in start:
        start = AUTHORITY.sub(lambda authority: _redact_password(authority[0]), start)
    if query is not None:
        start += '?' + redact_pairs(query, _tester(names))
    if fragment is not None:
        start += '#' + redact_pairs(fragment, _tester(names))
    return start


def _redact_password(authority: str) -> str:
    before, slashes, location = authority.partition('//')
    userinfo, at, host = location.rpartition('@')
    user, colon, password = userinfo.partition(':')
    return f'{before}{slashes}{user}{colon}{REDACTED}{at}{host}' if password else authority


def _redact_fields(fields: Iterable[tuple[str, Any]], names: Names) -> list[tuple[str, Any]]:
    watched = names | _SPECIAL_HEADERS
    return [(n, _redact_field(n.lower(), v, names) if n.lower() in watched else v) for n, v in fields]


def _redact_field(lower_name: str, value: Any, names: Names) -> Any:
    if lower_name in names:
        return REDACTED
    if lower_name in URL_HEADERS:
        return _redact_url(value, names)
    text = value.decode('latin-1') if isinstance(value, bytes) else str(value)
    return _redact_cookie_header(text, names) if lower_name == 'cookie' else _redact_set_cookie(text, names)


def _redact_cookie_header(value: str, names: Names) -> str:
    return ';'.join(_redact_set_cookie(piece, names) for piece in value.split(';'))


def _redact_set_cookie(value: str, names: Names) -> str:
    """Redact one `Set-Cookie` value, or several joined with commas"""

    def redact(match: re.Match[str]) -> str:
        secret = match[2].lower() in names
        return match[1] + match[2] + match[3] + REDACTED if secret else match[0]

    return COOKIE_PAIR.sub(redact, value)


def _redact_cookies(cookies: RequestsCookieJar, names: Names, header: str) -> RequestsCookieJar:
    def is_secret(name: str) -> bool:
        return header in names or name.lower() in names

    if not any(is_secret(cookie.name) for cookie in cookies):
        return cookies
    redacted = RequestsCookieJar()
    redacted.update(cookies)
    for cookie in redacted:
        if cookie.value and is_secret(cookie.name):
            cookie.value = REDACTED
    return redacted


def _redact_body(body: bytes, headers: Mapping[str, Any], names: Names) -> bytes:
    media = media_type(headers).strip()
    if is_json(media):
        return _redact_json_bytes(body, names)
    if is_form(media):
        return redact_pairs(body.decode('utf-8', 'surrogateescape'), _tester(names)).encode('utf-8', 'surrogateescape')
    if is_multipart(media) and (document := split_multipart(body, content_type(headers))):
        delimiter, parts = document
        return delimiter.join(_redact_part(part, names) for part in parts)
    return body


def _redact_part(part: bytes, names: Names) -> bytes:
    """Redact a part of a multipart document by its name, or what it holds by its own type"""
    redacted = redact_part(part, _tester(names))
    head, blank_line, content = redacted.partition(b'\r\n\r\n')
    part_type = PART_TYPE.search(head)
    if part_type is None:
        return redacted
    headers = {'Content-Type': part_type[1].decode('latin-1')}
    # One within another is left as it is
    return redacted if is_multipart(media_type(headers)) else head + blank_line + _redact_body(content, headers, names)


def _redact_json_bytes(body: bytes, names: Names) -> bytes:
    encoding: str = detect_encoding(body)
    try:
        text = body.decode(encoding, 'surrogatepass')
    except UnicodeDecodeError:
        encoding = 'latin-1'
        text = body.decode(encoding)
    redacted = _redact_json(text, names)
    return body if redacted == text else redacted.encode(encoding, 'surrogatepass')


def _redact_json(text: str, names: Names) -> str:
    """Replace the values of secret members at any depth, leaving the rest of the text as it is written"""
    if '\\' not in text and not any(name in text.lower() for name in names):
        return text
    pieces: list[str] = []
    copied = position = 0
    while match := JSON_STRING.search(text, position):
        position = match.end()
        if match[2] is not None and _decode_json_string(match[1]).lower() in names:
            pieces += [text[copied:position], f'"{REDACTED}"']
            copied = position = _end_of_json_value(text, position)
    return ''.join([*pieces, text[copied:]])


def _decode_json_string(text: str) -> str:
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        return text


def _end_of_json_value(text: str, start: int) -> int:
    depth = 0
    for token in JSON_TOKEN.finditer(text, start):
        depth += {'[': 1, '{': 1, ']': -1, '}': -1}.get(token[0], 0)
        if depth < 0 or (depth == 0 and token[0] == ','):
            return start + len(text[start : token.start()].rstrip())
        if depth == 0:
            return token.end()
    return len(text)


def _tester(names: Names) -> IsSecret:
    return lambda name: name.lower() in names
