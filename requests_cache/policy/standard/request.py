"""The policy of a request in strict mode"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..directives import NO_DIRECTIVES, lower_names
from ..expiration import DO_NOT_CACHE, NEVER_EXPIRE, ExpirationTime, get_url_expiration
from ..request import (
    NO_OPTIONS,
    Expirations,
    RequestOptions,
    RequestPolicy,
    call_expiration,
    first_reason,
)
from ..settings import DEFAULT_METHODS, CacheSettings
from .directives import request_directives
from .preconditions import ORIGIN_CONDITIONS, has_conditions
from .ranges import parse_ranges


def strict_request_policy(
    method: str | None,
    url: str | None,
    headers: Mapping[str, Any],
    settings: CacheSettings,
    options: RequestOptions = NO_OPTIONS,
    disabled: bool = False,
) -> RequestPolicy:
    """Create the policy of a request (RFC 9111, sections 3, 4 and 5.2.1); arguments as for `request_policy`"""
    names = lower_names(headers)
    directives = request_directives(headers, names)
    methods: Any = settings.allowable_methods
    method_allowed = method in DEFAULT_METHODS and method in methods
    expire_after, expirations = _expirations(url, settings, options)
    skip = None
    if disabled or settings.disabled or not method_allowed or expire_after == DO_NOT_CACHE:
        skip = first_reason(
            ('disabled', disabled or settings.disabled), ('method', not method_allowed), ('do not cache', True)
        )
    wanted = headers.get('Range') if method == 'GET' and 'range' in names else None
    ranges = parse_ranges(wanted) if wanted is not None else None
    # Ranges that the cache cannot interpret may have a meaning for the origin
    is_for_origin = ranges == () or any(headers.get(name) is not None for name in names & ORIGIN_CONDITIONS)
    return RequestPolicy(
        settings=settings,
        directives=NO_DIRECTIVES,
        method_allowed=method_allowed,
        skip_read=skip or ('request' if options.force_refresh or is_for_origin else None),
        # `no-store` in a request does not keep a stored response from being used (section 5.2.1.5)
        skip_write=skip or first_reason(('no-store', directives.no_store), ('read-only', settings.read_only)),
        expire_after=expire_after,
        only_if_cached=options.only_if_cached or directives.only_if_cached or settings.only_if_cached,
        refresh=options.refresh,
        stale_if_error=settings.stale_if_error,
        stale_while_revalidate=settings.stale_while_revalidate,
        strict=directives,
        authorized='authorization' in names and headers.get('Authorization') is not None,
        is_conditional=has_conditions(headers, names),
        ranges=ranges,
        expirations=expirations,
    )


def _expirations(
    url: str | None, settings: CacheSettings, options: RequestOptions
) -> tuple[ExpirationTime, Expirations]:
    """The user's expiration, for responses without an explicit lifetime, and all the expirations it is chosen from"""
    by_call = call_expiration(options) if options is not NO_OPTIONS else None
    by_url = get_url_expiration(url, settings.urls_expire_after) if settings.urls_expire_after else None
    # "Never" is the default of the session, not a choice of the user
    by_session = settings.expire_after if settings.expire_after != NEVER_EXPIRE else None
    expire_after = by_call if by_call is not None else by_url if by_url is not None else by_session
    return expire_after, (by_call, by_url, by_session)
