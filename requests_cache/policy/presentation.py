"""How a stored response is shown to the caller by the standard"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from requests.structures import CaseInsensitiveDict

from ..models.response import CachedResponse
from .preconditions import FIELDS_OF_304, has_conditions, is_not_modified
from .strict_directives import named_by_connection, response_directives
from .strict_freshness import current_age_seconds
from .strict_state import received

# Header fields about one connection, which are not stored (RFC 9111, section 3.1; RFC 9110, section 7.6.1)
OF_THE_CONNECTION = frozenset(
    ('connection', 'keep-alive', 'proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization',
     'proxy-connection', 'te', 'trailer', 'upgrade')
)  # fmt: skip


def present(method: str | None, request: Mapping[str, Any], stored: CachedResponse, now: datetime) -> CachedResponse:
    """A stored response as the answer to a request: with its age, and as a 304 if the caller has it already

    Args:
        method: Method of the request
        request: Header fields of the request
        stored: The stored response, which is the caller's to change
        now: The current time (UTC)
    """
    headers = stored.headers.copy()
    headers['Age'] = str(current_age_seconds(received(stored), now))
    stored.headers = headers
    if stored.status_code == 200 and has_conditions(request) and is_not_modified(request, headers, now):
        return _not_modified(stored)
    if method == 'HEAD':
        stored._content = b''
    return stored


def _not_modified(stored: CachedResponse) -> CachedResponse:
    """A 304 made from a stored response (RFC 9110, section 15.4.5)"""
    headers = CaseInsensitiveDict({k: v for k, v in stored.headers.items() if k.lower() in FIELDS_OF_304})
    answer = CachedResponse.from_response(stored, content=b'', headers=headers)
    answer.status_code, answer.reason = 304, 'Not Modified'
    return answer


def without_unstorable(headers: Mapping[str, str], shared: bool) -> CaseInsensitiveDict[str]:
    """The header fields of a response that may be stored (sections 3.1, 5.2.2.4 and 5.2.2.7)

    Fields that a qualified `no-cache` names may not be used again without validation; they are left out.
    """
    directives = response_directives(headers)
    excluded = OF_THE_CONNECTION | named_by_connection(headers) | directives.no_cache_fields
    excluded |= directives.private_fields if shared else frozenset()
    return CaseInsensitiveDict({k: v for k, v in headers.items() if k.lower() not in excluded})
