"""For which session a cache is called

Sessions that share a backend have settings of their own, while methods such as `create_key` and `save_response`, which
backends override, know only the cache. So a session says on whose behalf it calls.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..policy.settings import CacheSettings


class Sending(NamedTuple):
    """A request that a session sends: its cache, the session's settings, and whether certificates are verified"""

    cache: Any
    settings: CacheSettings
    verify: bool


sending: ContextVar[Sending | None] = ContextVar('requests_cache_sending', default=None)


class SendingFor:
    """A block in which calls of a cache are made on behalf of one session"""

    __slots__ = ('_sending', '_token')

    def __init__(self, cache: Any, settings: CacheSettings, verify: bool):
        self._sending = Sending(cache, settings, verify)

    def __enter__(self) -> None:
        self._token: Token[Sending | None] = sending.set(self._sending)

    def __exit__(self, *exc_info: object) -> None:
        sending.reset(self._token)


def is_verified() -> bool:
    """Whether the request under way verifies certificates, which is part of its key"""
    current = sending.get()
    return current is None or current.verify
