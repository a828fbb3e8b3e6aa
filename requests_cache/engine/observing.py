"""Notifying counters and subscribers of what was done with a request, once at the end of each exchange"""

from __future__ import annotations

from time import monotonic
from typing import Any

from ..models.response import AnyResponse
from ..policy.expiration import utcnow
from .exchange import Exchange, Result
from .statistics import Counters

# The reason for using a stored response, or for a failed renewal in the background
ORIGIN_FAILED = 'the origin failed'


def ended(exchange: Exchange, response: Any) -> None:
    """Report that an exchange ended in a response, unless the response belongs to an exchange after a redirect"""
    result: Result | None = response._result
    if response._told is result or result is None:
        return
    response._told = result
    kind = kind_of(response, result)
    if kind == 'hit':
        exchange.watch.counters.hit(response.size, _seconds_saved(response, result))
    else:
        _count(exchange.watch.counters, kind, response, result)
    if exchange.watch.is_on:
        _emit(exchange, kind, response, result)


def amend(response: Any, **done: Any) -> None:
    """Change the result of a response after it was reported"""
    before: Result | None = getattr(response, '_result', None)
    if before is not None:
        is_told = response._told is before
        response._result = before._replace(**done)
        if is_told:
            response._told = response._result


def kind_of(response: AnyResponse, result: Result) -> str:
    """The value of the `EventKind` in which an exchange ended

    Args:
        response: The response; it may be the last one of a chain, and so come from the cache
        result: What was done
    """
    if result.is_unanswered:
        return 'unanswered'
    if not result.is_from_cache:
        return 'bypassed' if result.is_bypassed else 'miss'
    if result.origin_status == 304:
        return 'validated'
    if result.is_fallback or (result.reason != 'fresh' and response.is_expired):
        return 'stale hit'
    return 'collapsed' if result.is_collapsed else 'hit'


def _count(counters: Counters, kind: str, response: Any, result: Result) -> None:
    match kind:
        case 'miss':
            counters.miss(result.reason)
        case 'stale hit':
            counters.served('stale_hits', response.size, _seconds_saved(response, result))
        case 'validated':
            counters.served('validations', response.size)
        case 'collapsed':
            counters.hit(response.size)
            counters.add('collapsed')
        case _:
            counters.add(kind)


def _seconds_saved(response: Any, result: Result) -> float:
    """How long the origin would have taken; 0 if the request was sent, but failed"""
    return 0.0 if result.is_fallback else response.elapsed_seconds


def _emit(exchange: Exchange, kind: str, response: Any, result: Result) -> None:
    is_cached = result.is_from_cache
    own: Any = response if is_cached else exchange.mode.to_store(response)
    is_unread = own.__dict__.get('_content') is False
    exchange.watch.emit(
        kind,
        exchange.request,
        exchange.settings.ignored_parameters,
        key=result.key,
        reason=ORIGIN_FAILED if result.is_fallback else result.reason or None,
        status=own.status_code,
        bytes=own.size if is_cached else None if is_unread else len(own.content or b''),
        age=max(0.0, (utcnow() - own.created_at).total_seconds()) if is_cached else None,
        expires=getattr(own, 'expires', None) if is_cached or result.is_stored else None,
        seconds=_seconds_since(exchange.began),
    )


def _seconds_since(began: float | None) -> float | None:
    return monotonic() - began if began is not None else None


def failed(exchange: Exchange, error: BaseException) -> None:
    """Report that an exchange ended in an exception"""
    exchange.watch.counters.add('errors')
    _tell(exchange, 'failed', error=error, seconds=_seconds_since(exchange.began))


def stored(exchange: Exchange, key: str | None, response: Any) -> None:
    """Report that a response was stored"""
    exchange.watch.counters.add('stores')
    if exchange.watch.is_on:
        _tell(
            exchange, 'stored', key=key, status=response.status_code, bytes=response.size, expires=response.expires
        )  # fmt: skip


def not_stored(exchange: Exchange, key: str | None, reason: str, status: int) -> None:
    """Report that a response from the origin was not stored"""
    exchange.watch.counters.not_stored(reason)
    _tell(exchange, 'not stored', key=key, reason=reason, status=status)


def refresh_begun(exchange: Exchange, key: str | None) -> None:
    """Report that a renewal in the background has begun"""
    _tell(exchange, 'refresh begun', key=key)


def refresh_ended(exchange: Exchange, key: str | None, result: Result, began: float) -> None:
    """Report that a renewal ended with a response, which may be the stored one if the origin failed"""
    seconds, status = monotonic() - began, result.origin_status
    if result.is_fallback:
        _tell(exchange, 'refresh failed', key=key, reason=ORIGIN_FAILED, status=status, seconds=seconds)
        return
    exchange.watch.counters.add('refreshes')
    _tell(exchange, 'refresh ended', key=key, status=status, seconds=seconds)


def refresh_failed(exchange: Exchange, key: str | None, error: BaseException, began: float) -> None:
    """Report that a renewal in the background ended in an exception"""
    _tell(exchange, 'refresh failed', key=key, error=error, seconds=monotonic() - began)


def _tell(exchange: Exchange, kind: str, **fields: Any) -> None:
    exchange.watch.emit(kind, exchange.request, exchange.settings.ignored_parameters, **fields)
