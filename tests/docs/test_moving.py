"""What the pages about moving from other packages say, with the real packages

A snippet after `<!-- not run: needs PACKAGE -->` runs in the virtual environment of that package, and one after
`<!-- not run: needs stored data -->` runs here, where earlier snippets of the page have left something. All others run
here as well. What is printed must be what the page promises.

`nox -s moving` makes the environments. By hand: `REQUESTS_CACHE_MOVING` names a directory that has one for each
package, named as in the comments with hyphens for spaces; then `pytest -m moving tests/docs`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from support import snippet_runner
from support.snippets import PAGES, ROOT, Snippet, example_api, snippets

from requests_cache.testing.origin import Answer, Origin, RecordedRequest

pytestmark = pytest.mark.moving
HERE = 'stored data'
MOVING_PAGES = [page for page in PAGES if page.parent == ROOT / 'docs' / 'moving']


class Interpreter:
    """A process that runs snippets, all in the same directory"""

    def __init__(self, python: Path, port: int, log: Path) -> None:
        ours = python == Path(sys.executable)
        environment = {name: value for name, value in os.environ.items() if ours or name != 'PYTHONPATH'}
        self._log = log
        with log.open('w') as errors:
            self._process = subprocess.Popen(
                [str(python), snippet_runner.__file__, str(port)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def printed(self, snippet: Snippet, page: Path) -> list[str]:
        """The lines that a snippet prints; a failure of the test if it raises"""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        code = '\n' * snippet.line + snippet.code
        self._process.stdin.write(json.dumps({'code': code, 'name': page.name}) + '\n')
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            pytest.fail(f'{page.name}:{snippet.line} failed:\n{self._log.read_text()[-5000:]}')
        text: str = json.loads(answer)
        return text.splitlines()

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def interpreter_for(tmp_path: Path, origin: Origin) -> Iterator[Callable[[str], Interpreter]]:
    """What gives the interpreter for what a snippet needs: the same one each time"""
    place = os.environ.get('REQUESTS_CACHE_MOVING')
    if not place:
        pytest.skip('REQUESTS_CACHE_MOVING must name a directory with virtual environments; see `nox -s moving`')
    started: dict[str, Interpreter] = {}

    def find(needed: str) -> Interpreter:
        if needed not in started:
            python = Path(sys.executable)
            if needed != HERE:
                python = Path(place, needed.replace(' ', '-'), 'Scripts' if os.name == 'nt' else 'bin', 'python')
            log = tmp_path.parent / f'{tmp_path.name} {needed}.log'
            started[needed] = Interpreter(python, origin.port, log)
            closing.callback(started[needed].close)
        return started[needed]

    with ExitStack() as closing:
        yield find


def any_host(request: RecordedRequest) -> Answer:
    url = f'http://{request.header("Host")}{request.path}'
    return example_api(dataclasses.replace(request, path='/' + quote(url, safe='')))


@pytest.mark.parametrize('page', MOVING_PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_pages_about_moving(page: Path, origin: Origin, interpreter_for: Callable[[str], Interpreter]) -> None:
    origin.default = any_host
    for snippet in snippets(page, 'python'):
        reason = snippet.not_run_because
        if reason and not reason.startswith('needs '):
            continue
        printed = interpreter_for(reason.removeprefix('needs ') or HERE).printed(snippet, page)
        assert printed == snippet.promised(), f'{page.name}:{snippet.line}'
