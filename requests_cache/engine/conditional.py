"""Requests that validate a stored response; their conditions are hidden from hooks and from the store"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from requests import PreparedRequest

from ..models.response import CachedResponse
from ..policy.validation import CALLER_CONDITIONS
from .carrying import NO_CONDITIONS, copy_with_attached
from .exchange import Exchange, Plan


def has_own_conditions(exchange: Exchange) -> bool:
    """Whether the caller made the request conditional"""
    headers = exchange.request.headers
    return any(headers.get(name) is not None for name in CALLER_CONDITIONS)


def conditions_to_send(exchange: Exchange, conditions: Mapping[str, str]) -> Mapping[str, str]:
    """The conditions to send: none from the cache if the caller has set conditions

    Otherwise it would be unclear whether a 304 confirms the copy of the cache or that of the caller.
    """
    return conditions if exchange.mode.answers_conditions or not has_own_conditions(exchange) else NO_CONDITIONS


def request_to_send(plan: Plan) -> PreparedRequest:
    """The request to send: the caller's request, or a copy with conditions

    The hooks of the copy skip a 304, because the caller's hooks must run on the response that the caller gets, which is
    then the stored one.
    """
    exchange, request = plan.exchange, plan.exchange.request
    answers_callers = exchange.mode.answers_conditions and has_own_conditions(exchange)
    if not plan.conditions and not answers_callers:
        return request
    request = copy_with_attached(request, conditions=plan.conditions)
    request.headers = request.headers.copy()
    if answers_callers:
        # The caller's conditions are answered from the result of the cache's conditions
        for name in CALLER_CONDITIONS:
            request.headers.pop(name, None)
    request.headers.update(plan.conditions)
    for name, hooks in request.hooks.items() if plan.conditions else ():
        request.hooks[name] = [_unless_not_modified(hook) for hook in hooks]
    return request


def _unless_not_modified(hook: Any) -> Any:
    return lambda response, *args, **kwargs: (
        response if response.status_code == 304 else hook(response, *args, **kwargs)
    )


def without_conditions(plan: Plan, cached: CachedResponse) -> None:
    """Remove the header fields that were added for validation from a response that is about to be stored"""
    original = plan.exchange.request.headers
    for response in (*cached.history, cached) if plan.conditions else ():
        for name, value in plan.conditions.items():
            if name not in original and response.request.headers.get(name) == value:
                del response.request.headers[name]
