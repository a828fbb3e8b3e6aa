"""Equal requests at the same time are one request to the origin"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import requests
from support.flights import PATIENCE_SECONDS, Followers, HeldAnswer

import requests_cache
from requests_cache import CachedSession
from requests_cache.engine import flights
from requests_cache.testing.origin import Origin, answer


@pytest.fixture
def followers(monkeypatch: pytest.MonkeyPatch) -> Followers:
    return Followers(monkeypatch)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(60) as pool:
        yield pool


@pytest.fixture
def session() -> Iterator[CachedSession]:
    with CachedSession(backend='memory') as session:
        yield session


def start(pool: ThreadPoolExecutor, n: int, get: Callable[[], Any]) -> list[Future[Any]]:
    return [pool.submit(get) for _ in range(n)]


class TestThreads:
    @pytest.mark.parametrize('backend', ['memory', 'sqlite', 'filesystem'])
    @pytest.mark.parametrize('stream', [False, True])
    def test_fifty_callers(
        self, backend: str, stream: bool, origin: Origin, pool: ThreadPoolExecutor, followers: Followers, tmp_path: Any
    ) -> None:
        held = HeldAnswer(answer(200, b'x' * 3_000_000))
        origin.add('/page', held)
        with CachedSession(tmp_path / 'cache', backend=backend) as session:

            def get() -> tuple[int, bool]:
                response = session.get(origin.url('/page'), stream=stream)
                return len(response.content), response.from_cache

            futures = start(pool, 50, get)
            held.wait()
            followers.wait(49)
            held.release()
            results = [future.result() for future in futures]
        assert origin.hits() == 1
        assert {length for length, _ in results} == {3_000_000}
        assert sum(from_cache for _, from_cache in results) == 49

    def test_each_has_a_response_of_its_own(
        self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor, followers: Followers
    ) -> None:
        held = HeldAnswer(answer(200, b'{"a": 1}'))
        origin.add('/page', held)
        futures = start(pool, 3, lambda: session.get(origin.url('/page')))
        followers.wait(2)
        held.release()
        responses = [future.result() for future in futures]
        responses[0].headers['X'] = 'mine'
        assert all('X' not in response.headers for response in responses[1:])

    def test_different_keys_do_not_wait(
        self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(flights.Flight, 'wait', lambda *args: pytest.fail('waits'))
        urls = [origin.url(f'/{number}') for number in range(1_000)]
        origin.default = answer(200, b'x')
        assert not any(response.from_cache for response in pool.map(session.get, urls))
        assert origin.hits() == 1_000

    def test_tasks_in_threads(self, session: CachedSession, origin: Origin, followers: Followers) -> None:
        held = HeldAnswer(answer(200, b'x'))
        origin.add('/page', held)

        async def get_all() -> list[Any]:
            waiting = [asyncio.create_task(asyncio.to_thread(session.get, origin.url('/page'))) for _ in range(4)]
            await asyncio.to_thread(followers.wait, 3)
            held.release()
            return await asyncio.gather(*waiting)

        assert sum(response.from_cache for response in asyncio.run(get_all())) == 3

    @pytest.mark.skipif(not hasattr(os, 'fork'), reason='there are no forks here')
    @pytest.mark.filterwarnings('ignore:.*fork:DeprecationWarning')
    def test_a_child_does_not_wait_for_its_parent(
        self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor
    ) -> None:
        held = HeldAnswer(answer(200, b'x'))
        origin.add('/page', held)
        leader = pool.submit(session.get, origin.url('/page'))
        held.wait()
        child = os.fork()
        if not child:
            os._exit(0 if session.get(origin.url('/page'), timeout=PATIENCE_SECONDS).content == b'x' else 1)
        held.wait()
        held.release()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert leader.result().content == b'x'

    def test_cache_status_says_so(self, origin: Origin, pool: ThreadPoolExecutor, followers: Followers) -> None:
        held = HeldAnswer(answer(200, b'x', [('Cache-Control', 'max-age=100')]))
        origin.add('/page', held)
        with CachedSession(backend='memory', cache_control='strict', cache_status=True) as session:
            futures = start(pool, 2, lambda: session.get(origin.url('/page')))
            followers.wait(1)
            held.release()
            collapsed = sorted(future.result().cache_status.collapsed for future in futures)
            fields = sorted('collapsed' in future.result().headers['Cache-Status'] for future in futures)
        assert collapsed == fields == [False, True]

    @pytest.mark.parametrize('options', [{}, {'ETag': '"1"'}])
    def test_a_stale_entry_is_renewed_once(
        self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor, followers: Followers, options: Any
    ) -> None:
        origin.add('/page', answer(200, b'old', list(options.items())))
        session.get(origin.url('/page'), expire_after=-2)
        held = HeldAnswer(answer(304, b'', list(options.items())) if options else answer(200, b'new'))
        origin.add('/page', held)
        futures = start(pool, 10, lambda: session.get(origin.url('/page'), expire_after=100))
        followers.wait(9)
        held.release()
        assert {future.result().content for future in futures} == {b'old' if options else b'new'}
        assert origin.hits() == 2

    def test_sessions_that_share_a_backend(
        self, origin: Origin, pool: ThreadPoolExecutor, followers: Followers
    ) -> None:
        held = HeldAnswer(answer(200, b'x'))
        origin.add('/page', held)
        requests_cache.install_cache(backend='memory')
        try:
            futures = start(pool, 5, lambda: requests.get(origin.url('/page')))
            followers.wait(4)
            held.release()
            assert sum(future.result().from_cache for future in futures) == 4
        finally:
            requests_cache.uninstall_cache()
        assert origin.hits() == 1

    def test_switched_off(self, origin: Origin, pool: ThreadPoolExecutor) -> None:
        held = HeldAnswer(answer(200, b'x'))
        origin.add('/page', held)
        with CachedSession(backend='memory', single_flight=False) as session:
            futures = start(pool, 5, lambda: session.get(origin.url('/page')))
            held.wait(5)
            held.release()
            assert not any(future.result().from_cache for future in futures)


class TestNeverSlower:
    """Nobody waits for what cannot be shared"""

    @pytest.mark.parametrize(
        'settings',
        [{'disabled': True}, {'read_only': True}, {'allowable_methods': ['POST']}],
        ids=['disabled', 'read-only', 'method'],
    )
    def test_settings(self, origin: Origin, pool: ThreadPoolExecutor, settings: Any) -> None:
        held = HeldAnswer(answer(200, b'x'))
        origin.add('/page', held)
        with CachedSession(backend='memory', **settings) as session:
            futures = start(pool, 5, lambda: session.get(origin.url('/page')))
            held.wait(5)
            held.release()
            assert [future.result().content for future in futures] == [b'x'] * 5

    @pytest.mark.parametrize('option', ['force_refresh', 'refresh'])
    def test_options(self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor, option: str) -> None:
        held = HeldAnswer(answer(200, b'x'))
        origin.add('/page', held)
        futures = start(pool, 5, lambda: session.get(origin.url('/page'), **{option: True}))
        held.wait(5)
        held.release()
        assert [future.result().content for future in futures] == [b'x'] * 5

    def test_only_if_cached(self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor) -> None:
        held = HeldAnswer(answer(200, b'x'))
        origin.add('/page', held)
        first = pool.submit(session.get, origin.url('/page'))
        held.wait()
        assert session.get(origin.url('/page'), only_if_cached=True).status_code == 504
        held.release()
        first.result()

    def test_what_cannot_be_stored(
        self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor, followers: Followers
    ) -> None:
        """All who wait go at once; and from then on, nobody waits"""
        first, others = HeldAnswer(answer(404, b'x')), HeldAnswer(answer(404, b'y'))
        answers = iter([first])
        origin.add('/page', lambda request: next(answers, others)(request))
        futures = start(pool, 10, lambda: session.get(origin.url('/page')))
        first.wait()
        followers.wait(9)
        first.release()
        others.wait(9)  # all of them are there, and none has been answered
        futures += start(pool, 3, lambda: session.get(origin.url('/page')))
        others.wait(3)
        others.release()
        assert sorted(future.result().content for future in futures) == [b'x', *[b'y'] * 12]

    def test_it_is_forgotten_in_time(
        self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor, followers: Followers, monkeypatch: Any
    ) -> None:
        origin.add('/page', answer(404, b'x'))
        session.get(origin.url('/page'))
        now = flights.monotonic()
        monkeypatch.setattr(flights, 'monotonic', lambda: now + flights.UNSHARED_SECONDS + 1)
        held = HeldAnswer(answer(200, b'x'))
        origin.add('/page', held)
        futures = start(pool, 3, lambda: session.get(origin.url('/page')))
        followers.wait(2)
        held.release()
        assert sum(future.result().from_cache for future in futures) == 2

    def test_variants(
        self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor, followers: Followers
    ) -> None:
        first, others = (
            HeldAnswer(answer(200, b'x', [('Vary', 'Accept')])),
            HeldAnswer(answer(200, b'y', [('Vary', 'Accept')])),
        )
        answers = iter([first])
        origin.add('/page', lambda request: next(answers, others)(request))
        leader = pool.submit(session.get, origin.url('/page'), headers={'Accept': 'a/a'})
        first.wait()
        futures = [
            pool.submit(session.get, origin.url('/page'), headers={'Accept': f'b/{number}'}) for number in range(5)
        ]
        followers.wait(5)
        first.release()
        others.wait(5)
        others.release()
        assert (leader.result().content, {future.result().content for future in futures}) == (b'x', {b'y'})

    def test_a_failure_is_not_multiplied(
        self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor, followers: Followers
    ) -> None:
        """One of those who wait takes over"""
        held = HeldAnswer(answer(200, b'x' * 100, chunked=True, cut_after=10), answer(200, b'fine'))
        origin.add('/page', held)
        futures = start(pool, 5, lambda: session.get(origin.url('/page')))
        held.wait()
        followers.wait(4)
        held.release()
        results = [future.exception() or future.result().content for future in futures]
        assert results.count(b'fine') >= 4
        assert origin.hits() == 2

    def test_no_longer_than_the_own_timeout(
        self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor
    ) -> None:
        held = HeldAnswer(answer(200, b'x'))
        origin.add('/page', held)
        leader = pool.submit(session.get, origin.url('/page'))
        held.wait()
        with pytest.raises(requests.exceptions.ReadTimeout):
            session.get(origin.url('/page'), timeout=0.05)
        held.release()
        assert leader.result().content == b'x'

    @pytest.mark.parametrize(
        ('timeout', 'seconds'),
        [(None, 30), (5, 5), (50, 30), ((1, 2), 2), ((1, None), 30), (0.5, 0.5)],
    )
    def test_patience(self, timeout: Any, seconds: float) -> None:
        assert flights.patience(30, timeout) == seconds

    def test_a_leader_that_reads_slowly(self, origin: Origin) -> None:
        origin.add('/page', answer(200, b'x' * 3_000_000))
        with CachedSession(backend='memory', single_flight_timeout=0.05) as session:
            leader = session.get(origin.url('/page'), stream=True)
            with ThreadPoolExecutor(1) as other:
                response = other.submit(session.get, origin.url('/page')).result()
            assert (response.from_cache, len(response.content)) == (False, 3_000_000)
            assert len(leader.content) == 3_000_000

    @pytest.mark.parametrize('end', ['close', 'drop', 'read'])
    def test_a_stream_that_ends(
        self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor, followers: Followers, end: str
    ) -> None:
        origin.add('/page', answer(200, b'x' * 3_000_000))
        leader: Any = session.get(origin.url('/page'), stream=True)
        future = pool.submit(session.get, origin.url('/page'))
        followers.wait(1)
        if end == 'close':
            leader.close()
        elif end == 'drop':
            leader = None
        else:
            assert len(leader.content) == 3_000_000
        assert future.result().from_cache == (end == 'read')


class TestReentrancy:
    def test_hooks_that_ask_for_the_same(self, session: CachedSession, origin: Origin) -> None:
        origin.add('/page', answer(200, b'x'))
        asked: list[bytes] = []

        def hook(response: Any, **kwargs: Any) -> None:
            if not asked:
                asked.append(b'')
                asked.append(session.get(origin.url('/page')).content)

        session.get(origin.url('/page'), hooks={'response': hook})
        assert asked == [b'', b'x']

    def test_authentication_that_asks_for_the_same(self, session: CachedSession, origin: Origin) -> None:
        origin.add('/page', answer(200, b'token'))

        class Auth(requests.auth.AuthBase):
            def __call__(self, request: Any) -> Any:
                if not request.headers.get('X-Token'):
                    request.headers['X-Token'] = session.get(origin.url('/page')).text
                return request

        assert session.get(origin.url('/page'), auth=Auth()).text == 'token'

    def test_the_reader_of_a_stream_asks_again(self, session: CachedSession, origin: Origin) -> None:
        origin.add('/page', answer(200, b'x' * 3_000_000))
        with session.get(origin.url('/page'), stream=True):
            assert len(session.get(origin.url('/page')).content) == 3_000_000

    def test_interrupted(
        self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor, followers: Followers
    ) -> None:
        """Who waits goes on, whatever ends the leader"""
        arrived, go = threading.Event(), threading.Event()
        send = session._send_to_origin

        def interrupt(request: Any, **kwargs: Any) -> Any:
            if not arrived.is_set():
                arrived.set()
                go.wait(PATIENCE_SECONDS)
                raise KeyboardInterrupt
            return send(request, **kwargs)

        session._send_to_origin = interrupt  # type: ignore[method-assign]
        origin.add('/page', answer(200, b'x'))
        leader = pool.submit(session.get, origin.url('/page'))
        arrived.wait(PATIENCE_SECONDS)
        future = pool.submit(session.get, origin.url('/page'))
        followers.wait(1)
        go.set()
        assert isinstance(leader.exception(), KeyboardInterrupt)
        assert future.result().content == b'x'

    def test_a_cache_that_is_cleared_meanwhile(
        self, session: CachedSession, origin: Origin, pool: ThreadPoolExecutor, followers: Followers
    ) -> None:
        held = HeldAnswer(answer(200, b'x'))
        origin.add('/page', held)
        futures = start(pool, 3, lambda: session.get(origin.url('/page')))
        followers.wait(2)
        session.cache.clear()
        session.close()
        held.release()
        assert {future.result().content for future in futures} == {b'x'}


def test_memory_of_flights_is_bounded(session: CachedSession, origin: Origin) -> None:
    known = flights.Flights()
    for number in range(3 * flights.MAX_REMEMBERED):
        flight = flights.Flight(known, str(number))
        assert known.enter(flight) is None
        flight.land(flights.Outcome.NOT_STORED if number % 2 else flights.Outcome.STORED)
    assert len(known._unshared) <= flights.MAX_REMEMBERED
    assert len(known._landed) <= flights.MAX_REMEMBERED
    assert not known._flights


@pytest.mark.parametrize('value', ['share', 'threads'])
def test_a_value_without_meaning(value: str) -> None:
    with pytest.raises(ValueError, match=f"Invalid single_flight: '{value}'; it must be True, False or 'shared'"):
        CachedSession(backend='memory', single_flight=value)
