"""The size-bounded storage: what is evicted, that the bound holds, and that the index heals"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.disk import names_in

from requests_cache.backends import eviction
from requests_cache.backends.filesystem import FileCache, LRUDict, LRUFileDict
from requests_cache.backends.filesystem import storage as file_storage
from requests_cache.exceptions import BackendError
from requests_cache.testing.rules.sharing import run_in_child, start_child
from requests_cache.testing.values import STRANGE_KEYS, facts, make_response

SAMPLE = Path(__file__).parents[1] / 'data' / 'samples' / '1.3.3' / 'filesystem-lru' / 'files'
needs_fork = pytest.mark.skipif(not hasattr(os, 'fork'), reason='no forks here')


@pytest.fixture
def make(cache_path: Path) -> Iterator[Callable[..., LRUFileDict]]:
    """Makes storages of plain text in one directory, of which at most 100 bytes are kept"""
    made = []

    def make(**kwargs: Any) -> LRUFileDict:
        made.append(LRUFileDict(cache_path, **{'serializer': None, 'max_cache_bytes': 100, **kwargs}))
        return made[-1]

    yield make
    for storage in made:
        storage.close()


@pytest.fixture
def storage(make: Callable[..., LRUFileDict]) -> LRUFileDict:
    return make()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[LRUDict]:
    with closing(LRUDict(tmp_path / 'index.db', 'lru')) as index:
        yield index


def files(storage: LRUFileDict) -> dict[str, int]:
    return {p.stem: p.stat().st_size for p in storage.cache_dir.glob('*.dat')}


def sizes(storage: LRUFileDict) -> dict[str, int]:
    return {k: storage.lru_index[k] for k in storage.lru_index}


def database(storage: LRUFileDict) -> Any:
    return closing(sqlite3.connect(storage.cache_dir / 'lru.db', isolation_level=None))


class TestEviction:
    def test_what_was_written_first_goes_first(self, storage: LRUFileDict) -> None:
        for key in 'abcd':
            storage[key] = 'x' * 30
        assert files(storage) == sizes(storage) == {'b': 30, 'c': 30, 'd': 30}
        storage['e'] = 'x' * 60
        assert files(storage) == sizes(storage) == {'d': 30, 'e': 60}
        assert storage.size() == 90

    def test_what_was_read_stays(self, storage: LRUFileDict) -> None:
        for key in 'abc':
            storage[key] = 'x' * 30
        assert storage['a'] == 'x' * 30
        storage['d'] = 'x' * 30
        assert set(files(storage)) == {'a', 'c', 'd'}
        assert list(storage.lru_index.sorted()) == ['c', 'a', 'd']

    def test_filtering_is_no_use(self, cache_path: Path) -> None:
        with closing(FileCache(cache_path, max_cache_bytes=100_000)) as cache:
            for key in 'abc':
                cache.save_response(make_response(1), key)
            assert cache.get_response('a') is not None
            assert len(list(cache.filter())) == 3
            assert list(cache.responses.lru_index.sorted()) == ['b', 'c', 'a']

    def test_what_another_storage_read_stays(
        self, make: Callable[..., LRUFileDict], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(eviction, 'FLUSH_SECONDS', 0)
        writer, reader = make(), make()
        for key in 'abc':
            writer[key] = 'x' * 30
        assert reader['a'] == 'x' * 30
        writer['d'] = 'x' * 30
        assert set(files(writer)) == {'a', 'c', 'd'}

    def test_what_was_read_before_closing_stays(self, make: Callable[..., LRUFileDict]) -> None:
        storage = make()
        for key in 'abc':
            storage[key] = 'x' * 30
        for key in 'cab':
            storage[key]
        storage.close()
        assert list(make().lru_index.sorted()) == ['c', 'a', 'b']

    def test_looking_for_a_key_is_no_use(self, storage: LRUFileDict) -> None:
        for key in 'abc':
            storage[key] = 'x' * 30
        assert 'a' in storage
        assert set(storage) == set('abc')
        storage['d'] = 'x' * 30
        assert 'a' not in storage

    def test_overwriting(self, storage: LRUFileDict) -> None:
        storage['a'] = 'x' * 60
        storage['b'] = 'x' * 20
        storage['a'] = 'x' * 80
        assert files(storage) == sizes(storage) == {'a': 80, 'b': 20}
        storage['b'] = 'x'
        assert files(storage) == sizes(storage) == {'a': 80, 'b': 1}
        storage['b'] = 'x' * 21
        assert files(storage) == sizes(storage) == {'b': 21}

    def test_exactly_full(self, storage: LRUFileDict) -> None:
        storage['a'] = 'x' * 100
        assert files(storage) == {'a': 100}
        storage['b'] = ''
        assert files(storage) == {'a': 100, 'b': 0}
        storage['b'] = 'x'
        assert files(storage) == {'b': 1}

    @pytest.mark.parametrize('limits', [{'max_file_bytes': 50}, {'max_cache_bytes': 50}])
    def test_too_large_for_the_cache(self, limits: dict[str, int], make: Callable[..., LRUFileDict]) -> None:
        storage = make(**limits)
        storage['a'] = 'x' * 10
        storage['b'] = 'x' * 51
        assert files(storage) == sizes(storage) == {'a': 10}
        storage['a'] = 'x' * 51
        assert files(storage) == sizes(storage) == {}
        with pytest.raises(KeyError):
            storage['a']

    def test_blocks(self, make: Callable[..., LRUFileDict]) -> None:
        storage = make(block_bytes=40)
        storage['a'], storage['b'] = 'x', 'x' * 40
        assert sizes(storage) == {'a': 40, 'b': 40}
        storage['c'] = 'x' * 41
        assert sizes(storage) == {'c': 80}
        storage['d'] = 'x' * 81
        assert sizes(storage) == {'c': 80}
        assert [storage._get_size_on_disk(n) for n in (0, 1, 40, 41)] == [0, 40, 40, 80]

    def test_evicting_by_hand(self, storage: LRUFileDict) -> None:
        for key in 'abc':
            storage[key] = 'x' * 30
        storage._evict(10)
        assert set(files(storage)) == {'a', 'b', 'c'}
        storage._evict(11)
        assert files(storage) == sizes(storage) == {'b': 30, 'c': 30}
        storage._evict(100)
        assert files(storage) == sizes(storage) == {}

    def test_deleting(self, storage: LRUFileDict) -> None:
        for key in 'abcd':
            storage[key] = 'x' * 20
        del storage['a']
        assert storage.bulk_delete(['b', 'b', 'missing']) == 1
        assert files(storage) == sizes(storage) == {'c': 20, 'd': 20}
        assert storage.size() == storage.lru_index.total_size() == 40
        with pytest.raises(KeyError):
            del storage['a']
        storage.clear()
        assert files(storage) == sizes(storage) == {}
        assert storage.size() == 0
        storage['e'] = 'x' * 100
        assert files(storage) == {'e': 100}

    def test_strange_keys(self, make: Callable[..., LRUFileDict]) -> None:
        storage = make(max_cache_bytes=1000)
        for key in STRANGE_KEYS:
            storage[key] = 'x' * 100
        kept = STRANGE_KEYS[-10:]
        assert set(storage) == set(storage.lru_index) == set(kept)
        assert list(storage.lru_index.sorted()) == kept
        for key in kept:
            assert storage[key] == 'x' * 100
        del storage[kept[0]]
        assert set(storage.lru_index) == set(kept[1:])

    def test_any_sequence_keeps_the_bound(self, make: Callable[..., LRUFileDict]) -> None:
        chance = random.Random(5)
        storages = [make(block_bytes=7, max_file_bytes=70) for _ in range(2)]
        for _ in range(300):
            storage, key = chance.choice(storages), chance.choice('abcdefghij')
            step = chance.random()
            if step < 0.6:
                storage[key] = 'x' * chance.randrange(80)
            elif step < 0.9:
                storage.get(key)
            else:
                storage.bulk_delete([key])
            assert sum(storage._get_size_on_disk(size) for size in files(storage).values()) == storage.size() <= 100
        assert {k: storage._get_size_on_disk(v) for k, v in files(storage).items()} == sizes(storage)


class TestOptions:
    @pytest.mark.parametrize(
        ('options', 'error'),
        [
            ({'max_cache_bytes': None}, TypeError),
            ({'max_cache_bytes': b'5'}, TypeError),
            ({'max_cache_bytes': '5 bits'}, ValueError),
            ({'max_cache_bytes': 10, 'max_file_bytes': 11}, ValueError),
            ({'max_cache_bytes': 10, 'block_bytes': 11}, ValueError),
            ({'max_cache_bytes': 10, 'max_file_bytes': 5, 'block_bytes': 6}, ValueError),
            ({'max_cache_bytes': 10, 'block_bytes': 0}, ValueError),
            ({'max_cache_bytes': -1}, ValueError),
        ],
    )
    def test_errors(self, options: dict[str, Any], error: type[Exception], cache_path: Path) -> None:
        with pytest.raises(error, match='bytes'):
            FileCache(cache_path, **options)
        assert not cache_path.exists()

    def test_defaults(self, cache_path: Path) -> None:
        with closing(FileCache(cache_path, max_cache_bytes=1000)) as cache:
            assert isinstance(cache.responses, LRUFileDict)
            assert cache.responses.max_file_bytes == 1000
            assert cache.responses.block_bytes == 1
        with closing(LRUFileDict(cache_path)) as storage:
            assert storage.max_cache_bytes == 100 * 1024 * 1024

    def test_through_a_cache(self, cache_path: Path) -> None:
        with closing(FileCache(cache_path, max_cache_bytes=10_000)) as cache:
            for i in range(50):
                cache.save_response(make_response(i), f'{i:016x}')
                assert sum(p.stat().st_size for p in cache.paths()) == cache.responses.size() <= 10_000
            assert 1 < len(cache.responses) < 50
            assert facts(cache.responses[f'{49:016x}'])['content'] == make_response(49).content
            assert cache.delete(f'{49:016x}') == 1
            cache.clear()
            assert names_in(cache_path) == {'lru.db', 'redirects.sqlite'}
            assert cache.responses.size() == 0


class TestIndexFile:
    def test_it_is_made_from_the_files(self, make: Callable[..., LRUFileDict], cache_path: Path) -> None:
        cache_path.mkdir(parents=True)
        for number, name in enumerate(('b.dat', 'a.dat', 'foreign.txt', 'c.dat')):
            (cache_path / name).write_text('x' * 20)
            os.utime(cache_path / name, (number, number))
        storage = make()
        assert sizes(storage) == {'a': 20, 'b': 20, 'c': 20}
        assert list(storage.lru_index.sorted()) == ['b', 'a', 'c']
        storage['d'] = 'x' * 50
        assert set(files(storage)) == {'a', 'c', 'd'}

    def test_a_directory_that_is_too_large(self, make: Callable[..., LRUFileDict], cache_path: Path) -> None:
        cache_path.mkdir(parents=True)
        for number in range(10):
            (cache_path / f'{number}.dat').write_text('x' * 30)
        storage = make()
        storage['new'] = 'x'
        assert sum(files(storage).values()) == storage.size() <= 100
        assert 'new' in storage

    def test_it_is_synchronized_when_asked(self, make: Callable[..., LRUFileDict], cache_path: Path) -> None:
        storage = make()
        storage['a'] = storage['b'] = 'x' * 20
        (cache_path / 'a.dat').unlink()
        (cache_path / 'c.dat').write_text('x' * 30)
        storage.close()
        assert sizes(make()) == {'a': 20, 'b': 20}
        assert sizes(make(sync_index=True)) == {'b': 20, 'c': 30}

    def test_a_file_that_is_not_in_it_is_added_when_read(self, storage: LRUFileDict, cache_path: Path) -> None:
        storage['a'] = 'x' * 20
        (cache_path / 'c.dat').write_text('x' * 30)
        assert storage['c'] == 'x' * 30
        assert list(storage.lru_index.sorted()) == ['a', 'c']
        assert storage.size() == 50

    def test_a_file_that_is_gone(self, storage: LRUFileDict, cache_path: Path) -> None:
        storage['a'] = storage['b'] = 'x' * 40
        (cache_path / 'a.dat').unlink()
        with pytest.raises(KeyError):
            storage['a']
        storage['c'] = 'x' * 50
        assert files(storage) == sizes(storage) == {'b': 40, 'c': 50}

    def test_opening_it_leaves_it_as_it_is(self, make: Callable[..., LRUFileDict]) -> None:
        make()['a'] = 'x' * 20
        for _ in range(5):
            storage = make()
        with database(storage) as connection:
            assert connection.execute('SELECT total_size FROM lru_size').fetchall() == [(20,)]

    def test_the_index_of_the_published_version(self, tmp_path: Path, make: Callable[..., LRUFileDict]) -> None:
        shutil.copytree(SAMPLE, tmp_path / 'sample')
        total = sum(p.stat().st_size for p in (tmp_path / 'sample').glob('*.json'))
        with closing(LRUFileDict(tmp_path / 'sample', max_cache_bytes=total)) as storage:
            assert storage.size() == total
            assert sizes(storage) == {p.stem: p.stat().st_size for p in storage.paths()}
            oldest = next(storage.lru_index.sorted())
            storage['new'] = make_response(1)
            assert storage.size() <= total
            assert oldest not in storage
            with database(storage) as connection, database(make()) as of_ours:
                schema = 'SELECT name, type FROM sqlite_master ORDER BY name'
                assert connection.execute(schema).fetchall() == of_ours.execute(schema).fetchall()
                assert len(connection.execute('SELECT * FROM lru_size').fetchall()) == 1

    def test_a_total_that_is_wrong_is_corrected(self, make: Callable[..., LRUFileDict]) -> None:
        storage = make()
        storage['a'] = 'x' * 20
        with database(storage) as connection:
            connection.execute('UPDATE lru_size SET total_size = 90')
            connection.execute('INSERT INTO lru_size VALUES (95)')
        assert make().size() == 20

    def test_a_total_that_goes_wrong_while_it_is_open(self, storage: LRUFileDict) -> None:
        storage['a'] = 'x' * 20
        with database(storage) as connection:
            connection.execute('UPDATE lru_size SET total_size = 1000')
        storage['b'] = 'x' * 20
        assert storage['b'] == 'x' * 20
        assert storage.size() == sum(files(storage).values()) == 20

    @pytest.mark.parametrize('when', ['open', 'closed'])
    @pytest.mark.parametrize('damage', ['foreign', 'middle', 'empty', 'gone', 'tables'])
    def test_damage_is_healed(self, when: str, damage: str, make: Callable[..., LRUFileDict]) -> None:
        storage = make()
        for number in range(9):
            storage[str(number)] = 'x' * 10
        path = storage.cache_dir / 'lru.db'
        if when == 'closed':
            storage.close()
        spoil(path, damage)
        if when == 'closed':
            storage = make()
        assert storage['3'] == 'x' * 10
        for number in range(20, 30):
            storage[str(number)] = 'x' * 10
            assert sum(files(storage).values()) <= 100
        assert storage['29'] == 'x' * 10
        del storage['29']
        assert files(storage) == sizes(storage)
        again = make()
        assert again.size() == storage.size() == sum(files(storage).values())

    def test_reading_and_deleting_without_it(self, storage: LRUFileDict, cache_path: Path) -> None:
        storage['a'] = storage['b'] = 'x' * 20
        storage.close()
        (cache_path / 'lru.db').unlink()
        (cache_path / 'lru.db').mkdir()
        assert storage['a'] == 'x' * 20
        assert set(storage) == {'a', 'b'}
        del storage['a']
        assert 'a' not in storage
        with pytest.raises(BackendError):
            storage['c'] = 'x'
        assert files(storage) == {'b': 20}


class TestOtherUsers:
    def test_an_index_that_is_locked(self, make: Callable[..., LRUFileDict]) -> None:
        storage = make(busy_timeout=20)
        storage['a'] = 'x' * 20
        with database(storage) as connection:
            connection.execute('BEGIN EXCLUSIVE')
            assert storage['a'] == 'x' * 20
            with pytest.raises(BackendError):
                storage['b'] = 'x' * 20
            assert 'a' in storage
            connection.execute('ROLLBACK')
        assert [name for name in names_in(storage.cache_dir) if name.startswith('.')] == []
        storage['b'] = 'x' * 20
        assert files(storage) == sizes(storage) == {'a': 20, 'b': 20}

    def test_hits_do_not_write(self, storage: LRUFileDict, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 0.0
        monkeypatch.setattr(eviction, 'monotonic', lambda: now)
        storage['a'] = storage['b'] = 'x' * 20
        with storage.lru_index.connection() as connection:
            statements: list[str] = []
            connection.set_trace_callback(statements.append)
        now = 100.0
        for _ in range(50):
            assert storage['a'] == 'x' * 20
            now += 0.001
        assert statements.count('COMMIT') == 1
        now += 10
        assert storage['a'] == 'x' * 20
        assert statements.count('COMMIT') == 2

    @needs_fork
    def test_many_processes_keep_the_bound(self, make: Callable[..., LRUFileDict]) -> None:
        storage = make(max_cache_bytes=1000)
        storage['first'] = 'x'
        children = [start_child(lambda seed=seed: (work(storage, seed), storage.close())) for seed in range(4)]
        work(storage, 9)
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 4
        # What one process deletes or replaces before another has recorded it may count for a while
        recorded = sizes(storage)
        assert all(recorded[key] >= n_bytes for key, n_bytes in files(storage).items())
        assert sum(files(storage).values()) <= storage.size() <= 1000

    @needs_fork
    @pytest.mark.parametrize('moment', ['unlink', 'replace', 'after replace'])
    def test_a_writer_that_is_killed(
        self, moment: str, make: Callable[..., LRUFileDict], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        storage = make()
        for key in 'abc':
            storage[key] = 'x' * 30
        replace = os.replace

        def replace_and_die(*args: Any) -> None:
            if moment == 'after replace':
                replace(*args)
            os._exit(9)

        def child() -> None:
            if moment == 'unlink':
                monkeypatch.setattr(file_storage, 'remove_file', lambda *_: os._exit(9))
            else:
                monkeypatch.setattr(os, 'replace', replace_and_die)
            storage['b'] = 'x' * 60

        pid = start_child(child)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        for number in range(6):
            storage[str(number)] = 'x' * (10 + 7 * number)
            assert sum(files(storage).values()) <= storage.size() <= 100
        again = make()
        assert all(again[k] == 'x' * size for k, size in files(again).items())

    @needs_fork
    def test_a_forked_child(self, storage: LRUFileDict) -> None:
        storage['a'] = 'x' * 30

        def child() -> None:
            assert storage['a'] == 'x' * 30
            storage['b'] = 'x' * 30
            storage.close()

        run_in_child(child)
        storage['c'] = 'x' * 30
        assert files(storage) == sizes(storage) == {'a': 30, 'b': 30, 'c': 30}


class TestIndex:
    def test_as_a_mapping(self, index: LRUDict) -> None:
        index['a'], index['b'] = 5, 7
        index['a'] = 6
        assert (index['a'], index['b']) == (6, 7)
        assert dict(index.items()) == dict(index.scan()) == {'a': 6, 'b': 7}
        assert sorted(index.values()) == [6, 7]
        assert index.total_size() == 13
        assert len(index) == index.count() == 2
        assert 'a' in index
        del index['a']
        for attempt in (lambda: index['a'], lambda: index.__delitem__('a'), lambda: index.update_access_time('a')):
            with pytest.raises(KeyError):
                attempt()
        assert index.bulk_delete(['b', 'c']) == 1
        assert index.total_size() == 0
        index['c'] = 1
        index.clear()
        assert (len(index), index.total_size()) == (0, 0)
        index['c'] = 2
        assert index.total_size() == 2

    def test_order(self, index: LRUDict) -> None:
        for key, size in {'a': 3, 'b': 1, 'c': 2}.items():
            index[key] = size
        assert list(index.sorted()) == ['a', 'b', 'c']
        index.update_access_time('a')
        assert list(index.sorted()) == ['b', 'c', 'a']
        assert list(index.sorted(reversed=True)) == ['a', 'c', 'b']
        assert list(index.sorted('size')) == ['b', 'c', 'a']
        assert list(index.sorted('key', limit=2)) == ['a', 'b']
        with pytest.raises(ValueError, match='Invalid sort key: other'):
            list(index.sorted('other'))

    def test_least_recently_used(self, index: LRUDict) -> None:
        for key in 'abc':
            index[key] = 10
        assert index.get_lru(0) == []
        assert index.get_lru(1) == index.get_lru(10) == ['a']
        assert index.get_lru(11) == ['a', 'b']
        assert index.get_lru(1000) == ['a', 'b', 'c']

    def test_a_table_name_of_ones_own(self, tmp_path: Path) -> None:
        with closing(LRUDict(tmp_path / 'other.db', "it's")) as index:
            index['a'] = 5
            assert index.total_size() == 5


def spoil(path: Path, damage: str) -> None:
    if damage == 'foreign':
        path.write_bytes(b'not a database' * 100)
    elif damage == 'middle':
        content = bytearray(path.read_bytes())
        content[100:] = b'\xff' * (len(content) - 100)
        path.write_bytes(content)
    elif damage == 'empty':
        path.write_bytes(b'')
    elif damage == 'gone':
        path.unlink()
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute('DROP TABLE lru')
            connection.execute('DROP TABLE lru_size')


def work(storage: LRUFileDict, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        key = str(chance.randrange(20))
        step = chance.random()
        if step < 0.6:
            storage[key] = key[0] * chance.randrange(300)
        elif step < 0.9:
            assert set(storage.get(key) or '') <= {key[0]}
        else:
            storage.bulk_delete([key])
