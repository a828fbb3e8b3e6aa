"""The contract, kept in SQLite: in files with either kind of journal, and in memory"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.sealing_rules import SEALED, Sealed
from contract.standard_rules import StandardRules
from contract.storage_contract import StorageContract
from contract.values import closing_all
from requests_cache.backends.sqlite import SQLiteCache, SQLiteDict

SERIALIZERS = ('pickle', 'json', 'yaml', 'bson', 'orjson', 'ujson')


class TestSQLite(StorageContract):
    many = 2050
    serializers = SERIALIZERS
    options: dict[str, Any] = {}

    @pytest.fixture
    def storage_factory(self, tmp_path: Path) -> Iterator[Any]:
        def make(kind: str = 'responses', **kwargs: Any) -> SQLiteDict:
            serializer = {'serializer': None} if kind == 'redirects' else {}
            return SQLiteDict(tmp_path / 'cache', kind, **{**serializer, **self.options, **kwargs})

        with closing_all(make) as factory:
            yield factory

    @pytest.fixture
    def cache_factory(self, tmp_path: Path) -> Iterator[Any]:
        with closing_all(lambda **kwargs: SQLiteCache(tmp_path / 'cache', **{**self.options, **kwargs})) as factory:
            yield factory

    @pytest.fixture
    def broken_storage(self, tmp_path: Path) -> Iterator[SQLiteDict]:
        (tmp_path / 'broken.sqlite').write_bytes(b'This is not a database, but somebody else wants to keep it.' * 100)
        storage = SQLiteDict(tmp_path / 'broken', 'responses')
        yield storage
        storage.close()


class TestSQLiteWithWriteAheadLog(TestSQLite):
    serializers = (None,)
    options = {'wal': True}


class TestSealedSQLite(Sealed, TestSQLite):
    options = {'fast_save': True, **SEALED}


class TestSQLiteInMemory(TestSQLite):
    shared = False
    persistent = False
    serializers = (None,)
    options = {'use_memory': True}


class TestSQLiteSharedMemory(TestSQLite):
    """A database in memory with a name, which several caches open"""

    serializers = (None,)
    forkable = False  # the child has a copy, and none of the locks of the shared cache
    persistent = False
    names = iter(range(10**9))

    @pytest.fixture
    def uri(self) -> str:
        return f'file:contract-{next(self.names)}?mode=memory&cache=shared'

    @pytest.fixture
    def storage_factory(self, uri: str) -> Iterator[Any]:
        def make(kind: str = 'responses', **kwargs: Any) -> SQLiteDict:
            serializer = {'serializer': None} if kind == 'redirects' else {}
            return SQLiteDict(uri, kind, **{**serializer, **kwargs})

        with closing_all(make) as factory:
            yield factory

    @pytest.fixture
    def cache_factory(self, uri: str) -> Iterator[Any]:
        with closing_all(lambda **kwargs: SQLiteCache(uri, **kwargs)) as factory:
            yield factory


class TestStandardOnSQLite(StandardRules):
    options = TestSQLite.options
    cache_factory = TestSQLite.cache_factory
