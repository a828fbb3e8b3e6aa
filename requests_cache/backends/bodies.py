"""Large bodies: kept by storages in pieces, beside their entries

The pieces are written first, under an id that no other body has, and the entry that refers to them last. So a reader
finds the old entry or the new one; who is in the middle of the old body when it goes meets the same error as for a
connection that breaks. Pieces that no entry refers to are left by writers that did not come to an end. They are removed
once their writer is known to be gone: its process does not exist any more on this machine, or a day has passed.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice
from logging import getLogger
from socket import gethostname
from sys import maxsize
from time import time
from typing import Any
from zlib import crc32

from ..exceptions import CacheError, EntryTooLargeError
from ..keys.shown import shown_text
from ..models.body import Body, BodyLostError, Source, piece_checksum

logger = getLogger(__name__)

# Bodies that are longer are kept in pieces
LARGE_BODY_BYTES = 1 << 20
PIECE_BYTES = 256 * 1024
ABANDONED_AFTER_SECONDS = 24 * 3600
# What was left behind is removed in steps of so many bodies
LEFTOVERS_PER_STEP = 100


class Pieces(ABC):
    """Where a storage keeps large bodies; each method may raise a `BackendError`

    What belongs to an entry goes with it: the storage deletes it together with the entry, and when the entry is written
    anew without it.
    """

    piece_bytes = PIECE_BYTES

    @abstractmethod
    def write(self, key: str, body_id: str, index: int, piece: bytes) -> None:
        """Keep a piece of a body for an entry that is yet to be written"""

    @abstractmethod
    def read(self, key: str, body_id: str, index: int) -> bytes | None:
        """A piece; None if there is none"""

    @abstractmethod
    def delete(self, key: str, body_id: str) -> None:
        """Delete all pieces of a body"""

    def unused(self) -> Iterator[tuple[str, str]]:
        """Keys and ids of bodies that no entry refers to (any more, or yet)"""
        return iter(())


class BodyWriter:
    """Writes a body whose length need not be known before: `write` it, and `commit` or `abort`

    A short one is not written but given back, for the entry itself. The same goes for one of any length where a storage
    has no pieces.

    Args:
        pieces: Where to keep it, if it is a large one; None if there is no such place
        stages: What else is to be done with each piece, such as to sign it; called with the piece and its place
        storage: The storage
        key: Key of the entry
        large_body_bytes: The longest body that the entry itself is to hold
        max_bytes: The longest body that is to be kept at all; None for any

    Raises:
        EntryTooLargeError: The body is longer; raised by `write`
    """

    def __init__(
        self,
        pieces: Pieces | None,
        stages: Iterable[Any],
        storage: object,
        key: str,
        large_body_bytes: int,
        max_bytes: int | None = None,
    ):
        self._pieces = pieces
        self._stages = tuple(stages)
        self._storage = storage
        self._key = key
        self.large_body_bytes = large_body_bytes
        self._max_bytes = max_bytes
        self._id = ''
        self._buffer = bytearray()
        self._count = 0
        self.length = 0

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes to the body"""
        self.length += len(data)
        if self._max_bytes is not None and self.length > self._max_bytes:
            raise EntryTooLargeError(f'its body is longer than the {self._max_bytes} bytes that may be kept')
        pieces = self._pieces
        if pieces is None or self.length <= self.large_body_bytes:
            self._buffer += data
            return
        size, view = pieces.piece_bytes, memoryview(data)
        if self._buffer:
            start = min(len(view), -len(self._buffer) % size)
            self._buffer += view[:start]
            view = view[start:]
            self._flush(pieces, size)
        whole = len(view) - len(view) % size
        for offset in range(0, whole, size):
            self._write(pieces, view[offset : offset + size])
        self._buffer += view[whole:]

    def _flush(self, pieces: Pieces, size: int) -> None:
        """Write what there is of whole pieces"""
        while len(self._buffer) >= size:
            self._write(pieces, bytes(memoryview(self._buffer)[:size]))
            del self._buffer[:size]
        if not self._buffer:
            self._buffer = bytearray()  # which lets go of the room that it had taken

    def _write(self, pieces: Pieces, piece: bytes | memoryview) -> None:
        self._id = self._id or new_body_id()
        index, self._count = self._count, self._count + 1
        pieces.write(self._key, self._id, index, _closed(self._stages, self._key, self._id, index, piece))

    @property
    def longest_content(self) -> int:
        """Length of the longest body that the entry itself may hold"""
        return maxsize if self._pieces is None else self.large_body_bytes

    def content(self) -> bytes | None:
        """The body, if it is short enough for the entry itself"""
        return bytes(self._buffer) if not self._id and not self._is_large else None

    @property
    def _is_large(self) -> bool:
        return self._pieces is not None and self.length > self.large_body_bytes

    def commit(self, is_coded: bool = False) -> Body | bytes:
        """Come to an end

        Args:
            is_coded: The bytes are as they came over the wire; they are kept in pieces even if they are few

        Returns:
            What the entry is to hold
        """
        pieces = self._pieces
        if pieces is None or not (self._id or self._is_large or (is_coded and self._buffer)):
            return bytes(self._buffer)
        self._flush(pieces, pieces.piece_bytes)
        if self._buffer or not self._count:
            self._write(pieces, bytes(self._buffer))
            self._buffer.clear()
        body = Body.whole(self._id, self.length, pieces.piece_bytes, is_coded)
        return body.with_source(source_of(pieces, self._stages, self._storage, self._key, body))

    def abort(self) -> None:
        """Leave nothing behind; it is no harm if that fails, as leftovers are removed later"""
        self._buffer.clear()
        body_id, self._id = self._id, ''
        if body_id and self._pieces is not None:
            discard(self._pieces, self._key, body_id)


def write_empty(pieces: Pieces, stages: tuple[Any, ...], key: str) -> Body:
    """Write an empty body, whose entry is then kept apart as a whole; arguments as for `BodyWriter`"""
    body_id = new_body_id()
    pieces.write(key, body_id, 0, _closed(stages, key, body_id, 0, b''))
    return Body.whole(body_id, 0, pieces.piece_bytes)


def discard(pieces: Pieces, key: str, body_id: str) -> None:
    """Delete a body that no entry refers to; if that fails, it is done later"""
    try:
        pieces.delete(key, body_id)
    except CacheError as e:
        logger.debug('Pieces of a body that was not stored are left behind: %s', shown_text(e))


def source_of(pieces: Pieces, stages: tuple[Any, ...], storage: object, key: str, body: Body) -> Source:
    """Where the pieces of a body are"""

    def read(index: int) -> bytes | None:
        try:
            piece = pieces.read(key, body.id, index)
            if piece is not None:
                for stage in reversed(stages):
                    piece = stage.loads(piece, _place(key, body.id, index))
        except CacheError as e:
            raise BodyLostError(f'piece {index} of the stored body cannot be read: {shown_text(e)}') from e
        return piece

    return Source(storage, key, read)


def _closed(stages: Iterable[Any], key: str, body_id: str, index: int, piece: bytes | memoryview) -> bytes:
    data = b''.join((piece_checksum(body_id, index, piece), piece))
    for stage in stages:
        data = stage.dumps(data, _place(key, body_id, index))
    return data


def _place(key: str, body_id: str, index: int) -> str:
    return f'{key}/{body_id}/{index}'


# Ids


def _host() -> str:
    return f'{crc32(gethostname().encode("utf-8", "surrogatepass")):08x}'


def new_body_id() -> str:
    """An id that no other body has, and that tells when and by which process it was given"""
    return f'{int(time()):x}-{_host()}-{os.getpid():x}-{os.urandom(8).hex()}'


def is_abandoned(body_id: str) -> bool:
    """Whether the writer of a body that no entry refers to is gone"""
    try:
        written_at, _, _ = _origin(body_id)
    except ValueError:
        return False
    return time() - written_at > ABANDONED_AFTER_SECONDS or is_gone(body_id)


def is_gone(body_id: str) -> bool:
    """Whether the process that gave an id is known not to exist any more, as it was one of this machine"""
    try:
        _, host, pid = _origin(body_id)
    except ValueError:
        return False
    return host == _host() and not _is_running(pid)


def _origin(body_id: str) -> tuple[int, str, int]:
    written_at, host, pid, _ = body_id.split('-')
    return int(written_at, 16), host, int(pid, 16)


def _is_running(pid: int) -> bool:
    if os.name == 'nt':  # where there is no harmless signal
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True


def remove_leftovers(pieces: Pieces) -> None:
    """Remove what writers left behind that did not come to an end, in bounded time"""
    abandoned = ((key, body_id) for key, body_id in pieces.unused() if is_abandoned(body_id))
    for key, body_id in list(islice(abandoned, LEFTOVERS_PER_STEP)):
        pieces.delete(key, body_id)
