"""Fixtures with MongoDB servers: `pytest_plugins = ['support.mongodb_fixtures']`"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from requests_cache.backends.gridfs import GridFSCache
from requests_cache.backends.mongodb import MongoCache
from support.mongodb_server import AuthenticatingMongoServer, MongoServer, NotAvailableError


def _running(server: Callable[[], MongoServer]) -> Iterator[Any]:
    try:
        running = server().__enter__()
    except NotAvailableError as e:
        pytest.skip(str(e))
    yield running
    running.remove()


@pytest.fixture(scope='session')
def mongodb_server() -> Iterator[MongoServer]:
    """A server for all tests; each test has its own databases"""
    yield from _running(MongoServer)


@pytest.fixture(scope='session')
def authenticating_mongodb_server() -> Iterator[AuthenticatingMongoServer]:
    """A server that demands a password"""
    yield from _running(AuthenticatingMongoServer)


@pytest.fixture(scope='session')
def faulty_mongodb_server() -> Iterator[MongoServer]:
    """A server that a test may stop; the test has to start it again"""
    yield from _running(MongoServer)


@pytest.fixture
def mongodb_client(mongodb_server: MongoServer) -> Iterator[Any]:
    with mongodb_server.client() as client:
        yield client


@pytest.fixture
def mongodb_name(mongodb_client: Any) -> Iterator[str]:
    """The name of an empty database for this test"""
    name = f'test-{uuid4().hex}'
    yield name
    mongodb_client.drop_database(name)


@pytest.fixture
def mongodb_database(mongodb_client: Any, mongodb_name: str) -> Any:
    """The same database, as an object of the driver"""
    return mongodb_client[mongodb_name]


@pytest.fixture
def make_mongodb(mongodb_server: MongoServer, mongodb_name: str) -> Iterator[Callable[..., Any]]:
    """A function that makes caches, storages or sessions on this database; they are closed after the test"""
    made = []

    def make(factory: Any = MongoCache, *args: Any, **kwargs: Any) -> Any:
        made.append(factory(*(args or (mongodb_name,)), **{'port': mongodb_server.port, **kwargs}))
        return made[-1]

    yield make
    for product in made:
        product.close()


@pytest.fixture
def mongodb_cache(make_mongodb: Callable[..., Any]) -> MongoCache:
    return make_mongodb(MongoCache)  # type: ignore[no-any-return]


@pytest.fixture
def gridfs_cache(make_mongodb: Callable[..., Any]) -> GridFSCache:
    return make_mongodb(GridFSCache)  # type: ignore[no-any-return]
