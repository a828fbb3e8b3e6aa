"""What is stored of streamed responses and of large bodies, and what becomes of it"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from support.origin import Answer, Origin, answer, redirect, revalidating
from support.streaming import outcome
from urllib3.exceptions import ProtocolError

import requests_cache
from requests_cache import CachedSession
from requests_cache.engine.refreshing import Refreshing

BODY = bytes(i * 7 % 251 for i in range(5_000))
LARGE_BODY_BYTES, PIECE_BYTES = 1_000, 512
PATIENCE_SECONDS = 30
ETAG = [('ETag', '"1"')]
FRESH = [('Cache-Control', 'max-age=3600')]

NewSession = Callable[..., CachedSession]

every_framing = pytest.mark.parametrize('chunked', [False, True], ids=['length', 'chunked'])
every_stream = pytest.mark.parametrize('stream', [False, True], ids=['at once', 'stream'])
every_mode = pytest.mark.parametrize('cache_control', [False, True, 'strict'])


@pytest.fixture(params=['memory', 'sqlite'])
def new(request: pytest.FixtureRequest, new_session: NewSession) -> NewSession:
    """Makes sessions for which some kilobytes are much"""

    def make(**kwargs: Any) -> CachedSession:
        session = new_session(**{'backend': request.param, 'large_body_bytes': LARGE_BODY_BYTES, **kwargs})
        pieces_of(session).piece_bytes = PIECE_BYTES
        return session

    return make


def pieces_of(session: CachedSession) -> Any:
    return session.cache.responses.pieces  # type: ignore[attr-defined]


def leftovers(session: CachedSession) -> list[Any]:
    pieces = pieces_of(session)
    return [*pieces.unused(), *getattr(pieces, '_unclaimed', ()), *getattr(pieces, '_collected', ())]


def body_ids(session: CachedSession) -> set[str]:
    return {stored._body.id for stored in session.cache.responses.values() if stored._body is not None}  # type: ignore[union-attr]


class Counted:
    """Counts pieces that are read and written"""

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


# max_body_bytes


@every_framing
@every_stream
@pytest.mark.parametrize('encoded', [False, True], ids=['identity', 'gzip'])
def test_the_largest_body(new: NewSession, origin: Origin, chunked: bool, stream: bool, encoded: bool) -> None:
    """As it is stored: with its coding only if it is a large one and was streamed"""
    page = Answer(200, BODY, chunked=chunked, gzip=encoded)
    origin.add('/page', page)
    large_body_bytes = LARGE_BODY_BYTES if not encoded else 1 << 20
    session = new(max_body_bytes=4_000, large_body_bytes=large_body_bytes)
    for _ in range(2):
        response = session.get(origin.url('/page'), stream=stream)
        assert (response.content, response.from_cache) == (BODY, False)
    assert not len(session.cache.responses)
    assert not leftovers(session)
    session.settings.max_body_bytes = 6_000
    assert session.get(origin.url('/page'), stream=stream).content == BODY
    assert session.get(origin.url('/page'), stream=stream).from_cache


@every_stream
@pytest.mark.parametrize(('limit', 'is_stored'), [(4_999, False), (5_000, True), (0, False)])
@every_framing
def test_exactly_the_largest_body(
    new: NewSession, origin: Origin, stream: bool, limit: int, is_stored: bool, chunked: bool
) -> None:
    origin.add('/page', Answer(200, BODY, chunked=chunked))
    session = new(max_body_bytes=limit)
    assert session.get(origin.url('/page'), stream=stream).content == BODY
    assert session.cache.contains(url=origin.url('/page')) is is_stored


@every_stream
def test_a_304_about_a_body_that_is_too_large_by_now(new: NewSession, origin: Origin, stream: bool) -> None:
    """What is stored stays, and can still be confirmed"""
    origin.add('/page', revalidating(answer(200, BODY, ETAG)))
    session = new()
    session.get(origin.url('/page'), stream=stream).content  # noqa: B018
    session.settings.max_body_bytes = 10
    response = session.get(origin.url('/page'), refresh=True, stream=stream)
    assert (response.content, response.revalidated) == (BODY, True)
    assert len(session.cache.responses) == 1


def test_a_larger_body_does_not_take_the_place_of_the_old_one(new: NewSession, origin: Origin) -> None:
    origin.add('/page', answer(200, b'old', FRESH))
    session = new(max_body_bytes=100)
    session.get(origin.url('/page'))
    origin.add('/page', answer(200, BODY, FRESH))
    assert session.get(origin.url('/page'), force_refresh=True, stream=True).content == BODY
    assert session.get(origin.url('/page'), only_if_cached=True).content in (b'old', b'')


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


# Filters and hooks


@every_stream
def test_filter(new: NewSession, origin: Origin, stream: bool) -> None:
    origin.add('/page', answer(200, BODY))
    session = new(filter_fn=lambda response: response.status_code == 404)
    for _ in range(2):
        response = session.get(origin.url('/page'), stream=stream)
        assert (response.content, response.from_cache) == (BODY, False)
    assert not len(session.cache.responses)
    assert not leftovers(session)


def test_filter_that_reads(new: NewSession, origin: Origin) -> None:
    """As far as it reads all of it"""
    origin.add('/page', answer(200, BODY))
    session = new(filter_fn=lambda response: len(response.content) == len(BODY))
    for from_cache in (False, True):
        response = session.get(origin.url('/page'), stream=True)
        assert (response.from_cache, b''.join(response.iter_content(1000))) == (from_cache, BODY)
        assert response.content == BODY


@pytest.mark.parametrize(
    ('read', 'rest', 'is_stored'),
    [
        (lambda r, **kwargs: r.content and None, BODY, True),
        (lambda r, **kwargs: r.raw.read(10) and None, None, False),
        (lambda r, **kwargs: next(r.iter_content(10)) and None, None, False),
        (lambda r, **kwargs: setattr(r, 'kept', r.iter_content(10)) or (next(r.kept) and None), None, False),
        (lambda r, **kwargs: list(r.iter_content(10)) and None, None, False),
        (lambda r, **kwargs: r.close(), None, False),
        (lambda r, **kwargs: r.raw.read() and None, b'', False),
    ],
    ids=['content', 'raw.read(10)', 'iter_content, first', 'iter_content, kept', 'iter_content', 'close', 'raw.read'],
)
@every_framing
def test_hooks_that_read(
    new: NewSession, origin: Origin, read: Any, rest: bytes | None, is_stored: bool, chunked: bool
) -> None:
    """The caller gets what they leave, as with plain `requests`; what has come to the store in part is not stored"""
    origin.add('/page', Answer(200, BODY, chunked=chunked))
    url, hooks = origin.url('/page'), {'response': read}

    def get(session: requests.Session) -> Any:
        response = session.get(url, stream=True, hooks=hooks)
        return outcome(lambda r: r.content, response)

    session = new()
    with requests.Session() as plain:
        expected = get(plain)
    assert expected == rest or rest is None
    assert get(session) == expected
    assert [stored.content for stored in session.cache.responses.values()] == ([BODY] if is_stored else [])


def test_hooks_run_once_and_may_read_hits(new: NewSession, origin: Origin) -> None:
    origin.add('/page', answer(200, BODY))
    session, seen = new(), list[Any]()
    for _ in range(2):
        response = session.get(
            origin.url('/page'), stream=True, hooks={'response': lambda r, **kwargs: seen.append(len(r.content))}
        )
        assert b''.join(response.iter_content(100)) == BODY
    assert seen == [len(BODY)] * 2


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


# What a response tells


def test_attributes_at_once_and_after_the_end(new: NewSession, origin: Origin) -> None:
    origin.add('/page', answer(200, BODY))
    session = new()
    response = session.get(origin.url('/page'), stream=True, expire_after=360)
    told = response.from_cache, response.cache_key, response.expires, response.created_at, response.is_expired
    assert told[0] is False
    assert told[1] == session.cache.create_key(response.request)
    assert told[2] is not None
    assert response.content == BODY
    assert told == (
        *(response.from_cache, response.cache_key, response.expires, response.created_at, response.is_expired),
    )
    hit = session.get(origin.url('/page'), stream=True, only_if_cached=True)
    assert (hit.status_code, hit.from_cache, hit.cache_key, hit.expires) == (200, True, *told[1:3])
    assert hit.content == BODY


@pytest.mark.parametrize('expire_after', [0, 'DO_NOT_CACHE'])
def test_not_to_be_stored(new: NewSession, origin: Origin, expire_after: Any) -> None:
    origin.add('/page', answer(200, BODY))
    session = new()
    value = getattr(requests_cache, expire_after) if expire_after else 0
    response = session.get(origin.url('/page'), stream=True, expire_after=value)
    assert response.content == BODY
    assert not len(session.cache.responses)
    assert session.get(origin.url('/page'), stream=True, only_if_cached=True).status_code == 504


def test_switched_off_while_it_is_read(new: NewSession, origin: Origin) -> None:
    """What was begun is finished"""
    origin.add('/page', answer(200, BODY))
    session = new()
    response = session.get(origin.url('/page'), stream=True)
    with session.cache_disabled():
        assert response.content == BODY
    assert session.get(origin.url('/page')).from_cache


def test_cleared_while_it_is_read(new: NewSession, origin: Origin) -> None:
    """It is stored afterwards, or not at all, but never in part"""
    origin.add('/page', answer(200, BODY))
    session = new()
    response = session.get(origin.url('/page'), stream=True)
    start = response.raw.read(4_000)
    session.cache.clear()
    assert start + response.raw.read() == BODY
    assert [stored.content for stored in session.cache.responses.values()] in ([BODY], [])
    assert not leftovers(session)


def test_pickled(new: NewSession, origin: Origin) -> None:
    """With its body, which is read for that, and stored"""
    origin.add('/page', answer(200, BODY))
    session = new()
    for from_cache in (False, True):
        response = session.get(origin.url('/page'), stream=True)
        copy = pickle.loads(pickle.dumps(response))
        assert (response.from_cache, copy.content, copy.url, copy.status_code) == (from_cache, BODY, response.url, 200)


def test_installed(origin: Origin, cache_path: Path) -> None:
    origin.add('/page', answer(200, BODY))
    requests_cache.install_cache(cache_path, large_body_bytes=LARGE_BODY_BYTES)
    try:
        for from_cache in (False, True):
            with requests.get(origin.url('/page'), stream=True) as response:
                assert b''.join(response.iter_content(700)) == BODY
            assert response.from_cache is from_cache  # type: ignore[attr-defined]
        cache = requests_cache.get_cache()
        assert cache is not None
        cache.close()
    finally:
        requests_cache.uninstall_cache()


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
