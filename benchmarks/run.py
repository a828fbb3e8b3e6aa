"""Compare this package with the published requests-cache 1.3.3, CacheControl and hishel

    python benchmarks/run.py                                  # everything: about half an hour
    python benchmarks/run.py --only hit,import                # benchmarks whose names contain one of these
    python benchmarks/run.py --only stream,whole --large      # only large bodies, including those of 1 GiB
    python benchmarks/run.py --peers published --rounds 15 --json figures.json
    python benchmarks/run.py --write docs/performance.md      # put the tables into a page, and the plot beside it
    python benchmarks/run.py --only hit,miss,import --compare docs/comparison.md    # a column for each library

Each library is installed into its own virtual environment outside the checkout (`--venvs`); this package is installed
from the checkout. Every measurement runs in a new process, and libraries alternate within a round (A B C, C B A, …).
Times of hits on local stores and of imports are CPU time of the process, because other load on the machine affects it
least. All other times are wall time. Ratios compare measurements of the same round. The tables show medians and
quartiles over all rounds.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from _bars import CASES, MORE_ROUNDS, STREAM_CASES, measures
from _comparison import comparison_header, comparison_rows
from _environments import Library, environment_for, origin, redis
from _page import put_into
from _plot import plot
from _stream_table import STREAM_HEADER, stream_rows
from _table import BAR_HEADER, NAMES, TIME_HEADER, Measured, Row, as_markdown, as_text, bar_rows, time_rows

LARGE_MEBIBYTES = 1024


def measure(libraries: list[Library], cases: list[str], given: argparse.Namespace) -> Measured:
    """Run the benchmarks; returns samples by benchmark, round and library"""
    measured: Measured = {case: [] for case in cases}
    with ExitStack() as stack:
        stored = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options: dict[str, Any] = {'origin': stack.enter_context(origin()), 'entries': given.entries}
        if 'hit-redis' in cases:
            options['redis_port'] = stack.enter_context(redis(given.venvs))
        for library in libraries:
            if any(case.startswith('entries-') and measures(library.name, case) for case in cases):
                library.run('entries-prefill', **options, directory=str(stored / library.name))
        for turn in range(given.rounds * max(MORE_ROUNDS.values())):
            for case in cases:
                if turn >= given.rounds * MORE_ROUNDS.get(case, 1):
                    continue
                print(f'{turn + 1}: {case:24}', end='\r', file=sys.stderr, flush=True)
                options['mebibytes'] = LARGE_MEBIBYTES if case.startswith('large-') else given.mebibytes
                able = [library for library in libraries if measures(library.name, case)]
                measured[case].append({
                    library.name: library.run(case, **options, prefilled=str(stored / library.name))
                    for library in (able if turn % 2 == 0 else reversed(able))
                })  # fmt: skip
    return measured


def circumstances(libraries: list[Library], given: argparse.Namespace) -> str:
    import os
    import sqlite3

    versions = ', '.join(f'{NAMES[each.name]}: {each.version()}' for each in libraries)
    return (
        f'{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}, '
        f'{platform.system()} on {platform.machine()}, {os.cpu_count()} CPUs; {given.rounds} rounds; '
        f'{given.entries:,} entries for maintenance. Versions: {versions}.'
    )


def tables_of(measured: Measured) -> list[tuple[Row, list[Row]]]:
    """Header and rows of each table that is not empty"""
    headers = {bar_rows: BAR_HEADER, time_rows: TIME_HEADER, stream_rows: STREAM_HEADER}
    return [(header, found) for make, header in headers.items() if (found := list(make(measured)))]


def write_page(page: Path, text: str, measured: Measured) -> None:
    """Write the tables between the markers of a page, and the plot beside the page"""
    parts = [
        '```text\npython benchmarks/run.py --write docs/performance.md\n```',
        text,
        *(as_markdown(header, rows) for header, rows in tables_of(measured)),
    ]
    put_into(page, 'measured', parts)
    page.with_suffix('.svg').write_text(plot(measured), 'utf-8')


def write_comparison(page: Path, text: str, measured: Measured, libraries: list[str]) -> None:
    """Write the table with a column for each library between the markers of a page"""
    table = as_markdown(comparison_header(libraries), list(comparison_rows(measured, libraries)))
    put_into(page, 'measured', [text, table])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ', '.join([*CASES, *STREAM_CASES])
    parser.add_argument(
        '--only', default='', help=f'parts of names of benchmarks, separated by commas; the names are {names}'
    )
    parser.add_argument(
        '--peers', default='published,cachecontrol,hishel', help='libraries to compare with, separated by commas'
    )
    parser.add_argument(
        '--ours', type=Path, help='interpreter with this package installed, instead of a new environment'
    )
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--entries', type=int, default=200_000)
    parser.add_argument('--mebibytes', type=int, default=64, help='size of large bodies in MiB')
    parser.add_argument(
        '--large', action='store_true', help='also measure bodies of 1 GiB, for which 1.3.3 needs many GB of memory'
    )
    default = Path(tempfile.gettempdir()) / f'requests-cache-peers-{sys.version_info[0]}.{sys.version_info[1]}'
    parser.add_argument('--venvs', type=Path, default=default, help='directory of the virtual environments')
    parser.add_argument('--json', type=Path, help='write all samples to this file')
    parser.add_argument('--plot', type=Path, help='write the plot to this file')
    parser.add_argument('--write', type=Path, help='write the tables into this page, and the plot beside it')
    parser.add_argument('--compare', type=Path, help='write one table into this page, with a column for each library')
    return parser.parse_args()


def main() -> None:
    given = arguments()
    libraries = [Library('ours', given.ours or environment_for('ours', given.venvs))]
    libraries += [Library(name, environment_for(name, given.venvs)) for name in given.peers.split(',') if name]
    words = [word for word in given.only.split(',') if word]
    able = [*CASES, *(case for case in STREAM_CASES if given.large or not case.startswith('large-'))]
    cases = [case for case in able if not words or any(word in case for word in words)]
    measured = measure(libraries, cases, given)
    text = circumstances(libraries, given)
    print(text, *(as_text(header, rows) for header, rows in tables_of(measured)), sep='\n\n')
    if given.json:
        given.json.write_text(json.dumps({'circumstances': text, 'measured': measured}, indent=2), 'utf-8')
    if given.plot:
        given.plot.write_text(plot(measured), 'utf-8')
    if given.write:
        write_page(given.write, text, measured)
    if given.compare:
        write_comparison(given.compare, text, measured, [library.name for library in libraries])


if __name__ == '__main__':
    main()
