"""The steps of strict mode (`cache_control='strict'`): RFC 9111, RFC 5861 and RFC 8246"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import urldefrag

from requests import PreparedRequest, Response
from requests.cookies import RequestsCookieJar

from ..keys.bodies import has_unkeyable_body
from ..models.redirects import own_response, redirects_of
from ..models.request import CachedRequest
from ..models.response import AnyResponse, CachedResponse
from ..policy.expiration import DO_NOT_CACHE, utcnow
from ..policy.request import RequestPolicy, expiration_for, resolve_expiration
from ..policy.standard import decision
from ..policy.standard.constructing import construct_response, set_headers, storable_headers
from ..policy.standard.freshening import freshen
from ..policy.standard.invalidation import invalidated_urls
from ..policy.standard.post_responses import answers_get
from ..policy.standard.request import strict_request_policy
from ..policy.validation import Relation, relation
from ..policy.verdicts import StoreDecision, Use
from . import observing
from .carrying import copy_with_attached
from .default_mode import DefaultMode
from .exchange import Exchange, LookUp, Plan, Storing
from .ranges import find_ranges, key_to_renew, show_ranges, storing_of_part
from .refusals import BY_FILTER
from .reporting import report
from .store import INVALIDATED, REPLACED, Delete, Put, Write, version_of
from .variants import find_among_all, place, time_of

_BODY_FIELDS = ('Content-Length', 'Content-Type', 'Content-Encoding', 'Transfer-Encoding')


class StandardMode(DefaultMode):
    """Strict mode; see `Mode` for the steps"""

    answers_conditions = True
    exact_query = True
    content_of_504: bytes | None = b''

    request_policy = staticmethod(strict_request_policy)  # type: ignore[assignment]
    decide_read = staticmethod(decision.decide_read)
    decide_on_error = staticmethod(decision.decide_on_error)

    def key(self, exchange: Exchange, match_headers: Iterable[str] | bool | None = None) -> str | None:
        """The key of the request without its fragment, which is not part of the target (RFC 9110, section 7.1)"""
        request = exchange.request
        if has_unkeyable_body(request):
            return None
        if '#' in (request.url or ''):
            request = request.copy()
            request.url = urldefrag(request.url or '').url
        return exchange.store.key_of(request, match_headers)

    def look_up(self, exchange: Exchange, key: str) -> LookUp:
        look_up = self._look_up_variant(exchange, key)
        if exchange.request.method == 'HEAD':
            look_up = self._look_up_for_head(exchange, look_up)
        return find_ranges(exchange, look_up) if exchange.policy.ranges else look_up

    def _look_up_variant(self, exchange: Exchange, key: str) -> LookUp:
        first = exchange.store.read(key, exchange.request)
        return find_among_all(exchange, key, first) if first is not None else LookUp(key)

    def _look_up_for_head(self, exchange: Exchange, look_up: LookUp) -> LookUp:
        """The response that answers HEAD: a response to HEAD, or one to GET if it is fresh and not older (section 4)

        In either case, a new response to HEAD is stored under the key of HEAD.
        """
        by_get = self._look_up_get(exchange).stored
        if by_get is None or not isinstance(self.decide_read(exchange.policy, by_get, utcnow()), Use):
            return look_up
        stored = look_up.stored
        return look_up if stored is not None and time_of(stored) > time_of(by_get) else look_up._replace(stored=by_get)

    def _look_up_get(self, exchange: Exchange) -> LookUp:
        """Look up the same request, but with GET"""
        get = exchange._replace(request=_twin(exchange, 'GET', exchange.request.url))
        return self._look_up_variant(get, exchange.store.key_of(get.request))

    def show(
        self, exchange: Exchange, look_up: LookUp, stored: CachedResponse, age_seconds: int | None
    ) -> CachedResponse:
        request = exchange.request
        shown = construct_response(exchange.policy, request.method, request.headers, stored, utcnow(), age_seconds)
        return show_ranges(exchange, look_up, shown) if exchange.policy.ranges else shown

    def _relation(self, plan: Plan, stored: CachedResponse, not_modified: Response, now: datetime) -> Relation:
        return relation(stored.headers, not_modified.headers, now)

    def _freshen(self, policy: RequestPolicy, stored: CachedResponse, not_modified: Response, now: datetime) -> bool:
        """Update a stored response from a 304 or a response to HEAD (sections 4.3.4 and 4.3.5)"""
        freshen(stored, not_modified, policy.settings.shared_cache, now)
        delay_seconds = not_modified.elapsed.total_seconds()
        policy, status_code, headers = resolve_expiration(policy, stored), stored.status_code, not_modified.headers
        stored.expires = decision.expires_after_304(policy, status_code, stored.headers, headers, now, delay_seconds)
        return expiration_for(policy, status_code) != DO_NOT_CACHE

    def _key_to_renew(self, plan: Plan, stored: CachedResponse) -> str | None:
        return key_to_renew(plan.look_up, stored)

    def after_response(self, exchange: Exchange, response: Response) -> None:
        """Delete invalidated responses (section 4.4), and update a response to GET after HEAD (section 4.3.5)"""
        writes: list[Write] = []
        if not exchange.settings.read_only:
            writes += _invalidations(exchange, response)
        if exchange.request.method == 'HEAD' and response.status_code == 200 and not exchange.policy.skip_write:
            writes += self._freshen_by_head(exchange, response)
        if writes and exchange.store.apply(writes):
            for put in writes:
                if isinstance(put, Put):
                    observing.stored(exchange, put.key, put.response)

    def _freshen_by_head(self, exchange: Exchange, response: Response) -> list[Write]:
        """Update the stored response to GET from a response to HEAD, or delete it if they do not match"""
        look_up = self._look_up_get(exchange)
        key, stored = str(look_up.key), look_up.stored
        if stored is None:
            return []
        new, old, version = response.headers, stored.headers, version_of(stored)
        if any(name in new and new[name] != old.get(name) for name in ('ETag', 'Last-Modified', 'Content-Length')):
            return [Delete([key, *exchange.store.part_keys(key)], INVALIDATED)]
        is_kept = self._freshen(exchange.policy, stored, response, utcnow())
        return [Put(key, stored, stored.expires, over=version)] if is_kept else []

    def to_store(self, response: Response) -> Response:
        """The response to the request itself; later responses of a chain are stored for their own requests"""
        return own_response(response)  # type: ignore[no-any-return]

    def decide_store(self, policy: RequestPolicy, response: Response, now: datetime) -> StoreDecision:
        status_code, headers, delay_seconds = response.status_code, response.headers, response.elapsed.total_seconds()
        if decision.reason_not_to_store(policy, status_code, headers, now) is None:
            policy = resolve_expiration(policy, response)
        return decision.decide_store(policy, status_code, headers, now, delay_seconds)

    def storing_depends_on_body(self, plan: Plan, response: Response) -> bool:
        """The length of a part must match its `Content-Range`"""
        return bool(plan.exchange.policy.ranges) and response.status_code == 206

    def storing(self, plan: Plan, cached: CachedResponse, expires: datetime | None) -> Storing | None:
        exchange = plan.exchange
        if cached.request.method == 'POST':
            cached.request = CachedRequest.from_request(exchange.request)
        set_headers(cached, storable_headers(cached.headers, exchange.settings.shared_cache, cached.created_at))
        if 'Set-Cookie' not in cached.headers:  # the field must not be stored, so the cookies must not be stored either
            cached.cookies = RequestsCookieJar()
        key, before = place(exchange, plan.look_up, cached)
        if exchange.policy.ranges and cached.status_code == 206:
            return storing_of_part(exchange, key, cached)
        after = _deletions_of_parts(exchange, key, REPLACED)
        return Storing([*before, Put(key, cached, expires), *after], key, expires)

    def bypassed(self, exchange: Exchange, response: Response) -> Plan | None:
        """The plan for a GET request for which a response to POST may be stored (RFC 9110, section 9.3.3)"""
        request, settings, now = exchange.request, exchange.settings, utcnow()
        if request.method != 'POST' or exchange.policy.skip_write != 'method' or redirects_of(response):
            return None
        if not answers_get(request.url or '', response.status_code, response.headers, settings.shared_cache, now):
            return None
        twin = _twin(exchange, 'GET', request.url)
        policy = self.request_policy('GET', twin.url, twin.headers, settings, exchange.options)
        get = exchange._replace(request=twin, policy=policy)
        return Plan(get, LookUp(exchange.store.key_of(twin)), exchange.policy.skip_read or '')

    def forget(self, exchange: Exchange, key: str) -> None:
        super().forget(exchange, key)
        if not exchange.settings.read_only:
            exchange.store.apply(_deletions_of_parts(exchange, key, BY_FILTER))

    def for_background(self, exchange: Exchange, stored: CachedResponse) -> Exchange:
        """Without `Range` if the stored response is complete, so that all of it is renewed"""
        exchange = super().for_background(exchange, stored)
        if not exchange.policy.ranges or stored.status_code == 206:
            return exchange
        request = copy_with_attached(exchange.request)
        request.headers = request.headers.copy()
        for name in ('Range', 'If-Range'):
            request.headers.pop(name, None)
        return exchange._replace(request=request)

    def report(self, exchange: Exchange, response: AnyResponse) -> AnyResponse:
        report(exchange, response)
        return response


STANDARD = StandardMode()


def _invalidations(exchange: Exchange, response: Response) -> list[Write]:
    """Deleting the first variant is sufficient: the others are found only by its generation"""
    request = exchange.request
    urls = invalidated_urls(request.method, request.url or '', response.status_code, response.headers)
    requests = [_twin(exchange, method, url) for url in urls for method in ('GET', 'HEAD')]
    return [Delete(exchange.store.keys_for(requests), INVALIDATED)] if requests else []


def _deletions_of_parts(exchange: Exchange, key: str, reason: str) -> list[Write]:
    """The deletion of all stored parts of the response to a request"""
    keys = exchange.store.part_keys(key) if exchange.request.method == 'GET' else []
    return [Delete(keys, reason)] if keys else []


def _twin(exchange: Exchange, method: str, url: str | None) -> PreparedRequest:
    """The same request with a different method, without a body, for this or another URL"""
    twin = exchange.request.copy()
    twin.method, twin.url, twin.body = method, urldefrag(url or '').url, None
    for name in _BODY_FIELDS:
        twin.headers.pop(name, None)
    return twin
