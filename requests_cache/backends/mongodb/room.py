"""Space in a bounded cache that a process has reserved in advance, so that not every write has to reserve some"""

from __future__ import annotations

from math import inf
from threading import RLock
from time import monotonic

from ..bodies import new_body_id
from ..eviction import NOTHING, ONE_IN, Bounds, Usage

# How long reserved space can be used without checking that it is still reserved
CURRENT_SECONDS = 5.0
# For how many writes space is reserved in advance if there is no bound
WRITES_AHEAD = 16
# Up to this number of processes may each reserve as much as is evicted at a time; if there are more, each reserves less
FULL_HOLDERS = 5


class Room:
    """The space that this process has reserved, and the totals that it has last read; a forked child starts empty

    Attributes:
        lock: Held by the thread that reads or changes the other attributes
        holder: Field of the totals with the reservation of this process
        held: Free space
        busy: Space that is used by writes in progress
        promised: Maximum of `held` and `busy` together, according to the totals
        n_holders: How many processes have reserved space
        known: The totals when they were last read
        counts: How often the entries had been counted by then; 0 if the totals have not been read
        met_at, counted_at: When the totals were last updated by this process, and when the entries were last counted
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self.holder = f'holders.{new_body_id()}'
        self.held = self.busy = self.promised = self.known = NOTHING
        self.n_holders = 1
        self.counts = 0
        self.met_at = self.counted_at = -inf

    @property
    def is_current(self) -> bool:
        """Whether the totals were read recently enough to be used"""
        return monotonic() - self.met_at <= CURRENT_SECONDS

    @property
    def taken(self) -> Usage:
        """The space that the totals account for because of this process, in addition to the entries"""
        return plus(self.held, self.busy)

    def lacking(self, need: Usage) -> Usage:
        """How much space is needed in addition to the reserved space"""
        return less(need, self.held)

    def ahead(self, bounds: Bounds, need: Usage) -> Usage:
        """How much space to reserve in advance if each write needs `need`: a small part of the bounds"""
        share = ONE_IN * max(1, self.n_holders // FULL_HOLDERS)
        n_bytes, n_entries = ((limit or 0) // share for limit in bounds[:2])
        if bounds.max_bytes is None:
            n_bytes = need.n_bytes * max(n_entries, WRITES_AHEAD)
        if bounds.max_entries is None:
            n_entries = max(n_bytes // max(need.n_bytes, 1), WRITES_AHEAD)
        return Usage(n_bytes, n_entries)

    def spare(self, bounds: Bounds, need: Usage) -> Usage:
        """The maximum space to keep reserved"""
        n_bytes, n_entries = self.ahead(bounds, need)
        return Usage(n_bytes + 2 * need.n_bytes, 2 * n_entries)

    def spend(self, need: Usage) -> bool:
        """Use reserved space, and return whether there is enough"""
        if not self.is_current or any(self.lacking(need)):
            return False
        self.held, self.busy = minus(self.held, need), plus(self.busy, need)
        return True

    def settle(self, need: Usage, left: Usage) -> None:
        """Finish using space; `left` of it is free again, or was freed by the write"""
        self.busy, self.held = minus(self.busy, need), plus(self.held, left)

    def surplus(self, excess: Usage, spare: Usage) -> Usage:
        """The space to give back

        Args:
            excess: By how much the totals exceed the bounds
            spare: The maximum space to keep reserved
        """
        return least(self.held, most(excess, less(self.held, spare)))

    @property
    def is_promised(self) -> bool:
        """Whether the totals account for all the space that is held and used"""
        return not any(less(self.taken, self.promised))

    def confirm(self, promised: Usage, counts: int) -> None:
        """Hold no more than was promised, after another process has counted the entries"""
        self.promised, self.counts = promised, counts
        self.held = least(self.held, less(promised, self.busy))

    def leave(self) -> None:
        """Hold no space any longer"""
        self.confirm(NOTHING, 0)
        self.met_at = -inf


def excess(bounds: Bounds, usage: Usage) -> Usage:
    """By how much the bounds are exceeded"""
    return less(NOTHING, bounds.room(usage))


def plus(a: Usage, b: Usage) -> Usage:
    return Usage(a.n_bytes + b.n_bytes, a.n_entries + b.n_entries)


def minus(a: Usage, b: Usage) -> Usage:
    return Usage(a.n_bytes - b.n_bytes, a.n_entries - b.n_entries)


def least(a: Usage, b: Usage) -> Usage:
    return Usage(min(a.n_bytes, b.n_bytes), min(a.n_entries, b.n_entries))


def most(a: Usage, b: Usage) -> Usage:
    return Usage(max(a.n_bytes, b.n_bytes), max(a.n_entries, b.n_entries))


def less(a: Usage, b: Usage) -> Usage:
    """The part of the first usage that exceeds the second"""
    return most(minus(a, b), NOTHING)
