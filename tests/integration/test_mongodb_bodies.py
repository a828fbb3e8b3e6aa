"""Large bodies in MongoDB: what is in the collections of a cache, how long it stays, and what it costs"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pymongo
import pytest
from support.mongodb_server import MongoServer

from requests_cache.backends import bodies
from requests_cache.backends.gridfs import GridFSCache
from requests_cache.backends.mongodb import MongoCache
from requests_cache.backends.mongodb.bodies import TTL_GRACE_SECONDS
from requests_cache.exceptions import BackendError
from requests_cache.testing.values import FUTURE, PAST, make_response

pytest_plugins = ['support.mongodb_fixtures']

LARGE = bytes(range(256)) * 20
PLACES = {MongoCache: ('responses', 'responses_bodies'), GridFSCache: ('fs.files', 'fs.bodies')}


@pytest.fixture(params=PLACES)
def factory(request: Any) -> Any:
    return request.param


@pytest.fixture
def cache(factory: Any, make_mongodb: Any) -> Any:
    return small_pieces(make_mongodb(factory, large_body_bytes=1_000))


def small_pieces(cache: Any) -> Any:
    cache.responses.pieces.piece_bytes = 1_024
    return cache


@pytest.fixture
def entries(factory: Any, mongodb_database: Any) -> Any:
    return mongodb_database[PLACES[factory][0]]


@pytest.fixture
def pieces(factory: Any, mongodb_database: Any) -> Any:
    return mongodb_database[PLACES[factory][1]]


def large(number: int = 0, **kwargs: Any) -> Any:
    return make_response(number, content=LARGE[number:], **kwargs)


def _as_of_earlier_versions(entries: Any, cache: Any) -> Any:
    document = entries.find_one({'_id': 'key'})
    if isinstance(cache, MongoCache):
        del document['_revision']
    else:
        del document['metadata']['revision']
    return document


class TestPlaces:
    def test_the_document_of_an_entry(self, mongodb_database: Any, make_mongodb: Any) -> None:
        cache = small_pieces(make_mongodb(MongoCache, large_body_bytes=1_000))
        cache.save_response(large(), 'key', FUTURE)
        document = mongodb_database.responses.find_one()
        assert document['data'] is None
        assert document['record']['status_code'] == 200
        assert document['expires'] == FUTURE.replace(tzinfo=None)
        found = list(mongodb_database.responses_bodies.find())
        assert [(d['key'], d['body'], d['n']) for d in found] == [('key', document['body_id'], n) for n in range(5)]
        assert {d['created_at'] for d in found} == {document['created_at']}
        assert not any('pending' in d for d in found)

    def test_a_file_without_chunks(self, mongodb_database: Any, make_mongodb: Any) -> None:
        cache = small_pieces(make_mongodb(GridFSCache, large_body_bytes=1_000))
        cache.responses['key'] = make_response(1)
        cache.responses['key'] = large()
        assert mongodb_database['fs.files'].find_one()['length'] > 0
        assert mongodb_database['fs.chunks'].count_documents({}) == 0
        assert mongodb_database['fs.bodies'].count_documents({}) == 5
        cache.responses['key'] = make_response(1)
        assert mongodb_database['fs.chunks'].count_documents({}) == 1
        assert mongodb_database['fs.bodies'].count_documents({}) == 0

    def test_more_than_a_document_holds(self, mongodb_cache: MongoCache) -> None:
        content = LARGE * 4_000
        mongodb_cache.responses['key'] = make_response(content=content)
        mongodb_cache.responses.update({'a': make_response(1), 'b': make_response(content=content)})
        assert mongodb_cache.responses['key'].content == mongodb_cache.responses['b'].content == content
        assert mongodb_cache.responses['a'].content == make_response(1).content

    @pytest.mark.parametrize('key', ['\ud800', 'ключ', b'bytes', 5, 'k' * 300])
    def test_keys_of_any_kind(self, key: Any, cache: Any, pieces: Any) -> None:
        cache.responses[key] = large()
        assert cache.responses[key].content == LARGE
        assert list(cache.responses.pieces.unused()) == []
        assert cache.responses.bulk_delete([key]) == 1
        assert pieces.count_documents({}) == 0


class TestReplacing:
    def test_entries_that_others_have_replaced(
        self, cache: Any, entries: Any, pieces: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Versions that know nothing of bodies leave them behind"""
        cache.responses['kept'] = large()
        cache.responses['replaced'] = large(1)
        cache.responses['deleted'] = large(2)
        entries.replace_one({'_id': 'replaced'}, {'data': b'theirs', 'length': 0})
        entries.delete_one({'_id': 'deleted'})
        assert 'deleted' not in cache.responses
        assert {key for key, _ in cache.responses.pieces.unused()} == {'replaced', 'deleted'}
        cache.delete(expired=True)
        assert len(pieces.distinct('body')) == 3  # perhaps somebody writes them at this moment
        monkeypatch.setattr(bodies, 'ABANDONED_AFTER_SECONDS', -10)
        cache.delete(expired=True)
        assert pieces.distinct('key') == ['kept']
        assert cache.responses['kept'].content == LARGE

    @pytest.mark.parametrize('maintain', ['expired', 'invalid', 'clear'])
    def test_cleaning_removes_leftovers(
        self, maintain: str, cache: Any, entries: Any, pieces: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache.responses['deleted'] = large()
        entries.delete_one({'_id': 'deleted'})
        monkeypatch.setattr(bodies, 'ABANDONED_AFTER_SECONDS', -10)
        cache.clear() if maintain == 'clear' else cache.delete(**{maintain: True})
        assert pieces.count_documents({}) == 0

    def test_the_first_large_body_removes_leftovers(
        self, cache: Any, factory: Any, pieces: Any, make_mongodb: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for is_gone in (True, False):
            with monkeypatch.context() as patch:
                if is_gone:
                    patch.setattr(bodies, 'time', lambda: 1_000.0)
                writer = cache.responses.body_writer(f'gone: {is_gone}')
                writer.write(LARGE)
        cache.responses['key'] = large()
        other = small_pieces(make_mongodb(factory, large_body_bytes=1_000))
        other.responses['small'] = make_response(1)
        assert sorted(pieces.distinct('key')) == ['gone: False', 'gone: True', 'key']
        other.responses['another'] = large()
        assert sorted(pieces.distinct('key')) == ['another', 'gone: False', 'key']

    def test_an_entry_renewed_meanwhile_keeps_its_body(self, cache: Any) -> None:
        cache.save_response(large(), 'key', PAST)
        found = cache.responses._documents

        def find_and_renew(*args: Any, **kwargs: Any) -> Any:
            documents = list(found(*args, **kwargs))
            response = cache.responses['key']
            response.expires = FUTURE
            cache.responses['key'] = response
            return iter(documents)

        cache.responses._documents = find_and_renew
        assert cache.delete(expired=True) == 0
        assert cache.responses['key'].content == LARGE

    @pytest.mark.parametrize('is_changed', [False, True])
    def test_writing_over_what_others_wrote(self, is_changed: bool, cache: Any, entries: Any) -> None:
        """Entries of earlier versions have no revision"""
        seen: list[Any] = []

        def is_expected(stored: Any) -> bool:
            if is_changed and not seen:
                entries.replace_one({'_id': 'key'}, changed)
            seen.append(stored)
            return len(seen) == 1

        cache.responses['key'] = make_response(2)
        changed = _as_of_earlier_versions(entries, cache)
        cache.responses['key'] = make_response(1)
        original = _as_of_earlier_versions(entries, cache)
        entries.replace_one({'_id': 'key'}, original)
        assert cache.responses.write_if('key', large(), is_expected) != is_changed
        assert len(seen) == 1 + is_changed
        if is_changed:
            assert entries.find_one({'_id': 'key'}) == changed
        else:
            assert cache.responses['key'].content == LARGE
        assert list(cache.responses.pieces.unused()) == []

    def test_pieces_that_are_gone_make_no_entry(self, cache: Any, pieces: Any) -> None:
        cache.responses['key'] = make_response(1)
        writer = cache.responses.body_writer('key')
        writer.write(LARGE)
        body = writer.commit()
        pieces.delete_one({'n': 2})
        with pytest.raises(BackendError, match='before the entry was written'):
            cache.responses['key'] = make_response(2)._with_body(body)
        assert cache.responses['key'].content == make_response(1).content


class TestTtl:
    @pytest.fixture
    def cache(self, make_mongodb: Any) -> Any:
        return small_pieces(make_mongodb(MongoCache, large_body_bytes=1_000))

    def test_the_server_deletes_bodies_after_their_entries(self, cache: Any, mongodb_database: Any) -> None:
        def seconds() -> Any:
            return mongodb_database.responses_bodies.index_information().get('ttl_idx', {}).get('expireAfterSeconds')

        cache.responses['key'] = large()
        assert seconds() is None
        cache.set_ttl(60)
        assert seconds() == 60 + TTL_GRACE_SECONDS
        cache.set_ttl(timedelta(seconds=2**31 - 5), overwrite=True)
        assert seconds() == 2**31 - 1
        cache.set_ttl(None, overwrite=True)
        assert seconds() is None

    def test_a_ttl_that_an_earlier_version_has_set(self, cache: Any, mongodb_database: Any) -> None:
        mongodb_database.responses.create_index('created_at', name='ttl_idx', expireAfterSeconds=60)
        cache.responses['key'] = large()
        index = mongodb_database.responses_bodies.index_information()['ttl_idx']
        assert index['expireAfterSeconds'] == 60 + TTL_GRACE_SECONDS

    def test_a_later_entry_keeps_its_body_for_longer(self, cache: Any, mongodb_database: Any) -> None:
        cache.responses['key'] = large(created_at=PAST)
        response = cache.responses['key']
        response.created_at = FUTURE
        cache.responses['key'] = response
        assert mongodb_database.responses_bodies.distinct('created_at') == [FUTURE.replace(tzinfo=None)]
        assert cache.responses['key'].content == LARGE


class TestCommands:
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

    def test_only_large_bodies_take_more(self, commands: Any, mongodb_name: str) -> None:
        client, sent = commands
        cache = small_pieces(MongoCache(mongodb_name, connection=client, large_body_bytes=1_000))
        cache.responses['other'] = large()
        for action, expected in (
            (lambda: cache.responses.update({'key': make_response(1)}), ['update']),
            (lambda: cache.responses.__setitem__('key', make_response(1)), ['update']),
            (lambda: cache.responses['key'], ['find']),
            (lambda: cache.responses.__delitem__('key'), ['findAndModify']),
            (lambda: cache.responses.__setitem__('key', large()), ['insert'] * 5 + ['update', 'findAndModify']),
            (lambda: cache.responses['key'], ['find']),
            (lambda: cache.responses['key'].content, ['find'] * 6),
            (lambda: cache.responses.__setitem__('key', cache.responses['key']), ['find', 'update', 'findAndModify']),
            (lambda: cache.responses.__setitem__('key', make_response(1)), ['update', 'findAndModify', 'delete']),
        ):
            sent.clear()
            action()
            assert sent == expected
