"""Answers that are made without the origin"""

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
    """Answer with a response from the cache, which may be a redirect that is or is not to be followed

    Args:
        exchange: The request
        response: The response
        result: What was done
        newer: What the origin has answered just now, if it was asked
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
    if answered is not response:  # which says what was done, and nobody sees any more
        observing.ended(exchange, response)
    return answered  # type: ignore[no-any-return]


def after_reading(response: CachedResponse, action: Callable[[], object]) -> None:
    """Do something once, when the body of a response has been read, or nobody can read it any more"""
    if response._body is None or not response._is_body_unread:
        action()
        return
    once = _Once(action)
    response._body = response._body.with_callback(once)
    finalize(response, once).atexit = False


class _Once:
    """Calls a function the first time that it is called"""

    def __init__(self, action: Callable[[], object]):
        self._actions = [action]

    def __call__(self) -> None:
        try:
            action = self._actions.pop()
        except IndexError:
            return
        action()


def _with_hooks(exchange: Exchange, response: CachedResponse) -> CachedResponse:
    """Run the caller's hooks, as `Session.send` runs them on a response of the origin"""
    hooks = exchange.request.hooks
    if not hooks or not hooks.get('response') or exchange.is_in_background:
        return response
    result: CachedResponse = dispatch_hook(  # type: ignore[no-untyped-call]
        'response', hooks, response, **exchange.hop_kwargs
    )
    return result


def gateway_timeout(exchange: Exchange, content: bytes | None) -> CachedResponse:
    """The answer to a request that may not go to the origin (RFC 9111, section 5.2.1.7)"""
    response = CachedResponse(content=content, status_code=504, reason='Not Cached', url=exchange.request.url)
    response.request = exchange.request  # type: ignore[assignment]
    return response
