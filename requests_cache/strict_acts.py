"""What requests do beyond looking up and storing, by the standard: invalidate, and let HEAD speak for GET"""

from __future__ import annotations

from os import urandom

from requests import PreparedRequest, Response

from .call import Call
from .models.response import AnyResponse, CachedResponse
from .policy.cache_status import CacheStatus, forwarded
from .policy.expiration import utcnow
from .policy.invalidation import invalidated_urls
from .policy.preconditions import OWN_CONDITIONS, entity_tags
from .policy.presentation import without_unstorable
from .policy.validation import updated_headers

_BODY_FIELDS = ('Content-Length', 'Content-Type', 'Content-Encoding', 'Transfer-Encoding')


def new_generation() -> str:
    """A name for the variants of a resource from now on; those of earlier generations are not found any more"""
    return urandom(4).hex()


def cache_status(call: Call, response: AnyResponse) -> CacheStatus:
    """What the cache did with a request (RFC 9211)"""
    expires = getattr(response, 'expires', None)
    ttl = round((expires - utcnow()).total_seconds()) if expires is not None else None
    asked = call.origin_status is not None
    reason = call.reason or call.policy.skip_read
    return CacheStatus(
        hit=not asked and response.status_code != 504,
        fwd=forwarded(reason) if asked else None,
        fwd_status=call.origin_status,
        ttl=ttl,
        stored=asked and bool(getattr(response, 'cache_key', None)),
        key=call.cache_key,
        detail=reason,
    )


def invalidate(call: Call, response: Response) -> None:
    """Delete what a request that succeeded with an unsafe method has made invalid (RFC 9111, section 4.4)

    All variants go with the first one: the others are found by its generation only.
    """
    request = call.request
    urls = invalidated_urls(request.method, request.url or '', response.status_code, response.headers)
    keys = [key_of(call, method, url) for url in urls for method in ('GET', 'HEAD')]
    if not keys or call.policy.settings.read_only:
        return
    try:
        call.session.cache.delete(*keys)
    except Exception as e:
        call.session._faults.report('delete from', e)


def key_of(call: Call, method: str, url: str | None) -> str:
    """The key of a request with another method, without a body, for this or another URL"""
    twin = call.request.copy()
    twin.method, twin.url, twin.body = method, url, None
    for name in _BODY_FIELDS:
        twin.headers.pop(name, None)
    return call.session.cache.create_key(twin, **call.send_kwargs)


def add_conditions(request: PreparedRequest, conditions: dict[str, str]) -> None:
    """Put conditions of the cache in the place of the caller's, who is answered from what comes of them"""
    for name in OWN_CONDITIONS:
        request.headers.pop(name, None)
    request.headers.update(conditions)


def is_about(stored: CachedResponse, not_modified: Response) -> bool:
    """Whether a 304 is about this stored response (RFC 9111, section 4.3.4)"""
    new, old = (entity_tags(str(r.headers.get('ETag') or '')) for r in (not_modified, stored))
    return not new or not old or new[0] == old[0]


def remove_unstorable(cached: CachedResponse, shared: bool) -> None:
    """Leave out of a response what may not be stored"""
    cached.headers = without_unstorable(cached.headers, shared)
    if cached._header_fields:
        cached._header_fields = tuple(f for f in cached._header_fields if f[0] in cached.headers)


def freshen_by_head(call: Call, response: Response) -> None:
    """Bring the stored response to GET up to date with one to HEAD, or delete it if it is another (section 4.3.5)"""
    cache = call.session.cache
    try:
        key = key_of(call, 'GET', call.request.url)
        stored = cache.get_response(key)
        if stored is None or call.policy.skip_write:
            return
        new, old = response.headers, stored.headers
        if any(name in new and new[name] != old.get(name) for name in ('ETag', 'Last-Modified', 'Content-Length')):
            cache.delete(key)
            return
        stored.headers = updated_headers(old, new)
        stored.created_at = utcnow()
        cache.save_response(stored, key, call.rules.renewed_until(call.policy, stored.headers, new, stored.created_at))
    except Exception as e:
        call.session._faults.report('write to', e)
