"""This package against the published 1.3.3, as black boxes, over generated scenarios

`nox -s differential` prepares the other interpreter. By hand: a virtual environment with `requests-cache==1.3.3`,
`url-normalize==3.0.0` and `time-machine`, its interpreter in `REQUESTS_CACHE_ORACLE`, then
`pytest -m differential tests/differential`. `REQUESTS_CACHE_DIFFERENTIAL_SEED` and `…_COUNT` choose other scenarios.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from differential import directed
from differential.compare import Report, compare
from differential.exceptions import RULINGS
from differential.themes import scenarios

TESTS = Path(__file__).parents[1]
SEED, COUNT = 1, 420
DETERMINISM_SAMPLE = 13
RUN_LIMIT_SECONDS = 900

pytestmark = [pytest.mark.differential, pytest.mark.timeout(RUN_LIMIT_SECONDS)]

Scenarios = list[dict[str, Any]]
Observed = dict[str, list[dict[str, Any]]]


class Run:
    """The runner at work in a process of its own, under one of the two interpreters."""

    def __init__(self, python: str, chosen: Scenarios, directory: Path) -> None:
        directory.mkdir()
        given, self._seen, self._log = directory / 'scenarios.json', directory / 'seen.json', directory / 'log.txt'
        given.write_text(json.dumps(chosen))
        ours = python == sys.executable
        environment = {name: value for name, value in os.environ.items() if ours or name != 'PYTHONPATH'}
        environment |= {'TMPDIR': str(directory), 'PYTHONHASHSEED': '0'}
        command = [python, '-m', 'differential.runner', str(given), str(self._seen)]
        with self._log.open('w') as log:
            self._process = subprocess.Popen(command, cwd=TESTS, env=environment, stderr=log)

    def observed(self) -> dict[str, Any]:
        if self._process.wait(RUN_LIMIT_SECONDS):
            pytest.fail(f'The runner failed:\n{self._log.read_text()[-5000:]}')
        seen: dict[str, Any] = json.loads(self._seen.read_text())
        return seen

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope='module')
def published_python() -> str:
    python = os.environ.get('REQUESTS_CACHE_ORACLE')
    if not python:
        pytest.fail(
            'REQUESTS_CACHE_ORACLE must name an interpreter with requests-cache 1.3.3; see `nox -s differential`'
        )
    return python


@pytest.fixture(scope='module')
def chosen() -> Scenarios:
    seed = int(os.environ.get('REQUESTS_CACHE_DIFFERENTIAL_SEED', SEED))
    count = int(os.environ.get('REQUESTS_CACHE_DIFFERENTIAL_COUNT', COUNT))
    return [*directed.scenarios(), *scenarios(seed, count)]


@pytest.fixture(scope='module')
def both(
    chosen: Scenarios, published_python: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Observed, Observed]:
    """What was seen under the published package, and under this one."""
    place = tmp_path_factory.mktemp('runs')
    runs = [
        Run(python, chosen, place / name) for name, python in (('theirs', published_python), ('ours', sys.executable))
    ]
    try:
        theirs, ours = (run.observed() for run in runs)
    finally:
        for run in runs:
            run.stop()
    assert theirs['versions']['requests-cache'] == '1.3.3'
    assert theirs['file'] != ours['file']
    return theirs['results'], ours['results']


@pytest.fixture(scope='module')
def report(chosen: Scenarios, both: tuple[Observed, Observed]) -> Report:
    return compare(chosen, *both, RULINGS)


def test_same_responses_and_requests(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f'\n{report.summary()}')
    assert not report.unexplained, '\n'.join(map(str, report.unexplained[:20]))


def test_most_steps_are_compared(report: Report) -> None:
    """Rulings after which nothing can be compared must stay the exception."""
    assert report.steps_compared > 0.7 * report.steps_total


def test_every_ruling_is_still_needed(report: Report) -> None:
    assert not report.unused(RULINGS)


def test_hits_are_bodies_that_the_origin_sent(chosen: Scenarios, both: tuple[Observed, Observed]) -> None:
    for scenario in chosen:
        sent: set[str] = set()
        for step, seen in zip(scenario['steps'], both[1][scenario['id']], strict=True):
            sent |= {entry['sent'] for entry in seen['wire']}
            result = seen['result'] if step['op'] == 'request' else {}
            if result.get('from_cache') and result['status'] != 504 and 'content' in result:
                assert result['content'] in sent, (scenario['id'], step, result)


def test_the_harness_is_deterministic(
    chosen: Scenarios, both: tuple[Observed, Observed], published_python: str, tmp_path: Path
) -> None:
    again = chosen[::DETERMINISM_SAMPLE]
    run = Run(published_python, again, tmp_path / 'again')
    try:
        seen = run.observed()['results']
    finally:
        run.stop()
    assert compare(again, both[0], seen, ()).unexplained == []
