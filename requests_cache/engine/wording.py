"""Reasons of decisions as sentences"""

from __future__ import annotations

from collections.abc import Iterable

from . import refusals

_READ = {
    'fresh': 'the stored response is fresh',
    'stale': 'the stored response is stale',
    'max-stale': 'the stored response is stale, and the request accepts that (max-stale)',
    'only-if-cached': 'the network may not be used (only-if-cached), and the stored response is good enough',
    'stale-while-revalidate': 'the stored response is stale, and may be used while it is renewed',
    'not stored': 'nothing is stored for this request',
    'refresh': 'the stored response is validated before it is used (refresh or always_revalidate)',
    'no-cache': 'a stored response may not be used without asking the origin (no-cache or force_refresh)',
    'request': 'the request asks for a new response',
    'max-age': 'the stored response is older than the request allows (max-age)',
    'min-fresh': 'the stored response will not stay fresh for as long as the request demands (min-fresh)',
    'disabled': 'the cache is switched off',
    'method': 'requests of this method are not cached (allowable_methods)',
    'no-store': 'the request says no-store',
    'do not cache': 'expire_after is DO_NOT_CACHE for this request',
    'body of the request': 'the body of the request can be read only once, so no key can be made from it',
}

_NOT_STORED = {
    'method': 'requests of this method are not cached (allowable_methods)',
    'disabled': 'the cache is switched off',
    'read-only': 'the cache is read-only',
    'do not cache': 'expire_after is DO_NOT_CACHE for this request',
    'no-store': 'the request or the response says no-store',
    'expires at once': 'it expires at once, and has no validator (ETag or Last-Modified)',
    'no freshness and no validator': 'it says nothing about its freshness, and has no validator',
    'private': 'it is private, and this cache is shared',
    'authorization': 'the request has credentials, and this cache is shared',
    'must-understand': 'it says must-understand, and the cache does not know its status',
    refusals.BY_FILTER: 'filter_fn rejects it',
    refusals.BY_HOOK: 'a hook has read the body',
    refusals.IN_TWO_WAYS: 'its body was read in two ways, so that not all of it is known',
    refusals.UNREAD: 'its body has not been read to its end',
    refusals.LONGER_THAN_ALLOWED: 'its body is longer than max_body_bytes',
    refusals.INCOMPLETE: 'its body is incomplete',
    refusals.UNDECODABLE: 'its body cannot be decoded (Content-Encoding)',
    refusals.UNFITTING: 'it is a partial response that does not fit what is stored',
    refusals.TOO_LARGE: 'it is larger than the whole cache may be',
    refusals.CHANGED: 'another response was stored in the meantime',
    refusals.LOCKED: 'the stored entry is encrypted with another key, and is left as it is',
    refusals.FAULT: 'the store failed; see the log',
    refusals.ABANDONED: 'the cache was closed',
}


def why(reason: str) -> str:
    """Why a request is answered as it is"""
    return _READ.get(reason, reason)


def why_not_stored(reason: str, status_code: int, allowable_codes: Iterable[int]) -> str:
    """Why a response is not stored"""
    if reason == 'status':
        codes = ', '.join(map(str, allowable_codes))
        return f'status {status_code} is not among allowable_codes ({codes})'
    return _NOT_STORED.get(reason, reason)


def duration(seconds: float) -> str:
    """A number of seconds for people: in the largest unit of which there are at least two"""
    seconds = abs(seconds)
    for unit, size in (('days', 86_400), ('h', 3600), ('min', 60)):
        if seconds >= 2 * size:
            return f'{seconds / size:.0f} {unit}'
    return f'{seconds:.0f} s'
