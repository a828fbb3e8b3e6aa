"""Options of a call"""

from __future__ import annotations

from ..policy.expiration import ExpirationTime, check_expiration
from ..policy.request import NO_OPTIONS, RequestOptions


def make_options(
    expire_after: ExpirationTime, only_if_cached: bool, refresh: bool, force_refresh: bool
) -> RequestOptions:
    """Create the options from the arguments of `request()` or `send()`

    Raises:
        ValueError, TypeError: The expiration is invalid; nothing has been sent yet
    """
    if expire_after is None and not (only_if_cached or refresh or force_refresh):
        return NO_OPTIONS
    if expire_after is not None:
        check_expiration(expire_after)
    return RequestOptions(expire_after, only_if_cached, refresh, force_refresh)
