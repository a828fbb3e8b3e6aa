"""Leases in DynamoDB: what their items hold, what removes them, calls of the service, and faults"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from botocore.exceptions import ClientError
from support.dynamodb_server import CLOSED_PORT

from requests_cache import CachedSession, DynamoDbCache
from requests_cache.backends.dynamodb.leases import TTL_SECONDS
from requests_cache.engine.leasing import Lease, take
from requests_cache.exceptions import BackendError, BackendUnavailableError
from requests_cache.testing.origin import Origin
from requests_cache.testing.values import make_response

pytest_plugins = ['support.dynamodb_fixtures']

MakeCache = Callable[..., DynamoDbCache]


@pytest.fixture
def cache(make_cache: MakeCache) -> DynamoDbCache:
    return make_cache('mine')


def driver(cache: DynamoDbCache) -> Any:
    return cache.responses.connection.meta.client


def items(cache: DynamoDbCache) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = driver(cache).scan(TableName='mine')['Items']
    return found


class TestItems:
    def test_one_for_each_lease(self, cache: DynamoDbCache) -> None:
        """With a null as its value, which no version takes for a response"""
        old = None
        for new in ('held:1:0', 'held:1:1', 'stored:1'):
            assert cache.leases.swap('key', old, new)
            [item] = items(cache)
            assert int(item.pop('ttl')) == pytest.approx(time.time() + TTL_SECONDS, abs=300)
            assert item == {'key': '~:lease:key', 'value': None, 'lease': new}
            old = new
        assert cache.leases.swap('key', old, None)
        assert items(cache) == []

    def test_each_change_prolongs_it(self, cache: DynamoDbCache, monkeypatch: pytest.MonkeyPatch) -> None:
        assert cache.leases.swap('key', None, 'held:1:0')
        [before] = items(cache)
        later = time.time() + 3600
        monkeypatch.setattr(time, 'time', lambda: later)
        assert not cache.leases.swap('key', None, 'held:2:0')
        assert not cache.leases.swap('key', 'held:2:0', 'held:2:1')
        assert items(cache) == [before]
        assert cache.leases.swap('key', 'held:1:0', 'held:1:1')
        assert items(cache)[0]['ttl'] == int(later) + TTL_SECONDS > before['ttl']

    def test_there_is_nothing_before_the_first(self, cache: DynamoDbCache) -> None:
        assert cache.leases.read('key') is None
        assert cache.leases.swap('key', None, None)
        assert not cache.leases.swap('key', 'held:1:0', 'held:1:1')
        assert not cache.leases.swap('key', 'held:1:0', None)
        assert items(cache) == []

    def test_each_namespace_has_its_own(self, make_cache: MakeCache) -> None:
        one, other = make_cache('mine', namespace='one'), make_cache('mine')
        assert one.leases.swap('key', None, 'held:1:0')
        assert other.leases.read('key') is None
        assert other.leases.swap('key', None, 'held:2:0')
        assert [list(cache.responses) for cache in (one, other)] == [[], []]
        assert [len(cache.redirects) for cache in (one, other)] == [0, 0]
        other.clear()
        assert one.leases.read('key') == 'held:1:0'

    def test_cleaning(self, cache: DynamoDbCache) -> None:
        cache.save_response(make_response(1), 'key')
        assert cache.leases.swap('key', None, 'held:1:0')
        assert cache.delete(expired=True, invalid=True) == 0
        assert cache.leases.read('key') == 'held:1:0'
        cache.clear()
        assert items(cache) == []

    def test_those_of_a_cache_that_was_closed(self, cache: DynamoDbCache) -> None:
        """No client is made again for a lease that is over; DynamoDB removes it"""
        assert cache.leases.swap('key', None, 'stored:1')
        cache.close()
        assert not cache.leases.swap('key', 'stored:1', None)
        assert not cache.responses._access.has_client
        assert cache.leases.read('key') == 'stored:1'
        assert cache.leases.swap('key', 'stored:1', None)

    def test_a_copy_of_the_cache(self, cache: DynamoDbCache) -> None:
        assert cache.leases.swap('key', None, 'held:1:0')
        copy = pickle.loads(pickle.dumps(cache))
        assert copy.leases.swap('key', 'held:1:0', None)
        copy.close()


def test_calls(cache: DynamoDbCache) -> None:
    """One for each step; those that read see all that was written before"""
    calls: list[tuple[str, dict[str, Any]]] = []
    events = driver(cache).meta.events
    events.register('provide-client-params.dynamodb', lambda model, params, **_: calls.append((model.name, params)))
    leases = cache.leases
    assert leases.swap('key', None, 'held:1:0')
    assert leases.read('key') == 'held:1:0'
    assert leases.swap('key', 'held:1:0', 'held:1:1')
    assert leases.swap('key', 'held:1:1', None)
    assert [name for name, _ in calls] == ['PutItem', 'GetItem', 'PutItem', 'DeleteItem']
    assert calls[1][1]['ConsistentRead'] is True
    assert all('ConditionExpression' in params for name, params in calls if name != 'GetItem')


class TestFaults:
    def test_a_service_that_is_away(self, make_cache: MakeCache) -> None:
        leases = make_cache('mine', endpoint_url=CLOSED_PORT, create_table=False, ttl=False).leases
        with pytest.raises(BackendUnavailableError):
            leases.read('key')
        for old, new in ((None, 'x'), ('x', 'y'), ('x', None)):
            with pytest.raises(BackendUnavailableError):
                leases.swap('key', old, new)

    def test_a_table_that_is_missing(self, cache: DynamoDbCache) -> None:
        """It is created again"""
        driver(cache).delete_table(TableName='mine')
        assert cache.leases.swap('key', None, 'held:1:0')
        driver(cache).delete_table(TableName='mine')
        assert not cache.leases.swap('key', 'held:1:0', 'held:1:1')

    @pytest.mark.parametrize('operation', ['put_item', 'get_item'])
    def test_requests_go_on(
        self, operation: str, cache: DynamoDbCache, new_session: Callable[..., CachedSession], origin: Origin
    ) -> None:
        """As for a user that may not do this to items of leases"""
        origin.add('/page', body=b'x')
        real = getattr(driver(cache), operation)

        def refuse(**parameters: Any) -> Any:
            if parameters.get('Item', parameters.get('Key'))['key'].startswith('~:lease:'):
                raise ClientError({'Error': {'Code': 'AccessDeniedException'}}, operation)
            return real(**parameters)

        session = new_session(backend=cache, single_flight='shared')
        with mock.patch.object(driver(cache), operation, refuse):
            with pytest.raises(BackendError):
                cache.leases.read('key') if operation == 'get_item' else take(cache.leases, 'key')
            assert session.get(origin.url('/page')).content == b'x'
            assert session.get(origin.url('/page')).from_cache

    def test_a_reply_that_is_lost(self, cache: DynamoDbCache) -> None:
        """What the driver has tried again is ours"""
        send = driver(cache).put_item

        def send_twice(**parameters: Any) -> Any:
            send(**parameters)
            return send(**parameters)

        with mock.patch.object(driver(cache), 'put_item', send_twice):
            lease = take(cache.leases, 'key')
        assert isinstance(lease, Lease)
        assert cache.leases.read('key') == lease.value
