"""Bounds of caches in MongoDB and GridFS: what is in the database, by whom, and what it costs"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context
from typing import Any

import bson
import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, OperationFailure
from pymongo.monitoring import CommandListener
from support.mongodb_server import MongoServer

from requests_cache import CachedSession
from requests_cache.backends import bodies
from requests_cache.backends.gridfs import GridFSCache
from requests_cache.backends.mongodb import MongoCache, entries, room, totals
from requests_cache.backends.mongodb import storage as mongodb_storage
from requests_cache.backends.mongodb.bodies import TTL_GRACE_SECONDS
from requests_cache.exceptions import BackendUnavailableError
from requests_cache.testing.origin import Origin, redirect
from requests_cache.testing.rules.bounds import body
from requests_cache.testing.values import FUTURE, PAST, make_response

pytest_plugins = ['support.mongodb_fixtures']

# From 3.12 on, Python warns of any fork in a process with threads; the driver has some
MAY_FORK = pytest.mark.filterwarnings('ignore:.*use of fork:DeprecationWarning')
PLACES = {MongoCache: ('responses', '', '_'), GridFSCache: ('fs.files', 'fs.chunks', 'metadata.')}
BOUND_BYTES = 400_000


@pytest.fixture(params=PLACES)
def factory(request: Any) -> Any:
    return request.param


@pytest.fixture
def make(factory: Any, make_mongodb: Any) -> Callable[..., Any]:
    return lambda **kwargs: make_mongodb(factory, **kwargs).responses


@pytest.fixture
def documents(factory: Any, mongodb_database: Any) -> Any:
    return mongodb_database[PLACES[factory][0]]


class Commands(CommandListener):
    """Names of the commands that are sent, and what is called before one is sent, and after it was answered"""

    def __init__(self, on_event: Callable[[], object] = lambda: None) -> None:
        self.sent: list[str] = []
        self._on_event = on_event

    def started(self, event: Any) -> None:
        self._on_event()
        self.sent.append(event.command_name)

    def succeeded(self, event: Any) -> None:
        self._on_event()

    failed = succeeded

    def names(self, function: Callable[[], object]) -> list[str]:
        self.sent.clear()
        function()
        return self.sent


@contextmanager
def watched(factory: Any, name: str, server: MongoServer, commands: Commands, **kwargs: Any) -> Iterator[Any]:
    with MongoClient(server.host, server.port, event_listeners=[commands]) as client:
        storage = factory(name, connection=client, **kwargs).responses
        yield storage
        storage.close()


def refuse(*args: Any, **kwargs: Any) -> Any:
    raise OperationFailure('not authorized', 13)


def accounted(storage: Any) -> tuple[int, int]:
    found = storage._upkeep._totals.collection.find_one()
    return found['bytes'], found['entries']


def settled(storage: Any) -> tuple[int, int]:
    """What is accounted for when nobody holds room any more"""
    storage.close()
    return accounted(storage)


def counted(storage: Any) -> tuple[int, int]:
    return tuple(storage._upkeep._entries.count())


class TestWhatIsThere:
    def test_nothing_without_bounds(self, make: Callable[..., Any], documents: Any, mongodb_database: Any) -> None:
        for keyword in ({}, {'delete_expired_after': None}):
            make(**keyword)['key'] = make_response(1)
        assert not any('totals' in name for name in mongodb_database.list_collection_names())
        assert not any('used' in name or 'expires' in name for name in documents.index_information())
        document = documents.find_one()
        assert not {'_size', '_used'} & document.keys()
        assert not {'size', 'used'} & document.get('metadata', {}).keys()

    def test_redirects_are_not_bounded(self, factory: Any, make_mongodb: Any) -> None:
        cache = make_mongodb(factory, max_entries=2, delete_expired_after=60)
        cache.redirects.update({f'{number}': 'target' for number in range(5)})
        assert cache.redirects.bounds is cache.redirects.delete_expired_after is None
        assert len(list(cache.redirects)) == 5

    @pytest.mark.parametrize('length', [0, 500, 20_000])
    def test_sizes_are_those_of_the_data(
        self, length: int, factory: Any, make: Callable[..., Any], mongodb_database: Any
    ) -> None:
        storage = make(max_cache_bytes='100 MB')
        for number in range(40):
            storage[f'{number:064}'] = body(number, length)
        n_bytes, n_entries = settled(storage)
        assert n_entries == 40
        stats = [mongodb_database.command('collStats', name) for name in PLACES[factory][:2] if name]
        size = sum(found['size'] + found['totalIndexSize'] for found in stats)
        assert size <= n_bytes <= size + 40 * 400

    def test_sizes_of_large_bodies(self, make: Callable[..., Any]) -> None:
        storage = make(max_cache_bytes='100 MB', large_body_bytes=1_000)
        storage.pieces.piece_bytes = 10_000
        storage['key'] = body(1, 95_000)
        pieces = sum(len(bson.encode(piece)) for piece in storage.pieces.collection.find())
        n_bytes, _ = settled(storage)
        assert pieces + 500 <= n_bytes <= pieces + 5_000
        del storage['key']
        assert settled(storage) == (0, 0)

    def test_a_user_who_may_not_make_indexes(
        self, make: Callable[..., Any], documents: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        storage = make(max_entries=3)
        monkeypatch.setattr(storage._upkeep._entries, 'create_index', refuse)
        for number in range(6):
            storage[f'{number}'] = make_response(number)
        assert set(storage) == set('345')
        assert caplog.text.count('Could not create an index') == 1


class TestOthers:
    @pytest.mark.parametrize('is_much', [False, True], ids=['at once', 'some at a time'])
    def test_what_was_written_without_bounds(
        self, is_much: bool, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was received first goes first, among what has got a size"""
        if is_much:
            monkeypatch.setattr(entries, 'FOUND_AT_FIRST', 4)
            monkeypatch.setattr(entries, 'FOUND_LATER', 4)
        for number in range(10):
            make()[f'{number}'] = make_response(number, created_at=PAST - timedelta(days=number))
        storage = make(max_entries=6)
        for number in range(4):
            storage[f'new-{number}'] = make_response(number)
        new = {f'new-{number}' for number in range(4)}
        assert new < set(storage)
        assert len(list(storage)) == 6
        assert is_much or set(storage) == {'0', '1', *new}
        assert settled(storage) == counted(storage)

    def test_large_bodies_that_were_written_without_bounds(self, make: Callable[..., Any]) -> None:
        plain = make(large_body_bytes=1_000)
        plain.pieces.piece_bytes = 10_000
        for number in range(4):
            plain[f'{number}'] = body(number, 95_000)
        storage = make(max_cache_bytes=250_000, large_body_bytes=1_000)
        storage.pieces.piece_bytes = 10_000
        storage['new'] = make_response(1)
        assert len(list(storage)) == 3
        assert list(storage.pieces.unused()) == []

    def test_documents_of_earlier_versions(
        self, factory: Any, make: Callable[..., Any], documents: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They replace documents by others without a size, and delete what they like"""
        storage = make(max_entries=5)
        for key in 'abcde':
            storage[key] = make_response(1)
        for key in 'ab':
            if factory is MongoCache:
                documents.replace_one({'_id': key}, {'status_code': 200, 'url': 'http://example.com'})
            else:
                documents.update_one({'_id': key}, {'$unset': {'metadata': ''}})
        documents.delete_many({'_id': {'$in': ['c', 'd']}})
        storage.close()
        again = make(max_entries=5)
        monkeypatch.setattr(totals, 'COUNT_SECONDS', -1.0)
        for key in 'vwxyz':
            again[key] = make_response(1)
            assert len(list(again)) <= 5
        assert set(again) == set('vwxyz')
        assert settled(again) == counted(again)

    def test_what_the_server_deletes_makes_room(
        self, make: Callable[..., Any], documents: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        storage = make(max_entries=6)
        for key in 'abcdef':
            storage[key] = make_response(1)
        documents.delete_many({'_id': {'$in': ['c', 'd', 'e']}})
        monkeypatch.setattr(totals, 'COUNT_SECONDS', -1.0)
        for key in 'xyz':
            storage[key] = make_response(1)
        assert set(storage) == set('abfxyz')

    def test_all_is_gone(self, make: Callable[..., Any], documents: Any) -> None:
        """What is accounted for is counted anew if there is nothing that could make room"""
        storage = make(max_entries=3)
        for key in 'abc':
            storage[key] = make_response(1)
        documents.delete_many({})
        storage['d'] = make_response(1)
        assert set(storage) == {'d'}
        assert settled(storage) == counted(storage)

    def test_what_others_use_stays(self, factory: Any, make: Callable[..., Any]) -> None:
        """Also if it was known to be the oldest"""
        storage, reader = make(max_entries=3), make(max_entries=3)
        for key in 'abc':
            storage[key] = make_response(1)
        storage['d'] = make_response(1)  # instead of a
        assert reader['b'] is not None
        reader.close()
        storage['e'] = make_response(1)
        if factory is MongoCache:
            assert set(storage) == {'b', 'd', 'e'}
        storage['f'] = make_response(1)
        assert len(list(storage)) == 3

    def test_uses_are_told_at_times(self, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr('requests_cache.backends.eviction.FLUSH_SECONDS', 0.0)
        reader, writer = make(max_entries=3), make(max_entries=3)
        for key in 'abc':
            writer[key] = make_response(1)
        assert reader['a'] is not None
        writer['d'] = make_response(1)
        assert set(writer) == {'a', 'c', 'd'}

    def test_a_bound_that_is_lowered(self, make: Callable[..., Any]) -> None:
        wide = make(max_cache_bytes='10 MB')
        for number in range(60):
            wide[f'{number}'] = body(number)
        narrow = make(max_cache_bytes=BOUND_BYTES)
        for number in range(3):
            narrow[f'new-{number}'] = make_response(number)
            assert counted(narrow)[0] <= accounted(narrow)[0] <= BOUND_BYTES
        assert {'59', 'new-0', 'new-2'} <= set(narrow)
        assert '10' not in narrow

    def test_deleting(self, make: Callable[..., Any], factory: Any, make_mongodb: Any) -> None:
        cache = make_mongodb(factory, max_entries=50)
        storage = cache.responses
        for number in range(12):
            storage[f'{number}'] = make_response(number, expires=PAST if number % 2 else FUTURE)
        del storage['0']
        storage.bulk_delete(['2', 'x', '1', '1'])
        assert cache.delete(expired=True) == 5
        assert settled(storage) == counted(storage)
        assert accounted(storage)[1] == len(list(storage)) == 4
        storage.clear()
        assert settled(storage) == (0, 0)

    def test_a_copy_for_another_process(self, make: Callable[..., Any]) -> None:
        storage = make(max_entries=3)
        storage['a'] = make_response(1)
        copy = pickle.loads(pickle.dumps(storage))
        for key in 'bcde':
            copy[key] = make_response(1)
        assert set(copy) == {'c', 'd', 'e'}
        copy.close()


def write_many(factory: Any, name: str, port: int, worker: str) -> None:
    """Write, write over what others have written, and delete it, while what there is is counted all the time"""
    totals.COUNT_SECONDS = 0.0
    storage = factory(name, port=port, max_cache_bytes=BOUND_BYTES).responses
    # The server of the tests may tell two who replace a file at the same moment that they have replaced the same one
    common = 'common' if factory is MongoCache else worker
    for number in range(40):
        storage[f'{worker}-{number}'] = body(number, 20_000)
        storage[f'{common}-{number % 5}'] = body(number, 2_000 * (number % 9))
        storage.bulk_delete([f'{common}-{number % 7}', 'nothing'])
        assert counted(storage)[0] <= BOUND_BYTES
        assert sum(response.size for _, response in storage.scan() if response is not None) <= BOUND_BYTES
    storage.close()


class TestProcesses:
    def test_many(self, factory: Any, make: Callable[..., Any], mongodb_name: str, mongodb_server: MongoServer) -> None:
        with ProcessPoolExecutor(3, get_context('spawn')) as pool:
            for future in [
                pool.submit(write_many, factory, mongodb_name, mongodb_server.port, worker) for worker in 'abc'
            ]:
                future.result()
        storage = make(max_cache_bytes=BOUND_BYTES)
        for number in range(30):  # in place of what the last one to end has deleted
            storage[f'after-{number}'] = body(number, 20_000)
        assert len(list(storage)) >= 15
        assert counted(storage) <= accounted(storage)

    @MAY_FORK
    def test_a_forked_child_holds_no_room(self, make: Callable[..., Any]) -> None:
        storage = make(max_entries=200)  # so that more than one is held
        storage['first'] = make_response(1)
        pid = os.fork()
        if not pid:
            for number in range(150):
                storage[f'child-{number}'] = make_response(number)
            storage.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        for number in range(100):
            storage[f'parent-{number}'] = make_response(number)
        assert len(list(storage)) <= 200
        assert settled(storage) == counted(storage)

    @MAY_FORK
    def test_writers_that_are_killed(
        self,
        factory: Any,
        make: Callable[..., Any],
        mongodb_name: str,
        mongodb_server: MongoServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Before any of their commands, or after it"""
        monkeypatch.setattr(totals, 'COUNT_SECONDS', -1.0)
        options = {'max_entries': 4, 'max_cache_bytes': 100_000, 'large_body_bytes': 5_000}

        def write(events: int) -> bool:
            """Write in a child that is killed after so many events; returns whether it came to its end before"""
            pid = os.fork()
            if not pid:
                left = iter(range(events))
                commands = Commands(lambda: next(left, None) is None and os._exit(9))
                with watched(factory, mongodb_name, mongodb_server, commands, **options) as storage:
                    storage.pieces.piece_bytes = 10_000
                    storage.get('kept')
                    storage['kept'] = make_response(2)
                    storage['new'] = body(3, 60_000)
                    storage['last'] = make_response(4)
                os._exit(0)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

        events, storage = 0, make(**options)
        while not write(events):
            events += 3
            storage['kept'] = make_response(1)
            for key in 'abcd':
                storage[f'{key}-{events}'] = make_response(1)
                assert len(list(storage)) <= 4
                assert f'{key}-{events}' in storage
            n_bytes, n_entries = counted(storage)
            assert (n_bytes, n_entries) <= accounted(storage)
            assert n_entries == 4
            storage.remove_leftovers()
            assert list(storage.pieces.unused()) == []
        assert events > 20


class TestCosts:
    @pytest.fixture
    def pair(
        self, factory: Any, mongodb_name: str, mongodb_client: Any, mongodb_server: MongoServer
    ) -> Iterator[tuple[Any, Any, Commands]]:
        """A storage without bounds, one with them, and what both send"""
        commands = Commands()
        with (
            watched(factory, mongodb_name, mongodb_server, commands) as plain,
            watched(factory, f'{mongodb_name}-2', mongodb_server, commands, max_cache_bytes=5_000_000) as bounded,
        ):
            yield plain, bounded, commands
        mongodb_client.drop_database(f'{mongodb_name}-2')

    def test_writes(self, pair: tuple[Any, Any, Commands], factory: Any) -> None:
        """Not much more than one command for each"""
        plain, bounded, commands = pair
        per_write = []
        for storage in (plain, bounded):
            for number in range(600):
                if number == 500:
                    commands.sent.clear()
                storage[f'{number:064}'] = body(number, 10_000)
            per_write.append(len(commands.sent) / 100)
        assert len(list(bounded)) < 520
        assert per_write[1] <= 1.3 * per_write[0]

    def test_hits(self, pair: tuple[Any, Any, Commands]) -> None:
        plain, bounded, commands = pair
        for storage in (plain, bounded):
            storage['key'] = make_response(1)
        assert commands.names(lambda: bounded['key']) == commands.names(lambda: plain['key'])

    def test_what_was_just_read_is_replaced_at_once(self, pair: tuple[Any, Any, Commands]) -> None:
        plain, bounded, commands = pair
        for storage in (plain, bounded):
            storage['key'] = make_response(1)
            assert storage['key'] is not None

        def write_both() -> list[list[str]]:
            return [list(commands.names(lambda s=s: s.__setitem__('key', make_response(2)))) for s in (plain, bounded)]

        first, second = write_both()
        assert len(first) == len(second)


class TestExpiring:
    def test_the_server_deletes(self, mongodb_database: Any, make_mongodb: Any) -> None:
        storage = make_mongodb(MongoCache, delete_expired_after=timedelta(hours=1), large_body_bytes=1_000).responses
        storage['key'] = make_response(1, expires=FUTURE)
        assert mongodb_database.responses.index_information()['expires_ttl_idx']['expireAfterSeconds'] == 3600
        storage['large'] = body(1, expires=FUTURE)
        index = mongodb_database.responses_bodies.index_information()['expires_ttl_idx']
        assert index['expireAfterSeconds'] == 3600 + TTL_GRACE_SECONDS
        assert index['key'] == [('expires', 1)]
        found = mongodb_database.responses_bodies.find()
        assert {piece['expires'] for piece in found} == {FUTURE.replace(tzinfo=None)}
        storage['large'] = storage['large'].__class__.from_response(storage['large'], expires=None)
        assert not any('expires' in piece for piece in mongodb_database.responses_bodies.find())
        assert not any('expires' in document for document in mongodb_database.responses.find({'_id': 'large'}))

    def test_bodies_of_a_bounded_cache_do_not_stay_longer(self, mongodb_database: Any, make_mongodb: Any) -> None:
        make_mongodb(MongoCache, delete_expired_after=1.5, max_entries=5).responses['key'] = make_response(1)
        index = mongodb_database.responses_bodies.index_information()['expires_ttl_idx']
        assert index['expireAfterSeconds'] == 2

    @pytest.mark.parametrize('refuses', [False, True], ids=['changed', 'made anew'])
    def test_another_time(
        self, refuses: bool, mongodb_database: Any, make_mongodb: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = make_mongodb(MongoCache, delete_expired_after=60)
        cache.responses['key'] = make_response(1)
        cache.set_ttl(100)
        with monkeypatch.context() as patch:
            if refuses:
                patch.setattr('pymongo.database.Database.command', refuse)
            make_mongodb(MongoCache, delete_expired_after=30).responses['key'] = make_response(1)
        make_mongodb(MongoCache).responses['key'] = make_response(1)
        found = mongodb_database.responses.index_information()
        assert found['expires_ttl_idx']['expireAfterSeconds'] == 30
        assert cache.get_ttl() == 100
        cache.set_ttl(None, overwrite=True)
        assert 'expires_ttl_idx' in mongodb_database.responses.index_information()

    def test_many_at_once(self, mongodb_database: Any, make_mongodb: Any) -> None:
        storage = make_mongodb(MongoCache, delete_expired_after=60).responses
        storage.update({'a': make_response(1), 'b': make_response(2)})
        assert 'expires_ttl_idx' in mongodb_database.responses.index_information()

    def test_files_have_no_such_index(self, mongodb_database: Any, make_mongodb: Any) -> None:
        """The server would leave their chunks behind"""
        storage = make_mongodb(GridFSCache, delete_expired_after=60).responses
        storage['key'] = make_response(1, expires=FUTURE)
        assert not any('expireAfterSeconds' in i for i in mongodb_database['fs.files'].index_information().values())

    def test_redirects_to_nothing_go(
        self, factory: Any, make_mongodb: Any, origin: Origin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mongodb_storage, 'WRITES_BETWEEN_CLEANING', 4)
        with CachedSession(backend=make_mongodb(factory, max_entries=3)) as session:
            for number in range(20):
                origin.add(f'/from-{number}', redirect(f'/to-{number}'))
                origin.add(f'/to-{number}', body=b'x')
                session.get(origin.url(f'/from-{number}'))
            assert len(session.cache.responses) == 3
            assert len(session.cache.redirects) < 12
            assert session.get(origin.url('/from-19')).from_cache


def test_many_processes_hold_little_room(make_mongodb: Any) -> None:
    """Each of them less than the one percent that a few may hold"""
    for _ in range(30):
        make_mongodb(MongoCache, max_entries=1_000).responses['key'] = make_response(1)
    storage = make_mongodb(MongoCache, max_entries=1_000).responses
    storage['key'] = make_response(1)
    assert accounted(storage)[1] < 200


def test_what_is_given_back_without_an_answer(make_mongodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is accounted for is never less than what is there, and what may still be written"""
    storage = make_mongodb(MongoCache, max_entries=5).responses
    for key in 'abcde':
        storage[key] = make_response(1)
    carry_out = Collection.find_one_and_update

    def lose_the_answer(collection: Any, *args: Any, **kwargs: Any) -> Any:
        carry_out(collection, *args, **kwargs)
        raise AutoReconnect

    with monkeypatch.context() as patch:
        patch.setattr(Collection, 'find_one_and_update', lose_the_answer)
        with pytest.raises(BackendUnavailableError):
            storage.bulk_delete(['a', 'b', 'c'])
    for key in 'fghijk':
        storage[key] = make_response(1)
        assert counted(storage) <= accounted(storage)
    assert len(list(storage)) == 5


def test_room_is_asked_for_again(make_mongodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process held that others took to be gone is not accounted for any more"""
    idle = make_mongodb(MongoCache, max_entries=1_000).responses
    idle['a'] = make_response(1)
    held = idle._upkeep._totals._room.held
    assert held.n_entries > 5
    monkeypatch.setattr(totals, 'GONE_SECONDS', -1.0)
    other = make_mongodb(MongoCache, max_entries=1_000).responses
    other.clear()
    other['b'] = make_response(1)
    monkeypatch.undo()
    idle._upkeep._totals._room.seen_at -= room.CURRENT_SECONDS
    assert not idle._upkeep._totals.spend(held)
    idle['c'] = make_response(1)
    idle.close()
    assert settled(other) == counted(other) == (counted(other)[0], 2)


def test_processes_of_this_machine_that_are_gone() -> None:
    mine = bodies.new_body_id()
    assert not bodies.is_gone(mine)
    started_at, host, _, number = mine.split('-')
    assert bodies.is_gone(f'{started_at}-{host}-{2**22 + 1:x}-{number}')
    assert not bodies.is_gone(f'{started_at}-00000000-{2**22 + 1:x}-{number}')
    assert not bodies.is_gone('something else')
