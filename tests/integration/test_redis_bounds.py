"""Bounds of a Redis cache: what sizes mean, what others do meanwhile, who may not run scripts, round trips"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from threading import Barrier
from typing import Any

import pytest
import redis
import time_machine
from hypothesis import example, given
from hypothesis import strategies as st
from redis.crc import key_slot
from support.redis_server import HOST, RedisClusterServers, RedisServer

from requests_cache import CachedSession
from requests_cache.backends.redis import DEFAULT_TTL_OFFSET, RedisCache, RedisDict, RedisHashDict
from requests_cache.backends.redis.bounds import upkeep
from requests_cache.backends.redis.bounds.scripts import LIFETIME_SECONDS, MAX_EVICTED
from requests_cache.backends.redis.bounds.sizes import jemalloc, libc
from requests_cache.backends.redis.bounds.upkeep import WRITES_PER_ROUND
from requests_cache.exceptions import BackendError
from requests_cache.testing.origin import Origin
from requests_cache.testing.rules.bounds import BODY_BYTES, NOW, body
from requests_cache.testing.rules.redirects import save_chain
from requests_cache.testing.values import closing_all, facts, large, make_response

pytest_plugins = ['support.redis_fixtures']

INDEX = b'mine-index:{mine:}:'
# Braces say which slot of a cluster a name belongs to
NAMESPACES = ('a', 'a-index', 'a-index:{a', '{app}', '{app}:b', 'a{', 'a}b', '{}a', '{', '}', '*', '')
KEYS = ('0a1b', '{x}', 'a{', ':bytes', 'used', '%', 'x-redirects', 'ä\ud800')


@pytest.fixture
def make(redis_server: RedisServer) -> Iterator[Callable[..., RedisDict]]:
    def make(namespace: str = 'mine', **kwargs: Any) -> RedisDict:
        return RedisDict(namespace, **{'host': HOST, 'port': redis_server.port, **kwargs})

    with closing_all(make) as factory:
        yield factory


@pytest.fixture
def make_in_cluster(redis_cluster: RedisClusterServers) -> Iterator[Callable[..., RedisDict]]:
    with closing_all(lambda **kwargs: RedisDict('mine', cluster=True, port=redis_cluster.port, **kwargs)) as factory:
        yield factory


@pytest.fixture(params=['server', 'cluster'])
def make_anywhere(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue('make' if request.param == 'server' else 'make_in_cluster')


def settle(storage: Any) -> None:
    for _ in range(100):
        storage._upkeep.maintain()


def accounted(storage: Any) -> tuple[int, int]:
    """Bytes and entries, as the index has them"""
    sizes = storage._upkeep.names[2]
    n_bytes, n_entries = storage.connection.hmget(sizes, ':bytes', ':entries')
    rows = {k: int(v) for k, v in storage.connection.hgetall(sizes).items() if not k.startswith(b':')}
    assert (int(n_bytes), int(n_entries)) == (sum(rows.values()), len(rows))
    assert storage.connection.zcard(storage._upkeep.names[0]) == len(rows)
    return int(n_bytes), int(n_entries)


class TestSizes:
    """A server accounts for names and values in blocks, and the index is in its memory as well"""

    def memory(self, client: redis.Redis, *names: bytes) -> int:
        return sum(client.memory_usage(name, samples=0) or 0 for name in names)

    @pytest.mark.parametrize('length', [0, 300, 1_000, 3_000, 10_000, 40_000, 200_000])
    @pytest.mark.parametrize('lasting', [False, True])
    def test_strings(
        self, length: int, lasting: bool, make: Callable[..., RedisDict], redis_client: redis.Redis
    ) -> None:
        storage = make(max_cache_bytes='1 GB')
        expires = None if lasting else datetime.now(timezone.utc) + timedelta(hours=1)
        count = max(20, min(1_000, 4_000_000 // (length + 1_000)))
        storage.update(
            {f'{number:016x}': body(number, length + 13 * number, expires=expires) for number in range(count)}
        )
        used = self.memory(redis_client, *redis_client.keys('mine*'))
        # Small entries take more for their rows in the index
        assert accounted(storage)[0] == pytest.approx(used, rel=0.1 if length >= 1_000 else 0.15)

    @pytest.mark.parametrize('compression', [False, 'zlib'])
    def test_large_bodies_count_as_they_are_stored(
        self, compression: Any, make: Callable[..., RedisDict], redis_client: redis.Redis
    ) -> None:
        storage = make(max_cache_bytes='1 GB', large_body_bytes=1_000, compression=compression)
        storage.pieces.piece_bytes = 20_000
        storage['key'] = large(1, 150_000)
        used = self.memory(redis_client, b'mine-body:{mine:key}')
        assert accounted(storage)[0] == pytest.approx(used, rel=0.1, abs=500)
        assert (used < 20_000) == bool(compression)
        read = storage['key']
        read.headers['X'] = 'new'
        storage['key'] = read  # with the body that is there
        assert accounted(storage)[0] == pytest.approx(used, rel=0.1, abs=500)

    @given(st.integers(1, 2**33))
    def test_allocations(self, n_bytes: int) -> None:
        assert n_bytes <= jemalloc(n_bytes) <= n_bytes * 1.25 + 16
        assert n_bytes <= libc(n_bytes) <= n_bytes + 4096 + 24

    def test_overwriting(self, make_anywhere: Callable[..., RedisDict]) -> None:
        storage, sizes = make_anywhere(max_cache_bytes='1 MB'), []
        for length in (1_000, 50_000, 1_000):
            storage['key'] = body(1, length)
            storage._upkeep.close()  # tells the index
            sizes.append(accounted(storage))
        assert sizes[0] == sizes[2] < sizes[1]
        assert storage.write_if('key', body(1, 50_000), lambda stored: stored is not None)
        storage._upkeep.close()
        assert accounted(storage) == sizes[1]
        assert not storage.write_if('key', body(1, 90_000), lambda stored: stored is None)
        storage._upkeep.close()
        assert accounted(storage) == sizes[1]
        del storage['key']
        assert accounted(storage) == (0, 0)


class TestNames:
    @pytest.mark.parametrize('namespace', NAMESPACES, ids=ascii)
    def test_caches_do_not_touch_each_other(self, namespace: str, make: Callable[..., RedisDict]) -> None:
        storages = {name: make(name, max_entries=len(KEYS)) for name in NAMESPACES}
        for _ in range(2):
            for number, storage in enumerate(storages.values()):
                for key in (*KEYS[::-1], 'other', *KEYS):
                    storage[key] = make_response(number)
        for storage in storages.values():
            settle(storage)
            assert sorted(storage) == sorted(KEYS)
            assert accounted(storage)[1] == len(KEYS)
        storages.pop(namespace).clear()
        for other in storages.values():
            assert len(other) == len(KEYS)

    @given(st.text(alphabet='a{}:'))
    @example('{}a')
    def test_names_of_an_index_are_in_one_slot(self, namespace: str) -> None:
        with redis.Redis() as client:  # which nothing is asked of
            names = RedisDict(namespace, connection=client, max_entries=1)._upkeep.names
        assert len({key_slot(name) for name in names}) == 1

    def test_there_are_no_more_than_needed(self, make: Callable[..., RedisDict], redis_client: redis.Redis) -> None:
        make()['key'] = make_response(1)
        assert redis_client.keys() == [b'mine:key']
        make(max_entries=5)['key'] = make_response(1)
        assert sorted(redis_client.keys()) == [INDEX + b'sizes', INDEX + b'used', b'mine:key']

    def test_an_index_that_nobody_uses_goes(self, make: Callable[..., RedisDict], redis_client: redis.Redis) -> None:
        storage = make(max_entries=5)
        storage['key'] = make_response(1)
        settle(storage)
        for name in (INDEX + b'sizes', INDEX + b'used'):
            assert 0 < redis_client.ttl(name) <= LIFETIME_SECONDS


class TestRoundTrips:
    def commands(self, client: redis.Redis, function: Callable[[], object]) -> dict[str, int]:
        client.config_resetstat()
        function()
        stats = client.info('commandstats')
        return {k.removeprefix('cmdstat_'): v['calls'] for k, v in stats.items() if not k.startswith('cmdstat_config')}

    def test_a_write_is_one(self, make: Callable[..., RedisDict], redis_client: redis.Redis) -> None:
        """Also one that evicts others"""
        storage = make(max_entries=5)
        storage._upkeep._writes = 0  # so that nothing is looked after in between
        for number in range(20):
            storage[f'{number}'] = make_response(number)
            storage.get(f'{number - 1}')

        def write() -> None:
            for number in range(10):
                storage[f'new-{number}'] = make_response(number)

        seen = self.commands(redis_client, write)
        assert seen['evalsha'] == 10
        assert not {'get', 'scan', 'exists', 'multi', 'eval'} & seen.keys()

    @pytest.mark.parametrize('bounds', [{'max_entries': 300}, {'max_cache_bytes': 300_000}], ids=str)
    def test_some_more_is_evicted_at_once(
        self, bounds: dict[str, Any], make_anywhere: Callable[..., RedisDict]
    ) -> None:
        """So that most writes evict nothing; but no more than one in a hundred"""
        storage, counts = make_anywhere(**bounds), []
        for number in range(400):
            storage[f'{number}'] = make_response(number)
            if number >= 330:
                counts.append(len(storage))
        changes = [after - before for before, after in pairwise(counts)]
        assert min(changes) in {-2, -3}
        assert changes.count(1) >= 2 / 3 * len(changes)

    def test_maintenance_knows_what_a_write_has_evicted(
        self, make_anywhere: Callable[..., RedisDict], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So it evicts nothing more, even if the index is updated later"""
        monkeypatch.setattr(upkeep, 'WRITES_PER_ROUND', 1)
        storage, counts = make_anywhere(max_entries=300), []
        for number in range(320):
            storage[f'{number}'] = make_response(number)
            if number >= 290:
                counts.append(len(storage))
        assert min(after - before for before, after in pairwise(counts)) == -3

    def test_a_hit_is_one(self, make: Callable[..., RedisDict], redis_client: redis.Redis) -> None:
        storage = make(max_entries=5)
        storage['key'] = make_response(1)
        assert self.commands(redis_client, lambda: [storage['key'] for _ in range(100)]) == {'get': 100}

    def test_without_bounds_nothing_is_new(self, make: Callable[..., RedisDict], redis_client: redis.Redis) -> None:
        storage = make()
        assert list(storage) == []
        assert self.commands(redis_client, lambda: storage.update({'key': make_response(1)})) == {'set': 1, 'unlink': 1}
        assert self.commands(redis_client, lambda: storage['key']) == {'get': 1}
        assert self.commands(redis_client, lambda: storage.bulk_delete(['key'])) == {'unlink': 1}

    def test_uses_are_told_at_times(self, make: Callable[..., RedisDict], monkeypatch: pytest.MonkeyPatch) -> None:
        """So that what one process only reads is not evicted by another one"""
        monkeypatch.setattr('requests_cache.backends.eviction.FLUSH_SECONDS', 0.0)
        reader, writer = make(max_entries=3), make(max_entries=3)
        for key in 'abc':
            writer[key] = make_response(1)
        assert reader['a'] is not None
        writer['d'] = make_response(1)
        assert set(writer) == {'a', 'c', 'd'}

    def test_uses_are_told_when_it_is_closed(self, make_anywhere: Callable[..., RedisDict]) -> None:
        reader, writer = make_anywhere(max_entries=3), make_anywhere(max_entries=3)
        for key in 'abc':
            writer[key] = make_response(1)
        assert reader['a'] is not None
        reader.close()
        writer['d'] = make_response(1)
        assert set(writer) == {'a', 'c', 'd'}

    def test_a_server_that_has_lost_its_scripts(
        self, make: Callable[..., RedisDict], redis_client: redis.Redis
    ) -> None:
        storage = make(max_entries=2)
        for key in 'abc':
            storage[key] = make_response(1)
            redis_client.script_flush()
            assert storage.write_if(key, make_response(2), lambda stored: True)
        assert set(storage) == {'b', 'c'}


class TestWhatOthersDo:
    """Redis itself, earlier versions, and sessions without bounds"""

    def test_entries_that_are_there(self, make_anywhere: Callable[..., RedisDict]) -> None:
        """They are counted at once, and evicted until there is no more than there may be"""
        plain = make_anywhere(large_body_bytes=1_000)
        plain.pieces.piece_bytes = 5_000
        for number in range(600):
            plain[f'{number}'] = make_response(number)
        for number in range(20):
            plain[f'large-{number}'] = large(number, 20_000)
        storage = make_anywhere(max_entries=100, max_cache_bytes='200 kB')
        storage['new'] = make_response(1)
        storage._upkeep.close()  # tells the index
        n_bytes, n_entries = accounted(storage)
        assert n_bytes <= 200_000
        assert len(storage) == n_entries <= 100
        assert 'new' in storage

    def test_a_bound_that_is_lowered(self, make_anywhere: Callable[..., RedisDict]) -> None:
        wide = make_anywhere(max_entries=1_000)
        for number in range(3 * MAX_EVICTED):
            wide[f'{number}'] = make_response(number)
        narrow = make_anywhere(max_entries=10)
        narrow['new'] = make_response(1)
        last = 3 * MAX_EVICTED
        assert set(narrow) == {'new', *(f'{number}' for number in range(last - 9, last))}

    def test_entries_whose_time_is_over_make_room(self, make_anywhere: Callable[..., RedisDict]) -> None:
        storage, hour = make_anywhere(max_entries=4, ttl_offset=0), timedelta(hours=1)
        with time_machine.travel(NOW, tick=False) as clock:
            for key in 'abc':
                storage[key] = make_response(1)
            storage['short'] = make_response(1, expires=NOW + hour)
            assert storage['short'] is not None
            storage.connection.delete(storage._name('short'))  # as Redis does
            clock.shift(hour / 2)
            assert accounted(storage)[1] == 4
            clock.shift(hour)
            storage['d'] = make_response(1)
        assert set(storage) == {'a', 'b', 'c', 'd'}

    def test_what_was_deleted_is_forgotten_in_time(self, make_anywhere: Callable[..., RedisDict]) -> None:
        storage, other = make_anywhere(max_entries=100), make_anywhere()
        storage.update({f'{number}': make_response(number) for number in range(60)})
        other.bulk_delete(f'{number}' for number in range(50))
        other['59'] = body(1, 100_000)
        settle(storage)
        n_bytes, n_entries = accounted(storage)
        assert n_entries == 10
        assert n_bytes > 100_000

    def test_it_is_done_a_little_with_each_write(self, make: Callable[..., RedisDict]) -> None:
        storage, other = make(max_entries=100), make()
        storage['a'] = make_response(1)
        other.update({f'{number}': make_response(number) for number in range(200)})
        for number in range(10 * WRITES_PER_ROUND):
            storage['a'] = make_response(number)
        assert len(storage) <= 100

    @pytest.mark.parametrize('lost', ['used', 'sizes', 'ends'])
    def test_an_index_of_which_something_is_lost(self, lost: str, make_anywhere: Callable[..., RedisDict]) -> None:
        """As with a `maxmemory-policy` that deletes any name"""
        storage = make_anywhere(max_entries=5, max_cache_bytes='1 MB')
        for number in range(8):
            storage[f'{number}'] = make_response(number, expires=datetime.now(timezone.utc) + timedelta(hours=1))
        storage.connection.delete(INDEX + lost.encode())
        for number in range(8):
            storage[f'new-{number}'] = make_response(number)
            assert len(storage) <= 5
        assert accounted(storage)[1] == 5

    def test_clearing_leaves_nothing_accounted_for(self, make_anywhere: Callable[..., RedisDict]) -> None:
        storage, other = make_anywhere(max_entries=50), make_anywhere()
        storage.update({f'{number}': make_response(number) for number in range(30)})
        other.bulk_delete(['3', '7'])
        storage.clear()
        assert accounted(storage) == (0, 0)


class TestManyThreads:
    def test_what_is_accounted_for_stays_right(self, make_anywhere: Callable[..., RedisDict]) -> None:
        """Also if several threads evict the same entry"""
        storages, n_threads = [make_anywhere(max_entries=40) for _ in range(2)], 6
        barrier = Barrier(n_threads)

        def write(thread: int) -> None:
            storage = storages[thread % 2]
            barrier.wait()
            for number in range(40):
                storage[f'{thread}-{number}'] = make_response(number)
                storage.get(f'{thread}-{number // 2}')

        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(write, range(n_threads)))
        assert len(storages[0]) <= 40
        for storage in storages:
            storage.close()
        settle(storages[0])
        assert accounted(storages[0])[1] == len(storages[0])


class TestWritingIf:
    def test_what_is_too_large_and_not_expected(self, make_anywhere: Callable[..., RedisDict]) -> None:
        storage = make_anywhere(max_cache_bytes=3 * BODY_BYTES)
        storage['key'] = make_response(1)
        assert not storage.write_if('key', body(1, 4 * BODY_BYTES), lambda stored: stored is None)
        assert facts(storage['key']) == facts(make_response(1))

    @pytest.mark.parametrize('make_value', [make_response, large])
    def test_it_makes_room(self, make_value: Callable[[int], Any], make_anywhere: Callable[..., RedisDict]) -> None:
        storage = make_anywhere(max_entries=3, large_body_bytes=1_000)
        for number in range(8):
            assert storage.write_if(f'{number}', make_value(number), lambda stored: stored is None)
            assert not storage.write_if(f'{number}', make_value(9), lambda stored: stored is None)
            assert storage.write_if(f'{number}', make_value(number), lambda stored: stored is not None)
        assert set(storage) == {'5', '6', '7'}
        assert storage['7'].content == make_value(7).content


# What users of a server may do
USERS = {
    'scripting': '~mine* +@all -@scripting',
    'names': '~mine:* ~mine-redirects ~mine-body:* ~mine-unfinished:* +@all',
    'plain': '~mine:* ~mine-index:* +@all',
    'reader': '~* +@read',
    'enough': '~mine:* ~mine-* +@all -@dangerous -@admin -@scripting +eval +evalsha',
}


@pytest.fixture(scope='module')
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    users = tuple(f'{name} on >secret {rights}' for name, rights in USERS.items())
    with RedisServer(tmp_path_factory.mktemp('redis'), users=users) as server:
        yield server


class TestRestrictedUsers:
    def options(self, server: RedisServer, user: str) -> dict[str, Any]:
        return {'host': HOST, 'port': server.port, 'username': user, 'password': 'secret'}

    @pytest.mark.parametrize('user', sorted(USERS.keys() - {'enough'}))
    def test_nothing_is_stored_without_its_bounds(self, user: str, guarded: RedisServer) -> None:
        guarded.flush()
        storage = RedisDict('mine', max_entries=3, **self.options(guarded, user))
        for write in (
            lambda: storage.update({'key': make_response(1)}),
            lambda: storage.write_if('key', large(1), lambda stored: True),
        ):
            with pytest.raises(
                BackendError, match=r'enforce the bounds of the cache: .*\+eval \+evalsha.*~mine-\*|permissions'
            ):
                write()
        assert guarded.size() <= 2  # an index that accounts for too much
        with guarded.client() as client:
            assert not client.exists('mine:key')
            client.set('mine:key', 'old')
            if user != 'reader':
                assert storage.bulk_delete(['key']) == 1
        storage.close()

    def test_requests_go_on_with_one_warning(
        self, guarded: RedisServer, origin: Origin, caplog: pytest.LogCaptureFixture
    ) -> None:
        guarded.flush()
        origin.add('/page', body=b'x')
        with CachedSession('mine', backend='redis', max_entries=3, **self.options(guarded, 'scripting')) as session:
            for _ in range(3):
                assert not session.get(origin.url('/page')).from_cache
        [record] = [record for record in caplog.records if record.levelname == 'WARNING']
        assert '+eval +evalsha' in record.message
        assert guarded.size() == 0

    def test_who_may_do_what_it_takes(self, guarded: RedisServer) -> None:
        guarded.flush()
        storage = RedisDict('mine', max_entries=3, large_body_bytes=1_000, **self.options(guarded, 'enough'))
        for number in range(6):
            storage[f'{number}'] = (make_response, large)[number % 2](number)
        assert set(storage) == {'3', '4', '5'}
        storage.close()


class TestDeletingWhatHasExpired:
    """Redis does so by itself"""

    @pytest.mark.parametrize(
        ('delete_expired_after', 'expected'), [(0, 1), (1.5, 2), (60, 60), (timedelta(days=2), 172_800)]
    )
    def test_lifetimes(
        self, delete_expired_after: Any, expected: int, make: Callable[..., RedisDict], redis_client: redis.Redis
    ) -> None:
        storage = make(delete_expired_after=delete_expired_after, large_body_bytes=1_000)
        storage['unlimited'] = make_response(1)
        storage['key'] = make_response(1, expires=datetime.now(timezone.utc) + timedelta(hours=1))
        storage['large'] = large(1, expires=datetime.now(timezone.utc) + timedelta(hours=1))
        storage['expired'] = make_response(1, expires=datetime.now(timezone.utc) - timedelta(days=9))
        assert redis_client.ttl('mine:unlimited') == -1
        assert redis_client.ttl('mine:key') == pytest.approx(3600 + expected, abs=3)
        assert redis_client.ttl('mine-body:{mine:large}') == pytest.approx(3600 + expected, abs=3)
        assert redis_client.ttl('mine:expired') == pytest.approx(expected, abs=3)

    def test_errors(self, make: Callable[..., RedisDict]) -> None:
        with pytest.raises(ValueError, match='ttl=False'):
            make(delete_expired_after=60, ttl=False)
        with pytest.raises(ValueError, match='ttl_offset=5'):
            make(delete_expired_after=60, ttl_offset=5)
        assert make(delete_expired_after=60, ttl_offset=60).ttl_offset == 60
        assert make(delete_expired_after=60).ttl_offset == 60
        assert make(delete_expired_after=None).ttl_offset == DEFAULT_TTL_OFFSET
        assert make(delete_expired_after=-1, ttl=False).ttl is False


class TestThroughACache:
    def test_settings_reach_the_responses_only(self, make_redis_cache: Any) -> None:
        cache = make_redis_cache('mine', max_entries=3, max_cache_bytes='1 MB', delete_expired_after=60)
        assert cache.responses.bounds == (1_000_000, 3, None)
        assert cache.redirects.bounds is None
        assert cache.responses.ttl_offset == 60
        with pytest.raises(ValueError, match='does not support bounds'):
            RedisHashDict('mine', 'other', max_entries=3)

    def test_redirects_to_nothing_go(self, make_redis_cache: Any) -> None:
        cache = make_redis_cache('mine', max_entries=3)
        for number in range(60):
            save_chain(cache, f'{number}.example.com')
        assert len(cache.responses) == 3
        assert len(cache.redirects) < 60

    def test_evictions_are_told(self, make_redis_session: Any, origin: Origin) -> None:
        seen: list[str] = []
        session = make_redis_session('mine', max_entries=2)
        session.subscribe(lambda event: seen.append(event.kind))
        for number in range(6):
            origin.add(f'/{number}', body=b'x')
            session.get(origin.url(f'/{number}'))
        assert seen.count('evicted') == 4

    def test_a_response_that_is_too_large(self, make_redis_session: Any, origin: Origin) -> None:
        origin.add('/large', body=bytes(300_000))
        origin.add('/small', body=b'small')
        session = make_redis_session('mine', max_cache_bytes='200 kB')
        for stream in (False, True):
            for _ in range(2):
                response = session.get(origin.url('/large'), stream=stream)
                assert len(response.content) == 300_000
                assert not response.from_cache
                session.get(origin.url('/small'))
        assert session.get(origin.url('/small')).from_cache
        assert len(session.cache.responses) == 1

    def test_copies_go_on(self, make_anywhere: Callable[..., RedisDict]) -> None:
        storage = make_anywhere(max_entries=3)
        storage['a'] = make_response(1)
        assert storage['a'] is not None
        again = pickle.loads(pickle.dumps(storage))
        for key in 'bcd':
            again[key] = make_response(1)
        assert set(storage) == {'b', 'c', 'd'}
        again.close()


def test_a_cache_in_front_of_a_client_that_was_passed_in(redis_client: redis.Redis) -> None:
    cache = RedisCache('mine', redis_client, max_entries=2)
    for number in range(4):
        cache.save_response(make_response(number), f'{number}')
    assert set(cache.responses) == {'2', '3'}
