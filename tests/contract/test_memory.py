"""The contract suites in memory"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from requests_cache.backends.base import BaseCache
from requests_cache.backends.memory import DictStorage
from requests_cache.testing import BackendContract, StandardRules
from requests_cache.testing.rules.sealing import SEALED, Sealed
from requests_cache.testing.values import facts, make_response

NOT_SHARED = {
    'persistence': 'a dict is gone when its process ends',
    'sharing': 'each storage has a dict of its own',
}
KEPT_AS_OBJECTS = {'readable entries': 'nothing is turned into text or bytes'}


class InMemory:
    options: dict[str, Any] = {}

    def open_storage(self, place: Any, kind: str = 'responses', **kwargs: Any) -> DictStorage:
        return DictStorage(**{**self.options, **kwargs})

    def open_cache(self, place: Any, **kwargs: Any) -> BaseCache:
        return BaseCache(**{**self.options, **kwargs})


class TestMemory(InMemory, BackendContract):
    lacks = {**NOT_SHARED, **KEPT_AS_OBJECTS}
    damaged = (b'', b'not an entry', {'key': 'value'}, 5)

    def test_damaged_values_are_read_as_none(self, damage: Any, cache: Any) -> None:
        """Without a serializer, the storage accepts any object, but the cache expects responses"""
        cache.responses['bad'] = damage
        assert cache.responses['bad'] == damage
        assert cache.get_response('bad') is None
        assert cache.contains('bad')
        cache.responses['bad'] = make_response(2)
        assert facts(cache.get_response('bad')) == facts(make_response(2))


class TestMemoryWithSerializer(TestMemory):
    lacks: Mapping[str, str] = NOT_SHARED
    serializers = ('pickle', 'json', 'orjson', 'ujson', 'yaml', 'bson')
    damaged = BackendContract.damaged

    def open_storage(self, place: Any, kind: str = 'responses', **kwargs: Any) -> DictStorage:
        serializer = 'pickle' if kind == 'responses' else None
        return DictStorage(**{'serializer': serializer, **self.options, **kwargs})

    test_damaged_values_are_read_as_none = BackendContract.test_damaged_values_are_read_as_none


class TestSealedMemory(Sealed, TestMemory):
    lacks = TestMemory.lacks
    options = SEALED


class TestSealedMemoryWithSerializer(Sealed, TestMemoryWithSerializer):
    lacks = {**NOT_SHARED, **Sealed.lacks}
    serializers = ('pickle',)
    options = SEALED


class TestStandardInMemory(InMemory, StandardRules):
    pass
