"""The tables about bounded caches"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from _bounds import KINDS
from _table import Row, spread
from _timing import Sample

# Traces, and sizes of the cache in percent of the keys, in the order of the rows of the table
TRACE_NAMES = {'zipf': 'Zipf', 'scans': 'Zipf with scans'}
PERCENTS = (1, 5, 10)
REQUESTS_PER_SECOND = 100
# Heading, policy, and requests per second, which makes a difference for some policies
RATE_COLUMNS = (
    ('exact LRU', 'lru', REQUESTS_PER_SECOND),
    ('FIFO', 'fifo', REQUESTS_PER_SECOND),
    ('memory', 'memory', REQUESTS_PER_SECOND),
    ('SQLite', 'sqlite', REQUESTS_PER_SECOND),
    ('two processes', 'two-sqlite', REQUESTS_PER_SECOND),
    ('one reads, one writes; 10/s', 'reader-and-writer', 10),
    ('the same, 100/s', 'reader-and-writer', 100),
    ('the same, 1000/s', 'reader-and-writer', 1000),
)
STORE_NAMES = {
    'memory': 'memory',
    'sqlite': 'SQLite',
    'sqlite-fast': 'SQLite, `fast_save=True`',
    'filesystem': 'files',
    'redis': 'Redis on loopback',
}
BODY_NAMES = {'small': 'small JSON', '10kb': '10 kB', '1mb': '1.2 MB in pieces'}
WRITE_LIMIT, HIT_LIMIT = 1.3, 1.05
NOT_MEASURED = '-'

# Hit rates by trace and percent; samples of all rounds by store and body; samples of all rounds by store
Rates = dict[tuple[str, int], Sample]
Fills = dict[tuple[str, str], list[Sample]]
Hits = dict[str, list[Sample]]

RATE_HEADER = ['requests', 'cache, of the keys', *(heading for heading, _, _ in RATE_COLUMNS)]
FILL_HEADER = [
    'store', 'body', 'a write, x unbounded', 'bar', 'met', 'its CPU time, x unbounded', 'slowest write (unbounded)',
    'entries kept', 'size, x the bound',
]  # fmt: skip
HIT_HEADER = ['store', 'a hit, x unbounded', 'bar', 'met']


def rate_rows(rates: Rates) -> Iterator[Row]:
    for (trace, percent), sample in rates.items():
        cells = (sample[f'{policy} {per_second}'] for _, policy, per_second in RATE_COLUMNS)
        yield [TRACE_NAMES[trace], f'{percent} %', *(f'{100 * cell:.1f} %' for cell in cells)]


def fill_rows(fills: Fills) -> Iterator[Row]:
    for (store, body), rounds in fills.items():
        cpu = median(each['bounded cpu'] / each['unbounded cpu'] for each in rounds)
        slowest, unbounded = (1000 * median(each[f'{kind} slowest'] for each in rounds) for kind in KINDS)
        size = median(each['size'] / each['bound'] for each in rounds)
        yield [
            STORE_NAMES[store],
            BODY_NAMES[body],
            *_compared(rounds, WRITE_LIMIT),
            f'{cpu:.2f}',
            f'{slowest:.1f} ms ({unbounded:.1f} ms)',
            ' of '.join(f'{rounds[-1][f"{kind} entries"]:.0f}' for kind in KINDS),
            f'{size:.2f}' if size else NOT_MEASURED,
        ]


def hit_rows(hits: Hits) -> Iterator[Row]:
    for store, rounds in hits.items():
        yield [STORE_NAMES[store], *_compared(rounds, HIT_LIMIT)]


def _compared(rounds: list[Sample], limit: float) -> Row:
    low, middle, high = spread([each['bounded'] / each['unbounded'] for each in rounds])
    return [f'{middle:.2f} ({low:.2f} … {high:.2f})', f'≤ {limit:g}', 'yes' if middle <= limit else 'no']
