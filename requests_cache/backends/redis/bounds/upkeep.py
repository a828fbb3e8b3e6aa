"""Bounds of a storage in Redis: what is done beside writing and deleting"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from logging import getLogger
from random import randrange
from typing import TYPE_CHECKING, Any, TypeVar

from ....exceptions import BackendError, CacheError, EntryTooLargeError
from ....keys.shown import shown_text
from ...clients import Fault, as_backend_error
from ...eviction import Bounds, Uses, evict_excess, make_room
from ..commands import is_refusal
from ..writes import Entries, UnexpectedError, Write
from .index import Place, RedisIndex, Untold, most_of, removed_at
from .recount import Recount
from .room import Entry, RoomInCluster, RoomOnServer, is_written, write_at_once
from .sizes import HASH, STRING

if TYPE_CHECKING:
    from ....models.body import Body

logger = getLogger(__name__)
T = TypeVar('T')

# One write out of so many looks at some of what is accounted for, and at some of what is there
WRITES_PER_ROUND = 128
# In a cluster, the index is told with the next write that an entry is there, and does not evict it before; at once, if
# more than one entry out of so many is in that state
ONE_UNTOLD_IN = 64


class RedisUpkeep:
    """What is done for the bounds of a storage

    Args:
        storage: The storage
        bounds: Its bounds
    """

    def __init__(self, storage: Entries, bounds: Bounds):
        self._storage = storage
        self._bounds = bounds
        self._most = most_of(bounds)
        self._place = Place(storage)
        self._recount = Recount(storage, self._place)
        self._uses = Uses(self._flush)
        self._untold = Untold()
        self._writes = randrange(WRITES_PER_ROUND)

    @property
    def names(self) -> tuple[bytes, ...]:
        """Names of the index"""
        return self._place.names

    def note(self, key: str) -> None:
        """Note that an entry was used"""
        self._uses.note(key)

    def _flush(self) -> None:
        """Tell the index of uses, and of what has been written"""
        uses = self._uses.take()
        try:
            with self._storage._calling('write to it'):
                index = self._index()
                index.touch(uses)
                index.step()
        except CacheError as e:
            self._uses.give_back(uses)
            logger.debug('The index of the cache was not told what was used: %s', shown_text(e))

    def close(self) -> None:
        """Tell the index the last of it, before the client is closed"""
        if (self._uses or self._untold) and self._storage._connection.known_client is not None:
            self._flush()

    def _index(self) -> RedisIndex:
        return RedisIndex(self._place, self._most, self._delete, self._untold)

    def _delete(self, keys: Sequence[str]) -> list[tuple[bytes, ...]]:
        """Delete what is to be evicted from other servers; or give its names, for a script to do it"""
        if self._place.is_apart:
            self._storage._unlink(keys)
            return [() for _ in keys]
        return [self._storage._names(key) for key in keys]

    # Writing

    def write(self, write: Write, key: str, value: Any, seconds: int | None, body: Body | None) -> None:
        """Make room for an entry, and write it

        Args:
            write: How it is written
            key: Its key
            value: The string, or what is left of an entry with a large body
            seconds: After which Redis removes it; None for never
            body: The large body

        Raises:
            EntryTooLargeError: It is not to be kept
            BackendError: There is no room, or the user of Redis may not do what bounds take
        """
        try:
            entry = self._entry(write, key, value, seconds, body)
            uses = self._uses.take()
            try:
                self._write(entry, key, uses)
            except BaseException:
                self._uses.give_back(uses)
                raise
        except Exception as e:
            if is_refusal(e):
                raise self._not_permitted(e) from e
            raise
        self._writes += 1
        if self._writes % WRITES_PER_ROUND == 0:
            self.look_after()

    def _entry(self, write: Write, key: str, value: Any, seconds: int | None, body: Body | None) -> Entry:
        names = (write.names[0], self._storage.pieces.name(key)) if len(write.names) == 1 else write.names[:2]
        member, lengths = names[0][len(self._place.start) :], [_length(value)]
        if body is not None:
            lengths += self._storage.pieces.lengths(self._place.client, key, body)
        kind = STRING if body is None else HASH
        size = self._recount.size_of(kind, names[kind - 1], member, lengths)
        try:
            self._bounds.check(size)
        except EntryTooLargeError:
            if write.watched:
                write.commands(self._storage._client)  # what is there may not be what is expected
            raise
        return Entry(member, (names[0], names[1]), size, value, seconds, removed_at(seconds), write)

    def _write(self, entry: Entry, key: str, uses: dict[str, int]) -> None:
        place, connection = self._place, self._storage._connection
        is_apart = place.is_apart
        # Most of the time, this is all
        if not is_apart and is_written(place, write_at_once(connection, place, self._most, entry, place.told(uses))):
            return
        others = (connection, self._recount.complete, place, self._most, self._delete, self._untold)
        room = (RoomInCluster if is_apart else RoomOnServer)(entry, *others)
        room.touch(uses)
        make_room(room, self._bounds, key, entry.size)
        if isinstance(room, RoomInCluster):
            self._write_apart(room)

    def _write_apart(self, room: RoomInCluster) -> None:
        try:
            room.write()
        except (UnexpectedError, CacheError):  # nothing has been written; after other errors, nobody knows
            self._untold.written.append(room.done(False))
            raise
        self._untold.written.append(room.done(True))
        if room.n_writers * ONE_UNTOLD_IN > room.usage.n_entries:
            self._flush()

    def _not_permitted(self, error: Exception) -> BackendError:
        """What is raised if a user of Redis may not do what bounds take; an entry is not kept without them"""
        where = f'{self._storage._connection.where}: could not keep its bounds'
        names = f'~{self._storage.namespace}-*'
        advice = f'max_cache_bytes and max_entries take scripts (+eval +evalsha) and names of their own ({names})'
        return as_backend_error(error, where, Fault(unavailable=False, advice=advice))

    # Deleting, and looking after the index

    @contextmanager
    def forgetting(self, keys: Iterable[str]) -> Iterator[None]:
        """A block that deletes entries, which the index forgets unless others write them meanwhile"""
        if self._untold:
            self._flush()
        members = [self._place.member(key) for key in dict.fromkeys(keys)]
        known = self._quietly(lambda: self._recount.look(members)) or {}
        yield
        self._quietly(lambda: self._recount.forget(known))

    def forget_phantoms(self) -> None:
        """Have the index forget all entries that are not there"""
        self._quietly(self._recount.forget_phantoms)

    def look_after(self) -> None:
        """Look at some of what is accounted for, and at some of what is there, and put right what is wrong"""

        def look_after() -> None:
            usage = self._recount.round()
            if min(self._bounds.room(usage)) < 0:
                evict_excess(self._index(), self._bounds, usage)

        self._quietly(look_after)

    def _quietly(self, function: Callable[[], T]) -> T | None:
        """Call a function that can be done without, or later"""
        try:
            with self._storage._calling('look after its index'):
                return function()
        except BackendError as e:
            logger.debug('The index of the cache was not looked after: %s', shown_text(e))
            return None


def _length(value: Any) -> int:
    return len(value if isinstance(value, (bytes, bytearray, memoryview)) else str(value))
