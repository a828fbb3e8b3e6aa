"""Decisions about a request and its response, in the default modes

These are pure functions, which do not access the clock, the store or the network. `decide_read` is called after the
store was read, `decide_store` after a response was received, `decide_on_error` if the request failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ..models.response import CachedResponse
from .directives import NO_DIRECTIVES, CacheDirectives
from .expiration import DO_NOT_CACHE, ExpirationTime
from .freshness import Lifetime, is_fresh_enough, is_stale_allowed, lifetime_from_response, lifetime_from_user
from .request import RequestPolicy, expiration_for, is_allowable, is_negatively_cached
from .validation import conditions, has_validator
from .verdicts import (
    DoNotStore,
    Fetch,
    GatewayTimeout,
    ReadDecision,
    Store,
    StoreDecision,
    Use,
    UseAndRefresh,
    Validate,
)


def decide_read(policy: RequestPolicy, stored: CachedResponse | None, now: datetime) -> ReadDecision:
    """Decide what to do with a request, given the stored response, if any

    Args:
        policy: Policy of the request
        stored: The stored response that matches the request, or None
        now: The current time (UTC)
    """
    if stored is None:
        return _without_network(policy) or Fetch(policy.skip_read or 'not stored')
    expires = stored.expires
    expired = expires is not None and now >= expires
    allowances = _allowances(policy, stored)
    if policy.only_if_cached:
        usable = _is_usable_without_origin(policy, expires, now, allowances.if_error)
        return Use('only-if-cached') if usable else GatewayTimeout('stale')
    if expired and allowances.while_revalidate and is_stale_allowed(expires, now, allowances.while_revalidate):
        return UseAndRefresh('stale-while-revalidate', conditions(stored))
    if not _is_usable(policy, expires, now) or (expired and has_validator(stored)):
        return _renew('stale', stored)
    if (policy.refresh or policy.settings.always_revalidate) and has_validator(stored):
        return _renew('refresh', stored)
    if policy.settings.cache_control and allowances.no_cache:
        return _renew('no-cache', stored)
    return Use('stale' if expired else 'fresh')


def _without_network(policy: RequestPolicy) -> ReadDecision | None:
    return GatewayTimeout(policy.skip_read or 'not stored') if policy.only_if_cached else None


def _renew(reason: str, stored: CachedResponse) -> ReadDecision:
    fields = conditions(stored)
    return Validate(reason, fields) if fields else Fetch(reason)


class _Allowances(NamedTuple):
    if_error: bool | ExpirationTime
    while_revalidate: bool | ExpirationTime
    no_cache: bool = False


def _allowances(policy: RequestPolicy, stored: CachedResponse) -> _Allowances:
    """How long a stale response may be used: by request or settings, or else, with `cache_control`, by its headers"""
    if_error, while_revalidate = policy.stale_if_error, policy.stale_while_revalidate
    if not policy.settings.cache_control or stored.headers.get('Cache-Control') is None:
        return _Allowances(if_error, while_revalidate)
    directives = CacheDirectives.from_headers(stored.headers)
    if directives.must_revalidate:
        return _Allowances(False, False, directives.no_cache)
    return _Allowances(
        if_error if if_error is not False else directives.stale_if_error or False,
        while_revalidate if while_revalidate is not False else directives.stale_while_revalidate or False,
        directives.no_cache,
    )


def _is_usable(policy: RequestPolicy, expires: datetime | None, now: datetime) -> bool:
    if policy.directives is NO_DIRECTIVES:
        return is_fresh_enough(expires, now)
    return is_fresh_enough(expires, now, policy.directives.get_expire_offset().total_seconds())


def _is_usable_without_origin(
    policy: RequestPolicy, expires: datetime | None, now: datetime, allowance: bool | ExpirationTime
) -> bool:
    """Whether a response may be used if no new one is available: by the request's directives, or by the allowance"""
    return _is_usable(policy, expires, now) or (bool(allowance) and is_stale_allowed(expires, now, allowance))


def decide_store(
    policy: RequestPolicy, status_code: int, headers: Mapping[str, Any], now: datetime, delay_seconds: float = 0
) -> StoreDecision:
    """Decide whether to store a response, and when it expires

    Args:
        policy: Policy of the request
        status_code: Status of the response
        headers: Header fields of the response
        now: When the response was received (UTC)
        delay_seconds: Time from sending the request to receiving the response; used in strict mode only
    """
    reason = reason_not_to_store(policy, status_code, headers)
    if reason:
        return DoNotStore(reason)
    if expiration_for(policy, status_code) == DO_NOT_CACHE:
        return DoNotStore('do not cache')
    directives = CacheDirectives.from_headers(headers)
    lifetime = response_lifetime(policy, status_code, directives, headers, now)
    if lifetime.needs_validator and not directives.has_validator:
        return DoNotStore('expires at once')
    return Store(lifetime.expires)


def reason_not_to_store(policy: RequestPolicy, status_code: int, headers: Mapping[str, Any]) -> str | None:
    """Why a response must not be stored, regardless of its lifetime; None if it may be; arguments as above"""
    if policy.skip_write:
        return policy.skip_write
    if not is_allowable(policy.settings, status_code):
        return 'status'
    is_forbidden = policy.settings.cache_control and CacheDirectives.from_headers(headers).no_store
    return 'no-store' if is_forbidden else None


def expires_after_304(
    policy: RequestPolicy,
    status_code: int,
    headers: Mapping[str, Any],
    new_headers: Mapping[str, Any],
    now: datetime,
    delay_seconds: float = 0,
) -> datetime | None:
    """When a stored response expires after a 304

    Args:
        policy: Policy of the request
        status_code: Status of the stored response
        headers: Its header fields, already updated
        new_headers: Header fields of the 304
        now: When the 304 was received (UTC)
        delay_seconds: Time from sending the request to receiving the 304; used in strict mode only
    """
    return response_lifetime(policy, status_code, CacheDirectives.from_headers(headers), new_headers, now).expires


def response_lifetime(
    policy: RequestPolicy, status_code: int, directives: CacheDirectives, headers: Mapping[str, Any], now: datetime
) -> Lifetime:
    """The lifetime of a response: by its own headers (with `cache_control`), otherwise by the user's settings"""
    declared = lifetime_from_response(directives, headers, now) if policy.settings.cache_control else None
    return declared or lifetime_from_user(expiration_for(policy, status_code), now)


def decide_on_error(
    policy: RequestPolicy, stored: CachedResponse | None, now: datetime, status_code: int | None = None
) -> bool:
    """Whether to use a stored response because the request failed, or was answered with an error status

    Args:
        policy: Policy of the request
        stored: The stored response that needed to be renewed
        now: The current time (UTC)
        status_code: The error status; None if there was no response
    """
    if stored is None:
        return False
    if_error = _allowances(policy, stored).if_error
    if status_code is None:
        return _is_usable_without_origin(policy, stored.expires, now, if_error)
    if status_code < 400 or status_code in policy.settings.allowable_codes:
        return False
    if is_negatively_cached(policy.settings, stored.status_code):
        return False
    if policy.settings.stale_if_error is False and if_error == policy.directives.stale_if_error:
        return False
    return if_error is not False and is_stale_allowed(stored.expires, now, if_error)
