"""Fixtures, and guards between the tests and the machine they run on"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests
from hypothesis.configuration import set_hypothesis_home_dir

from requests_cache.testing.origin import Origin

# Last, behind the installed package: where processes that tests start find the functions which they are to run
sys.path.append(str(Path(__file__).parents[1]))
set_hypothesis_home_dir(Path(__file__).parents[1] / '.hypothesis')
hypothesis.settings.register_profile('project', deadline=None, derandomize='REQUESTS_CACHE_STRESS' not in os.environ)
hypothesis.settings.load_profile('project')

PROXIES = ('http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy')
FOREIGN = ('AWS_', 'REDIS_', 'MONGO')


# Options with which somebody, or a debugger, looks on: the tests run in the process that was started
LOOKED_AT = ('usepdb', 'trace', 'collectonly', 'setuponly', 'setupplan', 'setupshow', 'stepwise', 'cov_source')


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Any:
    """Let a report be sent from one process to another, whatever text is in it"""
    report: Any = yield
    report.sections = [(name, _sendable(text)) for name, text in report.sections]
    if report.failed:
        report.longrepr = _sendable(str(report.longrepr))
    return report


def _sendable(text: str) -> str:
    return text.encode('utf-8', 'backslashreplace').decode()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Several processes, unless `-n` says otherwise, single tests are asked for, or somebody looks on

    Were it in `addopts`, then `-p no:xdist` would fail. For pytest-cov this is too late: it needs `-n` with `--cov`.
    """
    option = config.option
    given = getattr(option, 'numprocesses', 0) is not None or option.dist != 'no' or option.tx
    in_worker = hasattr(config, 'workerinput') or 'PYTEST_XDIST_WORKER' in os.environ
    looked_at = option.capture == 'no' or any(getattr(option, name, None) for name in LOOKED_AT)
    if not (given or in_worker or looked_at or any('::' in argument for argument in config.args)):
        option.numprocesses, option.dist = 'auto', 'worksteal'


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two more than there are cores, as many a test waits for a server that does not answer"""
    given = os.environ.get('PYTEST_XDIST_AUTO_NUM_WORKERS')
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return int(given) if given else cores + 2


def pytest_report_header() -> str:
    """Say which package is being tested: the installed one, or a checkout"""
    spec = importlib.util.find_spec('requests_cache')
    place = Path(spec.origin).parent if spec and spec.origin else 'not installed'
    return f'requests_cache: {place}, requests {requests.__version__}'


@pytest.fixture(autouse=True)
def private_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxies, certificates, credentials or cache directories of the user; relative paths lead to `tmp_path`"""
    home = tmp_path / 'home'
    home.mkdir()
    for name in [*PROXIES, *map(str.upper, PROXIES), 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE']:
        monkeypatch.delenv(name, raising=False)
    for name in [n for n in os.environ if n.startswith(FOREIGN)]:
        monkeypatch.delenv(name)
    for name, folder in {'HOME': '', 'USERPROFILE': '', 'LOCALAPPDATA': 'local', 'XDG_CACHE_HOME': 'cache'}.items():
        monkeypatch.setenv(name, str(home / folder))
    monkeypatch.setenv('NETRC', str(home / 'no-netrc'))
    monkeypatch.setenv('AWS_EC2_METADATA_DISABLED', 'true')
    monkeypatch.setattr(tempfile, 'tempdir', str(home))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def requests_unpatched() -> Iterator[None]:
    """A test that leaves `requests` patched fails, and does not spoil the next one"""
    before = requests.Session, requests.sessions.Session
    yield
    after = requests.Session, requests.sessions.Session
    requests.Session, requests.sessions.Session = before  # type: ignore[misc]
    assert after == before, 'requests.Session was left patched'


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A programmable HTTP server on loopback"""
    with Origin() as server:
        yield server


@pytest.fixture
def cache_path(tmp_path: Path) -> Path:
    """Where a cache may live: a path without suffix in a directory of the test's own"""
    return tmp_path / 'cache' / 'test_cache'
