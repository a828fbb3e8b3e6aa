"""What a session has done, in numbers"""

from __future__ import annotations

import copy
import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from requests_cache import SERIALIZERS, CachedSession
from requests_cache.engine.statistics import Statistics
from requests_cache.testing.origin import answer, revalidating

NOTHING = """\
requests:    0
hits:        0
stale hits:  0
validations: 0
misses:      0
hit rate:    0.0%
stored:      0
not stored:  0
served:      0 bytes
time saved:  0.0 s"""


def test_nothing_has_been_done(session):
    assert session.stats == Statistics()
    assert (session.stats.requests, session.stats.hit_rate) == (0, 0)
    assert str(session.stats) == NOTHING


def test_what_is_shown(session, origin):
    origin.default = answer(404)
    origin.add('/page', body='x' * 1000)
    for path in ('/page', '/page', '/page', '/nothing'):
        session.get(origin.url(path))
    session.post(origin.url('/page'))
    session.get(origin.url('/other'), only_if_cached=True)
    shown = str(session.stats)
    assert shown.splitlines()[:8] == [
        'requests:    5',
        'hits:        2',
        'stale hits:  0',
        'validations: 0',
        'misses:      2 (2 not stored)',
        'hit rate:    40.0%',
        'stored:      1',
        'not stored:  1 (1 status)',
    ]
    assert shown.splitlines()[10:] == ['bypassed:    1', 'unanswered:  1']


def test_bytes_and_seconds(session, origin):
    """As long as the origin took when the response was stored, which is what `elapsed` says"""
    origin.add('/page', body='x' * 1000)
    session.get(origin.url('/page'))
    elapsed = session.get(origin.url('/page')).elapsed
    session.get(origin.url('/page'))
    assert session.stats.bytes_served == 2000
    assert timedelta(seconds=session.stats.seconds_saved) == 2 * elapsed > timedelta()


def test_nothing_is_saved_by_a_request_that_validates(session, origin):
    origin.add('/page', revalidating(answer(200, b'x' * 1000, [('ETag', '"1"')])))
    session.get(origin.url('/page'), expire_after=-10)
    session.get(origin.url('/page'))
    stats = session.stats
    assert (stats.validations, stats.bytes_served, stats.seconds_saved, stats.hit_rate) == (1, 1000, 0, 0)


@pytest.mark.parametrize('serializer', sorted(SERIALIZERS))
def test_what_is_saved_is_known_whatever_the_serializer(serializer, new_session, origin):
    session = new_session(backend='filesystem', serializer=serializer)
    origin.add('/page', body='hello')
    session.get(origin.url('/page'))
    assert session.get(origin.url('/page')).from_cache
    assert session.stats.bytes_served == 5
    assert 0 < session.stats.seconds_saved < 100


def test_snapshots_do_not_change(session, origin):
    origin.default = answer(404)
    session.get(origin.url('/page'))
    before = session.stats
    session.get(origin.url('/page'))
    assert (before.misses, before.misses_by_reason, before.not_stored_by_reason) == (
        1,
        {'not stored': 1},
        {'status': 1},
    )
    assert session.stats.misses == 2


def test_snapshots_can_be_sent_and_written(session, origin):
    origin.default = answer(404)
    session.get(origin.url('/page'))
    stats = session.stats
    assert pickle.loads(pickle.dumps(stats)) == copy.deepcopy(stats) == stats
    assert json.loads(json.dumps(stats._asdict()))['misses_by_reason'] == {'not stored': 1}


def test_beginning_anew(session, origin):
    origin.default = answer(404)
    session.get(origin.url('/page'))
    session.reset_stats()
    assert session.stats == Statistics()
    session.get(origin.url('/page'))
    assert session.stats.misses == 1


@pytest.mark.parametrize('cache_control', [False, 'strict'])
def test_many_threads(cache_control, new_session, origin):
    """Nothing is lost, or counted twice"""
    session = new_session(backend='memory', cache_control=cache_control)
    origin.default = answer(200, b'hello', [('Cache-Control', 'max-age=1000')])
    barrier = threading.Barrier(8)

    def work(n: int) -> None:
        barrier.wait(20)
        for i in range(50):
            session.get(origin.url(f'/{(n + i) % 10}'))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    stats = session.stats
    assert (stats.requests, stats.misses) == (400, stats.stores)
    assert stats.hits + stats.misses == 400
    assert stats.bytes_served == 5 * stats.hits


def test_responses_of_earlier_versions(cache_path, origin):
    """Whose body or duration may be unknown"""
    with CachedSession(cache_path, backend='memory') as session:
        origin.add('/page', body='hello')
        session.get(origin.url('/page'))
        (key,) = session.cache.responses
        stored = session.cache.responses[key]
        stored._content, stored.elapsed = None, timedelta()
        session.cache.responses[key] = stored
        session.get(origin.url('/page'))
        assert (session.stats.requests, session.stats.bytes_served) == (2, 0)
