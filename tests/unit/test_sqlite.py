"""The SQLite backend: where its file is, what is in it, and what its options do"""

from __future__ import annotations

import copy
import gc
import os
import sqlite3
import stat
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import pytest

from requests_cache.backends.base import BaseCache
from requests_cache.backends.sqlite import MEMORY_URI, SQLiteCache, SQLiteDict
from requests_cache.exceptions import BackendError
from requests_cache.models.request import CachedRequest
from requests_cache.models.response import CachedResponse
from requests_cache.testing.values import FAR, FUTURE, PAST, facts, make_response

needs_posix = pytest.mark.skipif(os.name != 'posix', reason='permissions and owners of POSIX')
COLUMNS = [('key', 'TEXT'), ('value', 'BLOB'), ('expires', 'INTEGER')]


@pytest.fixture
def cache(cache_path: Path) -> Iterator[SQLiteCache]:
    cache = SQLiteCache(cache_path)
    yield cache
    cache.close()


@pytest.fixture
def opened() -> Iterator[Callable[[Any], Any]]:
    """Closes, at the end of the test, what it is called with"""
    things: list[Any] = []

    def remember(thing: Any) -> Any:
        things.append(thing)
        return thing

    yield remember
    for thing in things:
        thing.close()


def query(path: Path | str, sql: str, *parameters: Any) -> list[Any]:
    """Run a statement on a connection of one's own"""
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(sql, parameters).fetchall()
        connection.commit()
    finally:
        connection.close()
    return rows


def statements(storage: Any) -> list[str]:
    """A list that all statements run from now on are added to, with values in place"""
    seen: list[str] = []
    with storage.connection() as connection:
        connection.set_trace_callback(seen.append)
    return seen


def hop(path: str, **fields: Any) -> CachedResponse:
    url = f'http://example.com/{path}'
    return make_response(url=url, request=CachedRequest(method='GET', url=url), **fields)


# Paths


@pytest.mark.parametrize(
    ('name', 'file'),
    [
        ('name', 'name.sqlite'),
        ('name.db', 'name.db'),
        ('v1.2', 'v1.2'),
        ('.hidden', '.hidden.sqlite'),
        ('new/folder/name', 'new/folder/name.sqlite'),
    ],
)
def test_relative_paths(name: str, file: str, tmp_path: Path, opened: Any) -> None:
    for given in (name, Path(name)):
        cache = opened(SQLiteCache(given))
        assert cache.db_path == tmp_path / file
        assert isinstance(cache.db_path, Path)
        assert cache.cache_name == name
    assert (tmp_path / file).is_file()


def test_the_default_path(tmp_path: Path, opened: Any) -> None:
    assert opened(SQLiteCache()).db_path == tmp_path / 'http_cache.sqlite'


def test_user_directories(tmp_path: Path, opened: Any) -> None:
    home = tmp_path / 'home'
    assert opened(SQLiteCache('~/a')).db_path == home / 'a.sqlite'
    assert opened(SQLiteCache('x/a', use_cache_dir=True)).db_path == home / 'cache' / 'x' / 'a.sqlite'
    assert opened(SQLiteCache('x/a', use_temp=True)).db_path == Path(tempfile.gettempdir()) / 'x' / 'a.sqlite'
    assert opened(SQLiteCache('b', use_cache_dir=True, use_temp=True)).db_path == home / 'cache' / 'b.sqlite'
    absolute = tmp_path / 'absolute.sqlite'
    assert opened(SQLiteCache(absolute, use_cache_dir=True, use_temp=True)).db_path == absolute


@pytest.mark.parametrize('path', ['file/name', 'file/folder/name'])
def test_a_file_in_place_of_a_directory(path: str, tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(FileExistsError, match=str(tmp_path / 'file')):
        SQLiteCache(path)


@needs_posix
def test_only_the_owner_can_read(tmp_path: Path, opened: Any) -> None:
    previous = os.umask(0)
    try:
        cache = opened(SQLiteCache('one/two/name', wal=True))
        cache.save_response(make_response(1), 'key')
    finally:
        os.umask(previous)
    files = list((tmp_path / 'one' / 'two').iterdir())
    assert {f.name for f in files} >= {'name.sqlite', 'name.sqlite-wal'}
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
    assert {stat.S_IMODE((tmp_path / d).stat().st_mode) for d in ('one', 'one/two')} == {0o700}


@needs_posix
def test_permissions_that_somebody_chose_stay(tmp_path: Path, opened: Any) -> None:
    (tmp_path / 'name.sqlite').touch(0o640)
    (tmp_path / 'name.sqlite').chmod(0o640)
    opened(SQLiteCache('name')).save_response(make_response(1), 'key')
    assert stat.S_IMODE((tmp_path / 'name.sqlite').stat().st_mode) == 0o640


@needs_posix
@pytest.mark.parametrize('theirs', ['cache.sqlite', 'cache.sqlite-journal'])
def test_temporary_files_of_somebody_else_are_refused(
    theirs: str, monkeypatch: pytest.MonkeyPatch, opened: Any
) -> None:
    (Path(tempfile.gettempdir()) / theirs).touch()
    monkeypatch.setattr(os, 'geteuid', lambda: os.getuid() + 1)
    with pytest.raises((PermissionError, BackendError), match='belongs to another user'):
        opened(SQLiteCache('cache', use_temp=True)).save_response(make_response(1), 'key')
    assert (Path(tempfile.gettempdir()) / theirs).read_bytes() == b''


# Databases in memory


def test_each_cache_in_memory_has_its_own_database(opened: Any) -> None:
    assert MEMORY_URI == 'file::memory:?cache=shared'
    one, other = opened(SQLiteCache('name', use_memory=True)), opened(SQLiteCache('name', use_memory=True))
    assert one.db_path == MEMORY_URI
    one.save_response(make_response(1), 'key')
    one.redirects['from'] = 'key'
    assert facts(one.get_response('from')) == facts(make_response(1))
    assert not other.contains('key')
    assert os.listdir() == ['home']
    one.close()
    assert not one.contains('key')


@pytest.mark.parametrize('path', [':memory:', 'file:apart?mode=memory'])
def test_responses_and_redirects_in_memory_are_one_database(path: str, opened: Any) -> None:
    cache = opened(SQLiteCache(path))
    assert cache.db_path == path
    cache.save_response(make_response(1), 'key')
    with cache.redirects.connection() as connection:
        assert connection.execute('SELECT key FROM responses').fetchall() == [('key',)]
    assert not opened(SQLiteCache(path)).contains('key')
    assert os.listdir() == ['home']


def test_a_named_database_in_memory_is_shared(opened: Any) -> None:
    one, other = (opened(SQLiteCache('file:named?mode=memory&cache=shared')) for _ in range(2))
    one.save_response(make_response(1), 'key')
    assert other.contains('key')


def test_a_uri_is_taken_as_it_is(tmp_path: Path, opened: Any) -> None:
    opened(SQLiteCache('plain')).save_response(make_response(1), 'key')
    uri = f'file:{tmp_path}/plain.sqlite?mode=ro'
    cache = opened(SQLiteCache(uri, uri=True))
    assert cache.db_path == uri
    assert cache.contains('key')
    with pytest.raises(BackendError, match='readonly'):
        cache.save_response(make_response(2), 'other')


# What is in the file


def test_the_format_is_that_of_1_3(cache: SQLiteCache) -> None:
    cache.save_response(make_response(1), 'bytes', datetime(2030, 1, 2, 3, 4, 5, 500_001, timezone.utc))
    cache.save_response(make_response(2), 'never')
    cache.save_response(make_response(3), 'far', FAR)
    cache.redirects['from'] = 'bytes'
    for table in ('responses', 'redirects'):
        assert [row[1:3] for row in query(cache.db_path, f'PRAGMA table_info({table})')] == COLUMNS
    sql = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite_%'"
    assert query(cache.db_path, sql) == [('expires_idx', 'responses')]
    for pragma, value in {'journal_mode': 'delete', 'user_version': 0, 'page_size': 4096, 'encoding': 'UTF-8'}.items():
        assert query(cache.db_path, f'PRAGMA {pragma}') == [(value,)]
    expected = {'bytes': 1893553446, 'never': None, 'far': 253402300799}
    assert dict(query(cache.db_path, 'SELECT key, expires FROM responses')) == expected
    assert query(cache.db_path, 'SELECT DISTINCT typeof(value) FROM responses') == [('blob',)]
    assert query(cache.db_path, 'SELECT key, value, typeof(value), expires FROM redirects') == [
        ('from', 'bytes', 'text', None)
    ]


@pytest.mark.parametrize(
    ('serializer', 'kind'), [('json', 'text'), ('yaml', 'text'), ('orjson', 'blob'), ('bson', 'blob')]
)
def test_types_of_values(serializer: str, kind: str, opened: Any) -> None:
    cache = opened(SQLiteCache('cache', serializer=serializer))
    cache.save_response(make_response(1), 'key')
    assert query(cache.db_path, 'SELECT typeof(value) FROM responses') == [(kind,)]


def test_keys_that_are_not_text_are_stored_as_text(cache: SQLiteCache) -> None:
    cache.redirects[5] = 'five'  # type: ignore[index]
    assert cache.redirects['5'] == cache.redirects[5] == 'five'  # type: ignore[index]
    assert list(cache.redirects) == ['5']


def old_database(path: Path) -> None:
    """A database as 0.9 made it, with one entry each that has expired, will expire, and never will"""
    storage = SQLiteDict(path, 'responses')
    query(storage.db_path, 'DROP TABLE responses')
    query(storage.db_path, 'CREATE TABLE responses (key PRIMARY KEY, value)')
    for key, expires in {'expired': PAST, 'fresh': FUTURE, 'never': None}.items():
        value = storage.serialize(make_response(1, expires=expires))
        query(storage.db_path, 'INSERT INTO responses VALUES (?, ?)', key, value)
    storage.close()


def test_old_databases_get_the_missing_column(cache_path: Path, opened: Any) -> None:
    old_database(cache_path)
    cache = opened(SQLiteCache(cache_path))
    assert sorted(cache.responses) == ['expired', 'fresh', 'never']
    assert cache.get_response('fresh').expires == FUTURE
    assert cache.count(expired=False) == 2
    assert cache.delete(expired=True) == 1
    rows = dict(query(cache.db_path, 'SELECT key, expires FROM responses'))
    assert rows == {'fresh': round(FUTURE.timestamp()), 'never': None}


def test_expired_entries_of_old_databases_are_found(cache_path: Path, opened: Any) -> None:
    old_database(cache_path)
    query(cache_path.with_suffix('.sqlite'), 'ALTER TABLE responses ADD COLUMN expires INTEGER')  # as 1.x does
    cache = opened(SQLiteCache(cache_path))
    assert {r.cache_key for r in cache.filter(expired=False)} == {'fresh', 'never'}
    assert [r.cache_key for r in cache.filter(valid=False)] == ['expired']


def test_old_databases_that_cannot_be_written_to_are_read(cache_path: Path, opened: Any) -> None:
    old_database(cache_path)
    storage = opened(SQLiteDict(f'file:{cache_path}.sqlite?mode=ro', 'responses', uri=True))
    assert storage['fresh'].expires == FUTURE
    assert 'expired' in storage


def test_columns_and_tables_of_others_stay(cache: SQLiteCache) -> None:
    query(cache.db_path, 'CREATE TABLE mine (key TEXT PRIMARY KEY, value BLOB, expires INTEGER)')
    query(cache.db_path, "INSERT INTO mine VALUES ('key', 'value', 0)")
    cache.save_response(make_response(1), 'key', PAST)
    cache.save_response(make_response(1), 'other')
    cache.delete(expired=True)
    cache.delete('key', 'other')
    cache.clear()
    assert query(cache.db_path, 'SELECT * FROM mine') == [('key', 'value', 0)]
    assert len(cache.responses) == 0


@pytest.mark.parametrize('name', ['order', 'two words', 'a"b', "it's", '1st', 'x; DROP TABLE responses', 'ключ'])
def test_table_names(name: str, opened: Any) -> None:
    storage = opened(SQLiteDict('cache', name, serializer=None))
    storage['key'] = 'value'
    assert dict(storage.items()) == {'key': 'value'}
    assert storage.table_name == name
    assert [t for (t,) in query('cache.sqlite', "SELECT name FROM sqlite_master WHERE type = 'table'")] == [name]


@pytest.mark.parametrize('name', ['', 'nul\x00', 'sqlite_mine'])
def test_table_names_that_cannot_be(name: str) -> None:
    with pytest.raises(ValueError, match='Invalid table name'):
        SQLiteDict('cache', name)
    gc.collect()
    assert os.listdir() == ['home']


# Options


@pytest.mark.parametrize(
    ('options', 'milliseconds'),
    [
        ({}, 30_000),
        ({'busy_timeout': 2.5}, 2500),
        ({'busy_timeout': 29}, 29),
        ({'busy_timeout': True}, 1),
        ({'busy_timeout': 0}, 0),
        ({'busy_timeout': -1.0}, 0),
        ({'busy_timeout': None}, 5000),
        ({'timeout': 3}, 3000),
        ({'timeout': 3, 'busy_timeout': 7000}, 7000),
        ({'busy_timeout': float('inf')}, 2_000_000_000),
    ],
)
def test_busy_timeout(options: dict[str, Any], milliseconds: int, opened: Any) -> None:
    cache = opened(SQLiteCache('cache', **options))
    cache.save_response(make_response(1), 'key')
    with cache.responses.connection() as connection:
        assert connection.execute('PRAGMA busy_timeout').fetchone() == (milliseconds,)
    with cache.responses.bulk_commit(), cache.responses.connection() as connection:
        assert connection.execute('PRAGMA busy_timeout').fetchone() == (milliseconds,)


def test_busy_timeout_of_a_storage(opened: Any) -> None:
    with opened(SQLiteDict('cache')).connection() as connection:
        assert connection.execute('PRAGMA busy_timeout').fetchone() == (5000,)


def test_a_timeout_that_is_no_number() -> None:
    with pytest.raises(ValueError, match='busy_timeout'):
        SQLiteCache('cache', busy_timeout=float('nan'))


@pytest.mark.parametrize(
    ('options', 'journal', 'synchronous'),
    [
        ({}, 'delete', 2),
        ({'wal': True}, 'wal', 1),
        ({'fast_save': True}, 'delete', 0),
        ({'wal': True, 'fast_save': True}, 'wal', 0),
    ],
)
def test_journals(options: dict[str, Any], journal: str, synchronous: int, opened: Any) -> None:
    cache = opened(SQLiteCache('cache', **options))
    cache.save_response(make_response(1), 'key')
    with cache.responses.connection() as connection:
        assert connection.execute('PRAGMA journal_mode').fetchone() == (journal,)
        assert connection.execute('PRAGMA synchronous').fetchone() == (synchronous,)


def test_keywords_of_the_driver_reach_it(opened: Any) -> None:
    class Connection(sqlite3.Connection):
        pass

    options = {
        'timeout': 0.5,
        'detect_types': 0,
        'cached_statements': 7,
        'factory': Connection,
        'check_same_thread': False,
    }
    with patch('requests_cache.backends.sqlite.sqlite3.connect', wraps=sqlite3.connect) as connect:
        storage = opened(SQLiteDict('cache', **options, invalid_kwarg='???'))
    connect.assert_called_once_with(storage.db_path, isolation_level=None, **options)
    with storage.connection() as connection:
        assert type(connection) is Connection
    assert set(options) <= SQLiteCache.owned_keywords()


def test_an_isolation_level_of_the_driver(opened: Any) -> None:
    cache = opened(SQLiteCache('cache', isolation_level='DEFERRED', timeout=None))
    cache.save_response(make_response(1), 'key')
    with cache.responses.connection() as connection:
        connection.execute("INSERT INTO redirects VALUES ('begun', 'by the driver', NULL)")
        assert connection.in_transaction
    cache.redirects['a'] = 'key'
    assert query(cache.db_path, 'SELECT key FROM redirects ORDER BY key') == [('a',), ('begun',)]


def test_autocommit_is_refused_aloud(opened: Any, caplog: pytest.LogCaptureFixture) -> None:
    cache = opened(SQLiteCache('cache', autocommit=False))
    assert 'autocommit has no effect' in caplog.text
    cache.save_response(make_response(1), 'key')
    assert cache.contains('key')


def test_the_connection_is_opened_with_these_arguments(cache_path: Path, opened: Any) -> None:
    with patch('requests_cache.backends.sqlite.sqlite3.connect', wraps=sqlite3.connect) as connect:
        cache = opened(SQLiteCache(cache_path))
    connect.assert_called_once_with(cache.db_path, isolation_level=None, check_same_thread=False)


def test_a_mock_in_place_of_the_driver() -> None:
    with patch('requests_cache.backends.sqlite.sqlite3') as driver:
        storage = SQLiteDict('cache', timeout=0.5, invalid_kwarg='???')
        expected = {'timeout': 0.5, 'isolation_level': None, 'check_same_thread': False}
        driver.connect.assert_called_with(storage.db_path, **expected)
        storage['key'] = 'value'
        storage.close()


def test_without_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('requests_cache.backends.sqlite.sqlite3', None)
    with pytest.raises(ModuleNotFoundError, match='sqlite3'):
        SQLiteCache('cache')


# Members beyond those of a mapping


def fill(cache: SQLiteCache) -> None:
    """One entry that never expires, one that has expired, two that will"""
    cache.save_response(make_response(1, content=b'x' * 3000), 'never')
    cache.save_response(make_response(2, content=b'x' * 1000), 'expired', PAST)
    cache.save_response(make_response(3, content=b'x' * 4000), 'late', FUTURE + timedelta(days=1))
    cache.save_response(make_response(4, content=b'x' * 2000), 'early', FUTURE)


def found(responses: Iterator[CachedResponse]) -> list[str]:
    return [r.cache_key for r in responses]


def test_sorted(cache: SQLiteCache) -> None:
    fill(cache)
    assert found(cache.sorted()) == ['never', 'expired', 'early', 'late']
    assert found(cache.sorted(reversed=True)) == ['late', 'early', 'expired', 'never']
    assert found(cache.sorted('size')) == ['expired', 'early', 'never', 'late']
    assert found(cache.sorted('key')) == ['early', 'expired', 'late', 'never']
    assert found(cache.sorted(limit=2)) == ['never', 'expired']
    assert found(cache.sorted(limit=0)) == []
    assert found(cache.sorted(expired=False)) == ['never', 'early', 'late']
    assert found(cache.sorted('size', reversed=True, limit=1, expired=False)) == ['late']
    assert all(isinstance(r, CachedResponse) for r in cache.responses.sorted())


def test_an_order_that_does_not_exist(cache: SQLiteCache) -> None:
    responses = cache.sorted('key; DROP TABLE responses')
    with pytest.raises(ValueError, match='Invalid sort key: key; DROP'):
        next(responses)


def test_sorted_passes_over_what_cannot_be_read(cache: SQLiteCache) -> None:
    fill(cache)
    query(cache.db_path, "UPDATE responses SET value = 'damaged' WHERE key = 'early'")
    assert found(cache.sorted()) == ['never', 'expired', 'late']


def test_changing_entries_while_sorting(cache: SQLiteCache) -> None:
    cache.responses.update({str(i): make_response(i, expires=PAST) for i in range(150)})
    seen = []
    with cache.responses.bulk_commit():
        for response in cache.sorted():
            seen.append(response.cache_key)
            cache.responses[response.cache_key] = make_response(1, expires=FUTURE)
            cache.responses[f'new {response.cache_key}'] = make_response(1, expires=FUTURE)
            cache.responses.pop('149', None)
    assert sorted(seen, key=int) == [str(i) for i in range(149)]


def test_count(cache: SQLiteCache) -> None:
    fill(cache)
    assert (cache.count(), cache.count(expired=False)) == (4, 3)
    assert len(cache.responses) == cache.responses.count() == 4


def test_an_entry_expires_at_its_second(cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.responses['key'] = make_response(1, expires=datetime.fromtimestamp(1000, timezone.utc))
    monkeypatch.setattr('requests_cache.backends.sqlite.storage.time', lambda: 999.4)
    assert cache.count(expired=False) == 1
    assert cache.delete(expired=True) == 0
    monkeypatch.setattr('requests_cache.backends.sqlite.storage.time', lambda: 1000.0)
    assert cache.count(expired=False) == 0
    assert cache.delete(expired=True) == 1


def test_filter_goes_through_sorted(cache: SQLiteCache) -> None:
    fill(cache)
    with patch.object(cache.responses, 'sorted', wraps=cache.responses.sorted) as ordered:
        assert found(cache.filter()) == ['never', 'expired', 'early', 'late']
        ordered.assert_called_once_with(expired=True)
        assert found(cache.filter(expired=False)) == ['never', 'early', 'late']
        ordered.assert_called_with(expired=False)


def test_expired_entries_are_found_by_the_index(cache: SQLiteCache) -> None:
    table = cache.responses._table
    for sql in (table.delete_expired, 'SELECT key FROM responses WHERE expires <= ? ORDER BY expires ASC LIMIT 5'):
        plan = query(cache.db_path, f'EXPLAIN QUERY PLAN {sql}', 5)
        assert any('USING' in step[3] and 'INDEX expires_idx' in step[3] for step in plan), plan
    plan = query(cache.db_path, f'EXPLAIN QUERY PLAN {cache.redirects._table.delete_dangling(table)}')
    assert any('SEARCH responses USING' in step[3] for step in plan), plan


def test_bulk_delete_by_value(cache: SQLiteCache) -> None:
    cache.redirects.update({'a': 'x', 'b': 'y', 'c': 'x', 'd': '\ud800'})
    assert cache.redirects.bulk_delete(values=['x', '\ud800', 'missing']) == 3
    assert dict(cache.redirects.items()) == {'b': 'y'}
    assert cache.redirects.bulk_delete() == 0


def test_bulk_delete_works_in_chunks(cache: SQLiteCache) -> None:
    seen = statements(cache.redirects)
    cache.redirects.bulk_delete(str(i) for i in range(2000))
    deletions = [s.count(',') + 1 for s in seen if s.startswith('DELETE')]
    assert deletions == [999, 999, 2]


def test_size_and_vacuum(cache: SQLiteCache) -> None:
    cache.responses.update({str(i): make_response(content=os.urandom(10_000)) for i in range(20)})
    full = cache.responses.size()
    assert full == cache.db_path.stat().st_size > 200_000  # type: ignore[union-attr]
    cache.delete(*map(str, range(10)), vacuum=False)
    assert cache.responses.size() == full
    cache.delete(*map(str, range(10, 15)))
    assert cache.responses.size() < full / 2
    cache.responses.bulk_delete(map(str, range(20)))
    with cache.responses.bulk_commit():
        cache.responses.vacuum()
    cache.responses.vacuum()
    assert cache.responses.size() < full / 5


@pytest.mark.parametrize('condition', [{'expired': True}, {'older_than': timedelta(days=1)}, {'invalid': True}])
def test_deleting_by_condition_gives_space_back(condition: dict[str, Any], cache: SQLiteCache) -> None:
    for i in range(10):
        cache.responses[str(i)] = make_response(content=os.urandom(10_000), expires=PAST, created_at=PAST)
    query(cache.db_path, 'UPDATE responses SET value = zeroblob(10000)' if 'invalid' in condition else 'SELECT 1')
    assert cache.delete(vacuum=False, **condition) == 10
    before = cache.responses.size()
    cache.responses['0'] = make_response(expires=PAST, created_at=PAST)
    query(cache.db_path, "UPDATE responses SET value = 'x'" if 'invalid' in condition else 'SELECT 1')
    assert cache.delete(**condition) == 1
    assert cache.responses.size() < before / 2


@pytest.mark.parametrize(('expired', 'is_rewritten'), [(4, False), (5, True), (20, True)])
def test_large_files_are_rewritten_only_if_that_frees_much(
    expired: int, is_rewritten: bool, cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('requests_cache.backends.sqlite.table.SMALL_BYTES', 0)
    for i in range(20):
        cache.responses[str(i)] = make_response(content=bytes(1000), expires=PAST if i < expired else FUTURE)
    before = cache.responses.size()
    assert cache.delete(expired=True) == expired
    assert (cache.responses.size() < before) == is_rewritten
    cache.clear()
    assert cache.responses.size() < before / 2


def test_small_files_are_always_rewritten(cache: SQLiteCache) -> None:
    for i in range(100):
        cache.responses[str(i)] = make_response(content=bytes(1000), expires=PAST if i < 10 else FUTURE)
    before = cache.responses.size()
    cache.delete(expired=True)
    assert cache.responses.size() < before


@pytest.mark.parametrize('kept', [0, 1])
@pytest.mark.parametrize('vacuum', [True, False])
def test_nothing_is_left_of_deleted_bodies(kept: int, vacuum: bool, cache: SQLiteCache) -> None:
    overwrites = query(':memory:', 'PRAGMA secure_delete') == [(1,)]
    for i in range(10):
        cache.responses[str(i)] = make_response(content=b'a secret ' * 1000, expires=PAST)
    for i in range(kept):
        cache.responses[f'kept {i}'] = make_response(expires=FUTURE)
    assert cache.delete(expired=True, vacuum=vacuum) == 10
    cache.close()
    if vacuum or overwrites:
        assert b'a secret' not in Path(cache.db_path).read_bytes()
    assert len(cache.responses) == kept


def test_connection_is_left_as_it_was(cache: SQLiteCache) -> None:
    def settings() -> list[Any]:
        with cache.responses.connection() as connection:
            return [connection.execute(f'PRAGMA {name}').fetchone() for name in ('cache_size', 'secure_delete')]

    before = settings()
    cache.responses.update({'a': make_response(expires=PAST), 'b': make_response()})
    cache.delete(expired=True)
    query(cache.db_path, 'CREATE TRIGGER no BEFORE DELETE ON responses BEGIN SELECT RAISE(ABORT, "no"); END')
    cache.responses['c'] = make_response(expires=PAST)
    with pytest.raises(BackendError):
        cache.delete(expired=True)
    with pytest.raises(BackendError), cache.responses.bulk_commit(overwrite=False):
        cache.responses.clear()
    assert settings() == before
    assert set(cache.responses) == {'b', 'c'}


def test_size_in_memory(opened: Any) -> None:
    storage = opened(SQLiteDict('name', use_memory=True))
    empty = storage.size()
    storage['key'] = make_response(content=bytes(100_000))
    assert storage.size() > empty + 90_000


def test_init_db(cache: SQLiteCache) -> None:
    cache.redirects['key'] = 'value'
    query(cache.db_path, 'DROP TABLE responses')
    cache.responses.init_db()
    assert len(cache.responses) == 0
    assert cache.redirects['key'] == 'value'


def test_connection(cache: SQLiteCache) -> None:
    with cache.responses.connection() as connection:
        assert not connection.in_transaction
    with cache.responses.connection(commit=True) as connection:
        connection.execute("INSERT INTO redirects VALUES ('key', 'value', NULL)")
        assert connection.in_transaction
    assert query(cache.db_path, 'SELECT * FROM redirects') == [('key', 'value', None)]


def test_reading_may_be_replaced(cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """As airbyte-cdk does, to read without waiting for writers"""

    def getitem(self: Any, key: str) -> Any:
        with self._lock, self.connection() as connection:
            row = connection.execute(f'SELECT value FROM {self.table_name} WHERE key=?', (key,)).fetchone()
        if not row:
            raise KeyError(key)
        return self.deserialize(key, row[0])

    monkeypatch.setattr(SQLiteDict, '__getitem__', getitem)
    cache.save_response(make_response(1), 'key')
    assert facts(cache.get_response('key')) == facts(make_response(1))
    assert cache.get_response('key').cache_key == 'key'
    assert cache.get_response('other') is None


def test_keyword_arguments_of_others_are_passed_over(opened: Any) -> None:
    cache = opened(SQLiteCache('cache', table_name='other', cache_name='other', database='x', expire_after=3))
    assert cache.cache_name == 'cache'
    assert cache.responses.table_name == 'responses'


def test_storages_with_connections_of_their_own(cache: SQLiteCache, opened: Any) -> None:
    """Code that sets the storages of a cache itself"""
    cache.redirects = opened(SQLiteDict(cache.db_path, 'redirects', serializer=None))
    cache.save_response(hop('end', history=[hop('start', status_code=302)]), 'key')
    assert len(cache.redirects) == 1
    assert cache.delete('key') == 1
    assert len(cache.redirects) == 0
    cache.responses['old key'] = hop('end', history=[hop('start', status_code=302)])
    cache.recreate_keys()
    assert cache.contains(url='http://example.com/start')
    cache.clear()
    assert len(cache.redirects) == 0


# Cost


def test_a_hit_is_one_statement(cache: SQLiteCache) -> None:
    cache.save_response(make_response(1), 'key')
    seen = statements(cache.responses)
    assert cache.get_response('key') is not None
    assert seen == ['SELECT value FROM "responses" WHERE key = \'key\'']


def test_a_response_and_its_redirects_are_one_transaction(cache: SQLiteCache) -> None:
    seen = statements(cache.responses)
    cache.save_response(hop('end', history=[hop('start', status_code=302), hop('middle', status_code=302)]), 'key')
    assert sum(s.startswith('INSERT') for s in seen) == 3
    assert seen.count('BEGIN IMMEDIATE') == seen.count('COMMIT') == 1


@pytest.mark.parametrize(
    'change',
    [
        lambda cache: cache.reset_expiration(60),
        lambda cache: cache.delete(expired=True),
        lambda cache: cache.delete(*map(str, range(300))),
        lambda cache: cache.clear(),
        lambda cache: cache.recreate_keys(),
    ],
)
def test_changes_of_many_entries_take_few_transactions(change: Callable[[Any], Any], cache: SQLiteCache) -> None:
    cache.responses.update({str(i): hop(str(i), expires=PAST) for i in range(300)})
    cache.redirects.update({f'from {i}': str(i) for i in range(300)})
    seen = statements(cache.responses)
    change(cache)
    assert seen.count('COMMIT') == 1


def test_copying_many_entries_takes_few_transactions(cache: SQLiteCache) -> None:
    other = BaseCache()
    other.responses.update({str(i): make_response(i) for i in range(500)})
    other.redirects.update({f'from {i}': str(i) for i in range(500)})
    seen = statements(cache.responses)
    cache.update(other)
    assert seen.count('COMMIT') <= 8
    assert len(cache.responses) == len(cache.redirects) == 500
    assert facts(cache.get_response('from 499')) == facts(make_response(499))


def test_memory_does_not_grow_with_the_number_of_entries(opened: Any) -> None:
    cache = opened(SQLiteCache('cache', fast_save=True))
    with cache.responses.bulk_commit(), cache.responses.connection() as connection:
        value = cache.responses.serialize(make_response(content=b'x' * 5000))
        rows = ((f'{i:016x}', value, None) for i in range(5000))
        connection.executemany('INSERT INTO responses VALUES (?, ?, ?)', rows)
    tracemalloc.start()
    try:
        for iterable in (cache.responses, cache.responses.scan(), cache.filter()):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            assert sum(1 for _ in iterable) == 5000
            assert tracemalloc.get_traced_memory()[1] - before < 12_000_000
    finally:
        tracemalloc.stop()


def test_large_values_are_read_a_few_at_a_time(opened: Any) -> None:
    storage = opened(SQLiteDict('cache', serializer=None, fast_save=True))
    storage.update({str(i): bytes(3_000_000) for i in range(12)})
    tracemalloc.start()
    try:
        assert sum(len(value) for _, value in storage.scan()) == 36_000_000
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


# Copies and leftovers


def test_copies_open_the_same_file(cache_path: Path, opened: Any) -> None:
    storage = opened(SQLiteDict(cache_path, 'redirects', serializer=None, busy_timeout=7.0))
    storage['key'] = 'value'
    other = opened(copy.deepcopy(storage))
    assert other['key'] == 'value'
    assert other._connection is not storage._connection
    other['key'] = 'changed'
    assert storage['key'] == 'changed'


def test_databases_in_memory_cannot_be_copied(opened: Any) -> None:
    storage = opened(SQLiteDict('name', serializer=None, use_memory=True))
    with pytest.raises(TypeError, match='in memory'):
        copy.deepcopy(storage)


def test_unclosed_and_half_made_storages_leave_quietly(cache_path: Path, tmp_path: Path) -> None:
    storage = SQLiteDict(cache_path)
    storage['key'] = make_response(1)
    del storage
    SQLiteDict.__new__(SQLiteDict)
    (tmp_path / 'file').touch()
    with pytest.raises(FileExistsError):
        SQLiteDict('file/name')
    gc.collect()  # a finalizer that raises or warns makes the test fail
    assert facts_of_only_entry(cache_path) == facts(make_response(1))


def facts_of_only_entry(path: Path) -> dict[str, Any]:
    storage = SQLiteDict(path)
    try:
        (value,) = storage.values()
    finally:
        storage.close()
    return facts(value)


@pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='no list of descriptors here')
def test_closing_leaves_no_descriptor(cache_path: Path) -> None:
    before = len(os.listdir('/proc/self/fd'))
    for options in ({}, {'wal': True}, {'use_memory': True}):
        for _ in range(20):
            cache = SQLiteCache(cache_path, **options)
            cache.save_response(make_response(1), 'key')
            cache.close()
    assert len(os.listdir('/proc/self/fd')) == before


def test_a_replaced_connection_is_used(cache: SQLiteCache) -> None:
    real, cache.responses._connection = cache.responses._connection, MagicMock()
    try:
        cache.responses._connection.execute.side_effect = [sqlite3.OperationalError('database is locked')] * 3 + [None]
        with cache.responses._acquire_sqlite_lock():
            assert cache.responses._active_transaction
        assert [c.args for c in cache.responses._connection.execute.call_args_list] == [('BEGIN IMMEDIATE',)] * 4
        cache.responses._connection.commit.assert_called_once()
    finally:
        cache.responses._connection = real
    assert not cache.responses._active_transaction
