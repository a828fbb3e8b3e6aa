"""The values that the flow of a request hands on from step to step

None of them changes: an `Exchange` holds what is known before anything is done, a `LookUp` what was found in the store
(it can be repeated), a `Plan` what was decided, a `Result` what was done. `Mode` names the steps in which the default
modes and the standard differ.
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
    """What the flow needs of a session; test suites of others replace these methods, so they are looked up when used"""

    cookies: Any

    def _send_to_origin(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """Send a request by the session class that the mixin is mixed into"""

    def _send_and_cache(
        self, request: PreparedRequest, actions: Plan, cached_response: CachedResponse | None = None, **kwargs: Any
    ) -> AnyResponse:
        """Send a request, and store what comes back"""

    def _resend_async(
        self, request: PreparedRequest, actions: Plan, cached_response: CachedResponse, **kwargs: Any
    ) -> Any:
        """The same in the background"""


class Exchange(NamedTuple):
    """A request, and all that is known before it is answered

    Args:
        session: The session that sends it
        request: The request; it is the caller's, and not changed
        options: Options of the call
        mode: The rules that the session goes by
        policy: What applies to the request
        send_kwargs: Arguments of `Session.send`
        store: The cache
        watch: Who is told what is done
        is_in_background: Nobody waits for the response
        began: When it began, by `monotonic`; None if nobody wants to know
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
        """The response under a key that is one for the URL of the request"""
        return self.store.read(key, self.request)

    @property
    def is_streamed(self) -> bool:
        """Whether the caller reads the body piece by piece, or not at all"""
        return bool(self.send_kwargs.get('stream'))

    @property
    def may_be_shared(self) -> bool:
        """Whether the request may wait for an equal one, and be answered with what comes of that"""
        policy = self.policy
        is_plain = not (policy.skip_read or policy.skip_write or policy.only_if_cached or policy.refresh)
        return is_plain and bool(policy.settings.single_flight)

    @property
    def follows_redirects(self) -> bool:
        return bool(self.send_kwargs.get('allow_redirects', True))

    @property
    def hop_kwargs(self) -> dict[str, Any]:
        """Arguments that `Session.send` passes on, to hooks and for redirects"""
        return {name: value for name, value in self.send_kwargs.items() if name != 'allow_redirects'}


class Variants(NamedTuple):
    """The variants of a resource, as far as they were looked at

    Args:
        first: The response that is stored under the key of the request
        first_key: Its key
        first_matches: The request matches it
        generation: Name that the variants share, by the standard
    """

    first: CachedResponse
    first_key: str
    first_matches: bool
    generation: str = ''


class LookUp(NamedTuple):
    """What the store has for a request

    Args:
        key: Key of the stored response, or the one under which a response will be stored; None if there can be none
        stored: The stored response that the request matches
        variants: The variants of the resource, if there are any
        is_other_variant: Only variants are stored that the request does not match
        parts: The ranges that are asked for, if they were found as parts; `stored` is the index of the parts then
    """

    key: str | None
    stored: CachedResponse | None = None
    variants: Variants | None = None
    is_other_variant: bool = False
    parts: Sequence[tuple[ContentRange, bytes]] = ()

    @property
    def found(self) -> CachedResponse:
        """The stored response, where a decision says that there is one"""
        assert self.stored is not None
        return self.stored


class Plan(NamedTuple):
    """What was decided about a request that goes to the origin

    Args:
        exchange: The request
        look_up: What is stored
        reason: Why it goes to the origin
        conditions: Header fields that are added to validate the stored response
        flight: Others may be waiting for what comes of it
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
    """What was done with a request; the response that the caller gets has it as `_result`

    Args:
        reason: Why it was answered as it was
        key: Key of the stored response
        origin_status: Status of the origin's answer; None if it was not asked
        is_stored: Whether the response, or what a 304 changes in it, was stored; of one that is read piece by piece,
            once its end has been read
        is_unanswered: There was nothing to answer with, and the network could not be used
        is_other_variant: Only variants were stored that the request does not match
        is_collapsed: It was answered with what came of another request
        not_stored: Why the origin's answer was not stored, if it was not
        is_bypassed: The cache had no part in it
        is_from_cache: It was answered with a stored response
        is_fallback: It was, as the origin failed
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
    """What was done, by the response that came of it; a hook of the user's may have put another object in its place"""
    return getattr(response, '_result', None) or Result()


class Storing(NamedTuple):
    """How a response is to be stored

    Args:
        writes: What to write, in this order
        cache_key: The key under which it will be found; None if it is not stored itself, but others are deleted
        expires: Until when it is fresh
        is_done: It was stored; otherwise that will show when its body has been read
    """

    writes: Sequence[Write]
    cache_key: str | None
    expires: datetime | None
    is_done: bool = True


class NotStored(NamedTuple):
    """A response is not stored"""

    reason: str


class Mode(Protocol):
    """The steps in which the default modes and the standard differ; first to last

    Attributes:
        answers_conditions: Whether the cache answers the caller's own conditions; else they are for the origin
        exact_query: Whether parameters of a query count in their order
        content_of_504: Body of the answer to a request that may not go to the origin
    """

    answers_conditions: bool
    exact_query: bool
    content_of_504: bytes | None

    def request_policy(self, *args: Any) -> RequestPolicy:
        """What applies to a request; arguments as `policy.request.request_policy`"""

    def key(self, exchange: Exchange, match_headers: Iterable[str] | bool | None = None) -> str | None:
        """The key of the request; None if it has none, as its body cannot be read without using it up

        Args:
            match_headers: Names of header fields that count, if not those of the settings
        """

    def look_up(self, exchange: Exchange, key: str) -> LookUp:
        """Find what is stored for a request"""

    def decide_read(self, policy: RequestPolicy, stored: CachedResponse | None, now: datetime) -> ReadDecision:
        """What to do with a request for which a response is stored, or none"""

    def show(
        self, exchange: Exchange, look_up: LookUp, stored: CachedResponse, age_seconds: int | None
    ) -> CachedResponse:
        """A stored response as the answer to a request"""

    def merge_not_modified(
        self, plan: Plan, stored: CachedResponse, not_modified: Response
    ) -> tuple[CachedResponse | None, Storing | None]:
        """The stored response after a 304, and what of it to store; no response if the 304 is about another one"""

    def decide_on_error(
        self, policy: RequestPolicy, stored: CachedResponse | None, now: datetime, status_code: int | None = None
    ) -> bool:
        """Whether to use a stored response as the origin fails"""

    def after_response(self, exchange: Exchange, response: Response) -> None:
        """What else a new response changes in the store"""

    def to_store(self, response: Response) -> Response:
        """Of a response and the redirects on the way to it, the one that is stored for the request"""

    def decide_store(self, policy: RequestPolicy, response: Response, now: datetime) -> StoreDecision:
        """Whether to store a response, and until when it is fresh"""

    def storing_depends_on_body(self, plan: Plan, response: Response) -> bool:
        """Whether how a response is to be stored can only be told when its body is there"""

    def storing(self, plan: Plan, cached: CachedResponse, expires: datetime | None) -> Storing | None:
        """How to store a response; None if it cannot be stored after all"""

    def bypassed(self, exchange: Exchange, response: Response) -> Plan | None:
        """The request for which the response to one that bypasses the cache is to be stored, if there is one"""

    def forget(self, exchange: Exchange, key: str) -> None:
        """Delete what the user's filter does not want to be stored"""

    def for_background(self, exchange: Exchange, stored: CachedResponse) -> Exchange:
        """The request that renews a stored response in the background"""

    def report(self, exchange: Exchange, response: AnyResponse) -> AnyResponse:
        """Say in a response what was done"""
