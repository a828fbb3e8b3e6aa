"""What happens to a request: look up, decide, act, record

The only place where decisions meet storage and network, to be read from top to bottom: `send` looks up and decides, one
function acts on each kind of decision, `_record` stores what came back.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from logging import getLogger
from typing import Any

from requests import PreparedRequest, Response

from .._utils import is_bad_signature
from ..backends.sending import SendingFor
from ..cache_keys import has_unkeyable_body
from ..exceptions import BackendUnavailableError
from ..models.response import AnyResponse, CachedResponse, OriginalResponse
from ..policy.expiration import utcnow
from ..policy.validation import updated_fields, updated_headers
from ..policy.verdicts import Fetch, GatewayTimeout, Store, Use, UseAndRefresh, Validate
from .answers import answers, first_of, follow, gateway_timeout, with_hooks
from .body import read_body
from .call import Call, Outcome, under_way
from .conditional import own_request, without_conditions
from .variants import find_variant

logger = getLogger(__name__)


@cache
def _standard() -> Any:
    from . import standard

    return standard


def send(call: Call) -> AnyResponse:
    """Answer a request from the cache or from the origin"""
    response = _send(call)
    if call.is_strict or call.policy.settings.cache_status:
        _standard().report(call, response)
    return response


def _send(call: Call) -> AnyResponse:
    if call.policy.skip_read and call.policy.skip_write and not call.policy.only_if_cached:
        return _bypass(call)
    with SendingFor(call.session.cache, call.session.settings, bool(call.send_kwargs.get('verify', True))):
        call.cache_key = _create_key(call)
        if call.cache_key is None:
            return _bypass(call)
        stored = None if call.policy.skip_read else _look_up(call)
        if call.policy.ranges:
            stored = _standard().stored_for_ranges(call, stored)
        decision = call.rules.decide_read(call.policy, stored, utcnow())
        call.reason = decision.reason
        if isinstance(decision, Use) and stored is not None:
            return _use(call, stored, decision.age_seconds)
        if isinstance(decision, UseAndRefresh) and stored is not None:
            background = call.with_changes(conditions=decision.conditions)
            call.session._resend_async(own_request(background), background, stored._copy())
            return _use(call, stored)
        if isinstance(decision, GatewayTimeout):
            return _answer(call, gateway_timeout(call))
        if isinstance(decision, Validate):
            call.conditions = decision.conditions
            return call.session._send_and_cache(own_request(call), call, stored)
        if isinstance(decision, Fetch):
            return call.session._send_and_cache(call.request, call, stored)
        raise AssertionError(decision)


def _bypass(call: Call) -> AnyResponse:
    response = _send_to_origin(call, call.request)
    if call.is_strict:
        with SendingFor(call.session.cache, call.session.settings, bool(call.send_kwargs.get('verify', True))):
            _standard().invalidate(call, response)
            get = _standard().as_get(call, response)
            if get is not None:
                response = _record(get, response, None)
                call.was_stored, call.cache_key = get.was_stored, get.cache_key
                return response
    return _wrap(response, Outcome())


def _create_key(call: Call) -> str | None:
    if has_unkeyable_body(call.request):
        return None
    return call.session.cache.create_key(call.keyed_request, **call.send_kwargs)


def _look_up(call: Call) -> CachedResponse | None:
    """The stored response that the request matches; also sets the key under which its variant is, or will be stored"""
    # Not by truth: a response with an error status is false
    stored = _read(call)
    if stored is not None:
        stored = find_variant(call, stored, _read)
    if call.is_strict and call.request.method == 'HEAD':
        stored = _standard().look_up_for_head(call, stored, _read)
    return stored


def _read(call: Call) -> CachedResponse | None:
    session = call.session
    try:
        stored: CachedResponse | None = session.cache.get_response(str(call.cache_key))
    except Exception as e:
        if is_bad_signature(e):
            raise
        session._faults.report('read', e)
        call.is_store_away = isinstance(e, BackendUnavailableError)
        return None
    session._faults.succeeded('read')
    return stored if stored is None or answers(call, stored) else None


def _use(call: Call, stored: CachedResponse, age_seconds: int | None = None) -> AnyResponse:
    """Answer with a stored response, which may be that to a redirect that is or is not to be followed"""
    if stored.history and not call.follows_redirects:
        stored = first_of(stored)
    if call.is_strict:
        method, fields = call.request.method, call.request.headers
        stored = _standard().present(call.policy, method, fields, stored, utcnow(), age_seconds)
    if call.policy.ranges:
        stored = _standard().in_ranges(call, stored)
    if stored.status_code >= 300 and stored.is_redirect:
        return follow(call, stored)
    return _answer(call, stored)


def _answer(call: Call, stored: CachedResponse) -> AnyResponse:
    filter_fn = call.policy.settings.filter_fn
    if filter_fn is not None and not filter_fn(stored):
        _forget(call)
    return with_hooks(call, stored)


def send_and_record(call: Call, request: PreparedRequest, stored: CachedResponse | None) -> AnyResponse:
    """Send a request to the origin, and store what comes back; or fall back to the stored response"""
    try:
        response = _send_to_origin(call, request)
    except Exception:
        if not call.rules.decide_on_error(call.policy, stored, utcnow()):
            raise
        logger.warning('Request for %s failed; using the stored response', call.request.url, exc_info=True)
        return _use(call, stored)  # type: ignore[arg-type]
    if call.conditions and response.status_code == 304 and stored is not None:
        return _use_or_ask_again(call, stored, response)
    if call.rules.decide_on_error(call.policy, stored, utcnow(), response.status_code):
        logger.warning('Request for %s got status %d; using the stored response', response.url, response.status_code)
        response.close()
        return _use(call, stored)  # type: ignore[arg-type]
    return _record(call, response, stored)


def _use_or_ask_again(call: Call, stored: CachedResponse, not_modified: Response) -> AnyResponse:
    """Answer with what a 304 is about; by the standard that may be another response than the stored one"""
    if call.is_strict:
        relations = _standard().Relation
        about = _standard().relation(stored.headers, not_modified.headers, utcnow())
        if about is relations.IS_ABOUT_ANOTHER:
            call.conditions = {}
            return send_and_record(call, own_request(call), stored)
        if about is relations.CONFIRMS:
            return _use(call, stored)
    return _use(call, _revalidated(call, stored, not_modified))


def refresh(call: Call, request: PreparedRequest, stored: CachedResponse) -> None:
    """Renew a stored response, in a thread in which nobody waits for it"""
    with SendingFor(call.session.cache, call.session.settings, bool(call.send_kwargs.get('verify', True))):
        if call.policy.ranges:
            _standard().prepare_refresh(call, request, stored)
        send_and_record(call, request, stored)


def _send_to_origin(call: Call, request: PreparedRequest) -> Response:
    token = under_way.set((request, call.options))
    try:
        response = call.session._send_to_origin(request, **call.send_kwargs)
        call.origin_status = response.status_code
        return response
    finally:
        under_way.reset(token)


def _record(call: Call, response: Response, stored: CachedResponse | None) -> AnyResponse:
    """Store a new response, if it may be stored, and return it as one that came from the origin"""
    policy, now = call.policy, utcnow()
    delay_seconds = response.elapsed.total_seconds()
    decision = call.rules.decide_store(policy, response.status_code, response.headers, now, delay_seconds)
    outcome = Outcome()
    if call.is_strict:
        _standard().invalidate(call, response)
        if call.request.method == 'HEAD' and response.status_code == 200:
            _standard().freshen_by_head(call, response, _read)
    if policy.settings.filter_fn is not None and not policy.settings.filter_fn(response):
        if stored is not None or policy.skip_read:
            _forget(call)
    elif isinstance(decision, Store) and read_body(response):
        outcome = _store(call, response, decision, now)
    return _wrap(response, outcome)


def _store(call: Call, response: Response, decision: Store, now: datetime) -> Outcome:
    cached = CachedResponse.from_response(response, expires=decision.expires, created_at=now)
    if isinstance(response, CachedResponse):
        # The last of a row of redirects came from the cache: the row is no fresher than it
        cached.expires = min(filter(None, (response.expires, decision.expires)), default=None)
        cached.created_at = response.created_at
    without_conditions(call, cached)
    if call.is_strict:
        _standard().prepare(call, cached, _write)
        if call.policy.ranges and cached.status_code == 206:
            outcome: Outcome = _standard().record_part(call, cached)
            return outcome
    if not _write(call, cached):
        return Outcome()
    if call.is_strict:
        _standard().forget_parts(call)
    return Outcome(call.cache_key, cached.expires)


def _revalidated(call: Call, stored: CachedResponse, response: Response) -> CachedResponse:
    """Bring the stored response up to date with a 304 (RFC 9111, section 4.3.4)"""
    policy, now = call.policy, utcnow()
    before = dict(stored.headers), stored.expires
    if call.is_strict:
        _standard().freshen(stored, response, policy.settings.shared_cache, now)
    else:
        stored._header_fields = updated_fields(stored._header_fields, response.headers.items())
        stored.headers = updated_headers(stored.headers, response.headers)
    delay_seconds = response.elapsed.total_seconds()
    stored.expires = call.rules.renewed_until(policy, stored.headers, response.headers, now, delay_seconds)
    stored.revalidated = True
    if not policy.skip_write and before != (dict(stored.headers), stored.expires):
        _write(call, stored)
    return stored


def _write(call: Call, cached: CachedResponse, key: str | None = None) -> bool:
    if call.is_store_away:
        return False
    session = call.session
    try:
        if key is None:
            key = _standard().key_to_write(call, cached) if call.policy.ranges else call.cache_key
        session.cache.save_response(cached, key, cached.expires)
    except Exception as e:
        session._faults.report('write to', e)
        return False
    session._faults.succeeded('write to')
    call.was_stored = True
    return True


def _forget(call: Call) -> None:
    try:
        if call.cache_key is not None and not call.policy.settings.read_only:
            call.session.cache.delete(call.cache_key)
            if call.is_strict:
                _standard().forget_parts(call)
    except Exception as e:
        call.session._faults.report('delete from', e)


def _wrap(response: Any, outcome: Outcome) -> AnyResponse:
    if isinstance(response, CachedResponse):
        return response
    return OriginalResponse.wrap_response(response, outcome)
