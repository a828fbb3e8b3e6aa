"""Writers that are killed in the middle of things, and what must be true afterwards

Each entry says what it is: its key, a version, and a body that follows from both. So a body that was torn, mixed with
another one or put under a wrong key is told from a whole one.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from select import select
from typing import Any

from requests_cache import BaseCache, CachedResponse
from requests_cache.models.request import CachedRequest
from requests_cache.testing.values import make_response

KEYS = 12
SITE = 'http://example.com'
# What a child that does not get killed would write before it ends by itself
MAX_VERSIONS = 100_000
PATIENCE_SECONDS = 30

CacheFactory = Callable[[], BaseCache]


def body_of(key: int, version: int) -> bytes:
    """A body between a few bytes and some hundred kilobytes, different for each entry"""
    random = Random(f'{key} {version}')
    return b'%d %d ' % (key, version) + random.randbytes(20) * random.choice([0, 1, 50, 500, 10_000])


def entry(key: int, version: int) -> CachedResponse:
    url = f'{SITE}/{key}'
    start = make_response(url=f'{SITE}/to/{key}', request=CachedRequest(method='GET', url=f'{SITE}/to/{key}'))
    return make_response(
        content=body_of(key, version), url=url, history=[start], request=CachedRequest(method='GET', url=url)
    )


def version_of(key: int, response: Any) -> int:
    """The version of an entry, which must be whole"""
    assert isinstance(response, CachedResponse)
    written_key, version = map(int, response.content.split(b' ', 2)[:2])
    assert written_key == key, 'the entry of another key'
    assert response.content == body_of(key, version), 'a torn body'
    assert response.url == f'{SITE}/{key}'
    assert [r.url for r in response.history] == [f'{SITE}/to/{key}']
    return version


def write(make_cache: CacheFactory, pipe: int, first: int, worker: int = 0) -> None:
    """Save entries without end, and say after each one that it is saved"""
    cache = make_cache()
    for version in range(first, first + MAX_VERSIONS):
        key = worker * KEYS + Random(version).randrange(KEYS)
        cache.save_response(entry(key, version), f'key {key}')
        os.write(pipe, b'%d %d\n' % (key, version))


def stream(make_cache: CacheFactory, pipe: int, first: int, worker: int = 0) -> None:
    """Write a body that does not come to its end, and say so after each part of it"""
    cache: Any = make_cache()
    cache.responses.pieces.piece_bytes = 10_000
    writer = cache.responses.body_writer(f'key {worker}')
    writer.write(bytes(writer.large_body_bytes))
    for _ in range(100):
        writer.write(bytes(1_000))
        os.write(pipe, b'%d 0\n' % worker)
    signal.pause()


class Writer:
    """A process that writes until it is killed, and what it said it had saved"""

    def __init__(self, make_cache: CacheFactory, first: int, worker: int = 0, do: Callable[..., None] = write):
        self._pipe, pipe = os.pipe()
        self._received = b''
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._pipe)
                do(make_cache, pipe, first, worker)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(pipe)

    @property
    def saved(self) -> dict[int, int]:
        """The last version of each key"""
        lines = self._received.split(b'\n')[:-1]
        return dict(map(int, line.split()) for line in lines)  # type: ignore[misc]

    def count(self) -> int:
        return self._received.count(b'\n')

    def wait_for(self, count: int) -> None:
        """Until it has saved so many entries"""
        while self.count() < count:
            assert select([self._pipe], [], [], PATIENCE_SECONDS)[0], 'the writer hangs'
            data = os.read(self._pipe, 65536)
            assert data, 'the writer failed; see its traceback'
            self._received += data

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]) == -signal.SIGKILL, 'the writer failed'
        while data := os.read(self._pipe, 65536):
            self._received += data
        os.close(self._pipe)


def pause(random: Random) -> None:
    """A moment that nothing in particular ends"""
    select([], [], [], random.random() * 0.02)


def killed_in_the_middle(make_cache: CacheFactory, rounds: int, seed: int, may_lose: bool = False) -> None:
    """Kill a writer at random moments, and look each time at what it left

    Args:
        make_cache: Opens the cache
        rounds: How often
        seed: For the moments
        may_lose: Entries may have made room for others
    """
    random, known = Random(seed), dict[int, int]()
    for i in range(rounds):
        writer = Writer(make_cache, first=i * MAX_VERSIONS)
        try:
            writer.wait_for(random.randrange(1, 8))
            pause(random)
        finally:
            writer.kill()
        known.update(writer.saved)
        with closing(make_cache()) as cache:
            known = look_at(cache, known, may_lose)


def look_at(cache: BaseCache, saved: dict[int, int], may_lose: bool = False) -> dict[int, int]:
    """Check that all entries are whole, and none older than what was said to be saved; returns their versions"""
    found = {}
    for name in list(cache.responses):
        key = int(name.split()[1])
        found[key] = version_of(key, cache.responses[name])
        way = cache.get_response(cache.create_key(CachedRequest(method='GET', url=f'{SITE}/to/{key}')))
        assert way is None or version_of(key, way) == found[key]
    assert [key for key, version in saved.items() if found.get(key, version) < version] == [], 'an older version'
    assert may_lose or saved.keys() <= found.keys()
    return found


def one_killed_of_two(make_cache: CacheFactory, rounds: int, seed: int) -> None:
    """Kill one of two writers; the other one goes on"""
    random = Random(seed)
    for i in range(rounds):
        killed, other = (Writer(make_cache, first=i * MAX_VERSIONS, worker=worker) for worker in (0, 1))
        try:
            killed.wait_for(random.randrange(1, 5))
            other.wait_for(1)
            pause(random)
        finally:
            killed.kill()
            try:
                other.wait_for(other.count() + 5)
            finally:
                other.kill()
        with closing(make_cache()) as cache:
            look_at(cache, {**killed.saved, **other.saved})


def assert_databases_are_whole(directory: Path) -> None:
    for path in [*directory.rglob('*.sqlite'), *directory.rglob('*.db')]:
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
