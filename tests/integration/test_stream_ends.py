"""Streamed responses arrive as the origin sends them; and what becomes of those that nobody reads to their end"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from support.large_bodies import assert_nothing_is_stored, leftovers

from requests_cache import CachedSession
from requests_cache.backends.sqlite import bodies as sqlite_bodies
from requests_cache.testing.origin import Answer, Origin

LINE = b'some text\n'
LONG = LINE * 50_000
SHORT = LINE * 500
# Longer than any test waits
LONG_SECONDS = 1_000.0

NewSession = Callable[..., CachedSession]

every_framing = pytest.mark.parametrize('chunked', [False, True], ids=['length', 'chunked'])
every_backend = pytest.mark.parametrize('backend', ['memory', 'sqlite'])
STOPPED: dict[str, Callable[[requests.Response], Any]] = {
    'unread': lambda r: None,
    'raw.read': lambda r: r.raw.read(20),
    'raw.read1': lambda r: r.raw.read1(20),
    'iter_content': lambda r: next(r.iter_content(20)),
    'iter_lines': lambda r: next(r.iter_lines()),
    'raw.stream': lambda r: next(r.raw.stream(20)),
    'for': lambda r: [line for line, _ in zip(r.iter_lines(), range(3), strict=False)],
}
if urllib3.__version__.startswith('1.'):  # type: ignore[attr-defined]
    del STOPPED['raw.read1']


def read_all(response: requests.Response) -> Any:
    return iter(lambda: response.raw.read(10, decode_content=True), b'')


def read1_all(response: requests.Response) -> Any:
    return iter(lambda: response.raw.read1(10, decode_content=True), b'')


every_way_to_stop = pytest.mark.parametrize('read', STOPPED.values(), ids=STOPPED)


# As they come


@pytest.mark.parametrize('large_body_bytes', [15, 1 << 20], ids=['large', 'small'])
@every_framing
@pytest.mark.parametrize('gzip', [False, True], ids=['identity', 'gzip'])
@pytest.mark.parametrize(
    'pieces',
    [
        lambda r: r.iter_content(10),
        lambda r: r.iter_lines(10),
        lambda r: r.raw.stream(10, decode_content=True),
        read1_all,
        read_all,
    ],
    ids=['iter_content', 'iter_lines', 'raw.stream', 'raw.read1', 'raw.read'],
)
def test_the_first_piece_is_there_before_the_second_was_sent(
    new_session: NewSession, origin: Origin, chunked: bool, gzip: bool, large_body_bytes: int, pieces: Any
) -> None:
    if urllib3.__version__.startswith('1.') and pieces in (read_all, read1_all):  # type: ignore[attr-defined]
        pytest.skip('urllib3 1.26 has no read1, and read gives nothing while it decodes')
    hold = origin.hold()
    # What is compressed comes all at once, but for its end
    size = 32 if gzip else 10
    origin.add('/page', Answer(200, LINE * 3, gzip=gzip, chunked=chunked, chunk_bytes=size, between=(hold,)))
    session = new_session(backend='memory', large_body_bytes=large_body_bytes)
    response = session.get(origin.url('/page'), stream=True)
    came = pieces(response)
    assert next(came).strip() == LINE.strip()
    assert not len(session.cache.responses)
    hold.release()
    assert b''.join(came).replace(b'\n', b'') == (LINE * 2).replace(b'\n', b'')
    assert session.get(origin.url('/page'), only_if_cached=True).content == LINE * 3


def test_a_chunk_of_any_size_is_handed_on(new_session: NewSession, origin: Origin) -> None:
    holds = [origin.hold() for _ in range(3)]
    origin.add('/page', Answer(200, LINE * 4, chunked=True, chunk_bytes=10, between=tuple(holds)))
    session = new_session(backend='memory')
    came = session.get(origin.url('/page'), stream=True).iter_content(None)
    for hold in holds:
        assert next(came) == LINE
        hold.release()
    assert list(came) == [LINE]


def test_the_response_is_there_before_its_body(new_session: NewSession, origin: Origin) -> None:
    hold = origin.hold()
    origin.add('/page', Answer(200, b'x' + LINE, chunk_bytes=1, between=(hold,)))
    session = new_session(backend='sqlite')
    response = session.get(origin.url('/page'), stream=True)
    assert (response.status_code, response.from_cache, response.is_expired) == (200, False, False)
    assert response.cache_key
    hold.release()
    assert response.content == b'x' + LINE


# Closed early


@every_backend
@every_framing
@every_way_to_stop
def test_little_is_read_for_the_store(
    new_session: NewSession, origin: Origin, read: Any, chunked: bool, backend: str
) -> None:
    origin.add('/page', Answer(200, SHORT, chunked=chunked))
    session = new_session(backend=backend, large_body_bytes=1000, drain_seconds=LONG_SECONDS)
    with session.get(origin.url('/page'), stream=True) as response:
        read(response)
    hit = session.get(origin.url('/page'))
    assert (hit.from_cache, hit.content) == (True, SHORT)
    origin.add('/other', body=b'x')
    session.get(origin.url('/other'))
    assert origin.connections == 1
    assert not leftovers(session)


@every_backend
@every_framing
@every_way_to_stop
def test_nothing_is_kept_of_what_is_long(
    new_session: NewSession, origin: Origin, read: Any, chunked: bool, backend: str
) -> None:
    origin.add('/page', Answer(200, LONG, chunked=chunked, chunk_bytes=5000))
    session = new_session(backend=backend, large_body_bytes=1000, drain_seconds=LONG_SECONDS)
    with session.get(origin.url('/page'), stream=True) as response:
        read(response)
    assert_nothing_is_stored(session)
    origin.add('/other', body=b'x')
    assert session.get(origin.url('/other')).content == b'x'
    assert origin.connections == 2


@every_framing
@every_way_to_stop
def test_an_origin_that_does_not_send_the_rest(
    new_session: NewSession, origin: Origin, read: Any, chunked: bool
) -> None:
    hold = origin.hold()
    origin.add('/page', Answer(200, SHORT, chunked=chunked, between=(hold,)))
    session = new_session(backend='memory', large_body_bytes=1000, drain_seconds=0.01)
    with session.get(origin.url('/page'), stream=True) as response:
        read(response)
    assert_nothing_is_stored(session)


@pytest.mark.parametrize('limits', [{'drain_bytes': 0}, {'drain_bytes': 1000}, {'drain_seconds': 0}])
@every_framing
@every_way_to_stop
def test_nothing_is_read_beyond_the_limits(
    new_session: NewSession, origin: Origin, read: Any, chunked: bool, limits: dict[str, Any]
) -> None:
    origin.add('/page', Answer(200, SHORT, chunked=chunked, chunk_bytes=2000))
    session = new_session(backend='memory', large_body_bytes=1000, **limits)
    with session.get(origin.url('/page'), stream=True) as response:
        read(response)
    assert_nothing_is_stored(session)


def test_what_is_known_to_be_long_is_not_waited_for(new_session: NewSession, origin: Origin) -> None:
    """The origin sends nothing more until the response has been closed"""
    hold = origin.hold()
    origin.add('/page', Answer(200, LONG, chunk_bytes=100, between=(hold,)))
    session = new_session(backend='memory', drain_seconds=LONG_SECONDS)
    response = session.get(origin.url('/page'), stream=True)
    assert response.raw.read(100) == LONG[:100]
    response.close()
    assert response.raw.tell() == 100
    hold.release()


@every_framing
def test_a_connection_that_was_released_is_not_read_from(
    new_session: NewSession, origin: Origin, chunked: bool
) -> None:
    """As it may be that of another request by now"""
    origin.add('/page', Answer(200, SHORT, chunked=chunked))
    session = new_session(backend='memory', drain_seconds=LONG_SECONDS)
    response = session.get(origin.url('/page'), stream=True)
    assert response.raw.read(10) == LINE
    response.raw.release_conn()
    response.close()
    assert_nothing_is_stored(session)


@every_framing
def test_the_last_bytes_may_come_while_it_is_closed(new_session: NewSession, origin: Origin, chunked: bool) -> None:
    hold = origin.hold()
    origin.add('/page', Answer(200, SHORT, chunked=chunked, between=(hold,)))
    session = new_session(backend='memory', drain_seconds=LONG_SECONDS)
    response = session.get(origin.url('/page'), stream=True)
    assert response.raw.read(10) == LINE
    hold.release()
    response.close()
    assert session.get(origin.url('/page'), only_if_cached=True).content == SHORT


@every_framing
@pytest.mark.parametrize('body', [SHORT, LONG], ids=['short', 'long'])
def test_dropped_without_being_closed(new_session: NewSession, origin: Origin, chunked: bool, body: bytes) -> None:
    """It is closed when it is collected"""
    origin.add('/page', Answer(200, body, chunked=chunked))
    session = new_session(backend='sqlite', large_body_bytes=1000, drain_seconds=LONG_SECONDS)
    response = session.get(origin.url('/page'), stream=True)
    assert response.raw.read(10) == LINE
    del response
    gc.collect()
    assert not leftovers(session)
    assert [stored.content for stored in session.cache.responses.values()] == ([SHORT] if body is SHORT else [])
    assert session.get(origin.url('/page')).content == body


@every_framing
def test_closed_by_a_block_that_raises(new_session: NewSession, origin: Origin, chunked: bool) -> None:
    origin.add('/page', Answer(200, LONG, chunked=chunked))
    session = new_session(backend='sqlite', large_body_bytes=1000)

    def fail() -> None:
        with session.get(origin.url('/page'), stream=True) as response:
            raise KeyError(next(response.iter_content(10_000)))

    with pytest.raises(KeyError):
        fail()
    assert_nothing_is_stored(session)


@pytest.mark.skipif(not Path('/proc/self/fd').is_dir(), reason='open files cannot be counted')
@every_framing
def test_many_abandoned_downloads_leave_nothing(
    new_session: NewSession, origin: Origin, cache_path: Path, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_bodies, 'COLLECTED_BYTES', 100_000)
    origin.add('/page', Answer(200, LONG, chunked=chunked, chunk_bytes=50_000))
    session = new_session(backend='sqlite', large_body_bytes=1000)
    session.cache.responses.pieces.piece_bytes = 10_000  # type: ignore[attr-defined]

    def abandon() -> tuple[int, int]:
        with session.get(origin.url('/page'), stream=True) as response:
            for i, _ in enumerate(response.iter_content(50_000)):
                if i == 5:
                    break
        del response, _
        gc.collect()
        origin.wait_closed()
        return len(os.listdir('/proc/self/fd')), sum(path.stat().st_size for path in cache_path.parent.iterdir())

    abandon()
    before = abandon()
    after = [abandon() for _ in range(8)][-1]
    assert after == before
    assert_nothing_is_stored(session)
    assert session.get(origin.url('/page')).content == LONG
