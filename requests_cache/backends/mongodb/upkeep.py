"""Bounds and automatic deletion in MongoDB and GridFS

The size of each entry is in its own fields (`entries.py`), and the size of all entries in the totals (`totals.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from logging import getLogger
from time import sleep
from typing import TYPE_CHECKING, Any

from ...exceptions import BackendError, BackendUnavailableError, CacheError
from ...keys.shown import shown_text
from ..eviction import NOTHING, Candidate, Eviction, Index, Usage, Uses, make_room
from ..storage import MAX_ATTEMPTS, ChangedError
from .bodies import INDEX_PATIENCE_SECONDS
from .connection import AWAY_LIMIT_SECONDS, patience
from .entries import Entries, Storage
from .ids import from_id, to_id
from .room import less, minus, plus
from .totals import Totals

if TYPE_CHECKING:
    Document = dict[str, Any]

logger = getLogger(__name__)

# Number of recently read entries that are remembered, as the next write often replaces one of them
MAX_SEEN = 256
# How long to wait, several times, if writes in progress use all the room
WAIT_SECONDS = 0.005
# A function that replaces a document, or inserts one if that is None, and returns the replaced document
Put = Callable[[Any], Any]


class MongoUpkeep:
    """Enforces bounds and deletes expired entries

    Args:
        storage: The storage
        name: Name of the collection for the totals
    """

    def __init__(self, storage: Storage, name: str):
        self._storage = storage
        self._mongo = storage._mongo
        self._entries = Entries(storage)
        self._uses = Uses(self._flush)
        # Fields that are needed when an entry is replaced
        self._names = ('_id', storage._size_in, *storage._needed_columns)
        self._seen: dict[Any, tuple[Any, ...]] = {}
        self._is_prepared = False
        self._totals: Totals | None = None
        if storage.bounds is not None:
            self._totals = Totals(storage._mongo, storage._db_name, name, storage.bounds, self._entries.count)

    # Reading

    def note(self, key: str, document: Document | None = None) -> None:
        """Note that an entry was used

        Args:
            key: Its key
            document: Its document, if the next write may replace it
        """
        if self._totals is not None:
            self._uses.note(key)
            if document is not None:
                if len(self._seen) >= MAX_SEEN:
                    self._seen.clear()
                # Tuples, as the garbage collector does not track them
                self._seen[document['_id']] = tuple(map(document.get, self._names))

    def now_ns(self) -> int:
        """The current time, as recorded for uses"""
        return self._uses.now_ns()

    def flush(self) -> None:
        """Record all uses in the entries"""
        uses = self._uses.take()
        try:
            self._entries.touch(uses)
        except BaseException:
            self._uses.give_back(uses)
            raise

    def _flush(self) -> None:
        """As `flush`, but with a short timeout, and errors are only logged"""
        try:
            with patience(AWAY_LIMIT_SECONDS):
                self.flush()
        except CacheError as e:
            logger.debug('Could not record which entries were used: %s', shown_text(e))

    # Writing

    def prepare(self) -> None:
        """Before the first entry is written: create indexes, if the user has the permission"""
        if self._is_prepared:
            return
        try:
            with self._mongo.calling('change its indexes'), patience(INDEX_PATIENCE_SECONDS):
                if self._totals is not None:
                    self._entries.create_index()
                if self._storage.delete_expired_after is not None:
                    self._storage._prepare_to_expire(self._storage.delete_expired_after)
        except BackendUnavailableError:
            raise
        except BackendError as e:
            logger.warning(
                'Could not create an index, so the cache is slow or keeps expired entries: %s', shown_text(e)
            )
        self._is_prepared = True

    def write(self, key: str, n_bytes: int, found: Document | None, put: Put, is_any: bool) -> None:
        """Write an entry, after making room for it

        Args:
            key: Its key
            n_bytes: Its size
            found: The document that is expected to exist; None if there should be none
            put: A function that writes the entry, or raises a `ChangedError`
            is_any: Replace any document

        Raises:
            EntryTooLargeError: The entry exceeds the maximum size
            ChangedError: The existing document is not the expected one
        """
        self.prepare()
        self._storage._delete_expired()
        if self._totals is None:
            put(found)
            return
        self._totals.bounds.check(n_bytes)
        known = self._last_seen(key) if is_any else found
        for _ in range(MAX_ATTEMPTS):
            try:
                self._write_if_unchanged(self._totals, key, n_bytes, known, put, is_any)
                return
            except ChangedError:  # noqa: PERF203
                if not is_any:
                    raise
                known = self._entries.read(key)
        raise BackendError(f'Could not write the entry: it was replaced during each of {MAX_ATTEMPTS} attempts')

    def _last_seen(self, key: str) -> Document | None:
        """The document of an entry when it was last read, if it is remembered"""
        values = self._seen.pop(to_id(key), None)
        return None if values is None else {n: v for n, v in zip(self._names, values, strict=True) if v is not None}

    def _write_if_unchanged(
        self, totals: Totals, key: str, n_bytes: int, known: Document | None, put: Put, is_any: bool
    ) -> None:
        size = Usage(n_bytes, 1)
        need = less(size, self._entries.size(known))
        if not totals.spend(need):
            if known is None and is_any and not totals.is_small(size):
                # If it replaces an entry, it needs less room, and fewer entries are evicted
                known = self._entries.read(key)
                need = less(size, self._entries.size(known))
            self._make_room(totals, key, n_bytes, need)
        counts, left = totals.counts, need
        try:
            left = minus(plus(need, self._entries.size(put(known))), size)
        except BackendUnavailableError:
            left = NOTHING  # it may have been written nevertheless
            raise
        finally:
            self._entries.forget(key)
            try:
                totals.settle(size, need, left, counts)
            except CacheError as e:  # the entry has been written nevertheless
                logger.debug('Could not release reserved room: %s', shown_text(e))

    def _make_room(self, totals: Totals, key: str, n_bytes: int, need: Usage) -> None:
        """Reserve room for an entry, evicting others if necessary; wait if writes in progress use all the room"""
        for number in range(1, MAX_ATTEMPTS + 1):
            index = EntryIndex(self, self._entries, totals, key, Usage(n_bytes, 1), need)
            try:
                with totals.locked():
                    self._find_some(totals)
                    make_room(index, totals.bounds, key, n_bytes)
                if index.has_room:
                    return
            except BackendError:
                if not index.is_empty or number == MAX_ATTEMPTS:
                    raise
            sleep(number * WAIT_SECONDS)
        raise BackendError(f'There is no room in the cache: others took it during each of {MAX_ATTEMPTS} attempts')

    def _find_some(self, totals: Totals) -> None:
        try:
            self._entries.find_some(totals.account)
        except BackendUnavailableError:
            raise
        except BackendError as e:
            logger.warning('Could not account for entries that were written without bounds: %s', shown_text(e))

    # Deleting

    def prepare_to_delete(self) -> Document:
        """Must be called before entries are deleted; returns the columns that `deleted` needs"""
        if self._totals is None:
            return self._storage._needed_columns
        self._totals.prepare()
        return self._entries.columns

    def deleted(self, documents: Sequence[Document], count: int) -> None:
        """Account for the deletion of `count` of the entries"""
        if self._totals is not None:
            self._totals.add_deleted(self._entries.minimum_size(documents, count))

    def cleared(self) -> None:
        """Account for the deletion of all entries"""
        self._seen.clear()
        self._entries.clear()
        if self._totals is not None:
            self._totals.count()

    def close(self) -> None:
        """Record the last uses, and release reserved room, before the client is closed"""
        if self._totals is not None and self._mongo.known_client is not None:
            self._flush()
            try:
                with patience(AWAY_LIMIT_SECONDS):
                    self._totals.give_back()
            except CacheError as e:
                logger.debug('Could not release reserved room: %s', shown_text(e))


class EntryIndex(Index):
    """The index during the write of one entry

    Args:
        upkeep: The upkeep
        entries: The entries
        totals: The totals
        key, size: Key and size of the entry
        need: How much more room it needs than the entry that it replaces
    """

    has_room = is_empty = False

    def __init__(self, upkeep: MongoUpkeep, entries: Entries, totals: Totals, key: str, size: Usage, need: Usage):
        self._upkeep = upkeep
        self._entries = entries
        self._totals = totals
        self._key = key
        self._size = size
        self._need = need

    def touch(self, uses: Mapping[str, int]) -> None:
        self._entries.touch(uses)

    def reserve(self, key: str, n_bytes: int) -> Usage:
        return self._take()

    def oldest(self, count: int) -> list[Candidate]:
        documents = self._entries.oldest(count, self._key)
        self.is_empty = not documents
        return [Candidate(from_id(d['_id']), self._entries.size(d).n_bytes) for d in documents]

    def evict(self, keys: Sequence[str]) -> Eviction:
        self._totals.settle(self._size, NOTHING, self._entries.evict(keys), self._totals.counts)
        return Eviction(self._take())

    def _take(self) -> Usage:
        """Use the room that is needed; returns the usage with it if there is not enough"""
        self.has_room = self._totals.take(self._need)
        if not self.has_room:
            self._upkeep.flush()
            if not self._entries.oldest(1, self._key):
                # No entries are left to evict, so the totals must be too high
                self._totals.count()
                self.has_room = self._totals.take(self._need)
        return NOTHING if self.has_room else self._totals.usage_with(self._need)
