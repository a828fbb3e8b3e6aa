"""Large bodies, which are stored in pieces, separately from their entries, and read one piece at a time"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any, NamedTuple
from zlib import crc32

from attrs import evolve, field, frozen

from ..exceptions import InvalidEntryError

CHECKSUM_BYTES = 4


class BodyLostError(OSError):
    """Part of a stored body is missing or damaged; readers handle it like a broken connection"""


class Source(NamedTuple):
    """Where the pieces of a body are stored

    Args:
        storage: The storage that holds them
        key: Key of the entry
        read: Returns the piece at an index, including its checksum, or None if it does not exist
    """

    storage: object
    key: str
    read: Callable[[int], bytes | None]


@frozen
class Body:
    """A body that is stored in pieces of equal size (the last one may be shorter), or a range of its bytes

    Args:
        id: A unique ID; a newer body of the same entry has a different one
        length: Length of the stored body in bytes
        piece_bytes: Size of the pieces
        is_coded: The body still has its content coding, as it was received
        start: First byte of the range
        stop: End of the range, exclusive
        source: Where the body is stored; None if unknown
        on_end: Called when the body has been read or is no longer needed, possibly several times
    """

    id: str
    length: int
    piece_bytes: int
    is_coded: bool = False
    start: int = 0
    stop: int = 0
    source: Source | None = field(default=None, eq=False, repr=False)
    on_end: Callable[[], object] | None = field(default=None, eq=False, repr=False)

    @classmethod
    def whole(cls, body_id: str, length: int, piece_bytes: int, is_coded: bool = False) -> Body:
        """The complete body"""
        return cls(body_id, length, piece_bytes, is_coded, 0, length)

    @classmethod
    def from_record(cls, record: Any) -> Body:
        """Create from the result of `to_record()`

        Raises:
            InvalidEntryError: The record does not describe a body
        """
        if not isinstance(record, Mapping) or not isinstance(record.get('id'), str):
            raise InvalidEntryError('the entry does not say where its body is stored')
        length, piece_bytes = int(record.get('length') or 0), int(record.get('piece_bytes') or 0)
        if length < 0 or piece_bytes <= 0:
            raise InvalidEntryError(f'invalid stored body: length {length} and piece size {piece_bytes}')
        return cls.whole(record['id'], length, piece_bytes, bool(record.get('coded')))

    def to_record(self) -> dict[str, Any]:
        """The description that is stored in the record of the entry"""
        return {'id': self.id, 'length': self.length, 'piece_bytes': self.piece_bytes, 'coded': self.is_coded}

    @property
    def size(self) -> int:
        """Number of bytes in the range"""
        return self.stop - self.start

    @property
    def piece_count(self) -> int:
        return max(1, -(-self.length // self.piece_bytes))

    def part(self, first: int, last: int) -> Body:
        """The bytes from `first` to `last`, inclusive, counted from the start of this range"""
        return evolve(self, start=self.start + first, stop=min(self.start + last + 1, self.stop))

    def with_source(self, source: Source) -> Body:
        """The same body, which is read from `source`"""
        return evolve(self, source=source)

    def __iter__(self) -> Iterator[memoryview]:
        """Yield the bytes of the range, one piece at a time; only the pieces that contain them are read

        Raises:
            BodyLostError: A piece is missing or damaged
        """
        for index in range(self.start // self.piece_bytes, -(-self.stop // self.piece_bytes)):
            offset = index * self.piece_bytes
            piece = self._piece(index)
            yield piece[max(self.start - offset, 0) : self.stop - offset]

    def _piece(self, index: int) -> memoryview:
        stored = self.source.read(index) if self.source is not None else None
        expected = min(self.piece_bytes, self.length - index * self.piece_bytes)
        if stored is None or len(stored) != expected + CHECKSUM_BYTES:
            raise BodyLostError(
                f'piece {index} of the stored body is missing; the entry was replaced, deleted or damaged'
            )
        piece = memoryview(stored)[CHECKSUM_BYTES:]
        if stored[:CHECKSUM_BYTES] != piece_checksum(self.id, index, piece):
            raise BodyLostError(f'piece {index} of the stored body is damaged: its checksum does not match')
        return piece

    def read(self) -> bytes:
        """Read all bytes of the range; memory holds the result and at most one piece

        Raises:
            BodyLostError: A piece is missing or damaged
        """
        buffer = BytesIO()
        if self.size:
            # Allocate the whole buffer first, so that it is not copied as it grows
            buffer.seek(self.size - 1)
            buffer.write(b'\0')
            buffer.seek(0)
        for piece in self:
            buffer.write(piece)
        self.end()
        return buffer.getvalue()

    def with_callback(self, on_end: Callable[[], object]) -> Body:
        """The same body, with a function to call after it was read"""
        return evolve(self, on_end=on_end)

    def end(self) -> None:
        """Report that the body has been read or is no longer needed"""
        if self.on_end is not None:
            self.on_end()


def piece_checksum(body_id: str, index: int, piece: bytes | memoryview) -> bytes:
    """The checksum that is stored before a piece; it is valid for this index of this body only"""
    return crc32(piece, crc32(f'{body_id}:{index}'.encode())).to_bytes(CHECKSUM_BYTES, 'big')


class BodyReader:
    """A file-like reader of a body; it does not keep what was read, and closes at the end"""

    def __init__(self, body: Body):
        self._body = body
        self._pieces = iter(body)
        self._rest = memoryview(b'')
        self._position = 0
        self.closed = not body.size

    def read(self, size: int | None = -1) -> bytes:
        """Read `size` bytes, or fewer at the end; None or a negative number reads everything that is left

        Raises:
            BodyLostError: A piece is missing or damaged
        """
        left = self._body.size - self._position
        if self.closed or not left:
            return b''
        if size is None or size < 0 or size >= left:
            data = self._body.part(self._position, self._body.size - 1).read()
            self.close()
            return data
        return self._take(size)

    def _take(self, size: int) -> bytes:
        self._position += size
        taken: list[memoryview] = []
        while size > 0:
            part = self._next(size)
            size -= len(part)
            taken.append(part)
        return bytes(taken[0]) if len(taken) == 1 else b''.join(taken)

    def _next(self, size: int) -> memoryview:
        """Up to `size` bytes of the current piece"""
        if not self._rest:
            self._rest = next(self._pieces)
        part, self._rest = self._rest[:size], self._rest[size:]
        return part

    def read1(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes from the current piece; `b''` at the end, where the reader stays open"""
        if self.closed or self._position == self._body.size:
            return b''
        self._rest = self._rest or next(self._pieces)
        return self._take(len(self._rest) if size is None or size < 0 else min(size, len(self._rest)))

    def close(self) -> None:
        self.closed = True
        self._rest = memoryview(b'')
        self._body.end()
