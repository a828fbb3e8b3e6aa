"""Which stored response a 304 is about, and what that or an answer to HEAD changes (RFC 9111, sections 3.2, 4.3.4)"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from requests.utils import get_encoding_from_headers

from ...models.response import CachedResponse, repeated_fields
from ..validation import updated_fields, updated_headers
from .constructing import set_headers, unstorable_names
from .http_date import format_http_date

# The stored body is kept decoded and cannot have changed: what describes its coding, length and digest stays
_OF_THE_STORED_BODY = frozenset(
    ('content-digest', 'content-encoding', 'content-length', 'content-md5', 'content-range', 'transfer-encoding')
)


def not_updated(new: Mapping[str, Any], shared: bool) -> frozenset[str]:
    """Names, in lower case, of the fields of a 304 or an answer to HEAD that change nothing in the stored response"""
    return unstorable_names(new, shared) | _OF_THE_STORED_BODY


def freshen(stored: CachedResponse, new: Any, shared: bool, now: datetime) -> None:
    """Bring a stored response up to date with a 304 or an answer to HEAD that was received now

    Its age is counted from now on: `Age` is that of the new message, and `Date`, if that has none, the time of
    reception (RFC 9110, section 6.6.1).
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
