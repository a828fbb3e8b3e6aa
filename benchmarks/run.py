"""Measure this package beside the published requests-cache 1.3.3 and, if asked for, other caches for `requests`.

    python benchmarks/run.py                          # everything, against the published 1.3.3
    python benchmarks/run.py hit-json import          # the cases whose names contain one of these words
    python benchmarks/run.py --peers published,cachecontrol,hishel --rounds 9 --json figures.json
    python benchmarks/run.py --ours ''                # only the peers

Each peer gets a virtual environment of its own, made once outside the checkout (`--venvs`). Every measurement is a new
process; libraries take turns within each round (A B A B), in an order that alternates. The table shows, for each
case, the median over the rounds with the lowest and highest, and the ratio to the published package: the median, lowest
and highest of the ratios of the rounds, below 1.00 where this package is faster. For hits, `floor` is the time that
plain `requests` needs to prepare the same request (`x floor`: how many times that a hit takes); for misses it is the
whole request by plain `requests`, and what is shown is the time beyond it.

The cases: `hit-…` a stored response read again; `miss-…` a new response fetched from a local origin and stored;
`import` what importing takes beyond `requests` and `sqlite3`; `entries-…` operations on a SQLite cache of `--entries`
responses.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
REQUIREMENTS = {
    'published': ['requests-cache==1.3.3', 'url-normalize==3.0.0'],
    'cachecontrol': ['CacheControl[filecache]~=0.14.0'],
    'hishel': ['hishel[requests]~=2.0'],
}
MODULES = {'ours': 'requests_cache', 'published': 'requests_cache', 'cachecontrol': 'cachecontrol', 'hishel': 'hishel'}
PEER_CASES = {
    'cachecontrol': {'hit-json-memory', 'hit-json-filesystem', 'hit-5mb-filesystem', 'miss-json-filesystem', 'import'},
    'hishel': {'hit-json-sqlite', 'hit-5mb-sqlite', 'miss-json-sqlite', 'import'},
}
CASES = (
    'import', 'hit-json-memory', 'hit-json-sqlite', 'hit-json-filesystem', 'hit-5mb-sqlite', 'hit-5mb-filesystem',
    'miss-json-sqlite', 'miss-json-filesystem', 'entries-open', 'entries-len', 'entries-contains-1000', 'entries-urls',
    'entries-filter', 'entries-delete-expired', 'entries-clear',
)  # fmt: skip
IMPORTS_PER_ROUND = 5

Sample = dict[str, float]


@dataclass(frozen=True)
class Library:
    """A library to measure: its label and the interpreter that has it."""

    name: str
    python: Path

    def measures(self, case: str) -> bool:
        return case in PEER_CASES.get(self.name, CASES)

    def run(self, case: str, **options: Any) -> Sample:
        """One measurement in a new process; all times in seconds."""
        environment = dict(os.environ)
        if self.name != 'ours':
            environment.pop('PYTHONPATH', None)
        with tempfile.TemporaryDirectory() as directory:
            request = {'directory': directory, **options, 'library': MODULES[self.name], 'case': case}
            command = [str(self.python), str(HERE / '_worker.py'), json.dumps(request)]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        sample: Sample = json.loads(done.stdout)
        return sample


def environment_for(name: str, venvs: Path) -> Path:
    """The interpreter of the virtual environment of a peer, which is made if it is not there."""
    place = venvs / name
    python = place / ('Scripts' if os.name == 'nt' else 'bin') / 'python'
    ready = place / 'ready.txt'
    wanted = '\n'.join(REQUIREMENTS[name])
    if not ready.exists() or ready.read_text() != wanted:
        print(f'Making {place} …', file=sys.stderr)
        subprocess.run([sys.executable, '-m', 'venv', '--clear', str(place)], check=True)
        subprocess.run([str(python), '-m', 'pip', 'install', '-q', *REQUIREMENTS[name]], check=True)
        ready.write_text(wanted)
    return python


@contextmanager
def origin() -> Iterator[str]:
    """The address of the origin server, while it runs."""
    command = [sys.executable, str(HERE / '_origin.py')]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f'http://127.0.0.1:{process.stdout.readline().strip()}'
        process.communicate()


def measure(
    libraries: list[Library], cases: list[str], rounds: int, entries: int
) -> dict[str, dict[str, list[Sample]]]:
    """All samples, by case and library, in the order of the rounds."""
    samples: dict[str, dict[str, list[Sample]]] = {case: {} for case in cases}
    with origin() as address, tempfile.TemporaryDirectory() as stored:
        prefilled = {each.name: str(Path(stored) / each.name) for each in libraries if each.measures('entries-open')}
        if any(case.startswith('entries-') for case in cases):
            for library in libraries:
                if library.name in prefilled:
                    library.run('entries-prefill', origin=address, entries=entries, directory=prefilled[library.name])
        for case in cases:
            able = [library for library in libraries if library.measures(case)]
            for turn in range(rounds * (IMPORTS_PER_ROUND if case == 'import' else 1)):
                print(f'{case} {turn + 1}', end='   \r', file=sys.stderr, flush=True)
                for library in able if turn % 2 == 0 else reversed(able):
                    sample = library.run(case, origin=address, entries=entries, prefilled=prefilled.get(library.name))
                    samples[case].setdefault(library.name, []).append(sample)
    return samples


def cost(case: str, sample: Sample) -> float:
    """What the library adds: for a miss, the time beyond that of plain requests."""
    return sample['seconds'] - (sample['floor_seconds'] if case.startswith('miss-') else 0)


def duration(seconds: float) -> str:
    for limit, factor, unit in ((1e-3, 1e6, 'us'), (1, 1e3, 'ms')):
        if seconds < limit:
            return f'{seconds * factor:.1f} {unit}'
    return f'{seconds:.2f} s'


def summarise(case: str, by_library: dict[str, list[Sample]]) -> list[dict[str, Any]]:
    """One row for each library: median, lowest and highest cost, multiple of the floor, ratio to the published one."""
    baseline = [cost(case, sample) for sample in by_library.get('published', [])]
    rows = []
    for name, samples in by_library.items():
        costs = [cost(case, sample) for sample in samples]
        row: dict[str, Any] = {'case': case, 'library': name, 'rounds': len(costs)}
        row |= {'median': median(costs), 'lowest': min(costs), 'highest': max(costs)}
        if 'floor_seconds' in samples[0]:
            row['floor'] = median(sample['floor_seconds'] for sample in samples)
        if case.startswith('hit-'):
            row['times_floor'] = median(sample['seconds'] / sample['floor_seconds'] for sample in samples)
        if baseline and name != 'published':
            ratios = sorted(mine / theirs for mine, theirs in zip(costs, baseline, strict=True))
            row['ratio'] = [median(ratios), ratios[0], ratios[-1]]
        rows.append(row)
    return rows


def line(row: dict[str, Any]) -> str:
    spread = f'{duration(row["lowest"])} … {duration(row["highest"])}'
    ratio = '{:.2f} ({:.2f} … {:.2f})'.format(*row['ratio']) if 'ratio' in row else ''
    floor = f'{row["times_floor"]:.2f}' if 'times_floor' in row else ''
    return f'{row["case"]:24}{row["library"]:14}{duration(row["median"]):>11}  {spread:26}{floor:>8}  {ratio}'.rstrip()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('words', nargs='*', help='measure only the cases whose names contain one of these')
    parser.add_argument('--peers', default='published', help=f'comma-separated, of {", ".join(REQUIREMENTS)}')
    parser.add_argument('--ours', default=sys.executable, help='interpreter that has this package; empty: leave it out')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--entries', type=int, default=20_000)
    default = Path(tempfile.gettempdir()) / f'requests-cache-peers-{sys.version_info[0]}.{sys.version_info[1]}'
    parser.add_argument('--venvs', type=Path, default=default, help='where the environments of the peers are kept')
    parser.add_argument('--json', type=Path, help='also write all samples and rows to this file')
    return parser.parse_args()


def main() -> None:
    given = arguments()
    libraries = [Library(name, environment_for(name, given.venvs)) for name in given.peers.split(',') if name]
    if given.ours:
        libraries.append(Library('ours', Path(given.ours)))
    cases = [case for case in CASES if not given.words or any(word in case for word in given.words)]
    samples = measure(libraries, cases, given.rounds, given.entries)
    rows = [row for case in cases for row in summarise(case, samples[case])]
    print(f'{"case":24}{"library":14}{"median":>11}  {"lowest … highest":26}{"x floor":>8}  ratio to published')
    for row in rows:
        print(line(row))
    if given.json:
        document = {'python': sys.version, 'entries': given.entries, 'rows': rows, 'samples': samples}
        given.json.write_text(json.dumps(document, indent=2))


if __name__ == '__main__':
    main()
