"""Evaluating the caller's own conditions on a stored response (RFC 9111, section 4.3.2)"""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import datetime
from typing import Any

from ..validation import CALLER_CONDITIONS, entity_tags
from .http_date import parse_http_date

# Conditions that only the origin can evaluate (RFC 9110, section 13)
ORIGIN_CONDITIONS = frozenset(('if-match', 'if-unmodified-since'))
_OWN_NAMES = frozenset(name.lower() for name in CALLER_CONDITIONS)

# Header fields that a 304 includes if a 200 would include them (RFC 9110, section 15.4.5)
FIELDS_OF_304 = frozenset(
    ('age', 'cache-control', 'content-location', 'date', 'etag', 'expires', 'last-modified', 'vary')
)


def has_conditions(headers: Mapping[str, Any], names: Set[str]) -> bool:
    """Whether the caller made a request conditional

    Args:
        headers: Header fields of the request
        names: Their names in lower case
    """
    return any(headers.get(name) is not None for name in names & _OWN_NAMES)


def is_not_modified(request: Mapping[str, Any], stored: Mapping[str, Any], now: datetime) -> bool:
    """Whether a 304 is the answer to the conditions of a request, given the stored response

    `If-None-Match` takes precedence over `If-Modified-Since` (RFC 9110, section 13.2.2).
    """
    wanted = request.get('If-None-Match')
    if wanted is not None:
        text = wanted.decode('latin-1') if isinstance(wanted, bytes) else str(wanted)
        tag = entity_tags(str(stored.get('ETag') or ''))
        return text.strip() == '*' or bool(tag and tag[0] in entity_tags(text))
    since = parse_http_date(request.get('If-Modified-Since'), now)
    modified = parse_http_date(stored.get('Last-Modified') or stored.get('Date'), now)
    return since is not None and modified is not None and modified <= since
