"""Which requests a response matches according to `Vary` (RFC 9111, section 4.1)"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ..cache_keys import normalize_headers
from ..keys.bodies import REDACTED
from ..models.request import CachedRequest
from ..models.response import CachedResponse
from .standard.negotiation import normalize_selecting_field

# Whether the user's key function returns the same key for a stored request as for the new one, with these names as
# `match_headers`
SameKey = Callable[[CachedRequest, list[str]], bool]


class Variant(NamedTuple):
    """The result of comparing a request with a stored response by `Vary`

    Args:
        matches: Whether the response matches the request
        secondary_names: Names of the header fields by which the variants differ, if variants can be stored; else empty
        names_in_1x: Names that 1.x used for the key of the variant, if they differ; it may be stored under that key
    """

    matches: bool
    secondary_names: tuple[str, ...] = ()
    names_in_1x: tuple[str, ...] = ()


MATCH = Variant(True)
MISMATCH = Variant(False)
# Bodies are returned decoded, so the coding does not matter to the caller
_CODINGS = frozenset(('accept-encoding',))


def varied_names(response: CachedResponse) -> frozenset[str]:
    """Names, in lower case, of all header fields in `Vary` of a response and of its history"""
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
    strict: bool = False,
    same_key: SameKey | None = None,
) -> Variant:
    """Compare a request with the request of a stored response

    Args:
        headers: Header fields of the request
        stored: The stored response
        ignored_parameters: Names of header fields whose values are not stored, so that they cannot be compared
        strict: Compare `Accept-Encoding` too, and values by their exact meaning; otherwise, order and case of lists are
            ignored
        same_key: Compares requests by the user's key function, which then replaces these rules
    """
    all_names = varied_names(stored)
    names = all_names if strict or same_key is not None else all_names - _CODINGS
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
    # Most values are identical, and comparing them unchanged is much faster
    if stored_values == [headers.get(name) for name in names] or _is_same(
        headers, stored_request.headers, names - {'cookie'}, strict
    ):
        # A placeholder never matches, even if the request contains the same text
        return MISMATCH if REDACTED in str(stored_values) else MATCH
    return Variant(False, tuple(sorted(names)), tuple(sorted(all_names)) if all_names != names else ())


def _is_same(
    headers: Mapping[str, Any], stored_headers: Mapping[str, Any], names: frozenset[str], strict: bool
) -> bool:
    normalized = _selecting_fields if strict else _normalized
    return normalized(headers, names) == normalized(stored_headers, names)


def has_same_fields(headers: Mapping[str, Any], stored: CachedResponse, names: Iterable[str]) -> bool:
    """Whether a request and the request of a stored response have the same values in these header fields"""
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
