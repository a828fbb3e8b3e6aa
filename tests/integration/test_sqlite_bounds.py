"""Bounds of an SQLite cache: the size of its file, and what is in it by others"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import time_machine

from requests_cache import CachedSession, SQLiteCache
from requests_cache.backends.sqlite import SQLiteDict, leases
from requests_cache.backends.sqlite.upkeep import SLACK_BYTES
from requests_cache.testing.origin import Origin, redirect
from requests_cache.testing.rules.bounds import NOW, body
from requests_cache.testing.values import closing_all, make_response

BOUND_BYTES = 400_000


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., SQLiteDict]]:
    with closing_all(lambda **kwargs: SQLiteDict(tmp_path / 'cache', 'responses', **kwargs)) as factory:
        yield factory


@pytest.fixture
def size(tmp_path: Path) -> Callable[[], int]:
    return lambda: os.path.getsize(tmp_path / 'cache.sqlite')


@pytest.mark.parametrize('wal', [False, True])
@pytest.mark.parametrize('lengths', [(0, 500), (500, 6_000), (5_000, 90_000)], ids=str)
def test_the_file_stays_small(
    wal: bool, lengths: tuple[int, int], make: Callable[..., SQLiteDict], size: Callable[[], int]
) -> None:
    """Whatever is read in between, and so stays while its neighbours go"""
    storage = make(max_cache_bytes=BOUND_BYTES, large_body_bytes=50_000, fast_save=True, wal=wal)
    numbers, keys = random.Random(1), []
    for number in range(6 * 2 * BOUND_BYTES // sum(lengths)) if sum(lengths) > 500 else range(2_000):
        keys.append(f'{numbers.getrandbits(128):032x}')
        storage[keys[-1]] = make_response(number, content=numbers.randbytes(numbers.randint(*lengths)))
        for key in numbers.choices(keys[-100:], k=2):
            storage.get(key)
        assert keys[-1] in storage
        assert size() <= BOUND_BYTES + SLACK_BYTES
    # Not much of the room is lost to pages that are half empty
    assert sum(value.size + 700 for value in storage.values()) > 0.5 * BOUND_BYTES


def test_a_bound_that_is_lowered(make: Callable[..., SQLiteDict], size: Callable[[], int]) -> None:
    """The first write evicts what is too much, and the next ones give the space back"""
    wide = make(max_cache_bytes='10 MB')
    with wide.bulk_commit():
        for number in range(300):
            wide[f'{number}'] = body(number)
    before = size()
    narrow = make(max_cache_bytes=BOUND_BYTES)
    for number in range(30):
        narrow[f'new-{number}'] = make_response(number)
        assert sum(value.size for value in narrow.values()) <= BOUND_BYTES
    assert size() <= BOUND_BYTES + SLACK_BYTES < before
    assert set(narrow) >= {'299', 'new-0', 'new-29'}
    assert not {'0', '200'} & set(narrow)


def test_a_cache_that_had_no_bound(make: Callable[..., SQLiteDict], size: Callable[[], int]) -> None:
    """What was written first goes first; the file of such a cache can only be made smaller as a whole"""
    for number in range(100):
        make()[f'{99 - number:02}'] = body(number)
    before = size()
    storage = make(max_cache_bytes=BOUND_BYTES)
    storage['new'] = make_response(1)
    assert sum(value.size for value in storage.values()) <= BOUND_BYTES
    assert '00' in storage
    assert '99' not in storage
    for number in range(60):
        storage[f'new-{number}'] = body(number)
    assert before <= size() <= before + SLACK_BYTES
    storage.vacuum()
    assert size() <= BOUND_BYTES + SLACK_BYTES


def test_earlier_versions_and_sessions_without_bounds(tmp_path: Path, make: Callable[..., SQLiteDict]) -> None:
    """What they write and delete is accounted for by triggers"""
    storage = make(max_entries=10)
    for number in range(5):
        storage[f'{number}'] = make_response(number)
    with sqlite3.connect(tmp_path / 'cache.sqlite') as connection:
        data = connection.execute("SELECT value FROM responses WHERE key = '1'").fetchone()[0]
        for key in ('1', '2', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'):
            connection.execute(
                'INSERT OR REPLACE INTO responses (key, value, expires) VALUES (?, ?, NULL)', (key, data)
            )
        connection.execute("DELETE FROM responses WHERE key IN ('3', 'h')")
    connection.close()
    assert set(storage) == {'0', '1', '2', '4', *'abcdefg'}
    storage['new'] = make_response(1)
    assert set(storage) == {'1', '2', *'abcdefg', 'new'}
    with sqlite3.connect(tmp_path / 'cache.sqlite') as connection:
        total = connection.execute('SELECT bytes, entries FROM responses_total').fetchall()
        assert total == connection.execute('SELECT sum(size), count(*) FROM responses_index').fetchall()
    connection.close()


def _write(path: Path, name: str) -> None:
    storage = SQLiteDict(path, 'responses', max_cache_bytes=BOUND_BYTES, busy_timeout=30.0, fast_save=True)
    for number in range(60):
        storage[f'{name}-{number}'] = body(number, 20_000)
        assert os.path.getsize(f'{path}.sqlite') <= BOUND_BYTES + SLACK_BYTES
    storage.close()


def test_many_processes(tmp_path: Path, make: Callable[..., SQLiteDict]) -> None:
    with ProcessPoolExecutor(3, get_context('spawn')) as pool:
        for future in [pool.submit(_write, tmp_path / 'cache', name) for name in 'abc']:
            future.result()
    storage = make(max_cache_bytes=BOUND_BYTES)
    assert 10 <= len(storage) <= BOUND_BYTES / 20_000


def test_a_transaction_that_fails_evicts_nothing(make: Callable[..., SQLiteDict]) -> None:
    storage = make(max_entries=3)
    for key in 'abc':
        storage[key] = make_response(1)

    def write() -> None:
        with storage.bulk_commit():
            storage['d'] = make_response(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert set(storage) == {'a', 'b', 'c'}


def test_uses_are_told_at_times(make: Callable[..., SQLiteDict], monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what one process only reads is not evicted by another one"""
    monkeypatch.setattr('requests_cache.backends.eviction.FLUSH_SECONDS', 0.0)
    reader, writer = make(max_entries=3), make(max_entries=3)
    for key in 'abc':
        writer[key] = make_response(1)
    assert reader['a'] is not None
    writer['d'] = make_response(1)
    assert set(writer) == {'a', 'c', 'd'}


def test_uses_are_told_when_it_is_closed(make: Callable[..., SQLiteDict]) -> None:
    reader, writer = make(max_entries=3), make(max_entries=3)
    for key in 'abc':
        writer[key] = make_response(1)
    assert reader['a'] is not None
    reader.close()
    writer['d'] = make_response(1)
    assert set(writer) == {'a', 'c', 'd'}


def test_hits_wait_for_nobody(tmp_path: Path, make: Callable[..., SQLiteDict], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('requests_cache.backends.eviction.FLUSH_SECONDS', 0.0)
    storage = make(max_entries=3)
    for key in 'abc':
        storage[key] = make_response(1)
    with sqlite3.connect(tmp_path / 'cache.sqlite') as other:
        other.execute('BEGIN IMMEDIATE')
        assert storage['a'] is not None
        other.rollback()
    other.close()
    storage['d'] = make_response(1)  # told now
    assert set(storage) == {'a', 'c', 'd'}


class TestThroughASession:
    @pytest.fixture
    def session(self, tmp_path: Path) -> Iterator[Callable[..., CachedSession]]:
        with closing_all(lambda **kwargs: CachedSession(tmp_path / 'cache', **kwargs)) as factory:
            yield factory

    def test_a_response_that_is_too_large(self, origin: Origin, session: Callable[..., CachedSession]) -> None:
        origin.add('/large', body=bytes(300_000))
        origin.add('/small', body=b'small')
        cached = session(max_cache_bytes='200 kB')
        for stream in (False, True):
            for _ in range(2):
                response = cached.get(origin.url('/large'), stream=stream)
                assert len(response.content) == 300_000
                assert not response.from_cache
                cached.get(origin.url('/small'))
        assert cached.get(origin.url('/small')).from_cache
        assert len(cached.cache.responses) == 1

    def test_redirects_to_nothing_go(self, origin: Origin, session: Callable[..., CachedSession]) -> None:
        cached = session(max_entries=3)
        for number in range(20):
            origin.add(f'/from-{number}', redirect(f'/to-{number}'))
            origin.add(f'/to-{number}', body=b'x')
            cached.get(origin.url(f'/from-{number}'))
        assert len(cached.cache.responses) == 3
        assert len(cached.cache.redirects) < 12
        for _ in range(4):
            cached.get(origin.url('/to-0'), force_refresh=True)
        assert set(cached.cache.redirects.values()) <= set(cached.cache.responses)
        assert cached.get(origin.url('/from-19')).from_cache

    def test_settings_reach_the_responses_only(self, session: Callable[..., CachedSession]) -> None:
        cache: Any = session(max_entries=3, delete_expired_after=60).cache
        assert cache.responses.bounds is not None
        assert cache.redirects.bounds is None
        assert cache.redirects.delete_expired_after is None


def test_leases_that_nobody_holds_go(tmp_path: Path) -> None:
    with time_machine.travel(NOW, tick=False):
        cache: Any = SQLiteCache(tmp_path / 'cache', delete_expired_after=60)
        cache.leases.swap('dead', None, 'same')
        cache.leases.swap('alive', None, '1')
        table = cache.responses.leases
        table.remove_leftovers()
        table.remove_leftovers()
        assert table.read('dead') == 'same'  # seen for a moment only
        table.swap('alive', '1', '2')
        table._seen_at -= leases.ABANDONED_AFTER_SECONDS
        table.remove_leftovers()
        assert table.read('dead') is None
        assert table.read('alive') == '2'
        cache.close()
