"""Leases in MongoDB: what is in their collection, what the server deletes, round trips, and faults"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pymongo
import pytest
from pymongo.collection import Collection
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandListener
from support.mongodb_server import MongoServer, free_port

from requests_cache import CachedSession
from requests_cache.backends.gridfs import GridFSCache
from requests_cache.backends.mongodb import MongoCache
from requests_cache.backends.mongodb.leases import LEASE_SECONDS
from requests_cache.engine.leasing import Lease, take
from requests_cache.exceptions import BackendError, BackendUnavailableError
from requests_cache.testing.origin import Origin

pytest_plugins = ['support.mongodb_fixtures']

PLACES = {MongoCache: 'responses_leases', GridFSCache: 'fs.leases'}


@pytest.fixture(params=PLACES)
def factory(request: Any) -> Any:
    return request.param


@pytest.fixture
def cache(factory: Any, make_mongodb: Any) -> Any:
    return make_mongodb(factory)


@pytest.fixture
def documents(factory: Any, mongodb_database: Any) -> Any:
    return mongodb_database[PLACES[factory]]


class Commands(CommandListener):
    def __init__(self) -> None:
        self.sent: list[Any] = []

    def started(self, event: Any) -> None:
        self.sent.append(event.command)

    def succeeded(self, event: Any) -> None:
        pass

    failed = succeeded

    def names(self, function: Callable[[], object]) -> list[str]:
        self.sent.clear()
        function()
        return [next(iter(command)) for command in self.sent]


class TestDocuments:
    def test_one_for_each_lease(self, cache: Any, documents: Any) -> None:
        old = None
        for new in ('held:1:0', 'held:1:1', 'stored:1'):
            assert cache.leases.swap('key', old, new)
            [document] = documents.find()
            assert document.keys() == {'_id', 'value', 'written_at'}
            assert (document['_id'], document['value']) == ('key', new)
            old = new
        assert cache.leases.swap('key', old, None)
        assert documents.count_documents({}) == 0

    def test_there_is_nothing_before_the_first(self, cache: Any, documents: Any, mongodb_database: Any) -> None:
        assert cache.leases.read('key') is None
        assert cache.leases.swap('key', None, None)
        assert mongodb_database.list_collection_names() == []
        assert not cache.leases.swap('key', 'held:1:0', 'held:1:1')
        assert not cache.leases.swap('key', 'held:1:0', None)
        assert documents.count_documents({}) == 0

    def test_the_server_deletes_what_nobody_writes(self, cache: Any, documents: Any) -> None:
        assert cache.leases.swap('key', None, 'held:1:0')
        indexes = documents.index_information().values()
        assert [(i['key'], i['expireAfterSeconds']) for i in indexes if 'expireAfterSeconds' in i] == [
            ([('written_at', 1)], LEASE_SECONDS)
        ]

    def test_the_time_is_that_of_the_server(self, cache: Any, documents: Any) -> None:
        """When it is taken, and anew with each change"""
        long_ago = datetime(2020, 1, 1, tzinfo=timezone.utc)
        old = None
        for new in ('held:1:0', 'held:1:1'):
            assert cache.leases.swap('key', old, new)
            times = {d['written_at'].replace(tzinfo=timezone.utc) for d in documents.find()}
            assert all(abs(datetime.now(timezone.utc) - time) < timedelta(minutes=5) for time in times)
            documents.update_many({}, {'$set': {'written_at': long_ago}})
            old = new

    def test_a_change_that_fails_does_not_prolong_it(self, cache: Any, documents: Any) -> None:
        assert cache.leases.swap('key', None, 'held:1:0')
        before = documents.find_one()
        assert not cache.leases.swap('key', None, 'held:2:0')
        assert not cache.leases.swap('key', 'held:2:0', 'held:2:1')
        assert documents.find_one() == before

    def test_they_stay_when_entries_are_deleted(self, cache: Any) -> None:
        assert cache.leases.swap('key', None, 'held:1:0')
        cache.delete(expired=True, invalid=True)
        cache.clear()
        assert cache.leases.read('key') == 'held:1:0'

    @pytest.mark.parametrize('document', [{}, {'value': None}, {'value': 5}])
    def test_documents_of_others(self, document: dict[str, Any], cache: Any, documents: Any) -> None:
        documents.insert_one({'_id': 'key', **document})
        assert cache.leases.read('key') == (str(document['value']) if document else None)
        assert cache.leases.swap('key', None, 'held:1:0') == (not document)

    def test_those_of_a_cache_that_was_closed(self, cache: Any, documents: Any) -> None:
        """No client is made again for a lease that is over; the server deletes it"""
        assert cache.leases.swap('key', None, 'stored:1')
        cache.close()
        assert not cache.leases.swap('key', 'stored:1', None)
        assert cache.responses._mongo.known_client is None
        assert documents.count_documents({'written_at': {'$type': 'date'}}) == 1
        assert cache.leases.read('key') == 'stored:1'
        assert cache.leases.swap('key', 'stored:1', None)

    def test_a_copy_of_the_cache(self, cache: Any) -> None:
        assert cache.leases.swap('key', None, 'held:1:0')
        copy = pickle.loads(pickle.dumps(cache))
        assert copy.leases.swap('key', 'held:1:0', None)
        copy.close()


class TestRoundTrips:
    def test_commands(self, factory: Any, mongodb_server: MongoServer, mongodb_name: str) -> None:
        commands = Commands()
        with mongodb_server.client(event_listeners=[commands]) as client:
            leases = factory(mongodb_name, connection=client).leases
            first = commands.names(lambda: leases.swap('other', None, 'held:1:0'))
            assert first == ['createIndexes', 'update']
            assert commands.names(lambda: leases.swap('key', None, 'held:1:0')) == ['update']
            assert commands.names(lambda: leases.read('key')) == ['find']
            assert commands.names(lambda: leases.swap('key', 'held:1:0', 'held:1:1')) == ['update']
            assert commands.names(lambda: leases.swap('key', 'held:1:1', None)) == ['delete']

    def test_they_are_read_where_they_are_written(
        self, factory: Any, mongodb_server: MongoServer, mongodb_name: str
    ) -> None:
        with mongodb_server.client(readPreference='secondaryPreferred') as client:
            cache = factory(mongodb_name, connection=client)
            assert cache.leases.collection.read_preference == pymongo.ReadPreference.PRIMARY

    def test_no_write_is_sent_without_waiting_for_the_reply(
        self, factory: Any, mongodb_server: MongoServer, mongodb_name: str
    ) -> None:
        with mongodb_server.client(w=0) as client:
            leases = factory(mongodb_name, connection=client).leases
            assert leases.swap('key', None, 'held:1:0')
            assert not leases.swap('key', None, 'held:2:0')
            assert leases.swap('key', 'held:1:0', None)


class TestFaults:
    @pytest.mark.parametrize('seconds', [None, 5], ids=['not permitted', 'there is another one'])
    def test_an_index_that_is_refused(
        self, seconds: int | None, cache: Any, documents: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Leases go on, and it is not asked for again"""
        attempts = []

        def refuse(*args: Any, **kwargs: Any) -> None:
            attempts.append(args)
            raise OperationFailure('not authorized', 13 if seconds is None else 85)

        monkeypatch.setattr(Collection, 'create_index', refuse)
        assert cache.leases.swap('key', None, 'held:1:0')
        assert cache.leases.swap('other', None, 'held:1:0')
        assert len(attempts) == 1
        assert documents.count_documents({'written_at': {'$type': 'date'}}) == 2

    def test_a_server_that_is_away(self, factory: Any) -> None:
        cache = factory('test', port=free_port(), serverSelectionTimeoutMS=1)
        leases = cache.leases
        for action in (lambda: leases.read('key'), *(
            lambda old=old, new=new: leases.swap('key', old, new) for old, new in ((None, 'x'), ('x', 'y'), ('x', None))
        )):  # fmt: skip
            with pytest.raises(BackendUnavailableError):
                action()
        cache.close()

    @pytest.mark.parametrize('operation', ['update_one', 'find_one'])
    def test_requests_go_on(
        self,
        operation: str,
        factory: Any,
        cache: Any,
        new_session: Callable[..., CachedSession],
        origin: Origin,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """As for a user that may not use the collection"""
        origin.add('/page', body=b'x')
        real = getattr(Collection, operation)

        def refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self.name == PLACES[factory]:
                raise OperationFailure('not authorized', 13)
            return real(self, *args, **kwargs)

        session = new_session(backend=cache, single_flight='shared')
        with monkeypatch.context() as patch:
            patch.setattr(Collection, operation, refuse)
            with pytest.raises(BackendError):
                session.cache.leases.read('key') if operation == 'find_one' else take(session.cache.leases, 'key')
            assert session.get(origin.url('/page')).content == b'x'
            assert session.get(origin.url('/page')).from_cache

    def test_a_reply_that_is_lost(self, cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the driver has tried again is ours"""
        send = Collection.update_one

        def send_twice(*args: Any, **kwargs: Any) -> Any:
            send(*args, **kwargs)
            return send(*args, **kwargs)

        monkeypatch.setattr(Collection, 'update_one', send_twice)
        lease = take(cache.leases, 'key')
        assert isinstance(lease, Lease)
        assert cache.leases.read('key') == lease.value
