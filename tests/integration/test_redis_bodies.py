"""Large bodies in Redis: names and lifetimes on the server, round trips, users that may not do everything"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot
from support.redis_server import HOST, RedisClusterServers, RedisServer

from requests_cache.backends.redis import DEFAULT_TTL_OFFSET, RedisCache, RedisDict
from requests_cache.backends.redis.bodies import UNFINISHED_SECONDS, name_in_same_slot, slot_of
from requests_cache.exceptions import BackendError
from requests_cache.testing.values import facts, large, make_response

pytest_plugins = ['support.redis_fixtures']

BODY, STRING = b'mine-body:{mine:key}', b'mine:key'
# Braces say which slot of a cluster a name belongs to
NAMESPACES = ('a', 'a-body', 'a-unfinished', '{app}', '{app}:b', 'a{', 'a}b', '{}a', '{', '*', '')
KEYS = ('0a1b', '{x}', 'a{', '}', '{}', '{}{y}', 'http://{host}/', 'x-redirects', 'ä\ud800')


def in_an_hour() -> datetime:
    return datetime.now(timezone.utc) + timedelta(hours=1)


def with_small_pieces(storage: RedisDict) -> RedisDict:
    storage.pieces.piece_bytes = 500
    return storage


@pytest.fixture
def storage(redis_client: redis.Redis) -> RedisDict:
    return with_small_pieces(RedisDict('mine', connection=redis_client, large_body_bytes=1_000))


def names(client: redis.Redis) -> list[bytes]:
    return sorted(client.keys())


class TestNames:
    def test_a_hash_takes_the_place_of_the_string(self, storage: RedisDict, redis_client: redis.Redis) -> None:
        storage['key'] = large(1)
        body_id = storage['key']._body.id
        assert names(redis_client) == [BODY]
        fields = {b'record', *(f'{body_id}:{index}'.encode() for index in range(6))}
        assert set(redis_client.hkeys(BODY)) == fields
        storage['key'] = make_response(2)
        assert names(redis_client) == [STRING]
        storage['key'] = large(3)
        assert names(redis_client) == [BODY]

    def test_what_earlier_versions_write_takes_precedence(self, storage: RedisDict, redis_client: redis.Redis) -> None:
        storage['other'] = make_response(2)
        storage['key'] = large(1)
        redis_client.rename('mine:other', STRING)
        assert facts(storage['key']) == facts(make_response(2))
        assert [(key, facts(value)) for key, value in storage.scan()] == [('key', facts(make_response(2)))]
        assert len(storage) == 1
        assert storage.bulk_delete(['key']) == 1
        assert names(redis_client) == []

    @pytest.mark.parametrize('namespace', NAMESPACES, ids=ascii)
    def test_caches_do_not_touch_each_other(self, namespace: str, redis_client: redis.Redis) -> None:
        storages = {name: RedisDict(name, connection=redis_client, large_body_bytes=1_000) for name in NAMESPACES}
        for number, storage in enumerate(storages.values()):
            for key in KEYS:
                storage[key] = large(number)
        for number, storage in enumerate(storages.values()):
            assert sorted(storage) == sorted(KEYS)
            assert {value.content for value in storage.values()} == {large(number).content}
        storages.pop(namespace).clear()
        for other in storages.values():
            assert len(other) == len(KEYS)

    @given(st.text(alphabet='a{}:'), st.text(alphabet='b{}:'), st.sampled_from(['', ':1f-2']))
    def test_names_of_an_entry_are_in_one_slot(self, namespace: str, key: str, suffix: str) -> None:
        entry = f'{namespace}:{key}'.encode()
        name = name_in_same_slot(entry, f'{namespace}-body:'.encode(), suffix.encode())
        assert slot_of(name) == slot_of(entry) == key_slot(name) == key_slot(entry)

    def test_bodies_that_are_being_written(self, storage: RedisDict, redis_client: redis.Redis) -> None:
        for key in KEYS:
            writer = storage.body_writer(key)
            writer.write(large(1).content)
            [(found, body_id)] = storage.pieces.unused()
            assert (found, body_id) == (key, writer._id)
            assert list(storage) == []
            storage.clear()
            assert len(names(redis_client)) == 1
            writer.abort()
            assert names(redis_client) == []

    def test_what_others_keep_stays(self, storage: RedisDict, redis_client: redis.Redis) -> None:
        others = [b'mine-body:', b'mine-body:x', b'mine-body:{mine:key', b'mine-body:0:mine:key', b'mine-body:{a:key}']
        for name in others:
            redis_client.hset(name, 'record', 'theirs')
        redis_client.rpush('mine-body:{mine:list}', 'theirs')
        storage['key'] = large(1)
        assert list(storage) == ['key']
        assert 'list' not in storage or storage.get('list') is None
        storage.clear()
        assert set(names(redis_client)) == {*others, b'mine-body:{mine:list}'}

    def test_a_value_of_another_type(self, storage: RedisDict, redis_client: redis.Redis) -> None:
        redis_client.set(BODY, 'theirs')
        with pytest.raises(KeyError):
            storage['key']
        storage['key'] = large(1)
        assert storage['key'].content == large(1).content
        redis_client.delete(BODY)
        redis_client.rpush(STRING, 'theirs')
        assert storage['key'] is None
        storage['key'] = large(1)
        assert storage['key'].content == large(1).content

    def test_in_a_cluster(self, redis_cluster: RedisClusterServers) -> None:
        with redis_cluster.client() as client:
            for namespace in NAMESPACES:
                storage = with_small_pieces(RedisDict(namespace, connection=client, large_body_bytes=1_000))
                storage.update({key: large(number) for number, key in enumerate(KEYS)})
                contents = {key: value.content for key, value in storage.scan()}
                assert contents == {key: large(number).content for number, key in enumerate(KEYS)}
                assert storage.existing([*KEYS, 'none']) == set(KEYS)
                storage[KEYS[1]] = make_response(1)
                assert storage.bulk_delete(KEYS) == len(KEYS)
                assert redis_cluster.sizes() == [0, 0, 0]


class TestLifetimes:
    def test_bodies_last_as_long_as_their_entries(self, storage: RedisDict, redis_client: redis.Redis) -> None:
        storage['key'] = large(1, expires=in_an_hour())
        assert redis_client.ttl(BODY) == pytest.approx(3600 + DEFAULT_TTL_OFFSET, abs=5)
        for expires, expected in ((in_an_hour() + timedelta(days=1), 90_000 + DEFAULT_TTL_OFFSET), (None, -1)):
            kept = storage['key']
            kept.expires = expires
            storage['key'] = kept
            assert redis_client.ttl(BODY) == pytest.approx(expected, abs=5 if expires else 0)
        assert storage['key'].content == large(1).content
        storage['key'] = large(1)
        assert redis_client.ttl(BODY) == -1

    def test_each_piece_renews_the_time_of_an_unfinished_body(
        self, storage: RedisDict, redis_client: redis.Redis
    ) -> None:
        writer = storage.body_writer('key')
        for _ in range(3):
            writer.write(large(1).content)
            [name] = names(redis_client)
            assert redis_client.ttl(name) == pytest.approx(UNFINISHED_SECONDS, abs=5)
            redis_client.expire(name, 10)

    def test_redirects_last_as_long_as_large_entries(self, make_redis_cache: Any, redis_client: redis.Redis) -> None:
        cache = make_redis_cache('mine', large_body_bytes=1_000, ttl_offset=0)
        hop = make_response(1, status_code=302, url='http://example.com/1')
        cache.save_response(large(1, history=[hop]), 'key', in_an_hour())
        assert 3590 < redis_client.ttl('mine-redirects') <= 3660


class TestRoundTrips:
    def commands(self, client: redis.Redis, function: Callable[[], object]) -> dict[str, int]:
        client.config_resetstat()
        function()
        stats = client.info('commandstats')
        return {k.removeprefix('cmdstat_'): v['calls'] for k, v in stats.items() if not k.startswith('cmdstat_config')}

    def test_commands(self, storage: RedisDict, redis_client: redis.Redis) -> None:
        assert self.commands(redis_client, lambda: storage.get('key')) == {'get': 1, 'hget': 1}
        assert self.commands(redis_client, lambda: storage.__setitem__('key', make_response(1))) == {
            'set': 1,
            'unlink': 1,
        }
        assert self.commands(redis_client, lambda: storage['key']) == {'get': 1}
        storage['key'] = large(1)
        assert self.commands(redis_client, lambda: storage['key'].content) == {'get': 1, 'hget': 1 + 6}

    def test_nothing_is_looked_for_before_the_first_write(self, storage: RedisDict, redis_client: redis.Redis) -> None:
        assert 'scan' not in self.commands(redis_client, lambda: storage.__setitem__('key', large(1)))


class TestWritingIf:
    @pytest.mark.parametrize('make', [make_response, large])
    def test_what_others_write_meanwhile_is_looked_at(
        self, make: Callable[[int], Any], storage: RedisDict, redis_client: redis.Redis
    ) -> None:
        other = RedisDict('mine', connection=redis_client, large_body_bytes=1_000)
        storage['key'] = make(0)
        seen = []

        def is_expected(stored: Any) -> bool:
            seen.append(stored.content)
            if len(seen) == 1:
                other['key'] = make(1)
            return stored.content == make(0).content

        assert not storage.write_if('key', make(2), is_expected)
        assert seen == [make(0).content, make(1).content]
        assert storage['key'].content == make(1).content
        assert not list(storage.pieces.unused())
        assert storage.write_if('key', make(2), lambda stored: stored.content == make(1).content)
        assert storage['key'].content == make(2).content

    def test_a_server_on_which_names_are_changed_all_the_time(
        self, storage: RedisDict, redis_client: redis.Redis
    ) -> None:
        def is_expected(stored: Any) -> bool:
            redis_client.set(STRING, b'always another')
            return True

        with pytest.raises(BackendError, match='each of 100 attempts'):
            storage.write_if('key', make_response(1), is_expected)


# What users of a server may do
USERS = {
    'names': '~mine:* ~mine-redirects +@all',
    'multi': '~mine* +@all -multi',
    'exec': '~mine* +@all -exec',
    'hset': '~mine* +@all -hset',
    'expire': '~mine* +@all -expire',
    'watch': '~mine* +@all -watch',
    'rename': '~mine* +@all -rename',
    'scripting': '~mine* +@all -@scripting -@dangerous -@admin',
    'minimal': '~mine:* ~mine-redirects +get +set +setex +unlink +exists +scan +hget +hset +hdel +ttl',
    'reader': '~* +@read',
}


@pytest.fixture(scope='module')
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    users = tuple(f'{name} on >secret {rights}' for name, rights in USERS.items())
    with RedisServer(tmp_path_factory.mktemp('redis'), users=users) as server:
        yield server


class TestRestrictedUsers:
    """They get what they are permitted: large bodies are parts of their entries then, as in earlier versions"""

    def storage_of(self, server: RedisServer, user: str) -> RedisDict:
        options = {'host': HOST, 'port': server.port, 'username': user, 'password': 'secret'}
        return with_small_pieces(RedisDict('mine', large_body_bytes=1_000, **options))

    @pytest.mark.parametrize('user', sorted(USERS.keys() - {'reader'}))
    def test_all_that_is_done_with_entries(self, user: str, guarded: RedisServer) -> None:
        guarded.flush()
        storage = self.storage_of(guarded, user)
        storage['key'] = large(1)
        assert storage['key'].content == large(1).content
        assert storage['key']._is_body_unread == (user == 'scripting')
        assert list(storage) == ['key']
        assert 'key' in storage
        assert storage.existing(['key', 'none']) == {'key'}
        storage['small'] = make_response(1)
        assert storage.write_if('key', large(2), lambda stored: stored.content == large(1).content)
        assert storage.write_if('small', make_response(2), lambda stored: stored is not None)
        assert not storage.write_if('small', make_response(3), lambda stored: stored is None)
        assert {key: value.content for key, value in storage.scan()} == {
            'key': large(2).content,
            'small': make_response(2).content,
        }
        assert storage.bulk_delete(['key', 'none']) == 1
        del storage['small']
        assert list(storage) == []
        assert guarded.size() == 0
        storage.close()

    @pytest.mark.parametrize('user', ['rename', 'watch'])
    def test_what_is_noticed_when_the_body_is_there(self, user: str, guarded: RedisServer) -> None:
        guarded.flush()
        storage = self.storage_of(guarded, user)
        writer = storage.body_writer('key')
        writer.write(large(1).content)
        storage['key'] = large(1)._with_body(writer.commit())
        assert storage['key'].content == large(1).content
        assert not storage['key']._is_body_unread
        with guarded.client() as client:
            [rest] = [name for name in names(client) if name != STRING]
            assert 0 < client.ttl(rest) <= UNFINISHED_SECONDS
        storage.close()

    def test_who_may_only_read_finds_large_bodies(self, guarded: RedisServer) -> None:
        guarded.flush()
        with guarded.client() as client:
            RedisDict('mine', connection=client, large_body_bytes=1_000)['key'] = large(1)
            reader = self.storage_of(guarded, 'reader')
            with pytest.raises(BackendError):
                reader['other'] = large(2)
            assert reader['key'].content == large(1).content
            assert list(reader) == ['key']
            reader.close()
            assert names(client) == [BODY]

    def test_redirects(self, guarded: RedisServer) -> None:
        guarded.flush()
        cache = RedisCache('mine', host=HOST, port=guarded.port, username='minimal', password='secret')
        hop = make_response(1, status_code=302, url='http://example.com/1')
        cache.save_response(make_response(1, history=[hop]), 'key', in_an_hour())
        assert cache.get_response('key').content == make_response(1).content
        cache.close()


def test_copies(make_redis_cache: Any) -> None:
    source = make_redis_cache('mine', large_body_bytes=1_000)
    source.save_response(large(1), 'key')
    target = make_redis_cache('theirs')
    target.update(source)
    source.clear()
    assert [r.content for r in target.filter()] == [large(1).content]
