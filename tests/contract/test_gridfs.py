"""The contract, kept in GridFS: on a server, with and without authentication, and in mongomock"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from contract.mongodb_rules import MAY_FORK, InMongomock, MongoRules, WithAuthentication
from contract.standard_rules import StandardRules
from contract.values import closing_all
from requests_cache.backends.gridfs import GridFSCache, GridFSDict
from requests_cache.backends.mongodb import MongoDict

pytest_plugins = ['support.mongodb_fixtures']


@MAY_FORK
class TestGridFS(MongoRules):
    storage_class, cache_class = GridFSDict, GridFSCache
    serializers = (None, 'json', 'bson')

    @pytest.fixture
    def storage_factory(self, name: str, options: dict[str, Any]) -> Iterator[Any]:
        def make(kind: str = 'responses', **kwargs: Any) -> Any:
            if kind == 'responses':
                return GridFSDict(name, **{**options, **kwargs})
            return MongoDict(name, kind, serializer=None, **{**options, **kwargs})

        with closing_all(make) as factory:
            yield factory


@MAY_FORK
class TestGridFSWithAuthentication(WithAuthentication, TestGridFS):
    pass


class TestGridFSInMongomock(InMongomock, TestGridFS):
    pass


class TestStandardOnGridFS(StandardRules):
    storage_class, cache_class = GridFSDict, GridFSCache
    options = TestGridFS.options
    name = TestGridFS.name
    cache_factory = TestGridFS.cache_factory
