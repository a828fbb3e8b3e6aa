"""The settings of a session"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any

from attrs import Attribute, define, evolve, field, fields_dict
from requests import Response

from .._utils import checked_size
from ..models.base import RichMixin
from .expiration import (
    ExpirationPattern,
    ExpirationPatterns,
    ExpirationTime,
    check_expiration,
    first_expiration,
    first_match,
    get_expiration_datetime,
    get_url_expiration,
)

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

StatusPattern = int | str
CodesExpireAfter = dict[StatusPattern, ExpirationTime]
UrlSettings = dict[ExpirationPattern, dict[str, Any]]

# Settings that keys depend on
KEY_SETTINGS = frozenset(('content_root_key', 'ignored_parameters', 'key_fn', 'match_headers'))
# Their responses depend on header fields that are not part of the key: ranges, conditions, credentials
NOT_IN_CLASSES = frozenset((206, 304, 401, 407, 412, 416))

# Names of settings in earlier versions, which are still accepted
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
    """Convert an iterator, which can be used only once, to a tuple"""
    return tuple(value) if isinstance(value, Iterator) else value


def _empty_if_none(value: Any) -> Any:
    return {} if value is None else value


def _copy_url_settings(value: Any) -> Any:
    """Copy settings by URL, so that later changes to the caller's dicts have no effect, and convert iterators"""
    if value is None:
        return {}
    try:
        return {pattern: {name: _reusable(v) for name, v in rule.items()} for pattern, rule in value.items()}
    except AttributeError:  # the validator raises an error about it
        return value


def _with_fallback(expire_after: ExpirationTime, other: ExpirationTime) -> ExpirationTime:
    """An expiration that, if it is a function which returns None, is replaced by another one"""
    if not callable(expire_after) or other is None:
        return expire_after
    return lambda response: first_expiration(response, expire_after, other)


def _check_expiration(instance: Any, attribute: Attribute[Any], value: ExpirationTime) -> None:
    check_expiration(value)


def _check_patterns(instance: Any, attribute: Attribute[Any], value: ExpirationPatterns | None) -> None:
    for expire_after in (value or {}).values():
        check_expiration(expire_after)


def _check_codes(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value != {}:
        from .checks import check_codes_expire_after

        check_codes_expire_after(value)


def _check_url_settings(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value != {}:
        from .checks import check_url_settings

        check_url_settings(value, fields_dict(type(instance)), RENAMED, type(instance))


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
        raise ValueError(f'{attribute.name} must not be negative: {value!r}')


@define(repr=False, eq=True)
class CacheSettings(RichMixin):
    """Settings of a session: what it caches, for how long, and how it matches requests

    Settings may be changed at any time. A change takes effect with the next request.

    Args:
        allowable_codes: Status codes of the responses that may be stored. The codes in `codes_expire_after` may be
            stored as well.
        allowable_methods: Methods, in upper case, of the requests that may be answered from the cache, and whose
            responses may be stored
        always_revalidate: Ask the origin about a stored response each time it is used, if the response has a validator
            (`ETag` or `Last-Modified`)
        autoclose: Close the backend together with the session
        cache_control: Obey what responses say about caching. `True` takes their freshness lifetime and obeys
            `no-store`, `no-cache` and `must-revalidate`; `'strict'` applies all of RFC 9111.
        codes_expire_after: Expiration by status code (`404`) or class of codes (`'5xx'`). Responses with these codes
            may be stored even if `allowable_codes` does not list them.
        cache_status: Add a `Cache-Status` header field (RFC 9211) to responses. `'key'` includes the cache key.
        content_root_key: Name of the member of a JSON request body in which `ignored_parameters` are looked for,
            instead of the top level
        disabled: Neither read nor write the cache
        drain_bytes: When the caller closes a streamed response early, read up to this many bytes more, so that the
            response can be stored. `0` reads no more.
        drain_seconds: How many seconds that may take
        expire_after: Time after which a response is stale: a number of seconds, a `timedelta`, a `datetime`, an HTTP
            date, `NEVER_EXPIRE` (`-1`), `EXPIRE_IMMEDIATELY` (`0`) or `DO_NOT_CACHE`; or a function that is called with
            the response and returns one of these
        filter_fn: Called with each response; if it returns false, the response is not stored, or is removed from the
            cache
        heuristic_fraction: With `cache_control='strict'`, a response that gives no lifetime is fresh for this fraction
            of the time between `Last-Modified` and `Date`
        ignored_parameters: Names of query parameters, form fields, members of JSON bodies and header fields that do
            not take part in matching, and whose values are not stored
        key_fn: Called with a request and the arguments that it is sent with; returns the cache key as text
        match_headers: Names of the request header fields that must be equal for two requests to match; `True` means
            all of them
        max_body_bytes: Length in bytes of the largest body that is stored; `None` means no limit
        only_if_cached: Answer from the cache, or with a 504 response; never use the network
        read_only: Read the cache, but never write to it
        restore_cookies: Put the cookies of a response from the cache into the session's cookie jar
        shared_cache: With `cache_control='strict'`, follow the rules for caches that serve several users
        single_flight: Send equal requests that are made at the same time only once; the others wait for the response.
            `True` covers the threads of this process; `'shared'` covers all processes and hosts that use the store.
        single_flight_timeout: How many seconds a request waits for another one. If the request's own `timeout` is
            shorter, that is the limit.
        stale_if_error: Use a stale response if the origin fails. `True` puts no limit on how stale it may be; a number
            of seconds or a `timedelta` does.
        stale_while_revalidate: Use a stale response at once, and renew it in the background. `True` puts no limit on
            how stale it may be; a number of seconds or a `timedelta` does.
        url_settings: Settings for some URLs: a dict from URL patterns to dicts of settings. The first pattern that
            matches counts. All settings are allowed except `autoclose`, `url_settings` and `urls_expire_after`.
        urls_expire_after: Expiration by URL pattern. The first pattern that matches counts.

    Raises:
        ValueError, TypeError: An expiration, a status code, or something in `url_settings` has no meaning
    """

    allowable_codes: Iterable[int] = field(default=DEFAULT_STATUS_CODES, converter=_reusable)
    allowable_methods: Iterable[str] = field(default=DEFAULT_METHODS, converter=_reusable)
    always_revalidate: bool = field(default=False)
    autoclose: bool = field(default=True)
    cache_control: bool | str = field(default=False, validator=_check_cache_control)
    cache_status: bool | str = field(default=False, validator=_check_cache_status, kw_only=True)
    codes_expire_after: CodesExpireAfter = field(
        factory=dict, converter=_empty_if_none, validator=_check_codes, kw_only=True
    )
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
    restore_cookies: bool = field(default=False, kw_only=True)
    shared_cache: bool = field(default=False, kw_only=True)
    single_flight: bool | str = field(default=True, validator=_check_single_flight, kw_only=True)
    single_flight_timeout: float = field(default=30.0, validator=_check_seconds, kw_only=True)
    stale_if_error: bool | ExpirationTime = field(default=False, validator=_check_staleness)
    stale_while_revalidate: bool | ExpirationTime = field(default=False, validator=_check_staleness)
    url_settings: UrlSettings = field(
        factory=dict, converter=_copy_url_settings, validator=_check_url_settings, kw_only=True
    )
    urls_expire_after: dict[ExpirationPattern, ExpirationTime] = field(factory=dict, validator=_check_patterns)

    __hash__ = object.__hash__

    def rule_for(self, url: str | None) -> dict[str, Any] | None:
        """The settings of the first pattern in `url_settings` that a URL matches; None if it matches none

        The fragment of the URL does not count, because it is not sent.
        """
        return first_match(url and url.partition('#')[0], self.url_settings)

    def pattern_for(self, url: str | None) -> ExpirationPattern | None:
        """The first pattern in `url_settings` that matches a URL, or None"""
        patterns = {pattern: pattern for pattern in self.url_settings}
        return first_match(url and url.partition('#')[0], patterns)

    def for_url(self, url: str | None, needed: Set[str] | None = None) -> CacheSettings:
        """The settings for a URL: these settings, overridden by `rule_for(url)`

        An expiration in `url_settings` becomes that in `urls_expire_after`.

        Args:
            url: The URL
            needed: Names of the settings that will be used; None for all
        """
        rule = self.rule_for(url)
        if not rule or (needed is not None and needed.isdisjoint(rule)):
            return self
        changes = dict(rule)
        expire_after = changes.pop('expire_after', None)
        if expire_after is not None:  # takes precedence over `urls_expire_after`
            by_pattern = get_url_expiration(url, self.urls_expire_after)
            changes['urls_expire_after'] = {'*': _with_fallback(expire_after, by_pattern)}
        settings = evolve(self, url_settings={}, **changes)
        # Kept so that others can see that there are any; assigned without checking them again
        object.__setattr__(settings, 'url_settings', self.url_settings)
        return settings

    @classmethod
    def from_kwargs(cls, **kwargs: Any) -> CacheSettings:
        """Make settings from keywords. Keywords that are not settings, and those that are None, are ignored."""
        known = fields_dict(cls)
        kwargs = {RENAMED.get(k, k): v for k, v in kwargs.items() if v is not None}
        return cls(**{k: v for k, v in kwargs.items() if k in known})


def status_pattern(status_code: int, codes: Mapping[StatusPattern, Any]) -> StatusPattern | None:
    """The key for a status: the status itself, or its class, such as '4xx'; None if neither exists"""
    if status_code in codes:
        return status_code
    name = f'{status_code // 100}xx'
    return name if name in codes and status_code not in NOT_IN_CLASSES else None


def setting_names() -> frozenset[str]:
    """Current and former names of all settings"""
    return frozenset(fields_dict(CacheSettings)) | frozenset(RENAMED)
