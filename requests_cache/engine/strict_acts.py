"""What requests do beyond looking up and storing, by the standard: invalidate, and let HEAD speak for GET"""

from __future__ import annotations

from urllib.parse import urldefrag

from requests import PreparedRequest, Response

from ..backends.rekey import stored_part_keys
from ..models.request import CachedRequest
from ..models.response import CachedResponse
from ..policy.expiration import utcnow
from ..policy.standard.freshening import freshen
from ..policy.standard.invalidation import invalidated_urls
from ..policy.standard.posting import answers_get
from ..policy.standard.presentation import set_headers, storable_headers
from ..policy.verdicts import Use
from .call import Call
from .variants import Read, Write, find_variant, settle, time_of

_BODY_FIELDS = ('Content-Length', 'Content-Type', 'Content-Encoding', 'Transfer-Encoding')


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
        cache = call.session.cache
        # Not `delete`, which would make SQLite give space back to the system
        cache._delete_keys([*keys, *(part for key in keys for part in stored_part_keys(cache, key))])
    except Exception as e:
        call.session._faults.report('delete from', e)


def key_of(call: Call, method: str, url: str | None) -> str:
    """The key of a request with another method, without a body, for this or another URL"""
    return call.session.cache.create_key(_twin(call, method, url), **call.send_kwargs)


def _twin(call: Call, method: str, url: str | None) -> PreparedRequest:
    twin = call.request.copy()
    twin.method, twin.url, twin.body = method, urldefrag(url or '').url, None
    for name in _BODY_FIELDS:
        twin.headers.pop(name, None)
    return twin


def as_get(call: Call, response: Response) -> Call | None:
    """The request to GET that a response to POST may be stored for, or None (RFC 9110, section 9.3.3)"""
    request, settings, now = call.request, call.policy.settings, utcnow()
    if request.method != 'POST' or call.policy.skip_write != 'method' or response.history:
        return None
    if not answers_get(request.url or '', response.status_code, response.headers, settings.shared_cache, now):
        return None
    twin = _twin(call, 'GET', request.url)
    policy = call.rules.request_policy('GET', twin.url, twin.headers, settings, call.options)
    return call.with_changes(request=twin, policy=policy, cache_key=key_of(call, 'GET', request.url))


def prepare(call: Call, cached: CachedResponse, write: Write) -> None:
    """Make a response one that may be stored, in its place among the variants"""
    if cached.request.method == 'POST':
        cached.request = CachedRequest.from_request(call.request)
    set_headers(cached, storable_headers(cached.headers, call.policy.settings.shared_cache, cached.created_at))
    settle(call, cached, write)


def look_up_for_head(call: Call, stored: CachedResponse | None, read: Read) -> CachedResponse | None:
    """What answers HEAD: the response to HEAD, or the one to GET, as long as it is fresh, and not older (section 4)"""
    _, by_get = _look_up_get(call, read)
    if by_get is None or not isinstance(call.rules.decide_read(call.policy, by_get, utcnow()), Use):
        return stored
    return stored if stored is not None and time_of(stored) > time_of(by_get) else by_get


def _look_up_get(call: Call, read: Read) -> tuple[str, CachedResponse | None]:
    """The stored response that the same request, but to GET, matches, and its key"""
    request = _twin(call, 'GET', call.request.url)
    key = call.session.cache.create_key(request, **call.send_kwargs)
    get = call.with_changes(request=request, cache_key=key)
    first = read(get)
    stored = find_variant(get, first, read) if first is not None else None
    return str(get.cache_key), stored


def freshen_by_head(call: Call, response: Response, read: Read) -> None:
    """Bring the stored response to GET up to date with one to HEAD, or delete it if it is another (section 4.3.5)"""
    cache, (key, stored) = call.session.cache, _look_up_get(call, read)
    if stored is None or call.policy.skip_write:
        return
    new, old = response.headers, stored.headers
    try:
        if any(name in new and new[name] != old.get(name) for name in ('ETag', 'Last-Modified', 'Content-Length')):
            cache._delete_keys([key, *stored_part_keys(cache, key)])
            return
        freshen(stored, response, call.policy.settings.shared_cache, utcnow())
        delay_seconds = response.elapsed.total_seconds()
        expires = call.rules.renewed_until(call.policy, stored.headers, new, stored.created_at, delay_seconds)
        cache.save_response(stored, key, expires)
    except Exception as e:
        call.session._faults.report('write to', e)
