"""The contract suites on GridFS: on a server, with and without authentication, and in mongomock"""

from __future__ import annotations

from typing import Any

from contract.mongodb_rules import MAY_FORK, InMongomock, MongoRules, OnMongoDB, WithAuthentication
from requests_cache.backends.gridfs import GridFSCache, GridFSDict
from requests_cache.backends.mongodb import MongoDict
from requests_cache.testing import StandardRules

pytest_plugins = ['support.mongodb_fixtures']


@MAY_FORK
class TestGridFS(MongoRules):
    storage_class, cache_class = GridFSDict, GridFSCache
    serializers = (None, 'json', 'bson')

    def open_storage(self, place: tuple[str, dict[str, Any]], kind: str = 'responses', **kwargs: Any) -> Any:
        name, options = place
        if kind == 'responses':
            return GridFSDict(name, **{**options, **kwargs})
        return MongoDict(name, kind, serializer=None, **{**options, **kwargs})


@MAY_FORK
class TestGridFSWithAuthentication(WithAuthentication, TestGridFS):
    pass


class TestGridFSInMongomock(InMongomock, TestGridFS):
    pass


class TestStandardOnGridFS(OnMongoDB, StandardRules):
    storage_class, cache_class = GridFSDict, GridFSCache
