"""The values that are passed between the steps of the flow

All of them are immutable: an `Exchange` contains what is known at the beginning, a `LookUp` what was found in the store
(it can be repeated), a `Plan` what was decided, a `Result` what was done. `Mode` lists the steps that differ between
the default modes and strict mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from requests import PreparedRequest, Response

from ..models.redirects import Redirecting
from ..models.response import AnyResponse, CachedResponse
from ..policy.request import RequestOptions, RequestPolicy
from ..policy.settings import CacheSettings
from ..policy.verdicts import ReadDecision, StoreDecision
from .carrying import NO_CONDITIONS
from .flights import Flight
from .store import Store, Write
from .watching import Watch

if TYPE_CHECKING:
    from ..policy.standard.ranges import ContentRange


class CachingSession(Redirecting, Protocol):
    """The methods of a session that the flow uses; tests of other projects patch them, so look them up when calling"""

    cookies: Any

    def _send_to_origin(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """Send a request with the session class that is combined with the mixin"""

    def _send_and_cache(
        self, request: PreparedRequest, actions: Plan, cached_response: CachedResponse | None = None, **kwargs: Any
    ) -> AnyResponse:
        """Send a request, and store the response"""

    def _resend_async(
        self, request: PreparedRequest, actions: Plan, cached_response: CachedResponse, **kwargs: Any
    ) -> Any:
        """The same in the background"""


class Exchange(NamedTuple):
    """A request, and everything that is known before it is answered

    Args:
        session: The session that sends the request
        request: The request, which belongs to the caller and is not changed
        options: Options of the call
        mode: The mode of the session
        policy: Policy of the request
        send_kwargs: Arguments of `Session.send`
        store: The cache
        watch: The counters and subscribers that are notified
        is_in_background: Nobody waits for the response
        began: When the exchange began, by `monotonic`; None if there are no subscribers
    """

    session: CachingSession
    request: PreparedRequest
    options: RequestOptions
    mode: Mode
    policy: RequestPolicy
    send_kwargs: dict[str, Any]
    store: Store
    watch: Watch
    is_in_background: bool = False
    began: float | None = None

    @property
    def settings(self) -> CacheSettings:
        """The settings for the URL of the request"""
        return self.policy.settings

    def read(self, key: str) -> CachedResponse | None:
        """The response that is stored under a key, if it matches the URL of the request"""
        return self.store.read(key, self.request)

    @property
    def is_streamed(self) -> bool:
        """Whether the caller streams the body"""
        return bool(self.send_kwargs.get('stream'))

    @property
    def may_be_shared(self) -> bool:
        """Whether the request may wait for an equal request, and be answered with its response"""
        policy = self.policy
        is_plain = not (policy.skip_read or policy.skip_write or policy.only_if_cached or policy.refresh)
        return is_plain and bool(policy.settings.single_flight)

    @property
    def follows_redirects(self) -> bool:
        return bool(self.send_kwargs.get('allow_redirects', True))

    @property
    def hop_kwargs(self) -> dict[str, Any]:
        """Arguments that `Session.send` passes on to hooks and when following redirects"""
        return {name: value for name, value in self.send_kwargs.items() if name != 'allow_redirects'}


class Variants(NamedTuple):
    """The variants of a resource, as far as they have been read

    Args:
        first: The response that is stored under the key of the request
        first_key: Its key
        first_matches: Whether it matches the request
        generation: In strict mode, a name that all variants share
    """

    first: CachedResponse
    first_key: str
    first_matches: bool
    generation: str = ''


class LookUp(NamedTuple):
    """What was found in the store for a request

    Args:
        key: Key of the stored response, or the key under which a response will be stored; None if there is no key
        stored: The stored response that matches the request
        variants: The variants of the resource, if any
        is_other_variant: Only variants that do not match the request are stored
        parts: The requested ranges, if they were found as parts; then `stored` is the index of the parts
    """

    key: str | None
    stored: CachedResponse | None = None
    variants: Variants | None = None
    is_other_variant: bool = False
    parts: Sequence[tuple[ContentRange, bytes]] = ()

    @property
    def found(self) -> CachedResponse:
        """The stored response, after a decision that requires one"""
        assert self.stored is not None
        return self.stored


class Plan(NamedTuple):
    """What was decided about a request

    Args:
        exchange: The exchange
        look_up: What was found in the store
        reason: Reason of the decision
        conditions: Header fields that are added to validate the stored response
        flight: The flight of the request, for which other requests may be waiting
    """

    exchange: Exchange
    look_up: LookUp
    reason: str
    conditions: Mapping[str, str] = NO_CONDITIONS
    flight: Flight | None = None

    @property
    def cache_key(self) -> str | None:
        return self.look_up.key


class Result(NamedTuple):
    """What was done with a request; stored as `_result` in the response that the caller gets

    Args:
        reason: Reason of the decision
        key: Key of the stored response
        origin_status: Status of the origin's response; None if the request was not sent
        is_stored: Whether the response, or its update by a 304, was stored; for a stream, only after it has been read
        is_unanswered: No stored response could be used, and the request must not be sent
        is_other_variant: Only variants that do not match the request were stored
        is_collapsed: The request was answered with the response of another request
        not_stored: Why the origin's response was not stored, if it was not
        is_bypassed: The cache was not involved
        is_from_cache: The request was answered with a stored response
        is_fallback: It was answered with a stored response because the origin failed
    """

    reason: str = ''
    key: str | None = None
    origin_status: int | None = None
    is_stored: bool = False
    is_unanswered: bool = False
    is_other_variant: bool = False
    is_collapsed: bool = False
    not_stored: str = ''
    is_bypassed: bool = False
    is_from_cache: bool = False
    is_fallback: bool = False


def result_of(response: Any) -> Result:
    """The result in a response; the response may be any object, as a hook may have replaced it"""
    return getattr(response, '_result', None) or Result()


class Storing(NamedTuple):
    """How to store a response

    Args:
        writes: What to write, in order
        cache_key: The key under which the response is stored; None if there are only other writes
        expires: When the response expires
        is_done: It has been stored; otherwise it is stored after its body has been read
    """

    writes: Sequence[Write]
    cache_key: str | None
    expires: datetime | None
    is_done: bool = True


class NotStored(NamedTuple):
    """Why a response is not stored"""

    reason: str


class Mode(Protocol):
    """The steps that differ between the default modes and strict mode, in order

    Attributes:
        answers_conditions: Whether the cache evaluates the caller's own conditions; otherwise the origin does
        exact_query: Whether the order of query parameters is significant
        content_of_504: Body of the answer to a request that must not be sent to the origin
    """

    answers_conditions: bool
    exact_query: bool
    content_of_504: bytes | None

    def request_policy(self, *args: Any) -> RequestPolicy:
        """Create the policy of a request; arguments as for `policy.request.request_policy`"""

    def key(self, exchange: Exchange, match_headers: Iterable[str] | bool | None = None) -> str | None:
        """The key of the request; None if its body can be read only once

        Args:
            match_headers: Names of header fields to include, instead of those in the settings
        """

    def look_up(self, exchange: Exchange, key: str) -> LookUp:
        """Look up a request in the store"""

    def decide_read(self, policy: RequestPolicy, stored: CachedResponse | None, now: datetime) -> ReadDecision:
        """Decide what to do with a request, given the stored response, if any"""

    def show(
        self, exchange: Exchange, look_up: LookUp, stored: CachedResponse, age_seconds: int | None
    ) -> CachedResponse:
        """Turn a stored response into the answer to a request"""

    def merge_not_modified(
        self, plan: Plan, stored: CachedResponse, not_modified: Response
    ) -> tuple[CachedResponse | None, Storing | None]:
        """Update the stored response from a 304; returns it, or None if the 304 does not match, and what to store"""

    def decide_on_error(
        self, policy: RequestPolicy, stored: CachedResponse | None, now: datetime, status_code: int | None = None
    ) -> bool:
        """Whether to use a stored response because the origin failed"""

    def after_response(self, exchange: Exchange, response: Response) -> None:
        """Update or delete other stored responses that a new response affects"""

    def to_store(self, response: Response) -> Response:
        """The response to store for the request: either the last one, or its first redirect"""

    def decide_store(self, policy: RequestPolicy, response: Response, now: datetime) -> StoreDecision:
        """Decide whether to store a response, and when it expires"""

    def storing_depends_on_body(self, plan: Plan, response: Response) -> bool:
        """Whether the body of a response is needed to decide how to store it"""

    def storing(self, plan: Plan, cached: CachedResponse, expires: datetime | None) -> Storing | None:
        """How to store a response; None if it cannot be stored"""

    def bypassed(self, exchange: Exchange, response: Response) -> Plan | None:
        """The plan for storing the response of a request that bypassed the cache; None not to store it"""

    def forget(self, exchange: Exchange, key: str) -> None:
        """Delete a stored response that `filter_fn` rejected"""

    def for_background(self, exchange: Exchange, stored: CachedResponse) -> Exchange:
        """The exchange that renews a stored response in the background"""

    def report(self, exchange: Exchange, response: AnyResponse) -> AnyResponse:
        """Add `Cache-Status` to a response if necessary"""
