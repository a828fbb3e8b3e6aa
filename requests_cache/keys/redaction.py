"""Removing secrets from responses before they are stored

Secrets are found by their names (`ignored_parameters`), ignoring case, in: headers, cookies, parameters of paths,
queries, fragments and forms, members of JSON documents at any depth, XML elements and attributes. Everything else is
stored unchanged, character for character. Blank values are unchanged too.

Bodies are read by their `Content-Type`. JSON and forms are also recognised if they have a different type, or none.

The key of a redacted request equals that of the original, unless the secret is in a place where keys do not ignore it:

- passwords in URLs, parameters in paths and fragments, and those after `;` or within the value of another parameter
- names that differ in case from the ignored ones, and names with brackets, like `api_key[]`
- JSON members below the first level or outside of `content_root_key`
- JSON documents that are compared byte by byte because they are invalid, repeat a name, are too long, or have a type
  other than `application/*json*`; XML; forms of a different type
- URLs in `Referer` and other headers, if these headers are matched
- JSON documents and forms that are parts of a multipart document; multipart documents other than `multipart/form-data`
- bodies, if `Content-Type` is ignored; cookies with an ignored name, if the `Cookie` header is matched
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF32_BE
from collections.abc import Iterable, Iterator, Mapping
from json import detect_encoding
from typing import Any, TypeVar

from requests.cookies import RequestsCookieJar

from .._utils import lazy_pattern
from ..models.request import AnyPreparedRequest, CachedRequest
from ..models.response import CachedResponse
from .bodies import REDACTED, content_type, is_form, media_type, redact_part, split_multipart, split_part
from .secrets import (
    URL_START,
    Finding,
    SecretNames,
    find_in_json,
    find_in_pairs,
    find_in_url,
    find_in_xml,
    replace_findings,
    secret_names,
    shift_findings,
)

H = TypeVar('H', bound=Mapping[str, Any])

# More deeply nested documents are not redacted
MAX_MULTIPART_DEPTH = 50

COOKIE_PAIR = lazy_pattern(r'(^\s*|,\s*)([^\s=;,]+)(\s*=\s*)("[^"]*"|(?:(?!,\s*[^\s=;,]+=)[^;])+)')
HEADER_LINE = lazy_pattern(r'^([^\s:]+)(:[ \t]*)([^\r\n]+(?:\r?\n[ \t][^\r\n]*)*)', re.MULTILINE)
FIRST_BOUNDARY = lazy_pattern(rb'(?:\A|\n)--([^\s"]+)[ \t]*\r?\n')
FORM = lazy_pattern(r"[\w%.~*+\-\[\]]+=[\w%.~*+\-\[\]!$'(),;:@/?=]*(?:&[\w%.~*+\-\[\]!$'(),;:@/?=]*)*", re.ASCII)
LINK_TARGET = lazy_pattern(r'<([^<>]*)>|\banchor\s*=\s*"([^"]*)"', re.IGNORECASE)
REFRESH_URL = lazy_pattern(r'\burl\s*=\s*["\']?([^"\']*)', re.IGNORECASE)
REQUEST_TARGET = lazy_pattern(r'\A\s*[A-Z]+ +(\S+)')
URL_IN_TEXT = lazy_pattern(r'(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^\s"\'<>]+?(?=[,;.]?(?:[\s"\'<>]|\Z))')
URL_HEADERS = frozenset({'content-location', 'destination', 'location', 'referer', 'uri', 'sourcemap', 'x-sourcemap'})
# The start of a body that may be JSON, a form or a URL, whatever its media type
MAYBE_KNOWN = lazy_pattern(
    rb'(?:\xef\xbb\xbf|\xfe\xff|\xff\xfe)?[\s\x1e\0]{0,100}[\[{/?]|[\w%.~*+\-\[\]]{1,200}=|[A-Za-z][A-Za-z0-9+.-]{0,20}://'
)
SPACE = lazy_pattern(r'\s')
HTTP_MESSAGES = frozenset({'application/http', 'message/http', 'message/rfc822'})


def redact_response(response: CachedResponse, ignored_parameters: Iterable[str] | None) -> CachedResponse:
    """Replace the values of secrets in a response that is about to be stored, and in its requests and history

    The response is changed in place and returned. Objects that it shares with other responses are replaced, not
    changed. Without ignored parameters, nothing is changed.
    """
    names = secret_names(ignored_parameters)
    if names:
        _redact_response(response, names)
    return response


def redact_url(url: str, ignored_parameters: Iterable[str] | None) -> str:
    """Replace the password and the values of ignored parameters in a URL; without ignored parameters, change nothing"""
    redacted: str = _redact_url(url, secret_names(ignored_parameters))
    return redacted


def redact_headers(headers: H, ignored_parameters: Iterable[str] | None) -> H:
    """A copy of headers with the values of secrets replaced; type and order stay the same

    Secrets are the headers with an ignored name; passwords and ignored parameters of URLs in any header (`Location`,
    `Referer`, `Link`, `Refresh`, …); ignored members of JSON; and ignored cookies in `Cookie` and `Set-Cookie`.
    """
    names = secret_names(ignored_parameters)
    return type(headers)(_redact_fields(headers.items(), names))  # type: ignore[call-arg]


def _redact_response(response: CachedResponse, names: SecretNames) -> None:
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


def _redact_request(original: AnyPreparedRequest, names: SecretNames) -> CachedRequest:
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


def _redact_url(url: Any, names: SecretNames) -> Any:
    return replace_findings(url, find_in_url(url, names)) if names and isinstance(url, str) else url


def _redact_fields(fields: Iterable[tuple[str, Any]], names: SecretNames) -> list[tuple[str, Any]]:
    return [(name, _redact_field(name.lower(), value, names)) for name, value in fields]


def _redact_field(lower_name: str, value: Any, names: SecretNames) -> Any:
    if lower_name in names.names:
        return REDACTED
    if not names:
        return value
    text = value.decode('latin-1') if isinstance(value, bytes) else str(value)
    if lower_name == 'cookie':
        return _redact_cookie_header(text, names)
    if lower_name == 'set-cookie':
        return _redact_set_cookie(text, names)
    redacted = replace_findings(text, _find_in_field(lower_name, text, names))
    return value if redacted == text else redacted


def _find_in_field(lower_name: str, text: str, names: SecretNames) -> Iterator[Finding]:
    """Find secrets in a header field other than `Cookie` and `Set-Cookie`"""
    if lower_name in URL_HEADERS:
        yield from find_in_url(text, names)
    elif names.may_be_in(text):
        if lower_name == 'refresh' and (url := REFRESH_URL.search(text)):
            yield from shift_findings(find_in_url(url[1], names), url.start(1))
        elif lower_name == 'link':
            for target in LINK_TARGET.finditer(text):
                group = 1 if target[2] is None else 2
                yield from shift_findings(find_in_url(target[group], names), target.start(group))
        elif text.lstrip()[:1] in ('{', '['):
            yield from find_in_json(text, names)
        elif text[:1] == '/':
            yield from find_in_url(text, names)
        else:
            for url in URL_IN_TEXT.finditer(text):
                yield from shift_findings(find_in_url(url[0], names), url.start())


def _redact_cookie_header(value: str, names: SecretNames) -> str:
    return ';'.join(_redact_set_cookie(piece, names) for piece in value.split(';'))


def _redact_set_cookie(value: str, names: SecretNames) -> str:
    """Redact one `Set-Cookie` value, or several joined with commas"""

    def redact(match: re.Match[str]) -> str:
        secret = match[2] in names
        return match[1] + match[2] + match[3] + REDACTED if secret else match[0]

    return COOKIE_PAIR.sub(redact, value)


def _redact_cookies(cookies: RequestsCookieJar, names: SecretNames, header: str) -> RequestsCookieJar:
    def is_secret(name: str) -> bool:
        return header in names or name in names

    if not any(is_secret(cookie.name) for cookie in cookies):
        return cookies
    redacted = RequestsCookieJar()
    redacted.update(cookies)
    for cookie in redacted:
        if cookie.value and is_secret(cookie.name):
            cookie.value = REDACTED
    return redacted


def _redact_body(body: bytes, headers: Mapping[str, Any], names: SecretNames, depth: int = 0) -> bytes:
    media = media_type(headers).strip()
    if media.startswith('multipart/'):
        document = _split_multipart(body, content_type(headers)) if depth < MAX_MULTIPART_DEPTH else None
        if document is None:
            return body
        delimiter, parts = document
        return delimiter.join(_redact_part(part, names, depth + 1) for part in parts)
    if media in HTTP_MESSAGES:
        return _redact_message(body, names, depth + 1)
    if not (_is_known(media) or MAYBE_KNOWN.match(body)):
        return body
    encoding, errors = _encoding(body)
    text = body.decode(encoding, errors)
    redacted = replace_findings(text, _find_in_body(text, media, names))
    return body if redacted == text else redacted.encode(encoding, errors)


def _is_known(media: str) -> bool:
    return 'json' in media or 'xml' in media or is_form(media)


def _find_in_body(text: str, media: str, names: SecretNames) -> Iterable[Finding]:
    """Find secrets in a body, by its media type, or by its content where that is clearly of a different type"""
    if 'xml' in media:
        return find_in_xml(text, names)
    if 'json' in media and not FORM.fullmatch(text):
        return find_in_json(text, names)
    if is_form(media) and not _is_json(text):
        return find_in_pairs(text, names)
    if not names.may_be_in(text):
        return ()
    if _is_json(text):
        return find_in_json(text, names)
    if FORM.fullmatch(text):
        return find_in_pairs(text, names)
    return find_in_url(text, names) if URL_START.match(text) and not SPACE.search(text) else ()


def _is_json(text: str) -> bool:
    """Whether a text, or its first line, is a JSON object or array"""
    text = text.lstrip('\ufeff\x1e \t\r\n')
    if text[:1] not in ('{', '['):
        return False
    return _is_valid_json(text) or _is_valid_json(text.partition('\n')[0])


def _is_valid_json(text: str) -> bool:
    try:
        json.loads(text)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _encoding(body: bytes) -> tuple[str, str]:
    """An encoding, and its error handler, in which decoding and encoding a body yields the same bytes"""
    encoding = detect_encoding(body).removesuffix('-sig')
    if encoding in ('utf-16', 'utf-32'):
        is_big_endian = body.startswith((BOM_UTF16_BE, BOM_UTF32_BE))
        encoding += '-be' if is_big_endian else '-le'
    if encoding == 'utf-8':
        return encoding, 'surrogateescape'
    try:
        body.decode(encoding, 'surrogatepass')
    except UnicodeDecodeError:
        return 'latin-1', 'strict'
    return encoding, 'surrogatepass'


def _split_multipart(body: bytes, type_and_parameters: str) -> tuple[bytes, list[bytes]] | None:
    """Split a multipart document, even if its `Content-Type` has no boundary or a wrong one"""
    document = split_multipart(body, type_and_parameters)
    if document is None and (match := FIRST_BOUNDARY.search(body)):
        document = split_multipart(body, f'; boundary="{match[1].decode("utf-8", "replace")}"')
    return document


def _redact_part(part: bytes, names: SecretNames, depth: int) -> bytes:
    """Redact a part of a multipart document: by its name, in its header fields, and in its content"""
    head, blank_line, content = split_part(redact_part(part, names.__contains__))
    text = head.decode('utf-8', 'surrogateescape')
    headers: dict[str, str] = {}
    findings: list[Finding] = []
    for line in HEADER_LINE.finditer(text):
        name = line[1].lower()
        headers.setdefault(name.title(), line[3])
        redacted = _redact_field(name, line[3], names)
        if redacted != line[3]:
            findings.append((line.start(3), line.end(3), redacted))
    head = replace_findings(text, findings).encode('utf-8', 'surrogateescape')
    body = content.removesuffix(b'\n').removesuffix(b'\r')
    return head + blank_line + _redact_body(body, headers, names, depth) + content[len(body) :]


def _redact_message(message: bytes, names: SecretNames, depth: int) -> bytes:
    """Redact an HTTP message, or a message without a start line"""
    line, line_feed, rest = message.partition(b'\n')
    text = line.decode('utf-8', 'surrogateescape')
    target = REQUEST_TARGET.match(text)
    if target is None and not text.startswith('HTTP/'):
        return _redact_part(message, names, depth)
    if target is not None:
        line = replace_findings(text, shift_findings(find_in_url(target[1], names), target.start(1))).encode(
            'utf-8', 'surrogateescape'
        )
    return line + _redact_part(line_feed + rest, names, depth)
