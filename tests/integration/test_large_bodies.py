"""Large stored bodies: validated, renewed, redirected to, asked for in part, lost"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from support.large_bodies import (
    BODY,
    ETAG,
    FRESH,
    Counted,
    body_ids,
    every_mode,
    every_stream,
    leftovers,
    pieces_of,
)
from support.streaming import outcome
from urllib3.exceptions import ProtocolError

from requests_cache import CachedSession
from requests_cache.engine.refreshing import Refreshing
from requests_cache.testing.origin import Answer, Origin, answer, redirect, revalidating

PATIENCE_SECONDS = 30

NewSession = Callable[..., CachedSession]


@pytest.fixture
def new(new_with_pieces: NewSession) -> NewSession:
    return new_with_pieces


# Validation


@every_stream
@every_mode
def test_a_304_writes_no_pieces(
    new: NewSession, origin: Origin, monkeypatch: pytest.MonkeyPatch, stream: bool, cache_control: Any
) -> None:
    full = answer(200, BODY, [*ETAG, ('Cache-Control', 'max-age=60')])
    origin.add('/page', revalidating(full, [('X-New', 'yes')]))
    session = new(cache_control=cache_control)
    url = origin.url('/page')
    assert session.get(url, stream=True).content == BODY
    ids = body_ids(session)
    counted = Counted(session, monkeypatch)
    response = session.get(url, stream=stream, refresh=True)
    assert (response.content, response.from_cache, response.revalidated) == (BODY, True, True)
    assert counted.written == []
    assert body_ids(session) == ids
    hit = session.get(url)
    assert (hit.content, hit.headers['X-New']) == (BODY, 'yes')
    assert not leftovers(session)


@every_mode
def test_a_new_body_takes_the_place_of_the_old_one(new: NewSession, origin: Origin, cache_control: Any) -> None:
    origin.add('/page', answer(200, BODY, [*ETAG, *FRESH]), answer(200, BODY[::-1], [('ETag', '"2"'), *FRESH]))
    session = new(cache_control=cache_control)
    url = origin.url('/page')
    for body in (BODY, BODY[::-1]):
        assert session.get(url, force_refresh=True, stream=True).content == body
    assert session.get(url).content == BODY[::-1]
    assert len(body_ids(session)) == 1
    assert not leftovers(session)


def test_the_old_body_is_there_until_the_new_one_is_whole(new: NewSession, origin: Origin) -> None:
    hold = origin.hold()
    origin.add('/page', answer(200, BODY), Answer(200, BODY[::-1], chunk_bytes=3_000, between=(hold,)))
    session = new()
    url = origin.url('/page')
    session.get(url)
    new_one = session.get(url, force_refresh=True, stream=True)
    start = new_one.raw.read(3_000)
    old = session.get(url, only_if_cached=True, stream=True)
    assert old.raw.read(10) == BODY[:10]
    hold.release()
    assert start + new_one.raw.read() == BODY[::-1]
    assert session.get(url, only_if_cached=True).content == BODY[::-1]
    # Who is in the middle of the old one reads on, or is told that it is gone
    assert outcome(lambda r: r.raw.read(), old) in (BODY[10:], ProtocolError)


def test_background_refresh_in_pieces(new: NewSession, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[Any] = []
    start = Refreshing.start
    monkeypatch.setattr(Refreshing, 'start', lambda *args: threads.append(start(*args)))
    origin.add('/page', answer(200, BODY), answer(200, BODY[::-1]))
    session = new(stale_while_revalidate=True)
    url = origin.url('/page')
    session.get(url, expire_after=-10)
    counted = Counted(session, monkeypatch)
    response = session.get(url, stream=True)
    assert (response.content, response.from_cache) == (BODY, True)
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert counted.written == list(range(10))
    assert session.get(url, only_if_cached=True).content == BODY[::-1]
    assert not leftovers(session)


# Redirects


@every_stream
@every_mode
def test_redirects_to_a_large_end(new: NewSession, origin: Origin, stream: bool, cache_control: Any) -> None:
    origin.add('/start', redirect('/page', 301, FRESH))
    origin.add('/page', answer(200, BODY, FRESH))
    session = new(cache_control=cache_control)
    for from_cache in (False, True):
        with session.get(origin.url('/start'), stream=stream) as response:
            assert response.content == BODY
        assert [r.status_code for r in response.history] == [301]
        assert (response.from_cache, response.url) == (from_cache, origin.url('/page'))
    assert session.get(origin.url('/page'), stream=stream).from_cache
    assert origin.hits() == 2


@every_mode
def test_redirects_to_an_end_that_is_abandoned(new: NewSession, origin: Origin, cache_control: Any) -> None:
    origin.add('/start', redirect('/page', 302, FRESH))
    origin.add('/page', answer(200, BODY, FRESH))
    session = new(cache_control=cache_control, drain_bytes=100)
    with session.get(origin.url('/start'), stream=True) as response:
        assert next(response.iter_content(1000)) == BODY[:1000]
    assert not leftovers(session)
    again = session.get(origin.url('/start'))
    assert (again.content, again.from_cache) == (BODY, False)


# The standard


def test_a_range_of_a_large_body_reads_no_other_pieces(
    new: NewSession, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.add('/page', answer(200, BODY, [*ETAG, *FRESH]))
    session = new(cache_control='strict')
    session.get(origin.url('/page'), stream=True).content  # noqa: B018
    counted = Counted(session, monkeypatch)
    for stream in (False, True):
        response = session.get(origin.url('/page'), headers={'Range': 'bytes=600-1600'}, stream=stream)
        assert (response.status_code, response.content) == (206, BODY[600:1601])
        assert response.headers['Content-Range'] == 'bytes 600-1600/5000'
    assert set(counted.read) == {1, 2, 3}
    assert origin.hits() == 1


def test_head_after_get(new: NewSession, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    origin.add('/page', answer(200, BODY, [*ETAG, *FRESH]))
    session = new(cache_control='strict')
    session.get(origin.url('/page'), stream=True).content  # noqa: B018
    counted = Counted(session, monkeypatch)
    head = session.head(origin.url('/page'), stream=True)
    assert (head.from_cache, head.content, head.headers['Content-Length']) == (True, b'', '5000')
    assert counted.read == []
    assert session.get(origin.url('/page')).content == BODY


def test_cache_status_before_and_after_the_end(new: NewSession, origin: Origin) -> None:
    origin.add('/page', answer(200, BODY, FRESH))
    session = new(cache_control='strict')
    response = session.get(origin.url('/page'), stream=True)
    assert not response.cache_status.stored
    assert response.content == BODY
    assert response.cache_status.stored
    assert session.get(origin.url('/page'), stream=True).cache_status.hit


# Bodies that are gone or damaged


def lose(session: CachedSession) -> None:
    for key, stored in session.cache.responses.items():
        assert stored is not None
        assert stored._body is not None
        pieces_of(session)._all.get(stored._body.id, []).clear() if hasattr(pieces_of(session), '_all') else (
            pieces_of(session).database.write(lambda c: c.execute(f'DELETE FROM {pieces_of(session).pieces}'))
        )
        assert key


def damage(monkeypatch: pytest.MonkeyPatch) -> Callable[[CachedSession], None]:
    def do(session: CachedSession) -> None:
        pieces = pieces_of(session)
        read = pieces.read

        def damaged(key: str, body_id: str, index: int) -> Any:
            piece = read(key, body_id, index)
            return piece if index != 4 or body_id not in ids else piece[:-1] + bytes([piece[-1] ^ 1])

        ids = body_ids(session)
        monkeypatch.setattr(pieces, 'read', damaged)

    return do


@pytest.mark.parametrize('what', ['lost', 'damaged'])
def test_a_body_that_is_gone(new: NewSession, origin: Origin, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    origin.add('/page', answer(200, BODY))
    session = new()
    url = origin.url('/page')
    session.get(url)
    (lose if what == 'lost' else damage(monkeypatch))(session)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        list(session.get(url, stream=True).iter_content(300))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        session.get(url, stream=True).content  # noqa: B018
    assert session.get(url, only_if_cached=True).status_code == 504
    response = session.get(url)
    assert (response.content, response.from_cache) == (BODY, False)
    again = session.get(url)
    assert (again.content, again.from_cache) == (BODY, True)
    assert not leftovers(session)


@every_stream
def test_a_body_that_was_replaced_meanwhile(
    new_session: NewSession, origin: Origin, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """The new one answers, and nobody asks the origin"""
    origin.add('/page', answer(200, BODY), answer(200, BODY[::-1]))
    session, other = (new_session(backend='sqlite', large_body_bytes=1_000) for _ in range(2))
    url = origin.url('/page')
    session.get(url)
    read, replaced = pieces_of(session).read, []

    def replacing(*args: Any) -> Any:
        if not replaced:
            replaced.append(other.get(url, force_refresh=True))
        return read(*args)

    monkeypatch.setattr(pieces_of(session), 'read', replacing)
    if stream:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            session.get(url, stream=True).content  # noqa: B018
    response = session.get(url, only_if_cached=True)
    assert (response.status_code, response.content) == (200, BODY[::-1])
    assert origin.hits('/page') == 2


@every_stream
@every_mode
def test_a_filter_that_does_not_want_it_any_more(
    new: NewSession, origin: Origin, stream: bool, cache_control: Any
) -> None:
    """As for small ones: it answers for the last time"""
    origin.add('/page', answer(200, BODY, FRESH))
    session = new(cache_control=cache_control)
    url = origin.url('/page')
    session.get(url)
    session.settings.filter_fn = lambda response: False
    response = session.get(url, stream=stream)
    assert (response.content, response.from_cache) == (BODY, True)
    assert len(session.cache.responses) == 0
    assert not leftovers(session)
    assert not session.get(url).from_cache
