"""Answering range requests from stored responses (RFC 9110, sections 13.1.5, 15.3.7 and 15.5.17)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from requests.structures import CaseInsensitiveDict

from ...models.body import Body
from ...models.response import CachedResponse
from .parts import representation_headers, strong_date, strong_tag
from .ranges import ByteRange, ContentRange, Span, multipart, resolve

# Header fields that the client already has if it sent `If-Range`
KNOWN_TO_THE_CLIENT = frozenset(('content-language', 'content-type', 'last-modified'))
# Header fields of a stored response that are also valid for a 416
FIELDS_OF_416 = frozenset(('age', 'date'))


def range_applies(request: Mapping[str, Any], stored: Mapping[str, Any], now: datetime) -> bool:
    """Whether `Range` applies: `If-Range` is absent, or is the strong validator of the stored response"""
    value = request.get('If-Range')
    if value is None:
        return True
    text = (value.decode('latin-1') if isinstance(value, bytes) else str(value)).strip()
    if '"' in text:
        return text == strong_tag(stored)
    return text == strong_date(stored, now)


def serve_ranges(stored: CachedResponse, ranges: Sequence[ByteRange], is_brief: bool, boundary: str) -> CachedResponse:
    """Answer a range request from a complete stored response; with the whole response if it is empty (section 14.2)

    Args:
        stored: The stored response
        ranges: The requested ranges
        is_brief: Leave out header fields that the client already has
        boundary: The boundary between parts; it must not occur in the content
    """
    length = stored.size
    if not length:
        return stored
    spans = resolve(ranges, length) or []
    if not spans:
        return _not_satisfiable(stored, length)
    whole = stored._content_or_body
    parts = [(ContentRange(span, length), _part(whole, span)) for span in spans]
    return partial_content(stored, parts, is_brief, boundary)


def _part(whole: bytes | Body, span: Span) -> bytes | Body:
    return whole.part(span.first, span.last) if isinstance(whole, Body) else whole[span.first : span.last + 1]


def partial_content(
    stored: CachedResponse, parts: Sequence[tuple[ContentRange, bytes | Body]], is_brief: bool, boundary: str
) -> CachedResponse:
    """Create a 206 with the header fields of a stored response (section 15.3.7)

    A single part of a body that is stored separately is not read here, but when the caller reads it.
    """
    headers = representation_headers(stored.headers)
    if is_brief:
        headers = CaseInsensitiveDict({k: v for k, v in headers.items() if k.lower() not in KNOWN_TO_THE_CLIENT})
    if len(parts) == 1:
        content_range, content = parts[0]
        headers['Content-Range'] = str(content_range)
    else:
        read = ((content_range, part.read() if isinstance(part, Body) else part) for content_range, part in parts)
        content = multipart(read, boundary, stored.headers.get('Content-Type'))
        headers['Content-Type'] = f'multipart/byteranges; boundary={boundary}'
    headers['Content-Length'] = str(content.size if isinstance(content, Body) else len(content))
    return copy_with(stored, 206, 'Partial Content', headers, content)


def _not_satisfiable(stored: CachedResponse, length: int) -> CachedResponse:
    """Create a 416 (section 15.5.17)"""
    headers = CaseInsensitiveDict({k: v for k, v in stored.headers.items() if k.lower() in FIELDS_OF_416})
    headers.update({'Content-Range': f'bytes */{length}', 'Content-Length': '0'})
    return copy_with(stored, 416, 'Range Not Satisfiable', headers, b'')


def copy_with(
    stored: CachedResponse,
    status_code: int,
    reason: str | None,
    headers: CaseInsensitiveDict[str],
    content: bytes | Body,
) -> CachedResponse:
    """Copy a stored response with a different status, header fields and body"""
    body = content if isinstance(content, Body) else None
    copy = CachedResponse.from_response(
        stored,
        status_code=status_code,
        reason=reason,
        headers=headers,
        content=b'' if body is not None else content,
        decoded_content=None,
    )
    if body is not None:
        copy = copy._with_body(body)
    if stored._header_fields:
        # Repeated fields stay separate, unless they have changed
        kept = tuple(f for f in stored._header_fields if headers.get(f[0]) == stored.headers.get(f[0]))
        names = {name.lower() for name, _ in kept}
        copy._header_fields = kept + tuple(f for f in headers.items() if f[0].lower() not in names)
    return copy
