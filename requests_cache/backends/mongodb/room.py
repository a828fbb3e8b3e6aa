"""The room that a process has reserved in a bounded cache, so that most writes need not update the totals"""

from __future__ import annotations

from math import inf
from threading import RLock
from time import monotonic

from ..bodies import new_body_id
from ..eviction import NOTHING, ONE_IN, Bounds, Usage

# How long room can be used without checking that it is still reserved
CURRENT_SECONDS = 5.0
# Where there is no bound, room is reserved in advance for this many writes
WRITES_AHEAD = 16
# Up to this many processes may each reserve as much as is evicted at once; if there are more, each reserves less
FULL_HOLDERS = 5


class Room:
    """The reserved room of one process, and the totals that it knows; a forked child starts with none

    Attributes:
        lock: Must be held while the other attributes are used
        holder: Field of the totals for this process
        held: Room that can be used
        busy: Room that is used by writes in progress
        promised: Maximum of `held` and `busy` together without another update of the totals
        n_holders: How many processes have reserved room
        known: The totals when they were last read
        counts: How often the entries had been counted at that time; 0 before the first read
        seen_at, counted_at: When this process last updated the totals, and when the entries were last counted
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self.holder = f'holders.{new_body_id()}'
        self.held = self.busy = self.promised = self.known = NOTHING
        self.n_holders = 1
        self.counts = 0
        self.seen_at = self.counted_at = -inf

    @property
    def is_current(self) -> bool:
        """Whether the attributes are recent enough to rely on"""
        return monotonic() - self.seen_at <= CURRENT_SECONDS

    @property
    def taken(self) -> Usage:
        """The room in the totals that belongs to this process, in addition to the entries"""
        return plus(self.held, self.busy)

    def lacking(self, need: Usage) -> Usage:
        """How much room is missing if this much is needed"""
        return less(need, self.held)

    def in_advance(self, bounds: Bounds, need: Usage) -> Usage:
        """How much room to reserve in advance, if each write needs `need`: about as much as is evicted at once"""
        share = ONE_IN * max(1, self.n_holders // FULL_HOLDERS)
        n_bytes, n_entries = ((limit or 0) // share for limit in bounds[:2])
        if bounds.max_bytes is None:
            n_bytes = need.n_bytes * max(n_entries, WRITES_AHEAD)
        if bounds.max_entries is None:
            n_entries = max(n_bytes // max(need.n_bytes, 1), WRITES_AHEAD)
        return Usage(n_bytes, n_entries)

    def max_held(self, bounds: Bounds, need: Usage) -> Usage:
        """How much room to hold at most"""
        n_bytes, n_entries = self.in_advance(bounds, need)
        return Usage(n_bytes + 2 * need.n_bytes, 2 * n_entries)

    def spend(self, need: Usage) -> bool:
        """Use room for a write; returns whether there is enough"""
        if not self.is_current or any(self.lacking(need)):
            return False
        self.held, self.busy = minus(self.held, need), plus(self.busy, need)
        return True

    def settle(self, need: Usage, left: Usage) -> None:
        """Finish a write; `left` is the room that is left of `need`, or has become free"""
        self.busy, self.held = minus(self.busy, need), plus(self.held, left)

    def surplus(self, excess: Usage, max_held: Usage) -> Usage:
        """How much room to give back

        Args:
            excess: How much the totals exceed the bounds
            max_held: How much room to hold at most
        """
        return least(self.held, most(excess, less(self.held, max_held)))

    @property
    def is_promised(self) -> bool:
        """Whether `held` and `busy` together do not exceed `promised`"""
        return not any(less(self.taken, self.promised))

    def confirm(self, promised: Usage, counts: int) -> None:
        """Hold no more than was promised, after another process has counted the entries"""
        self.promised, self.counts = promised, counts
        self.held = least(self.held, less(promised, self.busy))

    def release(self) -> None:
        """Give up all room"""
        self.confirm(NOTHING, 0)
        self.seen_at = -inf


def excess(bounds: Bounds, usage: Usage) -> Usage:
    """How much a usage exceeds the bounds"""
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
    """The difference, but not less than zero"""
    return most(minus(a, b), NOTHING)
