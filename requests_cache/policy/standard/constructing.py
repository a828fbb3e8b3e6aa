"""Constructing responses from the cache, and the header fields to store (RFC 9111, sections 3.1 and 4)"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from requests.structures import CaseInsensitiveDict

from ...models.response import CachedResponse
from ..request import RequestPolicy
from .directives import named_by_connection, response_directives
from .http_date import format_http_date
from .preconditions import FIELDS_OF_304, is_not_modified
from .state import age_seconds

# Header fields about the connection, which are not stored (RFC 9111, section 3.1; RFC 9110, section 7.6.1)
CONNECTION_FIELDS = frozenset(
    ('connection', 'keep-alive', 'proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization',
     'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade')
)  # fmt: skip


def construct_response(
    policy: RequestPolicy,
    method: str | None,
    request: Mapping[str, Any],
    stored: CachedResponse,
    now: datetime,
    age: int | None = None,
) -> CachedResponse:
    """Turn a stored response into the answer to a request: with `Age`, and as a 304 if the caller already has it

    Args:
        policy: Policy of the request
        method: Method of the request
        request: Header fields of the request
        stored: The stored response, which is changed in place
        now: The current time (UTC)
        age: Current age of the response in seconds, if known
    """
    headers = stored.headers
    headers['Age'] = str(age_seconds(stored, now) if age is None else age)
    set_headers(stored, headers)
    if policy.is_conditional and stored.status_code in (200, 206) and is_not_modified(request, headers, now):
        return _not_modified(stored)
    if method == 'HEAD':
        stored = CachedResponse.from_response(stored, content=b'')
    return stored


def _not_modified(stored: CachedResponse) -> CachedResponse:
    """Create a 304 from a stored response (RFC 9110, section 15.4.5)"""
    headers = CaseInsensitiveDict({k: v for k, v in stored.headers.items() if k.lower() in FIELDS_OF_304})
    answer = CachedResponse.from_response(stored, content=b'', headers=headers)
    answer.status_code, answer.reason, answer._header_fields = 304, 'Not Modified', None
    return answer


def set_headers(response: CachedResponse, headers: CaseInsensitiveDict[str]) -> None:
    """Replace the header fields of a stored response; repeated fields that have not changed stay separate"""
    response.headers = headers
    if response._header_fields is not None:
        lines: dict[str, list[str]] = {}
        for name, value in response._header_fields:
            lines.setdefault(name.lower(), []).append(value)
        response._header_fields = tuple(
            (name, line)
            for name, value in headers.items()
            for line in (lines[name.lower()] if ', '.join(lines.get(name.lower(), ())) == value else [value])
        )


def unstorable_names(headers: Mapping[str, str], shared: bool) -> frozenset[str]:
    """Names, in lower case, of fields that must not be stored (sections 3.1, 5.2.2.4 and 5.2.2.7)

    They include the fields in a qualified `no-cache`, which must not be reused without validation.
    """
    directives = response_directives(headers)
    excluded = CONNECTION_FIELDS | named_by_connection(headers) | directives.no_cache_fields
    return excluded | directives.private_fields if shared else excluded


def storable_headers(headers: Mapping[str, str], shared: bool, now: datetime) -> CaseInsensitiveDict[str]:
    """The header fields of a response to store; a missing `Date` is set to the time of reception

    For `Date`, see RFC 9110, section 6.6.1.
    """
    excluded = unstorable_names(headers, shared)
    kept = CaseInsensitiveDict({k: v for k, v in headers.items() if k.lower() not in excluded})
    kept.setdefault('Date', format_http_date(now))
    return kept
