"""Updating a stored response from a 304 or a response to HEAD (RFC 9111, sections 3.2, 4.3.4 and 4.3.5)"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from requests.utils import get_encoding_from_headers

from ...models.response import CachedResponse, repeated_fields
from ..validation import updated_fields, updated_headers
from .constructing import set_headers, unstorable_names
from .http_date import format_http_date

# The body stays the same, and so do the fields about its coding, length and digest
_BODY_FIELDS = frozenset(
    ('content-digest', 'content-encoding', 'content-length', 'content-md5', 'content-range', 'transfer-encoding')
)


def not_updated(new: Mapping[str, Any], shared: bool) -> frozenset[str]:
    """Names, in lower case, of fields of a 304 or a response to HEAD that must not update the stored response"""
    return unstorable_names(new, shared) | _BODY_FIELDS


def freshen(stored: CachedResponse, new: Any, shared: bool, now: datetime) -> None:
    """Update a stored response from a 304 or a response to HEAD that has just been received

    Its age is calculated from the new message: `Age` is replaced or removed, and a missing `Date` is set to the time
    of reception (RFC 9110, section 6.6.1).
    """
    excluded = not_updated(new.headers, shared)
    headers = updated_headers(stored.headers, new.headers, excluded)
    lines = repeated_fields(getattr(new.raw, 'headers', None))
    if lines is not None and stored._header_fields is None:
        stored._header_fields = tuple(stored.headers.items())
    stored._header_fields = updated_fields(stored._header_fields, lines or new.headers.items(), excluded)
    if 'Age' not in new.headers and 'Age' in headers:
        del headers['Age']
    if 'Date' not in new.headers:
        headers['Date'] = format_http_date(now)
    if headers.get('Content-Type') != stored.headers.get('Content-Type'):
        stored.encoding = get_encoding_from_headers(headers)
    set_headers(stored, headers)
    stored.created_at, stored.elapsed = now, new.elapsed
