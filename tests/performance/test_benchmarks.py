"""The benchmark command runs, and writes what it measured into a page"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

SCRIPT = Path(__file__).parents[2] / 'benchmarks' / 'run.py'
# No environments are made: the package is measured where it is installed, and alone
OPTIONS = [
    '--ours',
    sys.executable,
    '--peers',
    '',
    '--only',
    'hit-memory,entries-len',
    '--rounds',
    '1',
    '--entries',
    '20',
]


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
    labels = [element.text for element in ElementTree.parse(tmp_path / 'page.svg').iter() if element.text]
    assert 'this package, memory' in labels
