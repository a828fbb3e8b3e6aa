"""Leases in Redis: names and lifetimes, round trips, users that may not do everything, replies that are lost"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from support.redis_server import HOST, RedisServer
from support.tcp_proxy import TcpProxy

from requests_cache import CachedSession
from requests_cache.backends.redis import RedisDict
from requests_cache.backends.redis.leases import LEASE_MILLISECONDS
from requests_cache.engine.leasing import Lease, take
from requests_cache.exceptions import BackendError, BackendUnavailableError
from requests_cache.testing.origin import Origin

pytest_plugins = ['support.redis_fixtures']

LEASE = b'mine-lease:{mine:key}'
# What users of a server may do, and whether they have leases
USERS = {
    'all': ('~mine* +@all', True),
    'scripting': ('~mine* +@all -@scripting -@dangerous -@admin', True),
    'multi': ('~mine* +@all -multi', True),
    'watch': ('~mine* +@all -watch', True),
    'minimal': ('~mine* +get +set +unlink', True),
    'names': ('~mine:* ~mine-redirects +@all', False),
    'reader': ('~* +@read', False),
}


@pytest.fixture
def storage(redis_client: redis.Redis) -> RedisDict:
    return RedisDict('mine', connection=redis_client)


class TestNames:
    def test_a_lease_lasts_for_a_minute(self, storage: RedisDict, redis_client: redis.Redis) -> None:
        old = None
        for new in ('held:1:0', 'held:1:1', 'stored:1'):
            assert storage.leases.swap('key', old, new)
            assert redis_client.keys() == [LEASE]
            assert redis_client.pttl(LEASE) == pytest.approx(LEASE_MILLISECONDS, abs=5_000)
            redis_client.pexpire(LEASE, 10_000)
            old = new
        assert storage.leases.swap('key', old, None)
        assert redis_client.keys() == []

    def test_no_cache_takes_one_for_an_entry(self, redis_client: redis.Redis) -> None:
        namespaces = ('', 'a', 'a-lease', 'a-body', '{a}', 'a{', 'a}b', '*')
        keys = ('key', '{x}', '}', 'a:b', 'x-redirects', 'ä\ud800')
        storages = {namespace: RedisDict(namespace, connection=redis_client) for namespace in namespaces}
        for namespace, storage in storages.items():
            for key in keys:
                assert storage.leases.swap(key, None, f'held:{namespace!a} {key!a}:0')
        assert redis_client.dbsize() == len(namespaces) * len(keys)
        for namespace, storage in storages.items():
            assert list(storage) == []
            assert storage.bulk_delete(keys) == 0
            storage.clear()
            for key in keys:
                assert storage.leases.read(key) == f'held:{namespace!a} {key!a}:0'

    def test_a_value_of_another_type(self, storage: RedisDict, redis_client: redis.Redis) -> None:
        redis_client.rpush(LEASE, 'theirs')
        with pytest.raises(BackendError):
            storage.leases.read('key')
        assert not storage.leases.swap('key', None, 'held:1:0')
        redis_client.set(LEASE, b'\xff')
        assert storage.leases.read('key') == '\ufffd'
        assert not storage.leases.swap('key', None, 'held:1:0')


class TestRoundTrips:
    def commands(self, client: redis.Redis, function: Callable[[], object]) -> dict[str, int]:
        client.config_resetstat()
        function()
        stats = client.info('commandstats')
        return {k.removeprefix('cmdstat_'): v['calls'] for k, v in stats.items() if not k.startswith('cmdstat_config')}

    def test_commands(self, storage: RedisDict, redis_client: redis.Redis) -> None:
        leases = storage.leases
        assert self.commands(redis_client, lambda: leases.swap('key', None, 'held:1:0')) == {'set': 1}
        assert self.commands(redis_client, lambda: leases.read('key')) == {'get': 1}
        leases.swap('key', 'held:1:0', 'held:1:1')
        renewed = self.commands(redis_client, lambda: leases.swap('key', 'held:1:1', 'held:1:2'))
        assert renewed == {'watch': 1, 'get': 1, 'multi': 1, 'set': 1, 'exec': 1}


@pytest.fixture(scope='module')
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    users = tuple(f'{name} on >secret {rights}' for name, (rights, _) in USERS.items())
    with RedisServer(tmp_path_factory.mktemp('redis'), users=users) as server:
        yield server


class TestRestrictedUsers:
    @pytest.mark.parametrize('user', USERS)
    def test_they_get_what_they_are_permitted(self, user: str, guarded: RedisServer) -> None:
        guarded.flush()
        storage = RedisDict('mine', host=HOST, port=guarded.port, username=user, password='secret')
        leases = storage.leases
        if USERS[user][1]:
            assert leases.swap('key', None, 'held:1:0')
            assert not leases.swap('key', 'held:2:0', 'held:2:1')
            assert leases.swap('key', 'held:1:0', 'held:1:1')
            assert leases.read('key') == 'held:1:1'
            assert not leases.swap('key', 'held:1:0', None)
            assert leases.swap('key', 'held:1:1', None)
        else:
            with pytest.raises(BackendError):
                leases.swap('key', None, 'held:1:0')
        assert guarded.size() == 0
        storage.close()

    @pytest.mark.parametrize('user', USERS)
    def test_requests_go_on(self, user: str, guarded: RedisServer, origin: Origin) -> None:
        guarded.flush()
        origin.add('/page', body=b'x')
        options = {'host': HOST, 'port': guarded.port, 'username': user, 'password': 'secret'}
        with CachedSession('mine', backend='redis', single_flight='shared', **options) as session:
            assert session.get(origin.url('/page')).content == b'x'
            assert session.get(origin.url('/page')).from_cache == (user != 'reader')


class TestConnections:
    def test_a_server_that_is_away(self, redis_server: RedisServer) -> None:
        with TcpProxy(redis_server.port) as proxy:
            port = proxy.port
        leases = RedisDict('mine', port=port).leases
        for action in (lambda: leases.read('key'), lambda: leases.swap('key', None, 'x')):
            with pytest.raises(BackendUnavailableError):
                action()

    def test_a_reply_that_is_lost(self, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the driver has tried again is ours"""
        storage = RedisDict('mine', port=redis_server.port)
        client = storage.connection
        send = client.execute_command

        def send_twice(*args: Any, **options: Any) -> Any:
            if args[0] == 'SET':
                send(*args, **options)
            return send(*args, **options)

        monkeypatch.setattr(client, 'execute_command', send_twice)
        lease = take(storage.leases, 'key')
        assert isinstance(lease, Lease)
        assert storage.leases.read('key') == lease.value
        storage.close()
