"""Cases of hit rates: how many requests of a trace are answered by storages that are bounded

Time is made up, too: so many requests come in a second, however long it takes to answer them. So uses are told to the
index as often as they would be in earnest, and the rates are the same in each run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from _opening import Options
from _timing import Sample
from _traces import FIFO, TRACES, ExactLRU

START_SECONDS, SECONDS_PER_DAY, JULIAN_DAY_OF_EPOCH = 1_800_000_000, 86_400, 2_440_587.5
Ask = Callable[[int], bool]


class Clock:
    """Seconds since the epoch, as far as bounds look at them"""

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

    def rule(self, storage: Any) -> None:
        """Have triggers of an SQLite database go by it"""
        with storage.connection() as connection:
            connection.execute('PRAGMA trusted_schema = ON')
            connection.create_function('julianday', 0, lambda: self.seconds / SECONDS_PER_DAY + JULIAN_DAY_OF_EPOCH)


def asking(reader: Any, writer: Any) -> Ask:
    """Asks one storage, and writes to another, or the same, what is not there"""

    def ask(key: int) -> bool:
        name = f'{key}'
        try:
            reader[name]
        except KeyError:
            writer[name] = key
            return False
        return True

    return ask


def by_turns(asks: list[Ask]) -> Ask:
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
    yield asking(storage, storage)


@contextmanager
def sqlite(place: Path, size: int, clock: Clock) -> Iterator[Ask]:
    with _table(place, size, clock) as storage:
        yield asking(storage, storage)


@contextmanager
def two_sqlite(place: Path, size: int, clock: Clock) -> Iterator[Ask]:
    """Two processes that take turns"""
    with _table(place, size, clock) as one, _table(place, size, clock) as other:
        yield by_turns([asking(one, one), asking(other, other)])


@contextmanager
def reader_and_writer(place: Path, size: int, clock: Clock) -> Iterator[Ask]:
    """One process that only reads, and one that only writes what the first one did not find"""
    with _table(place, size, clock) as reader, _table(place, size, clock) as writer:
        yield asking(reader, writer)


@contextmanager
def _table(place: Path, size: int, clock: Clock) -> Iterator[Any]:
    from requests_cache.backends.sqlite import SQLiteDict

    path = place / 'cache.sqlite'
    with closing(SQLiteDict(path, serializer=None, fast_save=True, wal=True, max_entries=size)) as storage:
        clock.rule(storage)
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
    """The part of the requests that were hits, for each of some policies and requests in a second"""
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
            # Those of scans cannot be hits
            if key >= 0:
                number += 1
                hits += is_hit
    return hits / number
