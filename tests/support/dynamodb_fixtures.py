"""Fixtures with a DynamoDB server: `pytest_plugins = ['support.dynamodb_fixtures']`

Each test starts with a server without tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from requests_cache import CachedSession, DynamoDbCache
from support.dynamodb_server import DynamoDbServer


@pytest.fixture(scope='session')
def running_dynamodb() -> Iterator[DynamoDbServer]:
    with DynamoDbServer() as server:
        yield server


@pytest.fixture
def server(running_dynamodb: DynamoDbServer) -> DynamoDbServer:
    running_dynamodb.reset()
    return running_dynamodb


@pytest.fixture
def client(server: DynamoDbServer) -> Iterator[Any]:
    client = boto3.client('dynamodb', **server.options)
    yield client
    client.close()


@pytest.fixture
def make_cache(server: DynamoDbServer) -> Iterator[Callable[..., DynamoDbCache]]:
    caches = []

    def make(*args: Any, **kwargs: Any) -> DynamoDbCache:
        caches.append(DynamoDbCache(*args, **{**server.options, **kwargs}))
        return caches[-1]

    yield make
    for cache in caches:
        cache.close()


@pytest.fixture
def make_session(server: DynamoDbServer) -> Iterator[Callable[..., CachedSession]]:
    sessions = []

    def make(*args: Any, **kwargs: Any) -> CachedSession:
        sessions.append(CachedSession(*args, **{'backend': 'dynamodb', **server.options, **kwargs}))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()
