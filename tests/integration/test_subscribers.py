"""Subscribing: who is told, in which thread, for how long, and what a subscriber that fails can do"""

from __future__ import annotations

import copy
import gc
import logging
import os
import pickle
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest
import requests
from support.events import EventLog

import requests_cache
from requests_cache import CachedSession
from requests_cache.engine.events import Event, EventKind
from requests_cache.engine.statistics import Counters
from requests_cache.testing.origin import answer

PATIENCE_SECONDS = 20


@pytest.fixture
def page(origin) -> str:
    origin.add('/page', body='hello')
    return origin.url('/page')


@pytest.fixture
def quiet(caplog) -> Any:
    """Nobody listens to the log below INFO; tests run with DEBUG otherwise"""
    with caplog.at_level(logging.INFO, 'requests_cache'):
        caplog.clear()
        yield caplog


# Events


def test_events_are_values(session, page):
    told = EventLog(session)
    session.get(page)
    event = told[0]
    assert pickle.loads(pickle.dumps(event)) == event == copy.copy(event)
    assert attrs.asdict(event)['url'] == page
    assert not hasattr(event, '__dict__')
    with pytest.raises(AttributeError):
        event.url = 'other'


def test_kinds_are_text():
    assert EventKind.STALE_HIT == 'stale hit'
    assert f'{EventKind.STALE_HIT} {EventKind.HIT!s}' == 'stale hit hit'
    assert [str(kind) for kind in EventKind if kind.is_result] == [
        'hit', 'stale hit', 'validated', 'collapsed', 'miss', 'bypassed', 'unanswered', 'failed',
    ]  # fmt: skip


def test_event_as_a_line():
    line = str(
        Event(
            kind=EventKind.HIT, method='GET', url='http://h/', key='k', reason='fresh', status=200, bytes=5, age=3.2,
            freshness_left=7.0, seconds=0.0012,
        )
    )  # fmt: skip
    assert line == (
        'hit: GET http://h/ (because: fresh, status 200, 5 bytes, age 3 s, fresh for 7 s more, took 1.2 ms, key k)'
    )
    assert str(Event(kind=EventKind.REFRESH_BEGUN)) == 'refresh begun'
    stale = Event(kind=EventKind.STALE_HIT, freshness_left=-3.0)
    assert str(stale) == 'stale hit (stale for 3 s)'
    fault = Event(kind=EventKind.STORE_FAULT, reason='read', error='BackendError: x')
    assert str(fault) == 'store fault (operation: read, BackendError: x)'


# Beginning and ending


def test_unsubscribing(session, page):
    first, second = EventLog(session), EventLog(session)
    session.get(page)
    first.unsubscribe()
    first.unsubscribe()
    session.get(page)
    assert first.results() == ['miss']
    assert second.results() == ['miss', 'hit']


def test_one_function_may_subscribe_twice(session, page):
    told: list[Event] = []
    ends = [session.subscribe(told.append) for _ in range(2)]
    session.get(page)
    assert Counter(str(event.kind) for event in told) == {'stored': 2, 'miss': 2}
    ends[0]()
    told.clear()
    session.get(page)
    assert [str(event.kind) for event in told] == ['hit']


def test_unsubscribing_and_subscribing_while_told(session, page):
    told: list[str] = []

    def once(event):
        told.append('once')
        end()
        session.subscribe(lambda event: told.append('later'))

    end = session.subscribe(once)
    session.subscribe(lambda event: told.append('always'))
    session.get(page)
    assert told == ['once', 'always', 'always', 'later']


@pytest.mark.parametrize('subscriber', [None, 'function', 3])
def test_what_cannot_be_called(session, subscriber):
    with pytest.raises(TypeError, match='must be a function that takes an event'):
        session.subscribe(subscriber)


def test_subscribing_in_the_middle_of_an_exchange(session, page, quiet):
    told: list[Event] = []
    session.get(page, hooks={'response': lambda response, **kwargs: session.subscribe(told.append) and None})
    assert [(str(event.kind), event.seconds) for event in told] == [('stored', None), ('miss', None)]


def test_many_threads_subscribe_and_unsubscribe(session):
    """None is lost, and none is left"""
    barrier = threading.Barrier(8)
    lasting: list[Event] = []

    def work(_: int) -> None:
        barrier.wait(PATIENCE_SECONDS)
        for _ in range(200):
            end = session.subscribe(lambda event: None)
            session.subscribe(lasting.append)
            end()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    session.get('http://localhost/', only_if_cached=True)
    assert len(lasting) == 1600
    assert len(session._watch._subscriptions) == 1600


# Subscribers that fail, or make requests


class Broken:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, event: Event) -> None:
        self.calls += 1
        raise ValueError('a bug, with password=hunter2')


def test_a_subscriber_that_fails_is_logged_once_and_harms_nobody(session, page, quiet):
    broken = Broken()
    session.subscribe(broken)
    told = EventLog(session)
    assert session.get(page).text == session.get(page).text == 'hello'
    assert told.results() == ['miss', 'hit']
    assert broken.calls == 3
    warnings = [record for record in quiet.records if record.name.startswith('requests_cache')]
    assert [record.levelname for record in warnings] == ['WARNING']
    message = warnings[0].getMessage()
    assert message == 'The subscriber Broken failed: ValueError: a bug, with password=REDACTED'


def test_many_threads_fail_at_the_same_moment(session, quiet):
    barrier = threading.Barrier(8)

    def fail(event):
        barrier.wait(PATIENCE_SECONDS)
        raise ValueError

    session.subscribe(fail)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: session.get(f'http://localhost/{n}', only_if_cached=True), range(8)))
    assert sum(record.levelno >= logging.WARNING for record in quiet.records) == 1


def test_each_failing_subscriber_is_logged(session, page, quiet):
    def first(event):
        raise ValueError

    def second(event):
        raise KeyError('x')

    session.subscribe(first)
    session.subscribe(second)
    session.get(page)
    ours = [record for record in quiet.records if record.name.startswith('requests_cache')]
    messages = sorted(record.getMessage().split('<locals>.')[1] for record in ours)
    assert messages == ['first failed: ValueError', "second failed: KeyError: 'x'"]


def test_the_failure_is_shown_to_whoever_debugs(session, page, caplog):
    session.subscribe(Broken())
    session.get(page)
    assert 'in __call__' in caplog.text


def test_what_is_no_exception_gets_through(session, page):
    def interrupt(event):
        raise KeyboardInterrupt

    end = session.subscribe(interrupt)
    with pytest.raises(KeyboardInterrupt):
        session.get(page)
    end()
    told = EventLog(session)
    session.get(page)
    assert told.results() == ['hit']


def test_a_subscriber_that_makes_requests_is_not_told_of_them(session, page, origin):
    """Others are; as with an installed cache, and a subscriber that sends what it is told somewhere"""
    told, others = [], EventLog(session)
    origin.add('/collector', body='thanks')

    def send(event):
        told.append(str(event.kind))
        session.post(origin.url('/collector'), data=str(event))

    session.subscribe(send)
    session.get(page)
    assert told == ['stored', 'miss']
    assert others.results() == ['bypassed', 'miss', 'bypassed']
    told.clear()
    session.get(page)
    assert told == ['hit']


# Which sessions are watched


def test_sessions_on_one_backend_are_watched_one_by_one(session, new_session, page):
    other = new_session(backend=session.cache)
    told = EventLog(session)
    other.get(page)
    assert told == []
    assert (session.stats.requests, other.stats.misses) == (0, 1)
    session.get(page)
    assert told.results() == ['hit']


@pytest.mark.parametrize(
    'made_from', [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))], ids=['copy', 'deepcopy', 'pickle']
)
def test_other_sessions_made_from_one_begin_anew(new_session, page, made_from):
    session = new_session(backend='sqlite')
    session.get(page)
    told = EventLog(session)
    with made_from(session) as other:
        assert other.stats == requests_cache.engine.statistics.Statistics()
        assert other.get(page).from_cache
        assert (other.stats.hits, session.stats.hits) == (1, 0)
        assert told == []
        others = EventLog(other)
        other.get(page)
        assert others.results() == ['hit']
    session.get(page)
    assert told.results() == ['hit']


def test_wrapped_sessions_begin_anew(session, page):
    told = EventLog(session)
    with CachedSession.wrap(session, backend='memory') as other:
        other.get(page)
        assert other.stats.misses == 1
    assert told == []


def test_sessions_of_the_users_own_making(page):
    """They need not call `__init__` of the mixin for that"""

    class Own(requests_cache.CacheMixin, requests.Session):
        def __init__(self) -> None:
            requests.Session.__init__(self)
            self._settings = requests_cache.CacheSettings()
            self.cache = requests_cache.BaseCache()

    with Own() as session:
        told = EventLog(session)
        session.get(page)
        assert (told.results(), session.stats.misses) == (['miss'], 1)


# Installed caches


@pytest.fixture
def installed(cache_path) -> Any:
    requests_cache.install_cache(cache_path, backend='memory')
    yield
    requests_cache.uninstall_cache()


@pytest.mark.usefixtures('installed')
def test_all_sessions_of_an_installation_are_watched_together(page):
    told: list[Event] = []
    end = requests.Session().subscribe(told.append)
    requests.get(page)
    with requests.Session() as session:
        session.get(page)
        assert (session.stats.hits, session.stats.misses) == (1, 1)
    assert requests.Session().stats == session.stats
    assert [str(event.kind) for event in told] == ['stored', 'miss', 'hit']
    requests.Session().reset_stats()
    assert session.stats.requests == 0
    end()
    requests.get(page)
    assert len(told) == 3
    assert session.stats.hits == 1


@pytest.mark.usefixtures('installed')
def test_each_installation_counts_by_itself(page, cache_path):
    requests.get(page)
    with requests_cache.enabled(cache_path, backend='memory'):
        assert requests.Session().stats.requests == 0
        requests.get(page)
        requests.get(page)
        assert requests.Session().stats.requests == 2
    assert requests.Session().stats.requests == 1
    requests_cache.install_cache(cache_path, backend='memory')
    assert requests.Session().stats.requests == 0


@pytest.mark.usefixtures('installed')
def test_sessions_of_ones_own_count_by_themselves(session, page):
    session.get(page)
    assert (session.stats.requests, requests.Session().stats.requests) == (1, 0)


@pytest.mark.usefixtures('installed')
def test_copies_of_installed_sessions_belong_to_the_installation(page):
    with copy.copy(requests.Session()) as session:
        session.get(page)
    assert requests.Session().stats.misses == 1


# Threads and processes


def test_events_come_in_the_thread_in_which_they_happen(session, origin):
    origin.default = answer(200, b'hello')
    told: list[tuple[str, str]] = []
    session.subscribe(lambda event: told.append((event.url, threading.current_thread().name)))

    def get(n: int) -> None:
        session.get(origin.url(f'/{n}'))

    threads = [threading.Thread(target=get, args=(n,), name=f'{n}') for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert sorted(told) == sorted((origin.url(f'/{n}'), f'{n}') for n in range(4) for _ in range(2))


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
def test_a_forked_child_counts_and_tells_by_itself(new_session, page):
    """Also if another thread was counting when it was forked"""
    session = new_session(backend='sqlite')
    session.get(page)
    told = EventLog(session)
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with session._watch.counters._lock:
            held.set()
            let_go.wait(PATIENCE_SECONDS)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(PATIENCE_SECONDS)
    child = os.fork()
    if child == 0:
        is_right = session.get(page).from_cache and told.results() == ['hit'] and session.stats.hits == 1
        os._exit(0 if is_right else 1)
    let_go.set()
    thread.join(PATIENCE_SECONDS)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (told, session.stats.hits) == ([], 0)


class Dropped:
    """Counted when the garbage collector finds it, as a stream is that nobody has read to its end"""

    def __init__(self, counters: Counters):
        self.counters = counters
        self.cycle = self

    def __del__(self) -> None:
        self.counters.add('evictions')


def test_the_garbage_collector_may_run_while_something_is_counted():
    counters, threshold = Counters(), gc.get_threshold()

    def count() -> None:
        for n in range(300):
            gc.set_threshold(1 + n % 10)
            Dropped(counters)
            counters.read()
            Dropped(counters)
            counters.hit(1, 0.5)
            counters.not_stored('x')
        gc.collect()

    try:
        thread = threading.Thread(target=count, daemon=True)
        thread.start()
        thread.join(PATIENCE_SECONDS)
    finally:
        gc.set_threshold(*threshold)
    assert not thread.is_alive(), 'it waits for itself'
    stats = counters.read()
    assert (stats.hits, stats.bytes_served, stats.seconds_saved, stats.evictions) == (300, 300, 150, 600)
    assert stats.not_stored_by_reason == {'x': 300}
