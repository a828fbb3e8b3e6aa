"""Reading, comparing and parsing request bodies"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any
from urllib.parse import quote, unquote, unquote_plus, unquote_to_bytes

from requests import Request

from .._utils import lazy_pattern

FORM_BOUNDARY = '--requests-cache-form-boundary--'
MAX_NORM_BODY_SIZE = 10 * 1024 * 1024  # bytes, or characters of a str; longer JSON is not normalised
REDACTED = 'REDACTED'

BAD_ESCAPE = lazy_pattern(r'%(?![0-9A-Fa-f]{2})')
BOUNDARY = lazy_pattern(r';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))', re.IGNORECASE)
BLANK_LINE = lazy_pattern(rb'\r?\n\r?\n')
DISPOSITION = lazy_pattern(rb'^content-disposition:.*(?:\r?\n[ \t].*)*', re.IGNORECASE | re.MULTILINE)
FIELD_PARAMETER = lazy_pattern(r'[;\s]([^\s;="]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]*))', re.DOTALL)

IsSecret = Callable[[str], bool]


def media_type(headers: Mapping[str, Any] | None) -> str:
    """The `Content-Type` without its parameters, in lower case; surrounding white space is kept"""
    return content_type(headers).partition(';')[0].lower()


def content_type(headers: Mapping[str, Any] | None) -> str:
    value = (headers or {}).get('Content-Type') or ''
    return value.decode('utf-8', 'replace') if isinstance(value, bytes) else str(value)


def is_json(media: str) -> bool:
    return media.startswith('application/') and 'json' in media


def is_form(media: str) -> bool:
    return media == 'application/x-www-form-urlencoded'


def is_multipart(media: str) -> bool:
    return media == 'multipart/form-data'


def read_body(body: Any) -> Any:
    """The content of a body; None if it can be read only once

    A file is read from its current position, which is restored afterwards.

    Returns:
        str, bytes or None; other objects that are not streams are returned unchanged
    """
    if not body or isinstance(body, (bytes, str)):
        return body
    if isinstance(body, (bytearray, memoryview)):
        return bytes(body)
    if not _is_stream(body):
        return body
    if not _is_seekable(body):
        return None
    position = body.tell()
    try:
        return body.read()
    finally:
        body.seek(position)


def has_unkeyable_body(request: Any) -> bool:
    """Whether a request has a body that can be read only once, such as a generator, a pipe or a socket

    Such a request can be neither looked up nor stored. This check does not read from the body.
    """
    if isinstance(request, Request):
        return any(not _is_seekable(stream) for stream in request_streams(request))
    body = request.body
    return bool(body) and _is_stream(body) and not _is_seekable(body)


def request_streams(request: Request) -> list[Any]:
    """The files and iterators in `data` and `files` of a request that has not been prepared"""
    files: Any = request.files or ()
    values = list(files.values()) if isinstance(files, Mapping) else [value for _, value in files]
    contents = [value[1] if isinstance(value, (list, tuple)) else value for value in values]
    data = () if isinstance(request.data, (list, tuple, Mapping)) else (request.data,)
    return [content for content in (*data, *contents) if _is_stream(content)]


def _is_stream(body: Any) -> bool:
    if isinstance(body, (bytes, str, bytearray, memoryview)):
        return False
    return hasattr(body, 'read') or hasattr(body, '__iter__')


def _is_seekable(stream: Any) -> bool:
    if not hasattr(stream, 'read'):
        return False
    try:
        stream.seek(stream.tell())
    except (AttributeError, OSError, TypeError, ValueError):
        return False
    return True


def split_multipart(body: bytes, content_type: str) -> tuple[bytes, list[bytes]] | None:
    """Split a multipart document at its boundaries; None if it has none

    Returns:
        The delimiter (`--` and the boundary), and the text before, between and after the delimiters
    """
    match = BOUNDARY.search(content_type)
    boundary = (match[1] or match[2] or '') if match else ''
    if not boundary:
        return None
    delimiter = f'--{boundary}'.encode('utf-8', 'surrogatepass')
    parts = re.split(rb'(?:\A|(?<=\n))' + re.escape(delimiter) + rb'(?=[ \t]*\r?\n|--|\Z)', body)
    return (delimiter, parts) if len(parts) > 1 else None


def replace_boundary(content_type: str, boundary: str = FORM_BOUNDARY) -> str:
    """The `Content-Type` of a multipart document with a different boundary"""
    return BOUNDARY.sub(lambda match: f'; boundary={boundary}', content_type)


def redact_part(part: bytes, is_secret: IsSecret) -> bytes:
    """Replace the content of a part of a multipart document if its field has a secret name; empty content stays

    Lines may end with `\\n` alone, as some clients write them.
    """
    head, blank_line, content = split_part(part)
    ending = b'\r\n' if content.endswith(b'\r\n') else b'\n' if content.endswith(b'\n') else b''
    name = _field_name(head)
    if content == ending or name is None or not is_secret(name):
        return part
    return head + blank_line + REDACTED.encode() + ending


def split_part(part: bytes) -> tuple[bytes, bytes, bytes]:
    """Split a part of a multipart document into its header fields, the blank line after them, and its content"""
    match = BLANK_LINE.search(part)
    return (part[: match.start()], match[0], part[match.end() :]) if match else (part, b'', b'')


def _field_name(head: bytes) -> str | None:
    disposition = DISPOSITION.search(head)
    if disposition is None:
        return None
    for match in FIELD_PARAMETER.finditer(disposition[0].decode('utf-8', 'replace')):
        parameter = match[1].lower()
        if parameter in ('name', 'name*'):
            value = match[3] if match[2] is None else re.sub(r'\\(.)', r'\1', match[2])
            return unquote(value.rpartition("'")[2] if parameter == 'name*' else value)
    return None


def body_identity(
    content: Any, headers: Mapping[str, Any] | None, ignored: tuple[str, ...], content_root_key: str | None
) -> list[str | bytes]:
    """The parts of a body that go into the key: the media type, the kind of body, and its content

    Forms are compared field by field. The order of fields with different names is ignored; blank values and the order
    of fields with the same name are not. JSON is compared by value, ignoring the order of members on the first level.
    Multipart documents are compared part by part, whatever their boundary. Everything else, and anything ambiguous, is
    compared byte by byte.
    """
    if any(name.lower() == 'content-type' for name in ignored):
        return ['', 'raw', to_bytes(content)]
    media = media_type(headers).strip()
    try:
        if is_json(media) and 2 < len(content) <= MAX_NORM_BODY_SIZE:
            return [media, 'json', _json_identity(to_text(content), ignored, content_root_key)]
        if is_form(media):
            return [media, 'form', _form_identity(to_text(content), ignored)]
        if is_multipart(media) and (document := split_multipart(to_bytes(content), content_type(headers))):
            parts = [redact_part(part, ignored.__contains__) for part in document[1]]
            return [media, 'multipart', *parts]
    except (ArithmeticError, RecursionError, TypeError, ValueError):
        pass
    return [media, 'raw', to_bytes(content)]


def filter_document(document: Any, ignored: tuple[str, ...], content_root_key: str | None) -> Any:
    """A JSON document with sorted and redacted members on its first level, or in its root member; lists are unchanged

    Raises:
        TypeError: It is neither an object nor a list
    """
    if isinstance(document, dict) and content_root_key is not None and content_root_key in document:
        return {**document, content_root_key: _filter_members(document[content_root_key], ignored)}
    return _filter_members(document, ignored)


def _filter_members(value: Any, ignored: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        raise TypeError('neither a JSON object nor a list')
    return {name: REDACTED if name in ignored else value[name] for name in sorted(value)}


def _json_identity(text: str, ignored: tuple[str, ...], content_root_key: str | None) -> str:
    document = json.loads(text, object_pairs_hook=_distinct_members, parse_float=_exact_float)
    return json.dumps(filter_document(document, ignored, content_root_key))


def _distinct_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError('a JSON object with a repeated name, which would be lost')
    return members


def _exact_float(text: str) -> float:
    number = float(text)
    if repr(number) != text:
        from decimal import Decimal  # rarely needed, and slow to import

        if Decimal(text) != Decimal(repr(number)):
            raise ValueError('a JSON number with more digits than a float can represent')
    return number


def _form_identity(text: str, ignored: tuple[str, ...]) -> str:
    fields = sorted((_field_identity(piece, ignored) for piece in text.split('&')), key=itemgetter(0))
    return '&'.join(field for _, field in fields)


def _field_identity(piece: str, ignored: tuple[str, ...]) -> tuple[str, str]:
    name, separator, value = piece.partition('=')
    canonical_name = _requote(name)
    canonical_value = REDACTED if value and unquote_plus(name) in ignored else _requote(value)
    return canonical_name, canonical_name + separator + canonical_value


def _requote(text: str) -> str:
    # Malformed text is kept unchanged, so that it differs from any well-formed text
    return text if BAD_ESCAPE.search(text) else quote(unquote_to_bytes(text.replace('+', ' ')), safe='')


def to_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode('utf-8', 'surrogatepass')


def to_text(value: Any) -> str:
    return value.decode('utf-8') if isinstance(value, bytes) else str(value)
