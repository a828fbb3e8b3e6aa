"""Where the variants of a resource are stored, and which of them a request matches (RFC 9111, section 4.1)

The first response is stored under the key of the request. Others are stored under keys made from the header fields that
they vary by as well, one for each set of values. By the standard, responses may vary by different fields: the first one
keeps a list of all sets of fields (`_generation`: a name that is part of these keys, and the list), and of those that a
request matches the most recent is used. Other modes know the fields of the first response only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import urandom
from typing import Any

from .._utils import lazy_pattern
from ..models.response import CachedResponse
from ..policy.vary import has_same_fields, match_variant, varied_names
from .call import Call

Read = Callable[[Call], CachedResponse | None]
Write = Callable[[Call, CachedResponse, str | None], bool]
Names = frozenset[str]

# As many look-ups does a request take, if a resource varies in that many ways; beyond, its variants are forgotten
MAX_SETS = 8
_TOKEN = lazy_pattern(r"[!#$%&'*+.^_`|~0-9a-z-]+")
# Fields whose values do not make keys
_NOT_IN_KEYS = frozenset(('*', 'cookie'))


def find_variant(call: Call, first: CachedResponse, read: Read) -> CachedResponse | None:
    """The stored response that a request matches; sets the key under which it is, or one for the request will be stored

    Args:
        first: What is stored under the key of the request
        read: Reads what is stored under `call.cache_key`
    """
    variant = match_variant(call.request.headers, first, call.policy.settings.ignored_parameters, call.is_strict)
    generation, _, sets = first._generation.partition(' ')
    call.first, call.first_matches, call.generation = first, variant.matches, generation
    call.first_key = first_key = call.cache_key
    if variant.matches and not sets:
        return first
    own, others = varied_names(first), _sets(first) if call.is_strict else frozenset()
    all_names = own.union(*others)
    found: list[tuple[str | None, CachedResponse]] = []
    if variant.matches and _suits(call, first, all_names):
        found.append((first_key, first))
    names_to_try = others - {own}
    if not variant.matches and variant.secondary_names:
        names_to_try |= {frozenset(variant.secondary_names)}
    for names in sorted(names_to_try, key=sorted):
        call.cache_key = key_of_variant(call, names, first_key)
        other = read(call)
        if other is not None and _suits(call, other, all_names):
            found.append((call.cache_key, other))
    call.is_other_variant = not found
    if call.is_strict:
        call.cache_key = first_key
    if not found:
        return None
    call.cache_key, best = max(found, key=lambda item: (bool(varied_names(item[1])), *time_of(item[1])))
    return best


def _suits(call: Call, stored: CachedResponse, all_names: Names) -> bool:
    """Whether a request matches a response; one that omits `Vary` is taken to vary by all that others vary by"""
    ignored = call.policy.settings.ignored_parameters
    if not match_variant(call.request.headers, stored, ignored, call.is_strict).matches:
        return False
    return not call.is_strict or bool(varied_names(stored)) or has_same_fields(call.request.headers, stored, all_names)


def time_of(response: CachedResponse) -> tuple[Any, Any]:
    """By which the most recent of several responses is told"""
    from ..policy.standard.freshness import date_value
    from ..policy.standard.state import received

    return date_value(received(response)), response.created_at


def _sets(first: CachedResponse) -> frozenset[Names]:
    """The sets of fields that the variants beside the first one vary by"""
    _, separator, text = first._generation.partition(' ')
    return frozenset(frozenset(filter(None, part.split(','))) for part in text.split(';')) if separator else frozenset()


def key_of_variant(call: Call, names: Iterable[str], first_key: str | None) -> str:
    """The key of a variant: that of the request with all the header fields that tell variants apart"""
    settings, names = call.policy.settings, sorted(names)
    match_headers: Any = settings.match_headers
    if match_headers is not True:
        match_headers = sorted({*names, *(name.lower() for name in match_headers or ())})
    key = call.session.cache.create_key(call.keyed_request, match_headers=match_headers, **call.send_kwargs)
    if call.is_strict or (key == first_key and settings.key_fn is None):
        # Also for those that lack some of the fields
        key = f'{key}-{"-".join(names)}'
    return f'{key}-{call.generation}' if call.generation else key


def settle(call: Call, cached: CachedResponse, write: Write) -> None:
    """Find the place of a new response among the variants, by the standard

    Args:
        cached: The new response
        write: Writes a response under a key; whether that succeeded
    """
    first, names = call.first, varied_names(cached)
    first_key = call.first_key or call.cache_key
    if first is None or not call.generation or not _can_be_told_apart(call, names):
        call.cache_key, cached._generation = first_key, new_generation()
    elif names == varied_names(first) and call.first_matches:
        call.cache_key, cached._generation = first_key, first._generation
    elif names == varied_names(first) or names in _sets(first) or _add_set(call, first, names, write):
        call.cache_key, cached._generation = key_of_variant(call, names, first_key), call.generation
    else:
        call.cache_key, cached._generation = first_key, new_generation()


def _can_be_told_apart(call: Call, names: Names) -> bool:
    ignored = {name.lower() for name in call.policy.settings.ignored_parameters or ()}
    return not names & (_NOT_IN_KEYS | ignored) and all(map(_TOKEN.fullmatch, names))


def _add_set(call: Call, first: CachedResponse, names: Names, write: Write) -> bool:
    sets = _sets(first) | {names}
    if len(sets) > MAX_SETS:
        return False
    listed = ';'.join(sorted(','.join(sorted(each)) for each in sets))
    first._generation = f'{call.generation} {listed}'
    return bool(write(call, first, call.first_key))


def new_generation() -> str:
    """A name for the variants of a resource from now on; those of earlier generations are not found any more"""
    return urandom(4).hex()
