"""Entries that are damaged, foreign or of another format: a miss, and whole again after the next write"""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from faults.local_caches import BODY, SessionFactory
from faults.stress import FLIPS
from requests_cache import CachedResponse, CachedSession, DictStorage, SerializerPipeline, Stage
from requests_cache.serializers import SERIALIZERS
from requests_cache.serializers.checksum import FIELD, record_checksum
from requests_cache.serializers.unpickling import SEAL_LENGTH
from requests_cache.testing.origin import Origin, answer, redirect, revalidating
from requests_cache.testing.values import facts, make_response

TEXT = 'Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. ' * 8


FOREIGN = [
    None, 7, 1.5, 'text', '', b'', b'\x00' * 100, b'null', b'[]', b'{}', b'""', b'1e999', b'NaN', b'--- {}',
    b'\x80\x04.', b'{"status_code": "many", "created_at": 5}',
    b'{"status_code": 200, "headers": [1], "request": {"headers": 5}}', b'[' * 100_000, b'{"a":' * 100_000,
    pickle.dumps({'status_code': 200, 'headers': {'a': 5}}), pickle.dumps({'created_at': 1e400, 'history': 5}),
    pickle.dumps([1, 2]), pickle.dumps(None), pickle.dumps({1: 2}),
    json.dumps({'status_code': 200, 'created_at': '2020-99-99', '_content': 'AAAA'}).encode(),
]  # fmt: skip


class RawStore:
    """The values of a cache as the backend keeps them, with no part of this package in between"""

    def __init__(self, session: CachedSession, place: Path):
        self.session = session
        self.place = place

    def read(self) -> dict[str, bytes]:
        raise NotImplementedError

    def write(self, name: str, value: Any) -> None:
        raise NotImplementedError


class RawDatabase(RawStore):
    def read(self) -> dict[str, bytes]:
        with closing(sqlite3.connect(self.place.with_suffix('.sqlite'))) as connection:
            rows = connection.execute('SELECT key, value FROM responses').fetchall()
        return {key: value.encode() if isinstance(value, str) else value for key, value in rows}

    def write(self, name: str, value: Any) -> None:
        with closing(sqlite3.connect(self.place.with_suffix('.sqlite'))) as connection:
            connection.execute('PRAGMA synchronous = OFF')
            connection.execute('UPDATE responses SET value = ? WHERE key = ?', (value, name))
            connection.commit()


class RawFiles(RawStore):
    def read(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.session.cache.paths()}  # type: ignore[attr-defined]

    def write(self, name: str, value: Any) -> None:
        (self.place / name).write_bytes(value if isinstance(value, bytes) else str(value).encode())


STORES: dict[str, type[RawStore]] = {'sqlite': RawDatabase, 'filesystem': RawFiles}


@pytest.fixture(params=STORES)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_store(backend: str, new_session: SessionFactory, cache_path: Path) -> Callable[..., RawStore]:
    # Nothing here is about what happens when the power fails
    return lambda **options: STORES[backend](new_session(backend=backend, fast_save=True, **options), cache_path)


def visit(session: CachedSession, origin: Origin) -> list[Any]:
    """Ask for everything that is stored, and look at all of it"""
    responses = [session.get(origin.url(path)) for path in ('/text', '/bytes', '/start')]
    assert [r.content for r in responses] == [TEXT.encode(), BODY, TEXT.encode()]
    for response in responses:
        if response.from_cache:
            if all(isinstance(r, CachedResponse) for r in response.history):
                facts(response)
            _ = response.text, response.raw.read(), response.raw.headers, response.links, response.next, repr(response)
            response.request.copy()
    return responses


@pytest.fixture
def pages(origin: Origin) -> Origin:
    headers = [('Content-Type', 'text/plain; charset=utf-8'), ('Set-Cookie', 'a=1'), ('Set-Cookie', 'b=2')]
    origin.add('/text', answer(200, TEXT, headers))
    origin.add('/bytes', answer(200, BODY))
    origin.add('/end', answer(200, TEXT, headers))
    origin.add('/start', redirect('/end'))
    return origin


def assert_heals(store: RawStore, pages: Origin) -> None:
    """The next visit stores what could not be read, so that the one after it needs nothing but the cache"""
    visit(store.session, pages)
    hits = pages.hits()
    assert all(response.from_cache for response in visit(store.session, pages))
    assert pages.hits() == hits


@pytest.mark.parametrize('serializer', SERIALIZERS)
class TestEverySerializer:
    def test_flipped_bits(self, serializer: str, open_store: Callable[..., RawStore], pages: Origin) -> None:
        store, random = open_store(serializer=serializer), Random(serializer)
        visit(store.session, pages)
        whole = store.read()
        for _ in range(FLIPS):
            for name, value in whole.items():
                damaged = bytearray(value)
                damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
                store.write(name, bytes(damaged))
                assert_heals(store, pages)
                store.write(name, value)

    def test_cut_off(self, serializer: str, open_store: Callable[..., RawStore], pages: Origin) -> None:
        store = open_store(serializer=serializer)
        visit(store.session, pages)
        for share in (0.0, 0.01, 0.3, 0.9, 0.999):
            for name, value in store.read().items():
                store.write(name, value[: int(share * len(value))])
            assert_heals(store, pages)

    def test_pieces_of_two_entries(self, serializer: str, open_store: Callable[..., RawStore], pages: Origin) -> None:
        if serializer == 'yaml':
            pytest.skip('as it allows a name to be repeated, pieces may well make an entry that nobody can tell')
        store = open_store(serializer=serializer)
        visit(store.session, pages)
        (one, first), (other, second) = list(store.read().items())[:2]
        for share in (0.1, 0.5, 0.9):
            store.write(one, first[: int(share * len(first))] + second[int(share * len(second)) :])
            store.write(other, second + first)
            assert_heals(store, pages)

    @pytest.mark.parametrize('other', SERIALIZERS)
    def test_entries_of_another_serializer(
        self, serializer: str, other: str, open_store: Callable[..., RawStore], pages: Origin
    ) -> None:
        store = open_store(serializer=serializer)
        visit(store.session, pages)
        for name in store.read():
            stored = CachedResponse(status_code=200, content=b'of another serializer', url='http://example.com')
            value = SERIALIZERS[other].dumps(stored)
            store.write(name, value if isinstance(value, bytes) else value.encode())
        for _ in range(2):
            for path in ('/text', '/bytes'):
                response = store.session.get(pages.url(path))
                expected = pages.requests_for(path) and (TEXT.encode() if path == '/text' else BODY)
                # Formats that read each other's entries may; what they read is whole then
                assert response.content in (expected, b'of another serializer')

    def test_foreign_values(self, serializer: str, open_store: Callable[..., RawStore], pages: Origin) -> None:
        store = open_store(serializer=serializer)
        for value in FOREIGN:
            visit(store.session, pages)
            for name in store.read():
                store.write(name, value)
            assert_heals(store, pages)


class TestCodeInEntries:
    """Reading an entry runs nothing that the entry names"""

    def test_pickles_of_classes_and_functions(
        self, open_store: Callable[..., RawStore], pages: Origin, tmp_path: Path
    ) -> None:
        store, trace = open_store(serializer='pickle'), tmp_path / 'trace'

        class Harmful:
            def __reduce__(self) -> Any:
                return open, (str(trace), 'w')

        harmful: list[Any] = [
            Harmful(), {'status_code': 200, 'created_at': Harmful()}, CachedResponse(status_code=200), print, Path(),
            {'_content': b'', 'status_code': 200, 'history': [Harmful()]},
        ]  # fmt: skip
        for value in harmful:
            for protocol in (0, 2, pickle.HIGHEST_PROTOCOL):
                visit(store.session, pages)
                for name in store.read():
                    store.write(name, pickle.dumps(value, protocol))
                assert_heals(store, pages)
                list(store.session.cache.filter(invalid=True))
                assert not trace.exists()

    @pytest.mark.parametrize(
        'data',
        [
            b'\x80\x04Nrnet\x10.',
            b'\x80\x04N' + b'r\xff\xff\xff\x7f.',
            b'Np4000000000\n.',
            b'\x80\x05\x96' + (2**40).to_bytes(8, 'little') + b'.',
            b'\x80\x04\x8e' + (2**62).to_bytes(8, 'little') + b'.',
        ],
    )
    def test_pickles_that_ask_for_memory(self, data: bytes) -> None:
        """One flipped bit can turn a text into such a thing"""
        with pytest.raises(pickle.UnpicklingError, match='damaged'):
            SERIALIZERS['pickle'].loads(data)

    def test_sealed_pickles(self) -> None:
        """Where the whole entry has a checksum, no damage goes unnoticed"""
        whole = SERIALIZERS['pickle'].dumps(make_response(1))
        assert pickle.loads(whole)['status_code'] == 200, 'others can read it'
        pickled = len(whole) - SEAL_LENGTH
        for position in range(pickled):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << position % 8
            with pytest.raises(pickle.UnpicklingError):
                SERIALIZERS['pickle'].loads(bytes(damaged))
        assert facts(SERIALIZERS['pickle'].loads(whole[:pickled])) == facts(make_response(1))

    def test_yaml_tags(self, open_store: Callable[..., RawStore], pages: Origin, tmp_path: Path) -> None:
        store, trace = open_store(serializer='yaml'), tmp_path / 'trace'
        for tag in ('object/apply:builtins.open', 'object/new:builtins.open', 'name:builtins.open'):
            visit(store.session, pages)
            for name in store.read():
                store.write(name, f'!!python/{tag} [{trace}, w]'.encode())
            assert_heals(store, pages)
            assert not trace.exists()

    def test_the_open_form_has_to_be_asked_for(self, open_store: Callable[..., RawStore], pages: Origin) -> None:
        """Who wants to load any class passes the module itself"""
        store = open_store(serializer=pickle)
        visit(store.session, pages)
        assert b'requests_cache' in next(iter(store.read().values()))
        assert all(response.from_cache for response in visit(store.session, pages))


class TestElsewhere:
    def test_redirects(self, open_store: Callable[..., RawStore], pages: Origin) -> None:
        store = open_store()
        visit(store.session, pages)
        redirects = store.session.cache.redirects
        for target in ('', 'no such key', 'x' * 10_000, '\x00', '{}', '../../etc/passwd', '\ud800'):
            for key in list(redirects):
                redirects[key] = target
            visit(store.session, pages)
        for key in list(redirects):
            redirects[key] = key
        visit(store.session, pages)

    def test_redirects_of_another_type(
        self, backend: str, open_store: Callable[..., RawStore], pages: Origin, cache_path: Path
    ) -> None:
        store = open_store()
        visit(store.session, pages)
        folder = cache_path / 'redirects' if backend == 'filesystem' else cache_path
        for value in (None, 5, 1.5, b'\xff\xfe', b'', pickle.dumps(print)):
            with closing(sqlite3.connect(folder.with_suffix('.sqlite'))) as connection:
                connection.execute('UPDATE redirects SET value = ?', (value,))
                connection.commit()
            visit(store.session, pages)
            store.session.cache.delete(expired=True)

    def test_in_memory(self, new_session: SessionFactory, pages: Origin) -> None:
        session = new_session(backend='memory')
        visit(session, pages)
        responses: Any = session.cache.responses
        assert isinstance(responses, DictStorage)
        for value in (None, 5, 'text', b'\x80', {}, [], object()):
            for key in list(responses):
                responses.data[key] = value
            visit(session, pages)
            assert all(r.from_cache for r in visit(session, pages))

    @pytest.mark.parametrize(
        'error', [ValueError, EOFError, RuntimeError, RecursionError, MemoryError, OSError, KeyError, ZeroDivisionError]
    )
    def test_serializers_that_raise_anything(
        self, error: type[Exception], open_store: Callable[..., RawStore], pages: Origin
    ) -> None:
        def fail(value: Any) -> Any:
            raise error('on purpose')

        def failing(**functions: Any) -> SerializerPipeline:
            return SerializerPipeline([*SERIALIZERS['pickle'].stages, Stage(**functions)], 'failing', is_binary=True)

        store = open_store(serializer=failing(dumps=bytes, loads=fail))
        for _ in range(2):
            visit(store.session, pages)
        assert len(store.read()) >= 2, 'it was written'
        store = open_store(serializer=failing(dumps=fail, loads=bytes))
        for _ in range(2):
            visit(store.session, pages)


# What is in no field that a server sends, or that can be sent to one
UNSENDABLE = ['\x00', '"1"\r\nX: 1', '"1"\n', '\ud800', '"\u2603"', '']
VALIDATORS = [('ETag', '"1"'), ('Last-Modified', 'Thu, 01 Jan 2026 13:00:00 GMT')]


def with_other_texts(record: Any, other: str) -> Iterator[Any]:
    """Copies of a record, each with another value in place of one of its texts"""
    for name, value in record.items() if isinstance(record, dict) else enumerate(record):
        if isinstance(value, (dict, list)):
            replacements: Iterable[Any] = with_other_texts(value, other)
        else:
            replacements = [other] if isinstance(value, str) and name != '_content' else []
        for replacement in replacements:
            copy = record.copy()
            copy[name] = replacement
            yield copy


class TestFields:
    """Entries without a checksum of the whole, as 1.3 writes them, and such as somebody else has made one for"""

    def write(self, store: RawStore, name: str, record: Any, has_checksum: bool) -> None:
        if has_checksum:
            record = {**record, FIELD: record_checksum(record)}
        store.write(name, json.dumps(record))

    @pytest.mark.parametrize('has_checksum', [False, True])
    @pytest.mark.parametrize('cache_control', [False, 'strict'])
    def test_damaged_texts(
        self, has_checksum: bool, cache_control: Any, open_store: Callable[..., RawStore], origin: Origin
    ) -> None:
        headers = [*VALIDATORS, ('Content-Type', 'text/plain'), ('Vary', 'Accept'), ('Set-Cookie', 'a=1')]
        origin.add('/page', revalidating(answer(200, TEXT, headers)))
        store = open_store(serializer='json', cache_control=cache_control, always_revalidate=True)
        store.session.get(origin.url('/page'))
        [(name, text)] = store.read().items()
        whole = json.loads(text)
        del whole[FIELD]
        for other in UNSENDABLE:
            for record in with_other_texts(whole, other):
                self.write(store, name, record, has_checksum)
                response = store.session.get(origin.url('/page'))
                assert response.content == TEXT.encode()
                asked = origin.requests_for('/page')[-1]
                assert asked.header('If-None-Match') in (None, '"1"')
                assert asked.header('If-Modified-Since') in (None, VALIDATORS[1][1])
                assert asked.header('X') is None
                assert store.session.get(origin.url('/page')).content == TEXT.encode()
                store.session.cookies.clear()

    @pytest.mark.parametrize('cache_control', [False, 'strict'])
    @pytest.mark.parametrize('is_followed', [True, False])
    def test_redirects_that_lead_nowhere(
        self, is_followed: bool, cache_control: Any, open_store: Callable[..., RawStore], origin: Origin
    ) -> None:
        origin.add('/page', answer(200, TEXT, VALIDATORS))
        origin.add('/start', redirect('/page', 301))
        store = open_store(serializer='json', cache_control=cache_control, allowable_codes=(200, 301), expire_after=60)
        store.session.get(origin.url('/start'), allow_redirects=is_followed)
        for name, text in store.read().items():
            whole = json.loads(text)
            del whole[FIELD]
            for other in [*filter(None, UNSENDABLE), 'http://[', 'http://host:port']:
                for record in with_other_texts(whole, other):
                    self.write(store, name, record, has_checksum=True)
                    response = store.session.get(origin.url('/start'), allow_redirects=is_followed)
                    assert response.content == (TEXT.encode() if is_followed else b'')
                    self.write(store, name, whole, has_checksum=True)

    @pytest.mark.parametrize('damage', UNSENDABLE)
    def test_the_other_validator_is_used(
        self, damage: str, open_store: Callable[..., RawStore], origin: Origin
    ) -> None:
        origin.add('/page', revalidating(answer(200, TEXT, VALIDATORS)))
        store = open_store(serializer='json', always_revalidate=True)
        store.session.get(origin.url('/page'))
        [(name, text)] = store.read().items()
        record = json.loads(text)
        record['headers']['ETag'] = damage
        self.write(store, name, record, has_checksum=True)
        store.session.get(origin.url('/page'))
        asked = origin.requests_for('/page')[1]
        assert (asked.header('If-None-Match'), asked.header('If-Modified-Since')) == (None, VALIDATORS[1][1])
        assert store.session.get(origin.url('/page')).revalidated

    @pytest.mark.parametrize('serializer', ['json', 'ujson', 'orjson', 'yaml', 'bson'])
    def test_a_changed_character_is_a_miss(
        self, serializer: str, open_store: Callable[..., RawStore], origin: Origin
    ) -> None:
        origin.add('/page', body=BODY, headers=[('X-Name', 'right-value'), *VALIDATORS])
        store = open_store(serializer=serializer)
        store.session.get(origin.url('/page'))
        [(name, whole)] = store.read().items()
        for old, new in (
            (b'right-value', b'wrong-value'),
            (b'X-Name', b'X-Mane'),
            (b'Thu', b'Tue'),
            (b'/page', b'/cage'),
        ):
            assert old in whole
            store.write(name, whole.replace(old, new, 1))
            response = store.session.get(origin.url('/page'))
            assert not response.from_cache
            assert response.headers['X-Name'] == 'right-value'
            assert store.session.get(origin.url('/page')).from_cache
