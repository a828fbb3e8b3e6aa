"""Cache keys: hashes of normalised requests

A key is made from the method, the URL, the body, whether certificates are verified, the matched headers, and the
serializer. Requests without a body have the same keys as in requests-cache 1.x.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b, sha256
from os import urandom
from typing import Any
from urllib.parse import parse_qsl, urlencode

from requests import PreparedRequest, Request, Session
from requests.structures import CaseInsensitiveDict

from ._utils import lazy_pattern
from .keys.bodies import (
    FORM_BOUNDARY,
    MAX_NORM_BODY_SIZE,
    REDACTED,
    body_identity,
    content_type,
    filter_document,
    has_unkeyable_body,
    is_form,
    is_json,
    is_multipart,
    media_type,
    read_body,
    redact_part,
    replace_boundary,
    request_streams,
    split_multipart,
    to_bytes,
    to_text,
)
from .keys.redaction import redact_response
from .keys.urls import canonicalize_url, replace_query
from .models.request import AnyPreparedRequest, AnyRequest

__all__ = [
    'MAX_NORM_BODY_SIZE',
    'ParamList',
    'create_key',
    'has_unkeyable_body',
    'normalize_body',
    'normalize_headers',
    'normalize_json_body',
    'normalize_params',
    'normalize_request',
    'normalize_url',
    'redact_response',
]

ParamList = Iterable[str] | None

DELIMITED_KEY_TAG = b'requests-cache key 2'
KEY_BYTES = 8
MAX_REMEMBERED_URL_LENGTH = 4096
# URLs that are canonical except for the order of parameters. Most are; handling them separately saves time.
PLAIN_URL = lazy_pattern(
    r'(https?://[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)'
    r'((?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)*/?)'
    r'(?:\?([A-Za-z0-9_.~-]+=[A-Za-z0-9_.~+,:/@-]+(?:&[A-Za-z0-9_.~-]+=[A-Za-z0-9_.~+,:/@-]+)*))?'
)
MEMORY_ADDRESS = lazy_pattern(r' at 0x[0-9A-Fa-f]+')


def create_key(
    request: AnyRequest,
    ignored_parameters: ParamList = None,
    match_headers: ParamList | bool = False,
    serializer: Any = None,
    content_root_key: str | None = None,
    **request_kwargs: Any,
) -> str:
    """Create the key of a request, without changing the request or consuming its body

    Without a body, the parts are concatenated and hashed, as in 1.x. With a body, a tag is followed by these parts,
    each after its length (8 bytes, big-endian): method, URL, `verify`, serializer, media type, kind of body, number of
    parts of the body, these parts, matched headers. So two requests with different bodies have the same key only if
    they differ in nothing but the order of form fields with different names or of JSON members on the first level, the
    spelling of the same field or document, the boundary of a multipart document, or the value of an ignored field.

    Args:
        request: A request, prepared or not
        ignored_parameters: Names of query parameters, form fields, JSON members and headers whose values are ignored
        match_headers: Names of headers to include; True for all
        serializer: The serializer that the response will be stored with; its `str()` is included
        content_root_key: Name of the JSON member that contains the ignored members, instead of the first level
        request_kwargs: Arguments that the request is sent with; only `verify` is included

    Returns:
        16 hexadecimal digits (64 if BLAKE2b is not available); for a request with a body that can be read only once
        (`has_unkeyable_body`), random digits
    """
    if has_unkeyable_body(request):
        return urandom(KEY_BYTES).hex()
    ignored = _names(ignored_parameters)
    if isinstance(request, Request):
        request = _prepare(request)
    body = read_body(request.body)
    url = normalize_url(request.url or '', ignored)
    head = [_text(request.method).upper(), url, 'True' if request_kwargs.get('verify', True) else '']
    matched = matched_headers(request.headers, ignored, match_headers) if match_headers else []
    serializer_text = _serializer_text(serializer)
    if not body:
        return _hash(to_bytes(''.join([*head, *matched, serializer_text])))
    media, kind, *parts = body_identity(body, request.headers, ignored, content_root_key)
    return _hash(_delimited([*head, serializer_text, media, kind, str(len(parts)), *parts, *matched]))


def normalize_request(
    request: AnyRequest, ignored_parameters: ParamList = None, content_root_key: str | None = None
) -> AnyPreparedRequest:
    """A copy of a request with its method, URL, headers and body normalised"""
    ignored = _names(ignored_parameters)
    norm: Any = _prepare(request) if isinstance(request, Request) else request.copy()
    norm.method = _text(norm.method).upper()
    norm.url = normalize_url(norm.url or '', ignored)
    norm.headers = normalize_headers(norm.headers or {}, ignored)
    norm.body = normalize_body(norm, ignored, content_root_key)
    _fix_boundary(norm.headers)
    return norm  # type: ignore[no-any-return]


def normalize_url(url: str, ignored_parameters: ParamList) -> str:
    """Normalise a URL and the order of its parameters; accepts any str, and never raises"""
    normalize = _normalize_url if len(url or '') <= MAX_REMEMBERED_URL_LENGTH else _normalize_url.__wrapped__
    return normalize(_text(url), _names(ignored_parameters))


@lru_cache(maxsize=1024)
def _normalize_url(url: str, ignored: tuple[str, ...]) -> str:
    if match := PLAIN_URL.fullmatch(url):
        return _normalize_plain_url(match, ignored)
    return canonicalize_url(replace_query(url, lambda query: normalize_params(query, ignored)))


def _normalize_plain_url(match: re.Match[str], ignored: tuple[str, ...]) -> str:
    origin, path, query = match.groups()
    if not query:
        return origin + (path or '/')
    fields = sorted(field.split('=') for field in query.split('&'))
    return f'{origin}{path or "/"}?' + '&'.join([f'{k}={REDACTED if k in ignored else v}' for k, v in fields])


def normalize_params(value: str | bytes, ignored_parameters: ParamList = None) -> str:
    """A query string or form with sorted fields and without blank ones; names without `=` come last

    Raises:
        UnicodeError: The value is not valid UTF-8
    """
    text = value.decode('utf-8') if isinstance(value, bytes) else value or ''
    ignored = _names(ignored_parameters)
    fields = urlencode([(k, REDACTED if k in ignored else v) for k, v in sorted(parse_qsl(text))])
    names_only = sorted(piece for piece in text.split('&') if piece and '=' not in piece)
    return '&'.join([fields, *names_only] if fields else names_only)


def normalize_headers(headers: Mapping[str, Any], ignored_parameters: ParamList = None) -> CaseInsensitiveDict[str]:
    """Headers with sorted lists and redacted values; ignored names are case-sensitive here"""
    ignored = _names(ignored_parameters)
    items = sorted(headers.items(), key=lambda item: str(item[0])) if ignored else headers.items()
    return CaseInsensitiveDict({k: REDACTED if k in ignored else _normalize_header_value(v) for k, v in items})


def _normalize_header_value(value: Any) -> str:
    text = _text(value)
    if ',' not in text:
        return text
    return ', '.join(sorted(item.strip() for item in text.lower().split(',') if item.strip()))


def normalize_body(
    request: AnyPreparedRequest, ignored_parameters: ParamList, content_root_key: str | None = None
) -> bytes:
    """The body of a request, normalised if it is a form, a JSON object or a multipart document

    Fields of forms and members of JSON objects are sorted. JSON lists are not changed. Keys depend on more than this:
    blank values, for example.
    """
    body = read_body(request.body)
    if body is None and request.body:
        body = str(request.body)
    if not body:
        return b''
    ignored = _names(ignored_parameters)
    media = media_type(request.headers)
    if is_json(media):
        return to_bytes(normalize_json_body(body, ignored, content_root_key))
    if is_form(media):
        try:
            return to_bytes(normalize_params(body, ignored))
        except ValueError:
            pass
    if is_multipart(media) and (document := split_multipart(to_bytes(body), content_type(request.headers))):
        return f'--{FORM_BOUNDARY}'.encode().join(redact_part(part, ignored.__contains__) for part in document[1])
    return to_bytes(body)


def normalize_json_body(
    original_body: str | bytes, ignored_parameters: ParamList, content_root_key: str | None = None
) -> str | bytes:
    """A JSON object with sorted members and with the values of ignored ones replaced, on the first level only

    Lists are reformatted, but their items stay the same. Anything else is returned unchanged.
    """
    if not 2 < len(original_body) <= MAX_NORM_BODY_SIZE:
        return original_body
    try:
        document = json.loads(to_text(original_body))
        return json.dumps(filter_document(document, _names(ignored_parameters), content_root_key))
    except (RecursionError, TypeError, ValueError):
        return original_body


def _prepare(request: Request) -> PreparedRequest:
    """Prepare a request like a new session would, and restore the positions of its files"""
    positions = [(stream, stream.tell()) for stream in request_streams(request)]
    try:
        with Session() as session:
            return session.prepare_request(request)
    finally:
        for stream, position in positions:
            stream.seek(position)


def matched_headers(
    headers: Mapping[str, Any] | None, ignored: tuple[str, ...], match_headers: Iterable[str] | bool
) -> list[str]:
    """The headers that are part of the key, as `name=value`, sorted by name"""
    norm = normalize_headers(headers or {}, ignored)
    _fix_boundary(norm)
    names: Iterable[str] = norm if isinstance(match_headers, bool) else match_headers
    return [f'{name.lower()}={norm[name]}' for name in sorted(names, key=str.lower) if name in norm]


def _fix_boundary(headers: CaseInsensitiveDict[str]) -> None:
    if is_multipart(media_type(headers)):
        headers['Content-Type'] = replace_boundary(headers['Content-Type'])


def _serializer_text(serializer: Any) -> str:
    """`str()` of a serializer without memory addresses, which differ between processes"""
    text = str(serializer)
    return MEMORY_ADDRESS.sub('', text) if ' at 0x' in text else text


def _names(ignored_parameters: ParamList) -> tuple[str, ...]:
    return ignored_parameters if isinstance(ignored_parameters, tuple) else tuple(ignored_parameters or ())


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode('utf-8', 'replace')
    return str(value) if value else ''


def _delimited(parts: Iterable[str | bytes]) -> bytes:
    encoded = [to_bytes(part) for part in parts]
    return DELIMITED_KEY_TAG + b''.join(len(part).to_bytes(8, 'big') + part for part in encoded)


def _hash(data: bytes) -> str:
    try:
        return blake2b(data, digest_size=KEY_BYTES).hexdigest()
    except (TypeError, ValueError):  # an old or restricted OpenSSL
        return sha256(data).hexdigest()
