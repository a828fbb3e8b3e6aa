"""Third-party backends: a storage only has to define the methods of a mutable mapping"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from requests_cache import BaseCache, BaseStorage, CachedSession, new_encryption_key
from requests_cache.testing import CacheContract, Origin, StorageContract
from requests_cache.testing.values import make_response


class OneDict(BaseStorage[str, Any]):
    """A storage written for 1.3.x, which does not pass keys to serializers and has no batches or pieces"""

    def __init__(self, place: dict[str, dict[str, Any]], name: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.entries = place.setdefault(name, {})

    def __getitem__(self, key: str) -> Any:
        return self.deserialize(key, self.entries[key])

    def __setitem__(self, key: str, value: Any) -> None:
        self.entries[key] = self.serialize(value)

    def __delitem__(self, key: str) -> None:
        del self.entries[key]

    def __iter__(self) -> Iterator[str]:
        yield from self.entries

    def __len__(self) -> int:
        return len(self.entries)

    def clear(self) -> None:
        self.entries.clear()


class OneDictCache(BaseCache):
    def __init__(self, place: dict[str, dict[str, Any]], serializer: Any = 'pickle', **kwargs: Any):
        super().__init__(cache_name='third party', **kwargs)
        self.responses = OneDict(place, 'responses', serializer=serializer, **kwargs)
        self.redirects = OneDict(place, 'redirects', **kwargs)


class OnDicts:
    @pytest.fixture
    def place(self) -> dict[str, dict[str, Any]]:
        return {}

    def open_storage(self, place: Any, kind: str = 'responses', **kwargs: Any) -> OneDict:
        serializer = {'serializer': 'pickle'} if kind == 'responses' else {}
        return OneDict(place, kind, **{**serializer, **kwargs})

    def open_cache(self, place: Any, **kwargs: Any) -> OneDictCache:
        return OneDictCache(place, **kwargs)


class TestThirdParty(OnDicts, StorageContract, CacheContract):
    serializers = ('pickle', 'json', 'orjson', 'ujson', 'yaml', 'bson')
    lacks = {
        'keyed serializers': 'storages for 1.3.x call `serialize` with the value alone',
        'writing while iterating': 'a dict does not allow that',
    }


def test_encryption_needs_the_key_of_an_entry(origin: Origin, caplog: pytest.LogCaptureFixture) -> None:
    """A storage that does not pass the key gets an error, because nobody could read its entries"""
    cache = OneDictCache({}, encryption_key=new_encryption_key())
    origin.add('/page', body=b'body')
    with CachedSession(backend=cache) as session:
        assert [session.get(origin.url('/page')).content for _ in range(2)] == [b'body'] * 2
    [warning] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warning.startswith('Unable to write to the cache')
    assert warning.endswith('OneDict encrypts entries, so it has to call serialize(value, key)')
    with pytest.raises(TypeError, match='OneDict encrypts'):
        cache.responses['key'] = make_response(1)
    cache.redirects['key'] = 'other'
