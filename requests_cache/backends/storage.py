"""The base class of all storages: a mutable mapping with a serializer"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, MutableMapping, ValuesView
from functools import partial
from logging import DEBUG, WARNING, getLogger
from typing import TYPE_CHECKING, Any, TypeVar

from .._utils import checked_size, chunkify, is_bad_signature, remember, takes_argument
from ..exceptions import EntryTooLargeError, MissingKeyError
from ..keys.shown import shown_key, shown_text, shown_traceback
from ..models.body import Body
from ..models.response import CachedResponse
from ..policy.expiration import to_seconds
from ..serializers.pipeline import SerializerPipeline, SerializerType
from ..serializers.registry import init_serializer
from ..serializers.sealing import MARK, Seal
from ..serializers.unpickling import PickleError
from .bodies import LARGE_BODY_BYTES, BodyWriter, Pieces, discard, remove_leftovers, source_of, write_empty

if TYPE_CHECKING:
    from datetime import timedelta

    from .eviction import Bounds
    from .leases import Leases

KT = TypeVar('KT')
VT = TypeVar('VT')
logger = getLogger(__name__)

# Exceptions that serializers raise for values that they cannot read
DESERIALIZE_ERRORS = (AttributeError, ImportError, PickleError, TypeError, ValueError)
CHUNK_SIZE = 999
# How many entries are remembered because they are encrypted with an unknown key, or because they were too large
MAX_LOCKED = 1000
MAX_REFUSED = 1000
# How often replacing an entry is attempted if others write to it at the same time
MAX_ATTEMPTS = 20
# Keywords of `BaseStorage` that all backends accept
STORAGE_KEYWORDS = frozenset(
    ('compression', 'delete_expired_after', 'encryption_key', 'large_body_bytes', 'max_cache_bytes', 'max_entries')
)
# Keywords that apply to responses, but not to redirects
UPKEEP_KEYWORDS = frozenset(('delete_expired_after', 'max_cache_bytes', 'max_entries'))


class ChangedError(Exception):
    """An entry has changed since it was read"""


class _Items(ItemsView[KT, VT]):
    """Keys and values of a storage, read a page at a time"""

    _mapping: BaseStorage[KT, VT]

    def __iter__(self) -> Iterator[tuple[KT, VT]]:
        return self._mapping.scan()  # type: ignore[return-value]


class _Values(ValuesView[VT]):
    """Values of a storage, read a page at a time"""

    _mapping: BaseStorage[Any, VT]

    def __iter__(self) -> Iterator[VT]:
        return (value for _, value in self._mapping.scan())  # type: ignore[misc]

    def __contains__(self, value: object) -> bool:
        return any(other is value or other == value for other in self)


class BaseStorage(MutableMapping[KT, VT], ABC):
    """A mapping from keys to values, which are serialized when they are written and deserialized when they are read

    A storage derives from this class and defines the five methods of a mutable mapping. It also defines `bulk_delete`,
    `clear`, `existing` and `scan` if it can do better than one key at a time. A missing key raises `KeyError`, and any
    other failure of the store raises `requests_cache.exceptions.BackendError`.

    Large bodies are kept in pieces if the storage sets `pieces` to a place for them and writes its entries with
    `_write_apart`. Otherwise, each body is part of its entry.

    Args:
        serializer: A name, a pipeline, a stage, or any object with `dumps` and `loads`; None keeps values as they are
        decode_content: Add a readable copy of JSON and text bodies to what is stored
        large_body_bytes: Keep bodies longer than this in pieces beside their entries; 1 MiB by default
        compression: Compress entries: True for the best codec that is installed, or the name of a codec
        encryption_key: Encrypt entries with this key: 32 bytes, or their base64 text. Of several keys, the first one
            encrypts, and all of them decrypt.
        max_cache_bytes: Size of all entries together: a number of bytes, or text such as `'500 MB'` or `'2 GiB'`. When
            there is no room for a new entry, the least recently used ones are deleted.
        max_entries: Number of all entries; the rest as for `max_cache_bytes`
        delete_expired_after: Delete entries that have been expired for this long, a few with each write: seconds or a
            `timedelta`; by default never
        kwargs: Ignored

    Raises:
        TypeError, ValueError: A value is invalid, or the storage does not support bounds or automatic deletion
    """

    # Whether keys may be added and deleted while the storage is iterated over
    iteration_tolerates_writes = False
    large_body_bytes = LARGE_BODY_BYTES
    pieces: Pieces | None = None
    seal: Seal | None = None
    # True for storages that keep an index (see `eviction`), and for storages that can delete expired entries
    can_be_bounded = False
    deletes_expired = False
    bounds: Bounds | None = None
    # Seconds; None for never
    delete_expired_after: float | None = None
    _keyless_seal: Seal | None = None
    _locked: dict[Any, bool] | None = None
    _has_swept = False

    def __init__(
        self,
        serializer: SerializerType | Any = None,
        decode_content: bool = False,
        large_body_bytes: int | None = None,
        compression: bool | str = False,
        encryption_key: Any = None,
        max_cache_bytes: Any = None,
        max_entries: int | None = None,
        delete_expired_after: float | timedelta | None = None,
        **kwargs: Any,
    ):
        # Keys of entries that were too large, so that `put` can return False
        self._refused: set[KT] = set()
        self.serializer: SerializerPipeline | None = init_serializer(serializer, decode_content)
        if compression or encryption_key is not None:
            self.seal = Seal(compression, encryption_key)
        if large_body_bytes is not None:
            self.large_body_bytes = checked_size('large_body_bytes', large_body_bytes)
        if max_cache_bytes is not None or max_entries is not None:
            self.bounds = self._bounds_of(max_cache_bytes, max_entries)
        if delete_expired_after is not None:
            self.delete_expired_after = self._lifetime_of(delete_expired_after)

    def _bounds_of(self, max_cache_bytes: Any, max_entries: Any) -> Bounds | None:
        from .eviction import Bounds

        if not self.can_be_bounded:
            raise ValueError(f'{type(self).__name__} does not support bounds; omit max_cache_bytes and max_entries')
        return Bounds.of(max_cache_bytes, max_entries)

    def _lifetime_of(self, delete_expired_after: float | timedelta) -> float | None:
        seconds = to_seconds('delete_expired_after', delete_expired_after)
        if seconds is not None and not self.deletes_expired:
            raise ValueError(f'{type(self).__name__} does not delete expired entries; omit delete_expired_after')
        return seconds

    @property
    def deletes_automatically(self) -> bool:
        """Whether entries are deleted automatically, because of a bound or of their age"""
        return self.bounds is not None or self.delete_expired_after is not None

    def put(self, key: KT, value: VT) -> bool:
        """Write an entry

        Returns:
            True if it was kept; False if it is larger than the bound of the storage. Then the old entry with its key is
            deleted, as it is outdated.
        """
        self[key] = value  # not a method of its own, as subclasses may extend `__setitem__`
        if self.bounds is None or key not in self._refused:
            return True
        self._refused.discard(key)
        return False

    def peek(self, key: KT) -> VT:
        """Read an entry without counting it as used"""
        return self[key]

    def bulk_delete(self, keys: Iterable[KT]) -> int | None:
        """Delete keys, ignoring those that do not exist. Returns the number of entries that were removed."""
        # The keys may be a view of this storage, such as `keys()`
        chosen = keys if self.iteration_tolerates_writes else list(keys)
        return sum(self._discard(key) for key in chosen)

    def _discard(self, key: KT) -> bool:
        try:
            del self[key]
        except KeyError:
            return False
        return True

    def clear(self) -> None:
        """Delete all entries"""
        for keys in chunkify(self if self.iteration_tolerates_writes else list(self), CHUNK_SIZE):
            self.bulk_delete(keys)

    def existing(self, keys: Iterable[KT]) -> set[KT]:
        """The keys that exist in this storage"""
        return {key for key in keys if key in self}

    def write_if(self, key: KT, value: VT, is_expected: Callable[[VT | None], bool]) -> bool:
        """Write an entry if the stored value meets a condition

        A storage that is shared by several writers must check and write in one step.

        Args:
            key: The key
            value: The value
            is_expected: Called with the stored value; None if there is none, or if it cannot be read

        Returns:
            Whether it was written
        """
        return is_expected(self.get(key)) and self.put(key, value)

    def _write_if_unchanged(
        self,
        key: KT,
        value: VT,
        is_expected: Callable[[VT | None], bool],
        read: Callable[[KT], tuple[Any, VT | None]],
        write: Callable[..., object],
    ) -> bool:
        """`write_if` for stores that can replace an entry only if it has not changed since it was read

        Args:
            key, value, is_expected: As for `write_if`
            read: A function that returns the stored entry, in the store's format and as a value
            write: A function that replaces the entry `found`, or raises a `ChangedError` if it has changed
        """
        for _ in range(MAX_ATTEMPTS):
            found, stored = read(key)
            if not is_expected(stored):
                return False
            try:
                return self._write_apart(key, value, partial(write, found=found))
            except ChangedError:
                continue
        return False

    def scan(self) -> Iterator[tuple[KT, VT | None]]:
        """All keys and values, read a few at a time; None for a value that cannot be read"""
        for key in self:
            try:
                yield key, self[key]
            except KeyError:  # noqa: PERF203 - deleted in the meantime
                continue

    def keys(self) -> KeysView[KT]:
        return KeysView(self)

    def items(self) -> ItemsView[KT, VT]:
        return _Items(self)

    def values(self) -> ValuesView[VT]:
        return _Values(self)

    def close(self) -> None:
        """Close connections. Using the storage later opens them again."""

    def serialize(self, value: VT, key: KT | None = None) -> Any:
        """Convert a value to the format in which it is stored

        Args:
            value: A response, or any other value that the serializer accepts
            key: The key of the entry, for serializers whose result depends on it

        Raises:
            TypeError: The value is to be encrypted, and there is no key
        """
        serializer: Any = self.serializer
        if serializer is None:
            return value
        if isinstance(value, CachedResponse) and value._body is not None and self._is_elsewhere(key, value._body):
            value = CachedResponse.from_response(value, content=value.content)  # type: ignore[assignment]
        data = serializer.dumps(value, key) if getattr(serializer, 'takes_key', False) else serializer.dumps(value)
        if self.seal is None:
            return data
        if key is None and self.seal.encrypts:  # it could never be read
            raise TypeError(f'{type(self).__name__} encrypts entries, so it has to call serialize(value, key)')
        return self.seal.dumps(data, key)

    def _serialize(self, key: KT, value: VT) -> Any:
        """Call `serialize`, which a user may have replaced by a function of the value alone, as in 1.3"""
        function: Any = self.serialize
        return function(value, key) if takes_argument(function, 'key') else function(value)

    def _loads(self, key: KT | None, value: Any) -> Any:
        serializer: Any = self.serializer
        if type(value) is bytes and value.startswith(MARK):
            value = self._reading_seal.loads(value, key)
        return serializer.loads(value, key) if getattr(serializer, 'takes_key', False) else serializer.loads(value)

    def deserialize(self, key: KT, value: Any) -> VT | None:
        """Undo `serialize`

        Returns:
            The value; a response has its key in `cache_key`. None if the value cannot be read.

        Raises:
            itsdangerous.BadSignature: The value was signed with another key, or not at all
        """
        if self.serializer is None:
            return value  # type: ignore[no-any-return]
        try:
            obj = self._loads(key, value)
        except Exception as e:
            if is_bad_signature(e):
                raise
            if isinstance(e, MissingKeyError):
                self._remember_locked(key, e)
                return None
            logger.error('Unable to deserialize response: %s', shown_text(e))
            if logger.isEnabledFor(DEBUG):
                logger.debug('Unable to deserialize %s:\n%s', shown_key(key), shown_traceback(e))
            return None
        try:
            obj.cache_key = key
        except AttributeError:
            pass
        if isinstance(obj, CachedResponse) and obj._body is not None:
            self._locate_body(key, obj)
        return obj  # type: ignore[no-any-return]

    @property
    def _reading_seal(self) -> Seal:
        """The seal for reading compressed or encrypted entries, even if this storage does not write them"""
        if self.seal is None:
            self._keyless_seal = self._keyless_seal or Seal()
            return self._keyless_seal
        return self.seal

    def _remember_locked(self, key: KT | None, error: MissingKeyError) -> None:
        """Remember that an entry is encrypted with an unknown key, and log a warning the first time"""
        level = WARNING if self._locked is None else DEBUG
        self._locked = {} if self._locked is None else self._locked
        remember(self._locked, key, True, MAX_LOCKED)
        message = 'Encrypted entries cannot be read, and are kept until delete(invalid=True) or clear(): %s'
        logger.log(level, message, shown_text(error))

    def is_locked(self, key: KT) -> bool:
        """Whether an entry is encrypted with an unknown key. Requests do not overwrite such entries.

        This is checked only if the last attempt to read the entry failed for this reason.
        """
        if self._locked is None or self._locked.pop(key, None) is None:
            return False
        try:
            return self.peek(key) is None and key in self._locked
        except KeyError:
            return False

    # Large bodies

    def body_writer(self, key: KT) -> BodyWriter:
        """Begin to write the body of an entry

        Call `write()` with each part of the body and then `commit()`, or `abort()`. `commit()` returns what the entry
        must hold: the body itself, or a description of where it is. Write the entry after that.
        """
        return self._new_writer(key, self.large_body_bytes)

    def _new_writer(self, key: KT, longest_content: int) -> BodyWriter:
        limit = None if self.bounds is None else self.bounds.largest
        return BodyWriter(self._usable_pieces, self.piece_stages, self, str(key), longest_content, limit)

    @property
    def _longest_content(self) -> int:
        """Length of the longest body that is kept in its entry"""
        return self.large_body_bytes

    @property
    def _usable_pieces(self) -> Pieces | None:
        """Where large bodies are kept; None if the serializer stores responses as whole objects"""
        stages = getattr(self.serializer, 'stages', None)
        is_usable = self.serializer is None or bool(stages and getattr(stages[0], 'takes_bodies', False))
        return self.pieces if is_usable else None

    @property
    def piece_stages(self) -> tuple[Any, ...]:
        """Stages that are also applied to each piece of a large body, to sign, compress or encrypt it"""
        stages: tuple[Any, ...] = getattr(self.serializer, 'piece_stages', ())
        return stages if self.seal is None else (*stages, self.seal)

    @property
    def authenticates(self) -> bool:
        """Whether entries are signed or encrypted, so that nobody else can write one that is accepted"""
        return bool(getattr(self.serializer, 'piece_stages', ())) or (self.seal is not None and self.seal.encrypts)

    def _locate_body(self, key: KT, response: CachedResponse) -> None:
        body = response._body
        if body is not None and self.pieces is not None:
            stages = self.piece_stages if self.seal is not None else (*self.piece_stages, self._reading_seal)
            source = source_of(self.pieces, stages, self, str(key), body)
            response.__dict__['_body'] = body.with_source(source)

    def _is_elsewhere(self, key: KT | None, body: Body) -> bool:
        source = body.source
        return source is None or source.storage is not self or (key is not None and source.key != str(key))

    def _write_apart(self, key: KT, value: VT, write: Callable[[KT, VT], object]) -> bool:
        """Write an entry after writing its body, if that is a large one

        Args:
            key: Key of the entry
            value: A response, or any other value
            write: A function that writes the entry without its large body, and deletes all other bodies for the key

        Returns:
            Whether it was kept; see `put`
        """
        if not self._has_swept:
            self._has_swept = True
            self.remove_leftovers()
        kept: Any = value
        try:
            kept = self._without_large_body(key, value) if isinstance(value, CachedResponse) else value
            write(key, kept)
        except BaseException as e:
            # After an interruption, the entry may have been written; if it was not, its body becomes a leftover
            is_unwritten = isinstance(e, Exception) and kept is not value
            if is_unwritten and kept._body is not None and self.pieces is not None:
                discard(self.pieces, str(key), kept._body.id)
            if not isinstance(e, EntryTooLargeError):
                raise
            logger.debug('Entry was not stored: %s: %s', shown_key(key), e)
            self._discard(key)
            if len(self._refused) < MAX_REFUSED:
                self._refused.add(key)
            return False
        if self.bounds is not None:
            self._refused.discard(key)
        return True

    def rewrite(self, key: KT, response: Any) -> bool:
        """Rewrite an entry that was read from this storage, with all pieces of its body, unless it has been replaced

        Returns:
            Whether it was written

        Raises:
            BodyLostError: The body cannot be read
        """
        created_at, body = response.created_at, response._body
        if body is not None and body.source is not None:
            # Treated as a body in another storage, so that all of its pieces are written
            response.__dict__['_body'] = body.with_source(body.source._replace(storage=None))
        return self.write_if(
            key,
            response,
            lambda stored: (
                isinstance(stored, CachedResponse) and (stored.created_at, stored._body) == (created_at, body)
            ),
        )

    def _without_large_body(self, key: KT, response: CachedResponse) -> CachedResponse:
        """The response to store in the entry; writes its body in pieces if it is large"""
        body, content = response._body, response._content
        if body is None:
            if content is None or len(content) <= self._longest_content or self._usable_pieces is None:
                return self._hide_from_older_versions(key, response)
        elif not self._is_elsewhere(key, body):
            return response
        elif self._usable_pieces is None:
            return CachedResponse.from_response(response, content=response.content)
        writer = self._new_writer(key, self._longest_content)
        try:
            for piece in (content or b'',) if body is None else body:
                writer.write(piece)
            kept = writer.commit(body is not None and body.is_coded)
        except BaseException:
            writer.abort()
            raise
        if isinstance(kept, Body):
            return response._with_body(kept)
        return self._hide_from_older_versions(key, response._copy(content=kept))

    def _hide_from_older_versions(self, key: KT, response: CachedResponse) -> CachedResponse:
        """Add an empty body in pieces to a response that will be sealed

        So its entry is stored like one with a large body, where older versions do not find it. Some of them raise
        exceptions for data that they cannot read.
        """
        pieces = self._usable_pieces
        if self.seal is None or pieces is None:
            return response
        copy = response._copy()
        copy.__dict__['_body'] = write_empty(pieces, self.piece_stages, str(key))
        return copy

    @property
    def leases(self) -> Leases | None:
        """The leases for `single_flight='shared'`; None if the storage keeps none"""
        return None

    def remove_leftovers(self) -> None:
        """Remove pieces of bodies that interrupted writers left behind"""
        if self.pieces is not None:
            remove_leftovers(self.pieces)

    def __str__(self) -> str:
        return str(list(self.keys()))
