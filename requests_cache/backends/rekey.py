"""Keys of stored entries under another serializer or other settings"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..models.request import CachedRequest
from ..models.response import CachedResponse

CreateKey = Callable[..., str]


def first_request(response: CachedResponse) -> CachedRequest:
    """The request that the entry was stored for: before any redirects"""
    request = response.history[0].request if response.history else response.request
    if request.body == b'None':  # how 0.9 wrote a request without a body
        request = request.copy()
        request.body = b''
    return request


def _variations(response: CachedResponse) -> Iterator[dict[str, Any]]:
    """Arguments of `create_key` that an entry's key may have been made with"""
    names = [n.strip().lower() for n in response.headers.get('Vary', '').split(',') if n.strip()]
    for verify in (True, False):
        yield {'verify': verify}
        if names:
            yield {'verify': verify, 'match_headers': sorted(names)}


def translate_key(response: CachedResponse, key: str, old: CreateKey, new: CreateKey) -> str:
    """The key of an entry by `new`, made the way its present key is made by `old`

    A key that `old` does not explain is kept, as it was chosen by somebody else.
    """
    request = first_request(response)
    for arguments in _variations(response):
        if old(request, **arguments) == key:
            return new(request, **arguments)
    return key


def redirect_keys(response: CachedResponse, create_key: CreateKey, **kwargs: Any) -> list[str]:
    """Keys of all requests that were redirected on the way to a response"""
    return [create_key(r.request, **kwargs) for r in response.history]
