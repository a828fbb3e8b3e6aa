"""Answers from the cache, without contacting the origin"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import finalize

from requests import Response
from requests.hooks import dispatch_hook

from ..models.redirects import follow, set_next_request
from ..models.response import AnyResponse, CachedResponse
from . import observing
from .exchange import Exchange, Result


def answer(exchange: Exchange, response: CachedResponse, result: Result, newer: Response | None = None) -> AnyResponse:
    """Answer with a response from the cache, and follow it if it is a redirect and the caller follows redirects

    Args:
        exchange: The exchange
        response: The response from the cache
        result: What was done
        newer: The response that the origin has just sent, if any
    """
    response._result = result
    is_redirect = response.status_code >= 300 and response.is_redirect
    answered: Any = _with_hooks(exchange, response)
    if exchange.policy.settings.restore_cookies and not exchange.is_in_background:
        from .cookies import restore_cookies

        restore_cookies(exchange, response, newer)
    if is_redirect and exchange.follows_redirects:
        answered = follow(exchange.session, exchange.request, answered, **exchange.hop_kwargs)
    elif is_redirect:
        set_next_request(exchange.session, exchange.request, answered, **exchange.hop_kwargs)
    if answered is not response:  # the caller does not get the redirect, so its result is recorded here
        observing.ended(exchange, response)
    return answered  # type: ignore[no-any-return]


def after_reading(response: CachedResponse, action: Callable[[], object]) -> None:
    """Call a function once, when the body of a response has been read or can no longer be read"""
    if response._body is None or not response._is_body_unread:
        action()
        return
    once = _Once(action)
    response._body = response._body.with_callback(once)
    finalize(response, once).atexit = False


class _Once:
    """Calls a function only the first time"""

    def __init__(self, action: Callable[[], object]):
        self._actions = [action]

    def __call__(self) -> None:
        try:
            action = self._actions.pop()
        except IndexError:
            return
        action()


def _with_hooks(exchange: Exchange, response: CachedResponse) -> CachedResponse:
    """Run the caller's hooks, like `Session.send` does for a response from the origin"""
    hooks = exchange.request.hooks
    if not hooks or not hooks.get('response') or exchange.is_in_background:
        return response
    result: CachedResponse = dispatch_hook(  # type: ignore[no-untyped-call]
        'response', hooks, response, **exchange.hop_kwargs
    )
    return result


def gateway_timeout(exchange: Exchange, content: bytes | None) -> CachedResponse:
    """The answer to a request that must not be sent to the origin (RFC 9111, section 5.2.1.7)"""
    response = CachedResponse(content=content, status_code=504, reason='Not Cached', url=exchange.request.url)
    response.request = exchange.request  # type: ignore[assignment]
    return response
