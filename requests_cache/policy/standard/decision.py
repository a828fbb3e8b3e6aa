"""Decisions about a request and its response in strict mode: RFC 9111, RFC 5861 and RFC 8246

Like those in `policy.decision`, these are pure functions. Each cites the section that it implements.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ...models.response import CachedResponse
from ..expiration import DO_NOT_CACHE, EXPIRE_IMMEDIATELY, ExpirationTime, add_clamped
from ..freshness import is_stale_allowed
from ..request import RequestPolicy, expiration_for, has_own_lifetime, is_allowable, is_negatively_cached
from ..settings import DEFAULT_STATUS_CODES
from ..validation import conditions, validators
from ..verdicts import (
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
from .directives import NO_STRICT_DIRECTIVES, StrictDirectives, response_directives
from .freshness import (
    HEURISTICALLY_CACHEABLE,
    Received,
    corrected_initial_age_seconds,
    explicit_lifetime_seconds,
)
from .parts import part_range
from .state import FOREVER_SECONDS, Freshness, freshness, lifetime_seconds

# These responses depend on header fields of the request that are not part of the key
ANSWERS_TO_CONDITIONS = frozenset((304, 412, 416))


def decide_read(policy: RequestPolicy, stored: CachedResponse | None, now: datetime) -> ReadDecision:
    """Decide what to do with a request, given the stored response, if any (section 4)"""
    if stored is None or (stored.status_code == 206 and not policy.ranges):
        return GatewayTimeout('not stored') if policy.only_if_cached else Fetch(policy.skip_read or 'not stored')
    state, request = freshness(policy, stored, now), policy.strict or NO_STRICT_DIRECTIVES
    reason = _reason_to_validate(policy, state, request)
    if reason is None:
        return Use('fresh' if state.is_fresh else 'max-stale', state.age_seconds)
    if policy.only_if_cached:
        return GatewayTimeout(reason)
    if reason == 'stale' and state.may_be_stale and _may_revalidate_later(policy, state, stored, now):
        return UseAndRefresh('stale-while-revalidate', conditions(stored))
    fields = conditions(stored)
    return Validate(reason, fields) if fields else Fetch(reason)


def _reason_to_validate(policy: RequestPolicy, state: Freshness, request: StrictDirectives) -> str | None:
    """Why a stored response must not be used without validation; None if it may be (sections 4, 5.2.1)"""
    if request.no_cache or state.directives.no_cache:
        return 'no-cache'
    if policy.refresh or (policy.settings.always_revalidate and not (state.directives.immutable and state.is_fresh)):
        return 'refresh'
    if request.max_age is not None and _is_too_old(state.age_seconds, request.max_age):
        return 'max-age'
    if request.min_fresh is not None and state.lifetime_seconds - state.age_seconds < request.min_fresh:
        return 'min-fresh'
    if state.is_fresh:
        return None
    if state.may_be_stale and request.max_stale is not None and state.stale_seconds <= request.max_stale:
        return None
    return 'stale'


def _is_too_old(age_seconds: int, max_age_seconds: int) -> bool:
    """Whether an age exceeds `max-age`; always true for 0, and for an invalid number"""
    return max_age_seconds <= 0 or age_seconds > max_age_seconds


def _may_revalidate_later(policy: RequestPolicy, state: Freshness, stored: CachedResponse, now: datetime) -> bool:
    """Whether `stale-while-revalidate` covers a response (RFC 5861, section 3)"""
    allowed = state.directives.stale_while_revalidate
    if allowed is not None:
        return state.stale_seconds <= allowed
    return _is_allowed(policy.stale_while_revalidate, state, now)


def _is_allowed(allowance: bool | ExpirationTime, state: Freshness, now: datetime) -> bool:
    became_stale = add_clamped(now, timedelta(seconds=-state.stale_seconds))
    return allowance is not False and is_stale_allowed(became_stale, now, allowance)


def decide_on_error(
    policy: RequestPolicy, stored: CachedResponse | None, now: datetime, status_code: int | None = None
) -> bool:
    """Whether to use a stored response if the origin fails (section 4.2.4; RFC 5861, section 4); see `decision`"""
    if stored is None or (status_code is not None and status_code not in (500, 502, 503, 504)):
        return False
    if status_code is not None and is_negatively_cached(policy.settings, stored.status_code):
        return False
    state = freshness(policy, stored, now)
    if not state.may_be_stale:
        return False
    request, response = (policy.strict or NO_STRICT_DIRECTIVES).stale_if_error, state.directives.stale_if_error
    if any(seconds is not None and state.stale_seconds <= seconds for seconds in (request, response)):
        return True
    return _is_allowed(policy.settings.stale_if_error, state, now)


def decide_store(
    policy: RequestPolicy, status_code: int, headers: Mapping[str, Any], now: datetime, delay_seconds: float = 0
) -> StoreDecision:
    """Decide whether to store a response, and when it expires (section 3); see `decision`

    Args:
        delay_seconds: Time from sending the request to receiving the response
    """
    facts = Received(headers, response_directives(headers), status_code, now, delay_seconds)
    reason = policy.skip_write or _reason_not_to_store(policy, facts)
    expire_after = expiration_for(policy, status_code)
    if reason or expire_after == DO_NOT_CACHE:
        return DoNotStore(reason or 'do not cache')
    lifetime = lifetime_seconds(facts, policy.settings, expire_after)
    never_fresh = lifetime is None or (lifetime == 0 and expire_after == EXPIRE_IMMEDIATELY)
    if never_fresh and not validators(headers):
        return DoNotStore('no freshness and no validator')
    remaining = min(lifetime or 0, FOREVER_SECONDS) - corrected_initial_age_seconds(facts)
    return Store(add_clamped(now, timedelta(seconds=remaining)))


def reason_not_to_store(
    policy: RequestPolicy, status_code: int, headers: Mapping[str, Any], now: datetime
) -> str | None:
    """Why a response must not be stored, regardless of its lifetime; None if it may be; arguments as above"""
    return policy.skip_write or _reason_not_to_store(
        policy, Received(headers, response_directives(headers), status_code, now)
    )


def expires_after_304(
    policy: RequestPolicy,
    status_code: int,
    headers: Mapping[str, Any],
    new_headers: Mapping[str, Any],
    now: datetime,
    delay_seconds: float = 0,
) -> datetime | None:
    """When a stored response expires after a 304 (section 4.3.4); see `decision`"""
    facts = Received(headers, response_directives(headers), status_code, now, delay_seconds)
    lifetime = lifetime_seconds(facts, policy.settings, expiration_for(policy, status_code)) or 0
    remaining = min(lifetime, FOREVER_SECONDS) - corrected_initial_age_seconds(facts)
    return add_clamped(now, timedelta(seconds=remaining))


def _reason_not_to_store(policy: RequestPolicy, facts: Received) -> str | None:
    settings, directives, shared = policy.settings, facts.directives, policy.settings.shared_cache
    codes = settings.allowable_codes
    understood = facts.status_code in HEURISTICALLY_CACHEABLE
    explicit = explicit_lifetime_seconds(facts, shared) is not None or directives.public
    explicit = explicit or (directives.private and not shared) or has_own_lifetime(settings, facts.status_code)
    if facts.status_code < 200 or facts.status_code in ANSWERS_TO_CONDITIONS or _is_unknown_part(policy, facts):
        return 'status'
    if tuple(codes) != DEFAULT_STATUS_CODES and not is_allowable(settings, facts.status_code):
        return 'status'
    if directives.must_understand and not understood:
        return 'must-understand'
    if directives.no_store and not (directives.must_understand and understood):
        return 'no-store'
    if shared and directives.private:
        return 'private'
    for_others = directives.must_revalidate or directives.public or directives.s_maxage is not None
    if shared and policy.authorized and not for_others:
        return 'authorization'
    return None if explicit or understood else 'status'


def _is_unknown_part(policy: RequestPolicy, facts: Received) -> bool:
    """Whether a response is partial in a way that the cache does not understand (section 3.3)"""
    if facts.status_code == 206:
        return not policy.ranges or part_range(facts.headers) is None
    return policy.ranges is not None and facts.headers.get('Content-Range') is not None
