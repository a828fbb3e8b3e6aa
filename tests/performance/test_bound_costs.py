"""What bounds cost: no write per hit, and nothing at all where there are none"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from requests_cache.backends import eviction
from requests_cache.backends.filesystem import FileDict
from requests_cache.backends.sqlite import SQLiteDict
from requests_cache.testing.values import make_response

BOUNDS = {'max_entries': 100, 'max_cache_bytes': '1 MB'}
# What a storage does for bounds is in these modules
UPKEEP = (
    'cleaning', 'eviction', 'memory_upkeep', 'sqlite.upkeep',
    'filesystem.upkeep', 'filesystem.index', 'filesystem.advance', 'filesystem.reconciling', 'filesystem.rounds',
)  # fmt: skip
# Ends with what has been imported
USE_A_CACHE = """
import sys
from datetime import datetime, timedelta, timezone
from requests_cache import CachedResponse, CachedSession

for options in ({'backend': 'memory'}, {'backend': 'sqlite'}, {'backend': 'filesystem'}):
    with CachedSession(sys.argv[1], **options) as session:
        expires = datetime.now(timezone.utc) - timedelta(days=1)
        for key in 'ab':
            session.cache.save_response(CachedResponse(), key, expires)
            assert session.cache.responses[key] is not None
        session.cache.delete(expired=True)
print(*sys.modules)
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., SQLiteDict]]:
    made = []

    def make(**kwargs: Any) -> SQLiteDict:
        made.append(SQLiteDict(tmp_path / 'cache.sqlite', 'responses', **kwargs))
        return made[-1]

    yield make
    for storage in made:
        storage.close()


@contextmanager
def statements(storage: SQLiteDict) -> Iterator[list[str]]:
    """The first words of statements that are run in the block, those of triggers included"""
    seen: list[str] = []
    with storage.connection() as connection:
        connection.set_trace_callback(lambda statement: seen.append(statement.split()[0]))
        yield seen
        connection.set_trace_callback(None)


def test_hits_write_nothing(make: Callable[..., SQLiteDict]) -> None:
    storage = make(**BOUNDS)
    for key in 'abc':
        storage[key] = make_response()
    with statements(storage) as seen:
        for key in 'abc' * 100:
            assert storage[key] is not None
    assert seen == ['SELECT'] * 300


def test_uses_are_told_together(make: Callable[..., SQLiteDict], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction, 'MAX_USES', 50)
    storage = make(**BOUNDS)
    for number in range(100):
        storage[f'{number}'] = make_response(number)
    with statements(storage) as seen:
        for number in range(100):
            assert storage[f'{number}'] is not None
    assert seen.count('BEGIN') == seen.count('COMMIT') == 2
    assert seen.count('UPDATE') == 100


def test_storages_without_bounds_are_left_alone(make: Callable[..., SQLiteDict]) -> None:
    storage = make()
    storage['a'] = make_response()
    with statements(storage) as seen:
        storage['b'] = make_response()
        assert storage['b'] is not None
        del storage['b']
    assert [each for each in seen if each != 'PRAGMA'] == [
        *('BEGIN', 'INSERT', 'COMMIT'),
        'SELECT',
        *('BEGIN', 'DELETE', 'COMMIT'),
    ]
    with storage.connection() as connection:
        made = connection.execute('SELECT name FROM sqlite_master ORDER BY name').fetchall()
        assert connection.execute('PRAGMA auto_vacuum').fetchone() == (0,)
    assert [name for (name,) in made if not name.startswith('sqlite_')] == ['expires_idx', 'responses']


def test_nothing_is_imported_for_bounds_without_any(tmp_path: Path) -> None:
    command = [sys.executable, '-c', USE_A_CACHE, str(tmp_path / 'cache')]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules = done.stdout.split()
    assert {f'requests_cache.backends.{name}.storage' for name in ('sqlite', 'filesystem')} <= set(modules)
    assert [name for name in UPKEEP if f'requests_cache.backends.{name}' in modules] == []


def test_hits_on_files_write_nothing(tmp_path: Path) -> None:
    with closing(FileDict(tmp_path / 'files', **BOUNDS, delete_expired_after=1)) as storage:
        for key in 'abc':
            storage[key] = make_response()
        with storage._bounded.index.connection() as connection:  # type: ignore[union-attr]
            seen: list[str] = []
            connection.set_trace_callback(seen.append)
        for key in 'abc' * 100:
            assert storage[key] is not None
        assert seen == []


def test_files_are_entered_in_the_index_together(tmp_path: Path) -> None:
    """One transaction for up to sixteen files that are written, whatever is evicted for them"""
    with closing(FileDict(tmp_path / 'files', max_entries=500, max_cache_bytes='1 MB')) as storage:
        storage['first'] = make_response()
        with storage._bounded.index.connection() as connection:  # type: ignore[union-attr]
            seen: list[str] = []
            connection.set_trace_callback(lambda statement: seen.append(statement.split()[0]))
        for number in range(1700):
            storage[f'{number}'] = make_response(number)
        assert seen.count('COMMIT') <= 1700 / 16 + 5
