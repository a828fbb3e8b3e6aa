"""Explaining what would happen to a request, and why: by the same look-up and decision, without any effect"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from attrs import field, frozen

from .._utils import assert_never
from ..backends.base import BaseCache
from ..backends.storage import BaseStorage
from ..cache_keys import matched_headers, normalize_url
from ..keys.bodies import read_body
from ..keys.shown import shown_key, shown_url
from ..models.response import CachedResponse
from ..policy.expiration import utcnow
from ..policy.settings import CacheSettings
from ..policy.validation import has_validator
from ..policy.vary import varied_names
from ..policy.verdicts import Fetch, GatewayTimeout, ReadDecision, Use, UseAndRefresh, Validate
from .exchange import Exchange, Result
from .similar import Similar, most_similar
from .wording import duration, why, why_not_stored

SEARCH_LIMIT = 10_000


@frozen(slots=True, kw_only=True)
class StoredFacts:
    """What is known about a stored response

    Args:
        status: Its status code
        bytes: Length of its body
        age: Seconds since it was received
        freshness_left: Seconds until it becomes stale; negative if it is stale already, None if it never expires
        validators: Its `ETag` and `Last-Modified` header fields, by which the origin can tell whether it has changed
        varies_by: Names of the request header fields that it varies by
    """

    status: int
    bytes: int
    age: float
    freshness_left: float | None
    validators: dict[str, str] = field(factory=dict)
    varies_by: tuple[str, ...] = ()

    @classmethod
    def of(cls, response: CachedResponse) -> StoredFacts:
        now = utcnow()
        names = ('ETag', 'Last-Modified')
        return cls(
            status=response.status_code,
            bytes=response.size,
            age=(now - response.created_at).total_seconds(),
            freshness_left=None if response.expires is None else (response.expires - now).total_seconds(),
            validators={name: response.headers[name] for name in names if name in response.headers},
            varies_by=tuple(sorted(varied_names(response))),
        )

    def __str__(self) -> str:
        if self.freshness_left is None:
            freshness = 'never expires'
        elif self.freshness_left >= 0:
            freshness = f'fresh for {duration(self.freshness_left)} more'
        else:
            freshness = f'expired {duration(self.freshness_left)} ago'
        fields = ', '.join(f'{name}: {value}' for name, value in self.validators.items()) or 'no validator'
        varies = f', varies by {", ".join(self.varies_by)}' if self.varies_by else ''
        received = f'received {duration(self.age)} ago'
        return f'status {self.status}, {self.bytes} bytes, {received}, {freshness}, {fields}{varies}'


@frozen(slots=True, kw_only=True)
class Explanation:
    """What would happen to a request, or what has happened. `print()` shows it as a short text.

    Args:
        method: Method of the request
        url: URL of the request, without secrets
        outcome: `hit`, `stale hit`, `validate` (the origin would be asked whether the stored response has changed),
            `miss`, `bypassed` or `unanswered` (504). For a response that has come, also `validated` and `collapsed`.
        reason: Why, in a word or two, as in events and `Cache-Status`
        because: The same as a sentence
        key: Key of the stored response, or the key under which a response would be stored
        key_parts: What went into the key, by name
        stored: What is known about the stored response
        refreshes: Whether the stored response would be renewed in the background
        not_stored: Why the response of the origin was not stored, or would not be, as far as that is known; otherwise
            None
        similar: On a miss, the stored responses for the most similar requests
        rule: The pattern of `url_settings` whose settings apply
    """

    method: str
    url: str
    outcome: str
    reason: str
    because: str
    key: str | None = None
    key_parts: dict[str, str] = field(factory=dict)
    stored: StoredFacts | None = None
    refreshes: bool = False
    not_stored: str | None = None
    similar: tuple[Similar, ...] = ()
    rule: str | None = None

    def __str__(self) -> str:
        return '\n'.join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f'{self.method} {self.url}'
        yield f'{self.outcome}: {self.because}'
        if self.rule is not None:
            yield f'settings: those for {self.rule}'
        if self.refreshes:
            yield 'it would be renewed in the background'
        if self.key is not None:
            parts = ', '.join(f'{name} {value}' for name, value in self.key_parts.items())
            yield f'key: {self.key}' + (f' (from {parts})' if parts else '')
        if self.stored is not None:
            yield f'stored: {self.stored}'
        if self.not_stored:
            yield f'not stored: {self.not_stored}'
        if self.similar:
            yield 'similar:'
            yield from (f'  {similar}' for similar in self.similar)


def explain(exchange: Exchange, look_up: Any, responses: Any, limit: int = SEARCH_LIMIT) -> Explanation:
    """Explain what would happen to a request

    Args:
        exchange: The exchange
        look_up: The function with which the flow looks up a request
        responses: The storage in which to search for similar requests
        limit: Maximum number of entries to search
    """
    request, settings = exchange.request, exchange.settings
    facts: dict[str, Any] = {
        'method': request.method or '',
        'url': shown_url(request.url, settings.ignored_parameters),
        'rule': _rule(settings, request.url),
    }
    found = look_up(exchange)
    if found is None:
        reason = exchange.policy.skip_read or 'body of the request'
        return Explanation(outcome='bypassed', reason=reason, because=why(reason), **facts)
    stored = found.stored
    decision = exchange.mode.decide_read(exchange.policy, stored, utcnow())
    outcome = _outcome(decision, stored)
    facts |= {'outcome': outcome, 'reason': decision.reason, 'because': _because(decision, stored)}
    if found.key is not None:
        facts |= {'key': shown_key(found.key), 'key_parts': _key_parts(exchange)}
    if stored is not None:
        facts['stored'] = StoredFacts.of(stored)
    if outcome in ('miss', 'validate') and exchange.policy.skip_write:
        facts['not_stored'] = why_not_stored(exchange.policy.skip_write, 0, ())
    if stored is None and exchange.policy.skip_read is None:
        facts['similar'] = most_similar(exchange, responses, limit)
    return Explanation(refreshes=isinstance(decision, UseAndRefresh) and not exchange.policy.skip_write, **facts)


def _rule(settings: CacheSettings, url: str | None) -> str | None:
    pattern = settings.pattern_for(url)
    return pattern if pattern is None or isinstance(pattern, str) else str(pattern.pattern)


def _outcome(decision: ReadDecision, stored: CachedResponse | None) -> str:
    match decision:
        case Use(reason):
            return 'stale hit' if reason != 'fresh' and stored is not None and stored.is_expired else 'hit'
        case UseAndRefresh():
            return 'stale hit'
        case Validate():
            return 'validate'
        case GatewayTimeout():
            return 'unanswered'
        case Fetch():
            return 'miss'
        case _:
            assert_never(decision)


def _because(decision: ReadDecision, stored: CachedResponse | None) -> str:
    text = why(decision.reason)
    if isinstance(decision, Fetch) and stored is not None and not has_validator(stored):
        text += ', and has no validator'
    return text


def _key_parts(exchange: Exchange) -> dict[str, str]:
    """The parts of the key of a request, without secrets"""
    request, settings, store = exchange.request, exchange.settings, exchange.store
    if store.keys_are_the_users:
        return {'a function of your own': 'key_fn' if settings.key_fn is not None else 'create_key'}
    ignored = tuple(settings.ignored_parameters or ())
    parts = {
        'method': (request.method or '').upper(),
        'URL': shown_url(normalize_url(request.url or '', ignored), ignored),
    }
    body = read_body(request.body)
    if body:
        parts['body'] = f'of {len(body)} bytes'
    if not exchange.send_kwargs.get('verify', True):
        parts['verify'] = 'False'
    matched = matched_headers(request.headers, ignored, settings.match_headers) if settings.match_headers else []
    if matched:
        parts['headers'] = ' '.join(field.partition('=')[0] for field in matched)
    return parts


def explain_response(response: Any, settings: CacheSettings) -> Explanation:
    """Explain what happened to the request of a response

    Raises:
        TypeError: The response does not come from a caching session
    """
    result: Result | None = getattr(response, '_result', None)
    if result is None:
        raise TypeError(f'{response!r} is not a response that a caching session has just returned')
    from .observing import kind_of

    outcome = kind_of(response, result)
    because = 'the origin failed' if result.is_fallback else why(result.reason)
    request: Any = response.request
    stored = StoredFacts.of(response) if isinstance(response, CachedResponse) and not result.is_unanswered else None
    not_stored = result.not_stored and why_not_stored(result.not_stored, response.status_code, settings.allowable_codes)
    return Explanation(
        method=getattr(request, 'method', None) or '',
        url=shown_url(response.url, settings.ignored_parameters),
        outcome=outcome,
        reason=result.reason,
        because=because,
        key=None if result.key is None else shown_key(result.key),
        stored=stored,
        not_stored=not_stored or None,
        rule=_rule(settings, response.url),
    )


class _Peeking(MutableMapping[str, Any]):
    """Read-only access to a storage; reading an entry does not count as a use of it"""

    def __init__(self, storage: Any):
        self._storage = storage

    def __getitem__(self, key: str) -> Any:
        return self._storage.peek(key) if isinstance(self._storage, BaseStorage) else self._storage[key]

    def __contains__(self, key: object) -> bool:
        return key in self._storage

    def __iter__(self) -> Iterator[str]:
        return iter(self._storage)

    def __len__(self) -> int:
        return len(self._storage)

    def __setitem__(self, key: str, value: Any) -> None:
        raise TypeError('explain() does not write to the cache')

    def __delitem__(self, key: str) -> None:
        raise TypeError('explain() does not delete from the cache')

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


def peeking(cache: BaseCache) -> BaseCache:
    """A handle on a cache with read-only access; reading an entry does not count as a use of it"""
    handle = object.__new__(type(cache))
    handle.__dict__ = {**cache.__dict__, 'responses': _Peeking(cache.responses)}
    handle._settings = cache._settings
    return handle
