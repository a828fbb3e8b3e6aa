"""Subscribers are told what happens: each exchange ends in one result, whatever way it takes"""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import requests
from support.events import EventLog

from requests_cache import DO_NOT_CACHE, CachedSession
from requests_cache.backends.storage import BaseStorage
from requests_cache.engine.refreshing import Refreshing
from requests_cache.exceptions import BackendError
from requests_cache.testing.origin import answer, redirect, revalidating

MODES = [False, 'strict']
FRESH = [('Cache-Control', 'max-age=1000'), ('ETag', '"1"')]
STALE = [('Cache-Control', 'max-age=0'), ('ETag', '"1"')]


@pytest.fixture(params=MODES, ids=['default', 'strict'])
def session(request, new_session) -> CachedSession:
    return new_session(backend='memory', cache_control=request.param, stale_while_revalidate=False)


@pytest.fixture
def told(session) -> EventLog:
    return EventLog(session)


def stale(session) -> dict[str, Any]:
    """Options of a call after which the response is stale in either mode"""
    return {} if session.settings.cache_control else {'expire_after': -10}


# Answers with and without the origin


def test_miss_and_hit(session, told, origin):
    origin.add('/page', body='hello', headers=FRESH)
    session.get(origin.url('/page'), expire_after=1000)
    miss, stored = told.only('miss'), told.only('stored')
    assert told.texts() == ['stored', 'miss: not stored']
    assert (miss.method, miss.url, miss.status, miss.bytes) == ('GET', origin.url('/page'), 200, 5)
    assert (stored.url, stored.key, stored.status, stored.bytes) == (miss.url, miss.key, 200, 5)
    assert miss.age is None
    assert stored.expires == miss.expires is not None
    assert 990 < miss.freshness_left <= 1000
    session.get(origin.url('/page'))
    hit = told.only('hit')
    assert told.texts() == ['hit: fresh']
    assert (hit.key, hit.status, hit.bytes, hit.expires) == (miss.key, 200, 5, miss.expires)
    assert 0 <= hit.age < 100
    assert min(hit.seconds, miss.seconds) > 0


def test_what_never_expires_has_no_end(new_session, origin):
    session = new_session(backend='memory')
    told = EventLog(session)
    origin.add('/page', body='hello')
    session.get(origin.url('/page'))
    session.get(origin.url('/page'))
    assert {(event.expires, event.freshness_left) for event in told} == {(None, None)}
    assert 'never expires' in str(told[0])


def test_validated(session, told, origin):
    origin.add('/page', revalidating(answer(200, b'hello', STALE)))
    session.get(origin.url('/page'), **stale(session))
    told.clear()
    session.get(origin.url('/page'), **stale(session))
    validated = told.only('validated')
    assert (validated.status, validated.bytes, validated.reason) == (200, 5, 'stale')
    assert told.results() == ['validated']


def test_stale_and_changed(session, told, origin):
    origin.add('/page', answer(200, b'old', STALE), answer(200, b'newer', FRESH))
    session.get(origin.url('/page'), **stale(session))
    told.clear()
    session.get(origin.url('/page'))
    miss = told.only('miss')
    assert (miss.reason, miss.bytes) == ('stale', 5)
    assert told.texts() == ['stored', 'miss: stale']


def test_caller_validates(new_session, origin):
    """Its 304 comes from the origin, and nothing from the cache"""
    session = new_session(backend='memory')
    told = EventLog(session)
    origin.add('/page', revalidating(answer(200, b'hello', FRESH)))
    response = session.get(origin.url('/page'), headers={'If-None-Match': '"1"'})
    assert response.status_code == 304
    assert told.texts() == ['not stored: status', 'miss: not stored']


def test_stale_hit_as_the_request_allows_it(session, told, origin):
    origin.add('/page', body='hello', headers=STALE[:1])
    session.get(origin.url('/page'), **stale(session))
    told.clear()
    session.get(origin.url('/page'), headers={'Cache-Control': 'max-stale=100'})
    hit = told.only('stale hit')
    assert hit.freshness_left <= 0
    assert told.results() == ['stale hit']
    assert session.stats.stale_hits == 1


@pytest.mark.parametrize('failure', [answer(503, b'broken'), answer(drop=True)], ids=['status', 'network'])
def test_stale_if_error(session, told, origin, failure):
    session.settings.stale_if_error = 1000
    origin.add('/page', answer(200, b'hello', STALE[:1]), failure)
    session.get(origin.url('/page'), **stale(session))
    told.clear()
    assert session.get(origin.url('/page')).from_cache
    assert told.texts() == ['stale hit: the origin failed']
    stats = session.stats
    assert (stats.stale_hits, stats.bytes_served, stats.seconds_saved) == (1, 5, 0)


def test_force_refresh(session, told, origin):
    origin.add('/page', body='hello', headers=FRESH)
    session.get(origin.url('/page'))
    told.clear()
    session.get(origin.url('/page'), force_refresh=True)
    assert told.texts() == ['stored', 'miss: request' if session.settings.cache_control else 'miss: no-cache']


def test_unanswered(session, told, origin):
    assert session.get(origin.url('/page'), only_if_cached=True).status_code == 504
    event = told.only('unanswered')
    assert (event.reason, event.status) == ('not stored', 504)
    assert told.results() == ['unanswered']
    assert origin.hits() == 0


def test_only_if_cached(session, told, origin):
    origin.add('/page', body='hello', headers=FRESH)
    session.get(origin.url('/page'))
    told.clear()
    session.get(origin.url('/page'), only_if_cached=True)
    assert told.results() == ['hit']


def test_bypassed(session, told, origin):
    origin.add('/page', body='hello')
    session.get(origin.url('/page'), expire_after=DO_NOT_CACHE)
    bypassed = told.only('bypassed')
    assert told.texts() == ['bypassed: do not cache']
    assert (bypassed.status, bypassed.bytes, bypassed.key) == (200, 5, None)


def test_request_says_no_store(session, told, origin):
    """By the standard, it may be answered from the cache"""
    origin.add('/page', body='hello')
    session.get(origin.url('/page'), headers={'Cache-Control': 'no-store'})
    is_strict = session.settings.cache_control == 'strict'
    assert told.texts() == (['not stored: no-store', 'miss: not stored'] if is_strict else ['bypassed: no-store'])


def test_bypassed_as_it_is_switched_off(session, told, origin):
    origin.add('/page', body='hello')
    with session.cache_disabled():
        session.get(origin.url('/page'))
    assert told.texts() == ['bypassed: disabled']


def test_bypassed_as_the_method_is_not_cached(session, told, origin):
    origin.add('/page', body='hello')
    session.post(origin.url('/page'), data=b'x')
    assert told.texts() == ['bypassed: method']


def test_bypassed_as_the_body_cannot_be_read_twice(new_session, origin):
    session = new_session(backend='memory', allowable_methods=['POST'])
    told = EventLog(session)
    origin.add('/page', body='hello')
    session.post(origin.url('/page'), data=iter([b'x']))
    assert told.texts() == ['bypassed: body of the request']


def test_post_whose_response_answers_get(new_session, origin):
    session = new_session(backend='memory', cache_control='strict')
    told = EventLog(session)
    origin.add('/page', body='hello', headers=[*FRESH, ('Content-Location', '/page'), ('Date', 'now')])
    session.post(origin.url('/page'), data=b'x')
    assert told.results() == ['bypassed']
    session.get(origin.url('/page'))
    assert told.results() == ['bypassed', 'hit' if 'stored' in told.texts() else 'miss']


def test_failed(session, told, origin):
    origin.add('/page', answer(drop=True))
    with pytest.raises(requests.ConnectionError):
        session.get(origin.url('/page'))
    failed = told.only('failed')
    assert told.results() == ['failed']
    assert failed.error.startswith('ConnectionError: ')
    assert failed.seconds > 0
    assert session.stats.errors == 1


def test_an_interrupted_exchange_has_failed(session, told, origin):
    """Also by what is no `Exception`: Ctrl+C, or a timeout of gevent"""

    class Timeout(BaseException):
        pass

    def interrupt(response, **kwargs):
        raise Timeout

    origin.add('/page', body='hello')
    with pytest.raises(Timeout):
        session.get(origin.url('/page'), hooks={'response': interrupt})
    assert told.results() == ['failed']


# What is not stored


@pytest.mark.parametrize(
    ('settings', 'answered', 'reason'),
    [
        ({}, answer(404, b'hello'), 'status'),
        ({'read_only': True}, answer(200, b'hello', FRESH), 'read-only'),
        ({'filter_fn': lambda r: False}, answer(200, b'hello', FRESH), 'filter_fn'),
        ({'max_body_bytes': 4}, answer(200, b'hello', FRESH), 'max_body_bytes'),
        ({'max_body_bytes': 4}, answer(200, b'hello', FRESH, chunked=True), 'max_body_bytes'),
        ({'expire_after': 0}, answer(200, b'hello'), 'expires at once'),
        ({'cache_control': True}, answer(200, b'hello', [('Cache-Control', 'no-store')]), 'no-store'),
        ({'cache_control': 'strict'}, answer(200, b'hello', [('Cache-Control', 'no-store')]), 'no-store'),
    ],
    ids=['status', 'read_only', 'filter_fn', 'length', 'long', 'expires at once', 'no-store', 'no-store strict'],
)
def test_not_stored(new_session, origin, settings, answered, reason):
    session = new_session(backend='memory', **settings)
    told = EventLog(session)
    origin.add('/page', answered)
    session.get(origin.url('/page'))
    event = told.only('not stored')
    assert (event.reason, event.status, event.url) == (reason, answered.status, origin.url('/page'))
    assert told.texts() == [f'not stored: {reason}', 'miss: not stored']
    assert session.stats.not_stored_by_reason == {reason: 1}


def test_not_stored_as_it_is_larger_than_the_bound(new_session, origin):
    session = new_session(backend='memory', max_cache_bytes=5000)
    told = EventLog(session)
    for path, options in {'/length': {}, '/chunked': {'chunked': True}}.items():
        origin.add(path, body='x' * 9000, **options)
        session.get(origin.url(path))
        assert told.texts() == ['not stored: larger than the bound of the cache', 'miss: not stored']


def test_not_stored_as_a_304_makes_it_larger_than_the_bound(new_session, origin):
    session = new_session(backend='memory', max_cache_bytes=5000)
    told = EventLog(session)
    origin.add('/page', revalidating(answer(200, b'hello', STALE), [('X-New', 'x' * 9000)]))
    session.get(origin.url('/page'), expire_after=-10)
    told.clear()
    assert session.get(origin.url('/page'), expire_after=-10).text == 'hello'
    assert told.texts() == ['not stored: larger than the bound of the cache', 'validated: stale']


def test_not_stored_as_another_response_was_meanwhile(session, told, origin):
    origin.add('/page', revalidating(answer(200, b'hello', STALE), [('X-New', '1')]))
    session.get(origin.url('/page'), **stale(session))
    told.clear()

    def change(response, *args, **kwargs):
        (key,) = session.cache.responses
        other = session.cache.responses[key]
        other._content = b'other'
        session.cache.responses[key] = other

    validating = session.get_adapter(origin.url('/page'))
    send = validating.send
    validating.send = lambda *args, **kwargs: change(None) or send(*args, **kwargs)
    assert session.get(origin.url('/page'), **stale(session)).text == 'hello'
    assert told.texts() == ['not stored: changed meanwhile', 'validated: stale']


@pytest.mark.parametrize('backend', ['memory', 'sqlite'])
def test_evicted(new_session, origin, backend):
    session = new_session(backend=backend, max_entries=1)
    told = EventLog(session)
    origin.default = answer(200, b'hello')
    first = session.get(origin.url('/1'))
    told.clear()
    session.get(origin.url('/2'))
    assert told.only('evicted').key == first.cache_key
    assert told.texts() == ['evicted', 'stored', 'miss: not stored']
    assert session.stats.evictions == 1


def test_nothing_is_evicted_by_a_write_that_fails(new_session, origin):
    session = new_session(backend='sqlite', max_entries=1)
    told = EventLog(session)
    origin.default = answer(200, b'hello')
    first = session.get(origin.url('/1'))
    with session.cache.responses.connection(commit=True) as connection:
        connection.execute("CREATE TRIGGER fail AFTER INSERT ON responses BEGIN SELECT RAISE(ABORT, 'no'); END")
    told.clear()
    session.get(origin.url('/2'))
    assert [str(event.kind) for event in told] == ['store fault', 'not stored', 'miss']
    assert session.stats.evictions == 0
    assert list(session.cache.responses) == [first.cache_key]


def test_head_brings_what_is_stored_up_to_date(new_session, origin):
    session = new_session(backend='memory', cache_control='strict')
    told = EventLog(session)
    origin.add('/page', answer(200, b'hello', FRESH), answer(200, b'', [*FRESH, ('Content-Length', '5')]))
    stored = session.get(origin.url('/page'))
    told.clear()
    session.head(origin.url('/page'), headers={'Cache-Control': 'no-cache'})
    assert next(event.key for event in told if event.kind == 'stored') == stored.cache_key
    assert [str(event.kind) for event in told] == ['stored', 'stored', 'miss']
    assert session.stats.stores == 3


# What is deleted


def test_invalidated(new_session, origin):
    session = new_session(backend='memory', cache_control='strict')
    told = EventLog(session)
    origin.add('/page', body='hello', headers=FRESH)
    stored = session.get(origin.url('/page'))
    told.clear()
    session.post(origin.url('/page'))
    assert told.only('deleted').key == stored.cache_key
    assert told.texts() == ['deleted: invalidated', 'bypassed: method']
    session.post(origin.url('/page'))
    assert told.texts() == ['bypassed: method']


def test_invalidated_by_head(new_session, origin):
    session = new_session(backend='memory', cache_control='strict')
    told = EventLog(session)
    origin.add('/page', answer(200, b'hello', FRESH), answer(200, b'', [FRESH[0], ('ETag', '"2"')]))
    session.get(origin.url('/page'))
    told.clear()
    session.head(origin.url('/page'), headers={'Cache-Control': 'no-cache'})
    assert 'deleted: invalidated' in told.texts()


@pytest.mark.parametrize('is_stored', [True, False])
def test_deleted_by_the_filter(session, told, origin, is_stored):
    origin.add('/page', body='hello', headers=FRESH)
    if is_stored:
        session.get(origin.url('/page'))
        told.clear()
    session.settings.filter_fn = lambda response: False
    session.get(origin.url('/page'))
    expected = ['deleted: filter_fn', 'hit: fresh'] if is_stored else ['not stored: filter_fn', 'miss: not stored']
    assert told.texts() == expected


def test_deleting_by_hand_is_not_told(session, told, origin):
    origin.add('/page', body='hello', headers=FRESH)
    session.get(origin.url('/page'))
    told.clear()
    session.cache.delete(urls=[origin.url('/page')])
    session.cache.clear()
    assert told == []


def test_a_part_that_takes_the_place_of_another_representation(new_session, origin):
    """What was stored is deleted, the part is not stored, and nothing says that it was"""
    session = new_session(backend='memory', cache_control='strict')
    told = EventLog(session)
    part = answer(206, b'he', [('Cache-Control', 'max-age=9'), ('ETag', '"2"'), ('Content-Range', 'bytes 0-1/5')])
    origin.add('/page', answer(200, b'hello', [*STALE, ('Accept-Ranges', 'bytes')]), part)
    session.get(origin.url('/page'))
    told.clear()
    headers = {'Range': 'bytes=0-1', 'If-Range': '"3"', 'Cache-Control': 'no-cache'}
    response = session.get(origin.url('/page'), headers=headers)
    assert response.status_code == 206
    texts = told.texts()
    assert ('stored' in texts) == (response._result.is_stored) == (response.cache_key is not None)
    assert sum('stored' in text for text in texts[:-1]) == 1


# Redirects: each request is an exchange


def test_redirects(session, told, origin):
    origin.add('/a', redirect('/b', headers=FRESH[:1]))
    origin.add('/b', redirect('/c', headers=FRESH[:1]))
    origin.add('/c', body='end', headers=FRESH)
    session.get(origin.url('/a'))
    assert told.results() == ['miss'] * 3
    assert [e.url[-1] for e in told if e.kind == 'miss'] == ['b', 'c', 'a']
    told.clear()
    session.get(origin.url('/a'))
    is_strict = session.settings.cache_control == 'strict'
    # By the standard, each response is stored by itself; else the end is, for the first request
    assert told.results() == (['hit'] * 3 if is_strict else ['hit'])
    assert sorted(e.status for e in told) == ([200, 302, 302] if is_strict else [200])
    assert min(e.seconds for e in told) > 0


def test_redirect_to_a_stored_end(session, told, origin):
    """The first request has gone to the origin, although what comes of it is from the cache"""
    origin.add('/a', redirect('/b', headers=FRESH[:1]))
    origin.add('/b', body='end', headers=FRESH)
    session.get(origin.url('/b'))
    told.clear()
    session.get(origin.url('/a'))
    assert [(str(e.kind), e.url[-1]) for e in told if e.kind.is_result] == [('hit', 'b'), ('miss', 'a')]
    assert (session.stats.hits, session.stats.misses) == (1, 2)


def test_stored_redirect_to_an_end_that_fails(new_session, origin):
    session = new_session(backend='memory', cache_control='strict')
    told = EventLog(session)
    origin.add('/a', redirect('/b', headers=FRESH[:1]))
    origin.add('/b', answer(drop=True))
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            session.get(origin.url('/a'))
        assert [(str(e.kind), e.url[-1]) for e in told if e.kind.is_result] == [('failed', 'b'), ('failed', 'a')]
        told.clear()


def test_redirect_that_is_not_followed(session, told, origin):
    session.settings.allowable_codes = (200, 302)
    origin.add('/a', redirect('/b', headers=FRESH[:1]))
    for _ in range(2):
        session.get(origin.url('/a'), allow_redirects=False)
    assert told.results() == ['miss', 'hit']
    assert told[-1].status == 302


# Hooks


def replaced_by_plain(response, **kwargs):
    other = requests.Response()
    other.status_code, other._content, other.request, other.url = 299, b'other', response.request, response.url
    return other


def replaced_by_copy(response, **kwargs):
    return copy.copy(response)


def test_hook_that_replaces_a_new_response(session, told, origin):
    origin.add('/page', body='hello', headers=FRESH)
    assert session.get(origin.url('/page'), hooks={'response': replaced_by_plain}).status_code == 299
    assert told.only('miss').status == 299


@pytest.mark.parametrize('hook', [replaced_by_plain, replaced_by_copy])
def test_hook_that_replaces_stored_responses(session, told, origin, hook):
    """On a hit, after a 304, and if the origin fails"""
    full = revalidating(answer(200, b'hello', STALE))
    origin.add('/page', full, full, answer(drop=True))
    origin.add('/fresh', body='hello', headers=FRESH)
    session.settings.stale_if_error = 1000
    hooks = {'response': hook}
    session.get(origin.url('/fresh'))
    session.get(origin.url('/page'), **stale(session))
    told.clear()
    for url in ('/fresh', '/page', '/page'):
        response = session.get(origin.url(url), hooks=hooks, **stale(session))
        assert response.content == hook(response).content
    assert told.results() == ['hit', 'validated', 'stale hit']


@pytest.mark.parametrize('is_stored', [True, False])
def test_hook_that_sends_another_request(session, told, origin, is_stored):
    """As hooks do that authenticate: the second exchange has a result of its own"""
    origin.default = answer(200, b'hello', FRESH)
    for path in ['/page', '/other'] if is_stored else ['/other']:
        session.get(origin.url(path))
    told.clear()
    hooks = {'response': lambda response, **kwargs: session.get(origin.url('/other'))}
    assert session.get(origin.url('/page'), hooks=hooks).url == origin.url('/other')
    results = [(str(event.kind), event.url) for event in told if event.kind.is_result]
    assert results == [('hit', origin.url('/other')), ('hit' if is_stored else 'miss', origin.url('/page'))]


# In the background


@pytest.fixture
def refreshed(monkeypatch):
    """Waits for what is renewed in the background"""
    threads: list[Any] = []
    start = Refreshing.start

    def remember(self, *args):
        threads.append(start(self, *args))
        return threads[-1]

    monkeypatch.setattr(Refreshing, 'start', remember)
    return lambda: [thread.join(30) for thread in threads]


def test_refresh(session, told, origin, refreshed):
    session.settings.stale_while_revalidate = True
    origin.add('/page', answer(200, b'old', STALE), answer(200, b'newer', FRESH))
    stored = session.get(origin.url('/page'), **stale(session))
    told.clear()
    session.get(origin.url('/page'))
    refreshed()
    kinds = [str(event.kind) for event in told if not event.kind.is_result]
    assert kinds == ['refresh begun', 'stored', 'refresh ended']
    assert told.results() == ['stale hit']
    begun, ended = told.only('refresh begun'), told.only('refresh ended')
    assert begun.key == ended.key == stored.cache_key
    assert (ended.status, ended.url) == (200, origin.url('/page'))
    assert ended.seconds > 0
    stats = session.stats
    assert (stats.refreshes, stats.stale_hits, stats.stores) == (1, 1, 2)


def test_refresh_that_finds_nothing_new(session, told, origin, refreshed):
    session.settings.stale_while_revalidate = True
    origin.add('/page', revalidating(answer(200, b'old', STALE)))
    session.get(origin.url('/page'), **stale(session))
    told.clear()
    session.get(origin.url('/page'))
    refreshed()
    assert told.only('refresh ended').status == 304
    assert told.results() == ['stale hit']


def test_refresh_of_what_is_not_stored(session, told, origin, refreshed):
    session.settings.stale_while_revalidate = True
    origin.add('/page', answer(200, b'old', STALE), answer(404, b'gone'))
    session.get(origin.url('/page'), **stale(session))
    told.clear()
    session.get(origin.url('/page'))
    refreshed()
    kinds = [str(event.kind) for event in told if not event.kind.is_result]
    expected = ['refresh begun', 'not stored', 'refresh ended']
    assert kinds == expected or session.settings.cache_control  # by the standard, a 404 may be stored


@pytest.mark.parametrize('failure', [answer(503, b'broken'), answer(drop=True)], ids=['status', 'network'])
@pytest.mark.parametrize('stale_if_error', [False, 1000])
def test_refresh_fails(session, told, origin, refreshed, failure, stale_if_error, caplog):
    session.settings.stale_while_revalidate = True
    session.settings.stale_if_error = stale_if_error
    origin.add('/page', answer(200, b'old', STALE), failure)
    session.get(origin.url('/page'), **stale(session))
    told.clear()
    session.get(origin.url('/page'))
    refreshed()
    is_answered = failure.status == 503 and not failure.drop and not stale_if_error
    event = told.only('refresh ended' if is_answered else 'refresh failed')
    assert event.seconds > 0
    assert event.status == (503 if failure.status == 503 else None)
    assert (event.error is not None) == (failure.drop and not stale_if_error)
    assert told.results() == ['stale hit']
    assert session.stats.refreshes == (1 if is_answered else 0)


# The store fails


@pytest.fixture
def fail(session, monkeypatch):
    """Has an operation of the storage fail"""

    def fail(name: str) -> None:
        def failing(*args: Any, **kwargs: Any) -> Any:
            raise BackendError('The disk is full')

        monkeypatch.setattr(session.cache.responses, name, failing, raising=False)

    return fail


def test_reading_fails(session, told, origin, monkeypatch):
    def failing(self, key):
        raise BackendError('The disk is gone')

    origin.add('/page', body='hello', headers=FRESH)
    monkeypatch.setattr(type(session.cache.responses), '__getitem__', failing)
    session.get(origin.url('/page'))
    fault = next(event for event in told if event.kind == 'store fault')
    assert (fault.reason, fault.error) == ('read', 'BackendError: The disk is gone')
    assert told.results() == ['miss']
    assert session.stats.faults >= 1


def test_writing_fails(session, told, origin, fail):
    origin.add('/page', body='hello', headers=FRESH)
    fail('put')
    session.get(origin.url('/page'))
    assert told.texts() == ['store fault: write', 'not stored: the store failed', 'miss: not stored']
    assert (session.stats.faults, session.stats.stores) == (1, 0)


def test_writing_fails_after_a_304(session, told, origin, fail):
    origin.add('/page', revalidating(answer(200, b'hello', STALE), [('X-New', '1')]))
    session.get(origin.url('/page'), **stale(session))
    told.clear()
    fail('write_if')
    assert session.get(origin.url('/page'), **stale(session)).from_cache
    assert told.texts() == ['store fault: write', 'not stored: the store failed', 'validated: stale']


def test_deleting_fails(new_session, origin, monkeypatch):
    session = new_session(backend='memory', cache_control='strict')
    told = EventLog(session)
    origin.add('/page', body='hello', headers=FRESH)
    session.get(origin.url('/page'))
    told.clear()

    def failing(*args):
        raise BackendError('The disk is read-only')

    monkeypatch.setattr(session.cache.responses, 'bulk_delete', failing)
    session.post(origin.url('/page'))
    assert told.texts() == ['store fault: delete', 'bypassed: method']


def test_what_cannot_be_told_does_not_keep_entries_from_being_deleted(new_session, origin, monkeypatch):
    session = new_session(backend='memory', cache_control='strict')
    told = EventLog(session)
    origin.add('/page', body='hello', headers=FRESH)
    session.get(origin.url('/page'))
    told.clear()

    def failing(*args):
        raise BackendError('It does not say')

    monkeypatch.setattr(BaseStorage, 'existing', failing)
    session.post(origin.url('/page'))
    assert told.texts() == ['bypassed: method']
    assert len(session.cache.responses) == 0


def test_log_lines_can_be_written_whatever_a_key_is(caplog: pytest.LogCaptureFixture) -> None:
    """Keys of a function of the user's may hold what UTF-8 cannot"""
    from requests_mock import Adapter

    adapter = Adapter()
    adapter.register_uri('GET', 'http://example.com/', text='body')
    session = CachedSession(backend='memory', key_fn=lambda request, **kwargs: 'key \ud800')
    session.mount('http://', adapter)
    caplog.set_level(logging.DEBUG)
    session.get('http://example.com/')
    assert 'key \\ud800' in caplog.text.encode('utf-8').decode()
    session.close()
