"""The protocol of leases: by hand, and in any order of steps that several processes can take

The processes of the model are threads of which one runs at a time. Each step of theirs on the store, and each pause,
hands over to the scheduler, which goes by what hypothesis draws; its clock moves when all of them pause.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from requests_cache.backends.leases import Leases, LeasesInMemory
from requests_cache.engine import leasing
from requests_cache.engine.flights import Outcome

KEY = 'key'
BOUND_SECONDS = 30.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(leasing, 'monotonic', clock)
    return clock


def taken(leases: Leases, over: str | None = None) -> leasing.Lease:
    lease = leasing.take(leases, KEY, over)
    assert isinstance(lease, leasing.Lease)
    return lease


class TestOneStepAtATime:
    def test_a_lease_that_is_free(self) -> None:
        leases = LeasesInMemory()
        lease = leasing.obtain(leases, KEY, 0)
        assert isinstance(lease, leasing.Lease)
        assert leases.read(KEY) == f'held:{lease.token}:0'
        assert not lease.is_inherited

    @pytest.mark.parametrize(
        ('outcome', 'seen'), [(Outcome.STORED, Outcome.STORED), (Outcome.NOT_STORED, Outcome.NOT_STORED)]
    )
    def test_who_waits_sees_what_came_of_it(self, clock: Clock, outcome: Outcome, seen: Outcome) -> None:
        leases = LeasesInMemory()
        lease = taken(leases)
        other = leasing.take(leases, KEY)
        assert isinstance(other, leasing.Seen)
        found = leasing.wait_for(leases, KEY, other, clock.now + 10, pause=lambda seconds: lease.land(outcome))
        assert isinstance(found, leasing.Seen)
        assert found.outcome is seen

    def test_a_failure_is_taken_over(self, clock: Clock) -> None:
        leases = LeasesInMemory()
        lease = taken(leases)
        other = leasing.take(leases, KEY)
        assert isinstance(other, leasing.Seen)
        found = leasing.wait_for(leases, KEY, other, clock.now + 10, pause=lambda seconds: lease.land(Outcome.FAILED))
        assert isinstance(found, leasing.Lease)
        assert found.is_inherited

    def test_the_dead_are_silent(self, clock: Clock) -> None:
        leases = LeasesInMemory()
        taken(leases)
        other = leasing.take(leases, KEY)
        assert isinstance(other, leasing.Seen)
        began = clock.now

        def pause(seconds: float) -> None:
            clock.now += seconds

        assert isinstance(leasing.wait_for(leases, KEY, other, clock.now + 100, pause), leasing.Lease)
        assert leasing.LEASE_SECONDS <= clock.now - began < leasing.LEASE_SECONDS + 1

    def test_the_living_are_waited_for(self, clock: Clock) -> None:
        leases = LeasesInMemory()
        lease = taken(leases)
        other = leasing.take(leases, KEY)
        assert isinstance(other, leasing.Seen)

        def pause(seconds: float) -> None:
            clock.now += seconds
            lease.renew()

        deadline = clock.now + 50
        assert leasing.wait_for(leases, KEY, other, deadline, pause) is None
        assert clock.now == pytest.approx(deadline)

    def test_who_was_taken_for_dead_touches_nothing(self, clock: Clock) -> None:
        leases = LeasesInMemory()
        old = taken(leases)
        new = taken(leases, over=leases.read(KEY))
        for action in (old.renew, lambda: old.land(Outcome.STORED), old.remove):
            action()
            assert leases.read(KEY) == f'held:{new.token}:0'

    def test_a_lease_that_is_over_can_be_replaced(self) -> None:
        leases = LeasesInMemory()
        taken(leases).land(Outcome.STORED)
        seen = leasing.obtain(leases, KEY, 0)
        assert isinstance(seen, leasing.Seen)
        assert isinstance(leasing.obtain(leases, KEY, 0, over=seen.value), leasing.Lease)


class TestKeeper:
    def test_it_renews_and_removes(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        leases, keeper = LeasesInMemory(), leasing.Keeper()
        monkeypatch.setattr(keeper, '_start', lambda: None)
        lease = taken(leases)
        keeper.hold(lease)
        keeper.attend()
        assert leases.read(KEY) == f'held:{lease.token}:1'
        keeper.give_back(lease, Outcome.STORED)
        assert leases.read(KEY) == f'held:{lease.token}:1'  # the caller does not wait for it
        keeper.attend()
        assert leases.read(KEY) == f'stored:{lease.token}'
        clock.now += leasing.LANDED_SECONDS
        keeper.attend()
        assert leases.read(KEY) is None

    def test_a_store_that_fails_is_taken_for_silence(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        leases, keeper = LeasesInMemory(), leasing.Keeper()
        monkeypatch.setattr(keeper, '_start', lambda: None)
        keeper.hold(taken(leases))
        with monkeypatch.context() as patch:
            patch.setattr(LeasesInMemory, 'swap', failing)
            keeper.attend()
        clock.now += leasing.RENEWAL_SECONDS
        keeper.attend()
        assert str(leases.read(KEY)).endswith(('1', '2'))  # it is held on

    def test_a_store_that_is_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        leases, others, keeper = LeasesInMemory(), LeasesInMemory(), leasing.Keeper()
        monkeypatch.setattr(keeper, '_start', lambda: None)
        for each in (leases, others):
            keeper.give_back(taken(each), Outcome.STORED)
        keeper.settle(leases)
        keeper.attend()
        assert leases.read(KEY) is None
        assert str(others.read(KEY)).startswith('stored')
        monkeypatch.setattr(LeasesInMemory, 'swap', failing)
        keeper.settle(leases)

    def test_at_the_end_of_the_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        leases, keeper = LeasesInMemory(), leasing.Keeper()
        monkeypatch.setattr(keeper, '_start', lambda: None)
        keeper.hold(taken(leases))
        keeper.finish()
        assert leases.read(KEY) is None


def failing(*args: Any) -> bool:
    raise OSError('the store is away')


# Any order of steps


class Over(BaseException):
    """The run has ended; what is left of a thread is not executed"""


class Scheduler:
    """Lets one of several threads go on at a time, in the order that is drawn"""

    def __init__(self, clock: Clock, draw: Callable[[int], int]):
        self.clock = clock
        self._draw = draw
        self._ready: dict[int, threading.Semaphore] = {}
        self._asleep: dict[int, float] = {}
        self._handed_over = threading.Semaphore(0)
        self._is_over = False

    def run(self, *actions: Callable[[int], None]) -> None:
        threads = []
        for number, action in enumerate(actions):
            self._ready[number] = threading.Semaphore(0)
            threads.append(threading.Thread(target=self._begin, args=(number, action), daemon=True))
        for thread in threads:
            thread.start()
        try:
            self._run()
        finally:
            self._is_over = True
            for ready in list(self._ready.values()):
                ready.release()
            for thread in threads:
                thread.join(20)

    def _run(self) -> None:
        for _ in range(5_000):
            awake = [number for number in self._ready if number not in self._asleep]
            if not awake:
                if not self._asleep:
                    return
                number = min(self._asleep, key=self._asleep.__getitem__)
                self.clock.now = max(self.clock.now, self._asleep.pop(number))
                awake = [number]
            number = awake[self._draw(len(awake))]
            self._ready[number].release()
            assert self._handed_over.acquire(timeout=20)
        raise AssertionError('it has no end')

    def _begin(self, number: int, action: Callable[[int], None]) -> None:
        try:
            self._wait(number)
            action(number)
        except Over:
            pass
        finally:
            del self._ready[number]
            self._handed_over.release()

    def step(self, number: int) -> None:
        """Let others go first"""
        self._handed_over.release()
        self._wait(number)

    def _wait(self, number: int) -> None:
        self._ready[number].acquire()
        if self._is_over:
            raise Over

    def sleep(self, number: int, seconds: float) -> None:
        self._asleep[number] = self.clock.now + seconds
        self.step(number)


class SteppedLeases(Leases):
    """Leases where each step of a process can come after those of others"""

    def __init__(self, leases: LeasesInMemory, scheduler: Scheduler, number: int):
        self._leases = leases
        self._scheduler = scheduler
        self._number = number

    def read(self, key: str) -> str | None:
        self._scheduler.step(self._number)
        return self._leases.read(key)

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        self._scheduler.step(self._number)
        return self._leases.swap(key, old, new)


# What becomes of a request: how many renewals it takes, and how it ends; None if its process dies
FATES = st.tuples(st.integers(0, 4), st.sampled_from([Outcome.STORED, Outcome.NOT_STORED, Outcome.FAILED, None]))


class Process:
    """Asks for the key once, and sends the request if it has the lease"""

    def __init__(self, model: Model, fate: tuple[int, Outcome | None], asks_after: float):
        self.model = model
        self.fate = fate
        self.asks_after = asks_after
        self.waited = 0.0
        self.is_done = False

    def __call__(self, number: int) -> None:
        scheduler, clock = self.model.scheduler, self.model.clock
        leases = SteppedLeases(self.model.leases, scheduler, number)
        scheduler.sleep(number, self.asks_after)
        began = clock.now
        found = self._obtain(leases, number, began + BOUND_SECONDS)
        self.waited = clock.now - began
        if isinstance(found, leasing.Lease):
            self._lead(found, number)
        self.is_done = True

    def _obtain(self, leases: Leases, number: int, deadline: float) -> Any:
        def pause(seconds: float) -> None:
            self.model.scheduler.sleep(number, seconds)

        while True:
            found = leasing.take(leases, KEY)
            if isinstance(found, leasing.Lease):
                return found
            if found is not None:
                return leasing.wait_for(leases, KEY, found, deadline, pause)

    def _lead(self, lease: leasing.Lease, number: int) -> None:
        model = self.model
        alive = [other for other in model.leading if other.is_alive]
        assert not alive, 'there are two that lead, and both are alive'
        leader = Leader()
        model.leading.append(leader)
        renewals, outcome = self.fate
        for _ in range(renewals):
            model.scheduler.sleep(number, leasing.RENEWAL_SECONDS)
            lease.renew()
            assert lease.value is not None, 'a lease of somebody alive was taken'
        if outcome is None:
            leader.is_alive = False
            return
        leader.is_alive = False  # what is done after this is for the others
        lease.land(outcome)
        model.scheduler.sleep(number, leasing.LANDED_SECONDS)
        lease.remove()


class Leader:
    is_alive = True


class Model:
    def __init__(self, clock: Clock, draw: Callable[[int], int]):
        self.clock = clock
        self.scheduler = Scheduler(clock, draw)
        self.leases = LeasesInMemory()
        self.leading: list[Leader] = []


@settings(max_examples=60, deadline=None)
@given(data=st.data(), fates=st.lists(st.tuples(FATES, st.sampled_from([0.0, 0.01, 1.0, 6.0])), min_size=2, max_size=5))
def test_any_order_of_steps(data: st.DataObject, fates: list[Any]) -> None:
    """No two lead at a time while both are alive, every wait ends, and nothing stays that stands in the way"""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leasing, 'monotonic', clock)
        model = Model(clock, lambda count: data.draw(st.integers(0, count - 1)) if count > 1 else 0)
        processes = [Process(model, fate, after) for fate, after in fates]
        model.scheduler.run(*processes)
    assert all(process.is_done for process in processes)
    assert all(process.waited <= BOUND_SECONDS + leasing.LAST_PAUSE_SECONDS for process in processes)
    assert model.leading
    left = model.leases.read(KEY)
    assert left is None or left.startswith('held')  # of one that has died
