"""Large bodies, which storages keep in pieces beside their entries

The pieces are written first, under a unique id, and the entry that refers to them last. So a reader finds either the
old entry or the new one. A reader that is in the middle of the old body when it is deleted gets the same error as for a
broken connection. Pieces without an entry were left behind by interrupted writers. They are removed once the writer is
known to be gone: its process no longer exists on this machine, or a day has passed.
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

# Longer bodies are kept in pieces
LARGE_BODY_BYTES = 1 << 20
PIECE_BYTES = 256 * 1024
ABANDONED_AFTER_SECONDS = 24 * 3600
# Number of abandoned bodies that are removed in one step
LEFTOVERS_PER_STEP = 100


class Pieces(ABC):
    """Where a storage keeps large bodies; each method may raise a `BackendError`

    The storage deletes the pieces of an entry when it deletes or replaces the entry.
    """

    piece_bytes = PIECE_BYTES

    @abstractmethod
    def write(self, key: str, body_id: str, index: int, piece: bytes) -> None:
        """Store a piece of a body; its entry is written later"""

    @abstractmethod
    def read(self, key: str, body_id: str, index: int) -> bytes | None:
        """Read a piece; None if it does not exist"""

    @abstractmethod
    def delete(self, key: str, body_id: str) -> None:
        """Delete all pieces of a body"""

    def unused(self) -> Iterator[tuple[str, str]]:
        """Keys and ids of bodies that no entry refers to: abandoned bodies, and those that are still being written"""
        return iter(())


class BodyWriter:
    """Writes a body of unknown length: call `write` for each part, and then `commit` or `abort`

    A short body is not written, but returned by `commit` as a part of the entry. So is any body if the storage has no
    pieces.

    Args:
        pieces: Where to keep a large body; None if the storage has no pieces
        stages: Stages that are applied to each piece, for example to sign it; called with the piece and its location
        storage: The storage
        key: Key of the entry
        large_body_bytes: Length of the longest body that is kept in the entry
        max_bytes: Length of the longest body that is accepted; None for any

    Raises:
        EntryTooLargeError: The body is longer than `max_bytes`; raised by `write`
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
            raise EntryTooLargeError(f'its body is longer than the maximum of {self._max_bytes} bytes')
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
        """Write all complete pieces in the buffer"""
        while len(self._buffer) >= size:
            self._write(pieces, bytes(memoryview(self._buffer)[:size]))
            del self._buffer[:size]
        if not self._buffer:
            self._buffer = bytearray()  # frees the memory of the old one

    def _write(self, pieces: Pieces, piece: bytes | memoryview) -> None:
        self._id = self._id or new_body_id()
        index, self._count = self._count, self._count + 1
        pieces.write(self._key, self._id, index, _encode_piece(self._stages, self._key, self._id, index, piece))

    @property
    def longest_content(self) -> int:
        """Length of the longest body that is kept in the entry"""
        return maxsize if self._pieces is None else self.large_body_bytes

    def content(self) -> bytes | None:
        """The body, if it is short enough to be kept in the entry"""
        return bytes(self._buffer) if not self._id and not self._is_large else None

    @property
    def _is_large(self) -> bool:
        return self._pieces is not None and self.length > self.large_body_bytes

    def commit(self, is_coded: bool = False) -> Body | bytes:
        """Finish writing

        Args:
            is_coded: The body still has its content coding; it is kept in pieces even if it is short

        Returns:
            What the entry must contain: the body, or a reference to its pieces
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
        """Delete what was written; if that fails, it is deleted later as a leftover"""
        self._buffer.clear()
        body_id, self._id = self._id, ''
        if body_id and self._pieces is not None:
            discard(self._pieces, self._key, body_id)


def write_empty(pieces: Pieces, stages: tuple[Any, ...], key: str) -> Body:
    """Write an empty body in pieces, so that its entry is stored like one with a large body

    Arguments are as for `BodyWriter`.
    """
    body_id = new_body_id()
    pieces.write(key, body_id, 0, _encode_piece(stages, key, body_id, 0, b''))
    return Body.whole(body_id, 0, pieces.piece_bytes)


def discard(pieces: Pieces, key: str, body_id: str) -> None:
    """Delete a body that no entry refers to; if that fails, it is deleted later"""
    try:
        pieces.delete(key, body_id)
    except CacheError as e:
        logger.debug('Could not delete the pieces of a body that was not stored: %s', shown_text(e))


def source_of(pieces: Pieces, stages: tuple[Any, ...], storage: object, key: str, body: Body) -> Source:
    """A source that reads the pieces of a body"""

    def read(index: int) -> bytes | None:
        try:
            piece = pieces.read(key, body.id, index)
            if piece is not None:
                for stage in reversed(stages):
                    piece = stage.loads(piece, _location(key, body.id, index))
        except CacheError as e:
            raise BodyLostError(f'piece {index} of the stored body cannot be read: {shown_text(e)}') from e
        return piece

    return Source(storage, key, read)


def _encode_piece(stages: Iterable[Any], key: str, body_id: str, index: int, piece: bytes | memoryview) -> bytes:
    data = b''.join((piece_checksum(body_id, index, piece), piece))
    for stage in stages:
        data = stage.dumps(data, _location(key, body_id, index))
    return data


def _location(key: str, body_id: str, index: int) -> str:
    return f'{key}/{body_id}/{index}'


# Ids


def _host() -> str:
    return f'{crc32(gethostname().encode("utf-8", "surrogatepass")):08x}'


def new_body_id() -> str:
    """A unique id, which contains the time and the process that created it"""
    return f'{int(time()):x}-{_host()}-{os.getpid():x}-{os.urandom(8).hex()}'


def is_abandoned(body_id: str) -> bool:
    """Whether the writer of a body that no entry refers to is gone"""
    try:
        written_at, _, _ = _origin(body_id)
    except ValueError:
        return False
    return time() - written_at > ABANDONED_AFTER_SECONDS or is_gone(body_id)


def is_gone(body_id: str) -> bool:
    """Whether the process that created an id ran on this machine and no longer exists"""
    try:
        _, host, pid = _origin(body_id)
    except ValueError:
        return False
    return host == _host() and not _is_running(pid)


def _origin(body_id: str) -> tuple[int, str, int]:
    written_at, host, pid, _ = body_id.split('-')
    return int(written_at, 16), host, int(pid, 16)


def _is_running(pid: int) -> bool:
    if os.name == 'nt':  # there is no harmless signal
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True


def remove_leftovers(pieces: Pieces) -> None:
    """Remove what interrupted writers left behind, in bounded time"""
    abandoned = ((key, body_id) for key, body_id in pieces.unused() if is_abandoned(body_id))
    for key, body_id in list(islice(abandoned, LEFTOVERS_PER_STEP)):
        pieces.delete(key, body_id)
