"""Answers that are made without the origin: hooks are run on them, and redirects among them followed"""

from __future__ import annotations

from typing import Any

from requests.hooks import dispatch_hook

from ..backends.rekey import first_request
from ..keys.matching import same_target
from ..models.request import CachedRequest
from ..models.response import AnyResponse, CachedResponse
from .call import Call, under_way


def answers(call: Call, stored: CachedResponse) -> bool:
    """Whether an entry that was found by its key is one for the URL of the request, which the key may not tell

    With keys of the user's own, it is for them to say what is the same.
    """
    url, settings = call.request.url, call.policy.settings
    if url == stored.url or settings.key_fn is not None:
        return True
    stored_url = first_request(stored).url
    if url is None or stored_url is None:
        return True
    return same_target(url, stored_url, settings.ignored_parameters, not stored._http_version, call.is_strict)


def with_hooks(call: Call, response: CachedResponse) -> CachedResponse:
    """Run the caller's hooks, as `Session.send` runs them on a response of the origin"""
    hooks = call.request.hooks
    if not hooks or not hooks.get('response'):
        return response
    result: CachedResponse = dispatch_hook(  # type: ignore[no-untyped-call]
        'response', hooks, response, **call.hop_kwargs
    )
    return result


def first_of(stored: CachedResponse) -> CachedResponse:
    """The first response of a row of redirects, for a caller who does not follow them"""
    first = stored.history[0]
    first.expires, first.cache_key = stored.expires, stored.cache_key
    return first


def follow(call: Call, redirect: CachedResponse) -> AnyResponse:
    """Follow a stored redirect, or say where it leads, as the caller wants"""
    session, kwargs = call.session, call.hop_kwargs
    redirect = with_hooks(call, redirect)
    token = under_way.set((call.request, call.options))
    try:
        if not call.follows_redirects:
            following = session.resolve_redirects(redirect, call.request, yield_requests=True, **kwargs)
            request = next(following, None)
            redirect._next = CachedRequest.from_request(request) if request is not None else None
            return redirect
        responses: list[Any] = [redirect, *session.resolve_redirects(redirect, call.request, **kwargs)]
    finally:
        under_way.reset(token)
    response: AnyResponse = responses.pop()
    response.history = responses
    return response


def gateway_timeout(call: Call) -> CachedResponse:
    """The answer to a request that may not go to the origin (RFC 9111, section 5.2.1.7)"""
    call.is_unanswered = True
    content = b'' if call.is_strict else None
    response = CachedResponse(content=content, status_code=504, reason='Not Cached', url=call.request.url)
    response.request = call.request  # type: ignore[assignment]
    return response
