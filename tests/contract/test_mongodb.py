"""The contract, kept in MongoDB: on a server, with and without authentication, and in mongomock"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from contract.mongodb_rules import MAY_FORK, InMongomock, MongoRules, WithAuthentication
from contract.standard_rules import StandardRules
from contract.values import closing_all
from requests_cache.backends.mongodb import MongoCache, MongoDict

pytest_plugins = ['support.mongodb_fixtures']


@MAY_FORK
class TestMongoDB(MongoRules):
    storage_class, cache_class = MongoDict, MongoCache
    # The server does that
    deletes_expired = False
    serializers = (None, 'pickle', 'json', 'bson')
    damaged = (
        {'key': 'value'},
        {'status_code': 'none'},
        {'created_at': 5},
        {'status_code': 200, '_content': 'no bytes'},
    )

    @pytest.fixture
    def storage_factory(self, name: str, options: dict[str, Any]) -> Iterator[Any]:
        def make(kind: str = 'responses', **kwargs: Any) -> Any:
            serializer = {} if kind == 'responses' else {'serializer': None}
            return MongoDict(name, kind, **{**options, **serializer, **kwargs})

        with closing_all(make) as factory:
            yield factory


@MAY_FORK
class TestMongoDBWithAuthentication(WithAuthentication, TestMongoDB):
    pass


class TestMongomock(InMongomock, TestMongoDB):
    pass


class TestStandardOnMongoDB(StandardRules):
    storage_class, cache_class = MongoDict, MongoCache
    options = TestMongoDB.options
    name = TestMongoDB.name
    cache_factory = TestMongoDB.cache_factory
