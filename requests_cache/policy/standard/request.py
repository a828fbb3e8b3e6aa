"""What applies to one request by the standard"""

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
    expiration_of_call,
    first_reason,
)
from ..settings import DEFAULT_METHODS, CacheSettings
from .directives import request_directives
from .preconditions import FOR_THE_ORIGIN, has_conditions
from .ranges import parse_ranges


def strict_request_policy(
    method: str | None,
    url: str | None,
    headers: Mapping[str, Any],
    settings: CacheSettings,
    options: RequestOptions = NO_OPTIONS,
    disabled: bool = False,
) -> RequestPolicy:
    """Bring together what applies to a request (RFC 9111, sections 3, 4 and 5.2.1); arguments as `request_policy`"""
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
    # What the cache cannot make out may mean something to the origin
    for_the_origin = ranges == () or any(headers.get(name) is not None for name in names & FOR_THE_ORIGIN)
    return RequestPolicy(
        settings=settings,
        directives=NO_DIRECTIVES,
        method_allowed=method_allowed,
        skip_read=skip or ('request' if options.force_refresh or for_the_origin else None),
        # What is stored already may be read (section 5.2.1.5)
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
    """The lifetimes that the user has asked for, where the origin gives none; and the first of them"""
    by_call = expiration_of_call(options) if options is not NO_OPTIONS else None
    by_url = get_url_expiration(url, settings.urls_expire_after) if settings.urls_expire_after else None
    # "Never" is the default of the session, and so nothing that a user has said
    by_session = settings.expire_after if settings.expire_after != NEVER_EXPIRE else None
    expire_after = by_call if by_call is not None else by_url if by_url is not None else by_session
    return expire_after, (by_call, by_url, by_session)
