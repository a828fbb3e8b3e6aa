"""Secrets, looked for in what is stored, byte by byte, on every backend: only what the user asked to keep is there"""

from __future__ import annotations

import gzip
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.dynamodb_server import DynamoDbServer
from support.mongodb_server import MongoServer
from support.redis_server import RedisServer

from faults.planting import IGNORED, METHODS, Planter, flat, found_in
from requests_cache import CachedSession, SerializerPipeline, Stage
from requests_cache.serializers import SERIALIZERS
from requests_cache.testing.origin import Origin, answer

pytest_plugins = ['support.dynamodb_fixtures', 'support.mongodb_fixtures', 'support.redis_fixtures']

COMPRESSED = SerializerPipeline(
    [*SERIALIZERS['json'].stages, Stage(dumps=lambda text: gzip.compress(text.encode()), loads=gzip.decompress)],
    name='compressed',
    is_binary=True,
)
LOCAL_OPTIONS: dict[str, dict[str, Any]] = {'sqlite-wal': {'wal': True}, 'filesystem-lru': {'max_cache_bytes': 10**8}}
LOCAL = ('pickle', 'json', 'orjson', 'ujson', 'yaml', 'bson', COMPRESSED)


class Store:
    """A store of its own for each test, and all that is in it"""

    options: dict[str, Any] = {}

    def raw(self) -> Iterator[bytes]:
        raise NotImplementedError


class Files(Store):
    def __init__(self, place: Path, **options: Any):
        self.place, self.options = place, {'cache_name': place / 'cache', **options}

    def raw(self) -> Iterator[bytes]:
        for path in self.place.rglob('*'):
            yield os.fsencode(path)
            if path.is_file():
                yield path.read_bytes()
            if path.suffix in ('.sqlite', '.db'):
                yield from self.rows(path)

    def rows(self, path: Path) -> Iterator[bytes]:
        """What is in the tables of a database, as pages of the file hold large values in pieces"""
        with closing(sqlite3.connect(path)) as connection:
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                yield from flat(connection.execute(f'SELECT * FROM "{name}"').fetchall())


class Redis(Store):
    def __init__(self, server: RedisServer):
        self.server, self.options = server, {'backend': 'redis', 'port': server.port}

    def raw(self) -> Iterator[bytes]:
        readers = {b'string': 'get', b'hash': 'hgetall', b'set': 'smembers'}
        with self.server.client() as client:
            for key in client.keys('*'):
                yield key
                yield from flat(getattr(client, readers[client.type(key)])(key))


class Mongo(Store):
    def __init__(self, server: MongoServer, name: str, backend: str):
        self.server, self.name = server, name
        self.options = {'cache_name': name, 'backend': backend, 'port': server.port}

    def raw(self) -> Iterator[bytes]:
        with self.server.client() as client:
            database = client[self.name]
            for name in database.list_collection_names():
                yield name.encode()
                yield from flat(list(database[name].find()))
                if name.endswith('.chunks'):
                    yield b''.join(chunk['data'] for chunk in database[name].find().sort([('files_id', 1), ('n', 1)]))


class Dynamo(Store):
    def __init__(self, server: DynamoDbServer):
        self.server, self.options = server, {'backend': 'dynamodb', **server.options}

    def raw(self) -> Iterator[bytes]:
        tables = list(boto3.resource('dynamodb', **self.server.options).tables.all())
        assert tables
        for table in tables:
            yield table.name.encode()
            yield from flat(table.scan()['Items'])


def store_of(backend: str, request: pytest.FixtureRequest) -> Store:
    if backend == 'redis':
        return Redis(request.getfixturevalue('redis_server'))
    if backend in ('mongodb', 'gridfs'):
        fixtures = (request.getfixturevalue(name) for name in ('mongodb_server', 'mongodb_name'))
        return Mongo(*fixtures, backend)
    if backend == 'dynamodb':
        return Dynamo(request.getfixturevalue('server'))
    options = {'backend': backend.partition('-')[0], **LOCAL_OPTIONS.get(backend, {})}
    return Files(request.getfixturevalue('tmp_path'), **options)


CASES = [
    *[(backend, serializer) for backend in ('sqlite', 'filesystem') for serializer in LOCAL],
    *[('sqlite-wal', None), ('filesystem-lru', None)],
    *[('redis', serializer) for serializer in ('pickle', 'json', COMPRESSED)],
    *[('mongodb', serializer) for serializer in (None, 'json', 'pickle')],
    *[('gridfs', serializer) for serializer in (None, 'json', 'bson')],
    *[('dynamodb', serializer) for serializer in (None, 'pickle', 'json')],
]


def case_id(value: Any) -> str:
    return f'{value[0]} {getattr(value[1], "name", value[1])}' if isinstance(value, tuple) else str(value)


@pytest.fixture(params=CASES, ids=case_id)
def case(request: pytest.FixtureRequest) -> tuple[Store, Any]:
    backend, serializer = request.param
    return store_of(backend, request), serializer


@pytest.fixture
def open_session(case: tuple[Store, Any]) -> Iterator[Callable[..., CachedSession]]:
    store, serializer = case
    sessions: list[CachedSession] = []

    def make(**kwargs: Any) -> CachedSession:
        chosen = {} if serializer is None else {'serializer': serializer}
        codes = {'allowable_codes': [200, 302], 'allowable_methods': METHODS}
        sessions.append(CachedSession(**{'cache_name': 'secrets', **store.options, **chosen, **codes, **kwargs}))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


@pytest.mark.parametrize(
    ('case', 'cache_control'),
    [*((case, False) for case in CASES), (CASES[0], 'strict')],
    indirect=['case'],
    ids=case_id,
)
def test_only_what_was_to_be_kept_is_found(
    cache_control: Any, case: tuple[Store, Any], open_session: Callable[..., CachedSession], origin: Origin
) -> None:
    store, _ = case
    session = open_session(ignored_parameters=IGNORED, cache_control=cache_control, expire_after=3600)
    planted = Planter(session, origin)
    planted.plant()
    assert len(planted.secrets) >= 30
    assert len(session.cache.responses) >= 20
    assert found_in(store.raw(), planted.secrets) == set(), 'while it is open'
    session.close()
    assert found_in(store.raw(), planted.secrets) == set(), 'after it was closed'
    if cache_control is False:
        assert found_in(store.raw(), planted.kept) == set(planted.kept)


REPEATED: list[dict[str, Any]] = [
    {'url': '/a?b=2&a=1;api_key=x;c=3'},
    {'url': '/a;api_key=x/b'},
    {'url': '/a?user[api_key]=x&b=1'},
    {'url': '/a?to=http%3A%2F%2Fu%3Ax%40h%2F%3Fapi_key%3Dx'},
    {'url': '/a', 'headers': {'X-To': 'http://h/?api_key=x'}},
    {'url': '/a', 'data': '{"api_key": "x"}', 'headers': {'Content-Type': 'text/json'}},
    {'url': '/a', 'data': 'a=1;api_key=x'},
    {'url': '/a', 'data': '--X\n\napi_key=x\n--X--\n', 'headers': {'Content-Type': 'multipart/mixed; boundary=X'}},
]


@pytest.mark.parametrize('cache_control', [False, 'strict'])
@pytest.mark.parametrize('match_headers', [False, True])
@pytest.mark.parametrize('arguments', REPEATED, ids=str)
def test_a_request_hits_what_is_stored_of_it(
    arguments: dict[str, Any], match_headers: bool, cache_control: Any, origin: Origin
) -> None:
    origin.default = answer(200, b'page', [('Cache-Control', 'max-age=60')])
    method = 'POST' if 'data' in arguments else 'GET'
    if method == 'POST' and cache_control:
        pytest.skip('the standard stores other responses to POST')
    with CachedSession(
        backend='memory', cache_control=cache_control, allowable_methods=METHODS, match_headers=match_headers
    ) as session:
        kwargs = {**arguments, 'url': origin.url(arguments['url'])}
        assert [session.request(method, **kwargs).from_cache for _ in range(3)] == [False, True, True]


def test_the_search_would_find_them(
    case: tuple[Store, Any], open_session: Callable[..., CachedSession], origin: Origin
) -> None:
    """Who asks for nothing to be ignored finds everything that is stored at all"""
    store, _ = case
    session = open_session(ignored_parameters=[])
    planted = Planter(session, origin)
    planted.plant()
    missing = set(planted.secrets) - found_in(store.raw(), planted.secrets)
    # A request only asks for what is stored already
    assert missing == {'header of a validation'}
