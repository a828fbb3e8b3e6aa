"""Fixtures for all tests, some of which isolate tests from the machine"""

from __future__ import annotations

import gc
import importlib.util
import logging
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

# Processes that tests start find their functions here; it comes last, after the installed package
sys.path.append(str(Path(__file__).parents[1]))
set_hypothesis_home_dir(Path(__file__).parents[1] / '.hypothesis')
hypothesis.settings.register_profile('project', deadline=None, derandomize='REQUESTS_CACHE_STRESS' not in os.environ)
hypothesis.settings.load_profile('project')

PROXIES = ('http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy')
FOREIGN = ('AWS_', 'REDIS_', 'MONGO')


# With these options a person or a debugger watches the tests, so they run in a single process
WATCHED = ('usepdb', 'trace', 'collectonly', 'setuponly', 'setupplan', 'setupshow', 'stepwise', 'cov_source')


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Any:
    """Escape text in reports that could not be sent from one process to another"""
    report: Any = yield
    report.sections = [(name, _sendable(text)) for name, text in report.sections]
    if report.failed:
        report.longrepr = _sendable(str(report.longrepr))
    return report


def _sendable(text: str) -> str:
    return text.encode('utf-8', 'backslashreplace').decode()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Use several processes, unless `-n` is given, single tests are selected, or a person watches the tests

    With `-n` in `addopts` instead, `-p no:xdist` would fail. This is too late for pytest-cov: `--cov` needs `-n`.
    """
    option = config.option
    given = getattr(option, 'numprocesses', 0) is not None or option.dist != 'no' or option.tx
    in_worker = hasattr(config, 'workerinput') or 'PYTEST_XDIST_WORKER' in os.environ
    is_watched = option.capture == 'no' or any(getattr(option, name, None) for name in WATCHED)
    if not (given or in_worker or is_watched or any('::' in argument for argument in config.args)):
        option.numprocesses, option.dist = 'auto', 'worksteal'


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Use two processes more than there are cores, because many tests wait for a server"""
    given = os.environ.get('PYTEST_XDIST_AUTO_NUM_WORKERS')
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return int(given) if given else cores + 2


def pytest_collection_finish() -> None:
    """Keep the thousands of collected tests out of garbage collection, which many tests ask for"""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    """Show which package is being tested: the installed one or a checkout"""
    spec = importlib.util.find_spec('requests_cache')
    place = Path(spec.origin).parent if spec and spec.origin else 'not installed'
    return f'requests_cache: {place}, requests {requests.__version__}'


@pytest.fixture(autouse=True)
def private_logging() -> Iterator[None]:
    """Undo what the command line, and snippets of the documentation, do to the logger of the package"""
    logger = logging.getLogger('requests_cache')
    level, propagate, handlers = logger.level, logger.propagate, logger.handlers[:]
    yield
    logger.setLevel(level)
    logger.propagate, logger.handlers[:] = propagate, handlers


@pytest.fixture(autouse=True)
def private_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide proxies, certificates, credentials and cache directories of the user, and change to `tmp_path`"""
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
    """Fail a test that leaves `requests` patched, and undo the patch for the next test"""
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
    """The path of a new cache: without suffix, in its own directory"""
    return tmp_path / 'cache' / 'test_cache'
