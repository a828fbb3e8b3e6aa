"""Checks of a session whose store may be unavailable"""

from __future__ import annotations

from requests_cache import CachedSession

BODY = bytes(range(256)) * 400


def assert_served_by_origin(session: CachedSession, url: str, times: int = 3) -> None:
    for _ in range(times):
        response = session.get(url)
        assert response.content == BODY
        assert not response.from_cache


def assert_caches(session: CachedSession, url: str) -> None:
    session.get(url)
    response = session.get(url)
    assert response.content == BODY
    assert response.from_cache
