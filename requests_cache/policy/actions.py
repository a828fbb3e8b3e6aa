"""`CacheActions`: the interface of 1.x to decisions about a request, for code that imports it

The package itself uses the functions in `policy.decision`, which this class calls.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from attrs import define, field
from requests import PreparedRequest, Response

from .._utils import assert_never
from ..models.base import RichMixin
from ..models.request import CachedRequest
from ..models.response import CachedResponse
from .decision import decide_read, decide_store, reason_not_to_store, response_lifetime
from .directives import NO_DIRECTIVES, CacheDirectives
from .expiration import ExpirationTime, get_expiration_datetime, get_url_expiration, utcnow
from .freshness import is_fresh_enough, is_stale_allowed
from .request import METHOD_OVERRIDE_HEADERS as _METHOD_OVERRIDE_HEADERS
from .request import RequestPolicy, request_policy, resolve_expiration
from .settings import CacheSettings, KeyCallback
from .validation import updated_headers
from .vary import SameKey, match_variant
from .verdicts import Fetch, GatewayTimeout, ReadDecision, Store, Use, UseAndRefresh, Validate

METHOD_OVERRIDE_HEADERS = list(_METHOD_OVERRIDE_HEADERS)

__all__ = ['METHOD_OVERRIDE_HEADERS', 'CacheActions', 'ExpirationTime', 'KeyCallback', 'get_url_expiration']


@define(repr=False)
class CacheActions(RichMixin):
    """Decisions about one request, in the form of 1.x. It is made from the request, then updated with the responses.

    Args:
        cache_key: Key of the request
        error_504: Answer with status 504
        expire_after: Expiration of the response
        send_request: Send the request, as no response is stored
        resend_request: Send the request to renew the stored response
        resend_async: Use the stored response, and renew it in the background
        skip_read: Do not read the cache
        skip_write: Do not write to the cache
        vary_cache_key: Key of the variant that matches the request
    """

    cache_key: str | None = field(default=None)
    error_504: bool = field(default=False)
    expire_after: ExpirationTime = field(default=None)
    send_request: bool = field(default=False)
    resend_request: bool = field(default=False)
    resend_async: bool = field(default=False)
    skip_read: bool = field(default=False)
    skip_write: bool = field(default=False)
    vary_cache_key: str | None = field(default=None)
    _directives: CacheDirectives = field(default=None, repr=False)
    _settings: CacheSettings = field(default=None, repr=False)
    _only_if_cached: bool = field(default=False, repr=False)
    _refresh: bool = field(default=False, repr=False)
    _request: PreparedRequest | None = field(default=None, repr=False)
    _stale_if_error: bool | ExpirationTime = field(default=None, repr=False)
    _stale_while_revalidate: bool | ExpirationTime = field(default=None, repr=False)
    _validation_headers: dict[str, str] = field(factory=dict, repr=False)
    _policy: RequestPolicy | None = field(default=None, init=False, repr=False, eq=False)

    @classmethod
    def from_request(
        cls, cache_key: str | None, request: PreparedRequest, settings: CacheSettings | None = None
    ) -> CacheActions:
        """Create from a request and settings, and decide whether the cache may be read"""
        settings = (settings or CacheSettings()).for_url(request.url)
        policy = request_policy(
            request.method, request.url, request.headers, settings, url_expiration=get_url_expiration
        )
        self = cls(
            cache_key=cache_key,
            expire_after=policy.expire_after,
            skip_read=bool(policy.skip_read),
            directives=policy.directives,
            settings=settings,
            only_if_cached=policy.only_if_cached,
            refresh=policy.refresh,
            request=request,
            stale_if_error=policy.stale_if_error,
            stale_while_revalidate=policy.stale_while_revalidate,
        )
        self._policy = policy
        return self

    @property
    def expires(self) -> datetime | None:
        """Time (UTC) at which a new response becomes stale; None for never

        Raises:
            TypeError: `expire_after` is a function, and `update_from_response()` has not been called yet
        """
        return get_expiration_datetime(self.expire_after)

    def is_usable(self, cached_response: CachedResponse | None, error: bool = False) -> bool:
        """Whether a stored response may be used now or, with `error`, when the origin fails"""
        if cached_response is None:
            return False
        expires, now = cached_response.expires, utcnow()
        allowance = self._stale_if_error if error else self._stale_while_revalidate
        if allowance and is_stale_allowed(expires, now, allowance):
            return True
        directives = self._policy.directives if self._policy is not None else NO_DIRECTIVES
        return is_fresh_enough(expires, now, directives.get_expire_offset().total_seconds())

    def update_from_cached_response(
        self,
        cached_response: CachedResponse | None,
        create_key: Callable[..., str] | None = None,
        **key_kwargs: Any,
    ) -> None:
        """Decide what to do, given the stored response"""
        stored = cached_response
        if stored is not None and self._request is not None:
            same_key = None
            if create_key is not None and self._settings.key_fn is not None:
                same_key = _key_comparison(self._request, partial(create_key, **key_kwargs))
            ignored = self._settings.ignored_parameters
            variant = match_variant(self._request.headers, stored, ignored, same_key=same_key)
            if not variant.matches:
                stored = None
                if variant.secondary_names and create_key is not None:
                    match_headers = list(variant.secondary_names)
                    self.vary_cache_key = create_key(self._request, match_headers=match_headers, **key_kwargs)
        self._apply(decide_read(self._require_policy(), stored, utcnow()), stored is not None)

    def _apply(self, decision: ReadDecision, is_stored: bool) -> None:
        self.error_504 = self.send_request = self.resend_request = self.resend_async = False
        match decision:
            case Use():
                pass
            case UseAndRefresh(_, conditions):
                self.resend_async, self._validation_headers = True, conditions
            case Validate(_, conditions):
                self.resend_request, self._validation_headers = True, conditions
            case Fetch():
                self.resend_request, self.send_request = is_stored, not is_stored
            case GatewayTimeout():
                self.error_504 = True
            case _:
                assert_never(decision)

    def update_from_response(self, response: Response) -> None:
        """Decide whether to store the new response, and when it expires"""
        policy, status_code, headers = self._require_policy(), response.status_code, response.headers
        if reason_not_to_store(policy, status_code, headers) is None:
            policy = resolve_expiration(policy, response)
        decision = decide_store(policy, status_code, headers, utcnow())
        filter_fn = self._settings.filter_fn
        self.skip_write = not isinstance(decision, Store) or (filter_fn is not None and not filter_fn(response))
        if isinstance(decision, Store):
            self.expire_after = decision.expires

    def update_request(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header fields for validating the stored response"""
        request.headers.update(self._validation_headers)
        return request

    def update_revalidated_response(self, response: Response, cached_response: CachedResponse) -> CachedResponse:
        """Update a stored response from a 304"""
        cached_response.headers = updated_headers(cached_response.headers, response.headers)
        directives = CacheDirectives.from_headers(cached_response.headers)
        policy, status_code = resolve_expiration(self._require_policy(), cached_response), cached_response.status_code
        lifetime = response_lifetime(policy, status_code, directives, response.headers, utcnow())
        cached_response.expires = lifetime.expires
        cached_response.revalidated = True
        return cached_response

    def _require_policy(self) -> RequestPolicy:
        if self._policy is None:
            raise ValueError('these CacheActions have no request; create them with CacheActions.from_request()')
        return self._policy


def _key_comparison(request: PreparedRequest, create_key: Callable[..., str]) -> SameKey:
    """A function that compares a request with stored requests by the user's key function"""

    def same_key(stored_request: CachedRequest, names: list[str]) -> bool:
        return create_key(stored_request, match_headers=names) == create_key(request, match_headers=names)

    return same_key
