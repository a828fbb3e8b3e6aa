"""What is stored of streamed responses, and what they tell"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from support.large_bodies import (
    BODY,
    ETAG,
    FRESH,
    LARGE_BODY_BYTES,
    every_framing,
    every_stream,
    leftovers,
)
from support.streaming import outcome

import requests_cache
from requests_cache import CachedSession
from requests_cache.testing.origin import Answer, Origin, answer, revalidating

PATIENCE_SECONDS = 30

NewSession = Callable[..., CachedSession]


@pytest.fixture
def new(new_with_pieces: NewSession) -> NewSession:
    return new_with_pieces


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
