"""One flight per key among processes and hosts, by means of leases in their store

The value of a lease:

    held:TOKEN:COUNT     a process has sent the request; it increments the count while it is alive
    stored:TOKEN         the response was stored
    unshared:TOKEN       there was a response, but it could not be stored

A process that finds a lease waits, and polls it. If the lease does not change for `LEASE_SECONDS`, its holder is
considered dead, and one of the waiting processes takes the lease over. Clocks are never compared. Leases with the last
two values are kept for a moment, for processes that had looked up the store before. If they are kept longer, because
their process has died, the next process that wants the key replaces them.
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
# How often a holder renews its lease
RENEWAL_SECONDS = LEASE_SECONDS / 4
# How long a lease with an outcome is kept
LANDED_SECONDS = 2.0
# How often waiting processes poll
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.02, 0.25
HELD, STORED, UNSHARED = 'held', 'stored', 'unshared'
_OUTCOMES = {Outcome.STORED: STORED, Outcome.NOT_STORED: UNSHARED}


class Lease:
    """A lease that this process holds until it returns it

    Args:
        leases: The leases of the store
        key: The key
        value: Current value of the lease
    """

    is_held: Literal[True] = True

    def __init__(self, leases: Leases, key: str, token: str, value: str):
        self.leases = leases
        self.key = key
        self.token = token
        self.value: str | None = value
        # Another process held the lease before
        self.is_inherited = False
        self._count = 0
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Show that the holder is alive"""
        with self._lock:
            if self.value is not None and self.value.startswith(HELD):
                self._count += 1
                self._become(f'{HELD}:{self.token}:{self._count}')

    def land(self, outcome: Outcome) -> None:
        """Tell waiting processes the outcome"""
        with self._lock:
            kind = _OUTCOMES.get(outcome)
            self._become(f'{kind}:{self.token}' if kind is not None else None)

    def remove(self) -> None:
        """Delete the lease, if this process still holds it"""
        with self._lock:
            self._become(None)

    def _become(self, value: str | None) -> None:
        if self.value is None:
            return
        # If the value is different, another process has taken the lease; if the store fails, this is retried next time
        self.value = value if self.leases.swap(self.key, self.value, value) else None


class Seen(NamedTuple):
    """A lease that another process holds, or that has an outcome"""

    value: str

    @property
    def is_held(self) -> Literal[False]:
        """Always False: this process does not hold the lease"""
        return False

    @property
    def kind(self) -> str:
        return self.value.partition(':')[0]

    @property
    def outcome(self) -> Outcome:
        """The outcome of the request, or None if it is in progress"""
        return Outcome.STORED if self.kind == STORED else Outcome.NOT_STORED


def take(leases: Leases, key: str, over: str | None = None) -> Lease | Seen | None:
    """Take a lease, or return the current one; None if it has just changed

    Args:
        leases: The leases of the store
        key: The key
        over: The value of the lease to replace
    """
    token = token_hex(8)
    value = f'{HELD}:{token}:0'
    if leases.swap(key, over, value):
        return Lease(leases, key, token, value)
    seen = leases.read(key)
    if seen == value:  # the driver has repeated the operation because the first reply was lost
        return Lease(leases, key, token, value)
    return None if seen is None else Seen(seen)


def wait_for(
    leases: Leases, key: str, seen: Seen, deadline: float, pause: Callable[[float], None] | None = None
) -> Lease | Seen | None:
    """Wait until a lease that another process holds has an outcome, or can be taken over

    Args:
        leases: The leases of the store
        key: The key
        seen: The lease that was found
        deadline: When to give up, by `monotonic`
        pause: A function that waits for a number of seconds

    Returns:
        The lease if this process has taken it over; or the lease with its outcome; None after the deadline
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
    """Take a lease, or wait for the process that holds it

    Args:
        leases: The leases of the store
        key: The key
        deadline: How long to wait, by `monotonic`
        over: The value of a lease whose outcome was useless, and which is to be replaced

    Returns:
        The lease if this process has taken it; or another process's lease with its outcome; None after the deadline
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
    """A thread that renews the leases of this process, writes their outcomes, and deletes them afterwards

    So requests do not have to wait for the store, except for taking a lease.
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
        """Renew a lease until it is returned"""
        if self._pid != getpid():
            self._reset()
        self._held[lease] = None
        self._start()

    def give_back(self, lease: Lease, outcome: Outcome) -> None:
        """Write the outcome of a lease, and delete it a moment later"""
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
        if self._has_work():  # something was added in the meantime
            self._start()

    def attend(self) -> None:
        """Write the outcomes of returned leases, renew held leases, and delete leases that were kept long enough"""
        self._land()
        now = monotonic()
        if now >= self._renew_at:
            self._renew_at = now + RENEWAL_SECONDS
            for lease in list(self._held):
                _ignoring_errors(lease.renew)
        for lease, end in list(self._over.items()):
            if now >= end:
                self._over.pop(lease, None)
                _ignoring_errors(lease.remove)

    def _land(self, leases: Leases | None = None) -> None:
        """Write the outcomes of returned leases of one store, or of all"""
        for lease, outcome in list(self._landing.items()):
            if leases is None or lease.leases is leases:
                _ignoring_errors(lambda lease=lease, outcome=outcome: lease.land(outcome))  # type: ignore[misc]
                if lease.value is not None:
                    self._over[lease] = monotonic() + LANDED_SECONDS
                self._landing.pop(lease, None)

    def settle(self, leases: Leases | None) -> None:
        """Finish all returned leases of a store that is about to be closed"""
        if leases is None:
            return
        self._land(leases)
        for lease in list(self._over):
            if lease.leases is leases:
                self._over.pop(lease, None)
                _ignoring_errors(lease.remove)

    def finish(self) -> None:
        """Return all leases at the end of the process, so that other processes do not wait for them"""
        if self._pid != getpid():
            return
        self._is_finished = True
        self._wake.set()
        thread = self._thread
        if thread is not None:  # it must not be running while the interpreter shuts down
            thread.join(RENEWAL_SECONDS)
        self._land()
        for lease in [*self._held, *(lease for lease in self._over if Seen(lease.value or '').kind == UNSHARED)]:
            _ignoring_errors(lease.remove)


def _ignoring_errors(action: Callable[[], None]) -> None:
    try:
        action()
    except Exception:  # other processes will notice that the lease is no longer renewed
        pass


keeper = Keeper()
atexit.register(keeper.finish)
