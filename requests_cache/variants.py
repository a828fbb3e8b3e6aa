"""Where the variants of a resource are stored, and which of them a request matches (RFC 9111, section 4.1)

The first response is stored under the key of the request. One for a request that it does not match is stored under a
key made from the header fields that it varies by as well; one that neither matches, under a key made from those that
both vary by, and so on. A request goes the same way, and the first stored response that it matches is the only one, as
`settle` sees to it that what is stored on the way differs in all the fields that were looked at before.
"""

from __future__ import annotations

from collections.abc import Callable
from os import urandom
from typing import Any

from .call import Call
from .models.response import CachedResponse
from .policy.vary import match_variant, varied_names

Read = Callable[[Call], CachedResponse | None]


def find_variant(call: Call, stored: CachedResponse, read: Read) -> CachedResponse | None:
    """The stored response that a request matches, from the first one on

    Sets the key under which it is, or one for this request will be stored.
    """
    ignored = call.policy.settings.ignored_parameters
    call.primary_key, call.generation = call.cache_key, stored._generation
    candidate: CachedResponse | None = stored
    while candidate is not None:
        variant = match_variant(call.request.headers, candidate, ignored, call.is_strict)
        if variant.matches:
            return candidate
        call.is_other_variant = True
        names = call.variant_names.union(variant.secondary_names)
        if names == call.variant_names:
            call.replaced = candidate
            return None
        call.variant_names = names
        call.cache_key = _secondary_key(call)
        candidate = read(call)
    return None


def _secondary_key(call: Call) -> str:
    """The key of a variant: that of the request with all the header fields that tell variants apart"""
    settings, names = call.policy.settings, sorted(call.variant_names)
    match_headers: Any = settings.match_headers
    if match_headers is not True:
        match_headers = sorted({*names, *(name.lower() for name in match_headers or ())})
    key = call.session.cache.create_key(call.keyed_request, match_headers=match_headers, **call.send_kwargs)
    if settings.key_fn is None and (call.cache_key or '').startswith(key):
        # None of the fields that are new is in this request: the variant for those that lack them
        key = f'{key}-{"-".join(names)}'
    return f'{key}-{call.generation}' if call.generation else key


def settle(call: Call, cached: CachedResponse, replaced: CachedResponse | None) -> None:
    """Find the place of a new response among the variants, by the standard

    One that varies by other fields than what is in its place could answer requests that lead elsewhere, where an older
    response is; or be itself the older one later. So it comes first, and all the others are not found any more. One
    that does not vary goes behind those that do, as the field may have been left out by mistake.
    """
    # Not by truth: a response with an error status is false
    replaced = call.replaced if replaced is None else replaced
    names = varied_names(cached)
    is_in_place = not names or call.variant_names <= names
    is_in_place = is_in_place and (replaced is None or varied_names(replaced) == names)
    if not is_in_place:
        call.cache_key = call.primary_key or call.cache_key
    cached._generation = call.generation if call.generation and is_in_place else new_generation()


def new_generation() -> str:
    """A name for the variants of a resource from now on; those of earlier generations are not found any more"""
    return urandom(4).hex()
