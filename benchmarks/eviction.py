"""Measure bounded caches: their hit rates, and the cost of bounds

    python benchmarks/eviction.py                                # everything: about an hour
    python benchmarks/eviction.py --only rates                   # hit rates; also `fill` and `hit`
    python benchmarks/eviction.py --write docs/performance.md    # put the tables into a page

Hit rates are measured with two simulated traces and a simulated clock, on the storages of this package, an exact LRU
and FIFO. They are the same in each run. Missing keys are written.

`fill` writes ten times the bound, alternating between a bounded and an unbounded storage, so that load on the machine
affects both. `hit` alternates between a bounded and an unbounded session.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from _bounds import BODIES, STORES
from _bounds_table import (
    FILL_HEADER,
    HIT_HEADER,
    PERCENTS,
    RATE_COLUMNS,
    RATE_HEADER,
    TRACE_NAMES,
    Fills,
    Hits,
    Rates,
    fill_rows,
    hit_rows,
    rate_rows,
)
from _environments import Library, environment_for, origin, redis
from _page import put_into
from _table import Row, as_markdown, as_text
from _timing import Sample

PARTS = ('rates', 'fill', 'hit')


def measure_rates(library: Library, given: argparse.Namespace) -> Rates:
    policies = [(policy, per_second) for _, policy, per_second in RATE_COLUMNS]
    options = {'keys': given.keys, 'requests': given.requests, 'policies': policies}

    def rates(case: tuple[str, int]) -> Sample:
        print('hit rates: {}, {} %'.format(*case), file=sys.stderr, flush=True)
        return library.run('bounds-rates', trace=case[0], percent=case[1], **options)

    cases = list(product(TRACE_NAMES, PERCENTS))
    # Load on the machine does not change hit rates, so they can run in parallel
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(cases, pool.map(rates, cases), strict=True))


def measure_costs(measure: Callable[..., Sample], stores: list[str], given: argparse.Namespace) -> tuple[Fills, Hits]:
    fills: Fills = {(store, body): [] for store in stores for body in BODIES if 'fill' in given.only}
    hits: Hits = {store: [] for store in stores if 'hit' in given.only and store != 'sqlite-fast'}
    for turn in range(given.rounds):
        for (store, body), samples in fills.items():
            print(f'{turn + 1}: {store}, {body}', file=sys.stderr, flush=True)
            samples.append(measure('bounds-fill', store=store, body=body, scale=given.scale))
        for store, samples in hits.items():
            samples.append(measure('bounds-hit', store=store))
    return fills, hits


def tables(library: Library, given: argparse.Namespace) -> Iterator[tuple[Row, list[Row]]]:
    """Measure, and yield the header and the rows of each table"""
    if 'rates' in given.only:
        yield RATE_HEADER, list(rate_rows(measure_rates(library, given)))
    if given.only == ['rates']:
        return
    stores = [store for store in STORES if store in given.stores]
    with ExitStack() as stack:
        options: dict[str, Any] = {'origin': stack.enter_context(origin())}
        if 'redis' in stores:
            options['redis_port'] = stack.enter_context(redis(given.venvs))
        fills, hits = measure_costs(partial(library.run, **options), stores, given)
    if fills:
        yield FILL_HEADER, list(fill_rows(fills))
    if hits:
        yield HIT_HEADER, list(hit_rows(hits))


def circumstances(given: argparse.Namespace) -> str:
    return (
        f'{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}, '
        f'{platform.system()} on {platform.machine()}, {os.cpu_count()} CPUs; {given.requests:,} requests for '
        f'{given.keys:,} keys; {given.rounds} rounds.'
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def several(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
        def parse(text: str) -> list[str]:
            words = text.split(',')
            if unknown := set(words) - set(choices):
                raise argparse.ArgumentTypeError(f'unknown: {", ".join(unknown)}; choose from {", ".join(choices)}')
            return words

        return parse

    parser.add_argument(
        '--only',
        type=several(PARTS),
        default=list(PARTS),
        help=f'what to measure, separated by commas: {",".join(PARTS)}',
    )
    stores = tuple(STORES)
    parser.add_argument(
        '--stores',
        type=several(stores),
        default=list(stores),
        help=f'stores to measure, separated by commas: {",".join(stores)}',
    )
    parser.add_argument(
        '--ours', type=Path, help='interpreter with this package installed, instead of a new environment'
    )
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--keys', type=int, default=50_000, help='number of keys that are requested more than once')
    parser.add_argument('--requests', type=int, default=500_000, help='number of requests for these keys')
    parser.add_argument('--scale', type=float, default=1.0, help='factor for the number of writes')
    default = Path(tempfile.gettempdir()) / f'requests-cache-peers-{sys.version_info[0]}.{sys.version_info[1]}'
    parser.add_argument('--venvs', type=Path, default=default, help='directory of the virtual environment')
    parser.add_argument('--write', type=Path, help='write the tables into this page')
    return parser.parse_args()


def main() -> None:
    given = arguments()
    library = Library('ours', given.ours or environment_for('ours', given.venvs))
    found, text = list(tables(library, given)), circumstances(given)
    print(text, *(as_text(header, rows) for header, rows in found), sep='\n\n')
    if given.write:
        command = '```text\npython benchmarks/eviction.py --write docs/performance.md\n```'
        put_into(given.write, 'bounds measured', [command, text, *(as_markdown(*table) for table in found)])


if __name__ == '__main__':
    main()
