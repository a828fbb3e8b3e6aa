"""What applies to one request: the session's settings, the options of the call, and the request's own header fields"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from .directives import NO_DIRECTIVES, CacheDirectives, request_directives
from .expiration import DO_NOT_CACHE, EXPIRE_IMMEDIATELY, ExpirationTime, get_url_expiration, said_of
from .freshness import is_immediate
from .settings import CacheSettings, status_pattern

if TYPE_CHECKING:
    from .standard.directives import StrictDirectives
    from .standard.ranges import ByteRange

METHOD_OVERRIDE_HEADERS = ('X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override')


class RequestOptions(NamedTuple):
    """Options of one call of `request()` or `send()`"""

    expire_after: ExpirationTime = None
    only_if_cached: bool = False
    refresh: bool = False
    force_refresh: bool = False


NO_OPTIONS = RequestOptions()


# By the call, by the URL, by the session; None where nothing is said
Expirations = tuple[ExpirationTime, ExpirationTime, ExpirationTime]


class RequestPolicy(NamedTuple):
    """All that decisions about one request depend on, besides what is stored

    Args:
        settings: Settings of the session
        directives: Directives of the request
        method_allowed: Whether requests of this method are cached
        skip_read: Why the cache may not be read; None if it may
        skip_write: Why nothing may be written, whatever the response is; None if it may
        expire_after: Expiration of what this request stores, unless the response itself says (with `cache_control`), or
            its status is in `codes_expire_after`
        only_if_cached: Do not use the network
        refresh: Validate a stored response before use
        stale_if_error: Allowance for the use of stale responses when the origin fails
        stale_while_revalidate: Allowance for the use of stale responses while they are renewed
        strict: Directives of the request by the standard, if the session goes by it
        authorized: Whether the request has credentials
        is_conditional: Whether, by the standard, the request asks for a response only if it is not one the caller has
        ranges: By the standard, what is asked for of the response; empty if the cache cannot tell, None for all of it
        expirations: What is said by the call, by the URL and by the session about that; `expire_after` is the first
    """

    settings: CacheSettings
    directives: CacheDirectives
    method_allowed: bool
    skip_read: str | None
    skip_write: str | None
    expire_after: ExpirationTime
    only_if_cached: bool
    refresh: bool
    stale_if_error: bool | ExpirationTime
    stale_while_revalidate: bool | ExpirationTime
    strict: StrictDirectives | None = None
    authorized: bool = False
    is_conditional: bool = False
    ranges: tuple[ByteRange, ...] | None = None
    expirations: Expirations = (None, None, None)


def request_policy(
    method: str | None,
    url: str | None,
    headers: Mapping[str, Any],
    settings: CacheSettings,
    options: RequestOptions = NO_OPTIONS,
    disabled: bool = False,
    url_expiration: Any = get_url_expiration,
) -> RequestPolicy:
    """Bring together what applies to a request

    Args:
        method: Method of the request
        url: URL of the request
        headers: Header fields of the request
        settings: Settings of the session
        options: Options of the call; they go before directives
        disabled: Whether the cache is switched off for now
        url_expiration: Finds the expiration for a URL
    """
    directives = request_directives(headers)
    allowed: Any = settings.allowable_methods
    method_allowed = method in allowed or any(headers.get(name) in allowed for name in METHOD_OVERRIDE_HEADERS)
    by_call = None if options is NO_OPTIONS and directives is NO_DIRECTIVES else _by_call(options, directives)
    by_url = url_expiration(url, settings.urls_expire_after) if settings.urls_expire_after else None
    by_session = settings.expire_after
    expire_after = by_call if by_call is not None else by_url if by_url is not None else by_session
    never_stored = expire_after == DO_NOT_CACHE or directives.actual_no_cache
    skip = None
    if disabled or settings.disabled or not method_allowed or directives.no_store or never_stored:
        skip = first_reason(
            ('disabled', disabled or settings.disabled),
            ('method', not method_allowed),
            ('no-store', directives.no_store),
            ('do not cache', never_stored),
        )
    return RequestPolicy(
        settings=settings,
        directives=directives,
        method_allowed=method_allowed,
        skip_read=skip or ('no-cache' if options.force_refresh or directives.no_cache else None),
        skip_write=skip or ('read-only' if settings.read_only else None),
        expire_after=expire_after,
        only_if_cached=options.only_if_cached or directives.only_if_cached or settings.only_if_cached,
        refresh=options.refresh or directives.must_revalidate or _asks_for_new(options, directives),
        stale_if_error=_allowance(directives.stale_if_error, settings.stale_if_error),
        stale_while_revalidate=_allowance(directives.stale_while_revalidate, settings.stale_while_revalidate),
        expirations=(by_call, by_url, by_session),
    )


def _by_call(options: RequestOptions, directives: CacheDirectives) -> ExpirationTime:
    if options.expire_after is not None or directives is NO_DIRECTIVES or directives.max_age is None:
        return expiration_of_call(options)
    # A negative number from a header is a time in the past, never one of the user's constants
    return directives.max_age if directives.max_age >= 0 else timedelta(seconds=directives.max_age)


def expiration_of_call(options: RequestOptions) -> ExpirationTime:
    """The expiration that was given with the call; no time at all is the same, in whatever form it is given"""
    expire_after = options.expire_after
    return EXPIRE_IMMEDIATELY if expire_after is not None and is_immediate(expire_after) else expire_after


def _asks_for_new(options: RequestOptions, directives: CacheDirectives) -> bool:
    if options.expire_after is not None:
        return is_immediate(options.expire_after)
    return directives.max_age is not None and directives.max_age <= 0


def _allowance(directive: int | None, setting: bool | ExpirationTime) -> bool | ExpirationTime:
    return directive if directive is not None else setting


def first_reason(*reasons: tuple[str, bool]) -> str | None:
    """The first reason that applies"""
    return next((reason for reason, applies in reasons if applies), None)


def _said(policy: RequestPolicy, status_code: int) -> tuple[ExpirationTime, ...]:
    """All that the user says about a response with a status; the first that is not None decides"""
    by_call, by_url, by_session = policy.expirations
    codes = policy.settings.codes_expire_after
    pattern = status_pattern(status_code, codes) if codes else None
    return by_call, codes[pattern] if pattern is not None else None, by_url, by_session


def expiration_for(policy: RequestPolicy, status_code: int) -> ExpirationTime:
    """What the user says about a response with a status

    None for nothing, and for a function, which says something of a response only (see `settled`).
    """
    expire_after = policy.expire_after
    if policy.settings.codes_expire_after:
        expire_after = next((each for each in _said(policy, status_code) if each is not None), None)
    return None if callable(expire_after) else expire_after


def settled(policy: RequestPolicy, response: Any) -> RequestPolicy:
    """What applies to a request, now that its response is there: functions are called with it, in their order

    One that returns None says nothing; then what comes after it counts.
    """
    said = _said(policy, response.status_code)
    if not any(map(callable, said)):
        return policy
    expire_after = said_of(response, *said)
    return policy._replace(expire_after=expire_after, expirations=(expire_after, None, None))


def is_allowable(settings: CacheSettings, status_code: int) -> bool:
    """Whether responses with a status may be stored"""
    allowable: Any = settings.allowable_codes
    return status_code in allowable or is_named(settings, status_code)


def is_named(settings: CacheSettings, status_code: int) -> bool:
    """Whether a status has a lifetime of its own"""
    codes = settings.codes_expire_after
    return bool(codes) and status_pattern(status_code, codes) is not None


def is_passing_error(settings: CacheSettings, status_code: int) -> bool:
    """Whether a status is that of an error which is only stored to keep from asking again at once

    It is no response that others may fall back on.
    """
    allowable: Any = settings.allowable_codes
    return status_code >= 400 and status_code not in allowable and is_named(settings, status_code)
