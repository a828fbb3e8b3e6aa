"""What storages must do with bounds, and with entries that have expired long ago"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from random import Random
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ...exceptions import EntryTooLargeError
from ..clock import ManualClock
from ..values import facts, large, make_response
from .base import Contract

BODY_BYTES = 10_000
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
STEPS = st.tuples(st.sampled_from(['write', 'write', 'read', 'delete', 'clear']), st.sampled_from('abcdefgh'))


def body(number: int = 0, length: int = BODY_BYTES, **kwargs: Any) -> Any:
    # Which nothing makes smaller
    return make_response(number, content=Random(number).randbytes(length), **kwargs)


class BoundRules(Contract):
    """A storage with bounds keeps within them: what was least recently used makes room for what is new"""

    @pytest.fixture
    def bounded(self, storage_factory: Callable[..., Any]) -> Callable[..., Any]:
        self.needs('bounds')
        return storage_factory

    def test_a_number_of_entries(self, bounded: Callable[..., Any]) -> None:
        """`max_entries` holds after each write, and the last ones stay"""
        storage = bounded(max_entries=4)
        for number in range(10):
            storage[f'{number}'] = make_response(number)
            assert len(storage) <= 4
            assert facts(storage[f'{number}']) == facts(make_response(number))
        assert set(storage) == {'6', '7', '8', '9'}

    def test_what_was_used_stays(self, bounded: Callable[..., Any]) -> None:
        """Reading an entry is a use of it; looking for its key, or scanning, is not"""
        storage = bounded(max_entries=3)
        for key in 'abc':
            storage[key] = make_response(1)
        assert storage['a'] is not None
        assert 'b' in storage  # which is no use
        assert list(storage.scan())  # nor is this
        storage['d'] = make_response(1)
        assert set(storage) == {'a', 'c', 'd'}
        assert storage['c'] is not None
        storage['e'] = make_response(1)
        storage['f'] = make_response(1)
        assert set(storage) == {'c', 'e', 'f'}

    def test_a_number_of_bytes(self, bounded: Callable[..., Any]) -> None:
        """`max_cache_bytes` holds after each write, and the last ones stay"""
        storage = bounded(max_cache_bytes=10 * BODY_BYTES)
        for number in range(30):
            storage[f'{number}'] = body(number)
            assert sum(value.size for _, value in storage.scan()) <= 10 * BODY_BYTES
            assert f'{number}' in storage
        assert {f'{number}' for number in range(25, 30)} <= set(storage)

    def test_nothing_goes_while_there_is_room(self, bounded: Callable[..., Any]) -> None:
        """No entry is evicted before a bound is reached"""
        storage = bounded(max_cache_bytes='1 MB', max_entries=25)
        for number in range(25):
            storage[f'{number}'] = body(number)
        assert len(list(storage)) == 25

    def test_too_large(self, bounded: Callable[..., Any]) -> None:
        """An entry that is too large for the store evicts nothing; an older one with its key is deleted"""
        storage = bounded(max_cache_bytes=5 * BODY_BYTES)
        for key in 'abc':
            assert storage.put(key, make_response(1))
        assert not storage.put('new', body(1, 6 * BODY_BYTES))
        assert set(storage) == {'a', 'b', 'c'}
        storage['a'] = body(1, 6 * BODY_BYTES)
        assert set(storage) == {'b', 'c'}
        assert storage.put('a', make_response(2))
        assert not storage.write_if('a', body(1, 6 * BODY_BYTES), lambda stored: True)
        assert set(storage) == {'b', 'c'}

    def test_too_large_while_it_is_written(self, bounded: Callable[..., Any]) -> None:
        """A body is given up as soon as it is larger than all that may be stored"""
        storage = self.in_pieces(bounded(max_cache_bytes=5 * BODY_BYTES, large_body_bytes=1_000))
        for key in 'abc':
            storage[key] = make_response(1)
        writer = storage.body_writer('new')
        for _ in range(50):
            writer.write(b'x' * 1_000)
        with pytest.raises(EntryTooLargeError):
            writer.write(b'x')
        writer.abort()
        storage['other'] = large(1, 6 * BODY_BYTES)
        assert set(storage) == {'a', 'b', 'c'}
        assert list(storage.pieces.unused()) == []

    def test_overwriting(self, bounded: Callable[..., Any]) -> None:
        """An entry that is replaced counts once, by its new size"""
        storage = bounded(max_cache_bytes=10 * BODY_BYTES, max_entries=3)
        for key in 'abc':
            storage[key] = make_response(1)
        for number in range(5):
            storage['b'] = body(number, BODY_BYTES * (1 + number % 2))
        assert set(storage) == {'a', 'b', 'c'}
        assert storage['b'].size == BODY_BYTES
        storage['d'] = make_response(1)
        assert set(storage) == {'b', 'c', 'd'}

    def test_deleted_entries_make_room(self, bounded: Callable[..., Any]) -> None:
        """What was deleted or cleared counts no longer"""
        storage = bounded(max_entries=3)
        for key in 'abc':
            storage[key] = make_response(1)
        del storage['a']
        storage.bulk_delete(['b', 'x'])
        storage['d'] = make_response(1)
        storage['e'] = make_response(1)
        assert set(storage) == {'c', 'd', 'e'}
        storage.clear()
        for key in 'xyz':
            storage[key] = make_response(1)
        assert set(storage) == {'x', 'y', 'z'}

    def test_large_bodies_count(self, bounded: Callable[..., Any]) -> None:
        """Bodies in pieces count as a part of their entries"""
        storage = self.in_pieces(bounded(max_cache_bytes=100_000, large_body_bytes=1_000), 5_000)
        for number in range(12):
            storage[f'{number}'] = body(number, 20_000)
            assert storage[f'{number}'].content == body(number, 20_000).content
        assert 3 <= len(list(storage)) <= 4
        assert list(storage.pieces.unused()) == []
        writer = storage.body_writer('streamed')
        for number in range(10):
            writer.write(body(number, 5_000).content)
        storage['streamed'] = make_response(1)._with_body(writer.commit())
        assert len(storage['streamed'].content) == 50_000
        assert sum(value.size for _, value in storage.scan()) <= 100_000

    def test_what_others_wrote_counts(self, bounded: Callable[..., Any]) -> None:
        """Entries that storages without bounds wrote or deleted are accounted for, sooner or later"""
        self.needs('sharing')
        storage, other = bounded(max_entries=4), bounded()
        for key in 'abc':
            storage[key] = make_response(1)
        for key in 'defgh':
            other[key] = make_response(1)
        del other['a']
        again = bounded(max_entries=4)
        again['new'] = make_response(1)
        self.settle(again)
        assert len(list(again)) <= 4
        assert 'new' in again

    def test_many_threads(self, bounded: Callable[..., Any]) -> None:
        """Bounds hold with many threads, and what is accounted for is what is there"""
        self.needs('threads')
        storages = [bounded(max_entries=8, max_cache_bytes='1 MB') for _ in range(2 if self.has('sharing') else 1)]
        n_threads = 6
        barrier = Barrier(n_threads)

        def write(thread: int) -> None:
            storage = storages[thread % len(storages)]
            barrier.wait()
            for number in range(8):
                storage[f'{thread}-{number}'] = make_response(number)
                assert storage.get(f'{thread}-{number // 2}') is None or number >= 0

        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(write, range(n_threads)))
        assert 1 <= len(list(storages[0])) <= 8
        # What is accounted for is what is there
        for number in range(8):
            storages[0][f'last-{number}'] = make_response(number)
        assert set(storages[0]) == {f'last-{number}' for number in range(8)}

    def test_any_sequence(self, bounded: Callable[..., Any]) -> None:
        """After any sequence of operations, those entries are kept that a simple model keeps"""
        storage = bounded(max_entries=5)

        @settings(
            max_examples=self.examples,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )
        @given(st.lists(STEPS, max_size=30))
        def check(steps: list[tuple[str, str]]) -> None:
            storage.clear()
            model: dict[str, int] = {}
            for number, (operation, key) in enumerate(steps):
                if operation == 'write':
                    storage[key] = make_response(number)
                    model.pop(key, None)
                    model[key] = number
                    if len(model) > 5:
                        del model[next(iter(model))]
                elif operation == 'read':
                    value = storage.get(key)
                    assert (value is not None) == (key in model)
                    if value is not None:
                        assert facts(value) == facts(make_response(model[key]))
                        model[key] = model.pop(key)
                elif operation == 'delete':
                    assert storage.bulk_delete([key]) == (model.pop(key, None) is not None)
                else:
                    storage.clear()
                    model.clear()
                assert set(storage) == set(model)

        check()

    @pytest.mark.parametrize(
        ('keywords', 'error', 'text'),
        [
            ({'max_cache_bytes': 'much'}, ValueError, "'500 MB'"),
            ({'max_cache_bytes': 0}, ValueError, 'max_cache_bytes'),
            ({'max_entries': 0}, ValueError, 'at least 1'),
            ({'max_entries': 1.5}, TypeError, 'max_entries'),
            ({'delete_expired_after': -5}, ValueError, 'delete_expired_after'),
            ({'delete_expired_after': 'soon'}, TypeError, 'delete_expired_after'),
        ],
    )
    def test_errors(
        self, keywords: dict[str, Any], error: type[Exception], text: str, storage_factory: Callable[..., Any]
    ) -> None:
        """Values without a meaning are errors; so are bounds for a storage that has none"""
        if 'delete_expired_after' not in keywords and not self.has('bounds'):
            error, text = ValueError, 'bound'
        with pytest.raises(error, match=text):
            storage_factory(**keywords)

    def test_what_has_long_expired_is_deleted(self, storage_factory: Callable[..., Any]) -> None:
        """With `delete_expired_after`, each write deletes a few of the entries that have expired for so long"""
        self.needs('deletion of expired entries')
        storage = storage_factory(delete_expired_after=timedelta(hours=1), large_body_bytes=1_000)
        with ManualClock(NOW) as clock:
            for number in range(20):
                storage[f'old-{number}'] = make_response(number, expires=NOW + timedelta(minutes=1))
            storage['large'] = large(1, expires=NOW + timedelta(minutes=1))
            storage['unlimited'] = make_response(1)
            storage['fresh'] = make_response(1, expires=NOW + timedelta(days=2))
            storage['renewed'] = make_response(1, expires=NOW + timedelta(minutes=1))
            storage['renewed'] = make_response(1, expires=NOW + timedelta(days=2))
            clock.advance(timedelta(minutes=60))
            storage['new'] = make_response(2)
            assert len(list(storage)) == 25
            clock.advance(timedelta(minutes=2))
            counts = []
            for number in range(12):
                storage['new'] = make_response(number)
                counts.append(len(list(storage)))
        assert 4 < counts[0] < 25  # in small steps
        assert set(storage) == {'unlimited', 'fresh', 'renewed', 'new'}
        assert list(storage.pieces.unused()) == [] if storage.pieces is not None else True
