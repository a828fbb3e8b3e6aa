"""Keys as `_id` of documents"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

# Binary subtypes from 128 on are free for applications
_TEXT_SUBTYPE = 128


def to_id(key: Any) -> Any:
    """Convert a key to an `_id`; only text that is not valid Unicode is changed, as BSON cannot store it

    Raises:
        TypeError: The key is a list or dict, which would be used as a query
    """
    if not isinstance(key, str) or key.isascii():
        hash(key)
        return key
    try:
        key.encode()
    except UnicodeEncodeError:
        from bson.binary import Binary

        return Binary(key.encode('utf-8', 'surrogatepass'), _TEXT_SUBTYPE)
    return key


def from_id(value: Any) -> Any:
    """Undo `to_id`"""
    if getattr(value, 'subtype', None) == _TEXT_SUBTYPE:
        return bytes(value).decode('utf-8', 'surrogatepass')
    return value


def to_ids(keys: Iterable[Any], size: int, max_bytes: int = 4 << 20) -> Iterator[list[Any]]:
    """Convert keys to lists of ids, each of which fits into one command"""
    batch: list[Any] = []
    used = 0
    for key in keys:
        batch.append(to_id(key))
        used += 4 * len(key) if isinstance(key, str) else 0
        if len(batch) >= size or used >= max_bytes:
            yield batch
            batch, used = [], 0
    if batch:
        yield batch
