"""Requests that validate a stored response, with conditions that neither hooks nor the store see"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from requests import PreparedRequest

from ..models.response import CachedResponse
from ..policy.validation import CALLER_CONDITIONS
from .carrying import NO_CONDITIONS, carrying
from .exchange import Exchange, Plan


def has_own_conditions(exchange: Exchange) -> bool:
    """Whether the caller asks for a response only if it is not one that the caller has"""
    headers = exchange.request.headers
    return any(headers.get(name) is not None for name in CALLER_CONDITIONS)


def conditions_to_send(exchange: Exchange, conditions: Mapping[str, str]) -> Mapping[str, str]:
    """The conditions that a request goes out with: none of the cache's beside the caller's own

    Otherwise nobody could tell whose copy a 304 is about.
    """
    return conditions if exchange.mode.answers_conditions or not has_own_conditions(exchange) else NO_CONDITIONS


def request_to_send(plan: Plan) -> PreparedRequest:
    """The request that goes out: the caller's own, or one with conditions

    That has hooks which pass over the answer to the conditions: the caller's hooks are for the response that the caller
    gets, which after a 304 is the stored one.
    """
    exchange, request = plan.exchange, plan.exchange.request
    answers_callers = exchange.mode.answers_conditions and has_own_conditions(exchange)
    if not plan.conditions and not answers_callers:
        return request
    request = carrying(request, conditions=plan.conditions)
    request.headers = request.headers.copy()
    if answers_callers:
        # The caller is answered from what comes of the conditions of the cache
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
    """Leave out of what is stored the header fields that were only added to validate"""
    original = plan.exchange.request.headers
    for response in (*cached.history, cached) if plan.conditions else ():
        for name, value in plan.conditions.items():
            if name not in original and response.request.headers.get(name) == value:
                del response.request.headers[name]
