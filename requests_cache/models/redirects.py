"""What the history of a response means

`requests` puts two kinds of responses into a history: redirects, each of which led to the next URL, and the 401 or 407
of an authentication handshake, after which the same request was sent again with credentials. Only redirects make a
chain: a response that answers other URLs than its own.
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
    """A session, as far as following redirects goes"""

    def resolve_redirects(self, resp: Any, req: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """As in `requests`"""


def redirects_of(response: Response) -> list[Any]:
    """The redirects on the way to a response, first to last"""
    return [r for r in response.history if r.status_code not in HANDSHAKE_STATUSES] if response.history else []


def own_response(response: Any) -> Any:
    """The response to the request that was sent: the first redirect, if there are any, else the response itself"""
    redirects = redirects_of(response)
    return redirects[0] if redirects else response


def first_request(response: CachedResponse) -> CachedRequest:
    """The request that a stored response was stored for: the first one, before redirects and handshakes"""
    request = response.history[0].request if response.history else response.request
    if request.body == b'None':  # how 0.9 wrote a request without a body
        request = request.copy()
        request.body = b''
    return request


def redirect_keys(response: Response, create_key: Callable[..., str], **kwargs: Any) -> list[str]:
    """Keys of all requests that were redirected on the way to a response"""
    return [create_key(r.request, **kwargs) for r in redirects_of(response)]


def history_from(key: str, response: CachedResponse, create_key: Callable[..., str]) -> list[CachedResponse] | None:
    """The history of a stored response from the request with a key on; None if no request on its way has that key"""
    if not response.history:
        return None
    for verify in (True, False):
        keys = redirect_keys(response, create_key, verify=verify)
        if key in keys:
            first = redirects_of(response)[keys.index(key)]
            return response.history[next(i for i, r in enumerate(response.history) if r is first) :]
    return None


def without_following(stored: CachedResponse) -> CachedResponse:
    """The answer for a caller who does not follow redirects"""
    own: CachedResponse = own_response(stored)
    if own is not stored:
        own.expires, own.cache_key = stored.expires, stored.cache_key
    return own


def limit_to_end(cached: CachedResponse, end: Response, expires: datetime | None) -> None:
    """Make a chain that is about to be stored no fresher than its end, if that came from the cache"""
    if isinstance(end, CachedResponse):
        cached.expires = min(filter(None, (end.expires, expires)), default=None)
        cached.created_at = end.created_at


def can_be_followed(redirect: CachedResponse) -> bool:
    """Whether a stored redirect says where it leads to, in a way that an origin can say it"""
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
        session: The session whose rules of redirection apply
        request: The request that was answered by the redirect
        redirect: The stored redirect
        kwargs: Arguments of `Session.send` that go for each request
    """
    responses: list[Any] = [redirect, *session.resolve_redirects(redirect, request, **kwargs)]
    response = responses.pop()
    response.history = responses
    return response


def point_to_next(session: Redirecting, request: PreparedRequest, redirect: CachedResponse, **kwargs: Any) -> None:
    """Let a stored redirect that is not followed say which request would follow it, as `next`"""
    following = next(session.resolve_redirects(redirect, request, yield_requests=True, **kwargs), None)
    redirect._next = CachedRequest.from_request(following) if following is not None else None
