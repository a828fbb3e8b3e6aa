"""Requests that validate a stored response, with conditions that neither hooks nor the store see"""

from __future__ import annotations

from typing import Any

from requests import PreparedRequest

from ..models.response import CachedResponse
from ..policy.standard.preconditions import OWN_CONDITIONS
from .call import Call


def own_request(call: Call) -> PreparedRequest:
    """A copy of the request that may be changed: with conditions, and with hooks that pass over the answer to them

    The hooks are for the response that the caller gets, which after a 304 is the stored one.
    """
    request = call.request.copy()
    if call.is_strict:
        # The caller is answered from what comes of the conditions of the cache
        for name in OWN_CONDITIONS:
            request.headers.pop(name, None)
    request.headers.update(call.conditions)

    def unless_not_modified(hook: Any) -> Any:
        return lambda r, *args, **kwargs: r if r.status_code == 304 else hook(r, *args, **kwargs)

    if call.conditions and request.hooks:
        request.hooks = {name: [unless_not_modified(h) for h in hooks] for name, hooks in request.hooks.items()}
    return request


def without_conditions(call: Call, cached: CachedResponse) -> None:
    """Leave out of what is stored the header fields that were only added to validate"""
    for response in (*cached.history, cached) if call.conditions else ():
        for name, value in call.conditions.items():
            if name not in call.request.headers and response.request.headers.get(name) == value:
                del response.request.headers[name]
