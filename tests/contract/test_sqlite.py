"""The contract suites on SQLite: in files with both journal modes, and in memory"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from requests_cache.backends.sqlite import SQLiteCache, SQLiteDict
from requests_cache.testing import BackendContract, StandardRules
from requests_cache.testing.rules.sealing import SEALED, Sealed

SERIALIZERS = ('pickle', 'json', 'yaml', 'bson', 'orjson', 'ujson')


class OnSQLite:
    options: dict[str, Any] = {}

    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        return str(tmp_path / 'cache')

    def open_storage(self, place: str, kind: str = 'responses', **kwargs: Any) -> SQLiteDict:
        serializer = {'serializer': None} if kind == 'redirects' else {}
        return SQLiteDict(place, kind, **{**serializer, **self.options, **kwargs})

    def open_cache(self, place: str, **kwargs: Any) -> SQLiteCache:
        return SQLiteCache(place, **{**self.options, **kwargs})


class TestSQLite(OnSQLite, BackendContract):
    many = 2050
    serializers = SERIALIZERS

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
    lacks = {
        'persistence': 'a database in memory is gone when it is closed',
        'sharing': 'each storage has a database of its own',
    }
    serializers = (None,)
    options = {'use_memory': True}


class TestSQLiteSharedMemory(TestSQLite):
    """A named database in memory, which several caches share"""

    lacks = {
        'forking': 'the child has a copy, and none of the locks of the shared cache',
        'persistence': 'a database in memory is gone when nobody has it open',
    }
    serializers = (None,)
    names = iter(range(10**9))

    @pytest.fixture
    def place(self) -> str:
        return f'file:contract-{next(self.names)}?mode=memory&cache=shared'


class TestStandardOnSQLite(OnSQLite, StandardRules):
    pass
