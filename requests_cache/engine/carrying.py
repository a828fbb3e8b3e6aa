"""Passing the options of a call through the methods of `requests`

The options of `session.get(url, force_refresh=True)` must be passed from `request()` to `send()`, and to the requests
that follow redirects, in whichever thread they are sent. The only object that `requests` passes on all these ways is
the dict of hooks. So a prepared request has a dict of hooks with additional attributes. Between `request()` and
`prepare_request()`, this dict does not exist yet; there, a hook that does nothing holds the options.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

from requests import PreparedRequest

from ..policy.request import NO_OPTIONS, RequestOptions

NO_CONDITIONS: Mapping[str, str] = {}


class CarryingHooks(dict[str, Any]):
    """The hooks of a prepared request, with data that belongs to the request

    Args:
        hooks: The hooks
        options: Options of the call
        conditions: Header fields that the cache added to validate a stored response
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
    """A hook that only holds the options of a call until its request is prepared"""

    __slots__ = ('options',)

    def __init__(self, options: RequestOptions):
        self.options = options

    def __call__(self, response: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing"""


def with_options_hook(hooks: Any, session_hooks: Any, options: RequestOptions) -> dict[str, Any]:
    """The hooks of a call, and a hook that holds its options

    As in `requests`, the hooks of the session are used for calls without hooks.
    """
    own = (hooks or {}).get('response') or (session_hooks or {}).get('response') or []
    return {**(hooks or {}), 'response': [*([own] if callable(own) else own), OptionsHook(options)]}


def attach_options(request: PreparedRequest) -> None:
    """Attach the options in an `OptionsHook` to the request that has just been prepared"""
    hooks = request.hooks.get('response')
    if not hooks:
        return
    for hook in hooks:
        if type(hook) is OptionsHook:
            others = [h for h in hooks if h is not hook]
            request.hooks = CarryingHooks({**request.hooks, 'response': others}, hook.options)
            return


def attached_to(request: Any) -> CarryingHooks:
    """The data that is attached to a request"""
    hooks = getattr(request, 'hooks', None)
    if type(hooks) is CarryingHooks:
        return hooks
    if hooks and hooks.get('response') and any(type(hook) is OptionsHook for hook in hooks['response']):
        # The request was prepared by a custom method
        request = copy(request)
        attach_options(request)
        return request.hooks  # type: ignore[no-any-return]
    return _NOTHING


def copy_with_attached(request: PreparedRequest, **attached: Any) -> PreparedRequest:
    """A shallow copy of a request with different attached data"""
    other = copy(request)
    before = attached_to(request)
    other.hooks = CarryingHooks(
        before or request.hooks,
        attached.get('options', before.options),
        attached.get('conditions', before.conditions),
        attached.get('is_redirected', before.is_redirected),
    )
    return other


def before_redirect(request: PreparedRequest) -> PreparedRequest:
    """The request from which `requests` makes the next one after a redirect: without conditions from the cache

    A response that was stored for one URL cannot be validated at another URL.
    """
    conditions = attached_to(request).conditions
    other = copy_with_attached(request, is_redirected=True, conditions=NO_CONDITIONS)
    if conditions:
        other.headers = request.headers.copy()
        for name in conditions:
            other.headers.pop(name, None)
    return other
