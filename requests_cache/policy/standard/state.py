"""The freshness of a stored response in strict mode: its lifetime, its age, and whether it may be used when stale"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ...models.response import CachedResponse
from ..expiration import DO_NOT_CACHE, ExpirationTime, get_expiration_datetime
from ..request import RequestPolicy, expiration_for
from ..settings import CacheSettings
from .directives import NO_STRICT_DIRECTIVES, StrictDirectives, response_directives
from .freshness import (
    Received,
    corrected_initial_age_seconds,
    current_age_seconds,
    explicit_lifetime_seconds,
    heuristic_lifetime_seconds,
)

# The lifetime for NEVER_EXPIRE
FOREVER_SECONDS = 10**9


class Freshness(NamedTuple):
    """The freshness of a stored response

    Args:
        lifetime_seconds: How long it is fresh
        age_seconds: Its current age
        directives: The directives of the response
        may_be_stale: Whether it may be used when stale at all (section 4.2.4)
    """

    lifetime_seconds: int
    age_seconds: int
    directives: StrictDirectives
    may_be_stale: bool

    @property
    def is_fresh(self) -> bool:
        return self.lifetime_seconds > self.age_seconds

    @property
    def stale_seconds(self) -> int:
        return self.age_seconds - self.lifetime_seconds


def response_facts(response: CachedResponse) -> Received:
    """The facts about a stored response that determine its age and lifetime"""
    directives = response_directives(response.headers)
    return Received(
        response.headers, directives, response.status_code, response.created_at, response.elapsed.total_seconds()
    )


def age_seconds(response: CachedResponse, now: datetime) -> int:
    """The current age of a stored response (section 4.2.3)"""
    delay_seconds = response.elapsed.total_seconds()
    facts = Received(response.headers, NO_STRICT_DIRECTIVES, response.status_code, response.created_at, delay_seconds)
    return current_age_seconds(facts, now)


def freshness(policy: RequestPolicy, response: CachedResponse, now: datetime) -> Freshness:
    """The current freshness of a stored response (section 4.2)"""
    facts = response_facts(response)
    shared = policy.settings.shared_cache
    directives = facts.directives
    forbidden = directives.must_revalidate or directives.no_cache
    forbidden = forbidden or (shared and (directives.proxy_revalidate or directives.s_maxage is not None))
    expire_after = expiration_for(policy, response.status_code)
    lifetime = lifetime_seconds(facts, policy.settings, expire_after, response.expires)
    return Freshness(lifetime or 0, current_age_seconds(facts, now), directives, not forbidden)


def lifetime_seconds(
    facts: Received, settings: CacheSettings, expire_after: ExpirationTime, expires: datetime | None = None
) -> int | None:
    """How long a response is fresh: as the origin specifies, else as the user specifies, else by heuristics

    For the origin's lifetime, see section 4.2.1.

    Args:
        facts: Facts about the response
        settings: Settings of the session
        expire_after: The user's expiration with this request, or None
        expires: The expiration that was determined when the response was stored
    """
    explicit = explicit_lifetime_seconds(facts, settings.shared_cache)
    if explicit is not None:
        return explicit
    if expire_after == DO_NOT_CACHE:
        return 0
    if expire_after is not None:
        expires = get_expiration_datetime(expire_after, start_time=facts.response_time)
        return int((expires - facts.response_time).total_seconds()) if expires is not None else FOREVER_SECONDS
    if expires is not None:
        return round((expires - facts.response_time).total_seconds()) + corrected_initial_age_seconds(facts)
    return heuristic_lifetime_seconds(facts, settings.heuristic_fraction)
