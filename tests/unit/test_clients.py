"""Clients of servers: kept, made anew, closed; and what the errors of their drivers become"""

from __future__ import annotations

import copy
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import boto3
import pymongo
import pytest
import redis

from requests_cache import DynamoDbCache, GridFSCache, MongoCache, RedisCache
from requests_cache.backends.clients import Fault, ServerConnection, as_backend_error
from requests_cache.exceptions import BackendError, BackendUnavailableError, CacheError
from requests_cache.keys.shown import shown_error
from requests_cache.testing.rules.sharing import run_in_child

SECRET = 's3cret-w0rd'
# Nothing listens there, and it is refused at once
CLOSED_PORT = 1


class Client:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class DriverError(Exception):
    pass


class Connection(ServerConnection):
    """To a server that exists in this file only"""

    server = 'Example'
    keywords = 'host='

    def __init__(self, client: Any = None, host: str = 'there'):
        super().__init__(client)
        self.host = host
        self.made: list[Client] = []
        self.barrier: Any = None

    def _local_state(self) -> dict[str, Any]:
        return {**super()._local_state(), 'made': [], 'barrier': None}

    def _make_client(self) -> Client:
        client = Client()
        self.made.append(client)
        if self.barrier is not None:
            self.barrier.wait()
        return client

    def _where(self) -> str:
        return f'Example at {self.host}'

    def _fault(self, error: Exception) -> Fault | None:
        if isinstance(error, OSError):
            return Fault(unavailable=True, advice=None)
        return Fault(unavailable=False, advice='do better') if isinstance(error, DriverError) else None


class TestClients:
    def test_one_is_made_on_its_first_use(self) -> None:
        connection = Connection()
        assert connection.known_client is None
        assert connection.made == []
        assert connection.client is connection.client is connection.known_client
        assert len(connection.made) == 1

    def test_one_is_made_again_after_closing(self) -> None:
        connection = Connection()
        first = connection.client
        connection.close()
        connection.close()
        assert first.closed == 1
        assert connection.client is not first

    def test_one_that_was_passed_in_is_never_closed(self) -> None:
        theirs = Client()
        connection = Connection(theirs)
        assert not connection.owns_client
        assert connection.client is connection.known_client is theirs
        connection.close()
        assert connection.client is theirs
        assert (theirs.closed, connection.made) == (0, [])

    def test_another_one_may_be_used(self) -> None:
        connection, theirs = Connection(), Client()
        ours = connection.client
        connection.use(theirs)
        assert connection.client is theirs
        connection.close()
        assert (ours.closed, theirs.closed) == (1, 0)

    def test_threads_get_the_same_one(self) -> None:
        """All of them make one at the same time; those that are not kept are closed"""
        connection = Connection()
        connection.barrier = Barrier(8, timeout=30)
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(lambda: connection.client) for _ in range(8)]
            clients = {future.result() for future in futures}
        assert len(connection.made) == 8
        assert clients == {connection.client}
        assert sorted(client.closed for client in connection.made) == [0] + [1] * 7
        assert connection.client.closed == 0

    def test_threads_close_it_once(self) -> None:
        connection, barrier = Connection(), Barrier(8, timeout=30)
        client = connection.client

        def close() -> None:
            barrier.wait()
            connection.close()

        with ThreadPoolExecutor(8) as pool:
            for future in [pool.submit(close) for _ in range(8)]:
                future.result()
        assert client.closed == 1

    @pytest.mark.skipif(not hasattr(os, 'fork'), reason='cannot fork')
    @pytest.mark.parametrize('passed_in', [False, True])
    def test_in_a_forked_child(self, passed_in: bool) -> None:
        """One of ours is made anew, and that of the parent left alone; one that was passed in is the caller's affair"""
        connection = Connection(Client() if passed_in else None)
        parents = connection.client

        def child() -> None:
            assert (connection.client is parents) == passed_in
            connection.close()
            assert parents.closed == 0

        run_in_child(child)
        assert connection.client is parents
        assert parents.closed == 0


class TestCopies:
    @pytest.mark.parametrize('copied', [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
    def test_have_clients_of_their_own(self, copied: Any) -> None:
        connection = Connection(host='elsewhere')
        client = connection.client
        other = copied(connection)
        assert other.host == 'elsewhere'
        assert other.known_client is None
        assert type(other.client) is Client
        other.close()
        assert connection.client is client
        assert client.closed == 0

    @pytest.mark.parametrize('copied', [copy.copy, copy.deepcopy, pickle.dumps])
    def test_are_not_made_of_clients_passed_in(self, copied: Any) -> None:
        with pytest.raises(TypeError, match=r'Example client that was passed.*pass host=.*instead, so that'):
            copied(Connection(Client()))


class TestErrors:
    @pytest.mark.parametrize(
        ('error', 'message'),
        [
            (OSError('gone'), 'Example at there cannot be reached to read: gone; is it running? Check host='),
            (DriverError('No.'), 'Example at there: could not read: No; do better'),
            (DriverError('No\n  way'), 'Example at there: could not read: No way; do better'),
            (DriverError(), 'Example at there: could not read: DriverError; do better'),
            (DriverError(f'at redis://me:{SECRET}@h/'), 'could not read: at redis://me:REDACTED@h/; do better'),
        ],
    )
    def test_messages(self, error: Exception, message: str) -> None:
        with pytest.raises(BackendError) as caught, Connection().calling('read'):
            raise error
        assert str(caught.value).endswith(message)
        assert caught.value.__cause__ is error
        assert isinstance(caught.value, BackendUnavailableError) == isinstance(error, OSError)

    def test_of_a_client_that_was_passed_in(self) -> None:
        connection = Connection(Client())
        with pytest.raises(BackendUnavailableError) as caught, connection.calling('read'):
            raise OSError('gone')
        assert str(caught.value).endswith(PASSED_IN)

    def test_of_a_place_that_cannot_be_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        connection = Connection()
        monkeypatch.setattr(Connection, '_where', lambda self: self.no_such_attribute)
        with pytest.raises(BackendError) as caught, connection.calling('read'):
            raise DriverError('No.')
        assert str(caught.value) == 'Example: could not read: No; do better'

    @pytest.mark.parametrize('error', [ZeroDivisionError(), BackendError('ours'), CacheError(), KeyboardInterrupt()])
    def test_others_are_left_alone(self, error: BaseException) -> None:
        with pytest.raises(type(error)) as caught, Connection().calling('read'):
            raise error
        assert caught.value is error
        assert caught.value.__cause__ is None

    def test_those_of_python_are_named(self) -> None:
        error = as_backend_error(KeyError('Items'), 'Example', Fault(unavailable=False))
        assert str(error) == "Example: KeyError: 'Items'"


URL = f'127.0.0.1:{CLOSED_PORT}'
AWS = {'aws_access_key_id': 'me', 'aws_secret_access_key': SECRET, 'region_name': 'eu-north-1'}
BRIEFLY = {'serverSelectionTimeoutMS': 1}
REDIS_KEYWORDS, MONGODB_KEYWORDS = 'Check url=, or host= and port=', 'Check host= and port='
PASSED_IN = 'Check the client passed as connection='


def passed_to(make_cache: Any, client: Any) -> Any:
    """A cache that closes the client nevertheless"""
    cache = make_cache(connection=client)
    cache.close = client.close
    return cache


UNREACHABLE: dict[str, tuple[Any, str, str]] = {
    'redis': (lambda: RedisCache(port=CLOSED_PORT, password=SECRET), 'Redis at localhost:1 ', REDIS_KEYWORDS),
    'redis-url': (lambda: RedisCache(url=f'redis://me:{SECRET}@{URL}'), 'Redis at 127.0.0.1:1 ', REDIS_KEYWORDS),
    'redis-socket': (lambda: RedisCache(unix_socket_path='/no/socket'), 'Redis at /no/socket ', REDIS_KEYWORDS),
    'redis-cluster': (
        lambda: RedisCache(cluster=True, url=f'redis://me:{SECRET}@{URL}'),
        'Redis Cluster at 127.0.0.1:1 ',
        REDIS_KEYWORDS,
    ),
    'redis-passed': (
        lambda: passed_to(RedisCache, redis.Redis(port=CLOSED_PORT, password=SECRET)),
        'Redis at localhost:1 ',
        PASSED_IN,
    ),
    'mongodb': (
        lambda: MongoCache(port=CLOSED_PORT, username='me', password=SECRET, **BRIEFLY),
        'MongoDB at localhost:1 ',
        MONGODB_KEYWORDS,
    ),
    'mongodb-passed': (
        lambda: passed_to(MongoCache, pymongo.MongoClient(f'mongodb://me:{SECRET}@{URL}', **BRIEFLY)),
        'MongoDB at 127.0.0.1:1 ',
        PASSED_IN,
    ),
    'gridfs': (
        lambda: GridFSCache(host=f'mongodb://me:{SECRET}@{URL},localhost:2/', **BRIEFLY),
        'MongoDB at 127.0.0.1:1, localhost:2 ',
        MONGODB_KEYWORDS,
    ),
    'dynamodb': (
        lambda: DynamoDbCache(endpoint_url=f'http://me:{SECRET}@{URL}', **AWS),
        "127.0.0.1:1, table 'http_cache' ",
        'Check region_name= and endpoint_url=',
    ),
    'dynamodb-passed': (
        lambda: DynamoDbCache(connection=boto3.resource('dynamodb', endpoint_url=f'http://{URL}', **AWS)),
        f"DynamoDB at http://{URL}, table 'http_cache' ",
        PASSED_IN,
    ),
}


@pytest.mark.parametrize('name', UNREACHABLE)
def test_a_server_that_cannot_be_reached(name: str) -> None:
    """The message names the server, says why and what to do, in one line and without secrets, also when it is logged"""
    make_cache, where, advice = UNREACHABLE[name]
    cache = make_cache()
    with pytest.raises(BackendUnavailableError) as caught:
        cache.contains('key')
    cache.close()
    message = str(caught.value)
    assert f'{where}cannot be reached to ' in message
    assert message.endswith(advice)
    assert any(reason in message for reason in ('refused', 'No such file', 'Could not connect'))
    assert '\n' not in message
    assert SECRET not in message
    assert shown_error(caught.value).endswith(message)


def test_where_dynamodb_is() -> None:
    cache = DynamoDbCache(create_table=False, ttl=False, **AWS)
    connection = cache.responses._access._connection
    assert connection._where() == "DynamoDB in eu-north-1, table 'http_cache'"
    cache.close()
