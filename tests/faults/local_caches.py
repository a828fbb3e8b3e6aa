"""Local caches to be broken, and how to tell that requests do not care"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from requests_cache import CachedSession
from requests_cache.testing.origin import Origin, redirect

# Keywords of the sessions that the tests are about
LOCAL: dict[str, dict[str, Any]] = {
    'sqlite': {'backend': 'sqlite'},
    'sqlite-wal': {'backend': 'sqlite', 'wal': True},
    'sqlite-bounded': {'backend': 'sqlite', 'max_cache_bytes': '50 MB', 'delete_expired_after': 3600},
    'filesystem': {'backend': 'filesystem'},
    'filesystem-lru': {'backend': 'filesystem', 'max_cache_bytes': 50_000_000, 'delete_expired_after': 3600},
    'memory': {'backend': 'memory'},
}
PERSISTENT = {name: options for name, options in LOCAL.items() if name != 'memory'}
SQLITE = {name: options for name, options in LOCAL.items() if name.startswith('sqlite')}
FILES = {name: options for name, options in LOCAL.items() if name.startswith('filesystem')}
# Names of all backends, each in its variants
BACKENDS = [*LOCAL, 'redis', 'mongodb', 'gridfs', 'dynamodb']

BODY = bytes(range(256)) * 20
# What a wait may take beyond its limit, on a machine that is busy with other things
GRACE_SECONDS = 1.0

SessionFactory = Callable[..., CachedSession]


def serve(origin: Origin) -> None:
    """Pages that `assert_served_by_origin` asks for"""
    origin.add('/page', body=BODY)
    origin.add('/other', body=BODY[::-1])
    origin.add('/start', redirect('/page'))


def assert_served_by_origin(session: CachedSession, origin: Origin) -> None:
    """All requests end as they would without a cache, be they answered from it or not"""
    for _ in range(2):
        for path, body in (('/page', BODY), ('/other', BODY[::-1]), ('/start', BODY)):
            response = session.get(origin.url(path))
            assert (response.status_code, response.content) == (200, body)
            assert [r.status_code for r in response.history] == ([302] if path == '/start' else [])
        assert session.get(origin.url('/missing')).status_code == 404


def assert_caches(session: CachedSession, origin: Origin) -> None:
    """What is asked for the second time comes from the cache"""
    for path in ('/page', '/start'):
        session.get(origin.url(path))
        response = session.get(origin.url(path))
        assert response.content == BODY
        assert response.from_cache


def warnings_about(caplog: pytest.LogCaptureFixture, text: str) -> int:
    """How many warnings were logged by this package that contain a text"""
    ours = (r for r in caplog.records if r.name.startswith('requests_cache') and r.levelno == logging.WARNING)
    return sum(text in r.getMessage() for r in ours)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """A block that is to take no longer than a time limit that it was given, and a little more"""
    start = monotonic()
    yield
    assert monotonic() - start < seconds + GRACE_SECONDS


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """A block in which no file grows beyond a number of bytes, as on a full disk"""
    resource = pytest.importorskip('resource')
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


NOBODY = 65534


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """A block in which permissions bind, also where tests run as root"""
    if not hasattr(os, 'geteuid') or os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def give_to_ordinary_user(path: Path) -> None:
    """Make a directory and all that is in it belong to who `as_ordinary_user` is"""
    if hasattr(os, 'geteuid') and os.geteuid() == 0:
        for part in (path, *path.rglob('*')):
            os.chown(part, NOBODY, NOBODY)
