"""Equal requests of several processes at the same time are one request to the origin, on each backend

The origin holds its answers back until the processes have been seen waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from support.backend_plugins import BACKEND_PLUGINS
from support.flight_workers import Crew, Worker, crew
from support.redis_server import wait_until

from requests_cache import CachedSession
from requests_cache.testing.origin import NOTICES_SHORT_BODIES, Origin, answer

pytest_plugins = BACKEND_PLUGINS

NAMES = ['sqlite', 'redis', 'filesystem', 'mongodb', 'gridfs', 'dynamodb']
LEASE_SECONDS = 2.0
HOUR = 3600.0

Team = Callable[..., list[Worker]]


@pytest.fixture(scope='module')
def workers() -> Iterator[Crew]:
    with crew() as workers:
        yield workers


@pytest.fixture
def team(workers: Crew, backend_options: dict[str, Any]) -> Team:
    """Processes that share the backend"""
    return lambda count, **settings: workers.open(count, backend_options, **settings)


def results_of(workers: list[Worker]) -> list[dict[str, Any]]:
    return [worker.result() for worker in workers]


def lead_and_follow(team: list[Worker], origin: Origin, hold: Any, **options: Any) -> tuple[Worker, list[Worker]]:
    """Have the first one send a request, and the others wait for it"""
    before = origin.hits()
    team[0].get(origin.url('/page'), **options)
    hold.wait_arrived()
    for worker in team[1:]:
        worker.get(origin.url('/page'), **options)
    for worker in team[1:]:
        worker.wait_until_it_waits()
    assert origin.hits() == before + 1
    return team[0], team[1:]


def renewals(session: CachedSession, key: str) -> int:
    """How often the leader for a key has shown that it is alive"""
    lease = session.cache.leases.read(key)
    assert lease is not None
    return int(lease.rpartition(':')[2])


@pytest.mark.parametrize('name', NAMES)
class TestProcesses:
    def test_a_lease_is_replaced_in_one_step(self, team: Team, backend_options: dict[str, Any]) -> None:
        four = team(4)
        for worker in four:
            worker.count('key', 50)
        for worker in four:
            worker.wait_until_it_has_counted()
        with CachedSession(**backend_options) as session:
            assert session.cache.leases.read('key') == '200'
            assert len(session.cache.responses) == 0

    def test_a_process_is_killed_while_it_replaces_leases(self, team: Team, backend_options: dict[str, Any]) -> None:
        killed, other = team(2)
        with CachedSession(**backend_options) as session:
            leases = session.cache.leases
            killed.count('key', 1_000_000)
            wait_until(lambda: int(leases.read('key') or 0) > 20, 'a process to count')
            killed.kill()
            before = int(leases.read('key') or 0)
            other.count('key', 10)
            other.wait_until_it_has_counted()
            assert int(leases.read('key') or 0) == before + 10

    def test_eight_at_once(self, team: Team, origin: Origin) -> None:
        hold = origin.hold()
        origin.add('/page', answer(200, b'x', hold=hold))
        eight = team(8)
        for number, worker in enumerate(eight):
            worker.get(origin.url('/page'), headers={'X-Number': str(number)})
        hold.wait_arrived()
        leader = eight.pop(int(origin.requests[0].header('X-Number') or 0))
        for worker in eight:
            worker.wait_until_it_waits()
        hold.release()
        led, results = leader.result(), results_of(eight)
        assert (led['body'], led['from_cache'], led['collapsed']) == ('x', False, False)
        assert [(r['body'], r['from_cache'], r['collapsed']) for r in results] == [('x', True, True)] * 7
        assert origin.hits() == 1

    def test_large_bodies(self, team: Team, origin: Origin) -> None:
        body = 'x' * 3_000_000
        hold = origin.hold()
        origin.add('/page', answer(200, body, hold=hold))
        leader, others = lead_and_follow(team(3), origin, hold)
        hold.release()
        assert leader.result()['body'] == body
        assert [(r['body'] == body, r['collapsed']) for r in results_of(others)] == [(True, True)] * 2
        assert origin.hits() == 1

    def test_the_leader_is_killed(self, team: Team, origin: Origin) -> None:
        hold = origin.hold()
        origin.add('/page', answer(200, b'lost', hold=hold), answer(200, b'x'))
        leader, others = lead_and_follow(team(5, lease_seconds=LEASE_SECONDS), origin, hold)
        leader.kill()
        results = results_of(others)
        assert [r['body'] for r in results] == ['x'] * 4
        assert sorted(r['collapsed'] for r in results) == [False, True, True, True]
        assert origin.hits() == 2

    @pytest.mark.skipif(not NOTICES_SHORT_BODIES, reason='urllib3 1.26 takes a short body for a whole one')
    def test_the_connection_of_the_leader_is_cut(self, team: Team, origin: Origin) -> None:
        """A failure is not multiplied: one of those who wait takes over at once"""
        hold = origin.hold()
        origin.add('/page', answer(200, b'x' * 100, cut_after=10, hold=hold), answer(200, b'x'))
        leader, others = lead_and_follow(team(5), origin, hold)
        hold.release()
        assert leader.result()['error'] in ('ChunkedEncodingError', 'ConnectionError')
        results = results_of(others)
        assert [r['body'] for r in results] == ['x'] * 4
        assert sorted(r['collapsed'] for r in results) == [False, True, True, True]
        assert origin.hits() == 2

    def test_what_cannot_be_stored(self, team: Team, origin: Origin) -> None:
        """All who wait go at once, and none of them waits again"""
        first, then, again = (origin.hold() for _ in range(3))
        origin.add('/page', answer(404, b'1', hold=first), *[answer(404, b'2', hold=then)] * 4, answer(404, hold=again))
        leader, others = lead_and_follow(team(5), origin, first)
        first.release()
        then.wait_arrived(4)  # all of them are there, and none has been answered
        then.release()
        assert leader.result()['body'] == '1'
        assert [(r['body'], r['collapsed']) for r in results_of(others)] == [('2', False)] * 4
        for worker in (leader, *others):
            worker.get(origin.url('/page'))
        again.wait_arrived(5)
        again.release()
        assert [r['waited'] for r in results_of([leader, *others])] == [0] * 5

    @pytest.mark.parametrize('headers', [{}, {'ETag': '"1"'}], ids=['without a validator', 'with a validator'])
    def test_a_stale_entry_is_renewed_once(self, headers: dict[str, str], team: Team, origin: Origin) -> None:
        fields = list(headers.items())
        origin.add('/page', answer(200, b'old', fields))
        four = team(4)
        four[0].get(origin.url('/page'), expire_after=-2)
        assert four[0].result()['body'] == 'old'
        hold = origin.hold()
        origin.add('/page', answer(304, b'', fields, hold=hold) if headers else answer(200, b'new', hold=hold))
        leader, others = lead_and_follow(four, origin, hold, expire_after=100)
        hold.release()
        results = results_of([leader, *others])
        assert {r['body'] for r in results} == {'old' if headers else 'new'}
        assert [r['collapsed'] for r in results] == [False, True, True, True]
        assert origin.hits() == 2
        assert origin.requests[1].header('If-None-Match') == headers.get('ETag')

    @pytest.mark.parametrize('ahead', [0, 1], ids=['the leader', 'who waits'])
    def test_a_clock_that_is_ahead(
        self, ahead: int, team: Team, backend_options: dict[str, Any], origin: Origin
    ) -> None:
        """A leader that lives is waited for, and what it has stored is used"""
        hold = origin.hold()
        origin.add('/page', answer(200, b'x', hold=hold))
        settings = {'lease_seconds': LEASE_SECONDS, 'renewal_seconds': LEASE_SECONDS / 20}
        two = team(2, **settings)
        two[ahead].open(backend_options, clock_ahead=HOUR, **settings)
        leader, others = lead_and_follow(two, origin, hold)
        with CachedSession(**backend_options) as session:
            key = session.cache.create_key(requests.Request('GET', origin.url('/page')))
            wait_until(lambda: renewals(session, key) > 30, 'the leader to outlive what a dead one is given')
        hold.release()
        assert not leader.result()['collapsed']
        assert [(r['body'], r['collapsed']) for r in results_of(others)] == [('x', True)]
        assert origin.hits() == 1
