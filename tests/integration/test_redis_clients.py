"""Clients for Redis: passed in, made from keywords, replaced by others"""

from __future__ import annotations

import copy
import pickle
import socket
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest import mock

import fakeredis
import pytest
import redis
import redis.asyncio
from redis.sentinel import Sentinel
from support.redis_server import HOST, RedisServer, free_port, wait_until
from support.tcp_proxy import TcpProxy
from support.tls import self_signed_certificate

from requests_cache import BaseCache, CachedSession, init_backend
from requests_cache.backends import redis as module
from requests_cache.backends.redis import DEFAULT_TTL_OFFSET, RedisCache, RedisDict, RedisHashDict
from requests_cache.exceptions import BackendUnavailableError, MissingDependencyError
from requests_cache.testing.values import facts, make_response

pytest_plugins = ['support.redis_fixtures']


def in_an_hour() -> datetime:
    return datetime.now(timezone.utc) + timedelta(hours=1)


def names_of_clients(client: redis.Redis) -> list[str]:
    return [c['name'] for c in client.client_list()]


class TestClients:
    def test_a_client_that_was_passed_in_stays_open(self, redis_server: RedisServer, redis_client: redis.Redis) -> None:
        with redis_server.client(client_name='theirs') as theirs:
            cache = RedisCache('mine', connection=theirs)
            cache.responses['key'] = make_response(1)
            assert cache.responses.connection is cache.redirects.connection is theirs
            cache.close()
            with CachedSession(backend=RedisCache('mine', connection=theirs)) as session:
                assert session.cache.contains('key')
            assert names_of_clients(redis_client).count('theirs') == 1
            assert facts(cache.responses['key']) == facts(make_response(1))

    def test_a_client_of_ours_is_closed_and_opens_again(self, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        cache = make_redis_cache('mine', client_name='ours')
        cache.responses['key'] = make_response(1)
        assert names_of_clients(redis_client).count('ours') == 1
        cache.close()
        cache.close()
        wait_until(lambda: 'ours' not in names_of_clients(redis_client), 'the connection to be closed')
        assert cache.responses['key'].content == make_response(1).content
        assert names_of_clients(redis_client).count('ours') == 1

    def test_a_pool_that_was_passed_in_stays_open(self, redis_server: RedisServer, redis_client: redis.Redis) -> None:
        pool = redis.ConnectionPool(host=HOST, port=redis_server.port, client_name='pool')
        cache = RedisCache('mine', connection_pool=pool)
        cache.responses['key'] = make_response(1)
        cache.close()
        assert names_of_clients(redis_client).count('pool') == 1
        pool.disconnect()

    @pytest.mark.parametrize('protocol', [2, 3])
    def test_a_client_that_decodes(self, protocol: int, redis_server: RedisServer, make_redis_cache: Any) -> None:
        with redis_server.client(decode_responses=True, protocol=protocol) as theirs:
            theirs.set('own', 'text')
            cache = RedisCache('mine', connection=theirs)
            cache.responses['key'] = make_response(1)
            cache.redirects['from'] = 'key'
            theirs.rpush('mine:list', 'not an entry')
            assert facts(cache.get_response('from')) == facts(make_response(1))
            assert cache.responses['list'] is None
            assert [facts(r) for r in cache.responses.values()] == [facts(make_response(1))]
            assert dict(cache.redirects.items()) == {'from': 'key'}
            assert cache.delete('key') == 1
            assert len(cache.redirects) == 0
            assert theirs.get('own') == 'text'

    def test_another_client_may_be_set(self, redis_client: redis.Redis) -> None:
        storage = RedisDict('mine', host=HOST, port=free_port())
        storage.connection = redis_client
        storage['key'] = make_response(1)
        assert redis_client.exists('mine:key')

    def test_clients_for_asyncio_are_refused(self) -> None:
        with pytest.raises(TypeError, match='asyncio'):
            RedisCache('mine', connection=redis.asyncio.Redis())

    def test_a_client_of_a_sentinel(self, redis_server: RedisServer, tmp_path: Path) -> None:
        settings = (f'sentinel monitor main {HOST} {redis_server.port} 1',)
        with RedisServer(tmp_path, settings=settings, arguments=('--sentinel',)) as watcher:
            sentinel = Sentinel([(HOST, watcher.port)], socket_timeout=5)
            with sentinel.master_for('main') as theirs:
                cache = RedisCache('mine', connection=theirs)
                cache.responses['key'] = make_response(1)
                assert facts(cache.responses['key']) == facts(make_response(1))
                assert list(cache.responses) == ['key']
                assert cache.delete('key') == 1
            for connected in sentinel.sentinels:
                connected.close()

    def test_a_copy_has_a_client_of_its_own(self, make_redis_cache: Any) -> None:
        one = make_redis_cache('mine', filter_fn=lambda response: True).responses
        for other in (pickle.loads(pickle.dumps(one._connection)), copy.deepcopy(one._connection)):
            assert other.client is not one.connection
            assert other.client.ping()
            other.close()

    def test_a_client_that_was_passed_in_cannot_be_copied(self, redis_client: redis.Redis) -> None:
        storage = RedisDict('mine', connection=redis_client)
        with pytest.raises(TypeError, match='was passed'):
            copy.deepcopy(storage)


class TestKeywords:
    def test_the_sample(self, tmp_path: Path, origin: Any) -> None:
        origin.add('/page', body=b'hello')
        with RedisServer(tmp_path, password='secret') as guarded, guarded.client(db=1) as client:
            with CachedSession(
                cache_name='api_cache', backend='redis', host=HOST, port=guarded.port, db=1, password='secret'
            ) as session:
                session.get(origin.url('/page'))
                assert session.get(origin.url('/page')).from_cache
            assert [name.split(b':')[0] for name in client.scan_iter()] == [b'api_cache']

    @pytest.mark.parametrize('form', ['redis://{host}:{port}/3', 'redis://{host}:{port}?db=3', 'unix://{path}?db=3'])
    def test_by_url(self, form: str, redis_server: RedisServer, make_redis_cache: Any) -> None:
        url = form.format(host=HOST, port=redis_server.port, path=redis_server.socket_path)
        cache = make_redis_cache('mine', url=url, port=1, client_name='by-url')
        cache.responses['key'] = make_response(1)
        with redis_server.client(db=3) as client:
            assert client.keys() == [b'mine:key']
            assert 'by-url' in names_of_clients(client)

    def test_user_and_password_in_the_url(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path, users=('default off', 'me on >p%40ss~w0rd/ ~* +@all')) as guarded:
            cache = RedisCache('mine', url=f'redis://me:p%2540ss~w0rd%2F@{HOST}:{guarded.port}')
            cache.responses['key'] = make_response(1)
            assert len(cache.responses) == 1
            cache.close()

    @pytest.mark.parametrize('by_url', [True, False])
    def test_tls(self, by_url: bool, redis_server: RedisServer, tmp_path: Path) -> None:
        certificate = self_signed_certificate(tmp_path)
        with TcpProxy(redis_server.port, certificate.context) as proxy:
            where = (
                {'url': f'rediss://{HOST}:{proxy.port}'} if by_url else {'ssl': True, 'port': proxy.port, 'host': HOST}
            )
            cache = RedisCache('mine', **where, ssl_ca_certs=str(certificate.path))
            cache.responses['key'] = make_response(1)
            assert facts(cache.responses['key']) == facts(make_response(1))
            cache.close()
            distrusting = RedisCache('mine', **where)
            with pytest.raises(BackendUnavailableError, match='certificate'):
                distrusting.responses['key']
            distrusting.close()

    def test_what_is_no_url(self) -> None:
        with pytest.raises(ValueError, match='scheme'):
            RedisCache('mine', url='localhost:6379')

    def test_what_is_given_reaches_the_client(self) -> None:
        given = {'socket_timeout': None, 'socket_connect_timeout': 1.5, 'health_check_interval': 7, 'username': 'me'}
        cache = RedisCache('mine', **given, ssl=True, ssl_ca_certs='ca.pem', expire_after=5, no_such_option=1)
        connected = cache.responses.connection.connection_pool
        assert given.items() <= connected.connection_kwargs.items()
        assert connected.connection_class is redis.SSLConnection
        assert connected.connection_kwargs['ssl_ca_certs'] == 'ca.pem'

    def test_waiting_has_an_end_by_default(self) -> None:
        connected = RedisCache('mine').responses.connection.connection_pool.connection_kwargs
        assert connected['socket_timeout'] == connected['socket_connect_timeout'] == 5
        assert connected['retry'].get_retries() <= 1

    def test_a_retry_that_is_given_is_taken(self) -> None:
        retry = redis.retry.Retry(redis.backoff.NoBackoff(), 4)
        assert RedisCache('mine', retry=retry).responses.connection.get_retry().get_retries() == 4

    def test_owned_keywords(self) -> None:
        owned = RedisCache.owned_keywords()
        assert {'url', 'cluster', 'host', 'ssl_ca_certs', 'startup_nodes', 'ttl_offset', 'namespace'} <= owned

    @pytest.mark.parametrize('name', ['namespace', 'cache_name'])
    def test_the_name_of_the_cache(self, name: str, redis_client: redis.Redis) -> None:
        cache = init_backend(**{'cache_name': None, 'backend': 'redis', 'connection': redis_client, name: 'mine'})
        assert str(cache) == '<RedisCache(name=mine)>'
        cache.responses['key'] = make_response(1)
        assert redis_client.keys() == [b'mine:key']

    @pytest.mark.parametrize('options', [{}, {'cluster': True}, {'single_connection_client': True}, {'protocol': 3}])
    def test_making_a_cache_contacts_nobody(self, options: dict[str, Any]) -> None:
        with socket.create_server((HOST, 0)) as listener:
            listener.setblocking(False)
            RedisCache('mine', host=HOST, port=listener.getsockname()[1], **options)
            with pytest.raises(BlockingIOError):
                listener.accept()

    def test_one_connection(self, make_redis_cache: Any) -> None:
        cache = make_redis_cache('mine', single_connection_client=True)
        cache.responses['key'] = make_response(1)
        cache.close()
        assert list(cache.responses) == ['key']


class TestDriver:
    def test_it_is_imported_when_it_is_used(self) -> None:
        code = 'import sys, requests_cache.backends.redis as r; r.RedisCache, r.RedisDict; exit("redis" in sys.modules)'
        subprocess.run([sys.executable, '-c', code], check=True)

    def test_classes_are_there_without_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, 'redis', None)
        assert issubclass(RedisCache, BaseCache)
        for attempt in (RedisCache, RedisHashDict, lambda: RedisDict('mine'), lambda: CachedSession(backend='redis')):
            with pytest.raises(MissingDependencyError, match=r'requests-cache\[redis\]') as caught:
                attempt()
            assert isinstance(caught.value, ImportError)
        assert not hasattr(module, 'StrictRedis')
        assert {'namespace', 'url', 'cluster', 'ttl'} <= RedisCache.owned_keywords()

    def test_its_class_may_be_replaced(self, redis_client: redis.Redis) -> None:
        assert module.StrictRedis is redis.StrictRedis
        with mock.patch('requests_cache.backends.redis.StrictRedis') as replaced:
            replaced.return_value.get.return_value = None
            storage = RedisDict('mine', host='h', no_such_option=1, username=None)
            given = replaced.call_args.kwargs
            assert {'host': 'h', 'username': None}.items() <= given.items()
            assert 'no_such_option' not in given
            storage['never'] = make_response(1)
            storage['key'] = make_response(1, expires=in_an_hour())
            assert storage.get('missing') is None
        pipeline = replaced.return_value.pipeline.return_value.__enter__.return_value
        (never, _), _ = pipeline.set.call_args
        (name, seconds, value), _ = pipeline.setex.call_args
        assert (never, name) == (b'mine:never', b'mine:key')
        assert seconds == pytest.approx(3600 + DEFAULT_TTL_OFFSET, abs=5)
        assert isinstance(value, bytes)
        assert module.StrictRedis is redis.StrictRedis

    def test_fakeredis_in_its_place(self, monkeypatch: pytest.MonkeyPatch, origin: Any) -> None:
        origin.add('/page', body=b'hello')
        monkeypatch.setattr(module, 'StrictRedis', fakeredis.FakeStrictRedis)
        with CachedSession('mine', backend='redis', server=fakeredis.FakeServer()) as session:
            session.get(origin.url('/page'))
            assert session.get(origin.url('/page')).from_cache
