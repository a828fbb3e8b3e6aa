"""Renewing in the background: once for an entry, by a few threads, for those who can store what comes"""

from __future__ import annotations

import threading

import pytest
import requests

import requests_cache
from requests_cache import CachedSession
from requests_cache.engine.refreshing import MAX_THREADS, Refreshing
from requests_cache.testing.origin import answer, revalidating


def test_hooks_run_once_for_the_answer_and_once_for_what_comes(session, origin, refreshed):
    origin.add('/page', answer(body=b'old'), answer(body=b'new'))
    session.settings.stale_while_revalidate = True
    session.get(origin.url('/page'), expire_after=-10)
    seen = []
    session.get(origin.url('/page'), hooks={'response': lambda r, **kwargs: seen.append(r.content)})
    refreshed()
    assert sorted(seen) == [b'new', b'old']


def test_hooks_do_not_see_what_is_only_validated(session, origin, refreshed):
    origin.add('/page', revalidating(answer(body=b'x', headers=[('ETag', '"1"')])))
    session.settings.stale_while_revalidate = True
    session.get(origin.url('/page'), expire_after=-10)
    seen = []
    session.get(origin.url('/page'), hooks={'response': lambda r, **kwargs: seen.append(r.status_code)})
    refreshed()
    assert (seen, origin.hits()) == ([200], 2)


def test_not_for_those_who_store_nothing(session, origin, refreshed):
    origin.add('/page', body=b'x')
    session.get(origin.url('/page'), expire_after=-10)
    session.settings.stale_while_revalidate = session.settings.read_only = True
    assert session.get(origin.url('/page')).from_cache
    assert (refreshed(), origin.hits()) == ([], 1)


@pytest.mark.parametrize('cache_control', [False, 'strict'])
def test_connection_of_a_streamed_response_is_freed(cache_control, new_session, origin, refreshed):
    session = new_session(backend='memory', cache_control=cache_control, stale_while_revalidate=True)
    origin.add('/page', body=b'x' * 100_000, headers=[('Cache-Control', 'max-age=0')])
    session.get(origin.url('/page'), expire_after=-10)
    for _ in range(4):
        with session.get(origin.url('/page'), stream=True, expire_after=-10) as response:
            assert response.from_cache
        refreshed()
    assert (origin.hits(), origin.connections) == (5, 1)


def test_after_the_session_is_closed_nothing_is_written(new_session, origin, refreshed, cache_path):
    session = new_session(backend='sqlite', stale_while_revalidate=True)
    hold = origin.hold()
    origin.add('/page', answer(body=b'old'), answer(body=b'new', hold=hold))
    session.get(origin.url('/page'), expire_after=-10)
    assert session.get(origin.url('/page')).content == b'old'
    hold.wait_arrived()
    session.close()
    path = session.cache.db_path
    path.unlink()
    hold.release()
    refreshed()
    assert not path.exists(), 'the database was made anew'


def test_sessions_that_come_and_go_renew_an_entry_once(origin, cache_path, refreshed):
    hold = origin.hold()
    origin.add('/page', answer(body=b'old'), answer(body=b'new', hold=hold))
    with requests_cache.enabled(cache_path, backend='sqlite', stale_while_revalidate=True):
        requests.get(origin.url('/page'))
        cache = requests_cache.get_cache()
        cache.reset_expiration(-10)
        for _ in range(5):
            assert requests.get(origin.url('/page')).content == b'old'
        hold.release()
        refreshed()
        assert requests.get(origin.url('/page')).content == b'new'
        cache.close()
    assert origin.hits() == 2


def test_sessions_that_come_and_go_warn_once(origin, cache_path, caplog):
    origin.add('/page', body=b'x')
    cache_path.with_suffix('.sqlite').mkdir(parents=True)  # where the database would be
    with requests_cache.enabled(cache_path, backend='sqlite'):
        for _ in range(5):
            assert requests.get(origin.url('/page')).content == b'x'
    warnings = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
    assert len([w for w in warnings if 'Unable to read' in w]) == 1


class TestRefreshing:
    def test_threads_are_few_and_all_work_is_done(self):
        refreshing, release, lock = Refreshing(), threading.Event(), threading.Lock()
        running, most, done = set(), [0], []

        def renew(number):
            with lock:
                running.add(number)
                most[0] = max(most[0], len(running))
            release.wait(30)
            with lock:
                running.remove(number)
                done.append(number)

        threads = {refreshing.start(str(n), 'url', lambda n=n: renew(n)) for n in range(5 * MAX_THREADS)}
        assert len(threads) == MAX_THREADS
        release.set()
        for thread in threads:
            thread.join(30)
        assert (sorted(done), most[0]) == (list(range(5 * MAX_THREADS)), MAX_THREADS)
        assert refreshing.start('0', 'url', lambda: None) is not None, 'renewed before, and again'

    def test_what_waits_is_forgotten(self):
        refreshing, release, done = Refreshing(), threading.Event(), []
        threads = {refreshing.start(str(n), 'url', lambda: release.wait(30)) for n in range(MAX_THREADS)}
        epoch = refreshing.epoch
        refreshing.start('more', 'url', lambda: done.append(1))
        refreshing.stop()
        release.set()
        for thread in threads:
            thread.join(30)
        assert (done, refreshing.epoch is epoch) == ([], False)

    def test_a_thread_that_cannot_be_started(self, monkeypatch, caplog):
        refreshing, done = Refreshing(), []

        def fail(self):
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, 'start', fail)
            assert refreshing.start('a', 'http://page', lambda: done.append(1)) is None
        assert 'http://page' in caplog.text
        refreshing.start('a', 'http://page', lambda: done.append(2)).join(30)
        assert done == [2]


def test_sessions_without_a_cache_can_be_closed():
    session = CachedSession(backend='memory')
    del session.cache
    session.close()
