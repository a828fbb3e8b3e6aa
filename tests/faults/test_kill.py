"""Writers that are killed at any moment leave whole entries, and nothing that keeps others waiting"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from faults.killing import (
    Writer,
    assert_databases_are_whole,
    entry,
    killed_in_the_middle,
    one_killed_of_two,
    stream,
    version_of,
)
from faults.stress import ROUNDS
from requests_cache import BaseCache, FileCache, SQLiteCache

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='no processes can be forked')

# More than all entries together, and less
AMPLE_BYTES, SCARCE_BYTES = 100_000_000, 1_500_000

CACHES: dict[str, tuple[Callable[..., BaseCache], dict[str, Any]]] = {
    'sqlite': (SQLiteCache, {}),
    'sqlite-wal': (SQLiteCache, {'wal': True}),
    'sqlite-fast': (SQLiteCache, {'fast_save': True}),
    'filesystem': (FileCache, {}),
    'filesystem-lru': (FileCache, {'max_cache_bytes': AMPLE_BYTES}),
    'filesystem-full': (FileCache, {'max_cache_bytes': SCARCE_BYTES}),
    # Most bodies in pieces
    'filesystem-large': (FileCache, {'large_body_bytes': 1_000}),
    'filesystem-lru-large': (FileCache, {'large_body_bytes': 1_000, 'max_cache_bytes': AMPLE_BYTES}),
    'filesystem-full-large': (FileCache, {'large_body_bytes': 1_000, 'max_cache_bytes': SCARCE_BYTES}),
}
FULL = ('filesystem-full', 'filesystem-full-large')


@pytest.fixture(params=CACHES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_cache(name: str, cache_path: Path) -> Callable[[], BaseCache]:
    make, options = CACHES[name]
    return lambda: make(cache_path, **options)


def test_kill_in_the_middle_of_writing(name: str, make_cache: Callable[[], BaseCache], cache_path: Path) -> None:
    killed_in_the_middle(make_cache, ROUNDS, seed=1, may_lose=name in FULL)
    assert_databases_are_whole(cache_path.parent)
    if name in FULL:
        with closing(make_cache()) as cache:  # which removes leftovers before it writes
            cache.save_response(entry(0, 0), 'key 0')
        paths = [p for p in cache_path.rglob('*') if p.is_file() and not p.name.startswith('.')]
        assert sum(p.stat().st_size for p in paths if p.suffix not in ('.db', '.sqlite')) <= SCARCE_BYTES


def test_kill_one_of_two_writers(name: str, make_cache: Callable[[], BaseCache], cache_path: Path) -> None:
    if name in FULL:
        pytest.skip('entries make room for others')
    one_killed_of_two(make_cache, ROUNDS // 4, seed=2)
    assert_databases_are_whole(cache_path.parent)


def test_nothing_of_the_killed_is_left_after_clearing(
    name: str, make_cache: Callable[[], BaseCache], cache_path: Path
) -> None:
    killed_in_the_middle(make_cache, ROUNDS // 4, seed=3, may_lose=name in FULL)
    cache = make_cache()
    cache.clear()
    assert len(cache.responses) == len(cache.redirects) == 0
    cache.close()
    left = {path.name for path in cache_path.parent.rglob('*') if path.is_file()}
    assert {name.rpartition('-')[0] or name for name in left} <= {'test_cache.sqlite', 'redirects.sqlite', 'lru.db'}


def test_kill_in_the_middle_of_a_body(name: str, make_cache: Callable[[], BaseCache], cache_path: Path) -> None:
    with closing(make_cache()) as cache:
        cache.save_response(entry(0, 1), 'key 0')
        for number in (0, 1):
            writer = Writer(make_cache, first=0, worker=number, do=stream)
            try:
                writer.wait_for(25)
            finally:
                writer.kill()
        storage: Any = cache.responses
        assert list(storage) == ['key 0']
        left = sorted(key for key, _ in storage.pieces.unused())
        assert left == (['key 0', 'key 1'] if isinstance(cache, FileCache) else [])  # SQLite had yet to write any of it
    with closing(make_cache()) as cache:
        storage = cache.responses
        cache.save_response(entry(2, 1), 'key 2')
        assert list(storage.pieces.unused()) == []
        assert version_of(0, storage['key 0']) == 1
        assert sorted(storage) == ['key 0', 'key 2']
    assert [path for path in cache_path.rglob('.loose/*') if path.is_file()] == []
