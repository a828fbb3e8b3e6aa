"""Every Python snippet of the README and the guide runs, offline, and prints what it says it prints

The snippets of a page share their names and run from top to bottom, as a reader would type them. A line
`print(…)  # text` must print that text. Comments before a snippet say what is done with it:

* `<!-- not run: REASON -->`: it is compiled only.
* `<!-- needs: PACKAGE, PACKAGE -->`: it is compiled only where one of these packages is missing, and the test of the
  page is then reported as skipped. `nox -s docs` has all of them.
* `<!-- file: NAME -->`: it is written to this file, which later snippets and commands may import or run.

So do commands in a `console` snippet, after a dollar sign. What they write is compared but for white space, times and
ages; `...` stands for anything.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from support.example_web import ExampleWeb
from support.snippets import PAGES, ROOT, Snippet, snippets

from requests_cache.testing.origin import Origin

COMMAND = re.compile(r'^\$ (?P<command>.+)\n(?P<output>(?:(?!\$ ).*\n)*)', re.M)
TIME = re.compile(r'\d{4}-\d\d-\d\d \d\d:\d\d|\b\d+[smhdwy]\b')


@pytest.fixture
def the_web(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Origin:
    """Every host there is, played by the origin"""
    origin.default = ExampleWeb()
    send_for_real = requests.adapters.HTTPAdapter.send

    def send(self: Any, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        local = request.copy()
        local.url = origin.url('/' + quote(request.url or '', safe=''))
        response = send_for_real(self, local, **kwargs)
        response.url, response.request = request.url or '', request
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, 'send', send)
    return origin


def close_sessions(names: dict[str, Any]) -> None:
    for value in names.values():
        if isinstance(value, requests.Session):
            value.close()


@pytest.fixture
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The files of a page can be imported, for as long as its snippets run"""
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, '__file__', None) or '/').parent == tmp_path:
            close_sessions(vars(module))
            del sys.modules[name]


@contextlib.contextmanager
def sessions_closed(names: dict[str, Any]) -> Iterator[None]:
    """Close what a page opens and, for brevity, does not close"""
    try:
        yield
    finally:
        close_sessions(names)
        names.clear()
        gc.collect()


def comparable(text: str) -> str:
    return ' '.join(TIME.sub('#', text).split())


def check_commands(snippet: Snippet, path: str) -> None:
    """Run the commands of a snippet, one after the other, and compare what they write"""
    for example in COMMAND.finditer(snippet.code):
        done = subprocess.run(
            ['sh', '-c', example['command']],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**{k: v for k, v in os.environ.items() if not k.startswith('PYTEST_')}, 'PATH': path},
            text=True,
        )
        pattern = re.escape(comparable(example['output'])).replace(re.escape('...'), '.*')
        assert re.fullmatch(pattern, comparable(done.stdout)), f'{example["command"]}\n{done.stdout}'


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where commands are found, this package's own among them, which may not have been installed"""
    programs = tmp_path / 'programs'
    programs.mkdir()
    for name, module in {'requests-cache': 'requests_cache', 'pytest': 'pytest'}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        program.chmod(0o700)
    return f'{programs}{os.pathsep}{os.environ["PATH"]}'


def check_snippet(snippet: Snippet, page: Path, names: dict[str, Any]) -> None:
    """Run a snippet, and compare what it prints"""
    code = compile('\n' * snippet.line + snippet.code, str(page), 'exec')
    if snippet.not_run_because or snippet.missing():
        return
    if snippet.file:
        Path(snippet.file).write_text(snippet.code, 'utf-8')
        return
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    assert printed.getvalue().splitlines() == snippet.promised(), f'{page.name}:{snippet.line}'


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
@pytest.mark.usefixtures('the_web', 'own_files')
def test_snippets_do_what_they_say(page: Path, path: str) -> None:
    names: dict[str, Any] = {'__name__': '__main__'}
    with sessions_closed(names):
        for snippet in snippets(page):
            if snippet.language == 'python':
                check_snippet(snippet, page, names)
            elif not snippet.missing():
                check_commands(snippet, path)
    left_out = [f'line {s.line} needs {", ".join(s.missing())}' for s in snippets(page) if s.missing()]
    if left_out:
        pytest.skip('all other snippets ran: ' + '; '.join(left_out))


def test_no_snippet_escapes_the_check() -> None:
    """A block that looks like Python is marked as such, and the guide has some"""
    fences = {p.name: len(re.findall(r'^```\s*py', p.read_text('utf-8'), re.M | re.I)) for p in PAGES}
    assert fences == {p.name: len(snippets(p, 'python')) for p in PAGES}
    assert sum(fences.values()) >= 20
