"""The contract of all storages: a mutable mapping with a serializer"""

from __future__ import annotations

from abc import ABC
from collections.abc import ItemsView, Iterable, Iterator, KeysView, MutableMapping, ValuesView
from logging import DEBUG, getLogger
from typing import Any, TypeVar

from .._utils import chunkify, is_bad_signature, takes_argument
from ..keys.shown import shown_key, shown_text, shown_traceback
from ..serializers.pipeline import SerializerPipeline, SerializerType
from ..serializers.registry import init_serializer
from ..serializers.unpickling import PickleError

KT = TypeVar('KT')
VT = TypeVar('VT')
logger = getLogger(__name__)

# What serializers raise for a value that is not an entry of theirs
DESERIALIZE_ERRORS = (AttributeError, ImportError, PickleError, TypeError, ValueError)
CHUNK_SIZE = 999


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
    """A mapping from keys to values that are serialized on their way in, and deserialized on their way out

    A storage derives from this class and defines the five methods of a mutable mapping, and, where it can do better
    than one key at a time, `bulk_delete`, `clear`, `existing` and `scan`. A missing key is a KeyError; any other
    failure of the store is raised as `requests_cache.exceptions.BackendError`.

    Args:
        serializer: A name, pipeline, stage, any object with `dumps` and `loads`, or None to keep values as they are
        decode_content: Add a readable copy of JSON and text bodies to what is stored
        kwargs: Ignored
    """

    # Whether keys may be added and removed while the storage is iterated over
    iteration_tolerates_writes = False

    def __init__(self, serializer: SerializerType | Any = None, decode_content: bool = False, **kwargs: Any):
        self.serializer: SerializerPipeline | None = init_serializer(serializer, decode_content)

    def bulk_delete(self, keys: Iterable[KT]) -> int | None:
        """Delete keys; those that do not exist are passed over. Returns the number of entries that were removed."""
        return sum(self._discard(key) for key in keys)

    def _discard(self, key: KT) -> bool:
        try:
            del self[key]
        except KeyError:
            return False
        return True

    def clear(self) -> None:
        for keys in chunkify(keys_to_change(self), CHUNK_SIZE):
            self.bulk_delete(keys)

    def existing(self, keys: Iterable[KT]) -> set[KT]:
        """Those of the keys that there are entries for"""
        return {key for key in keys if key in self}

    def scan(self) -> Iterator[tuple[KT, VT | None]]:
        """All keys with their values, None for those that cannot be read, without holding many of them at a time"""
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
        """Close connections; a later use opens them again"""

    def serialize(self, value: VT, key: KT | None = None) -> Any:
        """The value as the storage keeps it

        Args:
            value: A response, or anything else that the serializer takes
            key: The key that it is stored under, for serializers whose output belongs to one key
        """
        serializer: Any = self.serializer
        if serializer is None:
            return value
        return serializer.dumps(value, key) if getattr(serializer, 'takes_key', False) else serializer.dumps(value)

    def _serialize(self, key: KT, value: VT) -> Any:
        """Call `serialize`, which others may have replaced by a function that takes the value alone, as in 1.3"""
        function: Any = self.serialize
        return function(value, key) if takes_argument(function, 'key') else function(value)

    def _loads(self, key: KT | None, value: Any) -> Any:
        serializer: Any = self.serializer
        return serializer.loads(value, key) if getattr(serializer, 'takes_key', False) else serializer.loads(value)

    def deserialize(self, key: KT, value: Any) -> VT | None:
        """Undo `serialize`

        Returns:
            The value, with its key in `cache_key` if it is a response; None if it cannot be read, for any reason but
            one

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
            logger.error('Unable to deserialize response: %s', shown_text(e))
            if logger.isEnabledFor(DEBUG):
                logger.debug('Unable to deserialize %s:\n%s', shown_key(key), shown_traceback(e))
            return None
        try:
            obj.cache_key = key
        except AttributeError:
            pass
        return obj  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return str(list(self.keys()))


# A storage may be any mutable mapping; these do for all what `BaseStorage` does better


def tolerates_writes(storage: MutableMapping[Any, Any]) -> bool:
    """Whether keys may be added and removed while any mapping is iterated over"""
    return bool(getattr(storage, 'iteration_tolerates_writes', False))


def scan(storage: MutableMapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """All keys of any mapping with their values, None for those that cannot be read"""
    return storage.scan() if isinstance(storage, BaseStorage) else iter(storage.items())


def scan_to_change(storage: MutableMapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The same, while the caller adds and removes entries"""
    if tolerates_writes(storage):
        yield from scan(storage)
        return
    for key in list(storage):
        try:
            yield key, storage[key]
        except KeyError:  # noqa: PERF203 - deleted in the meantime
            continue


def keys_to_change(storage: MutableMapping[KT, Any]) -> Iterable[KT]:
    """All keys of any mapping, while the caller adds and removes entries"""
    return storage if tolerates_writes(storage) else list(storage)


def existing_in(storage: MutableMapping[str, Any], keys: Iterable[str]) -> set[str]:
    """Those of the keys that any mapping has"""
    return storage.existing(keys) if isinstance(storage, BaseStorage) else {key for key in keys if key in storage}


def bulk_delete_from(storage: MutableMapping[str, Any], keys: list[str]) -> int:
    """Delete keys of any mapping; returns the number of entries removed, or of keys if the storage does not tell"""
    if not isinstance(storage, BaseStorage):
        return sum(storage.pop(key, None) is not None for key in keys)
    removed = storage.bulk_delete(keys)
    return len(keys) if removed is None else removed
