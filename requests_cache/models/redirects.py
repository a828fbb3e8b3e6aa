"""Chains of redirects in the history of a response

`requests` puts two kinds of responses into a history: redirects, each of which led to the next URL, and the 401 or 407
of an authentication handshake, after which the same request was sent again with credentials. Only redirects form a
chain, whose last response also answers requests for the earlier URLs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

from requests import PreparedRequest, Response

from .._utils import is_latin1_line
from .request import CachedRequest
from .response import CachedResponse

HANDSHAKE_STATUSES = frozenset((401, 407))


class Redirecting(Protocol):
    """The part of a session that follows redirects"""

    def resolve_redirects(self, resp: Any, req: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """The same as `requests.Session.resolve_redirects()`"""


def redirects_of(response: Response) -> list[Any]:
    """The redirects that led to a response, in order"""
    return [r for r in response.history if r.status_code not in HANDSHAKE_STATUSES] if response.history else []


def own_response(response: Any) -> Any:
    """The response to the original request: the first redirect if there is one, otherwise the response itself"""
    redirects = redirects_of(response)
    return redirects[0] if redirects else response


def first_request(response: CachedResponse) -> CachedRequest:
    """The original request of a stored response, before any redirects and handshakes"""
    request = response.history[0].request if response.history else response.request
    if request.body == b'None':  # how 0.9 wrote a request without a body
        request = request.copy()
        request.body = b''
    return request


def redirect_keys(response: Response, create_key: Callable[..., str], **kwargs: Any) -> list[str]:
    """The keys of all requests that were redirected before this response"""
    return [create_key(r.request, **kwargs) for r in redirects_of(response)]


def history_from(key: str, response: CachedResponse, create_key: Callable[..., str]) -> list[CachedResponse] | None:
    """The history of a stored response, starting at the request with this key; None if no redirect has that key"""
    if not response.history:
        return None
    for verify in (True, False):
        keys = redirect_keys(response, create_key, verify=verify)
        if key in keys:
            first = redirects_of(response)[keys.index(key)]
            return response.history[next(i for i, r in enumerate(response.history) if r is first) :]
    return None


def unfollowed_response(stored: CachedResponse) -> CachedResponse:
    """The response for a caller that does not follow redirects: the first redirect, without a history"""
    own: CachedResponse = own_response(stored)
    if own is not stored:
        own.expires, own.cache_key = stored.expires, stored.cache_key
    return own


def limit_chain_expiration(cached: CachedResponse, end: Response, expires: datetime | None) -> None:
    """Let a chain expire no later than its last response, if that came from the cache"""
    if isinstance(end, CachedResponse):
        cached.expires = min(filter(None, (end.expires, expires)), default=None)
        cached.created_at = end.created_at


def can_be_followed(redirect: CachedResponse) -> bool:
    """Whether a stored redirect can be followed: its `Location` is valid or absent"""
    location = redirect.headers.get('Location')
    if not location:
        return True
    try:
        target = urlsplit(urljoin(redirect.url or '', location))
        return is_latin1_line(location) and bool(target.scheme) and target.port != 0
    except ValueError:
        return False


def follow(session: Redirecting, request: PreparedRequest, redirect: CachedResponse, **kwargs: Any) -> Any:
    """The response that a stored redirect leads to, with its history

    Args:
        session: The session that follows the redirect by its own rules
        request: The request that the redirect answers
        redirect: The stored redirect
        kwargs: Arguments of `Session.send` for each request
    """
    responses: list[Any] = [redirect, *session.resolve_redirects(redirect, request, **kwargs)]
    response = responses.pop()
    response.history = responses
    return response


def set_next_request(session: Redirecting, request: PreparedRequest, redirect: CachedResponse, **kwargs: Any) -> None:
    """Set `next` of a stored redirect that is not followed to the request that would follow it"""
    following = next(session.resolve_redirects(redirect, request, yield_requests=True, **kwargs), None)
    redirect._next = CachedRequest.from_request(following) if following is not None else None
