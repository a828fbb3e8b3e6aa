"""Redis as its users see it: names and lifetimes on the server, round trips, sessions"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from unittest import mock

import pytest
import redis
import redis.asyncio
from support.redis_server import RedisServer

from requests_cache import BaseCache, CachedSession
from requests_cache.backends.redis import DEFAULT_TTL_OFFSET, RedisCache, RedisDict, RedisHashDict
from requests_cache.backends.redis.commands import unique
from requests_cache.backends.redis.storage import SLACK_SECONDS
from requests_cache.testing.rules.redirects import save_chain
from requests_cache.testing.values import facts, make_response

pytest_plugins = ['support.redis_fixtures']


def in_an_hour() -> datetime:
    return datetime.now(timezone.utc) + timedelta(hours=1)


class TestNames:
    NAMESPACES = ('a', 'a:b', 'a:b:c', 'a*', 'a?', '[ab]', 'a\\', 'a^', '*', '', ':', 'a-redirects', 'ä\ud800', 'a:%')

    def test_names_are_those_of_1_3(self, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        cache = make_redis_cache('my_cache')
        cache.responses['0a1b2c3d4e5f6789'] = make_response(1)
        cache.redirects['fedcba9876543210'] = '0a1b2c3d4e5f6789'
        assert sorted(redis_client.keys()) == [b'my_cache-redirects', b'my_cache:0a1b2c3d4e5f6789']
        assert redis_client.hgetall('my_cache-redirects') == {b'fedcba9876543210': b'0a1b2c3d4e5f6789'}
        RedisHashDict('my_cache', 'other', connection=redis_client)['key'] = 'value'
        assert redis_client.hgetall('my_cache-other') == {b'key': b'value'}

    @pytest.mark.parametrize('namespace', NAMESPACES, ids=ascii)
    def test_caches_do_not_touch_each_other(self, namespace: str, make_redis_cache: Any) -> None:
        keys = ['0a1b', 'b:0a1b', 'b', ':', '%3A', '', '-redirects', 'b-redirects', '%b%2Dredirects', 'c:-redirects']
        caches = {name: make_redis_cache(name) for name in self.NAMESPACES}
        for number, cache in enumerate(caches.values()):
            for key in keys:
                cache.responses[key] = make_response(number)
                cache.redirects[key] = str(number)
        for number, cache in enumerate(caches.values()):
            assert sorted(cache.responses) == sorted(cache.redirects) == sorted(keys)
            assert {r.headers['X-Number'] for r in cache.responses.values()} == {str(number)}
            assert set(cache.redirects.values()) == {str(number)}
        cache = caches.pop(namespace)
        assert cache.responses.bulk_delete(['b', 'b:0a1b', 'b-redirects']) == 3
        cache.clear()
        assert len(cache.responses) == len(cache.redirects) == 0
        for other in caches.values():
            assert len(other.responses) == len(other.redirects) == len(keys)

    def test_what_others_keep_stays(self, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        cache = make_redis_cache('mine')
        cache.responses['key'] = make_response(1)
        foreign = {
            'min': b'1',
            'mine': b'2',
            'mine-': b'3',
            'mine:sub:key': b'4',
            b'mine:\xff': b'5',
            'other:mine:key': b'6',
        }
        redis_client.mset(foreign)
        redis_client.rpush('mine:list', 'a', 'b')
        redis_client.hset('mine:other-redirects', 'a', 'b')
        assert list(cache.responses) == ['key']
        assert len(cache.responses) == 1
        cache.delete(expired=True, invalid=True, older_than=-1)
        cache.clear()
        assert set(redis_client.keys()) == {k.encode() if isinstance(k, str) else k for k in foreign} | {
            b'mine:list',
            b'mine:other-redirects',
        }

    def test_a_value_of_another_type(self, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        cache = make_redis_cache('mine')
        redis_client.rpush('mine:key', 'not', 'an', 'entry')
        redis_client.set('mine-redirects', 'not a hash')
        assert cache.responses['key'] is None
        assert cache.get_response('key') is None
        assert len(cache.redirects) == 0
        assert (list(cache.redirects), 'key' in cache.redirects, cache.redirects.get('key')) == ([], False, None)
        assert cache.redirects.bulk_delete(['key']) == 0
        cache.responses['key'] = make_response(1)
        cache.redirects['from'] = 'key'
        assert facts(cache.get_response('from')) == facts(make_response(1))

    def test_deleting_a_value_of_another_type_by_its_key(
        self, redis_client: redis.Redis, make_redis_cache: Any
    ) -> None:
        redis_client.rpush('mine:key', 'not an entry')
        assert make_redis_cache('mine').delete('key') == 1
        assert redis_client.keys() == []

    def test_each_key_once_though_the_server_repeats_itself(self, redis_server: RedisServer) -> None:
        class Repeating(redis.Redis):
            def scan_iter(self, *args: Any, **kwargs: Any) -> Any:
                found = list(super().scan_iter(*args, **kwargs))
                return iter([*found, *found])

        with Repeating(port=redis_server.port) as repeating:
            storage = RedisDict('mine', connection=repeating)
            storage.update({str(i): make_response(i) for i in range(10)})
            assert len(storage) == 10
            assert len(list(storage.scan())) == 10

    def test_a_server_that_does_not_select_by_type(self, redis_server: RedisServer) -> None:
        class Old(redis.Redis):
            def scan(self, *args: Any, _type: Any = None, **kwargs: Any) -> Any:
                if _type:
                    raise redis.ResponseError('syntax error')
                return super().scan(*args, **kwargs)

        with Old(port=redis_server.port) as old:
            cache = RedisCache('mine', connection=old)
            cache.responses['key'] = make_response(1)
            old.rpush('mine:list', 'not an entry')
            assert sorted(cache.responses) == ['key', 'list']
            assert [key for key, _ in cache.responses.scan()] == ['key']

    def test_what_is_remembered_while_scanning_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr('requests_cache.backends.redis.commands.REMEMBERED_NAMES', 3)
        assert list(unique([1, 2, 1, 3, 2, 3, 4, 1, 4], key=int)) == [1, 2, 3, 4, 4]


class TestLifetimes:
    @pytest.mark.parametrize(
        ('options', 'expires_in', 'expected'),
        [
            ({}, None, -1),
            ({}, 60, 60 + DEFAULT_TTL_OFFSET),
            ({}, -60, DEFAULT_TTL_OFFSET - 60),
            ({}, -10 * DEFAULT_TTL_OFFSET, DEFAULT_TTL_OFFSET),
            ({'ttl_offset': 10}, 60, 70),
            ({'ttl_offset': 0}, -60, 1),
            ({'ttl_offset': -100}, 60, 1),
            ({'ttl': False}, 60, -1),
            ({'ttl': False}, -60, -1),
        ],
    )
    def test_entries_are_kept_until_some_time_after_they_expire(
        self,
        options: dict[str, Any],
        expires_in: int | None,
        expected: int,
        redis_client: redis.Redis,
        make_redis_cache: Any,
    ) -> None:
        cache = make_redis_cache('mine', **options)
        expires = expires_in and datetime.now(timezone.utc) + timedelta(seconds=expires_in)
        cache.save_response(make_response(1), 'key', expires)
        assert redis_client.ttl('mine:key') == pytest.approx(expected, abs=5 if expected > 5 else 0)

    def test_a_new_expiration_is_a_new_lifetime(self, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        cache = make_redis_cache('mine')
        cache.save_response(make_response(1), 'key', in_an_hour())
        cache.reset_expiration()
        assert redis_client.ttl('mine:key') == -1
        cache.reset_expiration(100)
        assert redis_client.ttl('mine:key') == pytest.approx(100 + DEFAULT_TTL_OFFSET, abs=5)

    def test_redirects_are_not_removed(self, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        cache = make_redis_cache('mine')
        cache.redirects['a'] = 'b'
        assert redis_client.ttl('mine-redirects') == -1

    def test_far_dates(self, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        cache = make_redis_cache('mine')
        cache.save_response(make_response(1), 'key', datetime.max.replace(tzinfo=timezone.utc))
        assert redis_client.ttl('mine:key') > 86_400
        assert cache.contains('key')


class TestRoundTrips:
    """How often the server is asked"""

    @staticmethod
    def commands(redis_client: redis.Redis) -> dict[str, int]:
        ignored = (
            'cmdstat_info',
            'cmdstat_config',
            'cmdstat_client',
            'cmdstat_hello',
            'cmdstat_auth',
            'cmdstat_select',
        )
        stats = redis_client.info('commandstats')
        return {k.removeprefix('cmdstat_'): v['calls'] for k, v in stats.items() if not k.startswith(ignored)}

    def test_one_read_for_a_hit_and_one_write_for_a_response(
        self, redis_client: redis.Redis, make_redis_session: Any, origin: Any
    ) -> None:
        origin.add('/page', body=b'hello')
        session = make_redis_session(expire_after=60)
        session.get(origin.url('/missing'))
        redis_client.config_resetstat()
        session.get(origin.url('/page'))
        # One more look for an entry with a large body, and none to write
        assert self.commands(redis_client) == {'get': 1, 'hget': 2, 'setex': 1, 'unlink': 1}
        redis_client.config_resetstat()
        assert session.get(origin.url('/page')).from_cache
        assert self.commands(redis_client) == {'get': 1}

    def test_a_scan_reads_values_in_batches(
        self, redis_server: RedisServer, redis_client: redis.Redis, make_redis_cache: Any
    ) -> None:
        cache = make_redis_cache('mine')
        for i in range(250):
            cache.responses[str(i)] = make_response(i)
        sent = []
        connected = redis.Connection.send_packed_command

        def send(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
            sent.append(command)
            return connected(self, command, *args, **kwargs)

        with mock.patch.object(redis.Connection, 'send_packed_command', send):
            assert len(list(cache.responses.scan())) == 250
            scanned = len(sent)
            assert cache.responses.bulk_delete(map(str, range(250))) == 250
        assert scanned <= 6
        assert len(sent) == scanned + 1

    def test_deleting_looks_for_dead_redirects_in_batches(
        self, redis_client: redis.Redis, make_redis_cache: Any
    ) -> None:
        cache = make_redis_cache('mine')
        cache.responses['there'] = make_response(1)
        cache.redirects.update({f'alive {i}': 'there' for i in range(500)}, dead='gone')
        redis_client.config_resetstat()
        assert cache.delete('missing') == 0
        assert len(cache.redirects) == 500
        assert self.commands(redis_client) == {'unlink': 1, 'hscan': 1, 'exists': 2, 'hdel': 1, 'hlen': 1}


class TestSessions:
    def test_hits_outlive_the_session(self, make_redis_session: Any, origin: Any) -> None:
        origin.add('/page', body=b'\x00\xff body', headers=[('X-Repeated', 'a'), ('X-Repeated', 'b')])
        make_redis_session().get(origin.url('/page'))
        hit = make_redis_session().get(origin.url('/page'))
        assert hit.from_cache
        assert hit.content == b'\x00\xff body'
        assert origin.hits() == 1
        assert not make_redis_session('another').get(origin.url('/page')).from_cache

    def test_redirects(self, make_redis_session: Any, origin: Any) -> None:
        origin.add('/start', status=302, headers=[('Location', '/end')])
        origin.add('/end', body=b'end')
        session = make_redis_session()
        session.get(origin.url('/start'))
        hits = origin.hits()
        assert make_redis_session().get(origin.url('/start')).from_cache
        assert make_redis_session().get(origin.url('/end')).from_cache
        assert origin.hits() == hits
        assert session.cache.delete(urls=[origin.url('/start')]) == 1
        assert len(session.cache.redirects) == 0

    def test_copying_between_backends(self, make_redis_session: Any, origin: Any) -> None:
        origin.add('/page', body=b'hello', headers=[('Content-Type', 'text/plain')])
        url = origin.url('/page')
        for serializer in (None, 'json'):
            with (
                CachedSession('memory', backend='memory') as source,
                make_redis_session(f'to {serializer}', serializer=serializer) as ours,
            ):
                source.get(url)
                ours.cache.update(source.cache)
                assert ours.get(url).from_cache
                with CachedSession('back', backend='memory') as back:
                    back.cache.update(ours.cache)
                    assert back.get(url).content == b'hello'
                    assert back.get(url).from_cache

    def test_keys_of_ones_own(self, make_redis_session: Any, origin: Any, redis_client: redis.Redis) -> None:
        origin.add('/page', body=b'hello')
        session = make_redis_session(key_fn=lambda request, **kwargs: request.url)
        session.get(origin.url('/page'))
        assert session.get(origin.url('/page')).from_cache
        assert list(session.cache.responses) == [origin.url('/page')]
        assert session.cache.delete(origin.url('/page')) == 1
        assert redis_client.keys() == []


def chain(number: int, **fields: Any) -> Any:
    hop = make_response(number, status_code=302, url=f'http://example.com/{number}')
    hop.request.url = hop.url
    return make_response(number, history=[hop], **fields)


def _rewrite(cache: RedisCache, expires: datetime | None) -> None:
    """As a 304 does"""
    (key,) = cache.responses
    response = cache.responses[key]
    response.expires = expires
    cache.responses[key] = response


def _update(cache: RedisCache, expires: datetime | None) -> None:
    source = BaseCache()
    save_chain(source, expires=expires)
    cache.update(source)


# Ways in which an entry gets another time of expiration
CHANGES = {'304': _rewrite, 'reset_expiration': RedisCache.reset_expiration, 'update': _update}


class TestLifetimesOfRedirects:
    """Redirects go when what they lead to goes"""

    def test_all_of_them(self, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        cache = make_redis_cache('c', ttl_offset=0)
        for seconds in (100, 300, 200):
            expires = datetime.now(timezone.utc) + timedelta(seconds=seconds)
            cache.save_response(chain(seconds), f'key{seconds}', expires)
        assert 290 < redis_client.ttl('c-redirects') <= 300 + SLACK_SECONDS
        cache.save_response(chain(1), 'for ever')
        assert redis_client.ttl('c-redirects') == -1
        cache.save_response(chain(100), 'again', in_an_hour())
        assert redis_client.ttl('c-redirects') == -1

    def test_redirects_of_earlier_versions_stay(self, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        cache = make_redis_cache('c', ttl_offset=0)
        cache.responses['old'] = make_response(1)
        redis_client.hset('c-redirects', 'way', 'old')
        cache.save_response(chain(2), 'new', in_an_hour())
        assert redis_client.ttl('c-redirects') == -1
        assert cache.get_response('way') is not None

    def test_one_by_one(self, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        """Those that lead to nothing go by and by, as others are written, and no others go"""
        cache = make_redis_cache('c')
        for number in range(1000):
            cache.save_response(chain(number), f'{"dead" if number % 2 else "alive"}{number}')
        for number in range(1, 1000, 2):
            redis_client.unlink(f'c:dead{number}')
        number = 1000
        while any(target.startswith(b'dead') for target in redis_client.hvals('c-redirects')):
            cache.save_response(chain(number), f'alive{number}')
            number += 1
            assert number < 1200, 'they stay'
        assert len(cache.redirects) == 500 + number - 1000

    @pytest.mark.parametrize('change', CHANGES)
    @pytest.mark.parametrize('seconds', [None, 10_000])
    def test_with_an_entry_that_is_kept_longer(
        self, seconds: int | None, change: str, redis_client: redis.Redis, make_redis_cache: Any
    ) -> None:
        cache = make_redis_cache('c')
        save_chain(cache, expires=in_an_hour())
        (name,) = redis_client.keys('c:*')
        CHANGES[change](cache, seconds and datetime.now(timezone.utc) + timedelta(seconds=seconds))
        kept, redirects_kept = redis_client.ttl(name), redis_client.ttl('c-redirects')
        assert (kept, redirects_kept) == (-1, -1) if seconds is None else redirects_kept >= kept > seconds

    def test_with_a_chain_that_is_validated(
        self, redis_client: redis.Redis, make_redis_session: Any, origin: Any
    ) -> None:
        origin.add('/start', status=302, headers=[('Location', '/middle')])
        origin.add('/middle', status=302, headers=[('Location', '/end')])
        origin.add('/end', body=b'end', headers=[('ETag', '"a"')])
        session = make_redis_session('c', expire_after=100, ttl_offset=0)
        session.get(origin.url('/start'))
        assert redis_client.ttl('c-redirects') < 200
        session.settings.expire_after = 10_000
        session.get(origin.url('/start'), refresh=True)
        assert redis_client.ttl('c-redirects') > 9_000
        assert session.get(origin.url('/middle')).from_cache

    def test_with_an_entry_that_another_cache_keeps_longer(
        self, redis_client: redis.Redis, make_redis_cache: Any
    ) -> None:
        cache, other = make_redis_cache('c'), make_redis_cache('c')
        save_chain(cache, expires=in_an_hour())
        other.reset_expiration(10_000)
        assert redis_client.ttl('c-redirects') >= redis_client.ttl(redis_client.keys('c:*')[0]) > 10_000
        other.clear()
        save_chain(cache, expires=in_an_hour())
        other.reset_expiration(10_000)
        assert redis_client.ttl('c-redirects') >= redis_client.ttl(redis_client.keys('c:*')[0]) > 10_000

    def test_with_entries_for_a_shorter_time(self, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        cache = make_redis_cache('c', ttl_offset=0)
        save_chain(cache, expires=in_an_hour())
        cache.reset_expiration(100)
        assert redis_client.ttl('c-redirects') > 3500

    def test_it_costs_little(self, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        """Entries without redirects cost nothing, and others hardly anything where many are written"""
        cache = make_redis_cache('c')
        for number in range(20):
            save_chain(cache, host=f'h{number}', expires=in_an_hour())
            cache.save_response(make_response(number), f'plain {number}', in_an_hour())
        redis_client.config_resetstat()
        cache.reset_expiration(10_000)
        commands = TestRoundTrips.commands(redis_client)
        assert {name: commands[name] for name in ('setex', 'ttl', 'expire')} == {'setex': 40, 'ttl': 1, 'expire': 1}
        assert 'hlen' not in commands

    def test_what_is_no_redirect(self, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        """Bytes that are no text, which others left in the hash, are in nobody's way"""
        cache = make_redis_cache('c')
        redis_client.hset('c-redirects', mapping={b'\xff': b'key', b'damaged': b'\xff'})
        cache.save_response(chain(1), 'key')
        assert cache.get_response('key').history
        assert set(redis_client.hvals('c-redirects')) == {b'key'}
        assert set(cache.redirects.values()) == {'key'}
        redis_client.hset('c-redirects', 'damaged', b'\xff')
        cache.delete('missing')
        assert b'damaged' not in redis_client.hkeys('c-redirects')

    @pytest.mark.parametrize('forbidden', ['ttl', 'expire', 'hscan'])
    def test_users_with_few_permissions(self, forbidden: str, redis_client: redis.Redis, make_redis_cache: Any) -> None:
        """Redirects are stored for users that may not do all that it takes to remove them"""
        redis_client.acl_setuser(
            'few', enabled=True, reset=True, passwords=['+secret'], keys=['*'], commands=['+@all', f'-{forbidden}']
        )
        cache = make_redis_cache('c', username='few', password='secret')
        cache.save_response(chain(1), 'key', in_an_hour())
        (source,) = redis_client.hkeys('c-redirects')
        assert cache.get_response(source.decode()) is not None
        cache.reset_expiration()
        assert redis_client.ttl('c:key') == -1
