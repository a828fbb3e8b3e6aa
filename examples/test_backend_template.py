"""The tests of the template: `pytest test_backend_template.py`, with requests-cache[testing] installed"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from backend_template import JsonLinesCache, JsonLinesStorage

from requests_cache.testing import (
    CacheContract,
    LeaseRules,
    ReplacingRules,
    SealingRules,
    SharingRules,
    StandardRules,
    StorageContract,
)


class OnJsonLines:
    """Opens storages and caches for all test classes below"""

    # What this backend cannot do, and why: these tests are skipped, and `pytest -rs` shows the reasons
    lacks = {
        'large bodies': 'an entry is one line, with all of its body',
        'shared leases': 'leases are those of `BaseCache`, in the memory of one process',
        'sharing': 'a storage reads the file once, and does not notice what other processes write',
    }
    # Some tests write this many entries. A storage that reads or writes in batches needs more than two batches hold.
    many = 300
    # Tests of round trips run with all of these
    serializers = (None, 'json', 'pickle')

    def open_storage(self, place: Path, kind: str = 'responses', **kwargs: Any) -> JsonLinesStorage:
        """`kind` is 'responses' or 'redirects'; two calls with the same place open the same entries"""
        serializer = {'serializer': 'json'} if kind == 'responses' else {}
        return JsonLinesStorage(place / f'{kind}.jsonl', **{**serializer, **kwargs})

    def open_cache(self, place: Path, **kwargs: Any) -> JsonLinesCache:
        return JsonLinesCache(place / 'cache', **kwargs)

    @pytest.fixture
    def broken_storage(self, place: Path) -> JsonLinesStorage:
        """A storage whose methods all fail, because its file is a directory"""
        (place / 'directory.jsonl').mkdir()
        return JsonLinesStorage(place / 'directory.jsonl', serializer='json')


class TestJsonLines(OnJsonLines, StorageContract, CacheContract, SharingRules, ReplacingRules, LeaseRules):
    """The rules for every backend, and optional ones that this backend follows"""


class TestSealedJsonLines(OnJsonLines, SealingRules):
    """Compression and encryption, which work because `serialize` and `deserialize` are called with the key"""


class TestStandardOnJsonLines(OnJsonLines, StandardRules):
    """`cache_control='strict'`, with a real server"""


# Features that the contract does not cover


def test_one_line_for_each_key_after_closing(tmp_path: Path) -> None:
    storage = JsonLinesStorage(tmp_path / 'file.jsonl')
    storage.update({'b': '1', 'a': '2'})
    storage['b'] = '3'
    storage['c'] = '4'
    del storage['c']
    storage.close()
    assert (tmp_path / 'file.jsonl').read_text() == '["a", "2"]\n["b", "3"]\n'
    assert dict(storage.items()) == {'a': '2', 'b': '3'}


@pytest.mark.skipif(os.name == 'nt', reason='Windows has no file modes')
def test_only_the_user_may_read_it(tmp_path: Path) -> None:
    storage = JsonLinesStorage(tmp_path / 'file.jsonl')
    for _ in range(2):
        storage['key'] = 'value'
        assert storage.path.stat().st_mode & 0o777 == 0o600
        storage.close()
        assert storage.path.stat().st_mode & 0o777 == 0o600


def test_who_only_reads_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / 'file.jsonl'
    path.write_text('["b", "1"]\n["a", "2"]\n')
    storage = JsonLinesStorage(path)
    assert sorted(storage) == ['a', 'b']
    storage.close()
    assert path.read_text() == '["b", "1"]\n["a", "2"]\n'


@pytest.mark.parametrize('half', ['["c", "4', '["c"', '[', 'null', '5', '{"c": 1}', '"c"', '[[], "4"]', '\ufeff'])
def test_half_a_line_is_passed_over(tmp_path: Path, half: str) -> None:
    path = tmp_path / 'file.jsonl'
    path.write_text(f'["a", "1"]\n{half}', encoding='utf-8')
    storage = JsonLinesStorage(path)
    storage['d'] = '5'
    assert dict(JsonLinesStorage(path).items()) == {'a': '1', 'd': '5'}
