"""DynamoDB as its users know it: items on the server, clients, keywords, old caches, sessions"""

from __future__ import annotations

import json
import logging
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any
from unittest import mock

import pytest
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError
from requests.exceptions import ChunkedEncodingError
from requests.structures import CaseInsensitiveDict

from requests_cache import BaseCache, DynamoDbCache
from requests_cache.backends import bodies
from requests_cache.backends.dynamodb import redirects as dynamodb_redirects
from requests_cache.backends.dynamodb import table as dynamodb_table
from requests_cache.backends.dynamodb.bodies import TTL_GRACE_SECONDS
from requests_cache.exceptions import BackendError, BackendUnavailableError
from requests_cache.testing.rules.redirects import save_chain
from requests_cache.testing.values import FUTURE, PAST, facts, make_response

pytest_plugins = ['support.dynamodb_fixtures']

RECORDED = json.loads((Path(__file__).parents[1] / 'data' / 'dynamodb_1.3.3.json').read_text('utf-8'))
LARGE = bytes(range(256)) * 4000


@pytest.fixture
def cache(make_cache: Callable[..., DynamoDbCache]) -> DynamoDbCache:
    return make_cache('mine')


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The warnings that were logged so far"""

    def found() -> list[str]:
        records = [r for r in caplog.records if r.name.startswith('requests_cache')]
        return [r.getMessage() for r in records if r.levelno >= logging.WARNING]

    return found


def calls_of(storage: Any) -> list[str]:
    """A list to which the operations that a storage calls from now on are added"""
    calls: list[str] = []
    events = storage.connection.meta.client.meta.events
    events.register('before-call.dynamodb', lambda model, **kwargs: calls.append(model.name))
    return calls


def raw_items(cache: DynamoDbCache) -> dict[str, dict[str, Any]]:
    """All items of the table, by their keys"""
    pages = cache.responses.connection.meta.client.get_paginator('scan').paginate(TableName=cache.responses.table_name)
    return {item['key']: item for page in pages for item in page['Items']}


def json_response(content: bytes) -> Any:
    return make_response(content=content, headers=CaseInsensitiveDict({'Content-Type': 'application/json'}))


class TestItems:
    def test_an_entry_is_a_map_as_1_3_writes_it(self, cache: DynamoDbCache) -> None:
        content = b'{"name": "\\u00e9", "list": [true, null]}'
        cache.save_response(json_response(content), 'key', FUTURE)
        item = raw_items(cache)['key']
        assert set(item) == {'key', 'revision', 'value', 'ttl'}
        assert item['ttl'] == Decimal(int(FUTURE.timestamp()))
        value = item['value']
        assert value['_content'] == Binary(content)
        assert value['_decoded_content'] == {'name': 'é', 'list': [True, None]}
        assert value['elapsed'] == Decimal('0.25')
        assert value['expires'] == FUTURE.isoformat()
        assert value['request']['body'] == Binary(b'\x00\xff')
        assert value['status_code'] == 200

    @pytest.mark.parametrize(('serializer', 'kind'), [('pickle', Binary), ('json', str), ('bson', Binary)])
    def test_other_serializers(self, serializer: str, kind: type, make_cache: Any) -> None:
        cache = make_cache('mine', serializer=serializer)
        cache.save_response(make_response(1), 'key')
        item = raw_items(cache)['key']
        assert set(item) == {'key', 'revision', 'value'}
        assert type(item['value']) is kind

    @pytest.mark.parametrize(
        ('ttl', 'expires', 'expected'), [(True, PAST, PAST), (True, None, None), (False, FUTURE, None)]
    )
    def test_only_what_expires_has_a_time_to_live(
        self, ttl: bool, expires: Any, expected: Any, make_cache: Any
    ) -> None:
        cache = make_cache('mine', ttl=ttl)
        cache.save_response(make_response(1), 'key', expires)
        assert raw_items(cache)['key'].get('ttl') == (expected and expected.timestamp())
        assert cache.get_response('key').expires == expires

    def test_a_new_expiration_is_a_new_lifetime(self, cache: DynamoDbCache) -> None:
        cache.save_response(make_response(1), 'key', PAST)
        cache.reset_expiration(FUTURE)
        assert raw_items(cache)['key']['ttl'] == FUTURE.timestamp()
        cache.reset_expiration()
        assert 'ttl' not in raw_items(cache)['key']

    def test_what_has_expired_may_be_kept_for_some_time(self, make_cache: Any) -> None:
        """With all that belongs to it, and without looking for anything else"""
        cache = make_cache('mine', delete_expired_after=timedelta(seconds=59.5))
        cache.save_response(make_response(1, content=LARGE), 'large', FUTURE)
        calls = calls_of(cache.responses)
        save_chain(cache, expires=FUTURE)
        cache.responses['never'] = make_response(1)
        assert not {'Scan', 'Query'} & set(calls)
        ttls = {item.get('ttl') for item in raw_items(cache).values()}
        assert ttls == {FUTURE.timestamp() + 60, FUTURE.timestamp() + 60 + TTL_GRACE_SECONDS, None}
        make_cache('mine', delete_expired_after=10.0**300).save_response(make_response(1), 'long', FUTURE)
        assert raw_items(cache)['long']['ttl'] > 10**11

    def test_keywords_that_cannot_be(self, make_cache: Any) -> None:
        for keyword in ({'max_entries': 5}, {'max_cache_bytes': '1 MB'}):
            with pytest.raises(ValueError, match=r'TTL .*delete_expired_after'):
                make_cache('mine', **keyword)
        with pytest.raises(ValueError, match='ttl=False'):
            make_cache('mine', ttl=False, delete_expired_after=60)
        make_cache('mine', ttl=False, delete_expired_after=None)

    @pytest.mark.parametrize(
        'content',
        [
            b'{"small": 1, "real": 0.1, "exact": 1.10, "tiny": 1e-7, "big": 12345678901234567890}',
            b'[1' + b'0' * 60 + b', 1e300, -0.0, 1E400]',
            b'[' * 60 + b']' * 60,
            b'[' * 400 + b']' * 400,
            b'{"": {"": 1}}',
            b'"\\ud800 \\u0000"',
            b'null',
            b'{"a": 1, "a": 2}',
            b'[' + b'"%s", ' % (b'text' * 500) * 150 + b'"end"]',
        ],
        ids=lambda content: content[:20],
    )
    def test_json_bodies_are_exact(self, content: bytes, cache: DynamoDbCache) -> None:
        cache.save_response(json_response(content), 'key')
        response = cache.get_response('key')
        assert response.content == content
        assert response.json() == json.loads(content)
        assert facts(dict(cache.responses.scan())['key']) == facts(response)

    def test_a_readable_copy_makes_room_for_the_body(self, make_cache: Any) -> None:
        cache = make_cache('mine', large_body_bytes=250_000)
        content = json.dumps(['text' * 500] * 120).encode()
        cache.save_response(json_response(content), 'key')
        items = raw_items(cache)
        assert list(items) == ['key']
        assert items['key']['value']['_content'] == Binary(content)
        assert '_decoded_content' not in items['key']['value']

    def test_text_that_dynamodb_does_not_take(self, cache: DynamoDbCache) -> None:
        response = make_response(1, reason='lone \ud800')
        cache.save_response(response, 'key')
        assert cache.get_response('key').reason == 'lone \ud800'
        assert list(raw_items(cache)) == ['key']

    @pytest.mark.parametrize(
        'value', ['text', b'bytes', 5, 1.5, True, ['list'], 'x' * 390_000], ids=lambda v: str(v)[:5]
    )
    def test_values_that_are_no_responses(self, value: Any, cache: DynamoDbCache) -> None:
        cache.responses['key'] = value
        assert cache.responses['key'] == value
        assert list(cache.responses.items()) == [('key', value)]
        assert cache.get_response('key') is None

    def test_values_that_nothing_can_hold(self, cache: DynamoDbCache) -> None:
        storage = cache.responses
        storage.serializer = None
        with pytest.raises(BackendError, match='object'):
            storage['key'] = object()
        with pytest.raises(BackendError, match=r'has 500000 bytes.*400 KB'):
            storage['key'] = 'x' * 500_000
        assert list(storage) == []

    def test_values_of_other_types_under_a_key(self, cache: DynamoDbCache, client: Any) -> None:
        for value in ({'N': '5'}, {'SS': ['a', 'b']}, {'NULL': True}, {'S': ''}, {'M': {'large': {'NULL': True}}}):
            client.put_item(TableName='mine', Item={'key': {'S': 'key'}, 'value': value})
            assert cache.get_response('key') is None
            assert dict(cache.responses.scan()) == {'key': None}
            assert cache.contains('key')
            cache.save_response(make_response(1), 'key')
            assert facts(cache.get_response('key')) == facts(make_response(1))

    def test_what_others_keep_in_the_table_stays(self, cache: DynamoDbCache, client: Any) -> None:
        foreign = {'key': {'S': 'foreign'}, 'data': {'N': '1'}}
        client.put_item(TableName='mine', Item=foreign)
        save_chain(cache)
        assert len(cache.responses) == 1
        cache.delete(expired=True, invalid=True, older_than=-1)
        cache.clear()
        cache.responses.clear()
        cache.redirects.clear()
        assert client.scan(TableName='mine')['Items'] == [foreign]


class TestNamespaces:
    NAMES = ('default', 'a', 'a:b', 'a~', 'a~:', '~:', 'A', 'ä\ud800', 'x' * 3000)
    KEYS = ('0a1b', 'b:0a1b', ':', '~:redirect:0a1b', 'a~:0a1b')

    def test_keys_have_the_namespace_as_their_prefix(self, make_cache: Any) -> None:
        cache = make_cache('mine', namespace='name')
        save_chain(cache)
        assert all(key.startswith('name') for key in raw_items(cache))
        assert {f'name~:{key}' for key in cache.responses} <= set(raw_items(cache))

    @pytest.mark.parametrize('name', [None, '', 'default'])
    def test_the_default_namespace_is_no_prefix(self, name: str | None, make_cache: Any) -> None:
        cache = make_cache('mine', namespace=name)
        cache.responses['key'] = make_response(1)
        assert list(raw_items(cache)) == ['key']

    def test_caches_do_not_touch_each_other(self, make_cache: Any) -> None:
        caches = {name: make_cache('mine', namespace=name) for name in self.NAMES}
        for number, cache in enumerate(caches.values()):
            for key in self.KEYS:
                cache.responses[key] = make_response(number)
                cache.redirects[key] = str(number)
        for name in ('default', 'a'):
            caches[name].responses[self.KEYS[0]] = make_response(self.NAMES.index(name), content=LARGE[:500_000])
        for number, name in enumerate(self.NAMES):
            cache = caches.pop(name)
            assert sorted(cache.responses) == sorted(self.KEYS)
            assert {cache.responses[key].headers['X-Number'] for key in self.KEYS} == {str(number)}
            assert dict(cache.redirects.items()) == dict.fromkeys(self.KEYS, str(number))
            assert cache.delete('b:0a1b', ':', 'missing') == 2
            cache.delete(invalid=True)
            assert len(cache.redirects) == 0
            cache.clear()
            assert len(cache.responses) == 0
            for other in caches.values():
                assert len(other.responses) == len(other.redirects) == len(self.KEYS)
                assert other.get_response(self.KEYS[0]) is not None


class TestLargeBodies:
    def test_they_take_several_items_and_count_as_one(self, cache: DynamoDbCache) -> None:
        response = make_response(1, content=LARGE)
        cache.save_response(response, 'key', FUTURE)
        items = raw_items(cache)
        assert len(items) == 4
        assert {key: item['ttl'] for key, item in items.items()} == {
            key: FUTURE.timestamp() + (TTL_GRACE_SECONDS if '~:part' in key else 0) for key in items
        }
        assert facts(cache.get_response('key')) == facts(make_response(1, content=LARGE, expires=FUTURE))
        assert list(cache.responses) == ['key']
        assert len(cache.responses) == 1
        assert [r.content for r in cache.responses.values()] == [LARGE]
        assert [r.cache_key for r in cache.filter()] == ['key']

    @pytest.mark.parametrize('serializer', [None, 'pickle', 'json', 'yaml', 'bson'])
    def test_sizes_around_the_limit(self, serializer: Any, make_cache: Any) -> None:
        cache = make_cache('mine', serializer=serializer)
        longest = cache.responses.large_body_bytes
        for size in (longest, longest + 1):
            for content in (b'x' * size, json.dumps('x' * (size - 2)).encode()):
                cache.responses['key'] = json_response(content)
                assert cache.responses['key'].content == content
                assert len(raw_items(cache)) == 1 + (size > longest)

    @pytest.mark.parametrize('serializer', [None, 'pickle', 'json'])
    @pytest.mark.parametrize('size', [200_000, *range(398_000, 411_000, 3_000)])
    def test_bodies_that_do_not_fit_into_the_item(self, size: int, serializer: Any, make_cache: Any) -> None:
        """Although they are not large, as their user sees it"""
        cache = make_cache('mine', serializer=serializer, large_body_bytes=1 << 30)
        for length in (size, size * 3 // 4):
            cache.responses['key'] = json_response(json.dumps('\xe9' * (length // 6)).encode())
            assert cache.responses['key'].json() == '\xe9' * (length // 6)
            cache.responses['key'] = make_response(content=b'x' * length)
            assert cache.responses['key'].content == b'x' * length
            assert list(cache.responses.pieces.unused()) == []

    def test_more_pieces_than_one_call_takes(self, cache: DynamoDbCache) -> None:
        cache.responses.pieces.piece_bytes = 4096
        content = b''.join(i.to_bytes(4, 'big') for i in range(120_000))
        cache.responses['key'] = make_response(content=content)
        assert len(raw_items(cache)) > 100
        assert cache.responses['key'].content == content
        del cache.responses['key']
        assert raw_items(cache) == {}

    @pytest.mark.parametrize('is_known', [True, False])
    def test_bodies_that_are_given_up(self, is_known: bool, cache: DynamoDbCache, make_cache: Any) -> None:
        """By those who wrote them, or by others"""
        cache.responses.pieces.piece_bytes = 2048
        writer = cache.responses.body_writer('key')
        writer.write(LARGE[:300_000])
        body = writer.commit()
        pieces = cache.responses.pieces if is_known else make_cache('mine').responses.pieces
        pieces.delete('key', body.id)
        assert raw_items(cache) == {}

    def test_pieces_go_with_their_entry(self, cache: DynamoDbCache) -> None:
        for remove in (
            lambda: cache.save_response(make_response(1), 'key'),
            lambda: cache.responses.__delitem__('key'),
            lambda: cache.delete('key'),
            lambda: cache.delete('key', 'other'),
            lambda: cache.delete(expired=True),
            lambda: cache.delete(older_than=timedelta(0.1)),
            lambda: cache.responses.popitem(),
            lambda: cache.responses.clear(),
            lambda: cache.clear(),
        ):
            cache.save_response(make_response(1, content=LARGE), 'key', PAST)
            assert len(raw_items(cache)) == 4
            remove()
            assert set(raw_items(cache)) <= {'key'}

    def test_one_large_entry_replaces_another(self, cache: DynamoDbCache) -> None:
        cache.responses['key'] = make_response(content=LARGE * 2)
        cache.responses['key'] = make_response(content=LARGE)
        assert cache.responses['key'].content == LARGE
        assert len(raw_items(cache)) == 4

    def test_pieces_are_kept_as_long_as_their_entry(self, cache: DynamoDbCache) -> None:
        cache.save_response(make_response(1, content=LARGE), 'key', PAST)
        for expires in (FUTURE, PAST, None):
            cache.reset_expiration(expires)
            ttls = {item.get('ttl') for key, item in raw_items(cache).items() if key != 'key'}
            assert ttls == {expires and expires.timestamp() + TTL_GRACE_SECONDS}
            assert cache.get_response('key').content == LARGE

    def test_those_without_an_entry_do_not_stay(self, make_cache: Any) -> None:
        cache = make_cache('mine', delete_expired_after=60)
        writer = cache.responses.body_writer('key')
        writer.write(LARGE)
        writer.commit()
        assert all(0 < int(item['ttl']) - time.time() < 2 * TTL_GRACE_SECONDS for item in raw_items(cache).values())
        cache.responses['key'] = make_response(1, content=LARGE)
        ttls = [item.get('ttl') for item in raw_items(cache).values()]
        assert ttls.count(None) == 4
        assert cache.responses['key'].content == LARGE

    def test_readers_see_the_old_or_the_new_one(self, cache: DynamoDbCache, make_cache: Any) -> None:
        """Or that the old one is gone, as if the connection had broken"""

        def read(mapping: Any) -> None:
            while not done.is_set():
                with suppress(ChunkedEncodingError):
                    assert mapping['key'].content in contents
                with suppress(ChunkedEncodingError):
                    assert dict(mapping.scan())['key'].content in contents

        done = Event()
        contents = (LARGE, b'small', LARGE[::-1])
        cache.responses['key'] = make_response(content=contents[0])
        with ThreadPoolExecutor(2) as pool:
            reading = [pool.submit(read, storage) for storage in (cache.responses, make_cache('mine').responses)]
            try:
                for i in range(15):
                    cache.responses['key'] = make_response(content=contents[i % 3])
            finally:
                done.set()
            for future in reading:
                future.result()
        assert len(raw_items(cache)) == 4

    @pytest.mark.parametrize('damage', [{'B': b'x' * 10}, {'S': 'text'}, {'B': b''}, None])
    def test_a_damaged_piece(self, damage: Any, cache: DynamoDbCache, client: Any) -> None:
        cache.save_response(make_response(1, content=LARGE), 'key')
        key = {'key': {'S': sorted(raw_items(cache))[-1]}}
        item = client.get_item(TableName='mine', Key=key)['Item']
        if damage is None:
            client.delete_item(TableName='mine', Key=key)
        else:
            client.put_item(TableName='mine', Item={**item, 'data': damage})
        with pytest.raises(ChunkedEncodingError):
            _ = cache.get_response('key').content
        cache.save_response(make_response(1, content=LARGE), 'key')
        assert cache.get_response('key').content == LARGE
        assert len(raw_items(cache)) == 4

    @pytest.mark.parametrize(
        'damage',
        [
            {'packed': {}},
            {'packed': {'kind': 'record', 'data': b'\x80x'}, 'body': {'id': 'x', 'count': 2}},
            {'packed': {'kind': 'record', 'data': pickle.dumps({'created_at': print, 'status_code': 200})}},
            {'body': {'id': 'x', 'count': 'many'}},
            {'body': {'id': 5}},
            {'large': {'id': 'x', 'count': 2, 'crc': 5}},
            {'large': {'kind': 'record', 'data': b'x'}},
        ],
        ids=str,
    )
    def test_a_damaged_entry_makes_a_miss(self, damage: dict[str, Any], make_cache: Any) -> None:
        for serializer in (None, 'pickle', 'json'):
            cache = make_cache('mine', serializer=serializer)
            cache.responses._table.put_item(Item={'key': 'key', 'value': None, **damage})
            assert cache.get_response('key') is None
            assert cache.contains('key')
            assert cache.delete(invalid=True) == 1
            assert not cache.contains('key')

    def test_switched_off_they_are_skipped_with_a_warning(self, make_cache: Any, warnings: Any) -> None:
        cache = make_cache('mine', large_items=False)
        cache.save_response(make_response(1), 'key')
        cache.save_response(make_response(2, content=LARGE), 'key')
        assert cache.get_response('key') is None  # rather than what it was before
        assert raw_items(cache) == {}
        assert [w for w in warnings() if '400 KB' in w and w.endswith('key')]
        cache.save_response(make_response(2, content=LARGE[:300_000]), 'key')
        assert cache.get_response('key').content == LARGE[:300_000]
        make_cache('mine').save_response(make_response(2, content=LARGE), 'key')
        assert cache.get_response('key').content == LARGE

    def test_a_write_that_fails_leaves_the_old_entry_and_no_pieces(self, cache: DynamoDbCache) -> None:
        cache.save_response(make_response(1), 'key')
        client = cache.responses.connection.meta.client
        real = client.put_item
        for working in range(4):
            replies = iter([real] * working)
            failing = _raising(_client_error('InternalServerError'))
            with (
                mock.patch.object(client, 'put_item', side_effect=lambda **kw: next(replies, failing)(**kw)),  # noqa: B023
                pytest.raises(BackendUnavailableError),
            ):
                cache.save_response(make_response(2, content=LARGE), 'key')
            assert list(raw_items(cache)) == ['key']
        assert facts(cache.get_response('key')) == facts(make_response(1))

    @pytest.mark.parametrize('way', [{'expired': True}, {'invalid': True}])
    def test_pieces_of_interrupted_writers_are_removed(
        self, way: dict[str, bool], cache: DynamoDbCache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache.save_response(make_response(1, content=LARGE), 'key')
        kept = set(raw_items(cache))
        for key in ('key', 'gone', '\ud800'):
            cache.responses.body_writer(key).write(LARGE)
        cache.delete(**way)
        assert len(raw_items(cache)) == 4 + 3 * 2  # they might be those of an entry that is being written
        monkeypatch.setattr(bodies, 'ABANDONED_AFTER_SECONDS', -10)
        cache.delete(**way)
        assert set(raw_items(cache)) == kept
        assert cache.get_response('key').content == LARGE

    def test_entries_that_others_have_replaced(self, cache: DynamoDbCache) -> None:
        """Versions that know nothing of bodies leave them behind"""
        for key in ('kept', 'replaced', 'deleted'):
            cache.responses[key] = make_response(content=LARGE)
        cache.responses._table.put_item(Item={'key': 'replaced', 'value': 'theirs'})
        cache.responses._table.delete_item(Key={'key': 'deleted'})
        assert cache.get_response('deleted') is None
        assert sorted(key for key, _ in cache.responses.pieces.unused()) == ['deleted', 'replaced']

    @pytest.mark.parametrize('content', [b'small', LARGE])
    def test_writing_over_what_others_wrote(self, content: bytes, cache: DynamoDbCache) -> None:
        """Entries of earlier versions have no revision"""
        for is_changed in (False, True):
            cache.responses['key'] = make_response(1)
            item = raw_items(cache)['key']
            del item['revision']
            cache.responses._table.put_item(Item=item)
            seen: list[Any] = []

            def is_expected(stored: Any, seen: Any = seen, item: Any = item, is_changed: Any = is_changed) -> bool:
                if is_changed and not seen:
                    changed = {**item, 'value': {**item['value'], 'reason': 'changed'}}
                    cache.responses._table.put_item(Item=changed)
                seen.append(stored)
                return len(seen) == 1

            assert cache.responses.write_if('key', make_response(content=content), is_expected) != is_changed
            assert len(seen) == 1 + is_changed
            assert ('revision' in raw_items(cache)['key']) != is_changed

    def test_calls(self, cache: DynamoDbCache) -> None:
        calls = calls_of(cache.responses)
        for action, expected in (
            (
                lambda: cache.save_response(make_response(1, content=LARGE), 'key'),
                [*['PutItem'] * 3, 'BatchGetItem', 'PutItem'],
            ),
            (lambda: cache.get_response('key'), ['GetItem']),
            (lambda: cache.get_response('key').content, ['GetItem'] * 4),
            (lambda: cache.save_response(make_response(1), 'key'), ['PutItem', 'PutItem', 'BatchWriteItem']),
            (lambda: cache.save_response(make_response(1), 'key'), ['PutItem']),
        ):
            calls.clear()
            action()
            assert calls == expected


def _rewrite(cache: DynamoDbCache, expires: datetime | None) -> None:
    """As a 304 does"""
    (key,) = cache.responses
    response = cache.responses[key]
    response.expires = expires
    cache.responses[key] = response


def _update(cache: DynamoDbCache, expires: datetime | None) -> None:
    source = BaseCache()
    save_chain(source, expires=expires)
    cache.update(source)


# Ways in which an entry gets another time of expiration
CHANGES = {'304': _rewrite, 'reset_expiration': DynamoDbCache.reset_expiration, 'update': _update}


class TestRedirects:
    def test_they_are_kept_in_the_table(self, cache: DynamoDbCache, make_cache: Any) -> None:
        save_chain(cache)
        other = make_cache('mine')
        assert dict(other.redirects.items()) == dict(cache.redirects.items())
        assert len(other.redirects) == 2
        assert other.contains(url='http://example.com/middle')
        assert len(other.responses) == 1

    def test_they_live_as_long_as_the_response(self, make_cache: Any) -> None:
        for ttl, expires, expected in (
            (True, FUTURE, {FUTURE.timestamp()}),
            (True, None, {None}),
            (False, FUTURE, {None}),
        ):
            cache = make_cache('mine', ttl=ttl)
            response = make_response(1, history=[make_response(2, status_code=302)])
            cache.save_response(response, 'key', expires)
            assert len(raw_items(cache)) == 3
            assert {item.get('ttl') for item in raw_items(cache).values()} == expected
        cache.redirects['other'] = 'key'
        assert 'ttl' not in raw_items(cache)['~:redirect:other']

    @pytest.mark.parametrize('change', CHANGES)
    @pytest.mark.parametrize('longer', [None, FUTURE + timedelta(days=1)], ids=['for ever', 'for longer'])
    def test_they_are_kept_with_a_response_that_is_kept_longer(
        self, longer: datetime | None, change: str, cache: DynamoDbCache
    ) -> None:
        save_chain(cache, expires=FUTURE)
        assert {item['ttl'] for item in raw_items(cache).values()} == {FUTURE.timestamp()}
        CHANGES[change](cache, longer)
        (key,) = cache.responses
        items = raw_items(cache)
        assert len(items) == 4
        assert items[key].get('ttl') == (longer and longer.timestamp())
        # Those that are copied are kept for ever
        assert {item.get('ttl') for item in items.values()} <= {items[key].get('ttl'), None}

    def test_they_are_not_kept_for_a_shorter_time(self, cache: DynamoDbCache) -> None:
        """Nor is there a call more than one that looks"""
        save_chain(cache, expires=FUTURE)
        calls = calls_of(cache.responses)
        cache.reset_expiration(FUTURE - timedelta(days=1))
        assert [call for call in calls if call != 'Scan'] == ['PutItem', 'BatchGetItem']
        ttls = {key: item['ttl'] for key, item in raw_items(cache).items() if key.startswith('~:')}
        assert set(ttls.values()) == {FUTURE.timestamp()}

    def test_one_that_has_been_turned_elsewhere_is_not_touched(self, cache: DynamoDbCache) -> None:
        save_chain(cache, expires=FUTURE)
        (source, *_) = cache.redirects
        cache.redirects.write(source, 'elsewhere', PAST)
        cache.reset_expiration()
        items = raw_items(cache)
        assert items[f'~:redirect:{source}']['ttl'] == round(PAST.timestamp())

    def test_deleting_by_key_reads_no_more_than_that(self, cache: DynamoDbCache) -> None:
        save_chain(cache)
        save_chain(cache, 'other')
        cache.responses['key'] = make_response(1)
        calls = calls_of(cache.responses)
        assert cache.delete('key') == 1
        assert cache.delete(urls=['http://example.com/start']) == 1
        assert 'Scan' not in calls
        assert not cache.contains(url='http://example.com/middle')
        assert cache.contains(url='http://other/middle')

    def test_those_that_have_been_turned_elsewhere_stay(self, cache: DynamoDbCache) -> None:
        for key in ('one', 'two'):
            cache.responses[key] = make_response(1)
            cache.redirects['from'] = key
            cache.redirects['\ud800'] = key
        cache.delete('one')
        assert dict(cache.redirects.items()) == {'from': 'two', '\ud800': 'two'}
        cache.delete('two')
        assert dict(cache.redirects.items()) == {}
        assert raw_items(cache) == {}

    def test_only_so_many_are_kept_track_of(self, cache: DynamoDbCache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dynamodb_redirects, 'MAX_SOURCES', 3)
        cache.responses['key'] = make_response(1)
        for i in range(5):
            cache.redirects[str(i)] = 'key'
        assert len(cache.redirects) == 5
        cache.delete('key')
        assert len(cache.redirects) == 2
        cache.delete(expired=True)
        assert raw_items(cache) == {}

    def test_deleting_what_has_expired_prunes_redirects(self, cache: DynamoDbCache) -> None:
        cache.save_response(make_response(1), 'expired', PAST)
        cache.save_response(make_response(1), 'fresh', FUTURE)
        cache.redirects.update({'a': 'expired', 'b': 'fresh', 'c': 'gone'})
        assert cache.delete(expired=True) == 1
        assert dict(cache.redirects.items()) == {'b': 'fresh'}

    def test_damaged_ones(self, cache: DynamoDbCache) -> None:
        cache.responses._table.put_item(Item={'key': '~:redirect:key', 'value': None, 'target': 5})
        cache.responses._table.put_item(Item={'key': '~:sources:key', 'value': None, 'sources': 'text'})
        assert cache.redirects['key'] is None
        assert cache.get_response('key') is None
        cache.delete('key')
        cache.delete(expired=True)
        assert len(cache.redirects) == 0


class TestCalls:
    def test_one_call_per_lookup_and_per_write(self, cache: DynamoDbCache) -> None:
        calls = calls_of(cache.responses)
        cache.save_response(make_response(1), 'key')
        cache.get_response('key')
        cache.save_response(make_response(2), 'key')
        assert calls == ['PutItem', 'GetItem', 'PutItem']
        calls.clear()
        assert cache.get_response('missing') is None
        assert calls == ['GetItem', 'GetItem']

    def test_reads_are_consistent(self, cache: DynamoDbCache) -> None:
        sent = []
        events = cache.responses.connection.meta.client.meta.events
        events.register('before-call.dynamodb', lambda model, params, **kw: sent.append((model.name, params['body'])))
        save_chain(cache)
        list(cache.filter())
        list(cache.responses), len(cache.redirects), cache.contains('key')
        cache.delete('a', 'b')
        requests = {
            (name, b'"ConsistentRead": true' in body) for name, body in sent if name[:3] in ('Get', 'Sca', 'Bat')
        }
        assert requests == {('GetItem', True), ('Scan', True), ('BatchGetItem', True)}

    def test_iteration_takes_a_call_per_page(self, cache: DynamoDbCache) -> None:
        for i in range(30):
            cache.responses[str(i)] = make_response(i, content=b'x' * 100_000)
        calls = calls_of(cache.responses)
        assert len(dict(cache.responses.items())) == 30
        assert set(calls) == {'Scan'}
        assert 3 <= len(calls) <= 5
        assert len(list(cache.responses)) == len(cache.responses) == len(list(cache.filter())) == 30
        assert set(calls) == {'Scan'}

    def test_clearing_takes_a_call_per_page_and_batch(self, cache: DynamoDbCache) -> None:
        for i in range(60):
            cache.responses[str(i)] = make_response(i)
        for i in range(50):
            cache.redirects[str(i)] = 'key'
        calls = calls_of(cache.responses)
        cache.clear()
        assert calls.count('Scan') == 1
        assert calls.count('BatchWriteItem') == 5
        assert raw_items(cache) == {}

    def test_memory_is_flat_while_scanning(self, cache: DynamoDbCache) -> None:
        for i in range(30):
            cache.responses[str(i)] = make_response(i, content=b'x' * 100_000)
        calls = calls_of(cache.responses)
        scan = cache.responses.scan()
        next(scan)
        assert calls == ['Scan']

    def test_a_key_twice_in_one_deletion(self, cache: DynamoDbCache) -> None:
        for key in 'abc':
            cache.responses[key] = make_response(1)
            cache.redirects[key] = 'a'
        assert cache.delete('a', 'b', 'a', 'b') == 2
        assert cache.redirects.bulk_delete(['a', 'a', 'b', 'missing', 'missing']) == 0
        assert cache.responses.existing(['c', 'c', 'a', '']) == {'c'}

    def test_what_the_service_leaves_undone_is_sent_again(
        self, cache: DynamoDbCache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses: list[float] = []
        monkeypatch.setattr(dynamodb_table, 'sleep', pauses.append)
        stingy = _Stingy(cache.responses.connection.meta.client, idle_rounds=3)
        with stingy.patched():
            cache.responses['key'] = make_response(content=LARGE)
            assert cache.responses['key'].content == LARGE
            assert cache.responses.existing(str(i) for i in range(10)) == set()
            cache.clear()
        assert raw_items(cache) == {}
        assert stingy.rounds > 10
        assert pauses[:3] == sorted(pauses[:3])
        assert all(0 < p <= 1 for p in pauses)

    def test_an_overloaded_service_is_not_waited_for_without_end(
        self, cache: DynamoDbCache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses: list[float] = []
        monkeypatch.setattr(dynamodb_table, 'sleep', pauses.append)
        cache.responses['key'] = make_response(1)
        with _Stingy(cache.responses.connection.meta.client, idle_rounds=10**9).patched():
            for attempt in (cache.clear, lambda: cache.responses.existing(['key'])):
                pauses.clear()
                with pytest.raises(BackendUnavailableError):
                    attempt()
                assert 0 < sum(pauses) < 5
        assert cache.contains('key')

    def test_a_scan_that_does_not_get_on(self, cache: DynamoDbCache) -> None:
        page = {'Items': [], 'Count': 0, 'LastEvaluatedKey': {'key': 'key'}}
        with mock.patch.object(cache.responses.connection.meta.client, 'scan', return_value=page):
            with pytest.raises(BackendError):
                list(cache.responses)
            with pytest.raises(BackendError):
                len(cache.responses)


class _Stingy:
    """A client that does one item of each batch, and none at all in some rounds"""

    def __init__(self, client: Any, idle_rounds: int):
        self.client, self.idle_rounds, self.rounds = client, idle_rounds, 0
        self.get, self.write = client.batch_get_item, client.batch_write_item

    def patched(self) -> Any:
        return mock.patch.multiple(self.client, batch_get_item=self._get, batch_write_item=self._write)

    def _idle(self) -> bool:
        self.rounds += 1
        return self.rounds % (self.idle_rounds + 1) != 0

    def _get(self, **parameters: Any) -> Any:
        ((table, request),) = parameters['RequestItems'].items()
        if self._idle():
            return {'Responses': {}, 'UnprocessedKeys': {table: request}}
        reply = self.get(RequestItems={table: {**request, 'Keys': request['Keys'][:1]}})
        rest = request['Keys'][1:]
        return {**reply, 'UnprocessedKeys': {table: {**request, 'Keys': rest}} if rest else {}}

    def _write(self, **parameters: Any) -> Any:
        ((table, requests),) = parameters['RequestItems'].items()
        if self._idle():
            return {'UnprocessedItems': {table: requests}}
        self.write(RequestItems={table: requests[:1]})
        return {'UnprocessedItems': {table: requests[1:]} if requests[1:] else {}}


def _client_error(code: str) -> ClientError:
    return ClientError({'Error': {'Code': code}, 'ResponseMetadata': {'HTTPStatusCode': 500}}, 'Operation')


def _raising(error: Exception) -> Callable[..., Any]:
    def call(**kwargs: Any) -> Any:
        raise error

    return call
