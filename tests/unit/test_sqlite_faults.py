"""What the SQLite backend does when its database is locked, damaged, full, misplaced or gone"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from requests_cache.backends.sqlite import SQLiteCache, SQLiteDict
from requests_cache.exceptions import BackendError, BackendUnavailableError
from requests_cache.testing.values import facts, make_response

# So long that a test which waits for it to pass fails
FOREVER = 3600.0
RESPONSE = make_response(1)


@pytest.fixture
def path(cache_path: Path) -> Path:
    return cache_path.with_suffix('.sqlite')


@pytest.fixture
def make(cache_path: Path) -> Iterator[Callable[..., SQLiteCache]]:
    """Makes caches on the database of the test, and closes them at its end"""
    made: list[SQLiteCache] = []

    def factory(**options: Any) -> SQLiteCache:
        made.append(SQLiteCache(cache_path, **options))
        return made[-1]

    yield factory
    for cache in made:
        cache.close()


@pytest.fixture
def other(path: Path, make: Any) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection to the database, which is there and has one entry"""
    cache = make()
    cache.save_response(RESPONSE, 'key')
    cache.close()
    connection = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
    yield connection
    connection.close()


def check_works(cache: SQLiteCache) -> None:
    cache.save_response(RESPONSE, 'works')
    assert facts(cache.get_response('works')) == facts(RESPONSE)
    cache.redirects['a'] = 'works'
    assert cache.delete('works') == 1
    assert 'a' not in cache.redirects


def rows(path: Path, sql: str = 'SELECT key FROM responses ORDER BY key') -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute(sql).fetchall()]
    finally:
        connection.close()


# Locked


def test_a_lock_that_is_kept(other: sqlite3.Connection, make: Any) -> None:
    cache = make(busy_timeout=20)
    other.execute('BEGIN IMMEDIATE')
    with pytest.raises(BackendUnavailableError, match='locked') as caught:
        cache.save_response(RESPONSE, 'new')
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert facts(cache.get_response('key')) == facts(RESPONSE)
    for change in (lambda: cache.delete('key'), cache.clear, lambda: cache.reset_expiration(5)):
        with pytest.raises(BackendUnavailableError, match='locked'):
            change()
    other.execute('ROLLBACK')
    check_works(cache)
    assert list(cache.responses) == ['key']


def test_a_lock_that_keeps_readers_out(other: sqlite3.Connection, make: Any) -> None:
    cache = make(busy_timeout=20)
    other.execute('BEGIN EXCLUSIVE')
    for use in (lambda: cache.get_response('key'), lambda: cache.save_response(RESPONSE, 'new'), cache.count):
        with pytest.raises(BackendUnavailableError, match='locked'):
            use()
    other.execute('ROLLBACK')
    check_works(cache)


def test_a_lock_that_is_given_up_in_time(other: sqlite3.Connection, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            other.execute('ROLLBACK')

    monkeypatch.setattr('requests_cache.backends.sqlite.database.sleep', pause)
    cache = make(busy_timeout=FOREVER)
    other.execute('BEGIN IMMEDIATE')
    cache.save_response(RESPONSE, 'new')
    assert len(pauses) == 5
    assert 0 < max(pauses) <= 0.05
    assert cache.contains('new')


def test_threads_can_read_while_one_waits_to_write(
    other: sqlite3.Connection, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []

    def pause(seconds: float) -> None:
        with ThreadPoolExecutor(1) as pool:
            read.append(pool.submit(cache.get_response, 'key').result())
        other.execute('ROLLBACK')

    monkeypatch.setattr('requests_cache.backends.sqlite.database.sleep', pause)
    cache = make(busy_timeout=FOREVER)
    other.execute('BEGIN IMMEDIATE')
    cache.save_response(RESPONSE, 'new')
    assert [facts(r) for r in read] == [facts(RESPONSE)]


def test_opening_waits_for_nobody(other: sqlite3.Connection, make: Any) -> None:
    other.execute('BEGIN EXCLUSIVE')
    cache = make(busy_timeout=FOREVER, wal=True)
    other.execute('ROLLBACK')
    assert facts(cache.get_response('key')) == facts(RESPONSE)
    check_works(cache)


def test_a_vain_wait_is_not_repeated_in_full(other: sqlite3.Connection, make: Any) -> None:
    cache = make(busy_timeout=600)
    other.execute('BEGIN EXCLUSIVE')
    with pytest.raises(BackendUnavailableError):
        cache.get_response('key')
    with cache.responses.connection() as connection:
        assert connection.execute('PRAGMA busy_timeout').fetchone()[0] <= 50
    with pytest.raises(BackendUnavailableError):
        cache.save_response(RESPONSE, 'new')
    other.execute('ROLLBACK')
    assert cache.contains('key')
    with cache.responses.connection() as connection:
        assert connection.execute('PRAGMA busy_timeout').fetchone()[0] == 600


def test_a_vain_wait_to_write_is_not_repeated_in_full(
    other: sqlite3.Connection, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr('requests_cache.backends.sqlite.database.sleep', pause)
    monkeypatch.setattr('requests_cache.backends.sqlite.database.monotonic', lambda: now[0])
    cache = make(busy_timeout=60.0)
    other.execute('BEGIN IMMEDIATE')
    waits = []
    for _ in range(3):
        before = now[0]
        with pytest.raises(BackendUnavailableError):
            cache.save_response(RESPONSE, 'new')
        waits.append(now[0] - before)
        assert cache.contains('key')
    assert waits == [pytest.approx(60), pytest.approx(0.25), pytest.approx(0.25)]
    other.execute('ROLLBACK')
    cache.save_response(RESPONSE, 'new')
    other.execute('BEGIN IMMEDIATE')
    before = now[0]
    with pytest.raises(BackendUnavailableError):
        cache.save_response(RESPONSE, 'newer')
    assert now[0] - before == pytest.approx(60)


def test_a_thread_that_keeps_the_connection(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('requests_cache.backends.sqlite.connection.MIN_LOCK_SECONDS', 0.01)
    cache = make(busy_timeout=10)
    with cache.responses.bulk_commit(), ThreadPoolExecutor(1) as pool:
        for use in (
            lambda: cache.responses['key'],
            lambda: cache.responses.update({'key': RESPONSE}),
            cache.close,
            lambda: list(cache.responses),
        ):
            with pytest.raises(BackendUnavailableError, match='another thread') as caught:
                pool.submit(use).result()
            assert isinstance(caught.value.__cause__, TimeoutError)
    check_works(cache)


# Transactions


def test_an_exception_undoes_a_transaction(make: Any, path: Path) -> None:
    cache, second = make(busy_timeout=FOREVER), make(busy_timeout=FOREVER)

    def fail() -> None:
        with cache.responses.bulk_commit():
            cache.responses['a'] = RESPONSE
            with cache.redirects.bulk_commit():
                cache.redirects['b'] = 'a'
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert rows(path) == rows(path, 'SELECT key FROM redirects') == []
    check_works(second)
    check_works(cache)


def test_a_transaction_shows_when_it_is_over(make: Any, path: Path) -> None:
    cache = make()
    with cache.responses.bulk_commit():
        cache.responses['a'] = RESPONSE
        with cache.responses.bulk_commit():
            cache.responses['b'] = RESPONSE
        assert 'b' in cache.responses
        assert cache.responses._active_transaction
        assert rows(path) == []
    assert rows(path) == ['a', 'b']
    assert not cache.responses._active_transaction


@pytest.mark.parametrize('value', [object(), {'a': 1}, 2**70])
def test_values_that_the_driver_does_not_take(value: Any, cache_path: Path) -> None:
    storage = SQLiteDict(cache_path, serializer=None)
    try:
        storage['key'] = 'old'
        with pytest.raises(BackendError) as caught:
            storage['key'] = value
        assert caught.value.__cause__ is not None
        assert storage['key'] == 'old'
        storage['key'] = 'new'
        assert storage['key'] == 'new'
    finally:
        storage.close()


def test_a_full_disk(make: Any, path: Path) -> None:
    cache = make()
    cache.save_response(RESPONSE, 'key')
    with cache.responses.connection() as connection:
        connection.execute(f'PRAGMA max_page_count = {connection.execute("PRAGMA page_count").fetchone()[0] + 2}')
    with pytest.raises(BackendError, match='full'):
        cache.save_response(make_response(2, content=os.urandom(100_000)), 'big')
    with pytest.raises(BackendError, match='full'):
        cache.responses.update({'small': RESPONSE, 'big': make_response(2, content=os.urandom(100_000))})
    assert rows(path) == ['key']
    check_works(cache)


def test_a_failed_commit_leaves_the_connection_usable(make: Any, path: Path) -> None:
    class Connection(sqlite3.Connection):
        failures = 0

        def commit(self) -> None:
            if Connection.failures:
                Connection.failures -= 1
                raise sqlite3.OperationalError('disk I/O error')
            super().commit()

    cache = make(factory=Connection)
    Connection.failures = 1
    with pytest.raises(BackendUnavailableError, match='disk I/O'):
        cache.save_response(RESPONSE, 'key')
    assert rows(path) == []
    check_works(cache)


# Misplaced and damaged


def test_a_directory_in_place_of_the_file(make: Any, path: Path) -> None:
    path.mkdir(parents=True)
    cache = make()
    for use in (lambda: cache.get_response('key'), lambda: cache.save_response(RESPONSE, 'key'), cache.clear):
        with pytest.raises(BackendUnavailableError, match='unable to open') as caught:
            use()
        assert isinstance(caught.value.__cause__, sqlite3.Error)
    path.rmdir()
    check_works(cache)


def test_a_file_that_is_no_database(make: Any, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'Precious notes. ' * 1000)
    cache = make()
    for use in (
        lambda: cache.get_response('key'),
        lambda: cache.save_response(RESPONSE, 'key'),
        lambda: list(cache.filter()),
        cache.clear,
    ):
        with pytest.raises(BackendError, match=r'not a database|not only a cache'):
            use()
    assert path.read_bytes() == b'Precious notes. ' * 1000
    path.unlink()
    check_works(cache)


def damage(path: Path) -> None:
    """Overwrite everything but the first page of a database"""
    size = path.stat().st_size
    with path.open('r+b') as file:
        file.seek(4096)
        file.write(b'\xff' * (size - 4096))


def test_a_damaged_database_is_made_anew_by_clearing(make: Any, path: Path) -> None:
    cache = make()
    cache.responses.update({str(i): make_response(i) for i in range(200)})
    cache.close()
    damage(path)
    with pytest.raises(BackendError):
        cache.get_response('5')
    with pytest.raises(BackendError):
        cache.save_response(RESPONSE, 'new')
    cache.clear()
    check_works(cache)
    assert rows(path) == []
    assert rows(path, 'PRAGMA integrity_check') == ['ok']


@pytest.mark.parametrize('error', [OSError('simulated'), BackendError('simulated'), sqlite3.DatabaseError('simulated')])
def test_when_clearing_fails_the_file_is_removed(error: Exception, make: Any, path: Path) -> None:
    cache = make(wal=True)
    cache.save_response(RESPONSE, 'key')
    inode = path.stat().st_ino, path.stat().st_ctime_ns
    with (
        patch.object(SQLiteDict, 'clear', side_effect=error),
        patch('requests_cache.backends.sqlite.unlink', wraps=os.unlink) as unlink,
    ):
        cache.clear()
    assert unlink.call_args_list[0].args == (str(path),)
    assert (path.stat().st_ino, path.stat().st_ctime_ns) != inode
    assert rows(path) == []
    check_works(cache)


def test_a_database_that_holds_more_than_the_cache_is_not_removed(other: sqlite3.Connection, make: Any) -> None:
    other.execute('CREATE TABLE mine (text)')
    other.execute("INSERT INTO mine VALUES ('precious')")
    cache = make()
    with patch.object(SQLiteDict, 'clear', side_effect=OSError), pytest.raises(BackendError, match='not only a cache'):
        cache.clear()
    assert other.execute('SELECT * FROM mine').fetchall() == [('precious',)]
    assert cache.contains('key')


def test_text_that_is_damaged(path: Path, make: Any) -> None:
    cache = make(serializer='json')
    cache.responses.update({'bad': make_response(1), 'good': make_response(2), 'key bad': make_response(3)})
    cache.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE responses SET value = CAST(x'7b22ff' AS TEXT) WHERE key = 'bad'")
    connection.execute("UPDATE responses SET key = CAST(x'6bff' AS TEXT) WHERE key = 'key bad'")
    connection.commit()
    connection.close()
    assert cache.get_response('bad') is None
    assert list(cache.responses) == ['bad', 'good']
    assert [key for key, value in cache.responses.scan() if value is not None] == ['good']
    assert cache.delete(invalid=True) == 1
    cache.clear()
    assert len(cache.responses) == 0


# Gone


@pytest.mark.skipif(os.name != 'posix', reason='an open file cannot be removed')
@pytest.mark.parametrize('wal', [False, True])
def test_a_file_that_was_removed(wal: bool, make: Any, path: Path) -> None:
    cache = make(wal=wal)
    cache.save_response(RESPONSE, 'key')
    for leftover in path.parent.iterdir():
        leftover.unlink()
    assert cache.get_response('key') is None
    check_works(cache)
    cache.save_response(RESPONSE, 'new')
    path.unlink()
    cache.save_response(RESPONSE, 'newer')
    cache.close()
    assert rows(path) == ['newer']


@pytest.mark.skipif(os.name != 'posix', reason='an open file cannot be removed')
def test_a_directory_that_was_removed(make: Any, path: Path) -> None:
    cache = make()
    path.unlink()
    path.parent.rmdir()
    check_works(cache)
    assert path.is_file()


@pytest.mark.skipif(os.name != 'posix', reason='an open file cannot be replaced')
@pytest.mark.parametrize('wal', [False, True])
def test_a_file_that_was_replaced(wal: bool, make: Any, path: Path, tmp_path: Path) -> None:
    cache = make(wal=wal)
    cache.save_response(RESPONSE, 'old')
    replacement = SQLiteCache(tmp_path / 'replacement', wal=wal)
    replacement.save_response(RESPONSE, 'replaced')
    replacement.close()
    os.replace(tmp_path / 'replacement.sqlite', path)
    for leftover in (path.with_name(path.name + '-wal'), path.with_name(path.name + '-shm')):
        leftover.unlink(missing_ok=True)
    assert list(cache.responses) == ['replaced']
    check_works(cache)
    assert rows(path, 'PRAGMA integrity_check') == ['ok']


@pytest.mark.parametrize('table', ['responses', 'redirects'])
def test_tables_that_were_dropped(table: str, other: sqlite3.Connection, make: Any) -> None:
    cache = make()
    storage = getattr(cache, table)
    assert cache.contains('key')
    other.execute(f'DROP TABLE {table}')
    assert len(storage) == 0
    other.execute(f'DROP TABLE {table}')
    assert storage.get('key') is None
    other.execute(f'DROP TABLE {table}')
    assert list(storage) == []
    other.execute(f'DROP TABLE {table}')
    storage['new'] = RESPONSE if table == 'responses' else 'target'
    assert list(storage) == ['new']
    check_works(cache)


def test_a_connection_that_somebody_closed(make: Any) -> None:
    cache = make()
    cache.save_response(RESPONSE, 'key')
    cache.responses._connection.close()
    assert cache.contains('key')
    cache.responses._connection.close()
    check_works(cache)


def test_a_read_only_database(other: sqlite3.Connection, make: Any) -> None:
    cache = make()
    with cache.responses.connection() as connection:
        connection.execute('PRAGMA query_only = 1')
    assert facts(cache.get_response('key')) == facts(RESPONSE)
    cache.save_response(RESPONSE, 'new')  # a new connection is tried, and can write
    assert cache.contains('new')
