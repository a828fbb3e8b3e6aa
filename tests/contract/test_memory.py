"""The contract, kept in memory"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from contract.sealing_rules import SEALED, Sealed
from contract.standard_rules import StandardRules
from contract.storage_contract import StorageContract
from contract.values import closing_all, facts, make_response
from requests_cache.backends.base import BaseCache
from requests_cache.backends.memory import DictStorage


class TestMemory(StorageContract):
    shared = False
    persistent = False
    damaged = (b'', b'not an entry', {'key': 'value'}, 5)
    options: dict[str, Any] = {}

    @pytest.fixture
    def storage_factory(self) -> Iterator[Any]:
        with closing_all(lambda kind='responses', **kwargs: DictStorage(**{**self.options, **kwargs})) as factory:
            yield factory

    @pytest.fixture
    def cache_factory(self) -> Iterator[Any]:
        with closing_all(lambda **kwargs: BaseCache(**{**self.options, **kwargs})) as factory:
            yield factory

    # Nothing is turned into text or bytes
    test_a_changed_character_is_noticed = None

    def test_damaged_values_are_read_as_none(self, damage: Any, cache: Any) -> None:
        """Without a serializer a storage keeps anything; it is the cache that wants responses"""
        cache.responses['bad'] = damage
        assert cache.responses['bad'] == damage
        assert cache.get_response('bad') is None
        assert cache.contains('bad')
        cache.responses['bad'] = make_response(2)
        assert facts(cache.get_response('bad')) == facts(make_response(2))


class TestMemoryWithSerializer(TestMemory):
    serializers = ('pickle', 'json', 'orjson', 'ujson', 'yaml', 'bson')
    damaged = StorageContract.damaged

    @pytest.fixture
    def storage_factory(self) -> Iterator[Any]:
        def make(kind: str = 'responses', **kwargs: Any) -> Any:
            serializer = 'pickle' if kind == 'responses' else None
            return DictStorage(**{'serializer': serializer, **self.options, **kwargs})

        with closing_all(make) as factory:
            yield factory

    test_a_changed_character_is_noticed = StorageContract.test_a_changed_character_is_noticed
    test_damaged_values_are_read_as_none = StorageContract.test_damaged_values_are_read_as_none


class TestSealedMemory(Sealed, TestMemory):
    options = SEALED


class TestSealedMemoryWithSerializer(Sealed, TestMemoryWithSerializer):
    serializers = ('pickle',)
    options = SEALED


class TestStandardInMemory(StandardRules):
    options = TestMemory.options
    cache_factory = TestMemory.cache_factory
