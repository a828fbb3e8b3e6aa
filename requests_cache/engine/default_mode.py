"""The steps of the default modes, which follow the user's settings and, with `cache_control=True`, the response"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from requests import Response

from ..keys.bodies import has_unkeyable_body
from ..models.redirects import redirects_of
from ..models.response import AnyResponse, CachedResponse
from ..policy import decision
from ..policy.directives import CacheDirectives
from ..policy.expiration import DO_NOT_CACHE, utcnow
from ..policy.request import RequestPolicy, expiration_for, request_policy, resolve_expiration
from ..policy.validation import Relation, confirms_stored, relation, updated_fields, updated_headers
from ..policy.verdicts import DoNotStore, Store, StoreDecision
from .exchange import Exchange, LookUp, Plan, Storing
from .store import Put, version_of
from .variants import find_variant


class DefaultMode:
    """`cache_control=False` and `cache_control=True`; base class of `StandardMode` (see `Mode` for the steps)"""

    answers_conditions = False
    exact_query = False
    content_of_504: bytes | None = None

    request_policy = staticmethod(request_policy)
    decide_read = staticmethod(decision.decide_read)
    decide_on_error = staticmethod(decision.decide_on_error)

    def key(self, exchange: Exchange, match_headers: Iterable[str] | bool | None = None) -> str | None:
        if has_unkeyable_body(exchange.request):
            return None
        return exchange.store.key_of(exchange.request, match_headers)

    def look_up(self, exchange: Exchange, key: str) -> LookUp:
        first = exchange.store.read(key, exchange.request)
        return find_variant(exchange, key, first) if first is not None else LookUp(key)

    def show(
        self, exchange: Exchange, look_up: LookUp, stored: CachedResponse, age_seconds: int | None
    ) -> CachedResponse:
        return stored

    def merge_not_modified(
        self, plan: Plan, stored: CachedResponse, not_modified: Response
    ) -> tuple[CachedResponse | None, Storing | None]:
        policy, now, version = plan.exchange.policy, utcnow(), version_of(stored)
        about = self._relation(plan, stored, not_modified, now)
        if about is Relation.MISMATCHES:
            return None, None
        if about is Relation.CONFIRMS:
            return stored, None
        before = dict(stored.headers), stored.expires
        is_kept = self._freshen(policy, stored, not_modified, now)
        stored.revalidated = True
        key = self._key_to_renew(plan, stored)
        if policy.skip_write or not is_kept or key is None or before == (dict(stored.headers), stored.expires):
            return stored, None
        return stored, Storing([Put(key, stored, stored.expires, over=version)], key, stored.expires)

    def _relation(self, plan: Plan, stored: CachedResponse, not_modified: Response, now: datetime) -> Relation:
        """How a 304 relates to the stored response; a 304 that only confirms it updates it too"""
        if plan.conditions:
            is_about_another = relation(stored.headers, not_modified.headers, now) is Relation.MISMATCHES
        else:
            own = plan.exchange.request.headers
            is_about_another = not confirms_stored(own, stored.headers, not_modified.headers)
        return Relation.MISMATCHES if is_about_another else Relation.UPDATES

    def _freshen(self, policy: RequestPolicy, stored: CachedResponse, not_modified: Response, now: datetime) -> bool:
        """Update the header fields and expiration of a stored response, and return whether to store the changes"""
        stored._header_fields = updated_fields(stored._header_fields, not_modified.headers.items())
        stored.headers = updated_headers(stored.headers, not_modified.headers)
        policy, status_code = resolve_expiration(policy, stored), stored.status_code
        stored.expires = decision.expires_after_304(policy, status_code, stored.headers, not_modified.headers, now)
        return expiration_for(policy, status_code) != DO_NOT_CACHE

    def _key_to_renew(self, plan: Plan, stored: CachedResponse) -> str | None:
        """The key under which an updated response is stored"""
        return plan.cache_key

    def after_response(self, exchange: Exchange, response: Response) -> None:
        """Do nothing: only in strict mode do requests affect other stored responses"""

    def to_store(self, response: Response) -> Response:
        return response

    def decide_store(self, policy: RequestPolicy, response: Response, now: datetime) -> StoreDecision:
        if decision.reason_not_to_store(policy, response.status_code, response.headers) is None:
            policy = resolve_expiration(policy, response)
        decided = decision.decide_store(policy, response.status_code, response.headers, now)
        if isinstance(decided, Store) and policy.settings.url_settings and response.history:
            from .hops import apply_hop_settings

            decided = apply_hop_settings(decided, response, policy.settings)
        if isinstance(decided, Store) and policy.settings.cache_control:
            hops = redirects_of(response)
            if any(CacheDirectives.from_headers(hop.headers).no_store for hop in hops):
                return DoNotStore('no-store')
        return decided

    def storing_depends_on_body(self, plan: Plan, response: Response) -> bool:
        return False

    def storing(self, plan: Plan, cached: CachedResponse, expires: datetime | None) -> Storing | None:
        return Storing([Put(str(plan.cache_key), cached, expires)], plan.cache_key, expires)

    def bypassed(self, exchange: Exchange, response: Response) -> Plan | None:
        return None

    def forget(self, exchange: Exchange, key: str) -> None:
        exchange.store.forget(key)

    def for_background(self, exchange: Exchange, stored: CachedResponse) -> Exchange:
        # Nobody reads the body, so it need not be in memory
        return exchange._replace(send_kwargs={**exchange.send_kwargs, 'stream': True}, is_in_background=True)

    def report(self, exchange: Exchange, response: AnyResponse) -> AnyResponse:
        if exchange.policy.settings.cache_status:
            from .reporting import report

            report(exchange, response)
        return response


DEFAULT = DefaultMode()
