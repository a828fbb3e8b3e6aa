"""What the cache did with a request, as RFC 9211 says it"""

from __future__ import annotations

from typing import NamedTuple

from ..request import RequestPolicy

CACHE_NAME = 'requests-cache'
# What a number in a structured field can be (RFC 9651, section 3.3.1)
MAX_INTEGER = 999_999_999_999_999

# Reasons of decisions, and what RFC 9211 section 2.2 calls them; all others are something in the request
_FWD = {
    'not stored': 'uri-miss',
    'disabled': 'bypass',
    'do not cache': 'bypass',
    'method': 'method',
    'stale': 'stale',
    'stale-while-revalidate': 'stale',
    'no-cache': 'stale',
}


class CacheStatus(NamedTuple):
    """The members of a `Cache-Status` field; its text is their value in it, without the key

    Args:
        hit: The response came from the cache, without an answer of the origin
        fwd: Why the request went to the origin (RFC 9211, section 2.2)
        fwd_status: Status of the origin's answer
        ttl: Seconds for which the response remains fresh; negative if it is stale
        stored: The response was stored
        collapsed: The request was answered together with another one that was under way
        key: Key of the response
        detail: Reason in this package's words
    """

    hit: bool = False
    fwd: str | None = None
    fwd_status: int | None = None
    ttl: int | None = None
    stored: bool = False
    collapsed: bool = False
    key: str | None = None
    detail: str | None = None

    def field(self, with_key: bool = False) -> str:
        """The value of the field, which is a structured one (RFC 9211, section 2)"""
        ttl = self.ttl if self.ttl is None else max(-MAX_INTEGER, min(self.ttl, MAX_INTEGER))
        members = [
            CACHE_NAME,
            'hit' if self.hit else None,
            f'fwd={self.fwd}' if self.fwd else None,
            f'fwd-status={self.fwd_status}' if self.fwd_status else None,
            f'ttl={ttl}' if ttl is not None else None,
            'stored' if self.stored else None,
            'collapsed' if self.collapsed else None,
            f'key={_string(self.key)}' if with_key and self.key else None,
            f'detail={_string(self.detail)}' if self.detail else None,
        ]
        return '; '.join(member for member in members if member)

    def __str__(self) -> str:
        return self.field()


def _string(text: str) -> str:
    """Text as a string of a structured field, which can hold ASCII only (RFC 9651, section 3.3.3)"""
    printable = ''.join(c if ' ' <= c <= '~' else '?' for c in text)
    return '"' + printable.replace('\\', '\\\\').replace('"', '\\"') + '"'


def appended(before: str | None, field: str) -> str:
    """The field of a response that may have come through other caches; the one nearest to the user is the last"""
    return f'{before}, {field}' if before and before.strip() else field


def forwarded(reason: str | None, policy: RequestPolicy, is_other_variant: bool = False) -> str:
    """What RFC 9211 calls the reason of a decision to ask the origin

    Args:
        reason: The reason of the decision
        policy: What applies to the request
        is_other_variant: Responses are stored, but for requests with other header fields
    """
    if reason == 'no-cache' and policy.strict is not None and policy.strict.no_cache:
        return 'request'
    if reason == 'not stored' and is_other_variant:
        return 'vary-miss'
    return _FWD.get(reason or 'not stored', 'request')
