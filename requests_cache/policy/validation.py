"""Validating stored responses with the origin (RFC 9111, section 4.3)"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import Enum, auto
from typing import Any

from requests.structures import CaseInsensitiveDict

from .._utils import is_latin1_line, lazy_pattern
from ..models.redirects import redirects_of
from ..models.response import CachedResponse, HeaderFields
from .standard.http_date import parse_http_date

# Fields of a 304 that describe its own message, not the stored response (RFC 9111, section 3.2; RFC 9110, section
# 15.4.5)
NOT_UPDATED = frozenset(
    ('connection', 'content-encoding', 'content-length', 'content-range', 'content-type', 'keep-alive',
    'proxy-authenticate',
     'proxy-authentication-info', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade')
)  # fmt: skip


# Header fields by which a caller makes a request conditional
CALLER_CONDITIONS = ('If-None-Match', 'If-Modified-Since')


_ENTITY_TAG = lazy_pattern(r'"[^"]*"')


def entity_tags(value: str) -> list[str]:
    """The opaque tags in a list, without `W/`, as a weak comparison is sufficient"""
    return _ENTITY_TAG.findall(value)


def has_validator(response: CachedResponse) -> bool:
    """Whether a stored response can be validated"""
    return bool(validators(response.headers))


def validators(headers: Mapping[str, Any]) -> dict[str, str]:
    """The request header fields for validating a stored response; validators that cannot be sent are left out"""
    fields = {'If-None-Match': 'ETag', 'If-Modified-Since': 'Last-Modified'}
    return {name: headers[source] for name, source in fields.items() if is_latin1_line(headers.get(source))}


def conditions(response: CachedResponse) -> dict[str, str]:
    """The request header fields that make a request conditional on a stored response

    Empty after redirects: the validators belong to a different URL than that of the request.
    """
    return {} if redirects_of(response) else validators(response.headers)


def updated_headers(
    stored: Mapping[str, str], new: Mapping[str, str], excluded: Collection[str] = NOT_UPDATED
) -> CaseInsensitiveDict[str]:
    """Update the header fields of a stored response from a 304 (RFC 9111, section 4.3.4), except for those excluded"""
    headers = CaseInsensitiveDict(stored)
    headers.update({name: value for name, value in new.items() if name.lower() not in excluded})
    return headers


def updated_fields(
    stored: HeaderFields | None, new: Iterable[tuple[str, Any]], excluded: Collection[str] = NOT_UPDATED
) -> HeaderFields | None:
    """The same for repeated header fields, which are kept one by one"""
    if stored is None:
        return None
    taken = [(name, value) for name, value in new if name.lower() not in excluded]
    replaced = {name.lower() for name, _ in taken}
    return tuple(f for f in stored if f[0].lower() not in replaced) + tuple(taken)


class Relation(Enum):
    """How a 304 relates to the stored response that was being validated"""

    UPDATES = auto()
    CONFIRMS = auto()  # the stored response may be used, but must not be updated
    MISMATCHES = auto()


def relation(stored: Mapping[str, Any], new: Mapping[str, Any], now: datetime) -> Relation:
    """Compare the validators of a stored response and a 304 (section 4.3.4)

    A strong entity tag must be the same as the stored one; a weak one may differ in strength. A 304 without validators
    is accepted, as the conditions that it answers are about this stored response only.
    """
    new_tag, stored_tag = _tag(new), _tag(stored)
    if new_tag and stored_tag:
        if entity_tags(new_tag)[0] != entity_tags(stored_tag)[0]:
            return Relation.MISMATCHES
    elif _differs(stored.get('Last-Modified'), new.get('Last-Modified'), now):
        return Relation.MISMATCHES
    is_strong = bool(new_tag) and not new_tag.startswith('W/')
    return Relation.CONFIRMS if is_strong and new_tag != stored_tag else Relation.UPDATES


def _tag(headers: Mapping[str, Any]) -> str:
    """The entity tag of a message, or '' if there is no valid one"""
    text = str(headers.get('ETag') or '').strip()
    return text if entity_tags(text) else ''


def _differs(stored: Any, new: Any, now: datetime) -> bool:
    if not stored or not new or stored == new:
        return False
    return parse_http_date(stored, now) != parse_http_date(new, now)


def confirms_stored(own: Mapping[str, Any], stored: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a 304 that answers the caller's own conditions also confirms the stored response

    Args:
        own: Header fields of the request, with the caller's conditions
        stored: Header fields of the stored response
        new: Header fields of the 304
    """
    wanted = own.get('If-None-Match')
    if wanted is None:
        return bool(new.get('Last-Modified')) and new.get('Last-Modified') == stored.get('Last-Modified')
    tags = entity_tags(wanted.decode('latin-1') if isinstance(wanted, bytes) else str(wanted))
    answered = entity_tags(_tag(new)) or (tags if len(tags) == 1 else [])
    return bool(answered) and answered[:1] == entity_tags(_tag(stored))[:1]
