"""Selecting entries by conditions, by their keys, or by their URLs"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from requests import Request

from ..backends.base import BaseCache
from ..backends.rekey import possible_requests
from ..backends.summary import content_type_of, host_of
from ..cache_keys import normalize_url
from ..models.response import CachedResponse
from ..policy.expiration import add_tzinfo


class Selection(NamedTuple):
    """Conditions that an entry has to meet; if one has several values, an entry has to match any of them

    Args:
        hosts: Shell patterns of hosts, with or without their port
        urls: Shell patterns of URLs, with or without their scheme
        statuses: Ranges of status codes
        types: Shell patterns of content types
        expired: True for expired entries, False for fresh ones, None for both
        older_than: Entries that were received longer ago than this
        larger_than: Entries with a body of more bytes than this
    """

    hosts: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    statuses: tuple[range, ...] = ()
    types: tuple[str, ...] = ()
    expired: bool | None = None
    older_than: timedelta | None = None
    larger_than: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there are no conditions"""
        return self == Selection()

    def matches(self, response: CachedResponse, now: datetime) -> bool:
        """Whether an entry meets all conditions, at a time in UTC"""
        return (
            (self.expired is None or has_expired(response, now) is self.expired)
            and (self.older_than is None or now - add_tzinfo(response.created_at) > self.older_than)
            and (self.larger_than is None or response.size > self.larger_than)
            and (not self.statuses or any(response.status_code in statuses for statuses in self.statuses))
            and (not self.hosts or _has_host(response, self.hosts))
            and (not self.types or _matches(content_type_of(response), self.types))
            and (not self.urls or _has_url(response, self.urls))
        )


def has_expired(response: CachedResponse, now: datetime) -> bool:
    return response.expires is not None and add_tzinfo(response.expires) <= now


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern.lower()) for pattern in patterns)


def _has_host(response: CachedResponse, patterns: Iterable[str]) -> bool:
    host = host_of(response.url)
    return _matches(host, patterns) or _matches(host.rpartition(':')[0], patterns)


def _has_url(response: CachedResponse, patterns: Iterable[str]) -> bool:
    url = response.url or ''
    without_scheme = url.partition('://')[2] or url
    return any(fnmatchcase(url if '://' in p else without_scheme, p) for p in patterns)


def find_keys(cache: BaseCache, wanted: str) -> list[str]:
    """The keys of the entries that a user names by a key, the beginning of a key, or a URL; empty if there are none

    A URL means the response to a GET request for it. If there is none, it means all entries that `find_keys_of_url`
    finds.
    """
    if wanted in cache.responses:
        return [wanted]
    if '://' not in wanted:
        return [key for key in cache.responses if wanted and key.startswith(wanted)]
    key = _key_of_get(cache, wanted)
    return [key] if key is not None else find_keys_of_url(cache, wanted)


def find_keys_of_url(cache: BaseCache, url: str) -> list[str]:
    """The keys of all entries with a URL, with any method and headers; this takes one pass over the cache"""
    key, same = _key_of_get(cache, url), normalize_url(url, None)
    found = [key for key, response in cache._entries() if response is not None and _is_for(response, same)]
    return found if key is None or key in found else [key, *found]


def _key_of_get(cache: BaseCache, url: str) -> str | None:
    try:
        made = [cache.create_key(Request('GET', url), verify=verify) for verify in (True, False)]
    except Exception:  # `requests` cannot make a request for this URL
        return None
    found = (key for each in made for key in (each, cache.redirects.get(each)) if key is not None)
    return next((key for key in found if key in cache.responses), None)


def _is_for(response: CachedResponse, url: str) -> bool:
    urls: Any = (response.url, *(request.url for request in possible_requests(response)))
    return any(normalize_url(each or '', None) == url for each in urls)
