"""Responses to POST that may be used for later GET and HEAD requests (RFC 9110, section 9.3.3)"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ...keys.matching import same_target
from .directives import response_directives
from .freshness import Received, explicit_lifetime_seconds
from .invalidation import resolve


def answers_get(url: str, status_code: int, headers: Mapping[str, Any], shared: bool, now: datetime) -> bool:
    """Whether a response to POST answers GET and HEAD: it has explicit freshness, and its URL as `Content-Location`

    Args:
        url: URL of the request
        status_code: Status of the response; `Content-Location` is meaningful only if it was successful
        headers: Header fields of the response
        shared: Whether the cache is shared
        now: When the response was received (UTC)
    """
    location = resolve(url, headers.get('Content-Location'))
    if not 200 <= status_code < 300 or location is None or not same_target(url, location, (), exact_query=True):
        return False
    received = Received(headers, response_directives(headers), status_code, now)
    return explicit_lifetime_seconds(received, shared) is not None
