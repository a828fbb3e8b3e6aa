"""Sessions on local backends, and places for them"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from faults.local_caches import LOCAL, PERSISTENT, SessionFactory, serve
from faults.stress import STRESS
from requests_cache import BaseCache, CachedSession
from requests_cache.testing.origin import Origin


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if STRESS > 1 and metafunc.definition.get_closest_marker('repeated'):
        metafunc.fixturenames.append('repetition')
        metafunc.parametrize('repetition', range(STRESS))


@pytest.fixture
def new_session(cache_path: Path) -> Iterator[SessionFactory]:
    """Makes sessions, all with the same store unless told otherwise, that are closed after the test"""
    sessions: list[CachedSession] = []

    def make(**kwargs: Any) -> CachedSession:
        name = {} if isinstance(kwargs.get('backend'), BaseCache) else {'cache_name': cache_path}
        sessions.append(CachedSession(**{**name, **kwargs}))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def site(origin: Origin) -> Origin:
    """An origin with the pages that `assert_served_by_origin` asks for"""
    serve(origin)
    return origin


@pytest.fixture(params=LOCAL)
def local(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Keywords of a session on each local backend"""
    return LOCAL[request.param]


@pytest.fixture(params=PERSISTENT)
def persistent(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Keywords of a session on each local backend that outlives the process"""
    return PERSISTENT[request.param]


@pytest.fixture
def shared_path() -> Iterator[Path]:
    """A directory that other users can reach, unlike those below `tmp_path`"""
    path = Path(mkdtemp(dir='/tmp' if os.name == 'posix' else None))
    path.chmod(0o755)
    yield path
    for part in (path, *path.rglob('*')):
        if part.is_dir():
            part.chmod(0o700)
    shutil.rmtree(path)
