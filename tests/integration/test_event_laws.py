"""Whatever is asked and answered: each exchange has one result, and the statistics are the sum of the events"""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from io import BytesIO
from typing import Any

import hypothesis
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.adapters import BaseAdapter, HTTPAdapter
from support.events import EventLog
from urllib3 import HTTPResponse

from requests_cache import DO_NOT_CACHE, CachedSession
from requests_cache.engine import observing, store, wording
from requests_cache.exceptions import BackendError

# All there are, so that they may be labels of metrics
REASONS = {
    *wording._READ, *wording._NOT_STORED, 'status', observing.ORIGIN_FAILED, store.INVALIDATED, store.REPLACED, 'read',
    'write', 'delete', 'lease', None,
}  # fmt: skip
PATHS = ['/a', '/b']
FIELDS = {
    'fresh': {'Cache-Control': 'max-age=1000', 'ETag': '"1"'},
    'stale': {'Cache-Control': 'max-age=0, stale-if-error=1000', 'ETag': '"1"'},
    'vary': {'Cache-Control': 'max-age=1000', 'Vary': 'X-A'},
    'no-store': {'Cache-Control': 'no-store'},
    'plain': {},
}
STATUSES = {'404': 404, '500': 500}


class Origin(BaseAdapter):
    """Answers as it is told, by one word for each request"""

    def __init__(self, words: list[str]):
        super().__init__()
        self.words = words

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        word = self.words.pop(0) if self.words else 'plain'
        if word == 'broken':
            raise requests.ConnectionError('no route')
        if word == 'mistake':
            raise requests.exceptions.InvalidHeader('a mistake')
        status, headers = STATUSES.get(word, 200), FIELDS.get(word, {})
        if word == 'redirect':
            status, headers = 302, {'Location': '/b', 'Cache-Control': 'max-age=1000'}
        elif word in FIELDS and request.headers.get('If-None-Match') == '"1"':
            status = 304
        body = b'' if status == 304 or request.method == 'HEAD' else b'x' * 30
        headers = {**headers, 'Content-Length': '40' if word == 'cut' else str(len(body))}
        raw = HTTPResponse(BytesIO(body), headers, status, preload_content=False, request_method=request.method)
        response: requests.Response = HTTPAdapter().build_response(request, raw)
        return response

    def close(self) -> None:
        pass


class Counting(CachedSession):
    """Counts what it is asked to send: the exchanges"""

    sent = 0

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> Any:
        self.sent += 1
        return super().send(request, **kwargs)


words = st.sampled_from(['fresh', 'stale', 'redirect']) | st.sampled_from(
    [*FIELDS, *STATUSES, 'broken', 'mistake', 'cut']
)
options = st.fixed_dictionaries(
    {},
    optional={
        'expire_after': st.sampled_from([DO_NOT_CACHE, 0, 1000, -10]),
        'force_refresh': st.just(True),
        'refresh': st.just(True),
        'only_if_cached': st.just(True),
        'stream': st.just(True),
        'allow_redirects': st.just(False),
        'headers': st.sampled_from([{'X-A': '1'}, {'Cache-Control': 'no-cache'}, {'If-None-Match': '"1"'}]),
    },
)
PLAIN = ('GET', '/a', {}, '')
actions = st.just(PLAIN) | st.tuples(
    st.sampled_from(['GET', 'GET', 'GET', 'HEAD', 'POST']),
    st.sampled_from(PATHS),
    st.just({}) | options,
    st.sampled_from(['', '', '', '', 'disabled', 'fails', 'reads nothing']),
)
modes = {'cache_control': st.sampled_from(['strict', False, True])}
settings = st.fixed_dictionaries(modes) | st.fixed_dictionaries(
    modes,
    optional={
        'max_entries': st.just(1),
        'max_body_bytes': st.sampled_from([10, 35]),
        'stale_if_error': st.just(True),
        'filter_fn': st.just(lambda response: response.status_code != 404),
        'read_only': st.just(True),
        'single_flight': st.just(False),
    },
)


def carry_out(session: CachedSession, method: str, path: str, options: dict[str, Any], how: str) -> None:
    with session.cache_disabled() if how == 'disabled' else nullcontext():
        try:
            response = session.request(method, f'http://localhost{path}', **options)
            if how != 'reads nothing':
                response.content  # noqa: B018
            response.close()
        except requests.RequestException:
            pass


@hypothesis.settings(max_examples=300)
@hypothesis.example({'cache_control': 'strict'}, [(PLAIN, ['redirect', 'fresh']), (PLAIN, [])])
@given(settings, st.lists(st.tuples(actions, st.lists(words, max_size=3)), min_size=2, max_size=8))
def test_results_and_statistics(settings, steps):
    with Counting(backend='memory', **settings) as session:
        told, origin = EventLog(session), Origin([])
        session.mount('http://', origin)
        for action, answers in steps:
            before, sent = len(told.results()), session.sent
            origin.words = list(answers)
            with pytest.MonkeyPatch.context() as patch:
                if action[3] == 'fails':
                    patch.setattr(session.cache.responses, 'put', _fail, raising=False)
                carry_out(session, *action)
            assert len(told.results()) - before == session.sent - sent
        assert_adds_up(session, told)


def _fail(*args: Any) -> None:
    raise BackendError('The disk is full')


def assert_adds_up(session: CachedSession, told: EventLog) -> None:
    stats, kinds = session.stats, Counter(str(event.kind) for event in told)
    by_reason = {kind: Counter(event.reason for event in told if event.kind == kind) for kind in ('miss', 'not stored')}
    from_cache = [event for event in told if event.kind in ('hit', 'stale hit', 'validated', 'collapsed')]
    assert stats.hits == kinds['hit'] + kinds['collapsed']
    assert (stats.stale_hits, stats.validations) == (kinds['stale hit'], kinds['validated'])
    assert (stats.misses, stats.misses_by_reason) == (kinds['miss'], by_reason['miss'])
    assert (stats.bypassed, stats.unanswered, stats.errors) == (kinds['bypassed'], kinds['unanswered'], kinds['failed'])
    assert (stats.stores, stats.not_stored_by_reason) == (kinds['stored'], by_reason['not stored'])
    assert (stats.evictions, stats.faults) == (kinds['evicted'], kinds['store fault'])
    assert stats.bytes_served == sum(event.bytes or 0 for event in from_cache)
    assert stats.requests + stats.bypassed + stats.errors == session.sent
    assert 0 <= stats.hit_rate <= 1
    assert {event.reason for event in told} <= REASONS
    assert None not in by_reason['miss']
    assert None not in by_reason['not stored']
