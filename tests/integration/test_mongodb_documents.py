"""What is in the collections of a cache, and which commands it takes"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import bson
import pymongo
import pytest
from bson.binary import Binary
from bson.int64 import Int64
from requests.structures import CaseInsensitiveDict
from support.mongodb_server import MongoServer

from requests_cache import dict_serializer
from requests_cache.backends.gridfs import GridFSCache
from requests_cache.backends.mongodb import MongoCache, MongoDict
from requests_cache.exceptions import BackendError
from requests_cache.testing.values import FUTURE, PAST, make_response

pytest_plugins = ['support.mongodb_fixtures']

LARGE = b'0123456789abcdef' * (1 << 16)
JSON_TYPE = CaseInsensitiveDict({'Content-Type': 'application/json'})


class TestDocuments:
    def test_a_response_is_a_document(self, mongodb_cache: MongoCache, mongodb_database: Any) -> None:
        body = b'{"name": "caf\xc3\xa9",  "n": 1.10}'
        mongodb_cache.save_response(make_response(1, content=body, headers=JSON_TYPE), 'key', FUTURE)
        mongodb_cache.redirects['from'] = 'key'
        document = mongodb_database.responses.find_one()
        assert document['_id'] == 'key'
        assert document['_content'] == body
        assert document['_decoded_content'] == {'name': 'café', 'n': 1.1}
        assert document['created_at'] == make_response(1).created_at.replace(tzinfo=None)
        assert document['expires'] == FUTURE.replace(tzinfo=None)
        assert document['status_code'] == 200
        assert document['headers'] == {'Content-Type': 'application/json'}
        assert document['request']['method'] == 'GET'
        assert list(mongodb_database.redirects.find()) == [{'_id': 'from', 'data': 'key'}]

    def test_bytes_of_another_serializer_have_dates_beside_them(self, make_mongodb: Any, mongodb_database: Any) -> None:
        cache = make_mongodb(MongoCache, serializer='pickle')
        cache.save_response(make_response(1), 'key', FUTURE)
        cache.save_response(make_response(1), 'never')
        document = mongodb_database.responses.find_one({'_id': 'key'})
        assert pickle.loads(document['data'])['status_code'] == 200
        assert document['created_at'] == make_response(1).created_at.replace(tzinfo=None)
        assert document['expires'] == FUTURE.replace(tzinfo=None)
        assert 'expires' not in mongodb_database.responses.find_one({'_id': 'never'})

    @pytest.mark.parametrize(
        'content',
        [
            b'{"n": 123456789012345678901234567890}',
            b'{"a\\u0000b": 1}',
            b'"\\ud800"',
            b'"' + b'x' * (9 << 20) + b'"',
        ],
        ids=['large integer', 'NUL in a key', 'lone surrogate', 'too large'],
    )
    def test_a_readable_copy_that_does_not_fit_is_left_out(
        self, content: bytes, mongodb_cache: MongoCache, mongodb_database: Any
    ) -> None:
        response = make_response(1, content=content, headers=JSON_TYPE)
        mongodb_cache.responses['key'] = response
        mongodb_cache.responses.update({'other': response})
        for key in ('key', 'other'):
            assert mongodb_cache.responses[key].content == content
            assert '_decoded_content' not in mongodb_database.responses.find_one({'_id': key})

    @pytest.mark.parametrize('depth', [90, 400, 2000, 100_000])
    def test_deep_documents(self, depth: int, mongodb_cache: MongoCache) -> None:
        content = b'[' * depth + b']' * depth
        mongodb_cache.responses['key'] = make_response(1, content=content, headers=JSON_TYPE)
        assert mongodb_cache.responses['key'].content == content

    def test_names_that_mean_something_to_mongodb(self, mongodb_cache: MongoCache) -> None:
        content = b'{"$set": {"a.b": 1}, "": {"$where": 2}, "_id": 3, "data": 4}'
        headers = CaseInsensitiveDict({**JSON_TYPE, '$X.Y': '1', '.': '2'})
        mongodb_cache.responses['key'] = make_response(1, content=content, headers=headers)
        assert mongodb_cache.responses['key'].content == content
        assert mongodb_cache.responses['key'].headers == headers

    def test_what_is_too_large_is_refused(self, make_mongodb: Any) -> None:
        """Bodies that may be as large as they want, and stay with their entry"""
        mongodb_cache = make_mongodb(MongoCache, large_body_bytes=1 << 30)
        mongodb_cache.responses['key'] = make_response(1)
        large = make_response(2, content=LARGE * 17)
        with pytest.raises(BackendError, match=r'16 MB.*gridfs') as caught:
            mongodb_cache.responses['key'] = large
        assert isinstance(caught.value.__cause__, pymongo.errors.DocumentTooLarge)
        with pytest.raises(BackendError, match=r'16 MB.*gridfs'):
            mongodb_cache.responses.update({'other': make_response(1), 'key': large})
        assert mongodb_cache.responses['key'].content == make_response(1).content

    def test_documents_of_others(self, mongodb_cache: MongoCache, mongodb_database: Any) -> None:
        mongodb_cache.responses['key'] = make_response(1)
        mongodb_database.responses.insert_one({'theirs': True})
        mongodb_database.others.insert_one({'theirs': True})
        assert list(mongodb_cache.responses) == ['key']
        mongodb_cache.clear()
        assert [d['theirs'] for d in mongodb_database.responses.find()] == [True]
        assert mongodb_database.others.count_documents({}) == 1

    @pytest.mark.parametrize(
        'foreign',
        [
            {'data': 5},
            {'data': 'text'},
            {'data': b'\x80\x05N.'},
            {'data': {'$ne': 1}},
            {'data': None},
            {'some': 'thing'},
            {},
            {'status_code': [1], 'created_at': 'yesterday'},
            {'created_at': Int64(1), 'status_code': 200, 'headers': 5},
            {'_content': 5, 'status_code': 200},
        ],
        ids=repr,
    )
    def test_foreign_values_are_no_responses(
        self, foreign: dict[str, Any], mongodb_cache: MongoCache, mongodb_database: Any
    ) -> None:
        collection = mongodb_database.responses
        collection.insert_one({'_id': 'key', **foreign})
        mongodb_database.redirects.insert_one({'_id': 'key', **foreign})
        mongodb_cache.responses['other'] = make_response(1)
        assert mongodb_cache.get_response('key') is None
        assert [r.cache_key for r in mongodb_cache.filter(valid=False, expired=False, invalid=True)] == ['key']
        assert mongodb_cache.delete(invalid=True) == 1
        assert list(mongodb_cache.responses) == ['other']

    def test_a_time_beyond_those_of_python(self, mongodb_cache: MongoCache) -> None:
        """Not by way of the server, which is in Python, too"""
        raw = bson.encode({'status_code': 200, 'created_at': datetime(2026, 1, 1)})
        raw = raw[:-9] + (2**62).to_bytes(8, 'little') + b'\x00'
        document = bson.decode(raw, mongodb_cache.responses.collection.codec_options)
        assert [v for _, v in mongodb_cache.responses._values_of(iter([{**document, '_id': 'key'}]))] == [None]

    def test_times_are_aware(self, mongodb_cache: MongoCache) -> None:
        mongodb_cache.responses['key'] = make_response(
            1, created_at=datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=5)))
        )
        response = mongodb_cache.responses['key']
        assert response.created_at == datetime(2019, 12, 31, 19, tzinfo=timezone.utc)
        assert response.created_at.utcoffset() == timedelta(0)
        assert mongodb_cache.delete(older_than=datetime(2019, 12, 31, 20, tzinfo=timezone.utc)) == 1

    def test_keys_that_are_not_unicode(self, make_mongodb: Any, mongodb_database: Any) -> None:
        storage = make_mongodb(MongoDict, mongodb_database.name, 'any', serializer=None)
        storage['\ud800'] = 'text'
        storage[b'bytes'] = 'bytes'
        storage[5] = 'number'
        assert dict(storage.items()) == {'\ud800': 'text', b'bytes': 'bytes', 5: 'number'}
        for query in ({'$ne': 1}, ['\ud800']):
            with pytest.raises(TypeError):
                storage[query]
        assert mongodb_database.any.find_one({'data': 'text'})['_id'] == Binary(
            '\ud800'.encode('utf-8', 'surrogatepass'), 128
        )
        storage.clear()
        assert len(storage) == 0

    def test_values_of_any_kind(self, make_mongodb: Any) -> None:
        storage = make_mongodb(MongoDict, serializer=None)
        values = ['text', 5, None, b'bytes', [1, {'a': 2}], {'a': 1}, {'data': 1}, {'_id': 2, 'x': 3}, {}, '\udc80']
        for value in values:
            storage['key'] = value
            assert storage['key'] == value
        storage.update([('a', 1), ('b', 2), ('a', 3)], c=4)
        assert (storage['a'], storage['b'], storage['c']) == (3, 2, 4)


class TestBatches:
    @pytest.fixture
    def commands(self, mongodb_server: MongoServer) -> Iterator[tuple[Any, list[str]]]:
        """A client, and the commands that it sends"""
        sent: list[str] = []

        class Listener(pymongo.monitoring.CommandListener):
            def started(self, event: Any) -> None:
                sent.append(event.command_name)

            succeeded = failed = lambda self, event: None

        with mongodb_server.client(event_listeners=[Listener()]) as client:
            yield client, sent

    def test_one_command_for_a_lookup_and_one_for_a_save(self, commands: Any, mongodb_name: str) -> None:
        client, sent = commands
        cache = MongoCache(mongodb_name, connection=client)
        cache.save_response(make_response(1), 'key')
        cache.get_response('key')
        assert sent == ['update', 'find']

    ACTIONS = {
        'keys': lambda cache: list(cache.responses),
        'scan': lambda cache: list(cache.responses.scan()),
        'items': lambda cache: list(cache.responses.items()),
        'values': lambda cache: list(cache.responses.values()),
        'some': lambda cache: cache.delete('key 1', 'key 2', 'key 3'),
        'expired': lambda cache: cache.delete(expired=True),
        'bulk': lambda cache: cache.responses.bulk_delete([f'key {i}' for i in range(9)]),
        'clear': lambda cache: cache.clear(),
    }

    @pytest.mark.parametrize('factory', [MongoCache, GridFSCache])
    @pytest.mark.parametrize('action', ACTIONS)
    def test_many_entries_in_few_commands(self, action: str, factory: Any, commands: Any, mongodb_name: str) -> None:
        client, sent = commands
        cache = factory(mongodb_name, connection=client)
        for i in range(20):
            cache.responses[f'key {i}'] = make_response(i)
        cache.redirects.update({f'from {i}': f'key {i}' for i in range(20)})
        sent.clear()
        self.ACTIONS[action](cache)
        assert len(sent) <= 12, sent

    @pytest.mark.parametrize(
        ('factory', 'serializer'),
        [
            (MongoCache, None),
            (MongoCache, 'pickle'),
            (MongoCache, dict_serializer),
            (GridFSCache, None),
            (GridFSCache, 'json'),
        ],
        ids=str,
    )
    def test_expired_entries_are_deleted_where_they_are(self, factory: Any, serializer: Any, make_mongodb: Any) -> None:
        cache = make_mongodb(factory, serializer=serializer)
        for i in range(5):
            cache.save_response(make_response(i), str(i), PAST)
        cache.save_response(make_response(6), 'fresh', FUTURE)
        cache.save_response(make_response(7), 'never')
        exact = datetime(2026, 5, 5, 5, 5, 5, 123000, tzinfo=timezone.utc)
        cache.responses['exact'] = make_response(8, created_at=exact)
        assert cache.delete(expired=True) == 5
        assert sorted(cache.responses) == ['exact', 'fresh', 'never']
        assert cache.delete(older_than=exact) == 2
        assert cache.delete(older_than=exact + timedelta(microseconds=1)) == 1
        assert len(cache.responses) == 0

    def test_an_entry_renewed_meanwhile_is_not_deleted(self, mongodb_cache: MongoCache) -> None:
        mongodb_cache.save_response(make_response(1), 'key', PAST)
        found = mongodb_cache.responses._documents

        def find_and_renew(*args: Any, **kwargs: Any) -> Any:
            documents = list(found(*args, **kwargs))
            mongodb_cache.save_response(make_response(2), 'key', FUTURE)
            return iter(documents)

        mongodb_cache.responses._documents = find_and_renew  # type: ignore[method-assign]
        assert mongodb_cache.delete(expired=True) == 0
        assert mongodb_cache.contains('key')


class TestTtl:
    @pytest.mark.parametrize('ttl', [3600, timedelta(seconds=3599, microseconds=1), 3599.5])
    def test_set_and_read(self, ttl: Any, mongodb_cache: MongoCache, mongodb_database: Any) -> None:
        assert mongodb_cache.get_ttl() is None
        mongodb_cache.set_ttl(ttl)
        assert mongodb_cache.get_ttl() == mongodb_cache.responses.get_ttl() == 3600
        index = mongodb_database.responses.index_information()['ttl_idx']
        assert index['key'] == [('created_at', 1)]
        assert index['expireAfterSeconds'] == 3600

    def test_it_stays_unless_overwritten(self, mongodb_cache: MongoCache, caplog: pytest.LogCaptureFixture) -> None:
        mongodb_cache.set_ttl(60)
        mongodb_cache.set_ttl(90)
        assert mongodb_cache.get_ttl() == 60
        assert 'overwrite=True' in caplog.text
        mongodb_cache.set_ttl(90, overwrite=True)
        assert mongodb_cache.get_ttl() == 90
        mongodb_cache.clear()
        assert mongodb_cache.get_ttl() == 90

    def test_overwriting_nothing(self, mongodb_cache: MongoCache) -> None:
        mongodb_cache.set_ttl(90, overwrite=True)
        assert mongodb_cache.get_ttl() == 90

    @pytest.mark.parametrize('never', [None, 0, -1, timedelta(0)])
    def test_removing(self, never: Any, mongodb_cache: MongoCache) -> None:
        mongodb_cache.set_ttl(never)
        mongodb_cache.set_ttl(never, overwrite=True)
        assert mongodb_cache.get_ttl() is None
        mongodb_cache.set_ttl(60)
        mongodb_cache.set_ttl(never)
        assert mongodb_cache.get_ttl() == 60
        mongodb_cache.set_ttl(never, overwrite=True)
        assert mongodb_cache.get_ttl() is None

    @pytest.mark.parametrize('wrong', [-2, 2**31, timedelta(days=-1), float('nan'), float('inf')])
    def test_values_without_a_meaning(self, wrong: Any, mongodb_cache: MongoCache) -> None:
        mongodb_cache.set_ttl(60)
        with pytest.raises((ValueError, OverflowError)):
            mongodb_cache.set_ttl(wrong, overwrite=True)
        assert mongodb_cache.get_ttl() == 60
