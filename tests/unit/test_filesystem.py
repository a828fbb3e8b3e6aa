"""Files of the filesystem backend: their names, what is in them, and what becomes of them when something goes wrong"""

from __future__ import annotations

import errno
import json
import locale
import os
import pickle
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import rmtree
from threading import RLock, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.disk import files_in, names_in

from requests_cache.backends.base import BaseCache
from requests_cache.backends.filesystem import FileCache, FileDict, get_cache_path, locking
from requests_cache.backends.filesystem import storage as file_storage
from requests_cache.backends.filesystem.names import extension_for, file_name, folds_case, is_entry, key_of
from requests_cache.backends.sqlite import SQLiteDict
from requests_cache.exceptions import BackendError
from requests_cache.serializers.pipeline import SerializerPipeline, Stage
from requests_cache.serializers.preconf import json_serializer
from requests_cache.testing.values import PAST, STRANGE_KEYS, facts, make_response

KEY = '0123456789abcdef'
needs_fifo = pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no FIFOs here')
needs_modes = pytest.mark.skipif(os.name == 'nt', reason='files have no such modes there')
needs_fork = pytest.mark.skipif(not hasattr(os, 'fork'), reason='no forks here')


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that has none, where others may come in between"""

    def refuse(directory: Path) -> int:
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(locking, '_open', refuse)


@pytest.fixture
def cache(cache_path: Path) -> Iterator[FileCache]:
    cache = FileCache(cache_path)
    yield cache
    cache.close()


@pytest.fixture
def storage(cache_path: Path) -> FileDict:
    return FileDict(cache_path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestLayout:
    def test_one_file_per_response(self, cache: FileCache, cache_path: Path) -> None:
        cache.save_response(make_response(1), KEY)
        cache.redirects['from'] = KEY
        assert names_in(cache_path) == {f'{KEY}.json', 'redirects.sqlite'}
        assert list(cache.paths()) == [cache_path / f'{KEY}.json']
        assert cache.responses._key2path(KEY) == cache_path / f'{KEY}.json'
        assert cache.cache_dir == cache_path

    @pytest.mark.parametrize(
        ('serializer', 'extension'),
        [
            ('json', '.json'),
            ('ujson', '.json'),
            ('orjson', '.json'),
            ('yaml', '.yaml'),
            ('pickle', '.pkl'),
            ('bson', '.bson'),
            (SerializerPipeline([json_serializer], name='mine'), '.mine'),
            (SerializerPipeline([json_serializer]), '.dat'),
            (pickle, '.dat'),
            (Stage(json_serializer), '.dat'),
        ],
    )
    def test_extensions(self, serializer: Any, extension: str, cache_path: Path) -> None:
        storage = FileDict(cache_path, serializer=serializer)
        storage[KEY] = make_response(1)
        assert names_in(cache_path) == {KEY + extension}
        assert facts(storage[KEY]) == facts(make_response(1))

    def test_an_extension_of_ones_own(self, cache_path: Path) -> None:
        storage = FileDict(cache_path, extension='txt')
        storage[KEY] = make_response(1)
        assert names_in(cache_path) == {f'{KEY}.txt'}
        assert list(storage) == [KEY]

    def test_storages_with_other_extensions_are_apart(self, cache_path: Path) -> None:
        one, other = FileDict(cache_path, serializer='pickle'), FileDict(cache_path, serializer='yaml')
        one['a'], other['b'] = make_response(1), make_response(2)
        assert (list(one), list(other)) == (['a'], ['b'])
        one.clear()
        assert list(other) == ['b']

    def test_bodies_can_be_read_by_people(self, cache: FileCache, cache_path: Path) -> None:
        body = b'{"a":  1.0}'
        cache.save_response(make_response(content=body, headers={'Content-Type': 'application/json'}), KEY)
        assert json.loads((cache_path / f'{KEY}.json').read_text())['_decoded_content'] == {'a': 1.0}
        assert cache.responses[KEY].content == body

    def test_without_readable_bodies(self, cache_path: Path) -> None:
        storage = FileCache(cache_path, decode_content=False).responses
        storage[KEY] = make_response(content=b'[]', headers={'Content-Type': 'application/json'})
        assert '_decoded_content' not in json.loads((cache_path / f'{KEY}.json').read_text())

    def test_text_is_utf_8_whatever_the_platform_prefers(
        self, cache_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(locale, 'getpreferredencoding', lambda *_: 'cp1252')
        storage = FileDict(cache_path, serializer=None)
        storage['key'] = 'd\u00e9j\u00e0 vu \u20ac\r\n'
        assert (cache_path / 'key.dat').read_bytes() == 'd\u00e9j\u00e0 vu \u20ac\r\n'.encode()
        assert storage['key'] == 'd\u00e9j\u00e0 vu \u20ac\r\n'
        (cache_path / 'key.dat').write_bytes('d\u00e9j\u00e0 vu \u20ac'.encode('cp1252'))
        assert storage['key'] == 'd\u00e9j\u00e0 vu \u20ac'

    def test_stages_of_the_user_get_text(self, cache_path: Path) -> None:
        seen: list[Any] = []
        pipeline = json_serializer.copy()
        pipeline.stages.insert(
            1, Stage(dumps=lambda record: record, loads=lambda record: seen.append(record) or record)
        )
        pipeline.stages.append(Stage(dumps=str.swapcase, loads=lambda text: seen.append(text) or text.swapcase()))
        storage = FileDict(cache_path, serializer=pipeline)
        storage[KEY] = make_response(1)
        assert facts(storage[KEY]) == facts(make_response(1))
        text, record = seen
        assert (type(text), type(record['_content'])) == (str, str)

    def test_a_serializer_that_gives_something_else(self, cache_path: Path) -> None:
        storage = FileDict(cache_path, serializer=None)
        with pytest.raises(BackendError, match='dict'):
            storage['key'] = {'not': 'text'}

    def test_size(self, storage: FileDict) -> None:
        storage['a'], storage['b'] = make_response(1), make_response(2, content=b'x' * 1000)
        assert storage.size() == sum(p.stat().st_size for p in storage.paths())
        assert len(list(storage.paths())) == 2


class TestNames:
    @pytest.mark.parametrize(
        'key', ['a', 'a.b', 'A-b_c.d', 'GET x=1&y=2', '100%', 'a:b', '64250c54fdfd77f9' * 4, 'x' * 250]
    )
    def test_safe_names_stay_as_they_are(self, key: str) -> None:
        if os.name == 'nt' and ':' in key:
            pytest.skip('a colon has a meaning on Windows')
        assert file_name(key, '.json') == f'{key}.json'

    @pytest.mark.parametrize('key', [*STRANGE_KEYS, 'CON', 'com1.txt', 'lpt9', 'redirects', 'lru', 'a\\b', '~x', '~~x'])
    @pytest.mark.parametrize('extension', ['.json', '.sqlite', '.db', '.tmp', '.key'])
    def test_every_key_has_a_safe_name_of_its_own(self, key: str, extension: str) -> None:
        name = file_name(key, extension)
        assert len(name) <= 255
        assert name.isascii()
        assert name.isprintable()
        assert not set('/\\\x00') & set(name)
        assert name[0] != '.'
        assert name not in ('redirects.sqlite', 'lru.db')
        assert name.split('.')[0].upper() not in ('CON', 'NUL', 'COM1', 'LPT9')
        assert is_entry(name, extension)
        assert key_of(name, extension) == (None if name.startswith('~~') else key)

    @given(st.lists(st.text(st.characters(exclude_categories=())), min_size=2, max_size=2, unique=True))
    def test_different_keys_have_different_names(self, keys: list[str]) -> None:
        assert file_name(keys[0], '.json') != file_name(keys[1], '.json')

    @given(st.lists(st.text('aAbB%~/2fF.', min_size=1), min_size=2, max_size=2, unique=True))
    def test_names_that_differ_in_more_than_case(self, keys: list[str]) -> None:
        assert file_name(keys[0], '.json', True).lower() != file_name(keys[1], '.json', True).lower()
        assert [key_of(file_name(key, '.json', True), '.json') for key in keys] == keys

    @pytest.mark.parametrize('folds_case', [False, True], ids=['case-counts', 'case-is-folded'])
    @pytest.mark.parametrize('bound', [{}, {'max_cache_bytes': 100_000}], ids=['unbounded', 'lru'])
    def test_keys_with_capitals(self, bound: Any, folds_case: bool, cache_path: Path) -> None:
        """Entries are found where another kind of system, or an earlier version, put them"""

        def make(folds_case: bool) -> FileDict:
            responses = FileCache(cache_path, **bound).responses
            responses.__dict__['_folds_case'] = folds_case
            return responses

        before, storage = make(not folds_case), make(folds_case)
        before['Abc'] = make_response(1)
        assert 'Abc' in storage
        assert facts(storage['Abc']) == facts(make_response(1))
        assert list(storage) == ['Abc']
        storage['abc'] = make_response(2)
        assert facts(storage['Abc']) == facts(make_response(1))
        storage['Abc'] = make_response(3)
        assert facts(before['Abc']) == facts(make_response(3))
        assert sorted(storage) == ['Abc', 'abc']
        before['ABC'] = make_response(4)
        del storage['ABC']
        assert sorted(storage) == ['Abc', 'abc']
        before['ABC'] = make_response(4)
        storage.clear()
        assert list(before) == []
        before.close()
        storage.close()

    def test_where_case_is_folded(self, storage: FileDict, cache_path: Path) -> None:
        (cache_path / 'abc.json').write_bytes(b'')
        if not (cache_path / 'ABC.JSON').exists():
            assert not storage._folds_case
            (cache_path / 'ABC.JSON').write_bytes(b'')
            assert not folds_case(cache_path)
            (cache_path / 'ABC.JSON').unlink()
            (cache_path / 'ABC.JSON').hardlink_to(cache_path / 'abc.json')
        assert folds_case(cache_path)

    def test_a_foreign_file_where_case_is_folded(
        self, storage: FileDict, cache_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        storage.__dict__['_folds_case'] = True
        storage['abc'] = make_response(1)
        if not (cache_path / 'Abc.json').exists():  # as it would be there
            (cache_path / 'Abc.json').symlink_to('abc.json')
            monkeypatch.setattr('os.listdir', lambda path: ['abc.json'])
        assert 'Abc' not in storage
        with pytest.raises(KeyError):
            storage['Abc']

    @pytest.mark.parametrize(
        'name', ['.json', '.a.json', 'a.txt', 'json', '~a.json', '~%ff.json', '~a%2fb.json', 'a\u00e9.json']
    )
    def test_other_names_are_no_entries(self, name: str, storage: FileDict, cache_path: Path) -> None:
        (cache_path / name).write_text('foreign')
        assert list(storage) == []
        assert len(storage) == 0
        storage.clear()
        assert (cache_path / name).read_text() == 'foreign'

    def test_nothing_is_written_outside(self, storage: FileDict, tmp_path: Path, cache_path: Path) -> None:
        before = {p for p in tmp_path.rglob('*') if cache_path not in p.parents}
        for key in STRANGE_KEYS:
            storage[key] = make_response(1)
        assert {p for p in tmp_path.rglob('*') if cache_path not in p.parents} == before
        assert all(p.is_file() for p in cache_path.iterdir())

    def test_long_keys_are_kept_beside_their_entries(self, storage: FileDict, cache_path: Path) -> None:
        key = 'k' * 5000
        storage[key] = make_response(1)
        assert list(FileDict(cache_path)) == [key]
        assert len(names_in(cache_path)) == 2
        storage[key] = make_response(2)
        assert len(names_in(cache_path)) == 2
        del storage[key]
        assert names_in(cache_path) == set()

    def test_an_entry_whose_long_key_was_lost(self, storage: FileDict, cache_path: Path) -> None:
        key = 'k' * 5000
        storage[key] = make_response(1)
        next(cache_path.glob('.*.key')).unlink()
        assert list(storage) == []
        assert storage[key].content == make_response(1).content
        storage[key] = make_response(2)
        assert list(storage) == [key]
        next(cache_path.glob('.*.key')).write_bytes(b'another')
        storage.clear()
        assert names_in(cache_path) == set()

    def test_long_keys_of_storages_with_other_extensions(self, cache_path: Path) -> None:
        one, other = FileDict(cache_path), FileDict(cache_path, serializer='pickle')
        key = 'k' * 5000
        one[key], other[key] = make_response(1), make_response(2)
        del one[key]
        assert list(other) == [key]
        one[key] = make_response(1)
        one.clear()
        assert list(other) == [key]

    @pytest.mark.usefixtures('no_locks')
    def test_a_long_key_that_is_written_while_it_is_deleted(
        self, storage: FileDict, cache_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = 'k' * 5000
        storage[key] = make_response(1)
        remove, others = file_storage.remove_file, [FileDict(cache_path)]

        def write_first(path: Path) -> bool:
            if path.suffix == '.key' and others:
                others.pop()[key] = make_response(2)
            return remove(path)

        monkeypatch.setattr(file_storage, 'remove_file', write_first)
        del storage[key]
        assert others == []
        assert list(storage) == [key]
        assert facts(storage[key]) == facts(make_response(2))

    def test_extension_of_an_object_at_an_address(self) -> None:
        assert extension_for(SerializerPipeline([], name=str(object()))) == '.dat'


class TestPlaces:
    def test_relative_paths(self, tmp_path: Path) -> None:
        assert FileDict('somewhere').cache_dir == tmp_path / 'somewhere'
        assert FileDict('temporary', use_temp=True).cache_dir == Path(tempfile.gettempdir(), 'temporary')
        user_dir = FileDict('of_the_user', use_cache_dir=True, use_temp=True).cache_dir
        assert user_dir.name == 'of_the_user'
        assert tmp_path / 'home' in user_dir.parents
        assert FileDict('~/at_home').cache_dir == tmp_path / 'home' / 'at_home'

    def test_absolute_paths(self, tmp_path: Path) -> None:
        path = tmp_path / 'a' / 'b.c'
        cache = FileCache(str(path), use_temp=True, use_cache_dir=True)
        assert cache.cache_dir == path
        assert cache.cache_name == str(path)
        cache.close()

    def test_get_cache_path_is_found_here(self, tmp_path: Path) -> None:
        assert get_cache_path('x/y') == tmp_path / 'x' / 'y'

    @needs_modes
    def test_permissions(self, cache: FileCache, cache_path: Path) -> None:
        cache.save_response(make_response(1), KEY)
        cache.save_response(make_response(2), 'k' * 1000)
        cache.redirects['a'] = 'b'
        assert mode(cache_path) == 0o700
        assert {mode(p) for p in files_in(cache_path)} == {0o600}

    @needs_modes
    def test_a_directory_that_is_there_stays_as_it_is(self, cache_path: Path) -> None:
        cache_path.mkdir(parents=True)
        cache_path.chmod(0o755)
        FileDict(cache_path)
        assert mode(cache_path) == 0o755

    @pytest.mark.skipif(not hasattr(os, 'geteuid'), reason='no owners here')
    def test_a_temporary_directory_of_somebody_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        path = FileDict('mine', use_temp=True).cache_dir
        FileDict('mine', use_temp=True)
        monkeypatch.setattr(os, 'geteuid', lambda: os.getuid() + 1)
        with pytest.raises(PermissionError, match=str(path)):
            FileDict('mine', use_temp=True)


class TestClear:
    @needs_modes
    def test_foreign_files_stay(self, cache: FileCache, cache_path: Path) -> None:
        for key in (KEY, 'custom', '../strange', 'k' * 1000):
            cache.save_response(make_response(1), key)
        cache.responses._key2path('damaged').write_bytes(b'damaged')
        cache.responses._key2path('damaged').chmod(0o600)
        cache.redirects['a'] = KEY
        foreign = ['notes.txt', 'package.json', 'broken.json', '.hidden.json', 'sub/0123456789abcdef.json', 'LICENSE']
        (cache_path / 'sub').mkdir()
        for name in foreign:
            (cache_path / name).write_text('{"name": "mine"}' if name != 'broken.json' else '{')
        cache.clear()
        assert names_in(cache_path) == {'redirects.sqlite', 'sub', *foreign} - {foreign[4]}
        assert names_in(cache_path / 'sub') == {'0123456789abcdef.json'}
        assert len(cache.redirects) == 0

    def test_deleting_invalid_entries_leaves_foreign_files(self, cache: FileCache, cache_path: Path) -> None:
        (cache_path / 'package.json').write_text('{"name": "mine"}')
        (cache_path / 'latin.json').write_bytes(b'\xe9')
        (cache_path / f'{KEY}.json').write_text('damaged')
        cache.save_response(make_response(1), 'custom')
        (cache_path / 'custom.json').write_text('{"status_code": ')
        assert cache.delete(invalid=True, expired=True) == 2
        assert names_in(cache_path) - {'redirects.sqlite'} == {'package.json', 'latin.json'}

    def test_foreign_text_that_any_serializer_can_read(self, cache_path: Path) -> None:
        with closing(FileCache(cache_path, serializer='yaml')) as cache:
            (cache_path / 'notes.yaml').write_text('precious')
            assert cache.delete(invalid=True, expired=True) == 0
            cache.clear()
            assert (cache_path / 'notes.yaml').read_text() == 'precious'

    def test_entries_of_earlier_versions_are_cleared(self, storage: FileDict, cache_path: Path) -> None:
        for key in (KEY, 'custom'):
            storage[key] = make_response(1)
            storage._key2path(key).chmod(0o644)
        storage.clear()
        assert names_in(cache_path) == set()

    def test_leftovers_of_killed_writers(self, storage: FileDict, cache_path: Path) -> None:
        leftover = cache_path / '.requests-cache-0123456789abcdef.tmp'
        leftover.write_text('half of')
        storage[KEY] = make_response(1)
        assert list(storage) == [KEY]
        assert len(storage) == 1
        assert leftover not in list(storage.paths())
        storage.clear()
        assert names_in(cache_path) == set()

    def test_links_are_removed_and_not_followed(self, storage: FileDict, cache_path: Path, tmp_path: Path) -> None:
        target = tmp_path / 'precious'
        target.write_text('precious')
        for name in (f'{KEY}.json', 'fedcba9876543210.json'):
            (cache_path / name).symlink_to(target)
        storage[KEY] = make_response(1)
        assert not (cache_path / f'{KEY}.json').is_symlink()
        storage.clear()
        assert names_in(cache_path) == set()
        assert target.read_text() == 'precious'

    def test_a_damaged_database_of_redirects_is_made_anew(self, cache: FileCache, cache_path: Path) -> None:
        cache.redirects['a'] = 'b'
        cache.close()
        (cache_path / 'redirects.sqlite').write_bytes(b'not a database' * 100)
        cache.clear()
        cache.redirects['a'] = 'c'
        assert dict(cache.redirects.items()) == {'a': 'c'}

    def test_a_directory_that_was_removed(self, storage: FileDict, cache_path: Path) -> None:
        storage[KEY] = make_response(1)
        rmtree(cache_path)
        assert KEY not in storage
        assert len(storage) == 0
        assert list(storage.scan()) == []
        with pytest.raises(KeyError):
            storage[KEY]
        storage.clear()
        assert cache_path.is_dir()
        cache_path.rmdir()
        storage[KEY] = make_response(1)
        assert list(storage) == [KEY]


class TestFaults:
    @pytest.mark.parametrize('step', ['replace', 'write'])
    def test_a_write_that_fails_leaves_the_old_entry(
        self, step: str, storage: FileDict, cache_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        storage[KEY] = make_response(1)
        with monkeypatch.context() as patch:
            patch.setattr(os, 'replace', fail) if step == 'replace' else patch.setattr(os, 'open', fail)
            with pytest.raises(BackendError, match='No space left') as caught:
                storage[KEY] = make_response(2)
        assert isinstance(caught.value.__cause__, OSError)
        assert facts(storage[KEY]) == facts(make_response(1))
        assert names_in(cache_path) == {f'{KEY}.json'}

    @needs_fork
    def test_a_full_disk(self, storage: FileDict, cache_path: Path) -> None:
        resource = pytest.importorskip('resource')
        storage[KEY] = make_response(1)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
                storage[KEY] = make_response(2, content=b'x' * 100_000)
            except BackendError:
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert facts(storage[KEY]) == facts(make_response(1))
        assert names_in(cache_path) == {f'{KEY}.json'}

    @needs_fork
    def test_a_writer_that_is_killed(
        self, storage: FileDict, cache_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        storage[KEY] = make_response(1)
        pid = os.fork()
        if pid == 0:
            monkeypatch.setattr(os, 'replace', lambda *_: os._exit(9))
            storage[KEY] = make_response(2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        assert len(names_in(cache_path)) == 2
        assert [k for k, _ in storage.scan()] == [KEY]
        assert facts(storage[KEY]) == facts(make_response(1))
        storage[KEY] = make_response(2)
        storage.clear()
        assert names_in(cache_path) == set()

    @pytest.mark.usefixtures('no_locks')
    def test_a_temporary_file_that_another_process_cleared(
        self, storage: FileDict, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        replace, cleared = os.replace, []

        def clear_first(source: Path, target: Path) -> None:
            if not cleared:
                cleared.append(source)
                FileDict(storage.cache_dir).clear()
            replace(source, target)

        monkeypatch.setattr(os, 'replace', clear_first)
        storage[KEY] = make_response(1)
        assert len(cleared) == 1
        assert facts(storage[KEY]) == facts(make_response(1))

    @pytest.mark.parametrize('content', [b'', b'\xff\xfe\xe9', b'{', b'null', b'{"status_code": "x"}'])
    def test_damaged_files_break_nothing(self, content: bytes, cache: FileCache) -> None:
        cache.save_response(make_response(1, expires=PAST), 'good', PAST)
        cache.save_response(make_response(2), KEY)
        cache.responses._key2path(KEY).write_bytes(content)
        assert cache.responses[KEY] is None
        assert cache.get_response(KEY) is None
        assert [r.cache_key for r in cache.filter()] == ['good']
        assert cache.urls() == [make_response(1).url]
        assert cache.delete(expired=True) == 1
        assert cache.delete(invalid=True) == 1

    @needs_fifo
    def test_a_fifo_in_place_of_an_entry(self, storage: FileDict, cache_path: Path) -> None:
        os.mkfifo(cache_path / f'{KEY}.json')
        with pytest.raises(KeyError):
            storage[KEY]
        assert KEY not in storage
        assert list(storage.scan()) == []
        storage.clear()
        assert names_in(cache_path) == {f'{KEY}.json'}

    def test_a_directory_in_place_of_an_entry(self, storage: FileDict, cache_path: Path) -> None:
        (cache_path / f'{KEY}.json').mkdir()
        with pytest.raises(KeyError):
            storage[KEY]
        with pytest.raises(KeyError):
            del storage[KEY]
        with pytest.raises(BackendError):
            storage[KEY] = make_response(1)
        assert KEY not in storage
        assert list(storage) == []
        assert storage.bulk_delete([KEY]) == 0
        storage.clear()
        assert names_in(cache_path) == {f'{KEY}.json'}

    @pytest.mark.parametrize('call', ['mkdir', 'scandir'])
    def test_what_the_system_refuses(self, call: str, cache_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: Any, **kwargs: Any) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        if call == 'mkdir':
            cache_path.parent.mkdir()
            monkeypatch.setattr(Path, 'mkdir', refuse)
            storage = FileDict(cache_path)
            assert KEY not in storage
            with pytest.raises(BackendError, match='Permission denied'):
                storage[KEY] = make_response(1)
        else:
            storage = FileDict(cache_path)
            monkeypatch.setattr(os, 'scandir', refuse)
            for attempt in (storage.clear, storage.size, storage.__len__, lambda: list(storage)):
                with pytest.raises(BackendError, match='Permission denied'):
                    attempt()

    def test_a_file_that_cannot_be_read_is_not_taken_for_a_damaged_one(
        self, storage: FileDict, cache_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: Any, **kwargs: Any) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        (cache_path / 'foreign.json').write_text('foreign')
        monkeypatch.setattr('requests_cache.backends.filesystem.storage.read_file', refuse)
        assert list(storage.scan()) == []
        (cache_path / f'{KEY}.json').write_text('x')
        with pytest.raises(BackendError, match='Too many open files'):
            list(storage.scan())


class TestLock:
    def test_a_lock_of_its_own(self, cache: FileCache) -> None:
        assert cache.lock is cache.responses.lock
        assert cache.lock is not FileDict(cache.cache_dir).lock
        with cache.lock, cache.lock:
            cache.save_response(make_response(1), KEY)

    def test_a_writer_waits_for_it(self, storage: FileDict) -> None:
        storage[KEY] = make_response(1)
        writer = Thread(target=storage.__setitem__, args=(KEY, make_response(2)))
        with storage.lock:
            writer.start()
            writer.join(0.05)
            assert facts(storage[KEY]) == facts(make_response(1))
            assert writer.is_alive()
        writer.join()
        assert facts(storage[KEY]) == facts(make_response(2))

    def test_a_lock_of_the_caller(self, cache_path: Path) -> None:
        entered = []

        class Lock:
            def __enter__(self) -> None:
                entered.append(True)

            def __exit__(self, *args: object) -> None:
                pass

        storage = FileDict(cache_path, lock=Lock())
        operations = [
            lambda: storage.__setitem__('a', make_response(1)),
            lambda: storage['a'],
            lambda: 'a' in storage,
            lambda: len(storage),
            lambda: list(storage),
            lambda: storage.__delitem__('a'),
            storage.clear,
        ]
        for operation in operations:
            entered.clear()
            operation()
            assert entered

    def test_a_lock_that_is_shared_with_the_redirects(self, cache_path: Path) -> None:
        lock = RLock()
        cache = FileCache(cache_path, lock=lock)
        assert cache.lock is lock
        assert cache.redirects._lock is lock
        cache.close()

    @needs_fork
    def test_a_fork_while_a_thread_holds_it(self, storage: FileDict) -> None:
        thread_holds, done = Thread(target=storage.lock.acquire), RLock()
        with done:
            thread_holds.start()
            thread_holds.join()
            pid = os.fork()
            if pid == 0:
                storage[KEY] = make_response(1)
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert facts(storage[KEY]) == facts(make_response(1))


class TestCopies:
    @pytest.mark.parametrize('options', [{}, {'max_cache_bytes': 100_000}, {'serializer': 'pickle'}])
    def test_pickling(self, options: dict[str, Any], cache_path: Path) -> None:
        with closing(FileCache(cache_path, **options)) as cache:
            cache.save_response(make_response(1), KEY)
            cache.redirects['a'] = KEY
            with closing(pickle.loads(pickle.dumps(cache))) as copy:
                assert facts(copy.responses[KEY]) == facts(make_response(1))
                assert copy.redirects['a'] == KEY
                copy.save_response(make_response(2), 'other')
                assert type(copy.responses) is type(cache.responses)
            assert 'other' in cache.responses
            assert cache.responses.size() == sum(p.stat().st_size for p in cache.paths())


class TestSubclasses:
    def test_storages_of_ones_own(self, cache_path: Path) -> None:
        """As public code does it: without `FileCache.__init__`"""

        class OwnDict(FileDict):
            def __init__(self, name: Path, serializer: Any) -> None:
                super().__init__(name, serializer=serializer)

            def _key2path(self, key: str) -> Path:
                return super()._key2path(f'own-{key}')

        class OwnCache(FileCache):
            def __init__(self, name: Path) -> None:
                BaseCache.__init__(self, str(name))
                self.responses = OwnDict(name, 'json')
                self.redirects = SQLiteDict(self.cache_dir / 'redirects.sqlite', 'redirects', serializer=None)

        cache = OwnCache(cache_path)
        cache.save_response(make_response(1), 'key')
        assert [p.name for p in cache.paths()] == ['own-key.json']
        assert cache.get_response('key').content == make_response(1).content
        assert cache.lock is cache.responses.lock
        cache.clear()
        assert not cache.contains('key')
        cache.close()

    def test_owned_keywords(self) -> None:
        owned = FileCache.owned_keywords()
        assert owned >= {'cache_name', 'use_temp', 'use_cache_dir', 'extension', 'lock', 'serializer'}
        assert owned >= {'max_cache_bytes', 'max_file_bytes', 'block_bytes', 'sync_index'}
        assert owned >= {'wal', 'fast_save', 'busy_timeout', 'timeout'}
        assert not owned & {'use_memory', 'table_name', 'expire_after'}
