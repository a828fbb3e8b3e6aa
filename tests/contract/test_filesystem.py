"""The contract, kept in files"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.sealing_rules import SEALED, Sealed
from contract.standard_rules import StandardRules
from contract.storage_contract import StorageContract
from contract.values import closing_all, facts, make_response
from requests_cache.backends.filesystem import FileCache, FileDict, LRUFileDict
from requests_cache.backends.sqlite import SQLiteDict
from requests_cache.models.response import CachedResponse

SERIALIZERS = ('json', 'yaml', 'pickle', 'bson', 'orjson', 'ujson')


class TestFilesystem(StorageContract):
    serializers = SERIALIZERS
    storage_class: type[FileDict] = FileDict
    options: dict[str, Any] = {}

    @pytest.fixture
    def storage_factory(self, cache_path: Path) -> Iterator[Any]:
        def make(kind: str = 'responses', **kwargs: Any) -> Any:
            if kind == 'redirects':
                return SQLiteDict(cache_path / 'redirects.sqlite', 'redirects', serializer=None)
            return self.storage_class(cache_path, **{**self.options, **kwargs})

        with closing_all(make) as factory:
            yield factory

    @pytest.fixture
    def cache_factory(self, cache_path: Path) -> Iterator[Any]:
        def make(**kwargs: Any) -> FileCache:
            return FileCache(cache_path, **{**self.options, **kwargs})

        with closing_all(make) as factory:
            yield factory

    def settle(self, storage: Any) -> None:
        for number in range(20):
            storage['new'] = make_response(number)

    @pytest.fixture
    def broken_storage(self, storage_factory: Callable[..., Any], cache_path: Path) -> Any:
        storage = storage_factory()
        storage.close()
        for path in cache_path.iterdir():
            path.unlink()
        cache_path.rmdir()
        cache_path.write_text('not a directory')
        return storage

    @pytest.mark.parametrize('own_serializer', SERIALIZERS)
    def test_damaged_files_of_any_format(
        self, own_serializer: str, damage: Any, storage_factory: Callable[..., Any]
    ) -> None:
        storage = storage_factory(serializer=own_serializer)
        self.plant(storage, 'bad', damage)
        assert not isinstance(storage['bad'], CachedResponse)  # for YAML, any text is a document
        storage['bad'] = make_response(1)
        assert facts(storage['bad']) == facts(make_response(1))


class TestSizeBoundedFilesystem(TestFilesystem):
    storage_class = LRUFileDict
    options = {'max_cache_bytes': 100_000_000}


class TestFilesystemWithPickle(TestFilesystem):
    serializers = (None,)
    options = {'serializer': 'pickle'}


class TestSealedFiles(Sealed, TestFilesystem):
    options = SEALED


class TestStandardOnFiles(StandardRules):
    options = TestFilesystem.options
    cache_factory = TestFilesystem.cache_factory
