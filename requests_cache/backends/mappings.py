"""Operations of `BaseStorage` for any mutable mapping, as a storage of the user's may be"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any

from .bodies import LARGE_BODY_BYTES, BodyWriter
from .storage import KT, VT, BaseStorage


def tolerates_writes(storage: MutableMapping[Any, Any]) -> bool:
    """Whether keys may be added and deleted while a mapping is iterated over"""
    return bool(getattr(storage, 'iteration_tolerates_writes', False))


def scan(storage: MutableMapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """All keys and values of a mapping; None for a value that cannot be read"""
    return storage.scan() if isinstance(storage, BaseStorage) else iter(storage.items())


def scan_while_changing(storage: MutableMapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """As `scan`, but the caller may add and delete entries during the iteration"""
    if tolerates_writes(storage):
        yield from scan(storage)
        return
    for key in list(storage):
        try:
            yield key, storage[key]
        except KeyError:  # noqa: PERF203 - deleted in the meantime
            continue


def keys_while_changing(storage: MutableMapping[KT, Any]) -> Iterable[KT]:
    """All keys of a mapping; the caller may add and delete entries during the iteration"""
    return storage if tolerates_writes(storage) else list(storage)


def existing_in(storage: MutableMapping[str, Any], keys: Iterable[str]) -> set[str]:
    """The keys that exist in a mapping"""
    return storage.existing(keys) if isinstance(storage, BaseStorage) else {key for key in keys if key in storage}


def body_writer(storage: MutableMapping[str, Any], key: str) -> BodyWriter:
    """A writer for the body of an entry"""
    if isinstance(storage, BaseStorage):
        return storage.body_writer(key)
    return BodyWriter(None, (), storage, key, LARGE_BODY_BYTES)


def is_locked(storage: MutableMapping[str, Any], key: str) -> bool:
    """Whether an entry is encrypted with an unknown key"""
    return isinstance(storage, BaseStorage) and storage.is_locked(key)


def put(storage: MutableMapping[KT, VT], key: KT, value: VT) -> bool:
    """Write an entry; returns whether it was kept"""
    if isinstance(storage, BaseStorage):
        return storage.put(key, value)
    storage[key] = value
    return True


def write_if(storage: MutableMapping[KT, VT], key: KT, value: VT, is_expected: Callable[[VT | None], bool]) -> bool:
    """Write an entry if the stored value meets a condition; returns whether it was written"""
    if isinstance(storage, BaseStorage):
        return storage.write_if(key, value, is_expected)
    return is_expected(storage.get(key)) and put(storage, key, value)


def bulk_delete_from(storage: MutableMapping[str, Any], keys: list[str]) -> int:
    """Delete keys; returns the number of deleted entries, or the number of keys if the storage does not count"""
    if not isinstance(storage, BaseStorage):
        return sum(storage.pop(key, None) is not None for key in keys)
    removed = storage.bulk_delete(keys)
    return len(keys) if removed is None else removed
