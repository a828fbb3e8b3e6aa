"""The contract suites on files"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from requests_cache.backends.filesystem import FileCache, FileDict, LRUFileDict
from requests_cache.backends.sqlite import SQLiteDict
from requests_cache.models.response import CachedResponse
from requests_cache.testing import BackendContract, StandardRules
from requests_cache.testing.rules.sealing import SEALED, Sealed
from requests_cache.testing.values import facts, make_response

SERIALIZERS = ('json', 'yaml', 'pickle', 'bson', 'orjson', 'ujson')


class OnFilesystem:
    storage_class: type[FileDict] = FileDict
    options: dict[str, Any] = {}

    @pytest.fixture
    def place(self, cache_path: Path) -> Path:
        return cache_path

    def open_storage(self, place: Path, kind: str = 'responses', **kwargs: Any) -> FileDict | SQLiteDict:
        if kind == 'redirects':
            return SQLiteDict(place / 'redirects.sqlite', 'redirects', serializer=None)
        return self.storage_class(place, **{**self.options, **kwargs})

    def open_cache(self, place: Path, **kwargs: Any) -> FileCache:
        return FileCache(place, **{**self.options, **kwargs})


class TestFilesystem(OnFilesystem, BackendContract):
    serializers = SERIALIZERS

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
        assert not isinstance(storage['bad'], CachedResponse)  # in YAML, any text is a valid document
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


class TestStandardOnFiles(OnFilesystem, StandardRules):
    pass
