"""Which requests a response answers, by its `Vary` field (RFC 9111, section 4.1)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..cache_keys import normalize_headers
from ..keys.bodies import REDACTED
from ..models.response import CachedResponse
from .standard.negotiation import normalize_selecting_field


class Variant(NamedTuple):
    """Whether a stored response answers a request, as far as `Vary` goes

    Args:
        matches: It does
        secondary_names: Names of the header fields that tell this variant from others, where it can be stored beside
            them; empty if it cannot
    """

    matches: bool
    secondary_names: tuple[str, ...] = ()


MATCH = Variant(True)


def varied_names(response: CachedResponse) -> frozenset[str]:
    """Names, in lower case, of the header fields that any response on the way to this one varied by"""
    values = [r.headers.get('Vary') for r in (*response.history, response)]
    return frozenset(name.strip().lower() for value in values for name in (value or '').split(',') if name.strip())


def match_variant(
    headers: Mapping[str, str],
    stored: CachedResponse,
    ignored_parameters: Iterable[str] | None,
    by_the_standard: bool = False,
) -> Variant:
    """Compare a request with the one that a stored response answered

    Args:
        headers: Header fields of the request
        stored: The stored response
        ignored_parameters: Names whose values are not stored, and cannot be compared
        by_the_standard: Unify only what has the same meaning for certain; else lists in any order and case
    """
    if not stored.history and not stored.has_header('vary'):
        return MATCH
    names = varied_names(stored)
    if not names:
        return MATCH
    if '*' in names:
        return Variant(False)
    if any(name.lower() in names and headers.get(name) is not None for name in ignored_parameters or ()):
        return Variant(False)
    stored_headers = (stored.history[0] if stored.history else stored).request.headers
    if 'cookie' in names and _cookies(headers) != _cookies(stored_headers):
        return Variant(False)
    normalized = _selecting_fields if by_the_standard else _normalized
    others = names - {'cookie'}
    # Mostly they are the same to the letter, which is seen much faster
    is_same = all(headers.get(name) == stored_headers.get(name) for name in others)
    if is_same or normalized(headers, others) == normalized(stored_headers, others):
        # What was stored as a placeholder is nobody's, not even theirs who send one
        return Variant(False) if any(REDACTED in str(stored_headers.get(name)) for name in names) else MATCH
    return Variant(False, tuple(sorted(names)))


def has_same_fields(headers: Mapping[str, Any], stored: CachedResponse, names: Iterable[str]) -> bool:
    """Whether a request and the one that a stored response answered are the same in these header fields"""
    stored_headers = (stored.history[0] if stored.history else stored).request.headers
    return _selecting_fields(headers, names) == _selecting_fields(stored_headers, names)


def _normalized(headers: Mapping[str, Any], names: Iterable[str]) -> dict[str, str | None]:
    chosen = {name: headers[name] for name in names if headers.get(name) is not None}
    return dict(normalize_headers(chosen))


def _selecting_fields(headers: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    return {name: normalize_selecting_field(name, headers[name]) for name in names if headers.get(name) is not None}


def _cookies(headers: Mapping[str, Any]) -> list[str]:
    value = headers.get('Cookie') or ''
    text = value.decode('latin-1') if isinstance(value, bytes) else value
    return sorted(pair.strip() for pair in text.split(';') if pair.strip())
