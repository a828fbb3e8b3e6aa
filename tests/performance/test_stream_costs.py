"""What streams cost: memory, which does not grow with the body, and locks, which nobody waits for"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from requests_cache import CachedSession
from requests_cache.backends.sqlite import bodies as sqlite_bodies
from requests_cache.backends.sqlite.database import Database
from requests_cache.testing.origin import Answer, Origin

MIB = 1 << 20
BODY_BYTES = 64 * MIB
WARM_BYTES = 2 * MIB
WORKER = Path(__file__).with_name('memory_worker.py')

needs_proc = pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='memory cannot be measured')


@pytest.fixture(scope='module')
def large_page() -> Iterator[tuple[Origin, str]]:
    """An origin with a large page, and the digest of it"""
    body = random.Random(0).randbytes(MIB) * (BODY_BYTES // MIB)
    with Origin() as origin:
        origin.add('/page', Answer(200, body))
        origin.add('/warm', Answer(200, body[:WARM_BYTES]))
        yield origin, hashlib.sha1(body, usedforsecurity=False).hexdigest()


def growth(large_page: tuple[Origin, str], directory: Path, kind: str, stream: str) -> int:
    """By how much the memory of a process grows that gets the page"""
    origin, digest = large_page
    command = [sys.executable, str(WORKER), origin.url('/'), str(directory), kind, stream]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    received, peak = done.stdout.split()
    assert received == digest
    return int(peak)


@needs_proc
@pytest.mark.parametrize(
    ('stream', 'most'), [('stream', 4 * MIB), ('at once', int(1.1 * BODY_BYTES))], ids=['stream', 'at once']
)
def test_memory(large_page: tuple[Origin, str], tmp_path: Path, stream: str, most: int) -> None:
    plain = growth(large_page, tmp_path, 'plain', stream)
    for kind in ('miss', 'hit'):
        hits = large_page[0].hits('/page')
        assert growth(large_page, tmp_path, kind, stream) < plain + most, kind
        assert (large_page[0].hits('/page') == hits) is (kind == 'hit')


# Many at once


@pytest.fixture
def coped(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What databases had to cope with"""
    errors: list[Any] = []
    cope = Database._prepare_retry

    def remember(self: Database, error: Exception, attempts: Any) -> float:
        errors.append(error)
        return cope(self, error, attempts)

    monkeypatch.setattr(Database, '_prepare_retry', remember)
    return errors


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[list[CachedSession]]:
    """Sessions that share a file, of which the last one does not wait for the others"""
    made = [CachedSession(tmp_path / 'cache', large_body_bytes=1_000) for _ in range(8)]
    made.append(CachedSession(tmp_path / 'cache', busy_timeout=0.0))
    for session in made:
        session.cache.responses.pieces.piece_bytes = 10_000  # type: ignore[attr-defined]
    yield made
    for session in made:
        session.close()


def test_streams_on_their_way_lock_nobody_out(
    sessions: list[CachedSession], origin: Origin, coped: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between their transactions, which last as long as writing does and not as long as the origin needs"""
    monkeypatch.setattr(sqlite_bodies, 'COLLECTED_BYTES', 50_000)
    *streaming, other = sessions
    hold = origin.hold()
    bodies = [bytes([i]) * 200_000 for i in range(8)]
    for i, body in enumerate(bodies):
        origin.add(f'/{i}', Answer(200, body, chunk_bytes=100_000, between=(hold,)))
    origin.add('/small', body=b'small')
    other.get(origin.url('/small'))
    responses = [session.get(origin.url(f'/{i}'), stream=True) for i, session in enumerate(streaming)]
    starts = [response.raw.read(100_000) for response in responses]
    assert len(list(other.cache.responses.pieces.unused())) == 8  # type: ignore[attr-defined]
    coped.clear()
    for i in range(20):
        assert other.get(origin.url('/small')).from_cache
        origin.add(f'/new/{i}', body=b'new')
        other.get(origin.url(f'/new/{i}'))
    assert coped == []
    assert len(other.cache.responses) == 21
    hold.release()
    for start, response, body in zip(starts, responses, bodies, strict=True):
        assert start + response.raw.read() == body
    assert coped == []
    assert [other.get(origin.url(f'/{i}'), only_if_cached=True).content for i in range(8)] == bodies


def test_eight_streams_at_the_same_time(sessions: list[CachedSession], origin: Origin) -> None:
    *streaming, _ = sessions
    bodies = [random.Random(i).randbytes(300_000 + i) for i in range(8)]
    for i, body in enumerate(bodies):
        origin.add(f'/{i}', Answer(200, body, chunked=bool(i % 2), chunk_bytes=20_000))
    origin.add('/small', body=b'small')

    def get(number: int) -> bytes:
        session = streaming[number]
        read = bytearray()
        for piece in session.get(origin.url(f'/{number}'), stream=True).iter_content(10_000):
            read += piece
            assert session.get(origin.url('/small')).content == b'small'
        return bytes(read)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(get, range(8))) == bodies
    for session, number in zip(streaming, reversed(range(8)), strict=True):
        assert session.get(origin.url(f'/{number}'), only_if_cached=True).content == bodies[number]
    assert list(streaming[0].cache.responses.pieces.unused()) == []  # type: ignore[attr-defined]
