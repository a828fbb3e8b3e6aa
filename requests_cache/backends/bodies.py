"""Storing large bodies in pieces, separately from their entries

The pieces are written first, with a unique ID, and then the entry that refers to them. So a reader finds either the old
entry or the new one. If the old body is deleted while it is being read, the reader gets the same error as for a broken
connection. Pieces that no entry refers to were left behind by interrupted writers. They are removed when their process
no longer exists on this machine, or after a day.
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

# Longer bodies are stored in pieces
LARGE_BODY_BYTES = 1 << 20
PIECE_BYTES = 256 * 1024
ABANDONED_AFTER_SECONDS = 24 * 3600
# How many leftover bodies are removed at a time
LEFTOVERS_PER_STEP = 100


class Pieces(ABC):
    """Access to the pieces of large bodies in a storage; each method may raise a `BackendError`

    The storage deletes a body when its entry is deleted or replaced.
    """

    piece_bytes = PIECE_BYTES

    @abstractmethod
    def write(self, key: str, body_id: str, index: int, piece: bytes) -> None:
        """Write a piece of a body, before its entry is written"""

    @abstractmethod
    def read(self, key: str, body_id: str, index: int) -> bytes | None:
        """Read a piece; None if it does not exist"""

    @abstractmethod
    def delete(self, key: str, body_id: str) -> None:
        """Delete all pieces of a body"""

    def unused(self) -> Iterator[tuple[str, str]]:
        """Keys and IDs of bodies that no entry refers to (any longer, or yet)"""
        return iter(())


class BodyWriter:
    """Writes a body of unknown length: call `write` any number of times, then `commit` or `abort`

    A short body is not written, but returned by `commit`, to be stored in the entry itself. If the storage has no
    pieces, this applies to a body of any length.

    Args:
        pieces: The pieces of the storage; None if it has none
        stages: Stages that process each piece (to sign it, for example); called with the piece and its place
        storage: The storage
        key: Key of the entry
        large_body_bytes: Length of the longest body that is stored in the entry itself
        max_bytes: Length of the longest body that may be stored at all; None for no limit

    Raises:
        EntryTooLargeError: The body is too long; raised by `write`
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
        """Append bytes to the body"""
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
        """Write all complete pieces"""
        while len(self._buffer) >= size:
            self._write(pieces, bytes(memoryview(self._buffer)[:size]))
            del self._buffer[:size]
        if not self._buffer:
            self._buffer = bytearray()  # frees the memory of the old buffer

    def _write(self, pieces: Pieces, piece: bytes | memoryview) -> None:
        self._id = self._id or new_body_id()
        index, self._count = self._count, self._count + 1
        pieces.write(self._key, self._id, index, _closed(self._stages, self._key, self._id, index, piece))

    @property
    def longest_content(self) -> int:
        """Length of the longest body that is stored in the entry itself"""
        return maxsize if self._pieces is None else self.large_body_bytes

    def content(self) -> bytes | None:
        """The body if it is short enough for the entry itself, otherwise None"""
        return bytes(self._buffer) if not self._id and not self._is_large else None

    @property
    def _is_large(self) -> bool:
        return self._pieces is not None and self.length > self.large_body_bytes

    def commit(self, is_coded: bool = False) -> Body | bytes:
        """Finish writing

        Args:
            is_coded: The body still has its content coding; it is stored in pieces even if it is short

        Returns:
            The body, or its description, which must be stored in the entry
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
        """Delete everything that was written; if that fails, it is removed later"""
        self._buffer.clear()
        body_id, self._id = self._id, ''
        if body_id and self._pieces is not None:
            discard(self._pieces, self._key, body_id)


def write_empty(pieces: Pieces, stages: tuple[Any, ...], key: str) -> Body:
    """Write an empty body, for an entry that is stored like one with a large body; arguments as for `BodyWriter`"""
    body_id = new_body_id()
    pieces.write(key, body_id, 0, _closed(stages, key, body_id, 0, b''))
    return Body.whole(body_id, 0, pieces.piece_bytes)


def discard(pieces: Pieces, key: str, body_id: str) -> None:
    """Delete a body that no entry refers to; if that fails, it is removed later"""
    try:
        pieces.delete(key, body_id)
    except CacheError as e:
        logger.debug('Pieces of a body that was not stored are left behind: %s', shown_text(e))


def source_of(pieces: Pieces, stages: tuple[Any, ...], storage: object, key: str, body: Body) -> Source:
    """The source from which the pieces of a body are read"""

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


# IDs


def _host() -> str:
    return f'{crc32(gethostname().encode("utf-8", "surrogatepass")):08x}'


def new_body_id() -> str:
    """Create a unique ID, which contains its time and process"""
    return f'{int(time()):x}-{_host()}-{os.getpid():x}-{os.urandom(8).hex()}'


def is_abandoned(body_id: str) -> bool:
    """Whether the writer of a body that no entry refers to no longer exists"""
    try:
        written_at, _, _ = _origin(body_id)
    except ValueError:
        return False
    return time() - written_at > ABANDONED_AFTER_SECONDS or is_gone(body_id)


def is_gone(body_id: str) -> bool:
    """Whether the process that created an ID ran on this machine and no longer exists"""
    try:
        _, host, pid = _origin(body_id)
    except ValueError:
        return False
    return host == _host() and not _is_running(pid)


def _origin(body_id: str) -> tuple[int, str, int]:
    written_at, host, pid, _ = body_id.split('-')
    return int(written_at, 16), host, int(pid, 16)


def _is_running(pid: int) -> bool:
    if os.name == 'nt':  # Windows has no harmless signal
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
