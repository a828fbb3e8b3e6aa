"""How much of its bounds a cache in MongoDB takes: totals that all processes share, in one document

    bytes, entries          what is accounted for: all entries, and the room that processes hold for more
    holders.ID              how much room a process may hold, and when it was last heard of, by the server's clock
    version                 changes when a count that is under way would miss something
    counts, counted_at      how often, and when, the entries were counted

A process takes room before it writes an entry, and some more, so that most writes need not ask for any. What it deletes
or replaces becomes room of its own. So the totals never tell less than there is, wherever a process is killed. They may
tell more: the server deletes what has expired, other versions write and delete what they like, and killed processes
hold room for ever. So they are corrected by counting, when there is no room left and the last count was a while ago.

A count goes through the entries in the order of their last use, while others write. What is written meanwhile comes
last in this order, and is counted; or it was written from room that was held before, which is added to the count.
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
# When others take it that a process is gone; much later than it would ask whether its room is still there
GONE_SECONDS = 15.0
# How old a count may be when there is no room left
COUNT_SECONDS = 60.0
# How often something is tried again that others have changed meanwhile
MAX_TRIES = 5
# How long a thread waits for others of its process that make room
PATIENCE_SECONDS = 5.0


class Totals:
    """The totals of one collection

    Args:
        mongo: Connection
        db_name: Name of the database
        name: Name of the collection for the totals
        bounds: The bounds
        count: Counts the entries
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
        """A block for one thread at a time, as those that find no room should not all make some"""
        room = self._room
        with within(room.lock, PATIENCE_SECONDS) as taken:
            if not taken:
                raise BackendUnavailableError('Another thread has been making room in the cache for too long')
            yield room

    # Room

    def spend(self, need: Usage) -> bool:
        """Use room that is held already; `settle` follows. Returns whether there is enough."""
        with self.locked() as room:
            return room.spend(need)

    def take(self, need: Usage) -> bool:
        """The same, after taking some if necessary; returns False if there is none"""
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
        """How much room to take, if so much is needed; None if there is not enough"""
        known, lack, ahead = self._room.known, self._room.lacking(need), self._room.ahead(self.bounds, need)
        if any(excess(self.bounds, plus(known, lack))):
            return None
        change = plus(lack, ahead)
        return minus(change, excess(self.bounds, plus(known, change)))

    def is_little(self, need: Usage) -> bool:
        """Whether so much room may be made in advance"""
        return not any(less(need, self._room.ahead(self.bounds, need)))

    def usage_with(self, need: Usage) -> Usage:
        """What will be accounted for after so much has been written"""
        return plus(self._room.known, self._room.lacking(need))

    @property
    def counts(self) -> int:
        """How often the entries were counted, as far as this process knows"""
        return self._room.counts

    def settle(self, size: Usage, need: Usage, left: Usage, counts: int) -> None:
        """After a write, or after entries were evicted for one

        Args:
            size: What is written
            need: The room that was used for it
            left: How much of that is left, together with that of what was replaced or evicted
            counts: How often the entries had been counted before
        """
        with self.locked() as room:
            # If this process has counted meanwhile, what was replaced may not be accounted for any more
            room.settle(need, left if counts == room.counts else least(left, need))
            self._give_up_surplus(size)

    def add_deleted(self, freed: Usage) -> None:
        """Hold the room of entries that have been deleted since this thread has called `prepare`"""
        self.settle(NOTHING, NOTHING, freed, self._begun.counts)

    def _give_up_surplus(self, need: Usage) -> None:
        room = self._room
        for _ in range(MAX_TRIES):
            surplus = room.surplus(excess(self.bounds, room.known), room.spare(self.bounds, need))
            if (not any(surplus) and room.is_promised) or self._meet(minus(NOTHING, surplus), need):
                return
            self._look()

    def account(self, found: Usage, mark: Callable[[], Usage]) -> None:
        """Account for entries that are there already

        Args:
            found: How much they take
            mark: Marks them as accounted for, and returns how much of it is left, as others have changed some of them
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
        """Learn of the totals, if that was not done yet, before entries are deleted"""
        with self.locked() as room:
            if not room.counts:
                self._look()
            self._begun.counts = room.counts

    def give_back(self) -> None:
        """Hold no more room, as this process comes to an end, or may do so"""
        with self.locked() as room:
            if room.counts:
                change = {'bytes': -room.held.n_bytes, 'entries': -room.held.n_entries, 'version': 1}
                query, update = {**TOTALS, 'counts': room.counts}, {'$inc': change, '$unset': {room.holder: ''}}
                room.leave()
                with self._mongo.calling('write to it'):
                    self.collection.update_one(query, update)

    # The document

    def _meet(self, change: Usage, need: Usage = NOTHING, is_bounded: bool = True) -> bool:
        """Change the totals by room that is taken or given back, and tell that this process is there

        Args:
            change: How much room
            need: How much the present write needs; the next ones are expected to need as much
            is_bounded: Take it only if it is within the bounds

        Returns:
            Whether it was done; not if the entries were counted meanwhile, or there is not enough room
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
        """Learn what others have made of the totals"""
        from pymongo import ReadPreference

        # A secondary may not have heard of it yet
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
                if before['counts'] > room.counts:  # somebody else was faster
                    self._look()
                    return
                others, gone = self._others(before)
                if self._correct(before, plus(plus(self._count(), room.taken), others), gone):
                    return

    def _begin_to_count(self) -> Document | None:
        """The totals as they are; None if somebody else made them just now"""
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
        """Correct what was wrong with the totals when a count began; returns False if something has disturbed it"""
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
    """What tells the totals that a process is there, and how much it may hold"""
    return {
        '$set': {f'{room.holder}.bytes': promised.n_bytes, f'{room.holder}.entries': promised.n_entries},
        '$currentDate': {f'{room.holder}.at': True},
    }


def _is_away(holder: Document, now: datetime) -> bool:
    """Whether a process was not heard of for so long that it is taken to be gone"""
    seen_at: datetime = holder['at']
    return (now - seen_at).total_seconds() > GONE_SECONDS


def _usage(document: Document) -> Usage:
    return Usage(document.get('bytes', 0), document.get('entries', 0))


def _holder_in(totals: Document, room: Room) -> Document:
    found: Document = totals.get('holders', {}).get(room.holder.partition('.')[2], {})
    return found
