"""The contract suites for MongoDB and GridFS: on a server, with and without authentication, and in mongomock"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import mongomock
import pytest
from support.mongodb_server import AuthenticatingMongoServer, MongoServer, free_port

from requests_cache.testing import BackendContract
from requests_cache.testing.rules.sealing import SEALED, Sealed

# Since 3.12, Python warns about forks in a process with threads, and the driver starts some
MAY_FORK = pytest.mark.filterwarnings('ignore:.*use of fork:DeprecationWarning')


class OnMongoDB:
    storage_class: Any
    cache_class: Any

    @pytest.fixture
    def options(self, mongodb_server: MongoServer) -> dict[str, Any]:
        return {'host': mongodb_server.host, 'port': mongodb_server.port}

    @pytest.fixture
    def name(self, options: dict[str, Any]) -> Iterator[str]:
        name = f'test-{uuid4().hex}'
        yield name
        with self.storage_class(name, **options).connection as client:
            client.drop_database(name)

    @pytest.fixture
    def place(self, name: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return name, options

    def open_cache(self, place: tuple[str, dict[str, Any]], **kwargs: Any) -> Any:
        name, options = place
        return self.cache_class(name, **{**options, **kwargs})


class MongoRules(OnMongoDB, BackendContract):
    many = 1200
    examples = 8

    @pytest.fixture
    def broken_storage(self) -> Iterator[Any]:
        storage = self.storage_class('test', port=free_port(), serverSelectionTimeoutMS=1)
        yield storage
        storage.close()


class WithAuthentication(Sealed):
    """With a password, and with everything compressed and encrypted"""

    many = 300
    storage_class: Any

    @pytest.fixture
    def options(self, authenticating_mongodb_server: AuthenticatingMongoServer) -> dict[str, Any]:
        server = authenticating_mongodb_server
        return {'host': server.host, 'port': server.port, **server.credentials, **SEALED}

    @pytest.fixture
    def broken_storage(self, options: dict[str, Any]) -> Iterator[Any]:
        storage = self.storage_class('test', **{**options, 'password': 'wrong'})
        yield storage
        storage.close()


class InMongomock:
    lacks: Mapping[str, str] = {
        'forking': 'a child process has its own copy of the memory',
        'threads': 'mongomock is not thread-safe',
    }
    serializers = (None,)
    many = 300

    @pytest.fixture
    def options(self) -> Iterator[dict[str, Any]]:
        with mongomock.MongoClient() as client:
            yield {'connection': client}
