"""Storage in the memory of the process"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from .._utils import renew_after_fork
from ..models.response import CachedResponse
from ..serializers.record import RecordFormat, VerifiedRecord, from_record, to_record
from .bodies import Pieces
from .storage import KT, VT, BaseStorage

if TYPE_CHECKING:
    from .memory_upkeep import MemoryUpkeep

_SNAPSHOT_FORMAT = RecordFormat(iso_datetimes=False)


class _Pieces(list[bytes]):
    """The pieces of one body"""

    __slots__ = ('__weakref__',)


class _PiecesInMemory(Pieces):
    """Pieces that live as long as their entry; before the entry is written, until they are deleted"""

    def __init__(self) -> None:
        self._all: WeakValueDictionary[str, _Pieces] = WeakValueDictionary()
        self._unclaimed: dict[str, _Pieces] = {}

    def write(self, key: str, body_id: str, index: int, piece: bytes) -> None:
        body = self._unclaimed.get(body_id)
        if body is None:
            body = self._unclaimed[body_id] = self._all[body_id] = _Pieces()
        body.append(piece)

    def read(self, key: str, body_id: str, index: int) -> bytes | None:
        body = self._all.get(body_id)
        return body[index] if body is not None and index < len(body) else None

    def delete(self, key: str, body_id: str) -> None:
        self._unclaimed.pop(body_id, None)

    def claim(self, body_id: str) -> _Pieces | None:
        """The pieces of a body; the caller must hold them from now on"""
        pieces = self._all.get(body_id)
        self._unclaimed.pop(body_id, None)
        return pieces

    def __reduce__(self) -> Any:
        return _PiecesInMemory, ()


def _read_held(read: Callable[[int], bytes | None], held: _Pieces | None, index: int) -> bytes | None:
    """Read a piece of a body; the argument `held` keeps the pieces alive after their entry was deleted"""
    return read(index)


class _Snapshot:
    """A copy of a response when it was stored; later changes to the response do not affect it"""

    __slots__ = ('pieces', 'record')

    def __init__(self, response: CachedResponse, pieces: _Pieces | None):
        self.record = VerifiedRecord(to_record(response, _SNAPSHOT_FORMAT))
        self.pieces = pieces


class DictStorage(UserDict[KT, VT], BaseStorage[KT, VT]):
    """A dict with the interface of a storage; each read of a response returns a new object

    Reading needs no lock, as it is a single operation on the dict. Writing takes a lock, so that `write_if` can check
    and write in one step.
    """

    iteration_tolerates_writes = True
    can_be_bounded = True
    deletes_expired = True
    pieces: _PiecesInMemory
    _upkeep: MemoryUpkeep | None = None

    def __init__(self, *args: Any, **kwargs: Any):
        BaseStorage.__init__(self, **kwargs)
        self.pieces = _PiecesInMemory()
        self._new_lock()
        if self.bounds is not None or self.delete_expired_after is not None:
            from .memory_upkeep import MemoryUpkeep

            self._upkeep = MemoryUpkeep(self)
        UserDict.__init__(self, *args)

    def __getitem__(self, key: KT) -> VT:
        value = self.peek(key)
        if self._upkeep is not None:
            self._upkeep.note(key)
        return value

    def peek(self, key: KT) -> VT:
        item: Any = self.data[key]
        if not isinstance(item, _Snapshot):
            return self.deserialize(key, item)  # type: ignore[return-value]
        response: Any = from_record(item.record)
        response.cache_key = key
        if response._body is not None:
            self._locate_body(key, response)
            source = response._body.source
            holding = source._replace(read=partial(_read_held, source.read, item.pieces))
            response.__dict__['_body'] = response._body.with_source(holding)
        return response  # type: ignore[no-any-return]

    def __setitem__(self, key: KT, item: VT) -> None:
        self._write_apart(key, item, self._write)

    def _write(self, key: KT, item: VT) -> None:
        stored: Any = self._serialize(key, item)
        if isinstance(stored, CachedResponse):
            stored = _Snapshot(stored, self.pieces.claim(stored._body.id) if stored._body is not None else None)
        with self._lock:
            if self._upkeep is not None:
                self._upkeep.before_writing(key, stored, item)
            self.data[key] = stored

    def scan(self) -> Iterator[tuple[KT, VT | None]]:
        for key in self:
            try:
                yield key, self.peek(key)
            except KeyError:  # noqa: PERF203 - deleted in the meantime
                continue

    def write_if(self, key: KT, value: VT, is_expected: Callable[[VT | None], bool]) -> bool:
        with self._lock:
            return super().write_if(key, value, is_expected)

    def __delitem__(self, key: KT) -> None:
        with self._lock:
            del self.data[key]
            if self._upkeep is not None:
                self._upkeep.forget(key)

    @property
    def _usable_pieces(self) -> Pieces | None:
        return self.pieces if self.serializer is None else None

    @property
    def _longest_content(self) -> int:
        # Only bodies in pieces can be compressed or encrypted, as entries are not serialized
        return self.large_body_bytes if self.seal is None else -1

    def _hide_from_older_versions(self, key: KT, response: CachedResponse) -> CachedResponse:
        return response  # no other version can read this memory

    def __iter__(self) -> Iterator[KT]:
        return iter(list(self.data))

    def bulk_delete(self, keys: Iterable[KT]) -> int:
        with self._lock:
            return sum(self._discard(key) for key in keys)

    def clear(self) -> None:
        with self._lock:
            self.data.clear()
            if self._upkeep is not None:
                self._upkeep.clear()

    def _new_lock(self) -> None:
        self._lock = RLock()
        renew_after_fork(self, '_lock', RLock)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != '_lock'}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._new_lock()

    def __repr__(self) -> str:
        return repr(dict(self.items()))

    __str__ = BaseStorage.__str__
