"""What the cache did with a request, as RFC 9211 says it"""

from __future__ import annotations

from attrs import frozen

CACHE_NAME = 'requests-cache'

# Reasons of decisions, and what RFC 9211 section 2.2 calls them; all others are something in the request
_FWD = {
    'not stored': 'uri-miss',
    'other variant': 'vary-miss',
    'disabled': 'bypass',
    'do not cache': 'bypass',
    'method': 'method',
    'stale': 'stale',
    'no-cache': 'stale',
}


@frozen
class CacheStatus:
    """The members of a `Cache-Status` field; its text is their value in it

    Args:
        hit: The response came from the cache, without asking the origin
        fwd: Why the request went to the origin (RFC 9211, section 2.2)
        fwd_status: Status of the origin's answer
        ttl: Seconds for which the response remains fresh; negative if it is stale
        stored: The response was stored
        key: Key of the response
        detail: Reason in this package's words
    """

    hit: bool = False
    fwd: str | None = None
    fwd_status: int | None = None
    ttl: int | None = None
    stored: bool = False
    key: str | None = None
    detail: str | None = None

    def __str__(self) -> str:
        members = [
            CACHE_NAME,
            'hit' if self.hit else None,
            f'fwd={self.fwd}' if self.fwd else None,
            f'fwd-status={self.fwd_status}' if self.fwd_status else None,
            f'ttl={self.ttl}' if self.ttl is not None else None,
            'stored' if self.stored else None,
            f'key="{self.key}"' if self.key else None,
            f'detail="{self.detail}"' if self.detail else None,
        ]
        return '; '.join(member for member in members if member)


def forwarded(reason: str | None) -> str:
    """What RFC 9211 calls the reason of a decision to ask the origin"""
    return _FWD.get(reason or 'not stored', 'request')
