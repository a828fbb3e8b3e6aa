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


# Header fields by which a caller asks for a response only if it is not one that the caller has
OWN_CONDITIONS = ('If-None-Match', 'If-Modified-Since')


_ENTITY_TAG = lazy_pattern(r'"[^"]*"')


def entity_tags(value: str) -> list[str]:
    """The opaque tags of a list, without the mark of weak ones, as comparison for reading needs no strong ones"""
    return _ENTITY_TAG.findall(value)


def has_validator(response: CachedResponse) -> bool:
    """Whether a stored response can be validated"""
    return bool(validators(response.headers))


def validators(headers: Mapping[str, Any]) -> dict[str, str]:
    """The request header fields that a stored response can be validated by; none that could not be sent"""
    fields = {'If-None-Match': 'ETag', 'If-Modified-Since': 'Last-Modified'}
    return {name: headers[source] for name, source in fields.items() if is_latin1_line(headers.get(source))}


def conditions(response: CachedResponse) -> dict[str, str]:
    """Request header fields that ask for a response only if it is not the stored one

    None for the end of a chain of redirects: its validators are those of another URL than the one that is asked for.
    """
    return {} if redirects_of(response) else validators(response.headers)


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


class Relation(Enum):
    """What a 304 has to do with the stored response that was to be validated"""

    UPDATES = auto()
    CONFIRMS = auto()  # it may be used, but is not brought up to date
    IS_ABOUT_ANOTHER = auto()


def relation(stored: Mapping[str, Any], new: Mapping[str, Any], now: datetime) -> Relation:
    """Compare the validators of a stored response and a 304 (section 4.3.4)

    A strong entity tag updates only what has the same strong one; a weak one what has the same but for strength. A 304
    without validators is taken at its word, as it answers conditions made from the one stored response.
    """
    new_tag, stored_tag = _tag(new), _tag(stored)
    if new_tag and stored_tag:
        if entity_tags(new_tag)[0] != entity_tags(stored_tag)[0]:
            return Relation.IS_ABOUT_ANOTHER
    elif _differs(stored.get('Last-Modified'), new.get('Last-Modified'), now):
        return Relation.IS_ABOUT_ANOTHER
    is_strong = bool(new_tag) and not new_tag.startswith('W/')
    return Relation.CONFIRMS if is_strong and new_tag != stored_tag else Relation.UPDATES


def _tag(headers: Mapping[str, Any]) -> str:
    """An entity tag as it is written, without what surrounds it; empty if there is no valid one"""
    text = str(headers.get('ETag') or '').strip()
    return text if entity_tags(text) else ''


def _differs(stored: Any, new: Any, now: datetime) -> bool:
    if not stored or not new or stored == new:
        return False
    return parse_http_date(stored, now) != parse_http_date(new, now)


def is_about_stored(own: Mapping[str, Any], stored: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a 304 that answers the caller's own conditions is about the stored response, too

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
