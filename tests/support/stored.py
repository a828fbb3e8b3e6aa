"""Caches with some entries, for tests of the command line and of other tools"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from requests.structures import CaseInsensitiveDict

from requests_cache import BaseCache, CachedResponse, init_backend
from requests_cache.models.request import CachedRequest
from requests_cache.testing.values import make_response

LARGE = b'0123456789abcdef' * 100_000


def response_to(
    url: str,
    content: bytes = b'{}',
    age: timedelta = timedelta(),
    expires_in: timedelta | None = None,
    status_code: int = 200,
    content_type: str = 'application/json; charset=utf-8',
    method: str = 'GET',
) -> CachedResponse:
    """A response that was received some time ago"""
    now = datetime.now(timezone.utc)
    return make_response(
        url=url,
        request=CachedRequest(method=method, url=url, headers=CaseInsensitiveDict({'Accept': '*/*'})),
        content=content,
        created_at=now - age,
        expires=None if expires_in is None else now + expires_in,
        status_code=status_code,
        reason='OK',
        headers=CaseInsensitiveDict({'Content-Type': content_type}),
    )


def pages() -> list[CachedResponse]:
    """Six different responses; one of them is large"""
    hour, day = timedelta(hours=1), timedelta(days=1)
    return [
        response_to('https://api.example.com/items?page=1', b'{"items": [1, 2, 3]}', age=2 * hour, expires_in=day),
        response_to('https://api.example.com/items?page=2', b'{"items": []}', age=40 * day, expires_in=-10 * day),
        response_to('https://api.example.com/missing', b'no', age=3 * day, expires_in=-hour, status_code=404),
        response_to('https://www.example.com/', b'<p>' * 1000, age=8 * day, content_type='text/html'),
        response_to('https://www.example.com/logo.png', b'\x89PNG\0' * 50, content_type='image/png'),
        response_to('https://www.example.com/video', LARGE, age=hour, content_type='video/mp4'),
    ]


def fill(cache: BaseCache, *responses: CachedResponse) -> list[str]:
    """Store responses, by default `pages()`; returns their keys"""
    keys = []
    for response in responses or pages():
        key = cache.create_key(response.request)
        cache.save_response(response, key, response.expires)
        keys.append(key)
    return keys


def make_cache(name: object, *responses: CachedResponse, **kwargs: Any) -> list[str]:
    """Make a cache, fill it and close it; takes the arguments of `init_backend` and `fill`"""
    cache = init_backend(str(name), **kwargs)
    try:
        return fill(cache, *responses)
    finally:
        cache.close()
