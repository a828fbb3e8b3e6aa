"""The policy of a request: the settings, the options of the call, and the directives of the request combined"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from .directives import NO_DIRECTIVES, CacheDirectives, request_directives
from .expiration import DO_NOT_CACHE, EXPIRE_IMMEDIATELY, ExpirationTime, first_expiration, get_url_expiration
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


# Specified by the call, by the URL, by the session; None if not specified
Expirations = tuple[ExpirationTime, ExpirationTime, ExpirationTime]


class RequestPolicy(NamedTuple):
    """Everything that decisions about a request depend on, except for the stored response

    Args:
        settings: Settings of the session
        directives: Directives of the request
        method_allowed: Whether requests with this method are cached
        skip_read: Why the cache must not be read; None if it may be
        skip_write: Why the response must not be stored, whatever it is; None if it may be
        expire_after: Expiration of the response, unless its headers specify one (with `cache_control`), or its status
            is in `codes_expire_after`
        only_if_cached: Do not use the network
        refresh: Validate a stored response before use
        stale_if_error: How long stale responses may be used when the origin fails
        stale_while_revalidate: How long stale responses may be used while they are renewed
        strict: In strict mode, the directives of the request
        authorized: Whether the request has credentials
        is_conditional: In strict mode, whether the caller made the request conditional
        ranges: In strict mode, the requested ranges; empty if the cache cannot interpret them, None for no ranges
        expirations: Expirations by call, by URL and by session; `expire_after` is the first that is not None
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
    """Create the policy of a request

    Args:
        method: Method of the request
        url: URL of the request
        headers: Header fields of the request
        settings: Settings of the session
        options: Options of the call; they take precedence over directives
        disabled: Whether the cache is temporarily disabled
        url_expiration: A function that returns the expiration for a URL
    """
    directives = request_directives(headers)
    allowed: Any = settings.allowable_methods
    method_allowed = method in allowed or any(headers.get(name) in allowed for name in METHOD_OVERRIDE_HEADERS)
    by_call = (
        None if options is NO_OPTIONS and directives is NO_DIRECTIVES else _expiration_from_call(options, directives)
    )
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
        refresh=options.refresh or directives.must_revalidate or _demands_validation(options, directives),
        stale_if_error=_allowance(directives.stale_if_error, settings.stale_if_error),
        stale_while_revalidate=_allowance(directives.stale_while_revalidate, settings.stale_while_revalidate),
        expirations=(by_call, by_url, by_session),
    )


def _expiration_from_call(options: RequestOptions, directives: CacheDirectives) -> ExpirationTime:
    if options.expire_after is not None or directives is NO_DIRECTIVES or directives.max_age is None:
        return call_expiration(options)
    # A negative number in a header means a time in the past, not one of the special constants
    return directives.max_age if directives.max_age >= 0 else timedelta(seconds=directives.max_age)


def call_expiration(options: RequestOptions) -> ExpirationTime:
    """The expiration that was passed to the call; every kind of zero becomes EXPIRE_IMMEDIATELY"""
    expire_after = options.expire_after
    return EXPIRE_IMMEDIATELY if expire_after is not None and is_immediate(expire_after) else expire_after


def _demands_validation(options: RequestOptions, directives: CacheDirectives) -> bool:
    if options.expire_after is not None:
        return is_immediate(options.expire_after)
    return directives.max_age is not None and directives.max_age <= 0


def _allowance(directive: int | None, setting: bool | ExpirationTime) -> bool | ExpirationTime:
    return directive if directive is not None else setting


def first_reason(*reasons: tuple[str, bool]) -> str | None:
    """The first reason that applies"""
    return next((reason for reason, applies in reasons if applies), None)


def _expirations_in_order(policy: RequestPolicy, status_code: int) -> tuple[ExpirationTime, ...]:
    """The user's expirations for a response with this status; the first that is not None is used"""
    by_call, by_url, by_session = policy.expirations
    codes = policy.settings.codes_expire_after
    pattern = status_pattern(status_code, codes) if codes else None
    return by_call, codes[pattern] if pattern is not None else None, by_url, by_session


def expiration_for(policy: RequestPolicy, status_code: int) -> ExpirationTime:
    """The user's expiration for a response with this status

    None if there is none, or if it is a function, which needs the response (see `resolve_expiration`).
    """
    expire_after = policy.expire_after
    if policy.settings.codes_expire_after:
        expire_after = next((each for each in _expirations_in_order(policy, status_code) if each is not None), None)
    return None if callable(expire_after) else expire_after


def resolve_expiration(policy: RequestPolicy, response: Any) -> RequestPolicy:
    """Replace expirations that are functions by their results for a response

    If a function returns None, the next expiration is used.
    """
    said = _expirations_in_order(policy, response.status_code)
    if not any(map(callable, said)):
        return policy
    expire_after = first_expiration(response, *said)
    return policy._replace(expire_after=expire_after, expirations=(expire_after, None, None))


def is_allowable(settings: CacheSettings, status_code: int) -> bool:
    """Whether responses with this status may be stored"""
    allowable: Any = settings.allowable_codes
    return status_code in allowable or has_own_lifetime(settings, status_code)


def has_own_lifetime(settings: CacheSettings, status_code: int) -> bool:
    """Whether `codes_expire_after` contains this status"""
    codes = settings.codes_expire_after
    return bool(codes) and status_pattern(status_code, codes) is not None


def is_negatively_cached(settings: CacheSettings, status_code: int) -> bool:
    """Whether this is the status of an error that is stored only to avoid repeating the request too soon

    Such a response must not be used for `stale_if_error`.
    """
    allowable: Any = settings.allowable_codes
    return status_code >= 400 and status_code not in allowable and has_own_lifetime(settings, status_code)
