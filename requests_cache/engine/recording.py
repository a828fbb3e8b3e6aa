"""Storing new responses, immediately or while the caller reads them"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from requests import Response

from ..models.redirects import limit_chain_expiration
from ..models.response import CachedResponse
from . import observing
from .body import declared_length, is_to_be_read, is_touched, read_body
from .conditional import without_conditions
from .exchange import NotStored, Plan, Storing
from .refusals import BY_HOOK, INCOMPLETE, LONGER_THAN_ALLOWED, TOO_LARGE, UNFITTING
from .store import Put


def record(plan: Plan, response: Response, expires: datetime | None, now: datetime) -> Storing | NotStored:
    """Store a response that may be stored

    Args:
        plan: The plan
        response: The response
        expires: When the response expires
        now: When the response was received

    Returns:
        How it was stored, or will be stored after its body has been read; or why it is not stored
    """
    store, limit = plan.exchange.store, plan.exchange.settings.max_body_bytes
    refusal = _refusal(response, limit, store.longest_body)
    if refusal:
        return NotStored(refusal)
    if is_to_be_read(response):
        return _record_stream(plan, response, expires, now)
    if not read_body(response):
        return NotStored(INCOMPLETE)
    if limit is not None and len(response.content or b'') > limit:
        return NotStored(LONGER_THAN_ALLOWED)
    cached = _as_stored(plan, response, expires, now)
    storing = plan.exchange.mode.storing(plan, cached, cached.expires)
    if storing is None:
        return NotStored(UNFITTING)
    if not store.apply(storing.writes):
        return NotStored(store.refusal)
    if storing.cache_key is None:  # there are only deletions
        return NotStored(UNFITTING)
    observing.stored(plan.exchange, storing.cache_key, cached)
    return storing


def _refusal(response: Response, limit: int | None, longest_body: int | None) -> str:
    """Why a response is not stored, if that is known before its body is read; empty if it may be stored"""
    length = declared_length(response) or 0
    if limit is not None and length > limit:
        return LONGER_THAN_ALLOWED
    if longest_body is not None and length > longest_body:
        return TOO_LARGE
    return BY_HOOK if is_touched(response) else ''


def _as_stored(
    plan: Plan, response: Response, expires: datetime | None, now: datetime, **fields: Any
) -> CachedResponse:
    cached = CachedResponse.from_response(response, expires=expires, created_at=now, **fields)
    limit_chain_expiration(cached, response, expires)
    without_conditions(plan, cached)
    return cached


def _record_stream(plan: Plan, response: Response, expires: datetime | None, now: datetime) -> Storing | NotStored:
    from .streaming import RecordedHTTPResponse, Recorder

    exchange, raw = plan.exchange, response.raw
    cached = _as_stored(plan, response, expires, now, content=b'')
    depends = exchange.mode.storing_depends_on_body(plan, response)
    storing = None if depends else exchange.mode.storing(plan, cached, cached.expires)
    key = _key_of(storing, cached) if storing is not None else plan.cache_key
    if (storing is None and not depends) or key is None:
        return NotStored(UNFITTING)
    recording = exchange.store.begin(key)
    if recording is None:
        return NotStored(exchange.store.refusal)
    recorder = Recorder(plan, response, cached, storing, recording)
    settings = exchange.settings
    response.raw = RecordedHTTPResponse(raw, recorder, settings.drain_bytes, settings.drain_seconds)
    if plan.flight is not None:
        plan.flight.is_handed_over = True
    told = storing or Storing((), plan.cache_key, cached.expires)
    return told._replace(is_done=False)


def _key_of(storing: Storing, cached: CachedResponse) -> str | None:
    """The key under which the response itself is stored"""
    for write in storing.writes:
        if isinstance(write, Put) and write.response is cached:
            return write.key
    return None


def read_to_end(response: Response) -> None:
    """Read a response that nobody else reads to its end, so that it is stored"""
    raw: Any = response.raw
    if getattr(raw, 'is_recorded', False):
        for _ in raw.stream(decode_content=False):
            pass
