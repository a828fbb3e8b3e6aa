"""What leases of a store must do: one value for each key, replaced in one step"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from ..values import STRANGE_KEYS, make_response
from .base import Contract


class LeaseRules(Contract):
    """`cache.leases` keeps a value for a key that is replaced in one step; `single_flight="shared"` is built on it"""

    def test_a_lease_is_replaced_if_it_is_what_it_is_thought_to_be(self, cache: Any) -> None:
        """`swap(key, old, new)` replaces the old value if it is still there; None stands for no value"""
        leases = cache.leases
        assert leases.read('key') is None
        assert not leases.swap('key', 'held:1:0', 'held:1:1')
        assert not leases.swap('key', 'held:1:0', None)
        assert leases.swap('key', None, 'held:1:0')
        assert not leases.swap('key', None, 'held:2:0')
        assert leases.read('key') == 'held:1:0'
        assert not leases.swap('key', 'held:2:0', 'held:2:1')
        assert not leases.swap('key', 'held:2:0', None)
        assert leases.swap('key', 'held:1:0', 'held:1:1')
        assert leases.read('key') == 'held:1:1'
        assert leases.swap('key', 'held:1:1', None)
        assert leases.read('key') is None
        assert leases.swap('key', None, 'held:3:0')

    @pytest.mark.parametrize('key', [*STRANGE_KEYS[:12], 'ключ 键 🔑', 'lone surrogate \ud800', 'k' * 10_000])
    def test_for_any_key(self, cache: Any, key: str) -> None:
        """A lease may be held for any key, and for no other key that looks like it"""
        self.needs('any key')
        assert cache.leases.swap(key, None, 'held:1:0')
        assert cache.leases.read(key) == 'held:1:0'
        assert cache.leases.read(f'{key} ') is None
        assert cache.leases.swap(key, 'held:1:0', None)

    def test_leases_are_no_entries(self, cache: Any) -> None:
        """Leases do not appear among the entries, and are not deleted with them"""
        cache.save_response(make_response(1), 'key')
        assert cache.leases.swap('key', None, 'held:1:0')
        assert cache.leases.swap('other', None, 'held:2:0')
        assert list(cache.responses) == ['key']
        assert len(cache.responses) == 1
        assert len(list(cache.filter())) == 1
        assert not cache.contains('other')
        assert cache.delete('key') == 1
        assert cache.leases.read('key') == 'held:1:0'
        cache.clear()
        assert cache.leases.swap('key', cache.leases.read('key'), 'held:3:0')

    def test_one_of_many_takes_it(self, cache_factory: Callable[..., Any]) -> None:
        """If several threads ask for a lease, one of them gets it"""
        self.needs('threads')
        n_threads = 6
        first = cache_factory()
        caches = [cache_factory() if self.has('sharing', 'shared leases') else first for _ in range(n_threads)]
        barrier = Barrier(n_threads)

        def take(number: int) -> list[bool]:
            taken = []
            for key in 'abcdefgh':
                barrier.wait()
                taken.append(caches[number].leases.swap(key, None, f'held:{number}:0'))
                barrier.wait()
                taken.append(caches[number].leases.swap(key, caches[0].leases.read(key), f'held:{number}:1'))
            return taken

        with ThreadPoolExecutor(n_threads) as pool:
            results = list(pool.map(take, range(n_threads)))
        for attempt in range(0, 16, 2):
            assert sum(result[attempt] for result in results) == 1
        for attempt in range(1, 16, 2):
            assert sum(result[attempt] for result in results) >= 1

    def test_those_of_other_processes_are_seen(self, cache_factory: Callable[..., Any]) -> None:
        """A lease that was taken by one cache is seen by another one on the same place"""
        self.needs('sharing', 'shared leases')
        one, other = cache_factory(), cache_factory()
        assert one.leases.swap('key', None, 'held:1:0')
        assert other.leases.read('key') == 'held:1:0'
        assert not other.leases.swap('key', None, 'held:2:0')
        assert other.leases.swap('key', 'held:1:0', 'held:2:0')
        assert not one.leases.swap('key', 'held:1:0', None)
