"""What the tables of the comparison say, tried with the packages in the versions that they name

As `test_moving.py`, it needs `nox -s moving`. `comparison/probes.py` runs once for each column of each table.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from support.snippets import ROOT

pytestmark = pytest.mark.moving
PROBES = Path(__file__).parent / 'comparison' / 'probes.py'
PAGE = ROOT / 'docs' / 'comparison.md'
TABLES = {
    'By your own times': 'own',
    'By the HTTP standard': 'standard',
    'In either case': 'any',
    'Recording for tests': 'recording',
}
VERSION = 'from importlib.metadata import version; print(version({!r}))'
DISTRIBUTIONS = {'VCR.py': 'vcrpy'}


class Column(NamedTuple):
    table: str
    package: str
    version: str
    cells: dict[str, str]


def columns() -> list[Column]:
    """The columns of the tables that are checked"""
    found = []
    for table in re.findall(r'(?:^\|.*\|\n)+', PAGE.read_text('utf-8'), re.M):
        rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in table.splitlines()]
        if rows[0][0] in TABLES:
            for number, name in enumerate(rows[0][1:], 1):
                package, _, version = name.rpartition(' ')
                found.append(Column(rows[0][0], package, version, {row[0]: row[number] for row in rows[2:]}))
    return found


@pytest.mark.parametrize('column', columns(), ids=lambda column: f'{column.table}, {column.package} {column.version}')
def test_comparison(column: Column, tmp_path: Path) -> None:
    place = os.environ.get('REQUESTS_CACHE_MOVING')
    if not place:
        pytest.skip('REQUESTS_CACHE_MOVING must name a directory with virtual environments; see `nox -s moving`')
    names = [f'{column.package}-{column.version}', f'{column.package}-{column.version[:1]}', column.package]
    pythons = [Path(place, name, 'Scripts' if os.name == 'nt' else 'bin', 'python') for name in names]
    python = next((python for python in pythons if python.exists()), Path(sys.executable))
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH' or python == Path(sys.executable)}

    def output(*arguments: str) -> str:
        command = [str(python), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-5000:]
        return done.stdout

    assert output('-c', VERSION.format(DISTRIBUTIONS.get(column.package, column.package))).startswith(column.version)
    assert json.loads(output(str(PROBES), column.package, TABLES[column.table])) == column.cells
