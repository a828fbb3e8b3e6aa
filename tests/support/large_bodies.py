"""Sessions for which a body of some kilobytes is a large one, and checks of the pieces that they keep"""

from __future__ import annotations

from typing import Any

import pytest

from requests_cache import CachedSession

LARGE_BODY_BYTES, PIECE_BYTES = 1_000, 512
ETAG = [('ETag', '"1"')]
FRESH = [('Cache-Control', 'max-age=3600')]
BODY = bytes(i * 7 % 251 for i in range(5_000))

every_framing = pytest.mark.parametrize('chunked', [False, True], ids=['length', 'chunked'])
every_stream = pytest.mark.parametrize('stream', [False, True], ids=['at once', 'stream'])
every_mode = pytest.mark.parametrize('cache_control', [False, True, 'strict'])


def pieces_of(session: CachedSession) -> Any:
    return session.cache.responses.pieces  # type: ignore[attr-defined]


def leftovers(session: CachedSession) -> list[Any]:
    """Pieces of bodies that belong to no entry"""
    pieces = pieces_of(session)
    return [*pieces.unused(), *getattr(pieces, '_unclaimed', ()), *getattr(pieces, '_collected', ())]


def assert_nothing_is_stored(session: CachedSession) -> None:
    assert len(session.cache.responses) == 0
    assert leftovers(session) == []


def body_ids(session: CachedSession) -> set[str]:
    return {stored._body.id for stored in session.cache.responses.values() if stored._body is not None}  # type: ignore[union-attr]


class Counted:
    """Records which pieces are read and written"""

    def __init__(self, session: CachedSession, monkeypatch: pytest.MonkeyPatch):
        self.read: list[int] = []
        self.written: list[int] = []
        pieces = pieces_of(session)
        read, write = pieces.read, pieces.write

        def counted_read(key: str, body_id: str, index: int) -> Any:
            self.read.append(index)
            return read(key, body_id, index)

        def counted_write(key: str, body_id: str, index: int, piece: bytes) -> None:
            self.written.append(index)
            write(key, body_id, index, piece)

        monkeypatch.setattr(pieces, 'read', counted_read)
        monkeypatch.setattr(pieces, 'write', counted_write)
