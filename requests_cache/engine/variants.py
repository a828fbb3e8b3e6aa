"""Storing the variants of a resource, and selecting the one that matches a request (RFC 9111, section 4.1)

The first response is stored under the key of the request. Each further variant is stored under a key that includes the
values of the header fields in `Vary`. In strict mode, variants may have different `Vary` fields. Therefore the first
response has a list of all sets of fields (in `_generation`, with a name that is part of these keys), and the most
recent matching variant is used. In other modes, only the `Vary` of the first response is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import urandom
from typing import Any

from .._utils import lazy_pattern
from ..keys.variants import matched_names, variant_key
from ..models.response import CachedResponse
from ..policy.vary import Variant, has_same_fields, match_variant, varied_names
from .exchange import Exchange, LookUp, Variants
from .store import Put

Names = frozenset[str]

# The maximum number of different `Vary` fields of a resource, and of look-ups for a request; with more, its variants
# are forgotten
MAX_SETS = 8
_TOKEN = lazy_pattern(r"[!#$%&'*+.^_`|~0-9a-z-]+")
# Fields whose values are not part of keys
_NOT_IN_KEYS = frozenset(('*', 'cookie'))


def find_variant(exchange: Exchange, key: str, first: CachedResponse) -> LookUp:
    """Find the variant that matches a request in the default modes: the first, or one with the same `Vary`

    Args:
        key: The key of the request
        first: The response that is stored under it
    """
    variant = match(exchange, first)
    if variant.matches:
        return LookUp(key, first)
    if not variant.secondary_names:
        return LookUp(key, is_other_variant=True)
    generation = first._generation.partition(' ')[0]
    keys = [
        key_of_variant(exchange, names, key, generation)
        for names in (variant.secondary_names, variant.names_in_1x)
        if names
    ]
    for key_of_other in keys:
        other = exchange.read(key_of_other)
        if other is not None and match(exchange, other).matches:
            return LookUp(key_of_other, other)
    return LookUp(keys[0], is_other_variant=True)


def find_among_all(exchange: Exchange, key: str, first: CachedResponse) -> LookUp:
    """Find the most recent variant that matches a request in strict mode; arguments as above"""
    variant = match(exchange, first)
    generation, _, sets = first._generation.partition(' ')
    variants = Variants(first, key, variant.matches, generation)
    if variant.matches and not sets:
        return LookUp(key, first, variants)
    own, others = varied_names(first), _sets(first)
    all_names = own.union(*others)
    found: list[tuple[str, CachedResponse]] = []
    if variant.matches and _suits(exchange, first, all_names):
        found.append((key, first))
    names_to_try = others - {own}
    if not variant.matches and variant.secondary_names:
        names_to_try |= {frozenset(variant.secondary_names)}
    for names in sorted(names_to_try, key=sorted):
        key_of_other = key_of_variant(exchange, names, key, generation)
        other = exchange.read(key_of_other)
        if other is not None and _suits(exchange, other, all_names):
            found.append((key_of_other, other))
    if not found:
        return LookUp(key, None, variants, is_other_variant=True)
    best_key, best = max(found, key=lambda item: (bool(varied_names(item[1])), *time_of(item[1])))
    return LookUp(best_key, best, variants)


def match(exchange: Exchange, stored: CachedResponse) -> Variant:
    """Compare a request with the request of a stored response"""
    ignored, is_exact = exchange.settings.ignored_parameters, exchange.mode.exact_query
    same_key = exchange.store.same_key(exchange.request)
    return match_variant(exchange.request.headers, stored, ignored, is_exact, same_key)


def _suits(exchange: Exchange, stored: CachedResponse, all_names: Names) -> bool:
    """Whether a request matches a response; if it has no `Vary`, the fields of all other variants are used"""
    if not match(exchange, stored).matches:
        return False
    return bool(varied_names(stored)) or has_same_fields(exchange.request.headers, stored, all_names)


def time_of(response: CachedResponse) -> tuple[Any, Any]:
    """A sort key for finding the most recent of several responses"""
    from ..policy.standard.freshness import date_value
    from ..policy.standard.state import response_facts

    return date_value(response_facts(response)), response.created_at


def _sets(first: CachedResponse) -> frozenset[Names]:
    """The sets of header fields in `Vary` of the variants other than the first"""
    _, separator, text = first._generation.partition(' ')
    return frozenset(frozenset(filter(None, part.split(','))) for part in text.split(';')) if separator else frozenset()


def key_of_variant(exchange: Exchange, names: Iterable[str], first_key: str, generation: str) -> str:
    """The key of a variant: the key of the request including the header fields in `Vary`"""
    key = str(exchange.mode.key(exchange, match_headers=matched_names(names, exchange.settings.match_headers)))
    # The names are needed for requests without some of the fields
    with_names = exchange.mode.exact_query or (key == first_key and exchange.settings.key_fn is None)
    return variant_key(key, names if with_names else (), generation)


def place(exchange: Exchange, look_up: LookUp, cached: CachedResponse) -> tuple[str, list[Put]]:
    """Find the key of a new variant in strict mode

    Returns:
        The key, and the writes that are needed first: the first variant is updated if there is a new set of fields
    """
    names, variants = varied_names(cached), look_up.variants
    if variants is None or not variants.generation or not _can_be_told_apart(exchange, names):
        return _in_first_place(look_up, cached, new_generation())
    first = variants.first
    if names == varied_names(first) and variants.first_matches:
        return _in_first_place(look_up, cached, first._generation)
    before = []
    if names != varied_names(first) and names not in _sets(first):
        sets = _sets(first) | {names}
        if len(sets) > MAX_SETS:
            return _in_first_place(look_up, cached, new_generation())
        listed = ';'.join(sorted(','.join(sorted(each)) for each in sets))
        first._generation = f'{variants.generation} {listed}'
        before.append(Put(variants.first_key, first, first.expires))
    cached._generation = variants.generation
    return key_of_variant(exchange, names, variants.first_key, variants.generation), before


def _in_first_place(look_up: LookUp, cached: CachedResponse, generation: str) -> tuple[str, list[Put]]:
    cached._generation = generation
    return (look_up.variants.first_key if look_up.variants is not None else str(look_up.key)), []


def _can_be_told_apart(exchange: Exchange, names: Names) -> bool:
    ignored = {name.lower() for name in exchange.settings.ignored_parameters or ()}
    return not names & (_NOT_IN_KEYS | ignored) and all(map(_TOKEN.fullmatch, names))


def new_generation() -> str:
    """A new name for the variants of a resource; variants of earlier generations are no longer found"""
    return urandom(4).hex()
