"""Benchmarks of hit rates: how many requests of a trace a bounded storage answers

The clock is simulated: a given number of requests come in a second, however long it takes to answer them. So the index
learns of uses as often as it would in real use, and the rates are the same in each run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from _sessions import Options
from _timing import Sample
from _traces import FIFO, TRACES, ExactLRU

START_SECONDS, SECONDS_PER_DAY, JULIAN_DAY_OF_EPOCH = 1_800_000_000, 86_400, 2_440_587.5
Ask = Callable[[int], bool]


class Clock:
    """A simulated clock for the code that evicts entries, in seconds since the epoch"""

    def __init__(self, requests_per_second: float):
        self.seconds: float = START_SECONDS
        self._step = 1 / requests_per_second

    def tick(self) -> None:
        self.seconds += self._step

    @contextmanager
    def patched(self) -> Iterator[None]:
        module = 'requests_cache.backends.eviction'
        with (
            patch(f'{module}.monotonic', lambda: self.seconds),
            patch(f'{module}.time_ns', lambda: int(self.seconds * 1e9)),
        ):
            yield

    def install_in(self, storage: Any) -> None:
        """Let the triggers of an SQLite database use this clock"""
        with storage.connection() as connection:
            connection.execute('PRAGMA trusted_schema = ON')
            connection.create_function('julianday', 0, lambda: self.seconds / SECONDS_PER_DAY + JULIAN_DAY_OF_EPOCH)


def ask_storages(reader: Any, writer: Any) -> Ask:
    """A function that asks one storage for a key, and writes missing keys to a storage, which may be the same"""

    def ask(key: int) -> bool:
        name = f'{key}'
        try:
            reader[name]
        except KeyError:
            writer[name] = key
            return False
        return True

    return ask


def alternate(asks: list[Ask]) -> Ask:
    number = 0

    def ask(key: int) -> bool:
        nonlocal number
        number += 1
        return asks[number % len(asks)](key)

    return ask


@contextmanager
def exact_lru(place: Path, size: int, clock: Clock) -> Iterator[Ask]:
    yield ExactLRU(size).ask


@contextmanager
def fifo(place: Path, size: int, clock: Clock) -> Iterator[Ask]:
    yield FIFO(size).ask


@contextmanager
def memory(place: Path, size: int, clock: Clock) -> Iterator[Ask]:
    from requests_cache.backends.memory import DictStorage

    storage: Any = DictStorage(max_entries=size)
    yield ask_storages(storage, storage)


@contextmanager
def sqlite(place: Path, size: int, clock: Clock) -> Iterator[Ask]:
    with _table(place, size, clock) as storage:
        yield ask_storages(storage, storage)


@contextmanager
def two_sqlite(place: Path, size: int, clock: Clock) -> Iterator[Ask]:
    """Two processes that alternate"""
    with _table(place, size, clock) as one, _table(place, size, clock) as other:
        yield alternate([ask_storages(one, one), ask_storages(other, other)])


@contextmanager
def reader_and_writer(place: Path, size: int, clock: Clock) -> Iterator[Ask]:
    """One process that only reads, and another one that writes what the first one did not find"""
    with _table(place, size, clock) as reader, _table(place, size, clock) as writer:
        yield ask_storages(reader, writer)


@contextmanager
def _table(place: Path, size: int, clock: Clock) -> Iterator[Any]:
    from requests_cache.backends.sqlite import SQLiteDict

    path = place / 'cache.sqlite'
    with closing(SQLiteDict(path, serializer=None, fast_save=True, wal=True, max_entries=size)) as storage:
        clock.install_in(storage)
        yield storage


POLICIES = {
    'lru': exact_lru,
    'fifo': fifo,
    'memory': memory,
    'sqlite': sqlite,
    'two-sqlite': two_sqlite,
    'reader-and-writer': reader_and_writer,
}


def hit_rates(options: Options) -> Sample:
    """The ratio of hits to requests, for each policy and number of requests per second"""
    return {
        f'{policy} {per_second}': _hit_rate(options, policy, per_second) for policy, per_second in options['policies']
    }


def _hit_rate(options: Options, policy: str, per_second: float) -> float:
    size = max(1, round(options['keys'] * options['percent'] / 100))
    clock = Clock(per_second)
    hits = number = 0
    with (
        tempfile.TemporaryDirectory(dir=options['directory']) as place,
        clock.patched(),
        POLICIES[policy](Path(place), size, clock) as ask,
    ):
        for key in TRACES[options['trace']](options['keys'], options['requests']):
            clock.tick()
            is_hit = ask(key)
            # Requests of scans can never be hits, so they do not count
            if key >= 0:
                number += 1
                hits += is_hit
    return hits / number
