"""Bounds: what they mean, what makes room for new entries whatever the store, and what is kept of uses"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requests_cache.backends import eviction
from requests_cache.backends.eviction import (
    FIRST_CANDIDATES,
    FLUSH_SECONDS,
    MAX_USES,
    MOST_CANDIDATES,
    Bounds,
    Candidate,
    Eviction,
    Index,
    Usage,
    Uses,
    make_room,
    to_bytes,
)
from requests_cache.exceptions import BackendError, EntryTooLargeError

FACTORS = {
    '': 1, 'k': 1000, 'M': 1000**2, 'G': 1000**3, 'T': 1000**4,
    'Ki': 1024, 'Mi': 1024**2, 'Gi': 1024**3, 'Ti': 1024**4,
}  # fmt: skip
KEYS = [f'key {number}' for number in range(60)]
LARGEST_BOUND = 1_000


class Shelf(Index):
    """An index of a store that is nothing but the index; some entries cannot be deleted

    Args:
        now: Gives the time
    """

    def __init__(self, now: Callable[[], int] | None = None):
        self.sizes: dict[str, int] = {}
        self.used: dict[str, int] = {}
        self.cannot_go: set[str] = set()
        self.asked_for: list[int] = []
        self._now = now or count().__next__

    @property
    def usage(self) -> Usage:
        return Usage(sum(self.sizes.values()), len(self.sizes))

    def touch(self, uses: Mapping[str, int]) -> None:
        self.used |= {key: used for key, used in uses.items() if key in self.sizes}

    def reserve(self, key: str, n_bytes: int) -> Usage:
        self.sizes[key] = max(n_bytes, self.sizes.get(key, 0))
        self.used[key] = self._now()
        return self.usage

    def oldest(self, count: int) -> Sequence[Candidate]:
        self.asked_for.append(count)
        return [Candidate(key, self.sizes[key]) for key in sorted(self.sizes, key=self.used.__getitem__)[:count]]

    def evict(self, keys: Sequence[str]) -> Eviction:
        stuck = self.cannot_go.intersection(keys)
        for key in set(keys) - stuck:
            del self.sizes[key]
        return Eviction(self.usage, stuck)

    def settle(self, key: str, n_bytes: int | None) -> None:
        """After the entry was written; or was not, if there is none now"""
        if n_bytes is None:
            del self.sizes[key]
        else:
            self.sizes[key] = n_bytes


class TestSizes:
    @given(st.integers(1, 2**63 - 1))
    def test_numbers(self, number: int) -> None:
        assert to_bytes('size', number) == to_bytes('size', f'{number}') == to_bytes('size', f'{number:_} B') == number

    @given(st.integers(1, 1_000_000), st.sampled_from([*FACTORS]), st.sampled_from(['', ' ']), st.booleans())
    def test_units(self, number: int, unit: str, space: str, has_b: bool) -> None:
        text = f'{number}{space}{unit}{"B" if has_b else ""}'
        for spelling in (text, text.upper(), text.lower(), f' {text}\n'):
            assert to_bytes('size', spelling) == number * FACTORS[unit]

    @given(st.integers(1, 999), st.integers(0, 999), st.sampled_from([u for u in FACTORS if u]))
    def test_fractions(self, whole: int, thousandths: int, unit: str) -> None:
        exact = (whole * 1000 + thousandths) * FACTORS[unit] / 1000
        assert abs(to_bytes('size', f'{whole}.{thousandths:03} {unit}B') - exact) <= 1
        assert to_bytes('size', whole + thousandths / 1000) == whole

    @given(
        st.one_of(
            st.text().filter(lambda text: not any(character.isdigit() for character in text)),
            st.sampled_from(
                ['-1', '1e6', '1 PB', '1 MBit', '1.', '.5', '1 2', '_1', '0x10', '1,5 MB', '٣ MB', '1 \u212aB']
            ),
            st.sampled_from(['0', '0.4', '0.0001 kB', '8 EiB', '8388608 TiB', '9' * 400, '9' * 400 + '.5', '9' * 9000]),
            st.integers(max_value=0),
            st.integers(min_value=2**63),
            st.sampled_from([0.5, -1.0, float('inf'), float('-inf'), float('nan')]),
        )
    )
    def test_values_that_are_none(self, value: Any) -> None:
        with pytest.raises(ValueError, match='size'):
            to_bytes('size', value)

    @pytest.mark.parametrize('value', [None, True, False, b'1 MB', [1], 1j], ids=repr)
    def test_types(self, value: Any) -> None:
        with pytest.raises(TypeError, match='size'):
            to_bytes('size', value)

    def test_keywords(self) -> None:
        assert Bounds.of() is None
        assert Bounds.of('1 kB', 5) == Bounds(1000, 5, None)
        assert Bounds.of(max_entries=5) == Bounds(None, 5, None)
        assert Bounds.of(1000) == Bounds(1000, None, None)
        for wrong in (True, 1.0, '5'):
            with pytest.raises(TypeError, match='max_entries'):
                Bounds.of(max_entries=wrong)
        with pytest.raises(ValueError, match='max_entries'):
            Bounds.of(max_entries=0)


bounds = st.builds(
    Bounds,
    max_bytes=st.none() | st.integers(1, LARGEST_BOUND),
    max_entries=st.none() | st.integers(1, len(KEYS)),
    max_entry_bytes=st.none(),
) | st.integers(1, LARGEST_BOUND).flatmap(
    lambda largest: st.builds(
        Bounds,
        max_bytes=st.integers(largest, LARGEST_BOUND),
        max_entries=st.none() | st.integers(1, len(KEYS)),
        max_entry_bytes=st.just(largest),
    )
)
keys = st.sampled_from(KEYS)
sizes = st.one_of(st.integers(1, 5), st.integers(1, 100), st.integers(1, LARGEST_BOUND + 1))
steps = st.lists(
    st.one_of(
        st.tuples(st.just('write'), keys, sizes),
        st.tuples(st.just('write'), keys, sizes),
        st.tuples(st.just('read'), keys, st.just(0)),
        st.tuples(st.just('delete'), keys, st.just(0)),
        st.tuples(st.sampled_from(['cannot go', 'can go']), keys, st.just(0)),
    ),
    max_size=40,
)


class Store:
    """Writes and reads as stores do, and says what should have come of it

    Args:
        bounds: The bounds
        n_small: Number of entries of one byte that are written first
    """

    def __init__(self, bounds: Bounds, n_small: int):
        self.bounds = bounds
        self.uses = Uses(lambda: pytest.fail('nothing is to be told yet'))
        self.index = Shelf(self.uses.now_ns)
        # Sizes in the order of last use
        self.model: dict[str, int] = {}
        for key in KEYS[:n_small]:
            self.write(key, 1)

    def read(self, key: str) -> None:
        if key in self.model:
            self.uses.note(key)
            self.model[key] = self.model.pop(key)

    def delete(self, key: str) -> None:
        if self.model.pop(key, None) is not None:
            del self.index.sizes[key]

    def write(self, key: str, n_bytes: int) -> None:
        self.index.touch(self.uses.take())
        before = dict(self.index.sizes)
        try:
            evicted = make_room(self.index, self.bounds, key, n_bytes)
        except EntryTooLargeError:
            largest = [limit for limit in (self.bounds.max_bytes, self.bounds.max_entry_bytes) if limit is not None]
            assert n_bytes > min(largest)
            assert self.index.sizes == before
        except BackendError:
            assert set(self.index.sizes) - {key} <= self.index.cannot_go, 'something could have gone'
            assert not self.fits(self.index.usage)
            self.index.settle(key, before.get(key))
            self.model = {key: size for key, size in self.model.items() if key in self.index.sizes}
        else:
            self.check(before, key, n_bytes, evicted)
            self.index.settle(key, n_bytes)
            for each in (*evicted, key):
                self.model.pop(each, None)
            self.model[key] = n_bytes
        assert self.index.sizes == self.model

    def fits(self, usage: Usage) -> bool:
        return all(limit is None or used <= limit for used, limit in zip(usage, self.bounds[:2], strict=True))

    def leaves_much(self, usage: Usage) -> bool:
        """Whether more than one in a hundred is free of what may be kept, in bytes or in entries"""
        return any(
            limit is not None and limit - used > limit // 100
            for used, limit in zip(usage, self.bounds[:2], strict=True)
        )

    def check(self, before: dict[str, int], key: str, n_bytes: int, evicted: list[str]) -> None:
        reserved = {**before, key: max(n_bytes, before.get(key, 0))}

        def usage(gone: list[str]) -> Usage:
            left = [size for each, size in reserved.items() if each not in gone]
            return Usage(sum(left), len(left))

        assert self.fits(self.index.usage), 'the bound does not hold'
        assert self.index.usage == usage(evicted)
        assert key not in evicted
        can_go = [each for each in self.model if each != key and each not in self.index.cannot_go]
        assert evicted == can_go[: len(evicted)], 'not in the order of last use'
        if evicted:
            assert not self.fits(usage([])), 'there was room'
            was_enough = self.fits(usage(evicted[:-1]))
            assert not (was_enough and self.leaves_much(self.index.usage)), 'more went than was to go'


class TestMakingRoom:
    @given(bounds, st.integers(0, len(KEYS)), steps)
    def test_any_sequence(self, bounds: Bounds, n_small: int, steps: list[tuple[str, str, int]]) -> None:
        store = Store(bounds, n_small)
        for operation, key, n_bytes in steps:
            if operation == 'write':
                store.write(key, n_bytes)
            elif operation == 'read':
                store.read(key)
            elif operation == 'delete':
                store.delete(key)
            elif operation == 'cannot go':
                store.index.cannot_go.add(key)
            else:
                store.index.cannot_go.discard(key)

    def test_many_small_ones_make_room_for_a_large_one(self) -> None:
        """In steps that become larger, but not too large"""
        index, bounds, number = Shelf(), Bounds(max_bytes=2 * MOST_CANDIDATES), 2 * MOST_CANDIDATES
        for key in range(number):
            make_room(index, bounds, f'{key}', 1)
        assert len(make_room(index, bounds, 'large', number)) == number
        assert index.sizes == {'large': number}
        assert index.asked_for[0] == FIRST_CANDIDATES + 1
        assert index.asked_for == sorted(index.asked_for)
        assert max(index.asked_for) == MOST_CANDIDATES + 1
        assert len(index.asked_for) < 10

    def test_a_few_more_go_than_are_in_the_way(self) -> None:
        """So that the next writes find room"""
        index, bounds = Shelf(), Bounds(max_entries=500)
        counts = [len(make_room(index, bounds, f'{number}', 1)) for number in range(512)]
        assert counts == [0] * 500 + [6, 0, 0, 0, 0, 0] * 2

    def test_an_older_one_under_the_key_counts_until_it_is_replaced(self) -> None:
        store = Store(Bounds(max_bytes=100), 0)
        for key, n_bytes in (('a', 30), ('b', 60), ('c', 10)):
            store.write(key, n_bytes)
        store.write('b', 20)
        assert store.model == {'a': 30, 'c': 10, 'b': 20}
        store.write('c', 60)
        assert store.model == {'b': 20, 'c': 60}

    def test_stuck_entries_are_passed_over(self) -> None:
        store = Store(Bounds(max_entries=30), 30)
        store.index.cannot_go = set(KEYS[:20])
        store.write('new', 1)
        assert set(store.model) == {*KEYS[:20], *KEYS[21:30], 'new'}

    def test_nothing_can_go(self) -> None:
        index, bounds = Shelf(), Bounds(max_entries=30)
        for key in KEYS[:30]:
            make_room(index, bounds, key, 1)
        index.cannot_go = set(KEYS)
        with pytest.raises(BackendError, match='no room'):
            make_room(index, bounds, 'new', 1)

    @given(st.integers(1, 100), st.integers(1, 100))
    def test_too_large(self, largest: int, more: int) -> None:
        index = Shelf()
        bounds = Bounds(max_bytes=1000, max_entry_bytes=largest)
        make_room(index, bounds, 'key', 1)
        make_room(index, bounds, 'other', largest)
        sizes = dict(index.sizes)
        with pytest.raises(EntryTooLargeError, match=f'{largest + more} bytes exceeds the maximum of {largest}'):
            make_room(index, bounds, 'key', largest + more)
        assert index.sizes == sizes


class Clock:
    """Seconds that only pass when somebody says so"""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def time_ns(self) -> int:
        return int(self.seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(eviction, 'monotonic', clock.monotonic)
    monkeypatch.setattr(eviction, 'time_ns', clock.time_ns)
    return clock


@pytest.fixture
def told(clock: Clock) -> tuple[Uses, list[dict[str, int]]]:
    """Uses, and what the index was told of them"""
    told: list[dict[str, int]] = []
    uses = Uses(lambda: told.append(uses.take()))
    return uses, told


class TestUses:
    def test_hits_write_nothing_for_a_while(self, told: Any, clock: Clock) -> None:
        uses, flushed = told
        assert not uses
        for _ in range(3):
            for _ in range(MAX_USES + 1):
                uses.note('a')
            clock.seconds += FLUSH_SECONDS / 4
            uses.note('b')
        assert not flushed
        assert uses
        clock.seconds += FLUSH_SECONDS / 4
        uses.note('a')
        assert [list(each) for each in flushed] == [['a', 'b']]
        assert not uses
        uses.note('a')
        assert len(flushed) == 1

    def test_one_hit_of_many_tells(self, clock: Clock) -> None:
        """Also while it has not come to take what there is"""
        attempts: list[int] = []
        uses = Uses(lambda: attempts.append(1))
        clock.seconds += FLUSH_SECONDS
        for _ in range(3):
            uses.note('a')
        assert len(attempts) == 1

    def test_many_keys(self, told: Any) -> None:
        uses, flushed = told
        for number in range(2 * MAX_USES + 1):
            uses.note(f'{number}')
        assert [len(each) for each in flushed] == [MAX_USES, MAX_USES]
        assert list(uses.take()) == [f'{2 * MAX_USES}']

    def test_writes_tell_as_well(self, told: Any, clock: Clock) -> None:
        """So that hits need not, as long as something is written now and then"""
        uses, flushed = told
        for _ in range(10):
            clock.seconds += FLUSH_SECONDS * 0.9
            uses.note('a')
            assert list(uses.take()) == ['a']
        assert not flushed

    @given(st.lists(st.tuples(keys, st.integers(-3, 3)), min_size=1))
    def test_uses_have_an_order(self, noted: list[tuple[str, int]]) -> None:
        """Even if the clock stands still, or goes back"""
        uses, seconds = Uses(lambda: None), 1000
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(eviction, 'time_ns', lambda: seconds)
            for key, step in noted:
                seconds += step
                uses.note(key)
        taken = uses.take()
        order = list(dict.fromkeys(key for key, _ in reversed(noted)))
        assert sorted(taken, key=taken.__getitem__, reverse=True) == order
        assert len(set(taken.values())) == len(taken)

    @given(st.lists(keys), st.lists(keys))
    def test_what_was_not_told_is_kept(self, first: list[str], second: list[str]) -> None:
        uses = Uses(lambda: None)
        for key in first:
            uses.note(key)
        earlier = uses.take()
        for key in second:
            uses.note(key)
        later = dict(uses._uses)
        uses.give_back(earlier)
        assert uses.take() == {**earlier, **later}
        assert not uses.take()

    @pytest.mark.parametrize('n_later', [0, 1, MAX_USES // 2, MAX_USES - 1])
    def test_an_index_that_cannot_be_told(self, clock: Clock, n_later: int) -> None:
        """Hits do not try again at once, and what waits is bounded; the latest uses are kept"""
        attempts: list[int] = []
        uses = Uses(lambda: attempts.append(1))
        names = [f'{number}' for number in range(MAX_USES)]
        for name in names:
            uses.note(name)
        assert len(attempts) == 1
        taken = uses.take()
        later = [f'later {number}' for number in range(n_later)]
        for name in later:
            uses.note(name)
        uses.give_back(taken)
        latest = [*names, *later][-MAX_USES // 2 :]
        again = [f'again {number}' for number in range(MAX_USES - len(latest) - 1)]
        for name in again:
            uses.note(name)
        assert len(attempts) == 1
        assert list(uses.take()) == [*latest, *again]
