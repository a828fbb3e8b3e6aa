"""Many threads, processes, forks and event loops with one cache: nothing is lost, mixed up, or used by two at once"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Barrier, Event, Lock, Thread, get_ident
from typing import Any

import pytest
from requests.adapters import HTTPAdapter

import requests_cache
from faults.local_caches import BODY, SQLITE, SessionFactory, assert_caches, assert_served_by_origin, warnings_about
from faults.stress import PAGES, PROCESSES, THREADS
from faults.worker import KINDS, OWN_PAGES, SHARED_PAGES, own_paths
from requests_cache import CachedSession
from requests_cache.engine.shared import shared_by
from requests_cache.exceptions import BackendError
from requests_cache.testing.origin import Origin, RecordedRequest, answer, redirect, revalidating
from requests_cache.testing.rules.sharing import run_in_child, run_in_threads

PATIENCE_SECONDS = 30

pytestmark = pytest.mark.repeated

needs_fork = pytest.mark.skipif(not hasattr(os, 'fork'), reason='no processes can be forked')
# The point of these tests is what Python warns of from 3.12 on
forks_with_threads = pytest.mark.filterwarnings('ignore:.*multi-threaded, use of fork:DeprecationWarning')


@pytest.fixture
def pages(origin: Origin) -> Origin:
    """An origin whose every page says what it is; those below /to/ are redirected"""

    def page(request: RecordedRequest) -> Any:
        if request.path.startswith('/to/'):
            return redirect(request.path.removeprefix('/to'))
        return answer(200, request.path.encode() * 1000)

    origin.default = page
    return origin


def get(session: CachedSession, origin: Origin, path: str, **kwargs: Any) -> Any:
    response = session.get(origin.url(path), **kwargs)
    assert response.status_code == 200
    assert response.content == path.removeprefix('/to').encode() * 1000
    return response


class TestThreads:
    def test_one_session(
        self, local: dict[str, Any], new_session: SessionFactory, pages: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        def work(number: int) -> None:
            barrier.wait()
            for i in range(PAGES):
                for path in (f'/{number}/{i}', f'/shared/{i}', f'/to/shared/{i}', f'/to/{number}/{i}'):
                    get(session, pages, path)
            session.cache.delete(urls=[pages.url(f'/{number}/0')])
            get(session, pages, f'/{number}/1', force_refresh=True)

        session = new_session(**local)
        barrier = Barrier(THREADS)
        run_in_threads(work, THREADS)
        hits = pages.hits()
        for number in range(THREADS):
            assert not session.cache.contains(url=pages.url(f'/{number}/0'))
            assert all(get(session, pages, f'/{number}/{i}').from_cache for i in range(1, PAGES))
        assert pages.hits() == hits, 'a lost entry'
        assert warnings_about(caplog, 'Unable') == 0

    @pytest.mark.parametrize('options', SQLITE.values(), ids=list(SQLITE))
    def test_a_connection_is_used_by_one_at_a_time(
        self, options: dict[str, Any], new_session: SessionFactory, pages: Origin
    ) -> None:
        class Guarded(sqlite3.Connection):
            """Notices when a thread comes while another one is in it"""

            intruders: list[str] = []
            connections: list[Any] = []

            def __init__(self, *args: Any, **kwargs: Any):
                self.inside = Lock()
                self.connections.append(self)
                super().__init__(*args, **kwargs)

            @contextmanager
            def _alone(self, what: str) -> Iterator[None]:
                if not self.inside.acquire(blocking=False):
                    self.intruders.append(f'{what} in thread {get_ident()}')
                    yield
                    return
                try:
                    yield
                finally:
                    self.inside.release()

            def execute(self, *args: Any) -> Any:
                with self._alone('execute'):
                    return super().execute(*args)

            def commit(self) -> None:
                with self._alone('commit'):
                    super().commit()

            def rollback(self) -> None:
                with self._alone('rollback'):
                    super().rollback()

        session = new_session(**options, factory=Guarded)

        def work(number: int) -> None:
            barrier.wait()
            for i in range(5):
                get(session, pages, f'/{number % 4}/{i}')
                assert len(session.cache.responses) > 0
                session.cache.delete(f'{number}', expired=True, vacuum=False)
                list(session.cache.responses)

        barrier = Barrier(8)
        run_in_threads(work, 8)
        assert Guarded.connections
        assert Guarded.intruders == []

    @pytest.mark.skipif(not Path('/proc/self/fd').exists(), reason='open files cannot be listed')
    def test_no_file_is_open_twice(
        self, local: dict[str, Any], new_session: SessionFactory, pages: Origin, cache_path: Path
    ) -> None:
        session = new_session(**local)
        run_in_threads(lambda number: [get(session, pages, f'/to/{number}/{i}') for i in range(5)], THREADS)
        paths = open_files(str(cache_path))
        paths = [path for path in paths if not Path(path).is_dir()]  # which is looked through for two purposes
        assert len(paths) == len(set(paths))
        session.close()
        assert open_files(str(cache_path)) == []

    def test_sessions_of_their_own(
        self, persistent: dict[str, Any], new_session: SessionFactory, pages: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        sessions = [new_session(**persistent) for _ in range(8)]
        run_in_threads(lambda n: [get(sessions[n], pages, f'/to/{n}/{i}') for i in range(5)], 8)
        hits = pages.hits()
        for number in range(8):
            assert all(get(sessions[0], pages, f'/to/{number}/{i}').from_cache for i in range(5))
        assert pages.hits() == hits
        assert warnings_about(caplog, 'Unable') == 0

    def test_clearing_and_closing_meanwhile(
        self, local: dict[str, Any], new_session: SessionFactory, pages: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        session = new_session(**local)

        def work(number: int) -> None:
            barrier.wait()
            for i in range(10):
                if number == 0:
                    session.cache.clear()
                elif number == 1:
                    session.cache.close()
                elif number == 2:
                    session.cache.delete(expired=True)
                    session.cache.urls()
                else:
                    get(session, pages, f'/to/{number}/{i % 3}')

        barrier = Barrier(8)
        run_in_threads(work, 8)
        assert warnings_about(caplog, 'Unable') == 0

    def test_a_failing_store_is_reported_by_one_of_them(
        self, new_session: SessionFactory, pages: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        session = new_session(backend='memory')

        def fail(*args: Any) -> Any:
            raise BackendError('on purpose')

        session.cache.responses = type('Failing', (dict,), {'__getitem__': fail, '__setitem__': fail})()
        run_in_threads(lambda number: get(session, pages, f'/{number}'), THREADS)
        assert warnings_about(caplog, 'Unable to read') == 1
        assert warnings_about(caplog, 'Unable to write') == 1


def open_files(part: str) -> list[str]:
    """Paths of the open files of this process that contain a text"""
    paths = []
    for link in Path('/proc/self/fd').iterdir():
        try:
            paths.append(os.readlink(link))
        except FileNotFoundError:  # noqa: PERF203 - closed by another thread, or that by which they are listed
            continue
    return [path for path in paths if part in path]


class TestProcesses:
    def test_with_default_settings(self, tmp_path: Path, pages: Origin) -> None:
        with ExitStack() as stack:
            processes = [stack.enter_context(start_worker(number, pages, tmp_path)) for number in range(PROCESSES)]
            for process in processes:
                assert process.stdout.readline() == 'ready\n', process.stderr.read()
            for process in processes:
                process.stdin.write('go\n')
                process.stdin.flush()
            for process in processes:
                _, errors = process.communicate(timeout=120)
                assert (process.returncode, errors) == (0, '')
        hits = pages.hits()
        for kind, options in KINDS.items():
            with CachedSession(tmp_path / kind, **options) as session:
                for path in [p for number in range(PROCESSES) for p in own_paths(number)]:
                    assert get(session, pages, f'/{path}').from_cache, f'a lost entry in {kind}'
                assert len(session.cache.responses) == PROCESSES * OWN_PAGES + SHARED_PAGES
        assert pages.hits() == hits
        for database in tmp_path.rglob('*.sqlite'):
            with closing(sqlite3.connect(database)) as connection:
                assert connection.execute('PRAGMA integrity_check').fetchall() == [('ok',)]


def start_worker(number: int, pages: Origin, directory: Path) -> Any:
    """A process of its own, with the same package to test as this one"""
    script = str(Path(__file__).with_name('worker.py'))
    path = os.pathsep.join([str(Path(requests_cache.__file__).parents[1]), *sys.path])
    return subprocess.Popen(
        [sys.executable, '-X', 'dev', '-W', 'error', script, str(number), pages.url('/'), str(directory)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, 'PYTHONPATH': path},
    )  # fmt: skip


def in_child(work: Callable[[], Any]) -> None:
    """Call a function in a forked child, which must neither fail nor hang"""

    def watched() -> None:
        faulthandler.dump_traceback_later(PATIENCE_SECONDS, exit=True, file=sys.__stderr__)
        work()

    run_in_child(watched)


def child_goes_on(session: CachedSession, site: Origin) -> None:
    """In a child, where the connections to the origin, and their locks, belong to the parent"""
    session.mount('http://', HTTPAdapter())
    assert_served_by_origin(session, site)


@needs_fork
@forks_with_threads
class TestForks:
    def test_after_use(self, local: dict[str, Any], new_session: SessionFactory, site: Origin) -> None:
        session = new_session(**local)
        assert_caches(session, site)

        def child() -> None:
            child_goes_on(session, site)
            assert session.get(site.url('/page')).from_cache
            session.close()

        for _ in range(3):
            in_child(child)
            assert session.get(site.url('/page')).from_cache
            assert_served_by_origin(session, site)

    def test_while_threads_are_at_work(
        self, local: dict[str, Any], new_session: SessionFactory, site: Origin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever they hold at that moment, nobody in the child waits for it"""
        # The streams that logs are written to have locks of their own, which a child never gets
        monkeypatch.setattr(logging.root.manager, 'disable', logging.CRITICAL)
        session, done = new_session(**local), Event()
        assert_caches(session, site)

        def work(number: int) -> None:
            while not done.is_set():
                session.get(site.url('/other'), force_refresh=True)
                session.cache.delete('no such key')
                session.get(site.url('/start'))

        with ThreadPoolExecutor(4) as pool:
            working = [pool.submit(work, number) for number in range(4)]
            try:
                for _ in range(8):
                    in_child(lambda: child_goes_on(session, site))
            finally:
                done.set()
            for future in working:
                future.result()
        assert_served_by_origin(session, site)

    @pytest.mark.parametrize('kind', KINDS)
    def test_while_another_thread_holds_the_lock(self, kind: str, new_session: SessionFactory, site: Origin) -> None:
        session = new_session(**KINDS[kind], busy_timeout=0.3)
        assert_caches(session, site)
        responses: Any = session.cache.responses
        hold: Callable[[], Any] = responses.bulk_commit if 'sqlite' in kind else lambda: responses.lock
        held, done = Event(), Event()

        def holder() -> None:
            with hold():
                held.set()
                done.wait(PATIENCE_SECONDS)

        thread = Thread(target=holder)
        thread.start()
        held.wait(PATIENCE_SECONDS)
        try:
            in_child(lambda: child_goes_on(session, site))
        finally:
            done.set()
            thread.join()
        assert_caches(session, site)

    def test_what_the_parent_was_renewing(self, new_session: SessionFactory, site: Origin) -> None:
        """The thread that was at it does not exist in the child, which renews the entry itself"""
        session = new_session(backend='memory', stale_while_revalidate=True)
        session.get(site.url('/page'), expire_after=-5)
        hold = site.hold()
        site.add('/page', answer(200, BODY, hold=hold))
        assert session.get(site.url('/page')).from_cache
        hold.wait_arrived()

        def child() -> None:
            session.mount('http://', HTTPAdapter())
            started = []
            refreshing = shared_by(session.cache).refreshing
            start = refreshing.start
            refreshing.start = lambda *args: started.append(start(*args))  # type: ignore[method-assign]
            assert session.get(site.url('/page')).from_cache
            assert [thread is not None for thread in started] == [True]

        in_child(child)
        hold.release()

    def test_while_caches_are_installed(self, cache_path: Path) -> None:
        """Threads that come and go with `enabled()` may hold its lock at any time"""
        done = Event()

        def work(number: int) -> None:
            while not done.is_set():
                with requests_cache.enabled(backend='memory'):
                    pass

        def child() -> None:
            requests_cache.install_cache(cache_path, backend='memory')
            requests_cache.uninstall_cache()

        with ThreadPoolExecutor(2) as pool:
            working = [pool.submit(work, number) for number in range(2)]
            try:
                for _ in range(20):
                    in_child(child)
            finally:
                done.set()
            for future in working:
                future.result()


class TestEventLoops:
    def test_in_several_threads(self, local: dict[str, Any], new_session: SessionFactory, pages: Origin) -> None:
        session = new_session(**local)

        async def ask(number: int, i: int) -> None:
            await asyncio.to_thread(get, session, pages, f'/{number}/{i % 4}')

        async def ask_all(number: int) -> None:
            await asyncio.gather(*[ask(number, i) for i in range(12)])

        run_in_threads(lambda number: asyncio.run(ask_all(number)), 4)
        hits = pages.hits()
        assert all(get(session, pages, f'/{n}/{i}').from_cache for n in range(4) for i in range(4))
        assert pages.hits() == hits

    def test_tasks_have_settings_of_their_own(self, new_session: SessionFactory, pages: Origin) -> None:
        """Who switches the cache off does so for one task, whichever thread it runs in"""
        session = new_session(backend='memory')
        get(session, pages, '/page')

        async def without_cache(inside: asyncio.Event, seen: asyncio.Event) -> None:
            with session.cache_disabled():
                inside.set()
                assert not (await asyncio.to_thread(get, session, pages, '/page')).from_cache
                await seen.wait()

        async def with_cache(inside: asyncio.Event, seen: asyncio.Event) -> None:
            await inside.wait()
            assert (await asyncio.to_thread(get, session, pages, '/page')).from_cache
            seen.set()

        async def both() -> None:
            inside, seen = asyncio.Event(), asyncio.Event()
            await asyncio.gather(without_cache(inside, seen), with_cache(inside, seen))

        asyncio.run(both())

    def test_options_stay_with_their_request(self, new_session: SessionFactory, origin: Origin) -> None:
        origin.add('/page', revalidating(answer(200, BODY, [('ETag', '"1"')])))
        session = new_session(backend='memory')

        def ask(number: int) -> bool:
            return session.get(origin.url('/page'), only_if_cached=number % 2 == 0, refresh=number % 2 == 1).ok

        async def ask_all() -> list[bool]:
            return await asyncio.gather(*[asyncio.to_thread(ask, number) for number in range(20)])

        session.get(origin.url('/page'))
        assert all(asyncio.run(ask_all()))
        assert origin.hits() == 11
