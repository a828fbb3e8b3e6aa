"""Bounds of Redis caches hold with many processes, and whatever moment a writer ends at"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from multiprocessing import get_context
from typing import Any
from unittest import mock

import pytest
import redis
import time_machine
from support.redis_server import HOST, RedisClusterServers, RedisServer

from faults.killing import killed_in_the_middle
from faults.stress import ROUNDS
from requests_cache.backends.redis import RedisCache, RedisDict
from requests_cache.backends.redis.bounds.index import PendingUpdates
from requests_cache.backends.redis.bounds.scripts import WRITER_SECONDS
from requests_cache.exceptions import BackendError
from requests_cache.testing.rules.bounds import NOW, body
from requests_cache.testing.values import large, make_response

pytest_plugins = ['support.redis_fixtures']

BOUNDS = {'max_cache_bytes': 300_000, 'max_entries': 60}


@pytest.fixture(params=['server', 'cluster'])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == 'server':
        server: RedisServer = request.getfixturevalue('redis_server')
        return {'host': HOST, 'port': server.port}
    cluster: RedisClusterServers = request.getfixturevalue('redis_cluster')
    return {'host': HOST, 'port': cluster.port, 'cluster': True}


def there(storage: Any) -> dict[str, int]:
    """Entries that are there, and what they take besides the index, as the server says"""
    client, names = storage.connection, {key: storage._names(key) for key in storage}
    return {key: sum(client.memory_usage(name, samples=0) or 0 for name in of_entry) for key, of_entry in names.items()}


def accounted(storage: Any) -> dict[str, int]:
    """Entries that are accounted for, and their sizes; their sum is right"""
    rows = storage.connection.hgetall(storage._upkeep.names[2])
    numbers = {k.decode(): int(v) for k, v in rows.items() if k.startswith(b':') and v.isdigit()}
    sizes = {storage._upkeep._access.key(k): int(v) for k, v in rows.items() if not k.startswith(b':')}
    assert (numbers.get(':bytes', 0), numbers.get(':entries', 0)) == (sum(sizes.values()), len(sizes))
    return sizes


def assert_in_bounds(storage: Any) -> None:
    found = there(storage)
    assert len(found) <= BOUNDS['max_entries']
    assert sum(found.values()) <= BOUNDS['max_cache_bytes']


def _write(name: str, options: dict[str, Any]) -> None:
    with closing(RedisDict('bounded', **BOUNDS, large_body_bytes=15_000, **options)) as storage:
        for number in range(60):
            # Entries of its own, and some that others write as well
            key = f'{number % 7}' if number % 3 == 0 else f'{name}-{number}'
            storage[key] = body(number, 1_000 + 400 * (number * 7 % 60))
            storage.get(f'{name}-{number - 5}')
            if number % 4 == 0:
                storage.bulk_delete([f'{name}-{number - 2}'])
            assert_in_bounds(storage)


def test_many_processes(options: dict[str, Any]) -> None:
    with ProcessPoolExecutor(3, get_context('spawn')) as pool:
        for future in [pool.submit(_write, name, options) for name in 'abc']:
            future.result()
    with closing(RedisDict('bounded', **BOUNDS, **options)) as storage:
        assert accounted(storage).keys() >= set(storage)
        assert len(storage) > 10


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no processes can be forked')
@pytest.mark.parametrize('large_body_bytes', [1_000_000, 5_000])
def test_kill_in_the_middle_of_writing(large_body_bytes: int, options: dict[str, Any]) -> None:
    # Bodies are of up to 200 kB
    bounds = {'max_cache_bytes': 900_000, 'max_entries': 9}

    def make() -> RedisCache:
        return RedisCache('bounded', large_body_bytes=large_body_bytes, **bounds, **options)

    # In a cluster, room that was reserved by those that are dead is not given to others for a minute
    killed_in_the_middle(make, 3 if options.get('cluster') else ROUNDS, seed=1, may_lose=True)
    with closing(make()) as cache:
        sizes = accounted(cache.responses)
        assert sizes.keys() >= set(cache.responses)
        assert sum(there(cache.responses).values()) <= min(sum(sizes.values()), bounds['max_cache_bytes'])
        assert len(cache.responses) <= bounds['max_entries']


@contextmanager
def ending_after(calls: int) -> Iterator[list[int]]:
    """A block in which the process reaches no server any more after so many calls; gives how many there have been"""
    seen = [0]
    send = redis.connection.AbstractConnection.send_packed_command

    def send_some(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen[0] += 1
        if seen[0] > calls:
            raise redis.ConnectionError
        return send(self, *args, **kwargs)

    with mock.patch.object(redis.connection.AbstractConnection, 'send_packed_command', send_some):
        yield seen


def fill(storage: RedisDict) -> None:
    for number in range(8):
        storage[f'old-{number}'] = body(number, 3_000)


def small(storage: RedisDict) -> None:
    storage['new'] = body(1, 9_000)


def replacing(storage: RedisDict) -> None:
    storage['old-3'] = body(1, 9_000)
    storage['old-3'] = body(2, 10)


def in_pieces(storage: RedisDict) -> None:
    storage['new'] = large(1, 20_000)


def on_condition(storage: RedisDict) -> None:
    storage.write_if('new', body(1, 9_000), lambda stored: stored is None)
    storage.write_if('new', body(1, 3_000), lambda stored: stored is None)


def deleting(storage: RedisDict) -> None:
    storage.bulk_delete(['old-1', 'old-2', 'none'])


@pytest.mark.parametrize('act', [small, replacing, in_pieces, on_condition, deleting])
def test_an_end_at_any_moment(act: Callable[[RedisDict], None], options: dict[str, Any]) -> None:
    """What is accounted for is never less than what is there; and what nobody ever wrote is forgotten in time"""
    bounds = {'max_cache_bytes': 35_000, 'max_entries': 9}

    def make() -> Any:
        storage = RedisDict('bounded', large_body_bytes=15_000, **bounds, **options)
        storage._upkeep._writes = 0  # nothing is looked after in between
        storage.pieces.piece_bytes = 8_000
        return storage

    has_ended, calls = True, 0
    while has_ended:
        with closing(make()) as storage, closing(make()) as doomed, time_machine.travel(NOW, tick=False) as clock:
            storage.clear()
            fill(storage)
            assert len(doomed) == 8  # which connects it
            with ending_after(calls) as seen:
                with suppress(BackendError):
                    act(doomed)
                has_ended = seen[0] > calls
            sizes = accounted(storage)
            assert sizes.keys() >= set(storage)
            assert all(size <= sizes[key] for key, size in there(storage).items())
            assert sum(there(storage).values()) <= bounds['max_cache_bytes']
            clock.shift(timedelta(seconds=WRITER_SECONDS + 1))
            for number in range(12):
                storage[f'later-{number}'] = make_response(number)
                assert sum(there(storage).values()) <= bounds['max_cache_bytes']
            for _ in range(30):
                storage._upkeep.maintain()
            assert accounted(storage).keys() == set(storage)
            doomed._upkeep._pending = PendingUpdates()
        calls += 1
    assert calls > 1
