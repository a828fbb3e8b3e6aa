"""The total size of a bounded cache in MongoDB, shared by all processes in one document

    bytes, entries          the totals: all entries, and the space that processes have reserved
    holders.ID              how much space a process may hold, and when it last updated this, by the server's clock
    version                 changes if a count in progress would otherwise be wrong
    counts, counted_at      how often, and when, the entries were counted

Before a process writes an entry, it reserves space, and some more in advance for later writes. The space of entries
that it deletes or replaces becomes its own. So the totals are never too low, even if a process is killed. They may be
too high: the server deletes expired entries, other versions do not update the totals, and killed processes never give
back their space. So they are corrected by counting the entries, if there is no space left and the last count was some
time ago.

A count reads the entries in the order of their last use, while other processes write. An entry that is written in the
meantime is last in this order, and is counted; or it used space that was reserved before, which is added to the count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from threading import local
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..._utils import renew_after_fork, within
from ...exceptions import BackendUnavailableError
from ..bodies import is_gone
from ..eviction import NOTHING, Bounds, Usage
from .connection import MongoConnection
from .room import Room, excess, least, less, minus, plus

if TYPE_CHECKING:
    from pymongo.collection import Collection

    Document = dict[str, Any]

TOTALS = {'_id': 'totals'}
# When a process is considered dead; much later than the time after which it checks its own reservation
GONE_SECONDS = 15.0
# The maximum age of a count if there is no space left
COUNT_SECONDS = 60.0
# How often an operation is retried if others have made changes in the meantime
MAX_TRIES = 5
# How long a thread waits for other threads of its process that are freeing space
PATIENCE_SECONDS = 5.0


class Totals:
    """The totals of one collection

    Args:
        mongo: Connection
        db_name: Name of the database
        name: Name of the collection for the totals
        bounds: The bounds
        count: A function that counts the entries
    """

    def __init__(self, mongo: MongoConnection, db_name: str, name: str, bounds: Bounds, count: Callable[[], Usage]):
        self._mongo = mongo
        self._names = db_name, name
        self.bounds = bounds
        self._count = count
        self._begin()

    def _begin(self) -> None:
        self._room = Room()
        self._begun = local()
        renew_after_fork(self, '_room', Room)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ('_room', '_begun')}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    @property
    def collection(self) -> Collection[Document]:
        return self._mongo.collection(*self._names)

    @contextmanager
    def locked(self) -> Iterator[Room]:
        """A block for one thread at a time, so that only one of them frees space"""
        room = self._room
        with within(room.lock, PATIENCE_SECONDS) as taken:
            if not taken:
                raise BackendUnavailableError('Another thread has been making room in the cache for too long')
            yield room

    # Reserving space

    def spend(self, need: Usage) -> bool:
        """Use space that is already reserved, and return whether there is enough; call `settle` afterwards"""
        with self.locked() as room:
            return room.spend(need)

    def take(self, need: Usage) -> bool:
        """The same, but reserve more space if necessary; returns False if there is none"""
        with self.locked() as room:
            for _ in range(MAX_TRIES):
                if room.spend(need):
                    return True
                self.prepare()
                change = self._fitting(need)
                if change is not None or not room.is_current:
                    if not self._meet(change or NOTHING, need):
                        self._look()
                elif monotonic() - room.counted_at > COUNT_SECONDS:
                    self.count()
                else:
                    return False
            return False

    def _fitting(self, need: Usage) -> Usage | None:
        """How much space to reserve if `need` is needed; None if there is not enough"""
        known, lack, ahead = self._room.known, self._room.lacking(need), self._room.ahead(self.bounds, need)
        if any(excess(self.bounds, plus(known, lack))):
            return None
        change = plus(lack, ahead)
        return minus(change, excess(self.bounds, plus(known, change)))

    def is_little(self, need: Usage) -> bool:
        """Whether this much space may be freed in advance"""
        return not any(less(need, self._room.ahead(self.bounds, need)))

    def usage_with(self, need: Usage) -> Usage:
        """The usage after writing `need`"""
        return plus(self._room.known, self._room.lacking(need))

    @property
    def counts(self) -> int:
        """How often the entries were counted, according to the totals that were last read"""
        return self._room.counts

    def settle(self, size: Usage, need: Usage, left: Usage, counts: int) -> None:
        """Called after a write, or after evicting entries for a write

        Args:
            size: The size that was written
            need: The space that was used
            left: How much of it is free again, including the space of replaced or evicted entries
            counts: How often the entries had been counted before
        """
        with self.locked() as room:
            # If this process has counted in the meantime, the replaced entry may no longer be accounted for
            room.settle(need, left if counts == room.counts else least(left, need))
            self._give_up_surplus(size)

    def add_deleted(self, freed: Usage) -> None:
        """Take over the space of entries that were deleted since this thread called `prepare`"""
        self.settle(NOTHING, NOTHING, freed, self._begun.counts)

    def _give_up_surplus(self, need: Usage) -> None:
        room = self._room
        for _ in range(MAX_TRIES):
            surplus = room.surplus(excess(self.bounds, room.known), room.spare(self.bounds, need))
            if (not any(surplus) and room.is_promised) or self._meet(minus(NOTHING, surplus), need):
                return
            self._look()

    def account(self, found: Usage, mark: Callable[[], Usage]) -> None:
        """Account for existing entries

        Args:
            found: Their size
            mark: A function that marks them as accounted for, and returns the size of those that others have changed
        """
        with self.locked() as room:
            for _ in range(MAX_TRIES):
                self.prepare()
                if self._meet(found, is_bounded=False):
                    room.held = minus(room.held, found)
                    self.settle(NOTHING, NOTHING, mark(), room.counts)
                    return
                self._look()

    def prepare(self) -> None:
        """Read the totals, if that has not been done yet, before entries are deleted"""
        with self.locked() as room:
            if not room.counts:
                self._look()
            self._begun.counts = room.counts

    def give_back(self) -> None:
        """Give back all space, as this process may be about to end"""
        with self.locked() as room:
            if room.counts:
                change = {'bytes': -room.held.n_bytes, 'entries': -room.held.n_entries, 'version': 1}
                query, update = {**TOTALS, 'counts': room.counts}, {'$inc': change, '$unset': {room.holder: ''}}
                room.leave()
                with self._mongo.calling('write to it'):
                    self.collection.update_one(query, update)

    # The document

    def _meet(self, change: Usage, need: Usage = NOTHING, is_bounded: bool = True) -> bool:
        """Update the totals for space that is reserved or given back, and record that this process is alive

        Args:
            change: How much space
            need: How much the current write needs; later writes are expected to need the same
            is_bounded: Reserve the space only if it is within the bounds

        Returns:
            Whether it succeeded; it fails if the entries were counted in the meantime, or there is not enough space
        """
        room = self._room
        held, promised = plus(room.held, change), room.promised
        if any(change) or not room.is_promised:
            promised = plus(plus(held, room.busy), room.spare(self.bounds, need))
        # A count that is under way adds what was promised when it began, and misses no room that is taken
        raised = minus(promised, room.promised)
        disturbs = not room.is_current or any(c < max(r, 0) for c, r in zip(change, raised, strict=True))
        query: Document = {**TOTALS, 'counts': room.counts}
        if is_bounded:
            limits = zip(('bytes', 'entries'), self.bounds[:2], change, strict=True)
            query |= {name: {'$lte': limit - c} for name, limit, c in limits if limit is not None and c > 0}
        update = {
            '$inc': {'bytes': change.n_bytes, 'entries': change.n_entries, 'version': int(disturbs)},
            **_greeting(room, promised),
        }
        before = room.held
        # What is given back is gone, also if no answer comes
        room.held = least(before, held)
        with self._mongo.calling('write to it'):
            found = self.collection.find_one_and_update(query, update, return_document=True)
        if found is None:
            room.held = before
            return False
        room.held, room.promised, room.known, room.met_at = held, promised, _usage(found), monotonic()
        now: datetime = _holder_in(found, room)['at']
        room.n_holders = sum(not _is_away(holder, now) for holder in found['holders'].values())
        room.counted_at = room.met_at - (now - found['counted_at']).total_seconds()
        return True

    def _look(self) -> None:
        """Read the totals"""
        from pymongo import ReadPreference

        # A secondary may not be up to date
        collection = self.collection.with_options(read_preference=ReadPreference.PRIMARY)
        with self._mongo.calling('read from it'):
            found = collection.find_one(TOTALS)
        if found is None or not found['counts']:
            self.count()
            return
        room = self._room
        if found['counts'] != room.counts:
            room.confirm(_usage(_holder_in(found, room)), found['counts'])
        room.known, room.n_holders = _usage(found), len(found.get('holders', {})) + 1

    # Counting

    def count(self) -> None:
        """Count the entries, and correct the totals"""
        with self.locked() as room:
            for _ in range(MAX_TRIES):
                before = self._begin_to_count()
                if before is None:
                    continue
                if before['counts'] > room.counts:  # another process has just counted them
                    self._look()
                    return
                others, gone = self._others(before)
                if self._correct(before, plus(plus(self._count(), room.taken), others), gone):
                    return

    def _begin_to_count(self) -> Document | None:
        """The current totals; None if another process has just created them"""
        from pymongo.errors import DuplicateKeyError

        first = {'bytes': 0, 'entries': 0, 'version': 0, 'counts': 0}
        update = {'$setOnInsert': first, '$currentDate': {'asked_at': True}}
        with self._mongo.calling('write to it'), suppress(DuplicateKeyError):
            return self.collection.find_one_and_update(TOTALS, update, upsert=True, return_document=True)
        return None

    def _others(self, totals: Document) -> tuple[Usage, list[str]]:
        """How much space other processes may hold, and which of them are dead"""
        room = NOTHING
        gone = []
        for name, holder in totals.get('holders', {}).items():
            if f'holders.{name}' == self._room.holder:
                continue
            if _is_away(holder, totals['asked_at']) or is_gone(name):
                gone.append(f'holders.{name}')
            else:
                room = plus(room, _usage(holder))
        return room, gone

    def _correct(self, before: Document, counted: Usage, gone: list[str]) -> bool:
        """Correct the totals by the result of a count; returns False if the count is no longer valid"""
        room, change = self._room, minus(counted, _usage(before))
        update = _greeting(room, room.promised)
        update['$currentDate']['counted_at'] = True
        update['$inc'] = {'bytes': change.n_bytes, 'entries': change.n_entries, 'version': 1, 'counts': 1}
        if gone:
            update['$unset'] = dict.fromkeys(gone, '')
        with self._mongo.calling('write to it'):
            query = {**TOTALS, 'version': before['version']}
            if not self.collection.update_one(query, update).matched_count:
                return False
        room.counts, room.known = before['counts'] + 1, counted
        room.met_at = room.counted_at = monotonic()
        return True


def _greeting(room: Room, promised: Usage) -> Document:
    """The update of the totals which records that a process is alive, and how much space it may hold"""
    return {
        '$set': {f'{room.holder}.bytes': promised.n_bytes, f'{room.holder}.entries': promised.n_entries},
        '$currentDate': {f'{room.holder}.at': True},
    }


def _is_away(holder: Document, now: datetime) -> bool:
    """Whether a process has not updated its reservation for so long that it is considered dead"""
    seen_at: datetime = holder['at']
    return (now - seen_at).total_seconds() > GONE_SECONDS


def _usage(document: Document) -> Usage:
    return Usage(document.get('bytes', 0), document.get('entries', 0))


def _holder_in(totals: Document, room: Room) -> Document:
    found: Document = totals.get('holders', {}).get(room.holder.partition('.')[2], {})
    return found
