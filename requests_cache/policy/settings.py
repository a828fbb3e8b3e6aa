"""The settings of a session"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from attrs import Attribute, define, field, fields_dict
from requests import Response

from .._utils import checked_size
from ..models.base import RichMixin
from .expiration import ExpirationPattern, ExpirationPatterns, ExpirationTime, get_expiration_datetime

ALL_METHODS = ('GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE')
AUTH_HEADERS = (
    'Authorization', 'Proxy-Authorization', 'X-API-Key', 'X-Auth-Token', 'X-API-Token', 'X-Access-Token',
)  # fmt: skip
AUTH_PARAMS = ('access_token', 'api_key', 'apikey')
DEFAULT_CACHE_NAME = 'http_cache'
DEFAULT_METHODS = ('GET', 'HEAD')
DEFAULT_STATUS_CODES = (200,)
DEFAULT_IGNORED_PARAMS = (*AUTH_HEADERS, *AUTH_PARAMS)

FilterCallback = Callable[[Response], bool]
KeyCallback = Callable[..., str]

# Names of earlier versions that callers may still use
RENAMED = {'old_data_on_error': 'stale_if_error', 'include_get_headers': 'match_headers'}

__all__ = [
    'ALL_METHODS',
    'AUTH_HEADERS',
    'AUTH_PARAMS',
    'DEFAULT_CACHE_NAME',
    'DEFAULT_IGNORED_PARAMS',
    'DEFAULT_METHODS',
    'DEFAULT_STATUS_CODES',
    'CacheSettings',
    'ExpirationPattern',
    'ExpirationTime',
    'FilterCallback',
    'KeyCallback',
]


def _reusable(value: Any) -> Any:
    """Keep the items of an iterator, which could be gone through only once"""
    return tuple(value) if isinstance(value, Iterator) else value


def _check_expiration(instance: Any, attribute: Attribute[Any], value: ExpirationTime) -> None:
    get_expiration_datetime(value)


def _check_patterns(instance: Any, attribute: Attribute[Any], value: ExpirationPatterns | None) -> None:
    for expire_after in (value or {}).values():
        get_expiration_datetime(expire_after)


def _check_staleness(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, bool):
        get_expiration_datetime(value)


def _check_cache_control(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, str) and value != 'strict':
        raise ValueError(f"Invalid cache_control: {value!r}; it must be True, False or 'strict'")


def _check_cache_status(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, str) and value != 'key':
        raise ValueError(f"Invalid cache_status: {value!r}; it must be True, False or 'key'")


def _check_single_flight(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, str) and value != 'shared':
        raise ValueError(f"Invalid single_flight: {value!r}; it must be True, False or 'shared'")


def _check_bytes(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None or attribute.default is not None:
        checked_size(attribute.name, value)


def _check_seconds(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f'{attribute.name} must be a number of seconds, not {value!r}')
    if not value >= 0:
        raise ValueError(f'{attribute.name} must not be negative, but is {value}')


@define(repr=False, eq=True)
class CacheSettings(RichMixin):
    """What a session caches, for how long, and how it matches requests

    All may be changed at any time, with effect from the next request.

    Args:
        allowable_codes: Status codes of responses that may be stored
        allowable_methods: Methods, in upper case, of requests that may be answered from the cache and stored
        always_revalidate: Validate stored responses on each use, if they have a validator
        autoclose: Close the backend together with the session
        cache_control: Obey the response's own headers about caching; 'strict': all of the standard, RFC 9111
        cache_status: Add a `Cache-Status` header field to responses (RFC 9211); 'key': with the key of the response
        content_root_key: Member of a JSON request body that `ignored_parameters` are looked for in
        disabled: Neither read nor write the cache
        drain_bytes: If the caller closes a response without having read all of it, up to so many bytes are read so
            that it can be stored
        drain_seconds: How long that may take
        expire_after: Time after which responses are stale: seconds, a timedelta, a datetime, an HTTP date, or
            NEVER_EXPIRE
        filter_fn: Called with a response; False keeps it out of the cache
        heuristic_fraction: By the standard, how long a response without explicit freshness is fresh, as a part of the
            time for which it had not been modified
        ignored_parameters: Names of request parameters, headers and JSON members that are left out of matching, and
            whose values are not stored
        key_fn: Called with a request and the arguments of its sending; returns its key
        match_headers: Names of request headers that requests must share to match; True for all
        max_body_bytes: Length of the largest body that is stored; None for any length
        only_if_cached: Answer from the cache or with a 504 response, never from the network
        read_only: Read the cache, but write nothing to it
        shared_cache: By the standard, cache for more than one user
        single_flight: Send equal requests that are made at the same time once; the others wait for the response.
            True: among threads; 'shared': among all processes and hosts that use the store
        single_flight_timeout: How many seconds a request waits for another one at most; its own `timeout` counts if
            that is less
        stale_if_error: Use a stale response if a new one cannot be had; True, or how long it may have been stale
        stale_while_revalidate: Use a stale response, and renew it in the background; True, or how long it may have
            been stale
        urls_expire_after: Expiration by URL pattern; the first that matches counts

    Raises:
        ValueError, TypeError: An expiration has no meaning
    """

    allowable_codes: Iterable[int] = field(default=DEFAULT_STATUS_CODES, converter=_reusable)
    allowable_methods: Iterable[str] = field(default=DEFAULT_METHODS, converter=_reusable)
    always_revalidate: bool = field(default=False)
    autoclose: bool = field(default=True)
    cache_control: bool | str = field(default=False, validator=_check_cache_control)
    cache_status: bool | str = field(default=False, validator=_check_cache_status, kw_only=True)
    content_root_key: str | None = field(default=None)
    disabled: bool = field(default=False)
    drain_bytes: int = field(default=64 * 1024, validator=_check_bytes, kw_only=True)
    drain_seconds: float = field(default=0.25, validator=_check_seconds, kw_only=True)
    expire_after: ExpirationTime = field(default=None, validator=_check_expiration)
    filter_fn: FilterCallback | None = field(default=None)
    heuristic_fraction: float = field(default=0.1, kw_only=True)
    ignored_parameters: Iterable[str] = field(default=DEFAULT_IGNORED_PARAMS, converter=_reusable)
    key_fn: KeyCallback | None = field(default=None)
    match_headers: Iterable[str] | bool = field(default=False, converter=_reusable)
    max_body_bytes: int | None = field(default=None, validator=_check_bytes, kw_only=True)
    only_if_cached: bool = field(default=False)
    read_only: bool = field(default=False)
    shared_cache: bool = field(default=False, kw_only=True)
    single_flight: bool | str = field(default=True, validator=_check_single_flight, kw_only=True)
    single_flight_timeout: float = field(default=30.0, validator=_check_seconds, kw_only=True)
    stale_if_error: bool | ExpirationTime = field(default=False, validator=_check_staleness)
    stale_while_revalidate: bool | ExpirationTime = field(default=False, validator=_check_staleness)
    urls_expire_after: dict[ExpirationPattern, ExpirationTime] = field(factory=dict, validator=_check_patterns)

    __hash__ = object.__hash__

    @classmethod
    def from_kwargs(cls, **kwargs: Any) -> CacheSettings:
        """Settings from those keywords that are names of settings and not None; others are passed over"""
        known = fields_dict(cls)
        kwargs = {RENAMED.get(k, k): v for k, v in kwargs.items() if v is not None}
        return cls(**{k: v for k, v in kwargs.items() if k in known})


def setting_names() -> frozenset[str]:
    """Keywords that are settings, by present and earlier names"""
    return frozenset(fields_dict(CacheSettings)) | frozenset(RENAMED)


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelled one most likely stands for"""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, sorted(known), n=1)), None)
