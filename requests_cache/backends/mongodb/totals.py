"""The totals of a bounded cache in MongoDB, which all processes share, in one document

    bytes, entries          the size of all entries, and the room that processes have reserved
    holders.ID              how much room a process may hold, and when it last updated the totals, by the server's clock
    version                 changes when a count in progress might miss something
    counts, counted_at      how often and when the entries were counted

A process reserves room before it writes an entry, and some more, so that most writes need not update the totals. The
room of entries that it deletes or replaces becomes its own. So the totals are never too low, even if a process is
killed at any moment. They may be too high: the server deletes expired entries, other versions write and delete entries,
and killed processes never release their room. So they are corrected by counting the entries, when there is no room left
and the last count was a while ago.

A count reads the entries in the order of their last use, while others write. An entry that is written meanwhile comes
last in this order, and is counted; or it was written to room that was reserved before, which is added to the count.
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
# After this time without an update, a process is considered gone; much longer than it uses room without an update
GONE_SECONDS = 15.0
# If there is no room left, the entries are counted again if the last count is older than this
COUNT_SECONDS = 60.0
# How often an update is attempted if others change the totals at the same time
MAX_ATTEMPTS = 5
# How long a thread waits for another thread of its process that makes room
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
        self._start()

    def _start(self) -> None:
        self._room = Room()
        self._prepared = local()
        renew_after_fork(self, '_room', Room)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ('_room', '_prepared')}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    @property
    def collection(self) -> Collection[Document]:
        return self._mongo.collection(*self._names)

    @contextmanager
    def locked(self) -> Iterator[Room]:
        """A block for one thread at a time, so that not all threads make room at once"""
        room = self._room
        with within(room.lock, PATIENCE_SECONDS) as taken:
            if not taken:
                raise BackendUnavailableError(
                    f'Another thread has been making room in the cache for more than {PATIENCE_SECONDS:g} seconds'
                )
            yield room

    # Room

    def spend(self, need: Usage) -> bool:
        """Use room that is already held; call `settle` afterwards. Returns whether there is enough."""
        with self.locked() as room:
            return room.spend(need)

    def take(self, need: Usage) -> bool:
        """As `spend`, but reserve more room if necessary; returns False if there is not enough"""
        with self.locked() as room:
            for _ in range(MAX_ATTEMPTS):
                if room.spend(need):
                    return True
                self.prepare()
                change = self._available(need)
                if change is not None or not room.is_current:
                    if not self._update(change or NOTHING, need):
                        self._refresh()
                elif monotonic() - room.counted_at > COUNT_SECONDS:
                    self.count()
                else:
                    return False
            return False

    def _available(self, need: Usage) -> Usage | None:
        """How much room to reserve if this much is needed; None if there is not enough"""
        room = self._room
        known, lacking, in_advance = room.known, room.lacking(need), room.in_advance(self.bounds, need)
        if any(excess(self.bounds, plus(known, lacking))):
            return None
        change = plus(lacking, in_advance)
        return minus(change, excess(self.bounds, plus(known, change)))

    def is_small(self, need: Usage) -> bool:
        """Whether this is not more than the room that is reserved in advance"""
        return not any(less(need, self._room.in_advance(self.bounds, need)))

    def usage_with(self, need: Usage) -> Usage:
        """The totals after this much more has been written"""
        return plus(self._room.known, self._room.lacking(need))

    @property
    def counts(self) -> int:
        """How often the entries were counted, as far as this process knows"""
        return self._room.counts

    def settle(self, size: Usage, need: Usage, left: Usage, counts: int) -> None:
        """Account for a finished write, or for the eviction of entries

        Args:
            size: Size of the entry
            need: The room that was used for it
            left: The room that is left of that, including the room of replaced or evicted entries
            counts: How often the entries had been counted before the write
        """
        with self.locked() as room:
            # If this process has counted meanwhile, the totals may no longer include the replaced entry
            room.settle(need, left if counts == room.counts else least(left, need))
            self._give_up_surplus(size)

    def add_deleted(self, freed: Usage) -> None:
        """Keep the room of entries that were deleted since this thread called `prepare`"""
        self.settle(NOTHING, NOTHING, freed, self._prepared.counts)

    def _give_up_surplus(self, need: Usage) -> None:
        room = self._room
        for _ in range(MAX_ATTEMPTS):
            surplus = room.surplus(excess(self.bounds, room.known), room.max_held(self.bounds, need))
            if (not any(surplus) and room.is_promised) or self._update(minus(NOTHING, surplus), need):
                return
            self._refresh()

    def account(self, found: Usage, mark: Callable[[], Usage]) -> None:
        """Account for existing entries that are not in the totals

        Args:
            found: Their size
            mark: A function that marks them as accounted for, and returns the size of those that others have changed
        """
        with self.locked() as room:
            for _ in range(MAX_ATTEMPTS):
                self.prepare()
                if self._update(found, is_bounded=False):
                    room.held = minus(room.held, found)
                    self.settle(NOTHING, NOTHING, mark(), room.counts)
                    return
                self._refresh()

    def prepare(self) -> None:
        """Read the totals if necessary; must be called before entries are deleted"""
        with self.locked() as room:
            if not room.counts:
                self._refresh()
            self._prepared.counts = room.counts

    def give_back(self) -> None:
        """Release all room, as this process may be about to end"""
        with self.locked() as room:
            if room.counts:
                change = {'bytes': -room.held.n_bytes, 'entries': -room.held.n_entries, 'version': 1}
                query, update = {**TOTALS, 'counts': room.counts}, {'$inc': change, '$unset': {room.holder: ''}}
                room.release()
                with self._mongo.calling('write to it'):
                    self.collection.update_one(query, update)

    # The document

    def _update(self, change: Usage, need: Usage = NOTHING, is_bounded: bool = True) -> bool:
        """Reserve or release room in the totals, and record that this process is alive

        Args:
            change: How much room to reserve; negative to release it
            need: How much room the current write needs; the next ones are expected to need as much
            is_bounded: Reserve it only if that does not exceed the bounds

        Returns:
            False if nothing was changed, as the entries were counted meanwhile, or there is not enough room
        """
        room = self._room
        held, promised = plus(room.held, change), room.promised
        if any(change) or not room.is_promised:
            promised = plus(plus(held, room.busy), room.max_held(self.bounds, need))
        # A count in progress adds the room that was promised when it began, so up to that it misses nothing
        raised = minus(promised, room.promised)
        disturbs = not room.is_current or any(c < max(r, 0) for c, r in zip(change, raised, strict=True))
        query: Document = {**TOTALS, 'counts': room.counts}
        if is_bounded:
            limits = zip(('bytes', 'entries'), self.bounds[:2], change, strict=True)
            query |= {name: {'$lte': limit - c} for name, limit, c in limits if limit is not None and c > 0}
        update = {
            '$inc': {'bytes': change.n_bytes, 'entries': change.n_entries, 'version': int(disturbs)},
            **_holder_update(room, promised),
        }
        before = room.held
        # Released room must not be used any more, even if the server does not respond
        room.held = least(before, held)
        with self._mongo.calling('write to it'):
            found = self.collection.find_one_and_update(query, update, return_document=True)
        if found is None:
            room.held = before
            return False
        room.held, room.promised, room.known, room.seen_at = held, promised, _usage(found), monotonic()
        now: datetime = _holder_in(found, room)['at']
        room.n_holders = sum(not _is_away(holder, now) for holder in found['holders'].values())
        room.counted_at = room.seen_at - (now - found['counted_at']).total_seconds()
        return True

    def _refresh(self) -> None:
        """Read the totals"""
        from pymongo import ReadPreference

        # A secondary may not know the latest changes
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
            for _ in range(MAX_ATTEMPTS):
                before = self._begin_to_count()
                if before is None:
                    continue
                if before['counts'] > room.counts:  # another process was faster
                    self._refresh()
                    return
                others, gone = self._others(before)
                if self._correct(before, plus(plus(self._count(), room.taken), others), gone):
                    return

    def _begin_to_count(self) -> Document | None:
        """The current totals, which are created if necessary; None if another process is just creating them"""
        from pymongo.errors import DuplicateKeyError

        first = {'bytes': 0, 'entries': 0, 'version': 0, 'counts': 0}
        update = {'$setOnInsert': first, '$currentDate': {'asked_at': True}}
        with self._mongo.calling('write to it'), suppress(DuplicateKeyError):
            return self.collection.find_one_and_update(TOTALS, update, upsert=True, return_document=True)
        return None

    def _others(self, totals: Document) -> tuple[Usage, list[str]]:
        """How much room other processes may hold, and which of them are gone"""
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
        """Correct the totals by the difference that was found; returns False if the count may have missed something"""
        room, change = self._room, minus(counted, _usage(before))
        update = _holder_update(room, room.promised)
        update['$currentDate']['counted_at'] = True
        update['$inc'] = {'bytes': change.n_bytes, 'entries': change.n_entries, 'version': 1, 'counts': 1}
        if gone:
            update['$unset'] = dict.fromkeys(gone, '')
        with self._mongo.calling('write to it'):
            query = {**TOTALS, 'version': before['version']}
            if not self.collection.update_one(query, update).matched_count:
                return False
        room.counts, room.known = before['counts'] + 1, counted
        room.seen_at = room.counted_at = monotonic()
        return True


def _holder_update(room: Room, promised: Usage) -> Document:
    """The update that records that a process is alive, and how much room it may hold"""
    return {
        '$set': {f'{room.holder}.bytes': promised.n_bytes, f'{room.holder}.entries': promised.n_entries},
        '$currentDate': {f'{room.holder}.at': True},
    }


def _is_away(holder: Document, now: datetime) -> bool:
    """Whether a process has not updated the totals for so long that it is considered gone"""
    seen_at: datetime = holder['at']
    return (now - seen_at).total_seconds() > GONE_SECONDS


def _usage(document: Document) -> Usage:
    return Usage(document.get('bytes', 0), document.get('entries', 0))


def _holder_in(totals: Document, room: Room) -> Document:
    found: Document = totals.get('holders', {}).get(room.holder.partition('.')[2], {})
    return found
