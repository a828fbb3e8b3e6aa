"""Bounds and cleaning of files: what is reserved in advance, what others do without the index, what has long expired"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import time_machine
from support.disk import names_in

from requests_cache.backends.filesystem import FileCache, FileDict, LRUFileDict, advance, rounds
from requests_cache.exceptions import BackendError
from requests_cache.testing.rules.bounds import NOW
from requests_cache.testing.rules.sharing import run_in_child, start_child
from requests_cache.testing.values import closing_all, large, make_response

MAX_BYTES = 20_000
needs_fork = pytest.mark.skipif(not hasattr(os, 'fork'), reason='no forks here')
AT_EXIT = """
import sys
from requests_cache.backends.filesystem import FileDict

storage = FileDict(sys.argv[1], serializer=None, max_cache_bytes=20_000)
for key in 'abc':
    storage[key] = 'x' * 100
print(storage._bounded._advance.owner)
"""


@pytest.fixture
def make(cache_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens storages of plain text in one directory"""
    with closing_all(lambda **kwargs: FileDict(cache_path, **{'serializer': None, **kwargs})) as factory:
        yield factory


@pytest.fixture
def storage(make: Callable[..., Any]) -> Any:
    """A storage that is large enough to reserve room for several small files at once"""
    return make(max_cache_bytes=MAX_BYTES)


def n_bytes(storage: FileDict) -> int:
    """Bytes in the files of entries; others may be writing temporary ones at the same time"""
    return sum(path.stat().st_size for path in storage.cache_dir.glob('*.*') if path.suffix not in ('.db', '.tmp'))


def rows(storage: Any, statement: str) -> list[Any]:
    """What is in the index, without having it told anything"""
    with storage._bounded.index.connection() as connection:
        found: list[Any] = connection.execute(statement).fetchall()
        return found


def reserved(storage: Any) -> tuple[int, int]:
    found = rows(storage, 'SELECT COALESCE(SUM(bytes), 0), COALESCE(SUM(entries), 0) FROM lru_room')
    return found[0]  # type: ignore[no-any-return]


def transactions(storage: Any) -> list[str]:
    """Statements that begin a transaction, from now on"""
    begun: list[str] = []
    with storage._bounded.index.connection() as connection:
        connection.set_trace_callback(lambda statement: begun.append(statement) if 'BEGIN' in statement else None)
    return begun


class TestOptions:
    def test_a_number_of_entries_alone(self, cache_path: Path) -> None:
        with closing(FileCache(cache_path, max_entries=5)) as cache:
            assert cache.responses.bounds == (None, 5, None)
            for number in range(8):
                cache.save_response(make_response(number, content=os.urandom(50_000)), f'{number}')
            assert set(cache.responses) == {'3', '4', '5', '6', '7'}
            assert not isinstance(cache.responses, LRUFileDict)
            cache.redirects['a'] = 'b'
            assert cache.redirects.bounds is None

    def test_sizes_as_text(self, cache_path: Path) -> None:
        options = {'max_cache_bytes': '1 MB', 'max_file_bytes': '100 kB', 'block_bytes': '4 KiB'}
        with closing(FileCache(cache_path, **options)) as cache:
            storage: Any = cache.responses
            assert isinstance(storage, LRUFileDict)
            assert (storage.max_cache_bytes, storage.max_file_bytes) == (1_000_000, 100_000)
            cache.save_response(make_response(1), 'a')
            assert storage.size() == storage.lru_index['a'] == 4096

    def test_limits_of_files_without_a_bound_of_bytes(self, make: Callable[..., Any]) -> None:
        storage = make(max_entries=5, max_file_bytes=50, block_bytes=10)
        assert not storage.put('a', 'x' * 51)
        assert storage.put('b', 'x' * 45)
        assert storage.size() == 50
        with pytest.raises(ValueError, match='block_bytes'):
            make(max_entries=5, max_file_bytes=5, block_bytes=10)

    def test_bounds_that_are_changed(self, cache_path: Path) -> None:
        with closing(LRUFileDict(cache_path, serializer=None, max_cache_bytes=100)) as storage:
            storage['a'] = storage['b'] = 'x' * 50
            storage.max_cache_bytes = 60
            assert (storage.max_cache_bytes, storage.max_file_bytes) == (60, 60)
            storage['c'] = 'x' * 10
            assert set(storage) == {'b', 'c'}
            storage.max_file_bytes = 20
            storage['d'] = 'x' * 21
            assert 'd' not in storage

    def test_without_bounds(self, make: Callable[..., Any], cache_path: Path) -> None:
        storage = make(max_file_bytes=5, block_bytes=100, sync_index=True)
        storage['a'] = 'x' * 10
        assert storage.size() == 10
        assert names_in(cache_path) == {'a.dat'}


class TestAdvance:
    """Room that is reserved for the next files, which are entered in the index together"""

    def test_few_transactions(self, storage: Any) -> None:
        storage['first'] = 'x' * 100
        begun = transactions(storage)
        for number in range(600):
            storage[f'{number}'] = 'x' * 100
            assert n_bytes(storage) <= MAX_BYTES
        assert len(begun) < 600 / 10

    def test_what_is_reserved_is_small_and_counts(self, storage: Any, make: Callable[..., Any]) -> None:
        for number in range(300):
            storage[f'{number}'] = 'x' * 100
            in_advance, files = reserved(storage)
            assert in_advance <= min(16 * 100, MAX_BYTES // 16)
            assert files <= 16
            total = rows(storage, 'SELECT total_size FROM lru_size')[0][0]
            assert n_bytes(storage) <= total + in_advance <= MAX_BYTES
        others = [make(max_cache_bytes=MAX_BYTES) for _ in range(6)]
        for number, other in enumerate(others):
            other[f'other-{number}'] = 'x' * 100
        assert reserved(storage)[0] <= MAX_BYTES // 8

    def test_not_for_large_files_or_few_of_them(self, make: Callable[..., Any]) -> None:
        for bounds, size in (({'max_entries': 15}, 10), ({'max_cache_bytes': '1 GB'}, 300_000)):
            storage = make(**bounds)
            storage['a'] = 'x' * size
            assert reserved(storage) == (0, 0)

    def test_whoever_looks_sees_what_is_there(self, storage: Any) -> None:
        index = storage._bounded.index
        for key in 'abcd':
            storage[key] = 'x' * 100
            assert storage.size() == index[key] * len(index) == n_bytes(storage)
            assert list(index.sorted())[-1] == key
            assert reserved(storage) == (0, 0)
        storage['c'] = 'x' * 10
        assert dict(index.items()) == {'a': 100, 'b': 100, 'c': 10, 'd': 100}
        assert index.get_lru(1) == ['a']
        del storage['d'], storage['c']
        assert set(index) == {'a', 'b'}

    def test_reading_is_a_use(self, storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also if the file is not in the index yet when that is told"""
        for key in 'abc':
            storage[key] = 'x' * 100
        monkeypatch.setattr('requests_cache.backends.eviction.FLUSH_SECONDS', 0)
        assert storage['a'] == 'x' * 100
        assert rows(storage, 'SELECT key FROM lru') == [('a',)]
        assert list(storage._bounded.index.sorted()) == ['b', 'c', 'a']

    def test_it_is_given_up_after_a_while(self, storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 0.0
        monkeypatch.setattr(advance, 'monotonic', lambda: now)
        storage['a'] = 'x' * 100
        begun = transactions(storage)
        storage['b'] = 'x' * 100
        assert begun == []
        now += advance.ADVANCE_SECONDS
        storage['c'] = 'x' * 100
        assert len(begun) == 1

    def test_an_index_that_was_removed(self, storage: Any) -> None:
        for key in 'abc':
            storage[key] = 'x' * 100
        (storage.cache_dir / 'lru.db').unlink()
        storage['d'] = 'x' * 100
        assert set(storage._bounded.index) == {'a', 'b', 'c', 'd'}
        assert storage.size() == n_bytes(storage) == 400

    def test_a_file_that_cannot_be_put_in_its_place(self, storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        storage['a'] = storage['b'] = 'x' * 100

        def fail(*args: Any) -> None:
            raise PermissionError('no')

        monkeypatch.setattr(storage, '_put_in_place', fail)
        for key in 'bc':
            with pytest.raises(BackendError):
                storage[key] = 'x' * 10
        assert dict(storage._bounded.index) == {'a': 100, 'b': 100}

    def test_what_another_process_has_written_since(self, make: Callable[..., Any]) -> None:
        one, other = make(max_cache_bytes=MAX_BYTES), make(max_cache_bytes=MAX_BYTES)
        for storage in (one, other):
            storage['first'] = 'x'
        one['a'] = 'x' * 10
        other['a'] = 'x' * 200
        other.close()
        one.close()
        assert make(max_cache_bytes=MAX_BYTES)._bounded.index['a'] == 200

    def test_it_is_given_back_when_the_process_ends(self, make: Callable[..., Any], cache_path: Path) -> None:
        done = subprocess.run([sys.executable, '-c', AT_EXIT, str(cache_path)], capture_output=True, text=True)
        assert done.stdout.strip(), done.stderr
        storage = make(max_cache_bytes=MAX_BYTES)
        assert reserved(storage) == (0, 0)
        assert rows(storage, 'SELECT SUM(size), COUNT(*) FROM lru') == [(300, 3)]

    @needs_fork
    def test_processes_that_are_killed(self, make: Callable[..., Any]) -> None:
        """What they have written into reserved room counts until it is found"""
        storage = make(max_cache_bytes=MAX_BYTES)

        def write(start: int) -> None:
            for number in range(start, start + 7):
                storage[f'{number}'] = 'x' * 100
            os._exit(0)

        for start in range(0, 280, 7):
            run_in_child(lambda start=start: write(start))
            assert (
                n_bytes(storage)
                <= sum(row[0] for row in rows(storage, 'SELECT total_size FROM lru_size')) + (reserved(storage)[0])
            )
            assert n_bytes(storage) <= MAX_BYTES
        again = make(max_cache_bytes=MAX_BYTES)
        assert reserved(again) == (0, 0)
        assert again.size() == n_bytes(storage) > MAX_BYTES * 0.8
        assert '279' in again

    @needs_fork
    def test_a_forked_child_has_none(self, storage: Any) -> None:
        storage['a'] = 'x' * 100

        def child() -> None:
            storage['b'] = 'x' * 100
            assert len(rows(storage, 'SELECT owner FROM lru_room')) == 2
            storage.close()

        run_in_child(child)
        storage['c'] = 'x' * 100
        assert dict(storage._bounded.index) == dict.fromkeys('abc', 100)

    def test_copies(self, storage: Any) -> None:
        import pickle

        storage['a'] = 'x' * 100
        with closing(pickle.loads(pickle.dumps(storage))) as copy:
            copy['b'] = storage['c'] = 'x' * 100
            assert n_bytes(storage) == 300
        storage['d'] = 'x' * 100
        assert storage.size() == 400


class TestOthers:
    """Who writes and deletes without the index"""

    def test_files_that_are_not_in_it(self, storage: Any, make: Callable[..., Any]) -> None:
        storage['a'] = 'x' * 100
        other = make()
        for number in range(300):
            other[f'{number}'] = 'x' * 100
        for number in range(400):
            storage[f'new-{number}'] = 'x' * 10
        assert n_bytes(storage) == storage.size() <= MAX_BYTES
        storage['last'] = 'x' * 5_000
        assert 'last' in storage

    def test_rows_without_files_and_with_others(self, storage: Any, make: Callable[..., Any]) -> None:
        for number in range(100):
            storage[f'{number}'] = 'x' * 100
        storage.close()
        other = make()
        for number in range(80):
            del other[f'{number}']
        other['99'] = 'x' * 1_000
        for number in range(600):
            storage['new'] = 'x' * (10 + number % 2)
        assert storage.size() == n_bytes(storage)

    def test_files_of_others_are_left_alone(self, cache_path: Path) -> None:
        """They neither count nor are they evicted; what earlier versions wrote does, and is"""
        cache_path.mkdir(parents=True)
        for number in range(5):
            (cache_path / f'foreign-{number}.json').write_text('{"name": "somebody else\'s"}')
        (cache_path / 'foreign.txt').write_text('x' * 1000)
        (cache_path / 'directory.json').mkdir()
        with closing(FileDict(cache_path)) as unbounded:
            unbounded['own'] = unbounded['0123456789abcdef'] = make_response(1)
        for name in ('own.json', '0123456789abcdef.json'):
            (cache_path / name).chmod(0o644)
        with closing(FileDict(cache_path, max_entries=3, delete_expired_after=0)) as storage:
            assert set(storage._bounded.index) == {'own', '0123456789abcdef'}
            for number in range(30):
                storage[f'{number}'] = make_response(number)
            assert set(storage._bounded.index) == {'27', '28', '29'}
            storage.clear()
        names = {'directory.json', 'foreign.txt', 'lru.db', *(f'foreign-{number}.json' for number in range(5))}
        assert names_in(cache_path) == names

    def test_a_sum_of_entries_that_is_wrong(self, make: Callable[..., Any]) -> None:
        storage = make(max_entries=20)
        for number in range(10):
            storage[f'{number}'] = 'x'
        storage.close()
        rows(storage, 'UPDATE lru_count SET entries = 1000')
        again = make(max_entries=20)
        for number in range(10, 15):
            again[f'{number}'] = 'x'
        assert len(again) == 15

    @needs_fork
    def test_many_processes(self, make: Callable[..., Any]) -> None:
        """The bounds hold after each write, whoever else writes"""
        storage = make(max_cache_bytes=MAX_BYTES, max_entries=150)

        def work(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(150):
                storage[f'{chance.randrange(300)}'] = 'x' * chance.randrange(300)
                storage.get(f'{chance.randrange(300)}')
                with storage._changing():
                    assert n_bytes(storage) <= MAX_BYTES
                    assert len(storage) <= 150
            storage.close()

        children = [start_child(partial(work, seed)) for seed in range(4)]
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 4
        assert n_bytes(storage) <= storage.size() <= MAX_BYTES
        assert reserved(storage) == (0, 0)


EXPIRED = NOW - timedelta(days=3)


@pytest.fixture
def at_a_later_time() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.mark.usefixtures('at_a_later_time')
class TestExpired:
    @pytest.fixture
    def storage(self, cache_path: Path) -> Iterator[Any]:
        with closing(FileDict(cache_path, delete_expired_after=timedelta(days=1), large_body_bytes=1_000)) as storage:
            yield storage

    def test_in_small_steps(self, storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(50):
            storage[f'old-{number}'] = make_response(number, expires=EXPIRED)
        lengths = []
        while not lengths or (lengths[-1] > 1 and len(lengths) < 50):
            storage['new'] = make_response(1)
            lengths.append(len(storage))
        assert lengths[-1] == 1
        assert all(before - after <= 8 for before, after in pairwise(lengths))

    def test_large_ones(self, storage: Any) -> None:
        for number in range(5):
            storage[f'{number}'] = large(number, expires=EXPIRED)
        for _ in range(10):
            storage['new'] = large(9, expires=NOW)
        assert set(storage) == {'new'}
        assert [path for path in storage.pieces.root.rglob('*') if path.is_file()] != []
        del storage['new']
        assert [path for path in storage.pieces.root.rglob('*') if path.is_file()] == []

    def test_young_files_are_not_read(self, storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        storage['young'] = make_response(1, expires=EXPIRED)
        os.utime(storage._key2path('young'), (NOW.timestamp(),) * 2)
        read: list[str] = []
        monkeypatch.setattr(storage, '_read_quietly', read.append)
        storage['old'] = make_response(1)
        for _ in range(5):
            storage['new'] = make_response(2)
            os.utime(storage._key2path('new'), (NOW.timestamp(),) * 2)
        assert set(read) <= {'old', 'new'}
        assert 'old' in read
        assert 'young' in storage

    def test_few_are_read_in_vain(self, storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(100):
            storage[f'{number}'] = make_response(number, expires=NOW)
        read: list[str] = []
        monkeypatch.setattr(storage, '_read_quietly', read.append)
        for _ in range(10):
            storage['new'] = make_response(2)
        assert rounds.READ_IN_VAIN_PER_WRITE * 9 <= len(read) <= rounds.READ_IN_VAIN_PER_WRITE * 10 + 8

    def test_what_is_not_certainly_ours(self, storage: Any, cache_path: Path) -> None:
        names = ['other.json', '0123456789abcdef.json']
        for name in names:
            (cache_path / name).write_text('{"expires": "2000-01-01T00:00:00"}')
        (cache_path / 'directory.json').mkdir()
        storage['unlimited'] = make_response(1)
        for _ in range(20):
            storage['new'] = make_response(1, expires=NOW)
        assert names_in(cache_path) == {*names, 'directory.json', 'unlimited.json', 'new.json'}

    def test_entries_that_are_sealed_for_others(self, storage: Any, cache_path: Path, caplog: Any) -> None:
        pytest.importorskip('cryptography')
        with closing(FileDict(cache_path, encryption_key=bytes(32))) as sealed:
            sealed['a'] = make_response(1, expires=EXPIRED)
        for _ in range(5):
            storage['new'] = make_response(1, expires=NOW)
        assert 'a' in storage
        assert 'Encrypted' not in caplog.text
        with closing(FileDict(cache_path, encryption_key=bytes(32), delete_expired_after=0)) as sealed:
            for _ in range(5):
                sealed['new'] = make_response(1)
            assert 'a' not in sealed

    def test_one_that_is_renewed_meanwhile(self, storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        storage['a'] = make_response(1, expires=EXPIRED)
        changing, renewed = storage._changing, []

        def renew_first() -> Any:
            if not renewed:
                renewed.append(True)
                storage['a'] = make_response(2)
            return changing()

        with monkeypatch.context() as patched:
            patched.setattr(storage, '_changing', renew_first)
            storage['new'] = make_response(1)
        assert storage['a'].content == make_response(2).content

    def test_names_of_another_kind_of_system(self, storage: Any) -> None:
        storage._folds_case = not storage._folds_case
        storage['Abc'] = make_response(1, expires=EXPIRED)
        storage._folds_case = not storage._folds_case
        for _ in range(3):
            storage['new'] = make_response(1, expires=NOW)
        assert set(storage) == {'new'}

    def test_long_keys(self, storage: Any, cache_path: Path) -> None:
        storage['k' * 1000] = make_response(1, expires=EXPIRED)
        for _ in range(3):
            storage['new'] = make_response(1, expires=NOW)
        assert names_in(cache_path) == {'new.json'}

    def test_with_bounds(self, cache_path: Path) -> None:
        with closing(FileDict(cache_path, delete_expired_after=0, max_entries=40)) as storage:
            for number in range(20):
                storage[f'{number}'] = make_response(number, expires=EXPIRED)
            for _ in range(10):
                storage['new'] = make_response(1, expires=NOW + timedelta(1))
            assert set(storage) == set(storage._bounded.index) == {'new'}

    def test_temporary_files_of_killed_writers(self, storage: Any, cache_path: Path) -> None:
        names = [f'.requests-cache-{number:016x}.tmp' for number in range(3)]
        storage['large'] = large(1)
        paths = [cache_path / names[0], cache_path / names[1], storage.pieces.root / names[2]]
        for path in paths:
            path.write_bytes(b'x')
        os.utime(paths[1], (NOW.timestamp(),) * 2)
        for _ in range(5):
            storage['new'] = make_response(1)
        assert [path.exists() for path in paths] == [False, True, False]

    def test_a_directory_that_is_cleared_or_removed(self, storage: Any, cache_path: Path) -> None:
        for number in range(100):
            storage[f'{number}'] = make_response(number, expires=NOW)
        storage.clear()
        storage['a'] = make_response(1, expires=EXPIRED)
        for path in cache_path.iterdir():
            path.unlink()
        cache_path.rmdir()
        storage['b'] = make_response(1, expires=EXPIRED)
        for _ in range(3):
            storage['new'] = make_response(1, expires=NOW)
        assert set(storage) == {'new'}

    @needs_fork
    def test_a_forked_child(self, storage: Any) -> None:
        """It looks through the directory by itself, and its parent goes on where it was"""
        for number in range(40):
            storage[f'{number}'] = make_response(number, expires=NOW)
        storage._expired.close()
        names = iter(storage._expired._rounds)
        first = [next(names).name for _ in range(5)]

        def child() -> None:
            assert len({file.name for file in storage._expired._rounds}) == 40
            storage['child'] = make_response(1)

        run_in_child(child)
        assert {*first, *(file.name for file in names)} >= {f'{number}.json' for number in range(40)}

    def test_a_storage_that_is_not_closed(self, cache_path: Path) -> None:
        """Its open directory is closed without a warning"""
        storage = FileDict(cache_path, delete_expired_after=0)
        storage['a'] = storage['b'] = make_response(1, expires=NOW)
        assert storage._expired is not None
        storage['c'] = make_response(1, expires=NOW)
        next(storage._expired._rounds)
        storage.itself = storage  # type: ignore[attr-defined]
        del storage

    def test_nothing_is_open_after_closing(self, storage: Any) -> None:
        if not os.path.isdir('/proc/self/fd'):
            pytest.skip('open files cannot be counted')

        def is_open() -> bool:
            links = [Path('/proc/self/fd', name) for name in os.listdir('/proc/self/fd')]
            return storage.cache_dir in [link.readlink() for link in links if link.is_symlink()]

        for number in range(100):
            storage[f'{number}'] = make_response(number)
        assert is_open()
        storage.close()
        assert not is_open()

    def test_faults_harm_nobody(self, storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        storage['a'] = make_response(1, expires=EXPIRED)

        def fail(*args: Any) -> None:
            raise PermissionError('no')

        monkeypatch.setattr(storage, 'bulk_delete', fail)
        storage['b'] = make_response(2)
        assert set(storage) == {'a', 'b'}
