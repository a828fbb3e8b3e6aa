"""Storage in the memory of the process"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterable, Iterator
from typing import Any

from ..models.response import CachedResponse
from ..serializers.record import IntactRecord, RecordFormat, from_record, to_record
from .storage import KT, VT, BaseStorage

_SNAPSHOT_FORMAT = RecordFormat(iso_datetimes=False)


class _Snapshot:
    """A response as it was when it was stored; what callers do to their responses does not reach it"""

    __slots__ = ('record',)

    def __init__(self, response: CachedResponse):
        self.record = IntactRecord(to_record(response, _SNAPSHOT_FORMAT))


class DictStorage(UserDict[KT, VT], BaseStorage[KT, VT]):
    """A dict with the interface of a storage; each read of a response gives an object of its own

    Each method does one thing to the dict, which no other thread can come in between of. So there is no lock, and none
    that a forked child could find taken.
    """

    iteration_tolerates_writes = True

    def __init__(self, *args: Any, **kwargs: Any):
        BaseStorage.__init__(self, **kwargs)
        UserDict.__init__(self, *args)

    def __getitem__(self, key: KT) -> VT:
        item: Any = self.data[key]
        if isinstance(item, _Snapshot):
            item = from_record(item.record)
            item.cache_key = key
            return item  # type: ignore[no-any-return]
        return self.deserialize(key, item)  # type: ignore[return-value]

    def __setitem__(self, key: KT, item: VT) -> None:
        stored: Any = self._serialize(key, item)
        if isinstance(stored, CachedResponse):
            stored = _Snapshot(stored)
        self.data[key] = stored

    def __iter__(self) -> Iterator[KT]:
        return iter(list(self.data))

    def bulk_delete(self, keys: Iterable[KT]) -> int:
        return sum(self.data.pop(key, None) is not None for key in keys)

    def clear(self) -> None:
        self.data.clear()

    def __repr__(self) -> str:
        return repr(dict(self.items()))

    __str__ = BaseStorage.__str__
