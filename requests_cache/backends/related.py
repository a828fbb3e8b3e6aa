"""Finding all entries for a request: the response, its variants, and the parts of both

The first response is found by the key of the request, and its parts by their index. The keys of other variants depend
on the values of header fields, so they can be found only by iterating over the store:

* In strict mode, all variants of a resource have its generation in their keys, so reading the keys is enough. To
  invalidate the variants, this is not necessary: without the first response, the others are no longer found.
* In other modes, only the stored request shows that an entry is a variant, so each entry is read. This is skipped if
  the first response does not vary, or is not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from requests import PreparedRequest, Request, Session

from .._utils import is_bad_signature
from ..keys.variants import belongs_to_generation
from ..models.redirects import first_request, history_from, redirect_keys
from ..models.request import AnyRequest, CachedRequest
from ..models.response import CachedResponse
from ..policy.vary import varied_names
from .mappings import keys_while_changing, scan_while_changing
from .rekey import explain_key, possible_requests

# Header fields that are not part of keys in the default modes
_NOT_IN_KEYS = frozenset(('accept-encoding', 'cookie'))


class RelatedKeys(NamedTuple):
    """The keys of a request that are known without iterating over the store, and how to find the other variants

    Args:
        first_keys: Keys of the request and of the target of its redirects
        keys: Keys of the response and of its parts, which need not exist
        redirects: Keys of redirects to the response
        generation: The generation in the keys of its variants, in strict mode
        may_vary: It may have variants that can be recognised only by their requests
    """

    first_keys: list[str]
    keys: list[str]
    redirects: list[str]
    generation: str = ''
    may_vary: bool = False


def find_related(cache: Any, request: AnyRequest, **kwargs: Any) -> RelatedKeys:
    """Find the response to a request by its key, following redirects

    Args:
        cache: The cache
        request: A request, prepared or not
        kwargs: Arguments that the request is sent with, such as `verify`
    """
    key: str = cache.create_key(request, **kwargs)
    keys, redirects = [key], []
    response = _read(cache.responses, key)
    if response is None and (target := cache.redirects.get(key)) is not None:
        redirects.append(key)
        response = _read(cache.responses, target)
        if response is not None and history_from(key, response, cache.create_key) is not None:
            keys.append(target)
        else:  # the redirect is outdated
            response = None
    if response is None:
        return RelatedKeys([key], [key, *stored_part_keys(cache, key)], redirects)
    sources = dict.fromkeys(redirect_keys(response, cache.create_key, **kwargs))
    redirects += [source for source in sources if cache.redirects.get(source) == keys[-1]]
    all_keys = [k for key in keys for k in (key, *stored_part_keys(cache, key))]
    generation = response._generation.partition(' ')[0]
    return RelatedKeys(keys, all_keys, redirects, generation, not generation and _may_vary(cache, response))


def _read(storage: Any, key: str) -> CachedResponse | None:
    try:
        response = storage[key]
    except KeyError:
        return None
    except Exception as e:
        if is_bad_signature(e):
            return None
        raise
    return response if isinstance(response, CachedResponse) else None


def stored_part_keys(cache: Any, key: str) -> list[str]:
    """Keys of the stored parts of a response and of their index; empty if there are no parts"""
    from ..policy.standard.parts import index_key, part_keys

    index = _read(cache.responses, index_key(key))
    return part_keys(key, index) if index is not None else []


def _may_vary(cache: Any, first: CachedResponse) -> bool:
    """Whether a response may have other variants in the default modes"""
    names, has_users_key = varied_names(first), cache._settings_for(first_request(first)).key_fn is not None
    return '*' not in names and bool(names if has_users_key else names - _NOT_IN_KEYS)


def variant_keys(cache: Any, found: Iterable[RelatedKeys], **kwargs: Any) -> Iterator[str]:
    """Keys of the other variants of responses, and of their parts, found by iterating over the store once

    The caller may delete the entries during the iteration.

    Args:
        cache: The cache
        found: Results of `find_related`
        kwargs: Arguments that the requests were sent with, such as `verify`
    """
    found = list(found)
    generations = {each.generation for each in found if each.generation}
    wanted = {key for each in found if each.may_vary for key in each.first_keys}
    if wanted:
        for key, response in scan_while_changing(cache.responses):
            if belongs_to_generation(key, generations) or _is_variant_of(cache, key, response, wanted, kwargs):
                yield key
    elif generations:
        yield from (key for key in keys_while_changing(cache.responses) if belongs_to_generation(key, generations))


def _is_variant_of(cache: Any, key: str, response: Any, wanted: set[str], kwargs: dict[str, Any]) -> bool:
    if not isinstance(response, CachedResponse):
        return False
    if not any(cache.create_key(request, **kwargs) in wanted for request in possible_requests(response)):
        return False
    # A request that was sent with a different `verify` has a different key
    origin = explain_key(cache, key, response)
    return bool(varied_names(response)) if origin is None else origin.verify == bool(kwargs.get('verify', True))


def keys_for_any_headers(cache: Any, requests: Iterable[AnyRequest], **kwargs: Any) -> Iterator[str]:
    """Keys of all entries for the methods and URLs of requests without a body, regardless of their headers

    This reads every entry of the store. The caller may delete entries during the iteration.

    Args:
        cache: The cache
        requests: Requests, prepared or not
        kwargs: Arguments that the requests are sent with; entries for other arguments are found as well
    """
    wanted: list[tuple[Any, str]] = []
    for each in requests:
        request = prepare(each)
        wanted.append((request.headers, cache.create_key(request, **kwargs)))
    headers_and_keys = _group_by_headers(wanted)
    for key, response in scan_while_changing(cache.responses):
        if isinstance(response, CachedResponse) and _matches(cache.create_key, response, headers_and_keys, kwargs):
            yield key


def _group_by_headers(wanted: list[tuple[Any, str]]) -> list[tuple[Any, set[str]]]:
    groups: list[tuple[Any, set[str]]] = []
    for headers, key in wanted:
        for known, keys in groups:
            if known == headers:
                keys.add(key)
                break
        else:
            groups.append((headers, {key}))
    return groups


def _matches(
    create_key: Callable[..., str],
    response: CachedResponse,
    headers_and_keys: list[tuple[Any, set[str]]],
    kwargs: dict[str, Any],
) -> bool:
    for stored in possible_requests(response):
        request = stored.copy()
        for headers, keys in headers_and_keys:
            request.headers = headers
            if create_key(request, **kwargs) in keys:
                return True
    return False


def prepare(request: AnyRequest) -> PreparedRequest | CachedRequest:
    """Prepare a request like a new session would"""
    if not isinstance(request, Request):
        return request
    with Session() as session:
        return session.prepare_request(request)
