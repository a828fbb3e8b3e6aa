"""Saying what was done with a request to those who watch: each exchange once, where its flow ends"""

from __future__ import annotations

from time import monotonic
from typing import Any

from ..models.response import AnyResponse, CachedResponse
from ..policy.expiration import utcnow
from .exchange import Exchange, Result
from .statistics import Counters


def begin(exchange: Exchange) -> float:
    """When an exchange begins, by `monotonic`; 0 if nobody wants to know"""
    return monotonic() if exchange.watch.is_on else 0.0


def ended(exchange: Exchange, response: Any, began: float | None = None) -> None:
    """An exchange has ended in a response; if that is of another one, which it was redirected to, it has been told

    Args:
        exchange: The request
        response: The response
        began: What `begin` said; None if that is not known
    """
    result: Result = response._result
    if response._told is result:
        return
    response._told = result
    watch = exchange.watch
    kind = kind_of(response, result)
    if kind == 'hit':
        watch.counters.hit(response.size, response.elapsed_seconds)
    else:
        _count(watch.counters, kind, response, result)
    if began or (began is None and watch.is_on):
        _emit(exchange, kind, response, result, began)


def kind_of(response: AnyResponse, result: Result) -> str:
    """The value of the `EventKind` that an exchange has ended in"""
    if result.is_unanswered:
        return 'unanswered'
    if not response.from_cache:
        return 'bypassed' if result.is_bypassed else 'miss'
    if result.is_collapsed:
        return 'collapsed'
    if result.reason == 'fresh':
        return 'hit'
    if result.origin_status == 304:
        return 'validated'
    return 'stale hit' if result.is_fallback or response.is_expired else 'hit'


def _count(counters: Counters, kind: str, response: Any, result: Result) -> None:
    match kind:
        case 'miss':
            counters.miss(result.reason)
        case 'stale hit':
            counters.served('stale_hits', response.size, response.elapsed_seconds)
        case 'validated':
            counters.served('validations', response.size, response.elapsed_seconds)
        case 'collapsed':
            counters.hit(response.size, response.elapsed_seconds)
            counters.add('collapsed')
        case _:
            counters.add(kind)


def _emit(exchange: Exchange, kind: str, response: Any, result: Result, began: float | None) -> None:
    is_cached = isinstance(response, CachedResponse) and not result.is_unanswered
    is_apart = response.__dict__.get('_content') is False
    exchange.watch.emit(
        kind,
        exchange.request,
        exchange.settings.ignored_parameters,
        key=result.key,
        reason='the origin failed' if result.is_fallback else result.reason or None,
        status=response.status_code,
        bytes=response.size if is_cached else None if is_apart else len(response.content or b''),
        age=max(0.0, (utcnow() - response.created_at).total_seconds()) if is_cached else None,
        expires=response.expires if is_cached or result.is_stored else None,
        seconds=monotonic() - began if began else None,
    )


def failed(exchange: Exchange, error: BaseException, began: float) -> None:
    """An exchange has ended in an exception"""
    exchange.watch.counters.add('errors')
    _tell(exchange, 'failed', error=error, seconds=monotonic() - began if began else None)


def stored(exchange: Exchange, key: str | None, response: Any) -> None:
    """A response was stored"""
    exchange.watch.counters.add('stores')
    if exchange.watch.is_on:
        _tell(
            exchange, 'stored', key=key, status=response.status_code, bytes=response.size, expires=response.expires
        )  # fmt: skip


def not_stored(exchange: Exchange, key: str | None, reason: str, status: int) -> None:
    """A response of the origin was not stored"""
    exchange.watch.counters.not_stored(reason)
    _tell(exchange, 'not stored', key=key, reason=reason, status=status)


def refresh_begun(exchange: Exchange, key: str | None) -> None:
    """A response is being renewed in the background"""
    _tell(exchange, 'refresh begun', key=key)


def refresh_ended(exchange: Exchange, key: str | None, response: AnyResponse, began: float) -> None:
    exchange.watch.counters.add('refreshes')
    status = (getattr(response, '_result', None) or Result()).origin_status
    _tell(exchange, 'refresh ended', key=key, status=status, seconds=monotonic() - began)


def refresh_failed(exchange: Exchange, key: str | None, error: BaseException) -> None:
    _tell(exchange, 'refresh failed', key=key, error=error)


def _tell(exchange: Exchange, kind: str, **fields: Any) -> None:
    exchange.watch.emit(kind, exchange.request, exchange.settings.ignored_parameters, **fields)
