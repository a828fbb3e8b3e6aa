"""The flow of a request, from top to bottom: look up, decide, act, record

`send` looks up the request in the store and decides what to do; `_answer_with` uses a stored response, `fetch` sends
the request, `_record` stores the response. The steps that differ between the default modes and strict mode are methods
of `exchange.mode` (`exchange.py` lists them).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from logging import getLogger
from time import monotonic
from typing import Any, TypeVar

from requests import PreparedRequest, RequestException, Response
from requests.exceptions import ChunkedEncodingError

from .._utils import assert_never
from ..keys.shown import shown_error, shown_url
from ..models.body import BodyLostError
from ..models.redirects import own_response, unfollowed_response
from ..models.response import AnyResponse, BaseResponse, CachedResponse, OriginalResponse
from ..policy.expiration import utcnow
from ..policy.verdicts import Fetch, GatewayTimeout, Store, Use, UseAndRefresh, Validate
from . import observing
from .answers import after_reading, answer, gateway_timeout
from .body import release
from .conditional import conditions_to_send, request_to_send
from .exchange import Exchange, LookUp, NotStored, Plan, Result, Storing, result_of
from .flights import Flight, Outcome, patience
from .recording import read_to_end, record
from .refusals import BY_FILTER, UNREAD
from .store import version_of

R = TypeVar('R')
logger = getLogger(__name__)
NOTHING_STORED = Storing((), None, None)
# Reasons for sending a request that do not depend on the individual request
SHARED_REASONS = frozenset(('not stored', 'stale'))

# Errors that indicate a bug in the program
PROGRAMMING_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError, ValueError)


def is_of_the_network(error: Exception) -> bool:
    """Whether a request failed because of the network or the origin, and not because of a bug in the program

    Malformed URLs and header fields, for which `requests` raises subclasses of ValueError, count as bugs.
    """
    if isinstance(error, RequestException):
        return not isinstance(error, ValueError)
    return isinstance(error, OSError) or not isinstance(error, PROGRAMMING_ERRORS)


def send(exchange: Exchange) -> AnyResponse:
    """Answer a request from the cache or from the origin"""
    if exchange.watch.is_on:
        exchange = exchange._replace(began=monotonic())
    try:
        response = _send(exchange)
        is_ours = isinstance(response, BaseResponse)  # a hook may have replaced it
        if is_ours:
            response = exchange.mode.report(exchange, response)
    except BaseException as e:
        observing.failed(exchange, e)
        raise
    if is_ours:
        observing.ended(exchange, response)
    return response


def _send(exchange: Exchange) -> AnyResponse:
    began = monotonic()
    found = look_up(exchange)
    return _bypass(exchange) if found is None else _act(exchange, found, lambda plan: _send_or_wait(plan, began))


def look_up(exchange: Exchange) -> LookUp | None:
    """Look up a request in the store; None if it bypasses the cache"""
    mode, policy = exchange.mode, exchange.policy
    if policy.skip_read and policy.skip_write and not policy.only_if_cached:
        return None
    key = mode.key(exchange)
    if key is None and not policy.only_if_cached:
        return None
    return mode.look_up(exchange, key) if key is not None and not policy.skip_read else LookUp(key)


def _act(exchange: Exchange, look_up: LookUp, go_out: Callable[[Plan], R], **done: Any) -> AnyResponse | R:
    """Decide what to do with a request, given what is stored, and do it

    Args:
        go_out: A function that is called if the request needs to be sent to the origin
        done: Fields of the result that are already known
    """
    mode, policy = exchange.mode, exchange.policy
    decision = mode.decide_read(policy, look_up.stored, utcnow())
    match decision:
        case Use(reason, age_seconds):
            plan = Plan(exchange, look_up, reason)
            response = _answer_with(look_up.found, plan, age_seconds, **done)
            return response if response is not None else _after_loss(plan, go_out, **done)
        case UseAndRefresh(reason, conditions):
            plan = Plan(exchange, look_up, reason, conditions)
            response = _answer_with(look_up.found, plan, then=lambda: _refresh_later(plan), **done)
            return response if response is not None else _after_loss(plan, go_out, **done)
        case GatewayTimeout(reason):
            return _unanswered(Plan(exchange, look_up, reason))
        case Validate(reason, conditions):
            return go_out(Plan(exchange, look_up, reason, conditions_to_send(exchange, conditions)))
        case Fetch(reason):
            return go_out(Plan(exchange, look_up, reason))
        case _:
            assert_never(decision)


def _send_or_wait(plan: Plan, began: float) -> AnyResponse:
    """Send a request to the origin, unless an equal one is in progress: then wait for it, and look up the store again

    Args:
        plan: The plan
        began: When the store was looked up, by `monotonic`
    """
    exchange, key = plan.exchange, plan.cache_key
    if key is None or plan.reason not in SHARED_REASONS or not exchange.may_be_shared:
        return _send_and_cache(plan)
    flights, settings = exchange.store.flights, exchange.settings
    deadline = monotonic() + patience(settings.single_flight_timeout, exchange.send_kwargs.get('timeout'))
    while not flights.is_unshared(key):
        flight = Flight(flights, key)
        try:
            other = flights.enter(flight)
            if other is None:
                return _lead(plan, flight, began, deadline)
        finally:
            if not flight.is_handed_over:
                flight.land()
        outcome = None if other.thread == threading.get_ident() else other.wait(deadline - monotonic())
        if outcome is Outcome.STORED:
            return _look_again(plan)
        if outcome is not Outcome.FAILED:  # waiting (any longer) is useless
            break
        stored = plan.look_up.stored
        if stored is not None and exchange.mode.decide_on_error(exchange.policy, stored, utcnow()):
            answered = _answer_with(stored, plan, is_collapsed=True, is_fallback=True)
            if answered is not None:
                return answered
    return _send_and_cache(plan)


def _lead(plan: Plan, flight: Flight, began: float, deadline: float) -> AnyResponse:
    """Send the request of the leader, unless another process has done so"""
    if plan.exchange.store.flights.has_landed_since(flight.key, began):
        answered = _answer_from_other_request(plan)
        if answered is not None:
            flight.land(Outcome.STORED)
            return answered
    if plan.exchange.settings.single_flight == 'shared':
        answered = _lead_among_processes(plan, flight, deadline)
        if answered is not None:
            return answered
    response = _send_and_cache(plan._replace(flight=flight))
    if not flight.is_handed_over:
        result = result_of(response)
        is_of_origin = result.origin_status is not None
        outcome = Outcome.STORED if result.is_stored else Outcome.NOT_STORED if is_of_origin else Outcome.FAILED
        flight.land(outcome)
    return response


def _lead_among_processes(plan: Plan, flight: Flight, deadline: float) -> AnyResponse | None:
    """Answer a request if another process has sent it meanwhile; None if this process is to send it"""
    store, over = plan.exchange.store, None
    for _ in range(2):
        lease = store.lease(flight.key, deadline, over)
        if lease is None:
            return None
        if lease.is_held:
            flight.on_landing = partial(store.give_back, lease)
            answered = _answer_from_other_request(plan) if lease.is_inherited else None
            if answered is not None:
                flight.land(Outcome.STORED)
            return answered
        if lease.outcome is Outcome.NOT_STORED and not store.flights.is_left_over(flight.key, lease.value):
            flight.land(Outcome.NOT_STORED)
            return _send_and_cache(plan)
        answered = _answer_from_other_request(plan)
        if answered is not None:
            flight.land(Outcome.STORED)
            return answered
        over = lease.value
    return None


def _answer_from_other_request(plan: Plan) -> AnyResponse | None:
    """Answer a request with the response that another request has stored; None if that is not possible"""
    exchange = plan.exchange
    key = exchange.mode.key(exchange)
    look_up = exchange.mode.look_up(exchange, key) if key is not None else plan.look_up
    return _act(exchange, look_up, lambda plan: None, is_collapsed=True)


def _look_again(plan: Plan) -> AnyResponse:
    """Use the response that another request has stored; if it does not match this request, waiting was useless"""
    answered = _answer_from_other_request(plan)
    if answered is None:
        plan.exchange.store.flights.mark_unshared(str(plan.cache_key))
        return _send_and_cache(plan)
    return answered


def _send_and_cache(plan: Plan) -> AnyResponse:
    return plan.exchange.session._send_and_cache(request_to_send(plan), plan, plan.look_up.stored)


def _bypass(exchange: Exchange) -> AnyResponse:
    """Send a request without involving the cache"""
    response = _send_to_origin(exchange, exchange.request)
    exchange.mode.after_response(exchange, own_response(response))
    plan = exchange.mode.bypassed(exchange, response)
    if plan is not None:
        response = _record(plan, response, None)
        return _with_result(response, result_of(response)._replace(is_bypassed=True))
    reason = exchange.policy.skip_read or 'body of the request'
    return _wrap(response, Result(reason, origin_status=response.status_code, is_bypassed=True), NOTHING_STORED)


def _unanswered(plan: Plan) -> AnyResponse:
    exchange, look_up = plan.exchange, plan.look_up
    result = Result(plan.reason, look_up.key, is_unanswered=True, is_other_variant=look_up.is_other_variant)
    return answer(exchange, gateway_timeout(exchange, exchange.mode.content_of_504), result)


def _after_loss(plan: Plan, go_out: Callable[[Plan], R], **done: Any) -> AnyResponse | R:
    """Continue after the stored body was lost: use the response that has replaced it, or act as if none were stored"""
    again = look_up(plan.exchange)
    if again and again.stored is not None and version_of(again.stored) != version_of(plan.look_up.found):
        return _act(plan.exchange, again, go_out, **done)
    return _without_stored(plan)


def _without_stored(plan: Plan) -> AnyResponse:
    """Continue as if no response were stored, because the stored body was lost"""
    look_up = plan.look_up._replace(stored=None, parts=())
    plan = Plan(plan.exchange, look_up, 'not stored')
    return _unanswered(plan) if plan.exchange.policy.only_if_cached else _send_and_cache(plan)


def _answer_with(
    stored: CachedResponse,
    plan: Plan,
    age_seconds: int | None = None,
    then: Callable[[], object] | None = None,
    newer: Response | None = None,
    **done: Any,
) -> AnyResponse | None:
    """Answer with a stored response; None if its body was lost

    Args:
        stored: The stored response
        plan: The plan
        age_seconds: Current age of the response, if known
        then: A function to call after the body has been read; it may delete the body
        newer: The response that the origin has just sent, if any
        done: Fields of the result that are already known
    """
    exchange, look_up = plan.exchange, plan.look_up
    key, filter_fn = look_up.key, exchange.settings.filter_fn
    is_unwanted = filter_fn is not None and key is not None and not filter_fn(stored)
    if stored.history and not exchange.follows_redirects:
        stored = unfollowed_response(stored)
    try:
        shown = exchange.mode.show(exchange, look_up, stored, age_seconds)
        if shown._body is not None and not exchange.is_streamed:
            shown.content  # noqa: B018 - read the body now, while a miss is still possible
    except (BodyLostError, ChunkedEncodingError) as e:
        exchange.store.report_lost(e)
        return None
    if is_unwanted and key is not None:  # this deletes the body too
        after_reading(shown, lambda: exchange.mode.forget(exchange, key))
    if then is not None:
        after_reading(shown, then)
    return answer(exchange, shown, Result(plan.reason, key, is_from_cache=True, **done), newer)


def fetch(plan: Plan, request: PreparedRequest, stored: CachedResponse | None) -> AnyResponse:
    """Send a request to the origin, and store the response; if that fails, fall back to the stored response"""
    exchange, mode, policy = plan.exchange, plan.exchange.mode, plan.exchange.policy
    try:
        response = _send_to_origin(exchange, request)
    except Exception as e:
        if stored is None or not is_of_the_network(e) or not mode.decide_on_error(policy, stored, utcnow()):
            raise
        ignored = exchange.settings.ignored_parameters
        answered = _answer_with(stored, plan, is_fallback=True)
        if answered is None:
            raise
        url, error = shown_url(exchange.request.url, ignored), shown_error(e, ignored)
        logger.warning('Request for %s failed; using the stored response: %s', url, error)
        return answered
    if response.status_code == 304 and stored is not None and own_response(response) is response:
        return _not_modified(plan, stored, response)
    if stored is not None and mode.decide_on_error(policy, stored, utcnow(), response.status_code):
        status = response.status_code
        answered = _answer_with(stored, plan, newer=response, origin_status=status, is_fallback=True)
        if answered is not None:
            url = shown_url(response.url, exchange.settings.ignored_parameters)
            logger.warning('Request for %s got status %d; using the stored response', url, status)
            release(response)
            return answered
    return _record(plan, response, stored)


def _not_modified(plan: Plan, stored: CachedResponse, response: Response) -> AnyResponse:
    """Answer with the response that a 304 confirms: the stored one, or one that the caller has"""
    exchange = plan.exchange
    merged, storing = exchange.mode.merge_not_modified(plan, stored, response)
    if merged is None and plan.conditions:  # the 304 confirms neither
        release(response)
        return _send_and_cache(plan._replace(conditions={}))
    if merged is None:
        return _record(plan, response, stored)
    release(response)
    is_stored = storing is not None and exchange.store.apply(storing.writes)
    if storing is not None and is_stored:
        observing.stored(exchange, storing.cache_key, merged)
    elif storing is not None:
        observing.not_stored(exchange, storing.cache_key, exchange.store.refusal, merged.status_code)
    answered = _answer_with(merged, plan, newer=response, origin_status=304, is_stored=is_stored)
    return answered if answered is not None else _without_stored(plan)


def _refresh_later(plan: Plan) -> None:
    """Renew the stored response in the background, if the new response may be stored"""
    exchange, stored = plan.exchange, plan.look_up.found
    if exchange.policy.skip_write:
        return
    exchange = exchange.mode.for_background(exchange, stored)
    plan = plan._replace(exchange=exchange, conditions=conditions_to_send(exchange, plan.conditions))
    exchange.session._resend_async(request_to_send(plan), plan, stored._copy())


def refresh(plan: Plan, request: PreparedRequest, stored: CachedResponse) -> None:
    """Renew a stored response; runs in a background thread"""
    exchange, key = plan.exchange, plan.cache_key
    flight = Flight(exchange.store.flights, str(key))
    began = monotonic()
    try:
        if exchange.store.flights.enter(flight) is not None:  # another thread is renewing it
            return
        observing.refresh_begun(exchange, key)
        response = fetch(plan._replace(flight=flight), request, stored)
        read_to_end(response)
        release(response)
        result = result_of(response)
        observing.refresh_ended(exchange, key, result, began)
        flight.land(Outcome.STORED if result.is_stored else Outcome.NOT_STORED)
    except Exception as e:
        observing.refresh_failed(exchange, key, e, began)
        raise
    finally:
        flight.land()


def _send_to_origin(exchange: Exchange, request: PreparedRequest) -> Response:
    return exchange.session._send_to_origin(request, **exchange.send_kwargs)


def _record(plan: Plan, response: Response, stored: CachedResponse | None) -> AnyResponse:
    """Store a new response if it may be stored, and return it as an `OriginalResponse`"""
    exchange, mode, policy, now = plan.exchange, plan.exchange.mode, plan.exchange.policy, utcnow()
    own = mode.to_store(response)
    decision = mode.decide_store(policy, own, now)
    mode.after_response(exchange, own_response(response))
    filter_fn = exchange.settings.filter_fn
    storing: Storing | NotStored
    if filter_fn is not None and not filter_fn(response):
        storing = NotStored(BY_FILTER)
        if (stored is not None or policy.skip_read) and plan.cache_key is not None:
            mode.forget(exchange, plan.cache_key)
    elif isinstance(decision, Store):
        storing = record(plan, own, decision.expires, now)
    else:
        storing = NotStored(decision.reason)
    if isinstance(storing, NotStored):
        observing.not_stored(exchange, plan.cache_key, storing.reason, own.status_code)
    result = _result(plan, response, storing)
    # If redirects are stored one by one, the last response has been processed already
    return _wrap(response, result, storing) if own is response else _with_result(response, result)


def _result(plan: Plan, response: Response, storing: Storing | NotStored) -> Result:
    result = Result(plan.reason, origin_status=response.status_code, is_other_variant=plan.look_up.is_other_variant)
    if isinstance(storing, NotStored):
        return result._replace(key=plan.cache_key, not_stored=storing.reason)
    return result._replace(
        key=storing.cache_key, is_stored=storing.is_done, not_stored='' if storing.is_done else UNREAD
    )


def _wrap(response: Any, result: Result, storing: Storing | NotStored) -> AnyResponse:
    if not isinstance(response, CachedResponse):
        known = NOTHING_STORED if isinstance(storing, NotStored) else storing
        response = OriginalResponse.wrap_response(response, known)
    return _with_result(response, result)


def _with_result(response: Any, result: Result) -> AnyResponse:
    response._result = result
    return response  # type: ignore[no-any-return]
