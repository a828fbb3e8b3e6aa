"""Room that a process holds in a bounded cache, so that it need not ask for it with each write"""

from __future__ import annotations

from math import inf
from threading import RLock
from time import monotonic

from ..bodies import new_body_id
from ..eviction import NOTHING, ONE_IN, Bounds, Usage

# How long room can be used without asking whether it is still ours
CURRENT_SECONDS = 5.0
# For so many writes, room is taken in advance where it is not bounded
WRITES_AHEAD = 16
# So many processes may hold all that is evicted at once; if there are more, each of them holds less
FULL_HOLDERS = 5


class Room:
    """What one process knows of its room, and of the totals; a forked child begins anew

    Attributes:
        lock: Held by the thread that looks at the rest or changes it
        holder: Where the totals have what is promised to this process
        held: Room that can be used
        busy: Room that is used by writes under way
        promised: How much both together may become without asking
        n_holders: How many processes hold room
        known: The totals when they were last seen
        counts: How often the entries had been counted then; 0 before that
        met_at, counted_at: When the totals last heard of this process, and when the entries were last counted
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
        """Whether what is known here can be relied on"""
        return monotonic() - self.met_at <= CURRENT_SECONDS

    @property
    def taken(self) -> Usage:
        """What the totals account for, for this process, besides the entries"""
        return plus(self.held, self.busy)

    def lacking(self, need: Usage) -> Usage:
        """How much is to be had besides what is held"""
        return less(need, self.held)

    def ahead(self, bounds: Bounds, need: Usage) -> Usage:
        """How much to take in advance, where each write needs so much: what is evicted at once, or does not matter"""
        share = ONE_IN * max(1, self.n_holders // FULL_HOLDERS)
        n_bytes, n_entries = ((limit or 0) // share for limit in bounds[:2])
        if bounds.max_bytes is None:
            n_bytes = need.n_bytes * max(n_entries, WRITES_AHEAD)
        if bounds.max_entries is None:
            n_entries = max(n_bytes // max(need.n_bytes, 1), WRITES_AHEAD)
        return Usage(n_bytes, n_entries)

    def spare(self, bounds: Bounds, need: Usage) -> Usage:
        """How much to hold at most"""
        n_bytes, n_entries = self.ahead(bounds, need)
        return Usage(n_bytes + 2 * need.n_bytes, 2 * n_entries)

    def spend(self, need: Usage) -> bool:
        """Use room; returns whether there is enough"""
        if not self.is_current or any(self.lacking(need)):
            return False
        self.held, self.busy = minus(self.held, need), plus(self.busy, need)
        return True

    def settle(self, need: Usage, left: Usage) -> None:
        """Use room no more, of which some is left, or has become free"""
        self.busy, self.held = minus(self.busy, need), plus(self.held, left)

    def surplus(self, excess: Usage, spare: Usage) -> Usage:
        """What is to be given back

        Args:
            excess: By how much the totals are too high
            spare: How much is to be held at most
        """
        return least(self.held, most(excess, less(self.held, spare)))

    @property
    def is_promised(self) -> bool:
        """Whether all that is held and used was promised"""
        return not any(less(self.taken, self.promised))

    def confirm(self, promised: Usage, counts: int) -> None:
        """Hold no more than was promised, after others have counted"""
        self.promised, self.counts = promised, counts
        self.held = least(self.held, less(promised, self.busy))

    def leave(self) -> None:
        """Hold nothing more"""
        self.confirm(NOTHING, 0)
        self.met_at = -inf


def excess(bounds: Bounds, usage: Usage) -> Usage:
    """By how much bounds are exceeded"""
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
    """What of one the other does not cover"""
    return most(minus(a, b), NOTHING)
