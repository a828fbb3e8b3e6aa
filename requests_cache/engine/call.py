"""One request on its way through the cache"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from copy import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urldefrag

from requests import PreparedRequest, Response

from ..backends.base import BaseCache
from ..models.response import AnyResponse, CachedResponse
from ..policy.request import RequestOptions, RequestPolicy
from ..policy.rules import Rules
from ..policy.settings import CacheSettings
from .fault_log import FaultLog

if TYPE_CHECKING:
    from ..policy.standard.ranges import ContentRange


class CachingSession(Protocol):
    """What the engine needs of a session; test suites of others replace the methods, so they are looked up when used"""

    cache: BaseCache
    settings: CacheSettings
    _faults: FaultLog

    def _send_to_origin(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """Send a request by the session class that the mixin is mixed into"""

    def _send_and_cache(
        self, request: PreparedRequest, actions: Call, cached_response: CachedResponse | None = None, **kwargs: Any
    ) -> AnyResponse:
        """Send a request, and store what comes back"""

    def _resend_async(
        self, request: PreparedRequest, actions: Call, cached_response: CachedResponse, **kwargs: Any
    ) -> Any:
        """The same in the background"""

    def resolve_redirects(self, resp: Any, req: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """As in `requests`"""


# The request that is under way in this thread or task, and its options, which go for its redirects, too
under_way: ContextVar[tuple[PreparedRequest, RequestOptions] | None] = ContextVar('under_way', default=None)


class Call:
    """One request on its way through the cache

    Args:
        session: The session that sends it
        request: The request; it is the caller's, and not changed
        options: Options of the call
        rules: The rules that the session goes by
        policy: What applies to the request
        send_kwargs: Arguments of `Session.send`
        cache_key: Where its response is stored, or will be; None if it has no key
        conditions: Header fields that are added to validate a stored response
        reason: Why it is answered as it is
        origin_status: Status of the origin's answer, if it was asked
        is_store_away: The store could not be reached for reading; to write would be to wait once more
        was_stored: Whether a response, or what a 304 changes in one, was stored
        is_unanswered: There was nothing to answer with, and the network could not be used
        first: The first of several variants, if one is stored
        first_key: Its key
        first_matches: The request matches it
        is_other_variant: Only variants are stored that the request does not match
        generation: Name that the variants of the resource share, by the standard
        parts: What was found in the store of the ranges that are asked for
    """

    cache_key: str | None = None
    generation: str = ''
    is_store_away: bool = False
    reason: str = ''
    origin_status: int | None = None
    was_stored: bool = False
    is_unanswered: bool = False
    first: CachedResponse | None = None
    first_key: str | None = None
    first_matches: bool = False
    is_other_variant: bool = False
    parts: Sequence[tuple[ContentRange, bytes]] = ()

    def __init__(
        self,
        session: CachingSession,
        request: PreparedRequest,
        options: RequestOptions,
        rules: Rules,
        policy: RequestPolicy,
        send_kwargs: dict[str, Any],
    ):
        self.session = session
        self.request = request
        self.options = options
        self.rules = rules
        self.policy = policy
        self.send_kwargs = send_kwargs
        self.conditions: dict[str, str] = {}

    def with_changes(self, **changes: Any) -> Call:
        """A call that goes its own way from here"""
        other = copy(self)
        other.__dict__.update(changes)
        return other

    @property
    def is_strict(self) -> bool:
        return self.policy.strict is not None

    @property
    def keyed_request(self) -> PreparedRequest:
        """The request as keys are made of it: by the standard without a fragment (RFC 9110, section 7.1)"""
        if not self.is_strict or '#' not in (self.request.url or ''):
            return self.request
        request = self.request.copy()
        request.url = urldefrag(self.request.url or '').url
        return request

    @property
    def follows_redirects(self) -> bool:
        return bool(self.send_kwargs.get('allow_redirects', True))

    @property
    def hop_kwargs(self) -> dict[str, Any]:
        """Arguments that `Session.send` passes on, to hooks and for redirects"""
        return {name: value for name, value in self.send_kwargs.items() if name != 'allow_redirects'}


class Outcome(NamedTuple):
    """Where a response was stored, and until when it is fresh; nothing if it was not stored"""

    cache_key: str | None = None
    expires: datetime | None = None
