"""A cache directory that is in the way, in use, damaged, full or gone: requests go on"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.disk import small_disk

from faults.local_caches import (
    BODY,
    FILES,
    SessionFactory,
    as_ordinary_user,
    assert_caches,
    assert_served_by_origin,
    file_size_limit,
    give_to_ordinary_user,
    warnings_about,
    within,
)
from requests_cache import CachedSession
from requests_cache.exceptions import BackendError
from requests_cache.testing.origin import Origin

JUNK = b'This is no entry, but somebody may want to keep it. ' * 100
WAIT_SECONDS = 0.3
DATABASES = ('redirects.sqlite', 'lru.db')


@pytest.fixture(params=FILES)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {**FILES[request.param], 'busy_timeout': WAIT_SECONDS}


@pytest.fixture
def folder(cache_path: Path) -> Path:
    """The directory of the cache, which the first session makes"""
    cache_path.parent.mkdir()
    return cache_path


def be_a_file(path: Path) -> None:
    path.write_bytes(JUNK)


def be_a_loop(path: Path) -> None:
    path.symlink_to(path)


def be_a_link_to_a_file(path: Path) -> None:
    target = path.parent / 'target'
    target.write_bytes(JUNK)
    path.symlink_to(target)


def be_a_device(path: Path) -> None:
    path.symlink_to('/dev/full')


def be_a_fifo(path: Path) -> None:
    os.mkfifo(path)


def be_a_directory(path: Path) -> None:
    path.mkdir()
    (path / 'file').write_bytes(JUNK)


ON_POSIX = [be_a_loop, be_a_link_to_a_file, be_a_device, be_a_fifo] if os.name == 'posix' else []


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@pytest.mark.parametrize('obstacle', [be_a_file, *ON_POSIX], ids=lambda f: f.__name__)
class TestInThePlaceOfTheDirectory:
    def test_from_the_beginning(
        self, obstacle: Callable[[Path], None], options: Any, folder: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        obstacle(folder)
        with within(5), pytest.raises(FileExistsError, match=folder.name):
            new_session(**options)
        remove(folder)
        assert_caches(new_session(**options), site)

    def test_in_the_middle_of_things(
        self, obstacle: Callable[[Path], None], options: Any, folder: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        session = new_session(**options)
        assert_caches(session, site)
        shutil.rmtree(folder)
        obstacle(folder)
        with within(5):
            assert_served_by_origin(session, site)
        remove(folder)
        assert_caches(session, site)


class TestEntries:
    @pytest.mark.parametrize('obstacle', [be_a_directory, be_a_file, *ON_POSIX], ids=lambda f: f.__name__)
    def test_something_else_in_the_place_of_one(
        self, obstacle: Callable[[Path], None], options: Any, new_session: SessionFactory, site: Origin
    ) -> None:
        session = new_session(**options)
        assert_caches(session, site)
        for path in list(session.cache.paths()):  # type: ignore[attr-defined]
            path.unlink()
            obstacle(path)
            (path.parent / 'target').unlink(missing_ok=True)
        with within(5):
            assert_served_by_origin(session, site)

    @pytest.mark.parametrize('length', [0, 1, 100, 3000])
    def test_cut_off(self, length: int, options: Any, new_session: SessionFactory, site: Origin) -> None:
        session = new_session(**options)
        assert_caches(session, site)
        for path in session.cache.paths():  # type: ignore[attr-defined]
            os.truncate(path, length)
        hits = site.hits()
        assert_served_by_origin(session, site)
        assert site.hits() > hits
        assert_caches(session, site)


class TestDatabases:
    @pytest.mark.parametrize('when', ['before', 'meanwhile'])
    @pytest.mark.parametrize('name', DATABASES)
    @pytest.mark.parametrize('obstacle', [be_a_directory, be_a_file, *ON_POSIX], ids=lambda f: f.__name__)
    def test_in_the_way(
        self, obstacle: Callable[[Path], None], name: str, when: str, options: Any, folder: Path,
        new_session: SessionFactory, site: Origin,
    ) -> None:  # fmt: skip
        session = new_session(**options)
        assert_caches(session, site)
        if when == 'before':
            session.close()
        for path in folder.glob(f'{name}*'):
            path.unlink()
        obstacle(folder / name)
        with within(8):
            session = new_session(**options) if when == 'before' else session
            assert_served_by_origin(session, site)

    @pytest.mark.parametrize('name', DATABASES)
    @pytest.mark.parametrize('start', [0, 100, 4096])
    def test_damaged(
        self, start: int, name: str, options: Any, folder: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        session = new_session(**options)
        assert_caches(session, site)
        if not (folder / name).exists():
            pytest.skip('there is none')
        for reopened in (False, True):
            with open(folder / name, 'r+b') as file:
                file.seek(start)
                file.write(os.urandom(5000))
            if reopened:
                session.close()
                session = new_session(**options)
            assert_served_by_origin(session, site)

    @pytest.mark.parametrize('name', DATABASES)
    def test_locked(self, name: str, options: Any, folder: Path, new_session: SessionFactory, site: Origin) -> None:
        session = new_session(**options)
        assert_caches(session, site)
        with closing(sqlite3.connect(folder / name, isolation_level=None)) as other:
            other.execute('BEGIN EXCLUSIVE')
            other.execute('CREATE TABLE IF NOT EXISTS by_somebody_else (id)')
            with within(WAIT_SECONDS):
                assert session.get(site.url('/page')).from_cache
            with within(3 * WAIT_SECONDS):
                assert session.get(site.url('/other')).content == BODY[::-1]
            with within(WAIT_SECONDS):
                second = new_session(**options)
            with within(4 * WAIT_SECONDS):
                assert_served_by_origin(second, site)
        assert_caches(session, site)


class TestGone:
    def test_the_directory(
        self, options: Any, folder: Path, new_session: SessionFactory, site: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        session = new_session(**options)
        for _ in range(3):
            assert_caches(session, site)
            shutil.rmtree(folder)
            assert_caches(session, site)
        assert warnings_about(caplog, 'Unable') == 0

    def test_the_files(self, options: Any, folder: Path, new_session: SessionFactory, site: Origin) -> None:
        session = new_session(**options)
        for _ in range(3):
            assert_caches(session, site)
            for path in folder.iterdir():
                path.unlink()
        assert_caches(session, site)


class TestNoRoom:
    def test_a_limit(
        self, options: Any, new_session: SessionFactory, site: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        site.add('/large', body=os.urandom(300_000))
        session = new_session(**options)
        assert_caches(session, site)
        with file_size_limit(100_000):
            for _ in range(3):
                assert len(session.get(site.url('/large')).content) == 300_000
            assert session.get(site.url('/page')).from_cache
        assert warnings_about(caplog, 'Unable to write') == 1
        assert [session.get(site.url('/large')).from_cache for _ in range(2)] == [False, True]

    def test_from_the_beginning(self, options: Any, new_session: SessionFactory, site: Origin) -> None:
        with file_size_limit(0):
            session = new_session(**options)
            assert_served_by_origin(session, site)
        assert_caches(session, site)

    def test_a_full_disk(
        self, options: Any, folder: Path, new_session: SessionFactory, site: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        with small_disk(folder.parent, 512 * 1024):
            session = new_session(**options)
            for i in range(30):
                site.add(f'/{i}', body=os.urandom(20_000))
                assert len(session.get(site.url(f'/{i}')).content) == 20_000
            assert_served_by_origin(session, site)
            assert warnings_about(caplog, 'Unable to write') >= 1
            assert 0 < len(session.cache.responses) < 30
            assert [p.name for p in folder.iterdir() if p.suffix == '.tmp'] == []
            session.cache.clear()
            assert_caches(session, site)
            session.close()

    def test_a_large_body_on_a_full_disk(
        self, options: Any, folder: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        with small_disk(folder.parent, 2 * 1024 * 1024), new_session(**options) as session:
            assert_caches(session, site)
            body = os.urandom(1_400_000)
            site.add('/fits', body=body)
            assert [session.get(site.url('/fits')).content == body for _ in range(2)] == [True, True]
            before = free_bytes(folder)
            site.add('/large', body=os.urandom(3_000_000))
            for _ in range(3):
                assert len(session.get(site.url('/large')).content) == 3_000_000
            storage: Any = session.cache.responses
            writer = storage.body_writer('key')
            with pytest.raises(BackendError, match='space'):
                writer.write(bytes(3_000_000))
            writer.abort()
            assert list(storage.pieces.unused()) == []
            assert free_bytes(folder) == before
            response = session.get(site.url('/fits'))
            assert (response.from_cache, response.content) == (True, body)


def free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


class TestPermissions:
    @pytest.mark.skipif(os.name != 'posix', reason='permissions are of another kind')
    @pytest.mark.parametrize('what', ['files', 'directory', 'both', 'all'])
    def test_read_only(
        self, what: str, options: Any, shared_path: Path, new_session: SessionFactory, site: Origin,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        folder = shared_path / 'cache'
        session = new_session(cache_name=folder, **options)
        assert_caches(session, site)
        session.close()
        give_to_ordinary_user(folder)
        for path in folder.iterdir() if what != 'directory' else ():
            path.chmod(0o400 if what != 'all' else 0)
        if what != 'files':
            folder.chmod(0o500 if what != 'all' else 0)
        site.add('/new', body=BODY)
        with as_ordinary_user():
            session = new_session(cache_name=folder, **options)
            assert_served_by_origin(session, site)
            assert session.get(site.url('/new')).content == BODY
            session.close()
        if what in ('both', 'directory'):
            assert warnings_about(caplog, 'Unable to write') >= 1
        folder.chmod(0o700)

    def test_hits_need_no_permission_to_write(
        self, options: Any, shared_path: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        folder = shared_path / 'cache'
        session = new_session(cache_name=folder, **options)
        assert_caches(session, site)
        session.close()
        give_to_ordinary_user(folder)
        folder.chmod(0o500)
        with as_ordinary_user():
            session = new_session(cache_name=folder, **options)
            assert session.get(site.url('/page')).from_cache
            assert session.get(site.url('/start')).from_cache
            session.close()
        folder.chmod(0o700)


def test_maintenance_says_what_is_wrong(folder: Path, new_session: SessionFactory) -> None:
    cache = new_session(backend='filesystem').cache
    shutil.rmtree(folder)
    folder.write_bytes(JUNK)
    calls: list[Callable[[], Any]] = [
        lambda: len(cache.responses), lambda: list(cache.responses), lambda: cache.clear(), lambda: cache.urls(),
        lambda: cache.contains('key'), lambda: cache.reset_expiration(5), lambda: cache.delete(expired=True),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(BackendError):
            call()
    assert folder.read_bytes() == JUNK


def test_a_parent_that_is_a_file_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / 'file').write_bytes(JUNK)
    for backend in ('sqlite', 'filesystem'):
        with pytest.raises(FileExistsError, match='file'):
            CachedSession(tmp_path / 'file' / 'cache', backend=backend)
    assert (tmp_path / 'file').read_bytes() == JUNK
