"""The benchmark command runs, and writes what it measured into a page"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

SCRIPT = Path(__file__).parents[2] / 'benchmarks' / 'run.py'
# No environments are made: the package is measured where it is installed, and alone
OPTIONS = [
    '--ours',
    sys.executable,
    '--peers',
    '',
    '--only',
    'hit-memory,entries-len,callers,stream-filesystem,whole-memory',
    '--rounds',
    '1',
    '--entries',
    '20',
    '--mebibytes',
    '2',
]
Sample = dict[str, float]


def test_tables_and_plot(tmp_path: Path) -> None:
    page = tmp_path / 'page.md'
    page.write_text('# Before\n<!-- measured: start -->\nold\n<!-- measured: end -->\nAfter\n')
    command = [sys.executable, str(SCRIPT), *OPTIONS, '--venvs', str(tmp_path), '--write', str(page)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = page.read_text('utf-8')
    assert text.startswith('# Before\n<!-- measured: start -->')
    assert text.endswith('<!-- measured: end -->\nAfter\n')
    assert 'old' not in text
    rows = [line for line in text.splitlines() if line.startswith('| hit, memory |')]
    assert ['x preparing the request' in row for row in rows] == [True, False]
    assert '| `len()` | this package |' in text
    assert '| requests at the origin | 1.00 (1.00 … 1.00) | ≤ 1 |  | yes |' in text
    for body in ('2 MiB, files, `stream=True`', '2 MiB, memory'):
        for step in ('miss', 'hit'):
            (row,) = (line for line in text.splitlines() if line.startswith(f'| {body}, {step} | total, x plain |'))
            assert row.split(' | ')[3] != '-', 'it was not measured'
    labels = [element.text for element in ElementTree.parse(tmp_path / 'page.svg').iter() if element.text]
    assert 'this package, memory' in labels


def test_tables_of_bounds(tmp_path: Path) -> None:
    page = tmp_path / 'page.md'
    page.write_text('# Before\n<!-- bounds measured: start -->\nold\n<!-- bounds measured: end -->\nAfter\n')
    less = ['--stores', 'memory,sqlite', '--rounds', '1', '--scale', '0.02', '--keys', '400', '--requests', '1000']
    command = [sys.executable, str(SCRIPT.with_name('eviction.py')), '--ours', sys.executable, *less]
    done = subprocess.run([*command, '--write', str(page)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = page.read_text('utf-8')
    assert text.startswith('# Before\n<!-- bounds measured: start -->')
    assert text.endswith('<!-- bounds measured: end -->\nAfter\n')
    assert 'old' not in text
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in text.splitlines() if line.startswith('|')]
    rates = {tuple(row[:2]): [float(cell.rstrip(' %')) for cell in row[2:]] for row in rows if 'Zipf' in row[0]}
    assert len(rates) == 6
    for lru, fifo, memory, sqlite, two, *split in rates.values():
        assert fifo < lru
        assert memory == sqlite
        assert abs(lru - memory) <= 1
        assert abs(lru - two) <= 1
        assert all(fifo - 1 <= rate <= lru for rate in split)
    fills = [row for row in rows if len(row) == 9 and row[0] in ('memory', 'SQLite')]
    assert [row[1] for row in fills] == ['small JSON', '10 kB', '1.2 MB in pieces'] * 2
    for row in fills:
        kept, written = map(int, row[7].split(' of '))
        assert 0 < kept < written
    assert [row[0] for row in rows if len(row) == 4] == ['store', '---', 'memory', 'SQLite']


def test_a_page_without_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    page = tmp_path / 'page.md'
    page.write_text('# Page\n')
    with pytest.raises(ValueError, match='no place'):
        import_module('_page').put_into(page, 'measured', ['text'])
    assert page.read_text() == '# Page\n'


class TestTableOfLargeBodies:
    """Made of samples that nobody measured"""

    @pytest.fixture
    def rows(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[tuple[str, str], list[str]]]:
        """The rows of a case, by body and quantity"""
        monkeypatch.syspath_prepend(str(SCRIPT.parent))
        table: Any = import_module('_stream_table')

        def make(case: str, *rounds: dict[str, Sample]) -> dict[tuple[str, str], list[str]]:
            return {(row[0], row[1]): row[2:] for row in table.stream_rows({case: list(rounds)})}

        return make

    @staticmethod
    def sample(total: float = 0.12, peak: float = 6.0, **more: float) -> Sample:
        plain = {'plain first': 0.01, 'plain total': 0.1, 'plain peak': 4.0}
        miss = {'miss first': 0.02, 'miss total': total, 'miss peak': peak}
        hit = {'hit first': 0.035, 'hit total': 0.05, 'hit peak': 4.0}
        return {'mebibytes': 64, **plain, **miss, **hit, **more}

    def test_streamed(self, rows: Any) -> None:
        slow = self.sample(total=0.9, peak=200)
        found = rows('stream-sqlite', {'ours': self.sample(), 'published': slow, 'hishel': self.sample()})
        body = '64 MiB, SQLite, `stream=True`'
        assert found == {
            (f'{body}, miss', 'first chunk, ms over plain'): [
                '10 ms', '10.00 (10.00 … 10.00)', '10.00', '10.00', '≤ 20', 'yes',
            ],
            (f'{body}, miss', 'total, x plain'): ['100 ms', '1.20 (1.20 … 1.20)', '9.00', '1.20', '≤ 1.6', 'yes'],
            (f'{body}, miss', 'peak memory, MiB over plain'): [
                '4.0 MiB', '2.00 (2.00 … 2.00)', '196.00', '2.00', '≤ 4', 'yes',
            ],
            (f'{body}, hit', 'first chunk, ms over plain'): [
                '10 ms', '25.00 (25.00 … 25.00)', '25.00', '25.00', '≤ 20', 'no',
            ],
            (f'{body}, hit', 'total, x plain'): ['100 ms', '0.50 (0.50 … 0.50)', '0.50', '0.50', '≤ 1.6', 'yes'],
            (f'{body}, hit', 'peak memory, MiB over plain'): [
                '4.0 MiB', '0.00 (0.00 … 0.00)', '0.00', '0.00', '≤ 4', 'yes',
            ],
        }  # fmt: skip

    def test_whole(self, rows: Any) -> None:
        rounds = [{'ours': self.sample(peak=peak, total=0.14)} for peak in (36, 68, 100)]
        found = rows('whole-filesystem', *rounds)
        assert [quantity for _, quantity in found] == ['total, x plain', 'peak memory, bodies over plain'] * 2
        peak = found['64 MiB, files, miss', 'peak memory, bodies over plain']
        assert peak == ['4.0 MiB', '1.00 (0.75 … 1.25)', '-', '-', '≤ 1.1', 'yes']
        assert found['64 MiB, files, miss', 'total, x plain'][-2:] == ['≤ 1.3', 'no']

    def test_memory_keeps_what_it_stores(self, rows: Any) -> None:
        found = rows('large-stream-memory', {'ours': self.sample(mebibytes=1024)})
        assert found['1 GiB, memory, `stream=True`, miss', 'peak memory, MiB over plain'][-2:] == ['', '']
        assert found['1 GiB, memory, `stream=True`, hit', 'peak memory, MiB over plain'][-2:] == ['≤ 4', 'yes']

    def test_failures(self, rows: Any) -> None:
        """What a library did not do is neither left out nor taken for met"""
        no_hit = {name: value for name, value in self.sample().items() if not name.startswith('hit ')}
        found = rows(
            'stream-sqlite', {'ours': self.sample(), 'published': no_hit}, {'ours': no_hit, 'published': no_hit}
        )
        assert found['64 MiB, SQLite, `stream=True`, hit', 'total, x plain'] == ['100 ms', '-', '-', '-', '≤ 1.6', 'no']
        assert found['64 MiB, SQLite, `stream=True`, miss', 'total, x plain'][-1] == 'yes'

    def test_without_memory(self, rows: Any) -> None:
        sample = {name: value for name, value in self.sample().items() if not name.endswith(' peak')}
        found = rows('stream-filesystem', {'ours': sample})
        assert [quantity for _, quantity in found] == ['first chunk, ms over plain', 'total, x plain'] * 2
