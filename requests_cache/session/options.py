"""Options of one call, on their way from `request()` to `send()` through the methods of `requests`"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from ..policy.expiration import ExpirationTime, get_expiration_datetime
from ..policy.request import NO_OPTIONS, RequestOptions

# The session and options of the call of `request()` that this thread or task is in, until they have reached `send()`
pending: ContextVar[tuple[Any, RequestOptions] | None] = ContextVar('requests_cache_pending', default=None)

_NAMES = ('expire_after', 'only_if_cached', 'refresh', 'force_refresh')


def make_options(
    expire_after: ExpirationTime, only_if_cached: bool, refresh: bool, force_refresh: bool
) -> RequestOptions:
    """Options from the arguments of `request()` or `send()`

    Raises:
        ValueError, TypeError: The expiration has no meaning; nothing has been sent yet
    """
    if expire_after is None and not (only_if_cached or refresh or force_refresh):
        return NO_OPTIONS
    if expire_after is not None:
        get_expiration_datetime(expire_after)
    return RequestOptions(expire_after, only_if_cached, refresh, force_refresh)


def take_pending(session: Any) -> RequestOptions | None:
    """The options of the call of `request()` under way, if they have not been taken already"""
    current = pending.get()
    if current is None or current[0] is not session:
        return None
    pending.set(None)
    return current[1]


def as_keywords(options: RequestOptions) -> dict[str, Any]:
    """The arguments of `send()` that options stand for"""
    return {} if options is NO_OPTIONS else {name: getattr(options, name) for name in _NAMES}
