"""Writers that are killed at any moment leave whole entries, and nothing that keeps others waiting"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.killing import assert_databases_are_whole, killed_in_the_middle, one_killed_of_two
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
}


@pytest.fixture(params=CACHES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_cache(name: str, cache_path: Path) -> Callable[[], BaseCache]:
    make, options = CACHES[name]
    return lambda: make(cache_path, **options)


def test_kill_in_the_middle_of_writing(name: str, make_cache: Callable[[], BaseCache], cache_path: Path) -> None:
    killed_in_the_middle(make_cache, ROUNDS, seed=1, may_lose=name == 'filesystem-full')
    assert_databases_are_whole(cache_path.parent)
    if name == 'filesystem-full':
        assert sum(path.stat().st_size for path in cache_path.glob('*.json')) <= SCARCE_BYTES


def test_kill_one_of_two_writers(name: str, make_cache: Callable[[], BaseCache], cache_path: Path) -> None:
    if name == 'filesystem-full':
        pytest.skip('entries make room for others')
    one_killed_of_two(make_cache, ROUNDS // 4, seed=2)
    assert_databases_are_whole(cache_path.parent)


def test_nothing_of_the_killed_is_left_after_clearing(
    name: str, make_cache: Callable[[], BaseCache], cache_path: Path
) -> None:
    killed_in_the_middle(make_cache, ROUNDS // 4, seed=3, may_lose=name == 'filesystem-full')
    cache = make_cache()
    cache.clear()
    assert len(cache.responses) == len(cache.redirects) == 0
    cache.close()
    left = {path.name for path in cache_path.parent.rglob('*') if path.is_file()}
    assert {name.rpartition('-')[0] or name for name in left} <= {'test_cache.sqlite', 'redirects.sqlite', 'lru.db'}
