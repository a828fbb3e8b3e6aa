"""Enforcing the bounds of a storage in Redis"""

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
from .index import IndexAccess, PendingUpdates, RedisIndex, limits_of, removed_at
from .recount import Recount
from .room import ClusterIndex, Entry, ServerIndex, is_written, write_at_once
from .sizes import HASH, STRING

if TYPE_CHECKING:
    from ....models.body import Body

logger = getLogger(__name__)
T = TypeVar('T')

# After this many writes, some rows of the index and some entries are checked
WRITES_PER_ROUND = 128
# In a cluster, the index learns with the next write that an entry was written, and does not evict it before that. It is
# updated at once if more than this fraction (one in 64) of all entries is in that state.
ONE_PENDING_IN = 64


class RedisUpkeep:
    """Enforces the bounds of a storage

    Args:
        storage: The storage
        bounds: Its bounds
    """

    def __init__(self, storage: Entries, bounds: Bounds):
        self._storage = storage
        self._bounds = bounds
        self._limits = limits_of(bounds)
        self._access = IndexAccess(storage)
        self._recount = Recount(storage, self._access)
        self._uses = Uses(self._flush)
        self._pending = PendingUpdates()
        self._writes = randrange(WRITES_PER_ROUND)

    @property
    def names(self) -> tuple[bytes, ...]:
        """Names of the index"""
        return self._access.names

    def note(self, key: str) -> None:
        """Note that an entry was used"""
        self._uses.note(key)

    def _flush(self) -> None:
        """Update the index with uses and pending updates"""
        uses = self._uses.take()
        try:
            with self._storage._calling('write to it'):
                index = self._index()
                index.touch(uses)
                index.step()
        except CacheError as e:
            self._uses.give_back(uses)
            logger.debug('Could not record uses in the index of the cache: %s', shown_text(e))

    def close(self) -> None:
        """Update the index a last time before the client is closed"""
        if (self._uses or self._pending) and self._storage._connection.known_client is not None:
            self._flush()

    def _index(self) -> RedisIndex:
        return RedisIndex(self._access, self._limits, self._delete, self._pending)

    def _delete(self, keys: Sequence[str]) -> list[tuple[bytes, ...]]:
        """Delete entries from other servers; otherwise return their names, so that a script deletes them"""
        if self._access.is_distributed:
            self._storage._unlink(keys)
            return [() for _ in keys]
        return [self._storage._names(key) for key in keys]

    # Writing

    def write(self, write: Write, key: str, value: Any, seconds: int | None, body: Body | None) -> None:
        """Make room for an entry, and write it

        Args:
            write: The commands that write it
            key: Its key
            value: The string, or the entry without its large body
            seconds: After how many seconds Redis removes it; None for never
            body: The large body

        Raises:
            EntryTooLargeError: The entry exceeds the maximum size
            BackendError: There is no room, or the Redis user lacks permissions that bounds require
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
                raise self._permission_error(e) from e
            raise
        self._writes += 1
        if self._writes % WRITES_PER_ROUND == 0:
            self.maintain()

    def _entry(self, write: Write, key: str, value: Any, seconds: int | None, body: Body | None) -> Entry:
        names = (write.names[0], self._storage.pieces.name(key)) if len(write.names) == 1 else write.names[:2]
        member, lengths = names[0][len(self._access.start) :], [_length(value)]
        if body is not None:
            lengths += self._storage.pieces.lengths(self._access.client, key, body)
        kind = STRING if body is None else HASH
        size = self._recount.size_of(kind, names[kind - 1], member, lengths)
        try:
            self._bounds.check(size)
        except EntryTooLargeError:
            if write.watched:
                write.commands(self._storage._client)  # raises UnexpectedError if the condition is not met
            raise
        return Entry(member, (names[0], names[1]), size, value, seconds, removed_at(seconds), write)

    def _write(self, entry: Entry, key: str, uses: dict[str, int]) -> None:
        access, connection = self._access, self._storage._connection
        is_distributed = access.is_distributed
        if not is_distributed:  # one step is usually enough
            reply = write_at_once(connection, access, self._limits, entry, access.use_items(uses))
            if is_written(access, reply):
                return
        others = (connection, self._recount.complete, access, self._limits, self._delete, self._pending)
        index = (ClusterIndex if is_distributed else ServerIndex)(entry, *others)
        index.touch(uses)
        make_room(index, self._bounds, key, entry.size)
        if isinstance(index, ClusterIndex):
            self._write_to_cluster(index)

    def _write_to_cluster(self, index: ClusterIndex) -> None:
        try:
            index.write()
        except (UnexpectedError, CacheError):  # nothing was written; after other errors, that is unknown
            self._pending.written.append(index.pending_update(False))
            raise
        self._pending.written.append(index.pending_update(True))
        if index.n_writers * ONE_PENDING_IN > index.usage.n_entries:
            self._flush()

    def _permission_error(self, error: Exception) -> BackendError:
        """The error if a Redis user lacks permissions that bounds require; without them, no entry is stored"""
        where = f'{self._storage._connection.where}: could not enforce the bounds of the cache'
        names = f'~{self._storage.namespace}-*'
        advice = f'max_cache_bytes and max_entries require permission for scripts (+eval +evalsha) and for {names}'
        return as_backend_error(error, where, Fault(unavailable=False, advice=advice))

    # Deleting entries, and maintaining the index

    @contextmanager
    def forgetting(self, keys: Iterable[str]) -> Iterator[None]:
        """A block that deletes entries; afterwards they are removed from the index, unless others have written them"""
        if self._pending:
            self._flush()
        members = [self._access.member(key) for key in dict.fromkeys(keys)]
        known = self._quietly(lambda: self._recount.last_used(members)) or {}
        yield
        self._quietly(lambda: self._recount.forget(known))

    def forget_missing(self) -> None:
        """Remove all entries from the index that do not exist"""
        self._quietly(self._recount.forget_missing)

    def maintain(self) -> None:
        """Check some rows of the index and some entries, correct the index, and enforce the bounds"""

        def check() -> None:
            if min(self._bounds.room(self._recount.round())) < 0:
                index = self._index()
                # The index may still count entries that the last write has evicted
                evict_excess(index, self._bounds, index.step())

        self._quietly(check)

    def _quietly(self, function: Callable[[], T]) -> T | None:
        """Call a function that is not essential, or can be repeated later; errors are only logged"""
        try:
            with self._storage._calling('maintain the index of the cache'):
                return function()
        except BackendError as e:
            logger.debug('Could not maintain the index of the cache: %s', shown_text(e))
            return None


def _length(value: Any) -> int:
    return len(value if isinstance(value, (bytes, bytearray, memoryview)) else str(value))
