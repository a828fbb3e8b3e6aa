"""Redis Cluster: names on several servers"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from threading import Barrier
from typing import Any

import pytest
import redis
import redis.asyncio
from support.redis_server import HOST, RedisClusterServers, wait_until

from requests_cache import CachedSession
from requests_cache.backends.redis import RedisCache, RedisDict
from requests_cache.testing.rules.redirects import save_chain
from requests_cache.testing.values import facts, large, make_response

pytest_plugins = ['support.redis_fixtures']


def in_an_hour() -> datetime:
    return datetime.now(timezone.utc) + timedelta(hours=1)


class TestCluster:
    @pytest.fixture
    def ways_in(self, redis_cluster: RedisClusterServers) -> dict[str, dict[str, Any]]:
        return {
            'host': {'host': HOST, 'port': redis_cluster.port},
            'url': {'url': f'redis://{HOST}:{redis_cluster.port}'},
            'nodes': {
                'startup_nodes': [redis.cluster.ClusterNode(HOST, server.port) for server in redis_cluster.servers]
            },
        }

    @pytest.mark.parametrize('way', ['host', 'url', 'nodes'])
    def test_entries_are_on_all_servers(self, way: str, ways_in: Any, redis_cluster: RedisClusterServers) -> None:
        cache = RedisCache('mine', cluster=True, **ways_in[way])
        for i in range(200):
            cache.save_response(make_response(i), str(i), in_an_hour() if i % 2 else None)
        cache.redirects.update({str(i): '1' for i in range(200)})
        sizes = redis_cluster.sizes()
        assert sum(sizes) == 201
        assert min(sizes) > 20
        assert sorted(int(k) for k, r in cache.responses.scan() if r.content == make_response(int(k)).content) == list(
            range(200)
        )
        assert cache.responses.bulk_delete(str(i) for i in range(100)) == 100
        assert len(cache.responses) == 100
        assert cache.delete('1', '101', '102') == 2
        cache.clear()
        assert redis_cluster.sizes() == [0, 0, 0]
        cache.close()

    def test_sessions(self, redis_cluster: RedisClusterServers, origin: Any) -> None:
        origin.add('/start', status=302, headers=[('Location', '/end')])
        origin.add('/end', body=b'end')
        for expected in (False, True):
            with CachedSession('mine', backend='redis', cluster=True, host=HOST, port=redis_cluster.port) as session:
                assert session.get(origin.url('/start')).from_cache is expected

    def test_redirects_are_kept_with_an_entry_that_is_kept_longer(self, redis_cluster: RedisClusterServers) -> None:
        cache = RedisCache('mine', cluster=True, host=HOST, port=redis_cluster.port)
        for number in range(10):
            save_chain(cache, host=f'h{number}', expires=in_an_hour())
        with redis_cluster.client() as client:
            for seconds in (10_000, 20_000):
                cache.reset_expiration(seconds)
                kept = max(client.ttl(f'mine:{key}') for key in cache.responses)
                assert client.ttl('mine-redirects') >= kept > seconds
        assert len(cache.redirects) == 20
        cache.clear()
        cache.close()

    @pytest.mark.parametrize('decode_responses', [False, True])
    def test_a_name_that_has_moved(self, decode_responses: bool, redis_cluster: RedisClusterServers) -> None:
        with redis_cluster.client(decode_responses=decode_responses) as client:
            storage = RedisDict('mine', connection=client)
            storage.update({str(i): make_response(i) for i in range(30)})
            source = client.get_node_from_key('mine:7')
            target = next(s for s in redis_cluster.servers if s.port != source.port)
            with self.moved(redis_cluster, client.keyslot('mine:7'), source.port, target.port):
                assert len(list(storage.scan())) == len(storage) == 30
                assert facts(storage['7']) == facts(make_response(7))
            assert dict(storage.scan())['7'].content == make_response(7).content
            assert storage.bulk_delete(map(str, range(30))) == 30

    @pytest.mark.parametrize('make', [make_response, large])
    @pytest.mark.parametrize('decode_responses', [False, True])
    def test_writing_under_a_name_that_has_moved(
        self, make: Any, decode_responses: bool, redis_cluster: RedisClusterServers
    ) -> None:
        with redis_cluster.client(decode_responses=decode_responses) as client:
            storage = RedisDict('mine', connection=client, large_body_bytes=1_000)
            storage.pieces.piece_bytes = 500
            writes: list[Callable[[int], Any]] = [
                lambda number: storage.__setitem__('7', make(number)),
                lambda number: storage.write_if('7', make(number), lambda stored: stored is not None),
            ]
            for number, write in enumerate(writes, start=1):
                storage['7'] = make(0)
                source = client.get_node_from_key('mine:7')
                target = next(s for s in redis_cluster.servers if s.port != source.port)
                with self.moved(redis_cluster, client.keyslot('mine:7'), source.port, target.port):
                    write(number)
                    assert storage['7'].content == make(number).content
                assert storage['7'].content == make(number).content
            assert list(storage) == ['7']
            del storage['7']
        assert redis_cluster.sizes() == [0, 0, 0]

    @contextmanager
    def moved(self, redis_cluster: RedisClusterServers, slot: int, source: int, target: int) -> Iterator[None]:
        """One slot is on another server, which no client knows yet; then it comes back"""

        def epochs(connected: redis.Redis) -> frozenset[tuple[bytes, bytes]]:
            lines = connected.execute_command('CLUSTER', 'NODES').splitlines()
            return frozenset((line.split()[0], line.split()[6]) for line in lines)

        def move(source: int, target: int) -> None:
            clients = {server.port: server.client() for server in redis_cluster.servers}
            ids = {port: connected.execute_command('CLUSTER', 'MYID') for port, connected in clients.items()}
            clients[target].execute_command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[source])
            clients[source].execute_command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[target])
            for name in clients[source].execute_command('CLUSTER', 'GETKEYSINSLOT', slot, 100):
                clients[source].migrate(HOST, target, name, 0, 5000)
            for connected in (clients[target], clients[source], *clients.values()):
                connected.execute_command('CLUSTER', 'SETSLOT', slot, 'NODE', ids[target])
            # Servers that do not know of the move yet would win against the next one
            wait_until(lambda: len(set(map(epochs, clients.values()))) == 1, 'all servers to know of the move')
            for connected in clients.values():
                connected.close()

        move(source, target)
        try:
            yield
        finally:
            move(target, source)

    def test_a_connection_that_breaks_once(
        self, redis_cluster: RedisClusterServers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        execute = redis.client.Pipeline.execute
        broken = iter([True])

        def break_once(pipeline: Any, **kwargs: Any) -> Any:
            if next(broken, False):
                raise redis.ConnectionError('broken')
            return execute(pipeline, **kwargs)

        with redis_cluster.client() as client:
            storage = RedisDict('mine', connection=client)
            storage.update({str(i): make_response(i) for i in range(30)})
            monkeypatch.setattr(redis.client.Pipeline, 'execute', break_once)
            assert storage.bulk_delete(map(str, range(30))) == 30
            assert next(broken, None) is None

    def test_a_value_of_another_type(self, redis_cluster: RedisClusterServers) -> None:
        with redis_cluster.client() as client:
            storage = RedisDict('mine', connection=client)
            client.rpush('mine:key', 'not an entry')
            assert storage['key'] is None
            assert list(storage) == []
            storage['key'] = make_response(1)
            assert [facts(r) for r in storage.values()] == [facts(make_response(1))]

    def test_threads_that_are_the_first_to_use_it(self, redis_cluster: RedisClusterServers) -> None:
        def save(number: int) -> None:
            barrier.wait()
            cache.save_response(make_response(number), str(number))

        cache = RedisCache('mine', cluster=True, host=HOST, port=redis_cluster.port)
        barrier = Barrier(8)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(save, range(8)))
        assert sorted(cache.responses) == list('01234567')
        cache.close()

    def test_there_are_no_databases(self) -> None:
        with pytest.raises(ValueError, match='db'):
            RedisCache('mine', cluster=True, db=1)
        RedisCache('mine', cluster=True, db=0)
