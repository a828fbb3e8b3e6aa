"""The SQLite backend in many threads, processes and forks"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Lock, Thread
from typing import Any

import pytest

from requests_cache.backends.sqlite import SQLiteCache, SQLiteDict
from requests_cache.testing.rules.sharing import run_in_child, run_in_threads
from requests_cache.testing.values import facts, make_response

needs_fork = pytest.mark.skipif(not hasattr(os, 'fork'), reason='no forks here')
MODES: list[dict[str, Any]] = [{}, {'wal': True}]
WRITER = """
import sys
from requests_cache.testing.values import make_response
from requests_cache.backends.sqlite import SQLiteCache

path, name, wal = sys.argv[1:]
cache = SQLiteCache(path, wal=bool(wal))
for i in range(20):
    cache.save_response(make_response(i), f'{name} {i}')
    assert cache.get_response(f'{name} {i}').content == make_response(i).content
    cache.save_response(make_response(i), 'shared')
    if i % 10 == 9:
        assert cache.delete(f'{name} {i}') == 1
cache.close()
"""


@pytest.fixture
def make(cache_path: Path) -> Iterator[Callable[..., SQLiteCache]]:
    """Makes caches on the database of the test, and closes them at its end"""
    made: list[SQLiteCache] = []

    def factory(**options: Any) -> SQLiteCache:
        made.append(SQLiteCache(cache_path, **options))
        return made[-1]

    yield factory
    for cache in made:
        cache.close()


def integrity(path: Path) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute('PRAGMA integrity_check').fetchall()
    finally:
        connection.close()


class GuardedConnection(sqlite3.Connection):
    """A connection that two threads cannot use at once without it being noticed"""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.guard = Lock()
        self.used_at_once = 0

    def _alone(self, use: Callable[..., Any], *args: Any) -> Any:
        alone = self.guard.acquire(blocking=False)
        self.used_at_once += not alone
        try:
            return use(*args)
        finally:
            if alone:
                self.guard.release()

    def execute(self, *args: Any) -> Any:
        return self._alone(super().execute, *args)

    def commit(self) -> None:
        self._alone(super().commit)


@pytest.mark.parametrize('options', [*MODES, {'use_memory': True}], ids=str)
def test_threads_take_turns(options: dict[str, Any], make: Any) -> None:
    cache = make(factory=GuardedConnection, **options)

    def work(thread: int) -> None:
        barrier.wait()
        for i in range(10):
            cache.save_response(make_response(i), f'{thread} {i}')
            assert cache.get_response(f'{thread} {i}').content == make_response(i).content
            cache.redirects[f'{thread} {i}'] = 'x'
            assert cache.count() > 0
            assert all(r is not None for r in cache.sorted('key', limit=3))
            if i % 5 == 0:
                cache.delete(f'{thread} {i}')

    barrier = Barrier(16)
    run_in_threads(work, 16)
    assert cache.responses._connection.used_at_once == 0
    assert set(cache.responses) == {f'{t} {i}' for t in range(16) for i in range(10) if i % 5}


def test_a_transaction_of_one_thread_is_not_joined_by_another(make: Any) -> None:
    cache = make()
    started = Event()

    def write_in_vain() -> None:
        with cache.responses.bulk_commit():
            cache.responses['undone'] = make_response(1)
            started.set()
            raise ZeroDivisionError

    with ThreadPoolExecutor(2) as pool:
        undone = pool.submit(write_in_vain)
        started.wait()
        pool.submit(cache.save_response, make_response(2), 'done').result()
        with pytest.raises(ZeroDivisionError):
            undone.result()
    assert list(cache.responses) == ['done']


@pytest.mark.parametrize('wal', ['', 'wal'])
def test_processes_lose_nothing(wal: str, cache_path: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    package = Path(sys.modules['requests_cache'].__file__ or '').parents[1]
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(root), str(package)])}
    command = [sys.executable, '-W', 'error', '-c', WRITER, str(cache_path)]
    processes = [
        subprocess.Popen([*command, str(n), wal], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    errors = [p.communicate()[1] for p in processes]
    assert [p.returncode for p in processes] == [0] * 3, errors
    storage = SQLiteDict(cache_path, 'responses')
    try:
        expected = {f'{n} {i}' for n in range(3) for i in range(20) if i % 10 != 9} | {'shared'}
        assert set(storage) == expected
        assert all(value is not None for value in storage.values())
    finally:
        storage.close()
    assert integrity(cache_path.with_suffix('.sqlite')) == [('ok',)]


def fork_with_threads(work: Callable[[], Any]) -> None:
    with warnings.catch_warnings():
        # From 3.12 on, Python warns of any fork in a process with threads; this is about those that do it anyway
        warnings.simplefilter('ignore', DeprecationWarning)
        run_in_child(work)


@needs_fork
@pytest.mark.parametrize('options', MODES, ids=str)
def test_a_child_opens_a_connection_of_its_own(options: dict[str, Any], make: Any) -> None:
    cache = make(**options)
    cache.save_response(make_response(1), 'key')

    def child() -> None:
        assert cache.responses._connection is None
        assert facts(cache.get_response('key')) == facts(make_response(1))
        cache.save_response(make_response(2), 'child')
        cache.close()

    run_in_child(child)
    assert cache.contains('child')
    cache.save_response(make_response(3), 'parent')
    assert sorted(cache.responses) == ['child', 'key', 'parent']


@needs_fork
def test_a_fork_while_another_thread_is_in_a_transaction(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('requests_cache.backends.sqlite.connection.FORK_PATIENCE_SECONDS', 0.05)
    cache = make(busy_timeout=100)
    cache.save_response(make_response(1), 'before')
    inside, leave = Event(), Event()

    def write() -> None:
        with cache.responses.bulk_commit():
            cache.responses['thread'] = make_response(2)
            inside.set()
            leave.wait()

    def child() -> None:
        assert facts(cache.get_response('before')) == facts(make_response(1))
        assert not cache.contains('thread')

    thread = Thread(target=write)
    thread.start()
    inside.wait()
    try:
        fork_with_threads(child)
    finally:
        leave.set()
        thread.join()
    assert sorted(cache.responses) == ['before', 'thread']
    assert integrity(cache.db_path) == [('ok',)]


@needs_fork
def test_a_fork_within_a_transaction(make: Any) -> None:
    cache = make(busy_timeout=100)
    cache.save_response(make_response(1), 'before')

    with cache.responses.bulk_commit():
        cache.responses['inside'] = make_response(2)
        run_in_child(lambda: cache.close())
        cache.responses['after'] = make_response(3)
    assert sorted(cache.responses) == ['after', 'before', 'inside']
    assert integrity(cache.db_path) == [('ok',)]


@needs_fork
def test_children_of_many_threads(make: Any) -> None:
    """Forks while other threads read and write"""
    cache = make()
    cache.save_response(make_response(1), 'key')
    stop = Event()

    def work(thread: int) -> None:
        while not stop.is_set():
            cache.save_response(make_response(thread), f'{thread}')
            assert cache.contains('key')

    def child() -> None:
        assert facts(cache.get_response('key')) == facts(make_response(1))
        cache.save_response(make_response(1), f'child {os.getpid()}')

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(work, i) for i in range(4)]
        try:
            for _ in range(5):
                fork_with_threads(child)
        finally:
            stop.set()
        for future in working:
            future.result()
    assert sum(key.startswith('child') for key in cache.responses) == 5
    assert integrity(cache.db_path) == [('ok',)]


@needs_fork
def test_a_child_in_memory_has_a_copy(make: Any) -> None:
    cache = make(use_memory=True)
    cache.save_response(make_response(1), 'key')

    def child() -> None:
        assert cache.contains('key')
        cache.save_response(make_response(2), 'child')
        assert cache.contains('child')

    run_in_child(child)
    assert list(cache.responses) == ['key']
