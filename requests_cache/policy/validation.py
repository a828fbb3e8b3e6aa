"""Validating stored responses with the origin (RFC 9111, section 4.3)"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from requests.structures import CaseInsensitiveDict

from ..models.redirects import redirects_of
from ..models.response import CachedResponse, HeaderFields

# Fields of a 304 that describe its own message, not the stored response (RFC 9111, section 3.2; RFC 9110, section
# 15.4.5)
NOT_UPDATED = frozenset(
    ('connection', 'content-encoding', 'content-length', 'content-range', 'content-type', 'keep-alive',
    'proxy-authenticate',
     'proxy-authentication-info', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade')
)  # fmt: skip


# Header fields by which a caller asks for a response only if it is not one that the caller has
OWN_CONDITIONS = ('If-None-Match', 'If-Modified-Since')


def has_validator(response: CachedResponse) -> bool:
    """Whether a stored response can be validated"""
    return bool(response.headers.get('ETag') or response.headers.get('Last-Modified'))


def conditions(response: CachedResponse) -> dict[str, str]:
    """Request header fields that ask for a response only if it is not the stored one

    None for the end of a chain of redirects: its validators are those of another URL than the one that is asked for.
    """
    if redirects_of(response):
        return {}
    fields = {'If-None-Match': 'ETag', 'If-Modified-Since': 'Last-Modified'}
    return {name: response.headers[source] for name, source in fields.items() if response.headers.get(source)}


def updated_headers(
    stored: Mapping[str, str], new: Mapping[str, str], excluded: Collection[str] = NOT_UPDATED
) -> CaseInsensitiveDict[str]:
    """The header fields of a stored response after a 304 (RFC 9111, section 4.3.4), but for some, in lower case"""
    headers = CaseInsensitiveDict(stored)
    headers.update({name: value for name, value in new.items() if name.lower() not in excluded})
    return headers


def updated_fields(
    stored: HeaderFields | None, new: Iterable[tuple[str, Any]], excluded: Collection[str] = NOT_UPDATED
) -> HeaderFields | None:
    """The same for header fields one by one, where they are kept because some are repeated"""
    if stored is None:
        return None
    taken = [(name, value) for name, value in new if name.lower() not in excluded]
    replaced = {name.lower() for name, _ in taken}
    return tuple(f for f in stored if f[0].lower() not in replaced) + tuple(taken)
