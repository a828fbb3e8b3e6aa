"""Leases as files: where they are, what removes them, and what does not get along with them"""

from __future__ import annotations

import os
import pickle
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.disk import files_in

from requests_cache import CachedSession, FileCache
from requests_cache.backends.filesystem import leases as module
from requests_cache.backends.filesystem.names import LEASES_DIRECTORY
from requests_cache.exceptions import BackendError
from requests_cache.testing.origin import Origin
from requests_cache.testing.values import make_response

KINDS: dict[str, dict[str, Any]] = {'files': {}, 'bounded': {'max_cache_bytes': 1_000_000}}


@pytest.fixture(params=KINDS)
def cache(request: pytest.FixtureRequest, cache_path: Path) -> Iterator[FileCache]:
    cache = FileCache(cache_path, **KINDS[request.param])
    yield cache
    cache.close()


def lease_files(cache: FileCache) -> list[Path]:
    directory = cache.cache_dir / LEASES_DIRECTORY
    return sorted(files_in(directory)) if directory.exists() else []


def test_there_is_nothing_before_the_first(cache: FileCache) -> None:
    assert cache.leases.read('key') is None
    assert not cache.leases.swap('key', 'held:1:0', 'held:1:1')
    cache.save_response(make_response(1), 'key')
    cache.delete('key', expired=True)
    assert not (cache.cache_dir / LEASES_DIRECTORY).exists()


def test_files(cache: FileCache) -> None:
    size = cache.responses.size()
    assert cache.leases.swap('key', None, 'held:1:0')
    assert cache.leases.swap('key', 'held:1:0', 'held:1:1')
    [path] = lease_files(cache)
    assert path.read_bytes() == b'held:1:1'
    if os.name != 'nt':
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(cache.paths()) == []
    assert cache.responses.size() == size
    assert cache.leases.swap('key', 'held:1:1', None)
    assert lease_files(cache) == []


def test_entries_in_other_files_have_other_leases(cache_path: Path) -> None:
    json, yaml = FileCache(cache_path), FileCache(cache_path, serializer='yaml')
    assert json.leases.swap('key', None, 'held:1:0')
    assert yaml.leases.read('key') is None
    assert yaml.leases.swap('key', None, 'held:2:0')
    json.close()
    yaml.close()


def test_clearing(cache: FileCache) -> None:
    assert cache.leases.swap('key', None, 'held:1:0')
    cache.clear()
    assert not (cache.cache_dir / LEASES_DIRECTORY).exists()
    assert cache.leases.swap('key', None, 'held:1:0')
    theirs = cache.cache_dir / LEASES_DIRECTORY / 'theirs'
    theirs.write_text('theirs')
    cache.clear()
    assert lease_files(cache) == [theirs]
    assert cache.leases.swap('key', None, 'held:1:0')


def test_the_directory_is_gone(cache: FileCache) -> None:
    assert cache.leases.swap('key', None, 'held:1:0')
    shutil.rmtree(cache.cache_dir / LEASES_DIRECTORY)
    assert not cache.leases.swap('key', 'held:1:0', 'held:1:1')
    assert cache.leases.swap('key', None, 'held:1:0')


def test_what_processes_left_behind_is_removed(cache: FileCache) -> None:
    for key in ('old', 'new'):
        assert cache.leases.swap(key, None, f'held:{key}:0')
    directory = cache.cache_dir / LEASES_DIRECTORY
    (directory / f'.requests-cache-{16 * "0"}.tmp').write_text('half a l')
    [old] = [path for path in lease_files(cache) if path.read_text() == 'held:old:0']
    long_ago = old.stat().st_mtime - module.ABANDONED_AFTER_SECONDS - 60
    for path in (old, directory / f'.requests-cache-{16 * "0"}.tmp'):
        os.utime(path, (long_ago, long_ago))
    cache.delete(expired=True)
    assert [path.read_text() for path in lease_files(cache)] == ['held:new:0']


@pytest.mark.parametrize('place', ['directory', 'leases'])
def test_a_file_in_the_place_of_the_directory(place: str, cache_path: Path, origin: Origin) -> None:
    """Faults are the exceptions of this package, and requests go on"""
    origin.add('/page', body=b'x')
    with CachedSession(cache_path, backend='filesystem', single_flight='shared') as session:
        leases = session.cache.leases
        if place == 'directory':
            session.cache.close()
            for path in cache_path.iterdir():
                path.unlink()
            cache_path.rmdir()
            cache_path.write_text('not a directory')
        else:
            (cache_path / LEASES_DIRECTORY).write_text('not a directory')
        with pytest.raises(BackendError):
            leases.swap('key', None, 'held:1:0')
        with pytest.raises(BackendError):
            leases.read('key')
        assert session.get(origin.url('/page')).content == b'x'
        assert session.get(origin.url('/page')).from_cache == (place == 'leases')
        if place == 'leases':
            session.cache.delete(expired=True)
            session.cache.clear()


def test_an_empty_file(cache: FileCache) -> None:
    """As a power failure may leave it"""
    assert cache.leases.swap('key', None, 'held:1:0')
    lease_files(cache)[0].write_bytes(b'')
    assert cache.leases.read('key') == ''
    assert not cache.leases.swap('key', None, 'held:2:0')
    assert cache.leases.swap('key', '', 'held:2:0')


def test_changes_of_entries_do_not_keep_leases_waiting(cache: FileCache) -> None:
    done: list[bool] = []
    with cache.responses._changing():  # type: ignore[attr-defined]
        thread = threading.Thread(target=lambda: done.append(cache.leases.swap('key', None, 'held:1:0')))
        thread.start()
        thread.join(5)
    assert done == [True]


def test_a_copy_of_the_cache(cache_path: Path) -> None:
    cache = FileCache(cache_path)
    assert cache.leases.swap('key', None, 'held:1:0')
    copy = pickle.loads(pickle.dumps(cache))
    assert copy.leases is not cache.leases
    assert copy.leases.read('key') == 'held:1:0'
    for each in (cache, copy):
        each.close()
