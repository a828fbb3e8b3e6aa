"""Answering the caller's own conditions from a stored response (RFC 9111, section 4.3.2)"""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import datetime
from typing import Any

from ..validation import OWN_CONDITIONS, entity_tags
from .http_date import parse_http_date

# Conditions that only the origin can judge (RFC 9110, section 13)
FOR_THE_ORIGIN = frozenset(('if-match', 'if-unmodified-since'))
_OWN_NAMES = frozenset(name.lower() for name in OWN_CONDITIONS)

# Header fields that a 304 has, if a 200 would have had them (RFC 9110, section 15.4.5)
FIELDS_OF_304 = frozenset(
    ('age', 'cache-control', 'content-location', 'date', 'etag', 'expires', 'last-modified', 'vary')
)


def has_conditions(headers: Mapping[str, Any], names: Set[str]) -> bool:
    """Whether a request asks for a response only if it is not one that the caller has

    Args:
        headers: Header fields of the request
        names: Their names in lower case
    """
    return any(headers.get(name) is not None for name in names & _OWN_NAMES)


def is_not_modified(request: Mapping[str, Any], stored: Mapping[str, Any], now: datetime) -> bool:
    """Whether the conditions of a request are answered by 304 for a stored response

    `If-None-Match` goes before `If-Modified-Since` (RFC 9110, section 13.2.2).
    """
    wanted = request.get('If-None-Match')
    if wanted is not None:
        text = wanted.decode('latin-1') if isinstance(wanted, bytes) else str(wanted)
        tag = entity_tags(str(stored.get('ETag') or ''))
        return text.strip() == '*' or bool(tag and tag[0] in entity_tags(text))
    since = parse_http_date(request.get('If-Modified-Since'), now)
    modified = parse_http_date(stored.get('Last-Modified') or stored.get('Date'), now)
    return since is not None and modified is not None and modified <= since
