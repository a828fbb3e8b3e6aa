"""Adding `cache_status` and the `Cache-Status` header field to responses"""

from __future__ import annotations

from ..models.response import AnyResponse
from ..policy.expiration import utcnow
from ..policy.standard.cache_status import CacheStatus, append_field, forward_reason
from .carrying import attached_to
from .exchange import Exchange, Result, result_of


def report(exchange: Exchange, response: AnyResponse) -> None:
    """Set `cache_status`, and add the header field if the settings say so (RFC 9211)

    The header field is not added to a 504 from the cache, nor to responses of requests that follow a redirect, as they
    are stored together with the response of the first request.
    """
    result = result_of(response)
    if result.origin_status is not None or response.cache_status is None:
        response.cache_status = _cache_status(exchange, response, result)
    wanted = exchange.settings.cache_status
    if wanted and not attached_to(exchange.request).is_redirected and not result.is_unanswered:
        headers = response.headers.copy()
        field = response.cache_status.field(with_key=wanted == 'key')
        headers['Cache-Status'] = append_field(headers.get('Cache-Status'), field)
        response.headers = headers


def _cache_status(exchange: Exchange, response: AnyResponse, result: Result) -> CacheStatus:
    expires = getattr(response, 'expires', None)
    reason = result.reason or exchange.policy.skip_read
    was_forwarded = result.origin_status is not None
    return CacheStatus(
        hit=response.from_cache and not was_forwarded and not result.is_unanswered,
        fwd=forward_reason(reason, exchange.policy, result.is_other_variant) if was_forwarded else None,
        fwd_status=result.origin_status,
        ttl=round((expires - utcnow()).total_seconds()) if expires is not None else None,
        stored=result.is_stored,
        collapsed=result.is_collapsed,
        key=result.key,
        detail=reason,
    )
