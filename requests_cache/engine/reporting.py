"""Saying what the cache did with a request: as an attribute of its response, and as a header field where asked"""

from __future__ import annotations

from ..models.response import AnyResponse
from ..policy.expiration import utcnow
from ..policy.standard.cache_status import CacheStatus, appended, forwarded
from .call import Call, under_way


def report(call: Call, response: AnyResponse) -> None:
    """Set `cache_status`, and add the header field (RFC 9211)

    That is not added to what is not based on any response, nor to the responses of requests that only follow a
    redirect, as these are stored with that of the first request.
    """
    was_forwarded = call.origin_status is not None
    if was_forwarded or response.cache_status is None:
        response.cache_status = _cache_status(call, response, was_forwarded)
    wanted = call.policy.settings.cache_status
    if wanted and under_way.get() is None and not call.is_unanswered:
        headers = response.headers.copy()
        field = response.cache_status.field(with_key=wanted == 'key')
        headers['Cache-Status'] = appended(headers.get('Cache-Status'), field)
        response.headers = headers


def _cache_status(call: Call, response: AnyResponse, was_forwarded: bool) -> CacheStatus:
    expires = getattr(response, 'expires', None)
    reason = call.reason or call.policy.skip_read
    return CacheStatus(
        hit=response.from_cache and not was_forwarded and not call.is_unanswered,
        fwd=forwarded(reason, call.policy, call.is_other_variant) if was_forwarded else None,
        fwd_status=call.origin_status,
        ttl=round((expires - utcnow()).total_seconds()) if expires is not None else None,
        stored=call.was_stored,
        key=call.cache_key,
        detail=reason,
    )
