"""Compressed and encrypted entries that are damaged, tampered with, moved, or written with another key"""

from __future__ import annotations

import logging
import os
import sqlite3
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from faults.local_caches import SessionFactory, warnings_about
from requests_cache import CachedSession
from requests_cache.testing.origin import Origin, answer

KEY, OTHER_KEY = (b64encode(bytes(range(start, start + 32))).decode() for start in (0, 100))
SEALS: dict[str, dict[str, Any]] = {
    'compressed': {'compression': 'zlib'},
    'both': {'compression': True, 'encryption_key': KEY},
}
# Of how many bytes one is changed; the unit tests of the envelope change all
EVERY = {'compressed': 3, 'both': 1}
SMALL = b'a short body, which is a part of its entry'
LARGE = b', '.join(b'%d' % i for i in range(200))[:600]
LARGE_BODY_BYTES, PIECE_BYTES = 500, 256
BODIES = {'/small': SMALL, '/large': LARGE}
MISS = (504, b'')


class Place(NamedTuple):
    """One of the places where a store keeps the bytes of an entry

    Args:
        name: Tells it from the others
        data: What is there
    """

    name: str
    data: bytes


class Store:
    """All bytes of a cache, by no part of this package"""

    def __init__(self, path: Path):
        self.path = path

    def read(self) -> list[Place]:
        raise NotImplementedError

    def write(self, place: Place) -> None:
        raise NotImplementedError


class Database(Store):
    COLUMNS = (('responses', 'value'), ('responses_bodies', 'record'), ('responses_pieces', 'data'))

    def __init__(self, path: Path):
        super().__init__(path)
        self.connection = sqlite3.connect(path.with_suffix('.sqlite'), isolation_level=None)
        self.connection.execute('PRAGMA synchronous = OFF')

    def read(self) -> list[Place]:
        return [
            Place(f'{table} {column} {rowid}', data)
            for table, column in self.COLUMNS
            for rowid, data in self.connection.execute(f'SELECT rowid, {column} FROM {table}')
            if data is not None
        ]

    def write(self, place: Place) -> None:
        table, column, rowid = place.name.split()
        self.connection.execute(f'UPDATE {table} SET {column} = ? WHERE rowid = ?', (place.data, rowid))


class Files(Store):
    def read(self) -> list[Place]:
        files = (path for path in self.path.rglob('*') if path.is_file() and path.suffix not in ('.sqlite', '.lock'))
        return [Place(str(path), path.read_bytes()) for path in sorted(files)]

    def write(self, place: Place) -> None:
        Path(place.name).write_bytes(place.data)


STORES: dict[str, type[Store]] = {'sqlite': Database, 'filesystem': Files}
Look = Callable[[], dict[str, tuple[int, bytes]]]


@pytest.fixture(params=STORES)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def new(backend: str, new_session: SessionFactory) -> SessionFactory:
    def make(**options: Any) -> CachedSession:
        session = new_session(backend=backend, fast_save=True, large_body_bytes=LARGE_BODY_BYTES, **options)
        session.cache.responses.pieces.piece_bytes = PIECE_BYTES  # type: ignore[attr-defined]
        return session

    return make


@pytest.fixture
def pages(origin: Origin) -> Origin:
    for path, body in BODIES.items():
        origin.add(path, answer(200, body))
    return origin


@pytest.fixture
def open_store(backend: str, cache_path: Path) -> Iterator[Callable[[], Store]]:
    opened: list[Store] = []

    def make() -> Store:
        opened.append(STORES[backend](cache_path))
        return opened[-1]

    yield make
    for store in opened:
        if isinstance(store, Database):
            store.connection.close()


def fill(session: CachedSession, origin: Origin) -> Look:
    """Store all pages; returns a function that asks the cache for them, and nobody else"""
    for path in BODIES:
        session.get(origin.url(path))

    def look() -> dict[str, tuple[int, bytes]]:
        responses = {path: session.get(origin.url(path), only_if_cached=True) for path in BODIES}
        return {path: (response.status_code, response.content or b'') for path, response in responses.items()}

    assert look() == {path: (200, body) for path, body in BODIES.items()}
    return look


def assert_miss_or_right(found: dict[str, tuple[int, bytes]], changed: object) -> None:
    for path, body in BODIES.items():
        assert found[path] in (MISS, (200, body)), changed


@pytest.fixture
def little_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Most of the time would go into tracebacks"""
    caplog.set_level(logging.CRITICAL, 'requests_cache')


@pytest.mark.usefixtures('little_is_logged')
@pytest.mark.parametrize('name', SEALS)
class TestDamage:
    def test_every_byte(self, name: str, new: SessionFactory, pages: Origin, open_store: Callable[[], Store]) -> None:
        look, store, misses, step = fill(new(**SEALS[name]), pages), open_store(), 0, EVERY[name]
        places = store.read()
        for place in places:
            for position in range(0, len(place.data), step):
                changed = bytearray(place.data)
                changed[position] ^= 1 << position % 8
                store.write(place._replace(data=bytes(changed)))
                found = look()
                assert_miss_or_right(found, (place.name, position))
                misses += MISS in found.values()
            store.write(place)
        # All but some of what files hold beside the entries, such as their keys
        assert misses > 0.9 * sum(len(place.data) for place in places) / step - 100

    def test_every_length(self, name: str, new: SessionFactory, pages: Origin, open_store: Callable[[], Store]) -> None:
        look, store = fill(new(**SEALS[name]), pages), open_store()
        for place in store.read():
            for length in range(0, len(place.data), 7):
                store.write(place._replace(data=place.data[:length]))
                assert_miss_or_right(look(), (place.name, length))
            store.write(place._replace(data=place.data + b'x'))
            assert_miss_or_right(look(), place.name)
            store.write(place)

    def test_what_is_damaged_is_written_anew(
        self, name: str, new: SessionFactory, pages: Origin, open_store: Callable[[], Store]
    ) -> None:
        session = new(**SEALS[name])
        fill(session, pages)
        store = open_store()
        for place in store.read():
            for position in range(0, len(place.data), 61):
                for changed in (place.data[:position], place.data[:position] + b'?' + place.data[position + 1 :]):
                    for current in store.read():
                        if current.name == place.name:
                            store.write(current._replace(data=changed))
                    for _ in range(2):
                        responses = {path: session.get(pages.url(path)) for path in BODIES}
                        assert {path: r.content for path, r in responses.items()} == BODIES
                    assert all(response.from_cache for response in responses.values())


class TestTampering:
    """By somebody who may write to the store, and has no key"""

    def test_any_two_places_are_swapped(
        self, new: SessionFactory, pages: Origin, open_store: Callable[[], Store]
    ) -> None:
        """Entries, pieces of one body, pieces of two, whatever fits"""
        look, store = fill(new(**SEALS['both']), pages), open_store()
        places = store.read()
        for one in places:
            for other in places:
                if one is not other:
                    store.write(one._replace(data=other.data))
                    store.write(other._replace(data=one.data))
                    assert MISS in look().values()
                    assert_miss_or_right(look(), (one.name, other.name))
                    store.write(one)
                    assert_miss_or_right(look(), (one.name, other.name))
                    store.write(other)
        assert MISS not in look().values()

    def test_an_older_version_of_an_entry(
        self, new: SessionFactory, origin: Origin, open_store: Callable[[], Store]
    ) -> None:
        """That is not noticed, as a cache cannot tell which version is the last"""
        origin.add('/page', answer(200, b'older'), answer(200, b'newer'))
        session, url = new(**SEALS['both']), origin.url('/page')
        session.get(url)
        store = open_store()
        older = {place.name: place.data for place in store.read()}
        assert session.get(url, force_refresh=True).content == b'newer'
        for place in store.read():
            if 'pieces' not in place.name and place.name in older:
                store.write(place._replace(data=older[place.name]))
        response = session.get(url, only_if_cached=True)
        assert (response.status_code, response.content or b'') in (MISS, (200, b'older'), (200, b'newer'))

    def test_entries_of_somebody_else_in_clear(self, new: SessionFactory, origin: Origin) -> None:
        """They are read, as those of before are; who signs as well sees to it that they are not"""
        from requests_cache import safe_pickle_serializer

        origin.add('/page', answer(200, b'right'))
        url = origin.url('/page')
        new(serializer='pickle', key_fn=lambda **kwargs: 'key').get(url)
        reader = new(serializer='pickle', key_fn=lambda **kwargs: 'key', encryption_key=KEY)
        assert reader.get(url).from_cache
        signing = safe_pickle_serializer(secret_key='secret', accept_unbound=False)
        both = new(serializer=signing, key_fn=lambda **kwargs: 'signed', encryption_key=KEY)
        assert not both.get(url).from_cache
        assert both.get(url).content == b'right'
        assert both.get(url).from_cache

    def test_a_redirect_is_led_elsewhere(self, new: SessionFactory, pages: Origin) -> None:
        session = new(**SEALS['both'])
        fill(session, pages)
        cache = session.cache
        small, large = (cache.create_key(_request(pages.url(path))) for path in BODIES)
        del cache.responses[small]
        cache.redirects[small] = large
        assert session.get(pages.url('/small'), only_if_cached=True).status_code == 504


def _request(url: str) -> Any:
    from requests import Request

    return Request('GET', url)


@pytest.mark.parametrize('wrong', [None, OTHER_KEY], ids=['no key', 'another key'])
class TestAnotherKey:
    @pytest.mark.parametrize('stream', [False, True], ids=['at once', 'stream'])
    def test_a_miss_with_one_warning_that_changes_nothing(
        self,
        wrong: str | None,
        stream: bool,
        new: SessionFactory,
        pages: Origin,
        open_store: Callable[[], Store],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        writer = new(encryption_key=KEY)
        fill(writer, pages)
        before = open_store().read()
        reader = new(encryption_key=wrong)
        caplog.clear()
        for _ in range(3):
            for path, body in BODIES.items():
                response = reader.get(pages.url(path), stream=stream)
                assert (response.content, response.from_cache) == (body, False)
        assert warnings_about(caplog, 'Encrypted entries cannot be read, and are kept until') == 1
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == [
            record for record in caplog.records if 'Encrypted entries' in record.message and record.levelno > 10
        ]
        assert KEY not in caplog.text
        assert open_store().read() == before
        assert all(writer.get(pages.url(path)).from_cache for path in BODIES)

    def test_it_is_explained(self, wrong: str | None, new: SessionFactory, pages: Origin) -> None:
        new(encryption_key=KEY).get(pages.url('/small'))
        reader = new(encryption_key=wrong)
        response = reader.get(pages.url('/small'))
        assert 'is encrypted with another key, and is left as it is' in str(reader.explain(response))

    def test_other_entries_are_stored(self, wrong: str | None, new: SessionFactory, pages: Origin) -> None:
        new(encryption_key=KEY).get(pages.url('/small'))
        reader = new(encryption_key=wrong)
        for from_cache in (False, True):
            assert not reader.get(pages.url('/small')).from_cache
            assert reader.get(pages.url('/large')).from_cache == from_cache

    def test_what_maintenance_does(self, wrong: str | None, new: SessionFactory, pages: Origin) -> None:
        writer = new(encryption_key=KEY, expire_after=3600)
        writer.get(pages.url('/small'))
        reader = new(encryption_key=wrong)
        reader.cache.delete(expired=True, older_than=7200)
        reader.cache.reset_expiration(60)
        reader.cache.recreate_keys()
        assert reader.cache.reencrypt() == 0
        assert list(reader.cache.filter()) == []
        assert writer.get(pages.url('/small')).from_cache
        assert reader.cache.delete(invalid=True) == 1
        assert not reader.get(pages.url('/small')).from_cache
        assert reader.get(pages.url('/small')).from_cache

    def test_once_it_is_gone(self, wrong: str | None, new: SessionFactory, pages: Origin) -> None:
        writer, reader = new(encryption_key=KEY), new(encryption_key=wrong)
        writer.get(pages.url('/small'))
        assert not reader.get(pages.url('/small')).from_cache
        writer.cache.clear()
        assert not reader.get(pages.url('/small')).from_cache
        assert reader.get(pages.url('/small')).from_cache


def test_nothing_in_clear(new: SessionFactory, origin: Origin, open_store: Callable[[], Store]) -> None:
    secrets = (b'secret-in-body', b'secret-in-header', b'secret-in-query', b'secret-in-cookie', b'Secret-Name')
    header = [('Secret-Name', 'secret-in-header'), ('Set-Cookie', 'a=secret-in-cookie')]
    origin.add('/page', answer(200, b'secret-in-body', header))
    origin.add('/long', answer(200, b'secret-in-body ' * 200, header))
    session = new(encryption_key=KEY)
    for path in ('/page', '/long'):
        session.get(origin.url(f'{path}?q=secret-in-query'))
        assert session.get(origin.url(f'{path}?q=secret-in-query')).from_cache
    stored = b''.join(path.read_bytes() for path in _all_files(open_store().path))
    assert len(stored) > 3_000
    assert not [secret for secret in secrets if secret in stored]


def _all_files(path: Path) -> list[Path]:
    return [file for file in path.parent.rglob('*') if file.is_file()]


def test_a_session_without_compression_reads_what_is_compressed_and_encrypted(
    new: SessionFactory, pages: Origin
) -> None:
    fill(new(**SEALS['both']), pages)
    reader = new(encryption_key=KEY)
    assert all(reader.get(pages.url(path)).from_cache for path in BODIES)
    fill(new(cache_name=os.fspath(reader.cache.cache_name) + '-2', compression='lzma'), pages)


def test_copying_what_has_lost_its_body(
    new: SessionFactory, pages: Origin, open_store: Callable[[], Store], caplog: pytest.LogCaptureFixture
) -> None:
    """All else is copied, and written anew"""
    session = new(**SEALS['both'])
    fill(session, pages)
    store = open_store()
    largest = max(store.read(), key=lambda place: (place.name.startswith('responses_pieces'), len(place.data)))
    store.write(largest._replace(data=largest.data[:-1]))
    with closing(CachedSession(backend='memory', serializer='json')) as other:
        other.cache.update(session.cache)
        assert [response.content for response in other.cache.filter()] == [SMALL]
    assert session.cache.reencrypt() == 1
    assert warnings_about(caplog, 'because its body cannot be read') == 2
