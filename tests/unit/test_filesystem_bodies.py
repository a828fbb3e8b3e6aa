"""Large bodies of the filesystem backend: their files, what crashes leave of them, and who may change entries"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, RLock, Thread
from typing import Any

import pytest
from requests.exceptions import ChunkedEncodingError

from requests_cache.backends.filesystem import FileCache, FileDict, LRUFileDict, locking
from requests_cache.backends.filesystem import storage as file_storage
from requests_cache.backends.filesystem.names import LOCK_FILE
from requests_cache.exceptions import BackendError, BackendUnavailableError, EntryTooLargeError
from requests_cache.models.response import CachedResponse
from requests_cache.testing.rules.base import with_pieces
from requests_cache.testing.values import STRANGE_KEYS, facts, large, make_response

if sys.platform != 'win32':
    import fcntl

KEY = '0123456789abcdef'
AMPLE = 100_000_000
needs_fork = pytest.mark.skipif(not hasattr(os, 'fork'), reason='no forks here')


@pytest.fixture
def make(cache_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the storage, bounded in size if `max_cache_bytes` is given"""
    opened = []

    def make(**kwargs: Any) -> Any:
        kind = LRUFileDict if 'max_cache_bytes' in kwargs else FileDict
        storage = with_pieces(kind(cache_path, **{'large_body_bytes': 1_000, **kwargs}))
        opened.append(storage)
        return storage

    yield make
    for storage in opened:
        storage.close()


@pytest.fixture(params=[{}, {'max_cache_bytes': AMPLE}], ids=['unbounded', 'bounded'])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


@pytest.fixture
def storage(make: Callable[..., Any], options: dict[str, Any]) -> Any:
    return make(**options)


def files(cache_path: Path) -> list[str]:
    """All files but databases and locks"""
    found = (p.relative_to(cache_path).as_posix() for p in cache_path.rglob('*') if p.is_file())
    return sorted(name for name in found if not any(part in name for part in ('.db', '.sqlite', LOCK_FILE)))


def in_child(action: Callable[[], object]) -> int:
    """Exit code of a forked process that does something; 0 if it came to its end"""
    pid = os.fork()
    if pid == 0:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class TestFiles:
    def test_places(self, storage: Any, cache_path: Path) -> None:
        storage[KEY] = large(1)
        body_id = storage[KEY]._body.id
        root = '.requests-cache-large/entries.json/'
        assert files(cache_path) == [f'{root}.bodies/{body_id}', f'{root}{KEY}.json']
        assert list(storage.paths()) == [cache_path / root / f'{KEY}.json']
        for path in (cache_path / '.requests-cache-large').rglob('*'):
            if os.name == 'posix':
                assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
        storage[KEY] = make_response(1)
        assert files(cache_path) == [f'{KEY}.json']
        storage[KEY] = large(2)
        storage.clear()
        assert files(cache_path) == []
        assert not (cache_path / '.requests-cache-large').exists()

    @pytest.mark.parametrize('key', [*STRANGE_KEYS, 'ABC', 'k' * 5000, 'K' * 5000])
    def test_keys(self, key: str, storage: Any, cache_path: Path, make: Callable[..., Any]) -> None:
        for response in (large(1), large(2), make_response(1), large(3)):
            storage[key] = response
            assert facts(storage[key]) == facts(response)
            assert list(make()) == [key]
        storage.body_writer(key).write(large(4).content)
        assert [name for name, _ in storage.pieces.unused()] == [key]
        del storage[key]
        storage.remove_leftovers()
        assert len(files(cache_path)) == 1  # what is still being written
        storage.clear()
        assert files(cache_path) == []

    @pytest.mark.parametrize('key', ['ABC', 'K' * 200])
    def test_from_a_system_that_folds_case(self, key: str, make: Callable[..., Any], cache_path: Path) -> None:
        here, there = make(), make()
        there.__dict__['_folds_case'] = True
        for first, second in ((here, there), (there, here)):
            first[key] = large(1)
            assert second[key].content == large(1).content
            assert key in second
            second[key] = large(2)
            assert first[key].content == large(2).content
            assert len(first) == 1
            del first[key]
            assert files(cache_path) == []

    def test_foreign_files_stay(self, storage: Any, cache_path: Path) -> None:
        storage[KEY] = large(1)
        foreign = [path.with_name('foreign') for path in cache_path.rglob('*') if path.is_file()]
        for path in foreign:
            path.write_bytes(b'foreign')
        storage.clear()
        assert [path.read_bytes() for path in foreign] == [b'foreign'] * len(foreign)

    def test_sizes(self, storage: Any, cache_path: Path) -> None:
        storage[KEY] = large(1)
        storage['small'] = make_response(2)
        assert storage.size() == sum((cache_path / name).stat().st_size for name in files(cache_path))
        assert storage.size() > large(1).size

    def test_formats_do_not_mix(self, make: Callable[..., Any], cache_path: Path) -> None:
        of_json, of_pickle = make(), make(serializer='pickle')
        of_json[KEY], of_pickle[KEY] = large(1), large(2)
        of_json.body_writer(KEY).write(large(3).content)
        assert not list(of_pickle.pieces.unused())
        of_json.clear()
        assert list(of_json) == []
        assert of_pickle[KEY].content == large(2).content

    def test_readers_that_are_given_up_keep_nothing_open(self, storage: Any) -> None:
        if not os.path.isdir('/proc/self/fd'):
            pytest.skip('open files cannot be counted')
        storage[KEY] = large(1)
        before = os.listdir('/proc/self/fd')
        responses = [storage[KEY] for _ in range(5)]
        for response in responses:
            assert response.raw.read(700)
        assert os.listdir('/proc/self/fd') == before

    def test_with_a_lock_of_the_callers(self, make: Callable[..., Any]) -> None:
        storage = make(lock=RLock())
        storage[KEY] = large(1)
        assert storage[KEY].content == large(1).content
        assert storage.write_if(KEY, make_response(2), lambda stored: stored.content == large(1).content)
        assert list(storage.paths()) == [storage._key2path(KEY)]


class TestDamage:
    @pytest.mark.parametrize('content', [b'', b'\n', b'x' * 300, b'../../secret\n{}', b'1-2-3-4\nnull'])
    def test_entries(self, content: bytes, storage: Any, cache_path: Path) -> None:
        storage[KEY] = large(1)
        next(storage.paths()).write_bytes(content)
        assert storage[KEY] is None
        storage[KEY] = large(2)
        assert storage[KEY].content == large(2).content
        del storage[KEY]
        assert list(storage) == []

    @pytest.mark.parametrize('length', [0, 3, 10, 30, 600, 2_000, 3_010])
    def test_bodies_that_were_cut_off(self, length: int, storage: Any, cache_path: Path) -> None:
        storage[KEY] = large(1)
        body = next(p for p in cache_path.rglob('.bodies/*'))
        os.truncate(body, length)
        with pytest.raises(ChunkedEncodingError):
            _ = storage[KEY].content
        del storage[KEY]
        assert files(cache_path) == []

    @pytest.mark.parametrize('piece', [0, 1])
    def test_lengths(self, piece: int, storage: Any, cache_path: Path) -> None:
        storage[KEY] = large(1)
        body = next(p for p in cache_path.rglob('.bodies/*'))
        with body.open('r+b') as file:
            file.seek(4 + len(KEY) + piece * 508)
            file.write(b'\xff\xff\xff\xff')
        with pytest.raises(ChunkedEncodingError):
            _ = storage[KEY].content

    def test_ids_are_no_paths(self, storage: Any, cache_path: Path) -> None:
        (cache_path / 'secret').write_bytes(b'secret')
        for body_id in ('../../../secret', '', '.', '1-2-3-4/../../x'):
            assert storage.pieces.read(KEY, body_id, 0) is None
            with pytest.raises(BackendError):
                storage.pieces.delete(KEY, body_id)
            with pytest.raises(BackendError):
                storage.pieces.write(KEY, body_id, 0, b'')

    def test_pieces_of_different_sizes(self, storage: Any) -> None:
        """As compressed ones are; they are written one after the other, and read in any order"""
        pieces = [b'four', b'2', b'something longer', b'x']
        for index, piece in enumerate(pieces):
            for wrong in (index - 1, index + 1, index + 2) if index > 1 else ():
                with pytest.raises(BackendError):
                    storage.pieces.write(KEY, '1-2-3-4', wrong, b'four')
            storage.pieces.write(KEY, '1-2-3-4', index, piece)
        for index in (0, 1, 2, 3, 3, 1, 2, 0):
            assert storage.pieces.read(KEY, '1-2-3-4', index) == pieces[index]
        assert storage.pieces.read(KEY, '1-2-3-4', 4) is None

    def test_something_else_in_their_place(self, cache_path: Path, make: Callable[..., Any], options: Any) -> None:
        cache_path.mkdir(parents=True)
        (cache_path / '.requests-cache-large').write_bytes(b'foreign')
        storage = make(**options)
        storage['small'] = make_response(1)
        assert facts(storage['small']) == facts(make_response(1))
        with pytest.raises(BackendError):
            storage[KEY] = large(1)
        with pytest.raises(KeyError):
            storage[KEY]
        assert len(storage) == 1


class TestEarlierVersions:
    """They see the small entries only"""

    @needs_fork
    def test_what_they_wrote_counts(self, make: Callable[..., Any], options: Any, cache_path: Path) -> None:
        storage = make(**options)
        assert in_child(lambda: storage.__setitem__(KEY, large(1))) == 0
        content = storage.serialize(make_response(2))
        storage._key2path(KEY).write_text(content)
        assert facts(storage[KEY]) == facts(make_response(2))
        assert list(storage) == [KEY]
        assert len(storage) == len(list(storage.paths())) == 1
        make(**options)['other'] = make_response(3)
        assert files(cache_path) == [f'{KEY}.json', 'other.json']

    def test_what_we_write_counts(self, storage: Any, cache_path: Path) -> None:
        storage[KEY] = large(1)
        storage._key2path(KEY).write_text(storage.serialize(make_response(2)))
        storage[KEY] = large(3)
        assert storage[KEY].content == large(3).content
        assert len(storage) == 1
        del storage[KEY]
        assert files(cache_path) == []


class TestBounds:
    def test_bodies_count(self, make: Callable[..., Any], cache_path: Path) -> None:
        storage = make(max_cache_bytes=10_000)
        storage['a'] = large(1)
        assert (
            storage.size() == storage.lru_index['a'] == sum((cache_path / n).stat().st_size for n in files(cache_path))
        )
        for key in 'bcde':
            storage[key] = large(2)
            assert storage.size() <= 10_000
        assert set(storage) == {'d', 'e'}
        assert len(files(cache_path)) == 4
        storage['d'].expires = None
        storage['f'] = large(3)
        assert set(storage) == {'d', 'f'}

    def test_an_entry_that_is_rewritten_keeps_its_size(self, make: Callable[..., Any]) -> None:
        storage = make(max_cache_bytes=10_000)
        storage['a'] = large(1)
        size = storage.size()
        for _ in range(5):
            storage['a'] = storage['a']
        assert storage.size() == size

    @pytest.mark.parametrize('limit', ['max_cache_bytes', 'max_file_bytes'])
    def test_a_body_that_is_too_large_evicts_nothing(
        self, limit: str, make: Callable[..., Any], cache_path: Path
    ) -> None:
        storage = make(**{'max_cache_bytes': 20_000, limit: 5_000})
        storage['a'], storage['b'] = large(1), make_response(2)
        before = files(cache_path)
        for length in (4_999, 5_001, 50_000):
            storage['c'] = large(3, length)
            assert set(storage) == {'a', 'b'}
            assert files(cache_path) == before
        storage['a'] = large(1, 50_000)
        assert set(storage) == {'b'}
        assert storage.size() == storage.lru_index['b']

    def test_what_is_being_written_ends_early(self, make: Callable[..., Any], cache_path: Path) -> None:
        storage = make(max_cache_bytes=10_000)
        writer = storage.body_writer('a')
        for _ in range(18):
            writer.write(b'x' * 500)
        with pytest.raises(EntryTooLargeError):
            writer.write(b'x' * 1_500)
        writer.abort()
        assert files(cache_path) == []

    def test_a_new_index(self, make: Callable[..., Any], cache_path: Path) -> None:
        storage = make(max_cache_bytes=AMPLE)
        storage['a'], storage['b'] = large(1), make_response(2)
        size = storage.size()
        storage.close()
        (cache_path / 'lru.db').unlink()
        assert make(max_cache_bytes=AMPLE).size() == size

    def test_reading_is_a_use(self, make: Callable[..., Any], cache_path: Path) -> None:
        make()['a'] = large(1)
        storage = make(max_cache_bytes=10_000)
        storage['b'] = large(2)
        assert storage['a'].content == large(1).content
        storage['c'] = large(3)
        assert set(storage) == {'a', 'c'}


@needs_fork
class TestCrashes:
    """At each step of writing or deleting, in a process that is gone then"""

    @pytest.mark.parametrize('moment', ['before', 'after'])
    @pytest.mark.parametrize('step', range(8))
    @pytest.mark.parametrize('new', ['large', 'small', 'none'])
    @pytest.mark.parametrize('old', ['large', 'small', 'none'])
    def test_any_step(
        self, old: str, new: str, step: int, moment: str, make: Callable[..., Any], options: Any, cache_path: Path
    ) -> None:
        storage = make(**options)
        values = {'large': large, 'small': make_response, 'none': lambda number: None}
        before, after = values[old](1), values[new](2)

        def write(value: CachedResponse | None) -> None:
            if value is not None:
                storage[KEY] = value
            else:
                storage.pop(KEY, None)

        def crash() -> None:
            die_at(step, moment)
            write(after)

        assert in_child(lambda: write(before)) == 0
        code = in_child(crash)
        storage = make(**options)
        found = storage.get(KEY)
        is_large = found is not None and found._is_body_unread
        expected = [before, after] if code else [after]
        assert (found and facts(found)) in [value and facts(value) for value in expected]
        storage['other'] = make_response(3)
        assert set(storage) == ({'other', KEY} if found else {'other'})
        bodies = [name for name in files(cache_path) if '/.' in name and not name.endswith('.tmp')]
        assert len(bodies) == int(is_large)
        if options:
            assert storage.size() >= sum(size for path in storage.paths() for size in storage._sizes(path))
        write(large(4))
        assert storage[KEY].content == large(4).content


def die_at(step: int, moment: str) -> None:
    """Make the process end at one of the calls that move or remove files"""
    left = [step]

    def ending(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] < 0 and moment == 'before':
                os._exit(9)
            result = function(*args, **kwargs)
            if left[0] < 0:
                os._exit(9)
            return result

        return call

    os.replace = ending(os.replace)
    Path.unlink = ending(Path.unlink)  # type: ignore[method-assign]


@pytest.mark.skipif(sys.platform == 'win32', reason='locks are of another kind')
class TestLocks:
    def test_another_process_for_too_long(
        self, storage: Any, cache_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(locking, 'LOCK_SECONDS', 0.05)
        storage[KEY] = large(1)
        with closing_descriptor(cache_path) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with pytest.raises(BackendUnavailableError, match='another process'):
                storage[KEY] = make_response(2)
            with pytest.raises(BackendUnavailableError, match='another process'):
                storage.write_if(KEY, make_response(2), bool)
            assert storage[KEY].content == large(1).content
            assert KEY in storage
        storage[KEY] = make_response(2)
        assert facts(storage[KEY]) == facts(make_response(2))
        assert len(files(cache_path)) == 1

    def test_waiting_for_another_process(self, storage: Any, cache_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        waiting = Event()
        monkeypatch.setattr(locking, 'sleep', lambda seconds: waiting.set())
        with closing_descriptor(cache_path) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            thread = Thread(target=storage.__setitem__, args=(KEY, make_response(1)))
            thread.start()
            assert waiting.wait(10)
            assert KEY not in storage
        thread.join()
        assert KEY in storage

    def test_a_directory_that_is_made_anew_meanwhile(
        self, storage: Any, cache_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def make_anew(seconds: float) -> None:
            if old.exists():
                return
            cache_path.rename(old)
            cache_path.mkdir()
            for path in sorted(old.rglob('*'), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            old.rmdir()
            old.touch()
            fcntl.flock(descriptor, fcntl.LOCK_UN)

        old = cache_path.with_name('old')
        monkeypatch.setattr(locking, 'sleep', make_anew)
        with closing_descriptor(cache_path) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with storage._changing(), closing_descriptor(cache_path) as other, pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @needs_fork
    def test_processes_write_over_what_they_read(self, make: Callable[..., Any], options: Any) -> None:
        n_processes, n_times = 4, 10
        make(**options)[KEY] = make_response(0, content=b'0')

        def count() -> None:
            storage = make(**options)
            for _ in range(n_times):
                is_written = False
                while not is_written:
                    number = int(storage[KEY].content)
                    is_written = storage.write_if(
                        KEY,
                        make_response(1, content=b'%d' % (number + 1)),
                        lambda stored, number=number: int(stored.content) == number,
                    )

        pids = []
        for _ in range(n_processes):
            if (pid := os.fork()) == 0:
                try:
                    count()
                    os._exit(0)
                finally:
                    os._exit(1)
            pids.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * n_processes
        assert make(**options)[KEY].content == b'%d' % (n_processes * n_times)

    def test_nothing_is_kept_open(self, storage: Any, options: dict[str, Any]) -> None:
        """With bounds, but for the directory that is looked through from one write to the next"""
        if not os.path.isdir('/proc/self/fd'):
            pytest.skip('open files cannot be counted')
        storage[KEY] = large(1)
        before = len(os.listdir('/proc/self/fd'))
        for i in range(10):
            storage[f'{i}'] = make_response(i)
            storage.write_if(KEY, large(i), bool)
        assert len(os.listdir('/proc/self/fd')) <= before + bool(options)


class closing_descriptor:  # noqa: N801
    """A directory, open in a block"""

    def __init__(self, path: Path):
        self._path = path

    def __enter__(self) -> int:
        self._descriptor = os.open(self._path, os.O_RDONLY)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def test_a_small_entry_in_the_place_of_a_large_one_is_found(storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looked for the small one before it was there, and for the large one after it was gone"""
    storage[KEY] = large(1)
    read, others = file_storage.read_file, [storage]

    def read_late(path: Path) -> bytes:
        try:
            return read(path)
        finally:
            if others:
                others.pop()[KEY] = make_response(2)

    monkeypatch.setattr(file_storage, 'read_file', read_late)
    assert facts(storage[KEY]) == facts(make_response(2))


def test_a_directory_that_another_process_clears_meanwhile(storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    others, make_place = [storage], type(storage.pieces)._make_place

    def clear_first(self: Any, name: str) -> None:
        make_place(self, name)
        if others:
            others.pop().clear()

    monkeypatch.setattr(type(storage.pieces), '_make_place', clear_first)
    storage[KEY] = large(1)
    assert others == []
    assert storage[KEY].content == large(1).content


def test_options_of_caches(cache_path: Path) -> None:
    for options in ({}, {'max_cache_bytes': AMPLE}):
        with closing(FileCache(cache_path, large_body_bytes=100, **options)) as cache:
            assert cache.responses.large_body_bytes == 100
            cache.save_response(large(1), KEY)
            assert cache.responses[KEY]._is_body_unread
            assert len(list(cache.paths())) == 1
            cache.clear()
    assert files(cache_path) == []
