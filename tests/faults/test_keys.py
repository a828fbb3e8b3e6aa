"""Keys of one's own, with anything in them, on every backend: entries are found by them, and stay where the cache is"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.backend_plugins import BACKEND_PLUGINS

from faults.local_caches import BACKENDS
from requests_cache import CachedSession
from requests_cache.testing.origin import Origin, answer
from requests_cache.testing.values import CLOSE_KEYS, STRANGE_KEYS

pytest_plugins = BACKEND_PLUGINS

KEYS = list(dict.fromkeys([*STRANGE_KEYS, *(key for pair in CLOSE_KEYS for key in pair)]))


@pytest.mark.parametrize('name', BACKENDS)
def test_anything(name: str, backend_options: dict[str, Any], origin: Origin, tmp_path: Path, cache_path: Path) -> None:
    """Each request says by a number which key it wants"""
    assert any(len(key) >= 10_000 for key in KEYS)
    origin.default = lambda request: answer(200, request.path)
    before = {path for path in tmp_path.rglob('*') if cache_path.parent not in path.parents}
    with CachedSession(**backend_options, key_fn=lambda request, **kwargs: KEYS[int(request.url[-3:])]) as session:
        for from_cache in (False, True):
            for number in range(len(KEYS)):
                response = session.get(origin.url(f'/{number:03}'))
                assert response.from_cache is from_cache, repr(KEYS[number][:40])
                assert response.text == f'/{number:03}'
        assert sorted(session.cache.responses) == sorted(KEYS)
        assert {r.cache_key for r in session.cache.filter()} == set(KEYS)
        assert session.cache.delete(*KEYS[::2]) == len(KEYS[::2])
        assert sorted(session.cache.responses) == sorted(KEYS[1::2])
        session.cache.clear()
        assert len(session.cache.responses) == 0
    outside = {path for path in tmp_path.rglob('*') if cache_path.parent not in path.parents}
    assert outside - before <= {cache_path.parent}
