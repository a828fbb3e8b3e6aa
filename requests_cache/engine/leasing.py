"""One flight per key among processes and hosts, by leases that their store keeps

What a lease says:

    held:TOKEN:COUNT     a process has sent the request; it counts up as long as it lives
    stored:TOKEN         the response was stored
    unshared:TOKEN       there was one that could not be stored

Whoever finds a lease waits, looking at it now and then. If it does not change for `LEASE_SECONDS`, its holder is taken
for dead, and one of those who wait takes it over. No clock is compared with another one. The last two stay for a
moment, for those who had looked into the store before. If they stay for longer, as a process has ended in between,
whoever wants the key replaces them.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from os import getpid
from random import uniform
from secrets import token_hex
from time import monotonic, sleep
from typing import Literal, NamedTuple

from ..backends.leases import Leases
from .flights import Outcome

LEASE_SECONDS = 5.0
# How often a holder shows that it is alive
RENEWAL_SECONDS = LEASE_SECONDS / 4
# How long it stays to be seen that a request is over
LANDED_SECONDS = 2.0
# How often those who wait look
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.02, 0.25
HELD, STORED, UNSHARED = 'held', 'stored', 'unshared'
_OUTCOMES = {Outcome.STORED: STORED, Outcome.NOT_STORED: UNSHARED}


class Lease:
    """A lease that this process holds, until it has been given back

    Args:
        leases: The leases of the store
        key: The key
        value: What it says now
    """

    is_held: Literal[True] = True

    def __init__(self, leases: Leases, key: str, token: str, value: str):
        self.leases = leases
        self.key = key
        self.token = token
        self.value: str | None = value
        # Others had it before
        self.is_inherited = False
        self._count = 0
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Show that its holder is alive"""
        with self._lock:
            if self.value is not None and self.value.startswith(HELD):
                self._count += 1
                self._become(f'{HELD}:{self.token}:{self._count}')

    def land(self, outcome: Outcome) -> None:
        """Let those who wait know what came of it"""
        with self._lock:
            kind = _OUTCOMES.get(outcome)
            self._become(f'{kind}:{self.token}' if kind is not None else None)

    def remove(self) -> None:
        """Take it away, if it is still there"""
        with self._lock:
            self._become(None)

    def _become(self, value: str | None) -> None:
        if self.value is None:
            return
        # If it is not what it was, somebody else has taken it; if the store fails, it is tried once more the next time
        self.value = value if self.leases.swap(self.key, self.value, value) else None


class Seen(NamedTuple):
    """A lease that somebody else has, or that is over"""

    value: str

    @property
    def is_held(self) -> Literal[False]:
        """Not by this process"""
        return False

    @property
    def kind(self) -> str:
        return self.value.partition(':')[0]

    @property
    def outcome(self) -> Outcome:
        """What came of the request, if it is over"""
        return Outcome.STORED if self.kind == STORED else Outcome.NOT_STORED


def take(leases: Leases, key: str, over: str | None = None) -> Lease | Seen | None:
    """Take a lease, or see who has it; None if that has just changed

    Args:
        leases: The leases of the store
        key: The key
        over: The lease that it is to replace
    """
    token = token_hex(8)
    value = f'{HELD}:{token}:0'
    if leases.swap(key, over, value):
        return Lease(leases, key, token, value)
    seen = leases.read(key)
    if seen == value:  # a driver has tried again, as the first reply was lost
        return Lease(leases, key, token, value)
    return None if seen is None else Seen(seen)


def wait_for(
    leases: Leases, key: str, seen: Seen, deadline: float, pause: Callable[[float], None] | None = None
) -> Lease | Seen | None:
    """Wait until a lease that somebody else holds has changed hands or is over

    Args:
        leases: The leases of the store
        key: The key
        seen: The lease as it was found
        deadline: When to give up, by `monotonic`
        pause: Waits for a number of seconds

    Returns:
        The lease, if it is ours now; what came of it, as a lease that is over; None if the time is up
    """
    value, since, seconds = seen.value, monotonic(), FIRST_PAUSE_SECONDS
    while True:
        if Seen(value).kind != HELD:
            return Seen(value)
        left = deadline - monotonic()
        if left <= 0:
            return None
        (pause or sleep)(min(left, uniform(seconds / 2, seconds)))
        seconds = min(seconds * 1.5, LAST_PAUSE_SECONDS)
        now = leases.read(key)
        is_dead = now == value and monotonic() - since >= LEASE_SECONDS
        if now is None or is_dead:
            taken = take(leases, key, over=now)
            if isinstance(taken, Lease):
                taken.is_inherited = True
                return taken
            now = taken.value if taken is not None else None
        if now is not None and now != value:
            value, since = now, monotonic()


def obtain(leases: Leases, key: str, deadline: float, over: str | None = None) -> Lease | Seen | None:
    """Take a lease, or wait for whoever has it

    Args:
        leases: The leases of the store
        key: The key
        deadline: How long to wait, by `monotonic`
        over: A lease that is over, and was of no use

    Returns:
        The lease, if it is ours; what came of that of another one, as a lease that is over; None if the time is up
    """
    while True:
        taken = take(leases, key, over)
        if isinstance(taken, Lease):
            return taken
        if taken is not None:
            return wait_for(leases, key, taken, deadline)
        over = None
        if monotonic() >= deadline:
            return None


class Keeper:
    """A thread that renews the leases which this process holds, says what came of them, and removes those that are over

    So nobody waits for the store but for taking a lease.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._pid = getpid()
        self._held: dict[Lease, None] = {}
        self._landing: dict[Lease, Outcome] = {}
        self._over: dict[Lease, float] = {}
        self._renew_at = 0.0
        self._thread: threading.Thread | None = None
        self._is_finished = False
        self._wake = threading.Event()

    def hold(self, lease: Lease) -> None:
        """Renew a lease until it is given back"""
        if self._pid != getpid():
            self._reset()
        self._held[lease] = None
        self._start()

    def give_back(self, lease: Lease, outcome: Outcome) -> None:
        """Have it said what came of a lease, which is removed a moment later"""
        self._landing[lease] = outcome
        self._held.pop(lease, None)
        self._start()
        self._wake.set()

    def _has_work(self) -> bool:
        return bool(self._held or self._landing or self._over) and not self._is_finished

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._work, daemon=True)
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:  # too many threads, or the interpreter is about to exit
                self._thread = None
                self._land()

    def _work(self) -> None:
        while self._has_work():
            self._wake.wait(RENEWAL_SECONDS)
            self._wake.clear()
            if not self._is_finished:
                self.attend()
        self._thread = None
        if self._has_work():  # something has come in between
            self._start()

    def attend(self) -> None:
        """Say what came of leases, renew those that are held, and remove what has been over for long enough"""
        self._land()
        now = monotonic()
        if now >= self._renew_at:
            self._renew_at = now + RENEWAL_SECONDS
            for lease in list(self._held):
                _quietly(lease.renew)
        for lease, end in list(self._over.items()):
            if now >= end:
                self._over.pop(lease, None)
                _quietly(lease.remove)

    def _land(self, leases: Leases | None = None) -> None:
        """Say what came of leases, of one store or all"""
        for lease, outcome in list(self._landing.items()):
            if leases is None or lease.leases is leases:
                _quietly(lambda lease=lease, outcome=outcome: lease.land(outcome))  # type: ignore[misc]
                if lease.value is not None:
                    self._over[lease] = monotonic() + LANDED_SECONDS
                self._landing.pop(lease, None)

    def settle(self, leases: Leases | None) -> None:
        """Be done with what is over in one store, which is about to be closed"""
        if leases is None:
            return
        self._land(leases)
        for lease in list(self._over):
            if lease.leases is leases:
                self._over.pop(lease, None)
                _quietly(lease.remove)

    def finish(self) -> None:
        """At the end of the process, give back what others would wait for"""
        if self._pid != getpid():
            return
        self._is_finished = True
        self._wake.set()
        thread = self._thread
        if thread is not None:  # it must not be at work while the interpreter is taken apart
            thread.join(RENEWAL_SECONDS)
        self._land()
        for lease in [*self._held, *(lease for lease in self._over if Seen(lease.value or '').kind == UNSHARED)]:
            _quietly(lease.remove)


def _quietly(action: Callable[[], None]) -> None:
    try:
        action()
    except Exception:  # what cannot be said is taken for silence
        pass


keeper = Keeper()
atexit.register(keeper.finish)
