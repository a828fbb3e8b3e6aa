"""Streams that break: callers meet what plain `requests` raises, however they read, and nothing is stored"""

from __future__ import annotations

import gzip
import os
import signal
import sqlite3
import traceback
from contextlib import closing
from pathlib import Path
from select import select
from typing import Any

import pytest
import requests
from support.large_bodies import assert_nothing_is_stored, pieces_of
from support.streaming import DECODED, LINES, NEUTRAL, OPERATIONS, READERS, outcome

from faults.local_caches import SessionFactory
from requests_cache import CachedSession, SQLiteCache
from requests_cache.testing.origin import NOTICES_SHORT_BODIES, Answer, Origin

pytestmark = pytest.mark.skipif(not NOTICES_SHORT_BODIES, reason='urllib3 1.26 takes a short body for a whole one')

PACKED = gzip.compress(os.urandom(3_000), mtime=0)
GZIP = (('Content-Encoding', 'gzip'),)
LARGE_BODY_BYTES, PIECE_BYTES = 500, 128
PATIENCE_SECONDS = 30


def raw(head: str, body: bytes) -> Answer:
    return Answer(raw=b'HTTP/1.1 200 OK\r\n' + head.encode() + b'\r\n\r\n' + body)


BROKEN = {
    'short': Answer(200, LINES, cut_after=1000),
    'nothing': Answer(200, LINES, cut_after=0),
    'one byte short': Answer(200, LINES, cut_after=len(LINES) - 1),
    'no last chunk': Answer(200, LINES, chunked=True, chunk_bytes=300, cut_after=900),
    'all chunks but the last': Answer(200, LINES, chunked=True, chunk_bytes=300, cut_after=len(LINES)),
    'within a chunk': raw('Transfer-Encoding: chunked', b'2bc\r\n' + LINES[:700] + b'\r\n2bc\r\n' + LINES[:100]),
    'within the size of a chunk': raw('Transfer-Encoding: chunked', b'2bc\r\n' + LINES[:700] + b'\r\n2'),
    'no size of a chunk': raw('Transfer-Encoding: chunked', b'2bc\r\n' + LINES[:700] + b'\r\nwhat?\r\n'),
    'short, gzip': Answer(200, PACKED, GZIP, cut_after=1000),
    'no last chunk, gzip': Answer(200, PACKED, GZIP, chunked=True, chunk_bytes=300, cut_after=900),
    'damaged gzip': Answer(200, PACKED[:1000] + b'\xff' * 100 + PACKED[1100:], GZIP),
    'no gzip': Answer(200, LINES, GZIP),
}
# The caller gets what there is, without a word
QUIET = {
    'gzip without its end': Answer(200, PACKED[:-500], GZIP),
    'gzip without its checksum': Answer(200, PACKED[:-8], GZIP),
    'gzip without its end, in chunks': Answer(200, PACKED[:-500], GZIP, chunked=True, chunk_bytes=300),
}
# Those that take the body as it came over the wire do not care about its coding
WAYS = [*sorted(READERS.keys() - {'drain_conn'}), 'raw.read some', 'iter_content, first']


@pytest.fixture(params=['small', 'large'])
def session(request: pytest.FixtureRequest, new_session: SessionFactory) -> CachedSession:
    large_body_bytes = LARGE_BODY_BYTES if request.param == 'large' else 1 << 20
    session = new_session(backend='memory', large_body_bytes=large_body_bytes)
    pieces_of(session).piece_bytes = PIECE_BYTES
    return session


@pytest.mark.parametrize('name', BROKEN)
def test_each_way_of_reading(name: str, session: CachedSession, origin: Origin) -> None:
    origin.add('/page', BROKEN[name])
    url = origin.url('/page')
    for way in WAYS:
        with requests.Session() as plain, plain.get(url, stream=True) as response:
            expected = outcome(OPERATIONS[way], response)
        with session.get(url, stream=True) as response:
            assert [way, outcome(OPERATIONS[way], response)] == [way, expected]
        assert_nothing_is_stored(session)


@pytest.mark.parametrize('name', [*BROKEN, *QUIET])
def test_nothing_is_stored(name: str, session: CachedSession, origin: Origin) -> None:
    origin.add('/page', {**BROKEN, **QUIET}[name])
    for way in [*WAYS, 'drain_conn', *(NEUTRAL - {'release_conn'})]:
        with session.get(origin.url('/page'), stream=True) as response:
            outcome(OPERATIONS[way], response)
        assert_nothing_is_stored(session)


@pytest.mark.parametrize('name', QUIET)
def test_coded_bodies_that_are_not_whole(name: str, session: CachedSession, origin: Origin) -> None:
    origin.add('/page', QUIET[name])
    url = origin.url('/page')
    for way in DECODED & READERS.keys():
        with requests.Session() as plain, plain.get(url, stream=True) as response:
            expected = outcome(OPERATIONS[way], response)
        with session.get(url, stream=True) as response:
            assert [way, outcome(OPERATIONS[way], response)] == [way, expected]
        assert_nothing_is_stored(session)


@pytest.mark.parametrize(
    'body',
    [
        PACKED,
        gzip.compress(LINES[:500]) + gzip.compress(os.urandom(1_000)),
        PACKED + b'\x00' * 100,
        gzip.compress(bytes(1_000_000)) * 3,
    ],
    ids=['one', 'two members', 'something behind it', 'much in little'],
)
def test_coded_bodies_that_are_whole(body: bytes, session: CachedSession, origin: Origin) -> None:
    origin.add('/page', Answer(200, body, GZIP))
    with session.get(origin.url('/page'), stream=True) as response:
        assert response.raw.read() == body
    hit = session.get(origin.url('/page'), only_if_cached=True)
    assert hit.content == requests.get(origin.url('/page')).content


@pytest.mark.parametrize('ending', ['reset', 'timeout'])
@pytest.mark.parametrize('chunked', [False, True], ids=['length', 'chunked'])
@pytest.mark.parametrize('read_first', [0, 300])
@pytest.mark.parametrize('way', ['content', 'iter_content(7)', 'iter_lines', 'raw.read', 'raw.stream(7)', 'raw.read1'])
def test_in_the_middle(
    way: str, read_first: int, chunked: bool, ending: str, session: CachedSession, origin: Origin
) -> None:
    """The connection is reset, or nothing comes for longer than the caller waits"""

    def get(session: requests.Session) -> Any:
        hold = origin.hold()
        page = Answer(200, LINES, chunked=chunked, chunk_bytes=600, between=(hold,), reset=True, cut_after=600)
        origin.add('/page', page)
        with session.get(origin.url('/page'), stream=True, timeout=PATIENCE_SECONDS) as response:
            if ending == 'timeout':
                response.raw.connection.sock.settimeout(0.02)
            start = response.raw.read(read_first) if read_first and not chunked else b''
            if ending == 'reset':
                hold.release()
            return start, outcome(OPERATIONS[way], response)

    with requests.Session() as plain:
        expected = get(plain)
    assert isinstance(expected[1], type)
    assert get(session) == expected
    assert_nothing_is_stored(session)


# Writers that are killed


BODY = bytes(i * 7 % 251 for i in range(200_000))


def download_in_part(path: Path, url: str, pipe: int) -> None:
    session = CachedSession(path, large_body_bytes=1_000)
    pieces_of(session).piece_bytes = 10_000
    for data in session.get(url, stream=True).iter_content(50_000):
        os.write(pipe, b'.' if data else b'')


def killed_while_downloading(path: Path, url: str, read_bytes: int) -> None:
    """A process that is killed once it has read so much; the rest is never sent"""
    reader, pipe = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            download_in_part(path, url, pipe)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(pipe)
    received = 0
    while received < read_bytes // 50_000:
        assert select([reader], [], [], PATIENCE_SECONDS)[0], 'the download hangs'
        data = os.read(reader, 100)
        assert data, 'the download failed; see its traceback'
        received += len(data)
    os.kill(pid, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    os.close(reader)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no processes can be forked')
@pytest.mark.parametrize('chunked', [False, True], ids=['length', 'chunked'])
@pytest.mark.parametrize('collected_bytes', [30_000, 16 << 20], ids=['some is written', 'nothing is written'])
def test_kill_in_the_middle_of_a_download(
    origin: Origin, cache_path: Path, chunked: bool, collected_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('requests_cache.backends.sqlite.bodies.COLLECTED_BYTES', collected_bytes)
    hold = origin.hold()
    part = Answer(200, BODY, chunked=chunked, chunk_bytes=150_000, between=(hold,))
    origin.add('/page', part, Answer(200, BODY))
    killed_while_downloading(cache_path, origin.url('/page'), 150_000)
    with closing(SQLiteCache(cache_path, large_body_bytes=1_000)) as cache:
        assert len(cache.responses) == 0
        assert (list(cache.responses.pieces.unused()) != []) is (collected_bytes == 30_000)
    # The next one who writes clears up
    origin.add('/other', body=b'x')
    with CachedSession(cache_path, large_body_bytes=1_000) as session:
        session.get(origin.url('/other'))
        assert list(pieces_of(session).unused()) == []
        assert session.get(origin.url('/page'), stream=True).content == BODY
        assert session.get(origin.url('/page'), stream=True).from_cache
    with closing(sqlite3.connect(f'{cache_path}.sqlite')) as connection:
        assert connection.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
    hold.release()
