"""The contract suites on MongoDB: on a server, with and without authentication, and in mongomock"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract.mongodb_rules import MAY_FORK, InMongomock, MongoRules, OnMongoDB, WithAuthentication
from requests_cache.backends.mongodb import MongoCache, MongoDict
from requests_cache.testing import StandardRules

pytest_plugins = ['support.mongodb_fixtures']

DELETES_BY_ITSELF = {'deletion of expired entries': 'the server does that'}


@MAY_FORK
class TestMongoDB(MongoRules):
    storage_class, cache_class = MongoDict, MongoCache
    lacks: Mapping[str, str] = DELETES_BY_ITSELF
    serializers = (None, 'pickle', 'json', 'bson')
    damaged = (
        {'key': 'value'},
        {'status_code': 'none'},
        {'created_at': 5},
        {'status_code': 200, '_content': 'no bytes'},
    )

    def open_storage(self, place: tuple[str, dict[str, Any]], kind: str = 'responses', **kwargs: Any) -> MongoDict:
        name, options = place
        serializer = {} if kind == 'responses' else {'serializer': None}
        return MongoDict(name, kind, **{**options, **serializer, **kwargs})


@MAY_FORK
class TestMongoDBWithAuthentication(WithAuthentication, TestMongoDB):
    lacks = {**WithAuthentication.lacks, **DELETES_BY_ITSELF}


class TestMongomock(InMongomock, TestMongoDB):
    lacks = {**InMongomock.lacks, **DELETES_BY_ITSELF}


class TestStandardOnMongoDB(OnMongoDB, StandardRules):
    storage_class, cache_class = MongoDict, MongoCache
