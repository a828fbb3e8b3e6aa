"""The `Cache-Status` field, which says how a cache handled a request (RFC 9211)"""

from __future__ import annotations

from typing import NamedTuple

from ..request import RequestPolicy

CACHE_NAME = 'requests-cache'
# The largest integer in a structured field (RFC 9651, section 3.3.1)
MAX_INTEGER = 999_999_999_999_999

# Reasons of decisions and their names in RFC 9211, section 2.2; all other reasons are called 'request'
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
    """The members of a `Cache-Status` field; `str()` returns the value of the field, without the key

    Args:
        hit: The response came from the cache, without contacting the origin
        fwd: Why the request was sent to the origin (RFC 9211, section 2.2)
        fwd_status: Status of the origin's response
        ttl: Seconds for which the response remains fresh; negative if it is stale
        stored: The response was stored
        collapsed: The request shared the response of another request that was in progress
        key: Key of the response
        detail: The reason that this package gives
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
        """The value of the field (RFC 9211, section 2)"""
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
    """A text as a string in a structured field, which allows only ASCII (RFC 9651, section 3.3.3)"""
    printable = ''.join(c if ' ' <= c <= '~' else '?' for c in text)
    return '"' + printable.replace('\\', '\\\\').replace('"', '\\"') + '"'


def append_field(before: str | None, field: str) -> str:
    """Append a member to the field of a response, after those of caches closer to the origin"""
    return f'{before}, {field}' if before and before.strip() else field


def forward_reason(reason: str | None, policy: RequestPolicy, is_other_variant: bool = False) -> str:
    """The name in RFC 9211 for the reason why a request was sent to the origin

    Args:
        reason: The reason of the decision
        policy: Policy of the request
        is_other_variant: Only variants for requests with different header fields are stored
    """
    if reason == 'no-cache' and policy.strict is not None and policy.strict.no_cache:
        return 'request'
    if reason == 'not stored' and is_other_variant:
        return 'vary-miss'
    return _FWD.get(reason or 'not stored', 'request')
