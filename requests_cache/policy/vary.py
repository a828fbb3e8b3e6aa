"""Which requests a response answers, by its `Vary` field (RFC 9111, section 4.1)"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ..cache_keys import normalize_headers
from ..keys.bodies import REDACTED
from ..models.request import CachedRequest
from ..models.response import CachedResponse
from .standard.negotiation import normalize_selecting_field

# Asks the user's own key function: whether it gives a stored request the same key as the request that is to be
# answered, with these names as `match_headers`
SameKey = Callable[[CachedRequest, list[str]], bool]


class Variant(NamedTuple):
    """Whether a stored response answers a request, as far as `Vary` goes

    Args:
        matches: It does
        secondary_names: Names of the header fields that tell this variant from others, where it can be stored beside
            them; empty if it cannot
        earlier_names: Names from which 1.x made the key of this variant, where they are others; it may still be stored
            under that key
    """

    matches: bool
    secondary_names: tuple[str, ...] = ()
    earlier_names: tuple[str, ...] = ()


MATCH = Variant(True)
MISMATCH = Variant(False)
# Bodies are given out decoded, so that their coding makes no difference to anybody
_CODINGS = frozenset(('accept-encoding',))


def varied_names(response: CachedResponse) -> frozenset[str]:
    """Names, in lower case, of the header fields that any response on the way to this one varied by"""
    if not response.history:
        return _names_in(response.header('Vary'))
    return frozenset().union(*(_names_in(r.header('Vary')) for r in (*response.history, response)))


@lru_cache(maxsize=128)
def _names_in(value: str | None) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in (value or '').split(',') if name.strip())


def match_variant(
    headers: Mapping[str, str],
    stored: CachedResponse,
    ignored_parameters: Iterable[str] | None,
    by_the_standard: bool = False,
    same_key: SameKey | None = None,
) -> Variant:
    """Compare a request with the one that a stored response answered

    Args:
        headers: Header fields of the request
        stored: The stored response
        ignored_parameters: Names whose values are not stored, and cannot be compared
        by_the_standard: `Accept-Encoding` counts, and only values that certainly have the same meaning are the same;
            otherwise it does not count, and lists are the same in any order and case
        same_key: Compares by the user's own key function, which then decides in place of these rules
    """
    all_names = varied_names(stored)
    names = all_names if by_the_standard or same_key is not None else all_names - _CODINGS
    if not names:
        return MATCH
    unstored = names.intersection(map(str.lower, ignored_parameters or ()))
    if '*' in names or (unstored and any(headers.get(name) is not None for name in unstored)):
        return MISMATCH
    stored_request = (stored.history[0] if stored.history else stored).request
    if same_key is not None:
        sorted_names = sorted(names)
        return MATCH if same_key(stored_request, sorted_names) else Variant(False, tuple(sorted_names))
    if 'cookie' in names and _cookies(headers) != _cookies(stored_request.headers):
        return MISMATCH
    stored_values = [stored_request.header(name) for name in names]
    # Mostly they are the same to the letter, which is seen much faster
    if stored_values == [headers.get(name) for name in names] or _is_same(
        headers, stored_request.headers, names - {'cookie'}, by_the_standard
    ):
        # What was stored as a placeholder is nobody's, not even theirs who send one
        return MISMATCH if REDACTED in str(stored_values) else MATCH
    return Variant(False, tuple(sorted(names)), tuple(sorted(all_names)) if all_names != names else ())


def _is_same(
    headers: Mapping[str, Any], stored_headers: Mapping[str, Any], names: frozenset[str], by_the_standard: bool
) -> bool:
    normalized = _selecting_fields if by_the_standard else _normalized
    return normalized(headers, names) == normalized(stored_headers, names)


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
