"""What subscribers are told of streams: what becomes of them shows when they are read, or are not"""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from support.events import EventLog
from support.flights import Followers, HeldAnswer

from requests_cache import CachedSession
from requests_cache.exceptions import BackendError
from requests_cache.testing.origin import answer, redirect

FRESH = [('Cache-Control', 'max-age=1000'), ('ETag', '"1"')]
BODY = b'some text\n' * 5000


@pytest.fixture(params=[False, 'strict'], ids=['default', 'strict'])
def session(request, new_with_pieces) -> CachedSession:
    return new_with_pieces(cache_control=request.param)


@pytest.fixture
def told(session) -> EventLog:
    return EventLog(session)


@pytest.mark.parametrize('body', [b'short', BODY], ids=['short', 'long'])
def test_stored_at_the_end(session, told, origin, body):
    """The length of the body is not known while nobody has read it"""
    origin.add('/page', body=body, headers=FRESH, chunked=True)
    with session.get(origin.url('/page'), stream=True) as response:
        assert told.only('miss').bytes is None
        assert told.texts() == ['miss: not stored']
        assert session.stats.stores == 0
        assert b''.join(response.iter_content(1000)) == body
    assert (told.only('stored').bytes, told.only('stored').status) == (len(body), 200)
    assert told.texts() == ['stored']
    assert (session.stats.stores, session.stats.not_stored_by_reason) == (1, {})
    with session.get(origin.url('/page'), stream=True) as response:
        assert (told.only('hit').bytes, session.stats.bytes_served) == (len(body), len(body))
        assert response.raw.read() == body
    assert told.texts() == ['hit: fresh']


STOPPED: dict[str, Callable[[requests.Response], Any]] = {
    'unread': lambda r: None,
    'begun': lambda r: r.raw.read(10),
}


@pytest.mark.parametrize('stop', STOPPED.values(), ids=STOPPED)
@pytest.mark.parametrize('is_closed', [True, False], ids=['closed', 'dropped'])
def test_not_read_to_its_end(session, told, origin, stop, is_closed):
    session.settings.drain_bytes = 0
    hold = origin.hold()
    origin.add('/page', body=BODY, headers=FRESH, chunked=True, between=(hold,))
    response = session.get(origin.url('/page'), stream=True)
    stop(response)
    told.clear()
    if is_closed:
        response.close()
    hold.release()
    del response
    gc.collect()
    assert told.only('not stored').url == origin.url('/page')
    assert told.texts() == ['not stored: not read to its end']
    assert session.stats.not_stored_by_reason == {'not read to its end': 1}


def test_what_is_missing_is_read_at_the_end(session, told, origin):
    origin.add('/page', body=BODY, headers=FRESH)
    with session.get(origin.url('/page'), stream=True):
        pass
    assert told.texts() == ['miss: not stored', 'stored']


@pytest.mark.parametrize(
    ('options', 'reason'),
    [({'max_body_bytes': 1000}, 'max_body_bytes'), ({'max_cache_bytes': 20_000}, 'larger than the bound of the cache')],
    ids=['max_body_bytes', 'max_cache_bytes'],
)
def test_too_large(new_with_pieces, origin, options, reason):
    session = new_with_pieces(**options)
    told = EventLog(session)
    origin.add('/page', body=BODY, chunked=True)
    with session.get(origin.url('/page'), stream=True) as response:
        assert response.content == BODY
    assert told.texts() == ['miss: not stored', f'not stored: {reason}']


def test_incomplete(session, told, origin):
    origin.add('/page', body=BODY, headers=FRESH, chunked=True, cut_after=20_000)
    with session.get(origin.url('/page'), stream=True) as response, pytest.raises(requests.RequestException):
        response.content  # noqa: B018
    assert told.texts() == ['miss: not stored', 'not stored: incomplete']


def test_incomplete_where_all_is_read_at_once(session, told, origin):
    origin.add('/page', body=BODY, headers=FRESH, chunked=True, cut_after=20_000)
    with pytest.raises(requests.RequestException):
        session.get(origin.url('/page'))
    assert told.texts() == ['failed']


def test_read_in_two_ways(session, told, origin):
    origin.add('/page', body=BODY, headers=FRESH, chunked=True)
    with session.get(origin.url('/page'), stream=True) as response:
        chunks = response.raw.read_chunked()
        next(chunks)
        response.raw.read(10)
    assert told.texts() == ['miss: not stored', 'not stored: read in two ways']


def test_read_by_a_hook(session, told, origin):
    origin.add('/page', body=BODY, headers=FRESH)
    hooks = {'response': lambda response, **kwargs: response.raw.read(10) and None}
    session.get(origin.url('/page'), stream=True, hooks=hooks).close()
    assert told.texts() == ['not stored: read by a hook', 'miss: not stored']


def test_the_store_fails_in_the_middle(session, told, origin, monkeypatch):
    origin.add('/page', body=BODY, headers=FRESH, chunked=True)
    with session.get(origin.url('/page'), stream=True) as response:
        told.clear()
        parts = response.iter_content(1000)
        read = next(parts)

        def fail(*args: Any) -> None:
            raise BackendError('The disk is full')

        monkeypatch.setattr(type(session.cache.responses), 'put', fail)
        assert read + b''.join(parts) == BODY
    texts = told.texts()
    assert texts == ['store fault: write', 'not stored: the store failed']
    assert session.stats.faults == 1


def test_evicted_by_a_stream(new_with_pieces, origin):
    session = new_with_pieces(max_entries=1)
    told = EventLog(session)
    origin.default = answer(200, BODY)
    first = session.get(origin.url('/1'))
    told.clear()
    with session.get(origin.url('/2'), stream=True) as response:
        assert response.content == BODY
    assert told.only('evicted').key == first.cache_key
    assert told.texts() == ['miss: not stored', 'evicted', 'stored']


def test_redirect_to_a_stream(session, told, origin):
    """Each request has its result, also if the end is stored only after that"""
    origin.add('/a', redirect('/b', headers=FRESH[:1]))
    origin.add('/b', body=BODY, headers=FRESH)
    for _ in range(2):
        with session.get(origin.url('/a'), stream=True) as response:
            assert response.content == BODY
    is_strict = session.settings.cache_control == 'strict'
    assert told.results() == ['miss'] * 2 + ['hit'] * (2 if is_strict else 1)


class Reading(CachedSession):
    """Has read the body of each response, also of those that follow a redirect"""

    def send(self, request: Any, **kwargs: Any) -> Any:
        response = super().send(request, **kwargs)
        response.content  # noqa: B018
        return response


def test_the_end_of_a_stored_redirect_is_read_before_it_is_returned(new_session, origin):
    session = new_session(session_class=Reading, backend='memory', cache_control='strict')
    told = EventLog(session)
    origin.add('/a', redirect('/b', headers=FRESH[:1]))
    origin.add('/b', body=BODY, headers=FRESH)
    session.get(origin.url('/a'))
    session.cache.delete(urls=[origin.url('/b')])
    told.clear()
    session.get(origin.url('/a'), stream=True).close()
    assert [(str(e.kind), e.url[-1]) for e in told if e.kind.is_result] == [('miss', 'b'), ('hit', 'a')]
    assert (session.stats.hits, session.stats.misses) == (1, 3)


def test_those_who_wait_for_a_stream(session, told, origin, monkeypatch):
    followers, held = Followers(monkeypatch), HeldAnswer(answer(200, BODY, FRESH))
    origin.add('/page', held)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(lambda: session.get(origin.url('/page'), stream=True).content) for _ in range(4)]
        followers.wait(3)
        held.release()
        assert {future.result() for future in futures} == {BODY}
    assert sorted(told.results()) == ['collapsed'] * 3 + ['miss']
    stats = session.stats
    assert (stats.hits, stats.collapsed, stats.misses, stats.stores) == (3, 3, 1, 1)
    assert (stats.bytes_served, stats.seconds_saved) == (3 * len(BODY), 0)


def test_those_who_wait_for_a_redirect_that_is_stored(new_session, origin, monkeypatch):
    """They have waited for the redirect, and follow it"""
    session = new_session(backend='memory', cache_control='strict')
    told, followers = EventLog(session), Followers(monkeypatch)
    held = HeldAnswer(redirect('/b', headers=FRESH[:1]))
    origin.add('/a', held)
    origin.add('/b', body='end', headers=FRESH)
    session.get(origin.url('/b'))
    told.clear()
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(session.get, origin.url('/a')) for _ in range(4)]
        followers.wait(3)
        held.release()
        assert {future.result().text for future in futures} == {'end'}
    results = sorted((str(e.kind), e.url[-1]) for e in told if e.kind.is_result)
    assert results == [('collapsed', 'a')] * 3 + [('hit', 'b')] * 4 + [('miss', 'a')]


def test_those_who_wait_in_vain_and_have_a_stale_response(new_session, origin, monkeypatch):
    """That is no hit: what they have is stale"""
    session = new_session(backend='memory', stale_if_error=1000)
    followers, held = Followers(monkeypatch), HeldAnswer(answer(drop=True))
    origin.add('/page', answer(200, b'hello'), held)
    session.get(origin.url('/page'), expire_after=-10)
    told = EventLog(session)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(session.get, origin.url('/page')) for _ in range(3)]
        followers.wait(2)
        held.release()
        assert all(future.result().from_cache for future in futures)
    assert told.results() == ['stale hit'] * 3
    assert {event.reason for event in told} == {'the origin failed'}
    assert (session.stats.hits, session.stats.collapsed, session.stats.stale_hits) == (0, 0, 3)
