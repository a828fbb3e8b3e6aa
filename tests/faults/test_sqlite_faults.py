"""An SQLite file that is in the way, in use, damaged, full or gone: requests go on"""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from support.disk import small_disk

from faults.local_caches import (
    BODY,
    NOBODY,
    SQLITE,
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

JUNK = b'This is not a database, but somebody may want to keep it. ' * 500
WAIT_SECONDS = 0.3

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute('BEGIN EXCLUSIVE')
connection.execute('CREATE TABLE IF NOT EXISTS by_somebody_else (id)')
print('locked', flush=True)
sys.stdin.readline()
connection.rollback()
connection.close()
print('free', flush=True)
"""


@pytest.fixture(params=SQLITE)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return SQLITE[request.param]


@pytest.fixture
def file(cache_path: Path) -> Path:
    """Where the database is, or will be; its directory exists"""
    cache_path.parent.mkdir()
    return cache_path.with_name(cache_path.name + '.sqlite')


def be_a_directory(file: Path) -> None:
    file.mkdir()


def be_no_database(file: Path) -> None:
    file.write_bytes(JUNK)


def be_another_database(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute('CREATE TABLE responses (something TEXT, else_altogether TEXT)')
        connection.execute('CREATE TABLE redirects (something TEXT, else_altogether TEXT)')
        connection.commit()


def be_a_loop(file: Path) -> None:
    file.symlink_to(file)


def be_a_link_to_nowhere(file: Path) -> None:
    file.symlink_to(file.parent / 'missing' / 'target')


def be_a_fifo(file: Path) -> None:
    os.mkfifo(file)


def be_a_full_device(file: Path) -> None:
    file.symlink_to('/dev/full')


IN_THE_WAY = [be_a_directory, be_no_database, be_another_database]
if os.name == 'posix':
    IN_THE_WAY += [be_a_loop, be_a_link_to_nowhere, be_a_fifo, be_a_full_device]


@pytest.mark.parametrize('obstacle', IN_THE_WAY, ids=lambda f: f.__name__)
class TestInTheWay:
    def test_from_the_beginning(
        self, obstacle: Callable[[Path], None], options: Any, file: Path, new_session: SessionFactory, site: Origin,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        obstacle(file)
        with within(5):
            session = new_session(**options, busy_timeout=WAIT_SECONDS)
            assert_served_by_origin(session, site)
        if obstacle is not be_a_link_to_nowhere:
            assert 1 <= warnings_about(caplog, 'Unable to') <= 2
            assert len([r for r in caplog.records if r.levelno == logging.WARNING]) <= 3

    def test_in_the_middle_of_things(
        self, obstacle: Callable[[Path], None], options: Any, file: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        session = new_session(**options, busy_timeout=WAIT_SECONDS)
        assert_caches(session, site)
        remove(file)
        obstacle(file)
        with within(5):
            assert_served_by_origin(session, site)

    def test_until_it_is_gone(
        self, obstacle: Callable[[Path], None], options: Any, file: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        obstacle(file)
        session = new_session(**options, busy_timeout=WAIT_SECONDS)
        assert_served_by_origin(session, site)
        remove(file)
        assert_caches(session, site)

    def test_maintenance_says_what_is_wrong(
        self, obstacle: Callable[[Path], None], options: Any, file: Path, new_session: SessionFactory
    ) -> None:
        if obstacle in (be_a_link_to_nowhere, be_another_database):
            pytest.skip('some of it can be done')
        obstacle(file)
        cache = new_session(**options, busy_timeout=WAIT_SECONDS).cache
        calls: list[Callable[[], Any]] = [
            lambda: len(cache.responses), lambda: list(cache.responses), lambda: cache.delete(expired=True),
            lambda: cache.urls(), lambda: cache.contains('key'), lambda: cache.reset_expiration(5),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(BackendError):
                call()


def remove(file: Path) -> None:
    for path in file.parent.glob(file.name + '*'):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


class TestDamage:
    def fill(self, session: CachedSession, site: Origin, count: int = 60) -> None:
        for i in range(count):
            site.add(f'/{i}', body=b'%d ' % i + BODY)
            session.get(site.url(f'/{i}'))

    def assert_bodies(self, session: CachedSession, site: Origin, count: int = 60) -> None:
        for i in range(count):
            assert session.get(site.url(f'/{i}')).content == b'%d ' % i + BODY

    @pytest.mark.parametrize('opened', ['before', 'after'])
    @pytest.mark.parametrize('start', [0, 100, 4096, 20_000, 100_000])
    def test_in_the_middle(
        self, start: int, opened: str, options: Any, file: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        session = new_session(**options)
        self.fill(session, site)
        if opened == 'after':
            session.close()
        with open(file, 'r+b') as database:
            database.seek(start)
            database.write(os.urandom(9000))
        if opened == 'after':
            session = new_session(**options)
        self.assert_bodies(session, site)
        assert_served_by_origin(session, site)

    @pytest.mark.parametrize('length', [0, 1, 50, 4096, 50_000])
    def test_cut_off(self, length: int, options: Any, file: Path, new_session: SessionFactory, site: Origin) -> None:
        session = new_session(**options)
        self.fill(session, site)
        session.close()
        os.truncate(file, length)
        self.assert_bodies(session, site)
        assert_served_by_origin(session, site)

    def test_a_damaged_cache_is_made_anew_by_clearing_it(
        self, options: Any, file: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        session = new_session(**options)
        self.fill(session, site)
        session.close()
        with open(file, 'r+b') as database:
            database.seek(4096)
            database.write(os.urandom(200_000))
        session.cache.clear()
        assert_caches(session, site)
        session.close()
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute('PRAGMA integrity_check').fetchall() == [('ok',)]

    def test_a_foreign_file_is_not_removed_by_clearing(
        self, options: Any, file: Path, new_session: SessionFactory
    ) -> None:
        file.write_bytes(JUNK)
        with pytest.raises(BackendError):
            new_session(**options).cache.clear()
        assert file.read_bytes() == JUNK

    def test_journals_of_somebody_else(
        self, options: Any, file: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        session = new_session(**options)
        self.fill(session, site, 5)
        session.close()
        for suffix in ('-journal', '-wal', '-shm'):
            file.with_name(file.name + suffix).write_bytes(JUNK)
        self.assert_bodies(new_session(**options), site, 5)


class TestGone:
    def test_the_file(
        self, options: Any, file: Path, new_session: SessionFactory, site: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        session = new_session(**options)
        for _ in range(3):
            assert_caches(session, site)
            hits = site.hits()
            remove(file)
            assert_caches(session, site)
            assert site.hits() > hits, 'the old file is still in use'
        assert file.exists()
        assert warnings_about(caplog, 'Unable') == 0

    def test_the_directory(self, options: Any, file: Path, new_session: SessionFactory, site: Origin) -> None:
        session = new_session(**options)
        assert_caches(session, site)
        remove(file)
        file.parent.rmdir()
        assert_caches(session, site)
        assert file.exists()

    def test_replaced_by_another_cache(
        self, options: Any, file: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        session = new_session(**options)
        site.add('/page', body=b'new')
        session.get(site.url('/page'))
        session.close()
        file.rename(file.with_name('kept'))
        site.add('/page', body=b'newer')
        assert session.get(site.url('/page')).content == b'newer'
        for path in file.parent.glob(f'{file.name}*'):
            path.unlink()
        file.with_name('kept').rename(file)
        assert session.get(site.url('/page')).content == b'new'


class TestNoRoom:
    def test_a_limit(
        self, options: Any, file: Path, new_session: SessionFactory, site: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        site.add('/large', body=os.urandom(300_000))
        session = new_session(**options)
        assert_caches(session, site)
        with file_size_limit(file.stat().st_size + 10_000):
            for _ in range(3):
                assert len(session.get(site.url('/large')).content) == 300_000
        assert warnings_about(caplog, 'Unable to write') == 1
        hits = site.hits()
        assert session.get(site.url('/page')).from_cache
        assert site.hits() == hits
        assert_caches(session, site)
        assert [session.get(site.url('/large')).from_cache for _ in range(2)] == [False, True]
        assert_is_whole(session, file)

    def test_from_the_beginning(self, options: Any, file: Path, new_session: SessionFactory, site: Origin) -> None:
        with file_size_limit(0):
            session = new_session(**options)
            assert_served_by_origin(session, site)
        assert_caches(session, site)
        assert_is_whole(session, file)

    def test_a_full_disk(
        self, options: Any, file: Path, new_session: SessionFactory, site: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        with small_disk(file.parent, 256 * 1024):
            session = new_session(**options)
            for i in range(30):
                site.add(f'/{i}', body=os.urandom(20_000))
                assert len(session.get(site.url(f'/{i}')).content) == 20_000
            assert_served_by_origin(session, site)
            assert warnings_about(caplog, 'Unable to write') >= 1
            assert 0 < len(session.cache.responses) < 30
            session.cache.clear()
            assert_caches(session, site)
            assert_is_whole(session, file)
            session.close()

    @pytest.mark.parametrize('room', [128 * 1024, 512 * 1024])
    @pytest.mark.parametrize('filled_by_others', [False, True])
    def test_clearing_makes_room(
        self, filled_by_others: bool, room: int, options: Any, file: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        for i in range(30):
            site.add(f'/{i}', body=os.urandom(20_000))
        with small_disk(file.parent, room), new_session(**options) as session:
            for i in range(30):
                session.get(site.url(f'/{i}'))
            if filled_by_others:
                with suppress(OSError), open(file.parent / 'other', 'wb', buffering=0) as other:
                    while True:
                        other.write(b'x' * 512)
            session.cache.clear()
            assert [session.get(site.url('/1')).from_cache for _ in range(2)] == [False, True]
            assert_is_whole(session, file)


def assert_is_whole(session: CachedSession, file: Path) -> None:
    session.close()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute('PRAGMA integrity_check').fetchall() == [('ok',)]


class TestPermissions:
    @pytest.mark.skipif(os.name != 'posix', reason='permissions are of another kind')
    @pytest.mark.parametrize('what', ['file', 'directory', 'both', 'all'])
    def test_read_only(
        self, what: str, options: Any, shared_path: Path, new_session: SessionFactory, site: Origin,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        folder = shared_path / 'cache'
        folder.mkdir()
        session = new_session(cache_name=folder / 'test', **options)
        assert_caches(session, site)
        session.close()
        give_to_ordinary_user(folder)
        if what != 'directory':
            (folder / 'test.sqlite').chmod(0o400)
        if what != 'file':
            folder.chmod(0o500 if what != 'all' else 0)
        site.add('/new', body=BODY)
        with as_ordinary_user():
            session = new_session(cache_name=folder / 'test', **options)
            assert_served_by_origin(session, site)
            assert session.get(site.url('/new')).content == BODY
            session.close()
        if what in ('both', 'directory'):
            assert warnings_about(caplog, 'Unable to write') >= 1
        folder.chmod(0o700)

    @pytest.mark.skipif(os.name != 'posix', reason='permissions are of another kind')
    @pytest.mark.parametrize('what', ['file', 'directory', 'both'])
    @pytest.mark.parametrize('was_wal', [False, True], ids=['was-delete', 'was-wal'])
    def test_what_is_stored_in_a_read_only_place_is_used(
        self, was_wal: bool, what: str, options: Any, shared_path: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        folder = shared_path / 'cache'
        with new_session(cache_name=folder / 'test', wal=was_wal) as session:
            assert_caches(session, site)
        give_to_ordinary_user(folder)
        (folder / 'test.sqlite').chmod(0o600 if what == 'directory' else 0o400)
        folder.chmod(0o700 if what == 'file' else 0o500)
        hits = site.hits()
        with as_ordinary_user(), new_session(cache_name=folder / 'test', **options) as session:
            assert [session.get(site.url(path)).from_cache for path in ('/page', '/start', '/page')] == [True] * 3
            assert len(session.cache.responses) == 2
        assert site.hits() == hits

    @pytest.mark.skipif(os.name != 'posix' or os.geteuid() != 0, reason='only root can be two users')
    def test_others_write_to_a_database_that_is_read_only_for_us(
        self, shared_path: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        """It is read without locks, as SQLite cannot make them there, so changes have to be noticed"""
        path = shared_path / 'cache' / 'test'
        with new_session(cache_name=path, wal=True) as session:
            session.cache.redirects['key'] = 'old'
        give_to_ordinary_user(path.parent)
        path.parent.chmod(0o500)
        writer = new_session(cache_name=path, wal=True).cache.redirects
        writer.close()
        with as_ordinary_user():
            reader = new_session(cache_name=path, busy_timeout=0.05).cache.redirects
            assert reader['key'] == 'old'
        writer['key'] = 'new'
        with as_ordinary_user():
            assert reader['key'] == 'new'
        writer.close()
        with as_ordinary_user():
            assert (reader['key'], len(reader)) == ('new', 1)
        writer.update({str(i): 'x' * 500 for i in range(100)})
        writer.close()
        with as_ordinary_user():
            assert (reader['key'], len(reader), reader['99']) == ('new', 101, 'x' * 500)

    @pytest.mark.skipif(os.name != 'posix' or os.geteuid() != 0, reason='only root can be two users')
    def test_others_write_while_it_is_read_without_locks(
        self, shared_path: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        path = shared_path / 'cache' / 'test'
        with new_session(cache_name=path, wal=True) as session:
            session.cache.redirects['key'] = 'old'
        give_to_ordinary_user(path.parent)
        path.parent.chmod(0o500)
        writer = new_session(cache_name=path, wal=True).cache.redirects
        writer.close()

        class Connection(sqlite3.Connection):
            to_write = ['newer', 'new']

            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                cursor = super().execute(sql, *args)
                if sql.startswith('SELECT value') and self.to_write:
                    os.seteuid(0)
                    writer['key'] = self.to_write.pop()
                    writer.close()
                    os.seteuid(NOBODY)
                return cursor

        with as_ordinary_user():
            assert new_session(cache_name=path, factory=Connection).cache.redirects['key'] == 'newer'

    @pytest.mark.skipif(os.name != 'posix', reason='permissions are of another kind')
    def test_a_log_that_cannot_be_read_is_not_passed_over(self, shared_path: Path, new_session: SessionFactory) -> None:
        """What is in the file may be half of a change"""
        path = shared_path / 'cache' / 'test'
        storage = new_session(cache_name=path, wal=True).cache.redirects
        storage['key'] = 'old'
        file = path.with_name('test.sqlite')
        kept = {suffix: Path(f'{file}{suffix}').read_bytes() for suffix in ('', '-wal')}
        storage.close()
        for suffix, data in kept.items():
            Path(f'{file}{suffix}').write_bytes(data)
        give_to_ordinary_user(path.parent)
        path.parent.chmod(0o500)
        with as_ordinary_user():
            storage = new_session(cache_name=path).cache.redirects
            with pytest.raises(BackendError):
                storage.get('key')
            storage.close()

    def test_a_connection_that_cannot_write(
        self, file: Path, new_session: SessionFactory, site: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert_caches(new_session(), site)
        session = new_session(cache_name=f'file:{file}?mode=ro', uri=True)
        assert session.get(site.url('/page')).from_cache
        site.add('/new', body=BODY)
        for _ in range(3):
            response = session.get(site.url('/new'))
            assert (response.content, response.from_cache) == (BODY, False)
        assert warnings_about(caplog, 'Unable to write') == 1


class OtherProcess:
    """Another process that locks a database until it is told not to"""

    def __init__(self, file: Path):
        self.process = subprocess.Popen(
            [sys.executable, '-c', LOCK, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != 'locked\n':
            self.release()
            pytest.fail('the other process could not lock it')

    def release(self) -> None:
        self.process.communicate('\n')


@contextmanager
def locked(file: Path) -> Iterator[OtherProcess]:
    other = OtherProcess(file)
    try:
        yield other
    finally:
        with suppress(ValueError):  # it was released already
            other.release()


class TestLocked:
    def test_for_two_seconds(
        self, options: Any, file: Path, new_session: SessionFactory, site: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        session = new_session(**options)
        with locked(file) as other:
            timer = Timer(2, other.release)
            timer.start()
            response = session.get(site.url('/page'))
            timer.join()
        assert response.cache_key is not None, 'it was not stored'
        assert session.get(site.url('/page')).from_cache
        assert warnings_about(caplog, 'Unable') == 0

    @pytest.mark.parametrize('opened', ['before', 'after'])
    def test_for_longer_than_the_timeout(
        self, opened: str, options: Any, file: Path, new_session: SessionFactory, site: Origin,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        first = new_session(**options, busy_timeout=WAIT_SECONDS)
        assert_caches(first, site)
        with locked(file):
            with within(WAIT_SECONDS):
                session = first if opened == 'before' else new_session(**options, busy_timeout=WAIT_SECONDS)
            for _ in range(3):
                with within(WAIT_SECONDS):
                    assert session.get(site.url('/other')).content == BODY[::-1]
            assert warnings_about(caplog, 'Unable to') == 1
            assert session.get(site.url('/start')).content == BODY
        assert [session.get(site.url('/other')).from_cache for _ in range(2)] == [False, True]
        assert warnings_about(caplog, 'Able to') == 1

    def test_a_new_file(self, options: Any, file: Path, new_session: SessionFactory, site: Origin) -> None:
        """Opening it takes several steps, which are not to wait one after the other"""
        with locked(file):
            with within(0):
                session = new_session(**options, busy_timeout=1.0)
            with within(1):
                assert session.get(site.url('/page')).content == BODY
        assert_caches(session, site)

    @pytest.mark.parametrize('timeout', [0, 0.0, 300, 0.3, None])
    def test_the_timeout_in_its_units(
        self, timeout: Any, options: Any, file: Path, new_session: SessionFactory, site: Origin
    ) -> None:
        assert_caches(new_session(**options), site)
        with locked(file), within(WAIT_SECONDS if timeout is not None else 1.5):
            driver = {'timeout': 1.5} if timeout is None else {}
            session = new_session(**options, busy_timeout=timeout, **driver)
            assert session.get(site.url('/page')).content == BODY

    def test_maintenance_says_so(self, options: Any, file: Path, new_session: SessionFactory) -> None:
        cache = new_session(**options, busy_timeout=0.05).cache
        with locked(file):
            for call in (cache.clear, lambda: cache.delete('key'), lambda: cache.responses.update({'a': 'b'})):
                with pytest.raises(BackendError, match='locked'), within(0.05):
                    call()
            with within(0.05):
                cache.close()


class TestTransactions:
    @pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt, sqlite3.OperationalError, SystemExit])
    def test_an_interrupted_one_leaves_nothing(
        self, error: type[BaseException], options: Any, new_session: SessionFactory, site: Origin
    ) -> None:
        session = new_session(**options)
        assert_caches(session, site)
        redirects = session.cache.redirects
        before = dict(redirects.items())

        def change() -> None:
            with redirects.bulk_commit():
                redirects['new'] = 'a'
                redirects.clear()
                redirects['newer'] = 'b'
                raise error

        with pytest.raises(error):
            change()
        assert dict(redirects.items()) == before
        assert dict(new_session(**options).cache.redirects.items()) == before
        assert_caches(session, site)

    def test_an_interrupted_save_leaves_the_old_entry(
        self, options: Any, new_session: SessionFactory, site: Origin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = new_session(**options)
        assert_caches(session, site)
        site.add('/page', body=b'new')
        database = session.cache.responses._database

        def interrupted(*args: Any, **kwargs: Any) -> Any:
            raise KeyboardInterrupt

        # The response is written; the redirects that lead to it are not
        with monkeypatch.context() as patch:
            patch.setattr(type(session.cache), '_save_redirects', interrupted)
            with pytest.raises(KeyboardInterrupt):
                session.get(site.url('/start'), force_refresh=True)
        assert database.depth == 0
        assert session.get(site.url('/start')).content == BODY
        assert session.get(site.url('/start')).from_cache
        assert session.get(site.url('/start'), force_refresh=True).content == b'new'

    def test_values_that_the_driver_refuses(self, options: Any, new_session: SessionFactory, site: Origin) -> None:
        session = new_session(**options)
        for value in (object(), 2**70, [], {}):
            with pytest.raises(BackendError):
                session.cache.redirects['key'] = value
        assert 'key' not in session.cache.redirects
        assert_caches(session, site)

    def test_a_statement_that_fails_in_a_connection_of_the_caller(
        self, options: Any, new_session: SessionFactory, site: Origin
    ) -> None:
        session = new_session(**options)
        for commit in (True, False):
            with pytest.raises(sqlite3.OperationalError), session.cache.responses.connection(commit) as connection:
                connection.execute('SELECT * FROM no_such_table')
        assert_caches(session, site)
