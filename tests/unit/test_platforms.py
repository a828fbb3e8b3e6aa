"""What is different on Windows and macOS, as far as it can be imitated elsewhere"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timezone
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.disk import names_in
from support.other_systems import FakeMsvcrt, ManualClock, Refusals, as_on_windows, freeze_clocks

from requests_cache import CachedSession, FileCache, SQLiteCache
from requests_cache.backends import busy_files, paths, sqlite
from requests_cache.backends.filesystem import access
from requests_cache.exceptions import BackendError, BackendUnavailableError
from requests_cache.policy.expiration import to_utc
from requests_cache.testing.origin import Origin
from requests_cache.testing.values import STRANGE_KEYS, facts, make_response

KEY = '0123456789abcdef'
LARGE = b'x' * 3_000_000
FILE_CACHES: dict[str, dict[str, Any]] = {
    'files': {},
    'bounded': {'max_cache_bytes': 50_000_000},
    'cleaned': {'delete_expired_after': 60},
}
LOCAL: dict[str, dict[str, Any]] = {
    'sqlite': {'backend': 'sqlite'},
    'sqlite-wal': {'backend': 'sqlite', 'wal': True},
    'files': {'backend': 'filesystem'},
    'bounded': {'backend': 'filesystem', 'max_cache_bytes': 50_000_000},
}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """On Windows, with a clock that moves only while somebody waits for a file"""
    clock = ManualClock()
    for module in (access, busy_files, paths):
        monkeypatch.setattr(module, 'IS_WINDOWS', True)
    monkeypatch.setattr(busy_files, '_hopeless', {})
    monkeypatch.setattr(busy_files, 'monotonic', clock.monotonic)
    monkeypatch.setattr(busy_files, 'sleep', clock.sleep)
    return clock


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch, cache_path: Path) -> Refusals:
    return Refusals(monkeypatch, cache_path)


@pytest.fixture(params=FILE_CACHES)
def cache(request: pytest.FixtureRequest, cache_path: Path) -> Iterator[FileCache]:
    with closing(FileCache(cache_path, **FILE_CACHES[request.param])) as cache:
        yield cache


class TestOpenFiles:
    """Windows refuses to open, replace or delete a file that somebody has open"""

    @pytest.mark.usefixtures('clock')
    def test_for_a_moment(self, cache: FileCache, refusals: Refusals) -> None:
        for function in ('open', 'replace', 'unlink'):
            refusals.start(function, times=2)
        long_key = 'k' * 300
        responses = cache.responses
        for number in range(2):
            for key in (KEY, long_key):
                responses[key] = make_response(number)
                assert facts(responses[key]) == facts(make_response(number))
        responses[KEY] = make_response(3)
        cache.save_response(make_response(4, content=LARGE), 'large')
        assert responses['large'].content == LARGE
        assert sorted(responses) == sorted([KEY, long_key, 'large'])
        assert cache.leases.swap(KEY, None, 'held')
        assert cache.leases.read(KEY) == 'held'
        del responses[KEY]
        assert KEY not in responses
        cache.clear()
        assert list(responses) == []
        assert refusals.count > 20

    @pytest.mark.parametrize('function', ['open', 'replace', 'unlink'])
    def test_for_good(self, function: str, cache: FileCache, refusals: Refusals, clock: ManualClock) -> None:
        cache.responses[KEY] = make_response(1)
        refusals.start(function, times=None)
        actions: dict[str, Callable[[], Any]] = {
            'open': lambda: cache.responses[KEY],
            'replace': lambda: cache.responses.update({KEY: make_response(2)}),
            'unlink': lambda: cache.responses.pop(KEY),
        }
        began = clock.now
        for _ in range(3):
            with pytest.raises(BackendError, match='another program may have it open'):
                actions[function]()
        # The first time is the only one that is waited for
        assert busy_files.BUSY_SECONDS <= clock.now - began < 1.5 * busy_files.BUSY_SECONDS

    def test_requests_go_on(
        self,
        cache: FileCache,
        refusals: Refusals,
        clock: ManualClock,
        origin: Origin,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        origin.add('/page', body='page')
        with CachedSession(backend=cache) as session:
            session.get(origin.url('/page'))
            for function in ('open', 'replace'):
                refusals.start(function, times=None)
            began = clock.now
            responses = [session.get(origin.url('/page')) for _ in range(5)]
        assert [response.text for response in responses] == ['page'] * 5
        assert clock.now - began <= 2 * busy_files.BUSY_SECONDS + 0.1
        assert any(record.levelname == 'WARNING' for record in caplog.records)

    def test_elsewhere_nobody_waits(
        self, cache: FileCache, refusals: Refusals, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(busy_files, 'IS_WINDOWS', False)
        cache.responses[KEY] = make_response(1)
        refusals.start('open', times=2)
        began = clock.now
        with pytest.raises(BackendError):
            cache.responses[KEY]
        assert clock.now == began

    @pytest.mark.usefixtures('clock')
    def test_a_directory_in_the_place_of_an_entry(self, cache: FileCache, monkeypatch: pytest.MonkeyPatch) -> None:
        """There, a directory cannot even be opened"""
        original, path = os.open, cache.responses._key2path(KEY)

        def refusing(name: Any, *args: Any) -> int:
            if os.path.isdir(name) and str(name) == str(path):
                raise PermissionError(13, 'Permission denied', str(name))
            return original(name, *args)

        monkeypatch.setattr(os, 'open', refusing)
        path.mkdir(parents=True)
        assert KEY not in cache.responses
        with pytest.raises(KeyError):
            cache.responses[KEY]

    @pytest.mark.usefixtures('clock')
    def test_a_damaged_database_that_somebody_has_open(
        self, refusals: Refusals, cache_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = cache_path.with_suffix('.sqlite')
        with closing(SQLiteCache(path)) as cache:
            cache.responses[KEY] = make_response(1)
            cache.close()
            path.write_bytes(path.read_bytes()[:100] + b'damaged' * 2000)
            refusals.start('unlink', times=None)
            monkeypatch.setattr(sqlite, 'unlink', os.unlink)
            with pytest.raises(BackendError, match='another program may have it open'):
                cache.clear()


class TestLocks:
    """On Windows a byte of a file is locked, and not a directory"""

    @pytest.fixture
    def locking(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setitem(sys.modules, 'msvcrt', FakeMsvcrt())
        return as_on_windows('backends.filesystem.locking', monkeypatch)

    @pytest.fixture
    def waits(self, locking: Any, monkeypatch: pytest.MonkeyPatch) -> ManualClock:
        clock = ManualClock()
        monkeypatch.setattr(locking, 'monotonic', clock.monotonic)
        monkeypatch.setattr(locking, 'sleep', clock.sleep)
        monkeypatch.setattr(os, 'O_BINARY', 0, raising=False)
        return clock

    def test_one_process_at_a_time(self, locking: Any, waits: ManualClock, tmp_path: Path) -> None:
        first, second = locking._AdvisoryLock(), locking._AdvisoryLock()
        first.acquire(tmp_path)
        assert first.is_held
        began = waits.now
        with pytest.raises(BackendUnavailableError, match='in use by another process'):
            second.acquire(tmp_path)
        assert waits.now - began == pytest.approx(locking.LOCK_SECONDS, abs=0.1)
        second.release()
        first.release()
        second.acquire(tmp_path)
        assert second.is_held
        second.release()

    def test_it_is_waited_for(
        self, locking: Any, waits: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = locking._AdvisoryLock(), locking._AdvisoryLock()
        first.acquire(tmp_path)
        monkeypatch.setattr(locking, 'sleep', lambda seconds: first.release())
        second.acquire(tmp_path)
        assert second.is_held
        assert not first.is_held
        second.release()

    def test_a_directory_without_locks(self, locking: Any, waits: ManualClock, tmp_path: Path) -> None:
        lock = locking._AdvisoryLock()
        lock.acquire(tmp_path / 'missing')
        assert lock.is_held
        lock.release()

    def test_a_cache_with_such_locks(
        self, locking: Any, waits: ManualClock, cache_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = FileCache(cache_path)
        cache.responses._changes = locking.ChangeLock()
        cache.leases._changes = locking.ChangeLock()
        cache.responses[KEY] = make_response(1)
        cache.save_response(make_response(2, content=LARGE), 'large')
        assert cache.leases.swap(KEY, None, 'held')
        assert sorted(cache.responses) == [KEY, 'large']
        assert len(cache.responses) == 2
        cache.clear()
        assert names_in(cache_path) == {'redirects.sqlite'}
        cache.close()


@pytest.fixture(scope='module')
def names() -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return as_on_windows('backends.filesystem.names', monkeypatch)


class TestNames:
    @staticmethod
    def assert_is_valid(name: str) -> None:
        """Microsoft, "Naming Files, Paths, and Namespaces\""""
        assert not set(name) & set('<>:"/\\|?*')
        assert name.isascii()
        assert name.isprintable()
        assert not name.endswith((' ', '.'))
        assert name.split('.', maxsplit=1)[0].rstrip().upper() not in {
            'CON', 'PRN', 'AUX', 'NUL', 'CONIN$', 'CONOUT$', *(f'{d}{n}' for d in ('COM', 'LPT') for n in range(10)),
        }  # fmt: skip

    @given(st.text(st.characters(exclude_categories=())))
    def test_any_key(self, names: Any, key: str) -> None:
        name = names.file_name(key, '.json', True)
        self.assert_is_valid(name)
        assert names.key_of(name, '.json') in (None, key)

    @pytest.mark.parametrize(
        'key', [*STRANGE_KEYS, 'CON', 'con', 'nul.txt', 'COM1', 'lpt9.x', 'a.', 'a ', 'a:b', 'a?', '"a"', 'prn  ']
    )
    def test_some_keys(self, names: Any, key: str) -> None:
        for folds_case in (False, True):
            self.assert_is_valid(names.file_name(key, '.json', folds_case))

    def test_encoded_names_leave_room_for_the_path(self, names: Any) -> None:
        """A path may have 260 characters"""
        directory = 'C:/Users/somebody.with.a.name/AppData/Local/an-application/http_cache'
        for length in range(1, 400):
            name = names.file_name('/' * length, '.json')
            large = f'{directory}/{names.LARGE_DIRECTORY}/entries.json/{name}'
            assert len(large) < 260


class TestClocks:
    """Before Python 3.13, clocks of Windows go in steps of 15.6 ms"""

    @pytest.mark.parametrize('backend', ['memory', 'filesystem'])
    def test_what_was_used_last_stays(
        self, backend: str, cache_path: Path, monkeypatch: pytest.MonkeyPatch, origin: Origin
    ) -> None:
        with CachedSession(cache_path, backend=backend, max_entries=3) as session:
            freeze_clocks(monkeypatch, lambda: 1_700_000_000.015625)
            for path in 'abcd':
                origin.add(f'/{path}', body=path)
            for path in 'abc':
                session.get(origin.url(f'/{path}'))
            assert session.get(origin.url('/a')).from_cache
            session.get(origin.url('/d'))
            left = {response.url[-1] for response in session.cache.filter()}
        assert left == {'a', 'c', 'd'}

    @pytest.mark.parametrize('backend', ['memory', 'filesystem'])
    def test_one_flight_per_key(
        self, backend: str, cache_path: Path, monkeypatch: pytest.MonkeyPatch, origin: Origin
    ) -> None:
        origin.add('/page', body='page')
        with CachedSession(cache_path, backend=backend) as session, ThreadPoolExecutor(8) as pool:
            freeze_clocks(monkeypatch, lambda: 1000.0)
            found = list(pool.map(lambda _: session.get(origin.url('/page')).text, range(40)))
        assert found == ['page'] * 40
        assert origin.hits('/page') == 1


def _fetch(session: CachedSession, url: str) -> tuple[bool, str, str]:
    with session:
        first, new = session.get(url), session.get(f'{url}-of-child')
        return first.from_cache, first.text, new.text


@pytest.mark.parametrize('options', LOCAL.values(), ids=LOCAL)
def test_processes_that_are_spawned(options: dict[str, Any], cache_path: Path, origin: Origin) -> None:
    """As on Windows and macOS, where the session is pickled for the child"""
    origin.add('/page', body='page')
    origin.add('/page-of-child', body='other')
    with CachedSession(cache_path, **options) as session:
        session.get(origin.url('/page'))
        with ProcessPoolExecutor(1, get_context('spawn')) as pool:
            found = pool.submit(_fetch, session, origin.url('/page')).result()
        assert found == (True, 'page', 'other')
        assert session.get(origin.url('/page-of-child')).from_cache
    assert origin.hits('/page') == 1


WITHOUT_POSIX = """
import os, sys
for name in ('fork', 'register_at_fork', 'geteuid', 'getuid', 'O_NONBLOCK', 'O_DIRECTORY', 'sched_getaffinity'):
    if hasattr(os, name):
        delattr(os, name)
sys.modules['fcntl'] = None
import requests_cache
from requests import Request, Response
response = Response()
response.status_code, response._content = 200, b'page'
response.request = Request('GET', 'http://a.example').prepare()
response.url = response.request.url
for backend, options in (('sqlite', {}), ('filesystem', {}), ('filesystem', {'max_entries': 5})):
    with requests_cache.CachedSession(os.path.join(sys.argv[1], backend), backend=backend, **options) as session:
        session.cache.save_response(response, 'a')
        assert session.cache.responses['a'].content == b'page'
        session.cache.delete('a')
        assert not list(session.cache.responses)
"""


def test_without_what_only_posix_has(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, '-c', WITHOUT_POSIX, str(tmp_path)], capture_output=True, text=True)
    assert done.stderr == ''


class LocalTime(datetime):
    """A time without a zone, as on Windows, where the C library knows none before 1970"""

    def astimezone(self, tz: Any = None) -> Any:
        raise OSError(22, 'Invalid argument')


def test_times_before_1970() -> None:
    assert to_utc(LocalTime(1960, 1, 2)) == datetime(1960, 1, 2, tzinfo=timezone.utc)


def test_output_that_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, it is an invalid argument to write to a pipe that was closed"""
    pytest.importorskip('click')
    from requests_cache.cli import app

    class Windows(SimpleNamespace):
        name = 'nt'

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

    class ClosedPipe:
        def __init__(self) -> None:
            self.file = (tmp_path / 'output').open('wb')

        def write(self, text: str) -> None:
            raise OSError(22, 'Invalid argument')

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    with closing(SQLiteCache(tmp_path / 'cache')) as cache:
        cache.save_response(make_response(1), KEY)
    pipe = ClosedPipe()
    monkeypatch.setattr(app, 'os', Windows())
    monkeypatch.setattr(app, 'show_logs', lambda: None)
    monkeypatch.setattr(app, '_make_output_tolerant', lambda: None)
    monkeypatch.setattr(sys, 'stdout', pipe)
    status = app.run(['info', str(tmp_path / 'cache.sqlite')])
    monkeypatch.undo()
    pipe.file.close()
    assert status == 141
