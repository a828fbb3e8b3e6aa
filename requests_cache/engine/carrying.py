"""What travels with a request through the methods of `requests`, unseen by them

The options of `session.get(url, force_refresh=True)` must get from `request()` to `send()`, and on to the requests that
follow redirects, in whatever thread those are sent. `requests` takes one thing along on all these ways: the dict of
hooks. So a prepared request carries what belongs to it in that dict: it has the same items as before, and attributes
besides. On the way from `request()` to `prepare_request()` there is no such dict yet; there a hook that does nothing
holds the options.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

from requests import PreparedRequest

from ..policy.request import NO_OPTIONS, RequestOptions

NO_CONDITIONS: Mapping[str, str] = {}


class CarryingHooks(dict[str, Any]):
    """The hooks of a prepared request, and what it carries

    Args:
        hooks: The hooks
        options: Options of the call that made the request
        conditions: Header fields that the cache has added to validate a stored response
        is_redirected: Whether the request follows a redirect
    """

    __slots__ = ('conditions', 'is_redirected', 'options')

    def __init__(
        self,
        hooks: Mapping[str, Any] | None = None,
        options: RequestOptions = NO_OPTIONS,
        conditions: Mapping[str, str] = NO_CONDITIONS,
        is_redirected: bool = False,
    ):
        super().__init__(hooks or {})
        self.options = options
        self.conditions = conditions
        self.is_redirected = is_redirected


_NOTHING = CarryingHooks()


class OptionsHook:
    """A hook that does nothing but hold the options of a call until its request is prepared"""

    __slots__ = ('options',)

    def __init__(self, options: RequestOptions):
        self.options = options

    def __call__(self, response: Any, *args: Any, **kwargs: Any) -> None:
        """Leave the response alone"""


def with_options_hook(hooks: Any, session_hooks: Any, options: RequestOptions) -> dict[str, Any]:
    """The hooks of a call, and one that holds its options

    As in `requests`, the hooks of the session go for calls that have none of their own.
    """
    own = (hooks or {}).get('response') or (session_hooks or {}).get('response') or []
    return {**(hooks or {}), 'response': [*([own] if callable(own) else own), OptionsHook(options)]}


def take_in(request: PreparedRequest) -> None:
    """Let a request that has just been prepared carry the options that a hook of it holds"""
    hooks = request.hooks.get('response')
    if not hooks:
        return
    for hook in hooks:
        if type(hook) is OptionsHook:
            others = [h for h in hooks if h is not hook]
            request.hooks = CarryingHooks({**request.hooks, 'response': others}, hook.options)
            return


def carried_by(request: Any) -> CarryingHooks:
    """What a request carries"""
    hooks = getattr(request, 'hooks', None)
    if type(hooks) is CarryingHooks:
        return hooks
    if hooks and hooks.get('response') and any(type(hook) is OptionsHook for hook in hooks['response']):
        # Prepared by a method of the user's own
        request = copy(request)
        take_in(request)
        return request.hooks  # type: ignore[no-any-return]
    return _NOTHING


def carrying(request: PreparedRequest, **carried: Any) -> PreparedRequest:
    """A request that shares all with another one, and carries something of its own"""
    other = copy(request)
    before = carried_by(request)
    other.hooks = CarryingHooks(
        before or request.hooks,
        carried.get('options', before.options),
        carried.get('conditions', before.conditions),
        carried.get('is_redirected', before.is_redirected),
    )
    return other


def redirected(request: PreparedRequest) -> PreparedRequest:
    """The request as the next one, to which it is redirected, is made from it: without conditions of the cache

    What was stored for one URL cannot be validated at another one.
    """
    conditions = carried_by(request).conditions
    other = carrying(request, is_redirected=True, conditions=NO_CONDITIONS)
    if conditions:
        other.headers = request.headers.copy()
        for name in conditions:
            other.headers.pop(name, None)
    return other
