"""The benchmarks, what each is compared with, and the limits that the results have to meet"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from _timing import Sample

# The sample of each library in one round
Round = dict[str, Sample]

ENTRIES_CASES = (
    'entries-open', 'entries-len', 'entries-contains', 'entries-urls', 'entries-filter', 'entries-expired-10',
    'entries-expired-50', 'entries-expired-100', 'entries-clear',
)  # fmt: skip
CASES = {
    'hit-sqlite': 'hit, small JSON, SQLite',
    'hit-memory': 'hit, memory',
    'hit-filesystem': 'hit, files (JSON)',
    'hit-redis': 'hit, Redis on loopback',
    'hit-strict': "hit, SQLite, `cache_control='strict'`",
    'hit-5mb-sqlite': 'hit, 5 MB, SQLite',
    'hit-5mb-filesystem': 'hit, 5 MB, files',
    'miss-sqlite': 'miss, SQLite (beyond the origin)',
    'miss-filesystem': 'miss, files (beyond the origin)',
    'import': 'import beyond `requests`, `sqlite3`',
    'threads-8': 'a hit by 8 threads, one SQLite file',
    'processes-4': 'a hit by 4 processes, one SQLite file',
    'callers-50': '50 threads, one URL that is not stored, SQLite',
    'entries-open': 'open and look up a key',
    'entries-len': '`len()`',
    'entries-contains': '1000 x `contains()`',
    'entries-urls': '`urls()`',
    'entries-filter': '`filter(expired=False)`',
    'entries-expired-10': '`delete(expired=True)`, 10 % expired',
    'entries-expired-50': '`delete(expired=True)`, 50 % expired',
    'entries-expired-100': '`delete(expired=True)`, all expired',
    'entries-clear': '`clear()`',
}
STREAM_CASES = {
    'stream-sqlite': 'SQLite, `stream=True`',
    'stream-filesystem': 'files, `stream=True`',
    'stream-memory': 'memory, `stream=True`',
    'whole-sqlite': 'SQLite',
    'whole-filesystem': 'files',
    'whole-memory': 'memory',
}
STREAM_CASES |= {f'large-{case}': label for case, label in STREAM_CASES.items()}
MORE_ROUNDS = {'import': 5, 'entries-len': 2, 'entries-open': 2}
OWN_CASES = {'hit-strict'}
PEER_CASES = {
    # Where ours is on SQLite, CacheControl uses its file cache
    'cachecontrol': {'hit-memory', 'hit-sqlite', 'hit-filesystem', 'hit-5mb-filesystem', 'miss-filesystem', 'import'},
    'hishel': {
        'hit-sqlite', 'hit-5mb-sqlite', 'miss-sqlite', 'import', 'stream-sqlite', 'whole-sqlite', 'large-stream-sqlite',
        'large-whole-sqlite',
    },
}  # fmt: skip


def measures(library: str, case: str) -> bool:
    return case in PEER_CASES.get(library, {**CASES, **STREAM_CASES}) and (library == 'ours' or case not in OWN_CASES)


@dataclass(frozen=True)
class Bar:
    """A quantity with its limit

    Args:
        case: The name of the benchmark
        quantity: What is compared, in words
        of: Calculates the quantity from the samples of one round; raises `KeyError` if one of them is missing
        limit: The limit to meet; None for a quantity that is only shown for comparison
        stretch: A more ambitious limit, if there is one
        at_least: Whether the limit is a minimum instead of a maximum
    """

    case: str
    quantity: str
    of: Callable[[Round], float]
    limit: float | None
    stretch: float | None = None
    at_least: bool = False

    def is_met_by(self, value: float) -> bool:
        assert self.limit is not None
        return value >= self.limit if self.at_least else value <= self.limit


def per(name: str) -> Callable[[Round], float]:
    """Our time as a multiple of another time in the same sample"""
    return lambda measured: measured['ours']['seconds'] / measured['ours'][name]


def cost(measured: Round, library: str) -> float:
    """Time of a library, as a multiple of the floor if that was measured too, because this evens out noise"""
    sample = measured[library]
    return sample['seconds'] / sample.get('floor', 1.0)


def times_faster_than(library: str) -> Callable[[Round], float]:
    return lambda measured: cost(measured, library) / cost(measured, 'ours')


def our_value(name: str, factor: float = 1.0) -> Callable[[Round], float]:
    return lambda measured: measured['ours'][name] * factor


def times_the_parts(measured: Round) -> float:
    sample = measured['ours']
    return sample['seconds'] / (sample['get'] + sample['sqlite'])


def throughput(measured: Round) -> float:
    return measured['ours']['alone'] / measured['ours']['seconds']


def throughput_of_preparing(measured: Round) -> float:
    return measured['ours']['floor alone'] / measured['ours']['floor']


def _bars() -> list[Bar]:
    published, faster = times_faster_than('published'), 'x faster than 1.3.3'
    bars = [
        Bar('hit-sqlite', 'x preparing the request', per('floor'), 2.0, 1.5),
        Bar('hit-sqlite', faster, published, 2.5, 4, at_least=True),
        Bar('hit-sqlite', 'x faster than CacheControl on files', times_faster_than('cachecontrol'), 1, at_least=True),
        Bar('hit-sqlite', 'x faster than hishel on SQLite', times_faster_than('hishel'), 1, at_least=True),
        Bar('hit-memory', 'x preparing the request', per('floor'), 1.8, 1.4),
        Bar('hit-filesystem', 'x preparing the request', per('floor'), 2.2, 1.7),
        Bar('hit-redis', 'x (bare GET + hit on SQLite)', times_the_parts, 1.5),
        Bar('hit-strict', 'x the plain hit', per('plain'), 1.15),
    ]
    for backend in ('sqlite', 'filesystem'):
        bars += [
            Bar(f'hit-5mb-{backend}', 'x reading the bytes', per('raw'), 2, 1.3),
            Bar(f'hit-5mb-{backend}', 'copies of the body', our_value('copies'), 3),
        ]
    bars += [
        Bar('miss-sqlite', 'x what 1.3.3 adds', lambda m: cost(m, 'ours') / cost(m, 'published'), 0.5, 0.25),
        Bar('import', 'ms', our_value('seconds', 1000), 60, 30),
        Bar('threads-8', 'x throughput of one', throughput, 1, at_least=True),
        Bar('threads-8', 'the same of preparing the request', throughput_of_preparing, None),
        Bar('processes-4', 'x throughput of one', throughput, 1, at_least=True),
        Bar('callers-50', 'requests at the origin', our_value('requests'), 1),
        Bar('callers-50', 'the same by 1.3.3', lambda measured: measured['published']['requests'], None),
        Bar('callers-50', faster, published, 1, at_least=True),
    ]
    bars += [Bar(case, faster, published, 3, 10, at_least=True) for case in ENTRIES_CASES]
    return bars


BARS = _bars()


def values(bar: Bar, rounds: list[Round]) -> list[float]:
    """The quantity in each round; empty if a library that it needs was not measured"""
    with suppress(KeyError):
        return [bar.of(measured) for measured in rounds]
    return []
