"""What a storage must do with an entry that others may have written since it was read"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from ..values import make_response
from .base import Contract


class ReplacingRules(Contract):
    """`write_if()` looks and writes in one step"""

    def test_writing_if_nothing_has_changed(self, storage: Any) -> None:
        """It writes if what is stored is what was expected, and returns whether it did"""
        assert storage.write_if('key', make_response(1), lambda stored: stored is None)
        assert not storage.write_if('key', make_response(2), lambda stored: stored is None)
        assert storage['key'].content == make_response(1).content
        assert storage.write_if('key', make_response(2), lambda stored: stored.content == make_response(1).content)
        assert storage['key'].content == make_response(2).content

    def test_only_one_writes_over_the_same(self, storage: Any, storage_factory: Callable[..., Any]) -> None:
        """Of several threads that expect the same entry, one replaces it"""
        n_threads = 4
        storages = [storage_factory() if self.has('sharing') else storage for _ in range(n_threads)]
        storage['key'] = make_response(0)
        before, barrier = storage['key'].created_at, Barrier(n_threads)

        def write(number: int) -> bool:
            barrier.wait()
            written: bool = storages[number].write_if(
                'key', make_response(number + 1), lambda stored: stored is not None and stored.created_at == before
            )
            return written

        with ThreadPoolExecutor(n_threads) as pool:
            written = list(pool.map(write, range(n_threads)))
        assert sum(written) == 1
        assert storage['key'].content == make_response(written.index(True) + 1).content
