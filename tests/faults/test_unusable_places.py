"""A local cache that cannot be used where it is: one line says what, why, and what to do; requests go on"""

from __future__ import annotations

import logging
import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.disk import small_disk

from faults.local_caches import (
    BODY,
    NOBODY,
    SessionFactory,
    as_ordinary_user,
    assert_caches,
    assert_served_by_origin,
    give_to_ordinary_user,
)
from requests_cache.exceptions import BackendError
from requests_cache.testing.origin import Origin

LOCAL_STORES = ('sqlite', 'filesystem')
posix_only = pytest.mark.skipif(os.name != 'posix', reason='permissions are of another kind')


def read_only(folder: Path) -> Path:
    folder.chmod(0o500)
    return folder / 'cache'


def missing(folder: Path) -> Path:
    folder.chmod(0o500)
    return folder / 'new' / 'newer' / 'cache'


def closed(folder: Path) -> Path:
    folder.chmod(0)
    return folder / 'cache'


def closed_above(folder: Path) -> Path:
    folder.chmod(0)
    return folder / 'new' / 'cache'


PLACES: list[tuple[Callable[[Path], Path], str]] = [
    (read_only, '{folder} is read-only for this user'),
    (missing, 'does not exist and cannot be created: the directory {folder} is read-only for this user'),
    (closed, 'has no access to the directory {folder}'),
    (closed_above, 'has no access to the directory {folder}'),
]


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Messages of our warnings, of one line and without a traceback, which is logged for debugging"""
    ours = [r for r in caplog.records if r.name.startswith('requests_cache')]
    shown = [r for r in ours if r.levelno >= logging.WARNING]
    assert all(r.exc_info is None and '\n' not in r.getMessage() for r in shown)
    assert [r for r in ours if r.levelno == logging.DEBUG and 'Traceback' in r.getMessage()]
    return [r.getMessage() for r in shown]


@posix_only
@pytest.mark.parametrize('backend', LOCAL_STORES)
@pytest.mark.parametrize(('place', 'reason'), PLACES, ids=[place.__name__ for place, _ in PLACES])
def test_a_place_that_is_closed(
    place: Callable[[Path], Path], reason: str, backend: str, shared_path: Path, new_session: SessionFactory,
    site: Origin, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(tempfile, 'tempdir', str(shared_path / 'temp'))
    folder = shared_path / 'folder'
    folder.mkdir()
    path = place(folder)
    give_to_ordinary_user(shared_path)
    with caplog.at_level(logging.DEBUG), as_ordinary_user():
        session = new_session(cache_name=path, backend=backend)
        assert_served_by_origin(session, site)
        session.close()
    messages = warned(caplog)
    assert 1 <= len(messages) <= 2
    for message in messages:
        assert reason.format(folder=folder) in message
        assert message.endswith('set use_temp=True, or use another path')
        assert str(path) in message


@posix_only
@pytest.mark.parametrize('backend', LOCAL_STORES)
def test_a_working_directory_that_is_read_only(
    backend: str, shared_path: Path, new_session: SessionFactory, site: Origin, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """As in AWS Lambda, where temporary files can be written"""
    folder, temp = shared_path / 'task', shared_path / 'temp'
    folder.mkdir()
    temp.mkdir()
    give_to_ordinary_user(shared_path)
    folder.chmod(0o500)
    monkeypatch.setattr(tempfile, 'tempdir', str(temp))
    with caplog.at_level(logging.DEBUG), as_ordinary_user():
        monkeypatch.chdir(folder)
        session = new_session(cache_name='cache', backend=backend)
        assert_served_by_origin(session, site)
        session.close()
        assert 'read-only for this user' in warned(caplog)[0]
        caplog.clear()
        session = new_session(cache_name='cache', backend=backend, use_temp=True)
        assert_caches(session, site)
        session.close()
    assert 'Unable to' not in caplog.text


@posix_only
@pytest.mark.parametrize('backend', LOCAL_STORES)
@pytest.mark.parametrize('options', [{'cache_name': 'cache', 'use_cache_dir': True}, {'cache_name': '~/some/cache'}])
def test_a_user_without_a_home(
    options: dict[str, Any], backend: str, shared_path: Path, new_session: SessionFactory, site: Origin,
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def getpwuid(uid: int) -> Any:
        raise KeyError(uid)

    monkeypatch.setattr('pwd.getpwuid', getpwuid)
    for name in ('HOME', 'XDG_CACHE_HOME'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, 'tempdir', str(shared_path))
    session = new_session(backend=backend, **options)
    assert_caches(session, site)
    [root] = shared_path.iterdir()
    assert root.name == f'requests-cache-{os.geteuid()}'
    assert root.stat().st_mode & 0o777 == 0o700
    assert f'no home directory, so the cache is kept in {root}' in caplog.text


@pytest.mark.skipif(os.name != 'posix' or os.geteuid() != 0, reason='only root can be two users')
def test_a_home_that_somebody_else_made(
    shared_path: Path, new_session: SessionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('pwd.getpwuid', {}.__getitem__)
    monkeypatch.delenv('HOME')
    monkeypatch.setattr(tempfile, 'tempdir', str(shared_path))
    (shared_path / 'requests-cache-0').mkdir()
    os.chown(shared_path / 'requests-cache-0', NOBODY, NOBODY)
    with pytest.raises(PermissionError, match='another user'):
        new_session(cache_name='~/cache')


def test_what_else_is_in_the_way(
    tmp_path: Path, new_session: SessionFactory, site: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / 'folder.db').mkdir()
    (tmp_path / 'notes.db').write_text('These are notes, and no database. ' * 100)
    for name, reason in (('folder.db', 'it is a directory; '), ('notes.db', 'the file is not a database')):
        caplog.clear()
        with caplog.at_level(logging.DEBUG):
            assert_served_by_origin(new_session(cache_name=tmp_path / name), site)
        assert reason in warned(caplog)[0]


def test_a_lock_of_somebody_else(
    cache_path: Path, new_session: SessionFactory, site: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    session = new_session(busy_timeout=0.05)
    assert_caches(session, site)
    with closing(sqlite3.connect(cache_path.with_name(cache_path.name + '.sqlite'), isolation_level=None)) as other:
        other.execute('BEGIN EXCLUSIVE')
        with caplog.at_level(logging.DEBUG):
            assert session.get(site.url('/page')).content == BODY
    [message] = warned(caplog)
    assert 'database is locked; another connection has locked it for longer than the busy_timeout of 0.05 s' in message


@pytest.mark.parametrize('backend', LOCAL_STORES)
def test_a_full_disk(
    backend: str, shared_path: Path, new_session: SessionFactory, site: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    site.add('/large', body=os.urandom(300_000))
    with small_disk(shared_path, 200 * 1024), caplog.at_level(logging.DEBUG):
        session = new_session(cache_name=shared_path / 'cache', backend=backend)
        assert len(session.get(site.url('/large')).content) == 300_000
        session.close()
    [message] = warned(caplog)
    assert message.endswith('the disk is full; free some space, or use another path')


@pytest.mark.parametrize('backend', LOCAL_STORES)
def test_maintenance_says_the_same(backend: str, tmp_path: Path, new_session: SessionFactory) -> None:
    cache = new_session(cache_name=tmp_path / 'cache', backend=backend).cache
    cache.close()
    place = tmp_path / ('cache.sqlite' if backend == 'sqlite' else 'cache')
    if backend == 'sqlite':
        place.unlink()
        place.mkdir()
    else:
        for part in place.iterdir():
            part.unlink()
        place.rmdir()
        place.write_bytes(b'')
    with pytest.raises(BackendError, match='it is a directory' if backend == 'sqlite' else 'is not a directory'):
        cache.redirects.update({'a': 'b'})
