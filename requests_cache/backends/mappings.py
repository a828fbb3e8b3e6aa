"""Operations on storages that may be any mutable mapping; for a `BaseStorage`, its own methods are used"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any

from .bodies import LARGE_BODY_BYTES, BodyWriter
from .storage import KT, VT, BaseStorage


def tolerates_writes(storage: MutableMapping[Any, Any]) -> bool:
    """Whether keys may be added and removed while any mapping is iterated over"""
    return bool(getattr(storage, 'iteration_tolerates_writes', False))


def scan(storage: MutableMapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """All keys and values of any mapping; None for a value that cannot be read"""
    return storage.scan() if isinstance(storage, BaseStorage) else iter(storage.items())


def scan_to_change(storage: MutableMapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The same; the caller may add and remove entries meanwhile"""
    if tolerates_writes(storage):
        yield from scan(storage)
        return
    for key in list(storage):
        try:
            yield key, storage[key]
        except KeyError:  # noqa: PERF203 - deleted in the meantime
            continue


def keys_to_change(storage: MutableMapping[KT, Any]) -> Iterable[KT]:
    """All keys of any mapping; the caller may add and remove entries meanwhile"""
    return storage if tolerates_writes(storage) else list(storage)


def existing_in(storage: MutableMapping[str, Any], keys: Iterable[str]) -> set[str]:
    """The keys that exist in any mapping"""
    return storage.existing(keys) if isinstance(storage, BaseStorage) else {key for key in keys if key in storage}


def body_writer(storage: MutableMapping[str, Any], key: str) -> BodyWriter:
    """Start writing the body of an entry of any mapping"""
    if isinstance(storage, BaseStorage):
        return storage.body_writer(key)
    return BodyWriter(None, (), storage, key, LARGE_BODY_BYTES)


def is_locked(storage: MutableMapping[str, Any], key: str) -> bool:
    """Whether an entry of any mapping is encrypted with a key that was not given"""
    return isinstance(storage, BaseStorage) and storage.is_locked(key)


def put(storage: MutableMapping[KT, VT], key: KT, value: VT) -> bool:
    """Write an entry to any mapping, and return whether it is kept"""
    if isinstance(storage, BaseStorage):
        return storage.put(key, value)
    storage[key] = value
    return True


def write_if(storage: MutableMapping[KT, VT], key: KT, value: VT, is_expected: Callable[[VT | None], bool]) -> bool:
    """Write an entry to any mapping if the stored value is the expected one"""
    if isinstance(storage, BaseStorage):
        return storage.write_if(key, value, is_expected)
    return is_expected(storage.get(key)) and put(storage, key, value)


def bulk_delete_from(storage: MutableMapping[str, Any], keys: list[str]) -> int:
    """Delete keys of any mapping; returns the number of entries removed, or of keys if that is unknown"""
    if not isinstance(storage, BaseStorage):
        return sum(storage.pop(key, None) is not None for key in keys)
    removed = storage.bulk_delete(keys)
    return len(keys) if removed is None else removed
