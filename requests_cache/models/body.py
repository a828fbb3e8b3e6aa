"""Bodies that are kept beside their entries, in pieces, and read a piece at a time"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any, NamedTuple
from zlib import crc32

from attrs import evolve, field, frozen

from ..exceptions import InvalidEntryError

SEAL_BYTES = 4


class BodyLostError(OSError):
    """Some of a stored body is gone or damaged; to readers, as if the connection had broken"""


class Source(NamedTuple):
    """Where the pieces of a body are

    Args:
        storage: The storage that keeps them
        key: Key of the entry
        read: Gives the piece with an index, with its seal, or None if there is none
    """

    storage: object
    key: str
    read: Callable[[int], bytes | None]


@frozen
class Body:
    """A body in pieces: all are of the same size, but the last one, which is as long as needed

    Args:
        id: Tells it from all other bodies, also from those of other versions of the same entry
        length: Its length in bytes, as stored
        piece_bytes: Size of the pieces
        is_coded: It is as it came over the wire, with its content coding
        start: First byte that is meant
        stop: End of the bytes that are meant
        source: Where it is; None if that is not known
        on_end: Called when it has been read, or will not be read any more; it may be called several times
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
        """All of a body"""
        return cls(body_id, length, piece_bytes, is_coded, 0, length)

    @classmethod
    def from_record(cls, record: Any) -> Body:
        """Undo `to_record`

        Raises:
            InvalidEntryError: It is no description of a body
        """
        if not isinstance(record, Mapping) or not isinstance(record.get('id'), str):
            raise InvalidEntryError('the stored body is not described')
        length, piece_bytes = int(record.get('length') or 0), int(record.get('piece_bytes') or 0)
        if length < 0 or piece_bytes <= 0:
            raise InvalidEntryError(f'the stored body has {length} bytes in pieces of {piece_bytes}')
        return cls.whole(record['id'], length, piece_bytes, bool(record.get('coded')))

    def to_record(self) -> dict[str, Any]:
        """What a record holds to find it again"""
        return {'id': self.id, 'length': self.length, 'piece_bytes': self.piece_bytes, 'coded': self.is_coded}

    @property
    def size(self) -> int:
        """Number of bytes that are meant"""
        return self.stop - self.start

    @property
    def piece_count(self) -> int:
        return max(1, -(-self.length // self.piece_bytes))

    def part(self, first: int, last: int) -> Body:
        """The bytes from one position to another, both included"""
        return evolve(self, start=self.start + first, stop=min(self.start + last + 1, self.stop))

    def located(self, source: Source) -> Body:
        """The same body, to be read from a place"""
        return evolve(self, source=source)

    def __iter__(self) -> Iterator[memoryview]:
        """The bytes that are meant, a piece at a time; no others are read

        Raises:
            BodyLostError: A piece is gone or damaged
        """
        for index in range(self.start // self.piece_bytes, -(-self.stop // self.piece_bytes)):
            offset = index * self.piece_bytes
            piece = self._piece(index)
            yield piece[max(self.start - offset, 0) : self.stop - offset]

    def _piece(self, index: int) -> memoryview:
        sealed = self.source.read(index) if self.source is not None else None
        expected = min(self.piece_bytes, self.length - index * self.piece_bytes)
        if sealed is None or len(sealed) != expected + SEAL_BYTES:
            raise BodyLostError(f'piece {index} of the stored body is gone; the entry was replaced, deleted or damaged')
        piece = memoryview(sealed)[SEAL_BYTES:]
        if sealed[:SEAL_BYTES] != seal(self.id, index, piece):
            raise BodyLostError(f'piece {index} of the stored body is damaged: its checksum does not match')
        return piece

    def read(self) -> bytes:
        """All bytes that are meant, with no more than one piece beside them in memory

        Raises:
            BodyLostError: A piece is gone or damaged
        """
        buffer = BytesIO()
        if self.size:
            # Makes room at once; growing would copy what is there
            buffer.seek(self.size - 1)
            buffer.write(b'\0')
            buffer.seek(0)
        for piece in self:
            buffer.write(piece)
        self.end()
        return buffer.getvalue()

    def followed_by(self, action: Callable[[], object]) -> Body:
        """The same body, with something that is to be done after it was read"""
        return evolve(self, on_end=action)

    def end(self) -> None:
        """Say that it has been read, or will not be read any more"""
        if self.on_end is not None:
            self.on_end()


def seal(body_id: str, index: int, piece: bytes | memoryview) -> bytes:
    """What stands in front of a stored piece: a checksum that is right in this place of this body only"""
    return crc32(piece, crc32(f'{body_id}:{index}'.encode())).to_bytes(SEAL_BYTES, 'big')


class BodyReader:
    """A body as a file that is read from its beginning; what was read is let go of, and its end closes it"""

    def __init__(self, body: Body):
        self._body = body
        self._pieces = iter(body)
        self._rest = memoryview(b'')
        self._position = 0
        self.closed = not body.size

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, fewer only at the end; all of them if it is None or negative

        Raises:
            BodyLostError: A piece is gone or damaged
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
        """The next bytes, from one piece"""
        if not self._rest:
            self._rest = next(self._pieces)
        part, self._rest = self._rest[:size], self._rest[size:]
        return part

    def read1(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, from one piece; none at the end, which does not close it"""
        if self.closed or self._position == self._body.size:
            return b''
        self._rest = self._rest or next(self._pieces)
        return self._take(len(self._rest) if size is None or size < 0 else min(size, len(self._rest)))

    def close(self) -> None:
        self.closed = True
        self._rest = memoryview(b'')
        self._body.end()
