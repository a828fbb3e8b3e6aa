"""Ctrl+C at any line of the code that holds locks: nothing stays locked, and nothing half-done"""

from __future__ import annotations

import gc
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from linecache import getline
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from requests_cache import BaseCache, FileCache, SQLiteCache, new_encryption_key
from requests_cache.backends.filesystem import advance, directory, locking, lru_index, reconciling, rounds, upkeep
from requests_cache.backends.filesystem import index as filesystem_index
from requests_cache.backends.filesystem import storage as filesystem_storage
from requests_cache.backends.sqlite import access as sqlite_access
from requests_cache.backends.sqlite import connection as sqlite_connection
from requests_cache.backends.sqlite import database as sqlite_database
from requests_cache.backends.sqlite import storage as sqlite_storage
from requests_cache.exceptions import BackendUnavailableError
from requests_cache.testing.values import make_response

MODULES = {
    module.__file__
    for module in (
        advance, directory, filesystem_index, filesystem_storage, locking, lru_index, reconciling, rounds, upkeep,
        sqlite_access, sqlite_connection, sqlite_database, sqlite_storage,
    )
}  # fmt: skip
CACHES: dict[str, Callable[[Path], BaseCache]] = {
    'sqlite': lambda path: SQLiteCache(path, busy_timeout=0.1, fast_save=True),
    'sqlite-wal': lambda path: SQLiteCache(path, wal=True, busy_timeout=0.1, fast_save=True),
    'sqlite-memory': lambda path: SQLiteCache(path, use_memory=True, busy_timeout=0.1),
    'filesystem': lambda path: FileCache(path, busy_timeout=0.1, fast_save=True),
    'filesystem-lru': lambda path: FileCache(path, max_cache_bytes=10**6, busy_timeout=0.1, fast_save=True),
}
ACTIONS: dict[str, Callable[[BaseCache], Any]] = {
    'read': lambda cache: cache.get_response('key'),
    'read after closing': lambda cache: (cache.close(), cache.get_response('key')),
    'miss': lambda cache: cache.get_response('other'),
    'save': lambda cache: cache.save_response(make_response(1), 'key'),
    'delete': lambda cache: cache.delete('other', 'third'),
    'clear': lambda cache: cache.redirects.clear(),
    'iterate': lambda cache: list(cache.filter()),
}


class Interruption:
    """Raises KeyboardInterrupt at the nth line that is run in the modules that this is about"""

    def __init__(self, line: int):
        self.left = line

    def __enter__(self) -> Interruption:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename not in MODULES:
            return None
        entered = set()

        def trace_lines(frame: FrameType, event: str, arg: object) -> Any:
            if event == 'line':
                line = getline(frame.f_code.co_filename, frame.f_lineno).strip()
                # Signals are not handled there, nor at the end of a block, which is reported as another `with`
                if line != 'try:' and not (line.startswith('with ') and frame.f_lineno in entered):
                    self.left -= 1
                    if self.left == 0:
                        raise KeyboardInterrupt
                entered.add(frame.f_lineno)
            return trace_lines

        return trace_lines


def interrupted(action: Callable[[], Any]) -> Iterator[int]:
    """Interrupt an action at each line in turn, until it comes to its end"""
    for line in range(1, 10_000):
        interruption = Interruption(line)
        try:
            with interruption:
                action()
        except KeyboardInterrupt:
            pass
        if interruption.left > 0:
            return
        yield line
    raise AssertionError('it has no end')


# A connection is lost, and thereby closed, if the interruption comes between making and keeping it
pytestmark = [
    pytest.mark.filterwarnings('ignore:unclosed database:ResourceWarning'),
    # Or while a lock that was released is let go of, where an exception cannot be raised
    pytest.mark.filterwarnings(
        'ignore:Exception ignored in. <function _AdvisoryLock:pytest.PytestUnraisableExceptionWarning'
    ),
]


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sqlite_connection, 'MIN_LOCK_SECONDS', 0.1)
    monkeypatch.setattr(locking, 'LOCK_SECONDS', 0.1)
    yield
    gc.collect()


@pytest.mark.parametrize('action', ACTIONS)
@pytest.mark.parametrize('name', CACHES)
def test_others_go_on(name: str, action: str, cache_path: Path) -> None:
    if (name, action) == ('sqlite-memory', 'read after closing'):
        pytest.skip('it ends when it is closed')
    with closing(CACHES[name](cache_path)) as cache, ThreadPoolExecutor(1) as others:
        cache.save_response(make_response(0), 'key')
        lines = 0
        for line in interrupted(lambda: ACTIONS[action](cache)):
            lines = line
            try:
                assert others.submit(cache.get_response, 'key').result() is not None
                others.submit(cache.save_response, make_response(0), 'key').result()
            except BackendUnavailableError as e:
                pytest.fail(f'locked after an interruption at line {line}: {e}')
            for database in cache_path.parent.rglob('*.sqlite'):
                with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as other_process:
                    other_process.execute('BEGIN IMMEDIATE')
        assert lines > 0


@pytest.mark.parametrize('backend', [SQLiteCache, FileCache])
def test_a_change_of_keys_can_be_gone_on_with(backend: Callable[..., BaseCache], cache_path: Path) -> None:
    old, new = new_encryption_key(), new_encryption_key()
    options: dict[str, Any] = {'fast_save': True, 'large_body_bytes': 500, 'busy_timeout': 0.1}
    contents = {'small': b'content', 'large': b'content ' * 100}
    with closing(backend(cache_path, encryption_key=old, **options)) as cache:
        for key, content in contents.items():
            cache.save_response(make_response(1, content=content), key)
    with closing(backend(cache_path, encryption_key=[new, old], **options)) as cache:
        for line in interrupted(cache.reencrypt):
            assert {key: response.content for key, response in cache.responses.items()} == contents, line
    with closing(backend(cache_path, encryption_key=new, **options)) as cache:
        assert {key: response.content for key, response in cache.responses.items()} == contents


def test_a_transaction_is_undone(cache_path: Path) -> None:
    with closing(SQLiteCache(cache_path, busy_timeout=0.1, fast_save=True)) as cache:
        cache.redirects['before'] = 'a'

        def change() -> None:
            with cache.redirects.bulk_commit():
                cache.redirects['new'] = 'b'
                cache.redirects['newer'] = 'c'

        for line in interrupted(change):
            found = set(cache.redirects)
            assert found in ({'before'}, {'before', 'new', 'newer'}), line
            cache.redirects.bulk_delete(['new', 'newer'])
