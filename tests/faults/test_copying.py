"""Sessions that are pickled, copied, and sent to other processes"""

from __future__ import annotations

import copy
import gzip
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any

import pytest
import requests

import requests_cache
from faults.local_caches import BODY, SessionFactory, assert_caches
from requests_cache import (
    BaseCache,
    CachedSession,
    CacheMixin,
    DictStorage,
    DynamoDbCache,
    GridFSCache,
    MongoCache,
    RedisCache,
    SerializerPipeline,
    Stage,
    install_cache,
    pickle_serializer,
    safe_pickle_serializer,
    uninstall_cache,
)
from requests_cache.serializers import SERIALIZERS
from requests_cache.testing.origin import Origin

WAYS: dict[str, Callable[[Any], Any]] = {
    'pickle': lambda value: pickle.loads(pickle.dumps(value)),
    'deepcopy': copy.deepcopy,
    'copy': copy.copy,
}
IN_THE_OTHER_PROCESS = """
import pickle, sys
session, known, new = pickle.load(sys.stdin.buffer)
assert session.get(known, only_if_cached=True).from_cache
assert not session.get(new).from_cache
assert session.headers['X-Mine'] == 'yes'
session.close()
"""


@pytest.fixture(params=WAYS)
def duplicate(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return WAYS[request.param]


def never(response: requests.Response) -> bool:
    return False


class TestSessions:
    def test_the_other_session_has_the_same_store(
        self, duplicate: Any, persistent: dict[str, Any], new_session: SessionFactory, site: Origin
    ) -> None:
        session = new_session(**persistent, expire_after=360, urls_expire_after={'*/other': 5})
        assert_caches(session, site)
        other = duplicate(session)
        assert other.get(site.url('/page')).from_cache
        assert other.get(site.url('/start')).from_cache
        other.get(site.url('/other'))
        assert session.get(site.url('/other')).from_cache
        assert other.settings == session.settings
        assert str(other) == str(session)
        other.close()
        assert_caches(session, site)

    def test_all_that_makes_up_a_session_goes_along(
        self, duplicate: Any, new_session: SessionFactory, site: Origin
    ) -> None:
        session = new_session(backend='sqlite', filter_fn=never, stale_if_error=True)
        session.headers['X-Mine'] = 'yes'
        session.auth = ('user', 'password')
        session.cookies.set('name', 'value')
        session.max_redirects = 3
        session.own_attribute = [1, 2]  # type: ignore[attr-defined]
        other = duplicate(session)
        assert type(other) is CachedSession
        assert (other.headers, other.auth, other.max_redirects) == (session.headers, session.auth, 3)
        assert (dict(other.cookies), other.own_attribute) == ({'name': 'value'}, [1, 2])
        assert other.settings.filter_fn is never
        other.get(site.url('/page'))
        assert (site.requests[-1].header('X-Mine'), site.requests[-1].header('Cookie')) == ('yes', 'name=value')
        other.close()

    @pytest.mark.parametrize('serializer', [*SERIALIZERS, safe_pickle_serializer('secret')], ids=str)
    @pytest.mark.parametrize('backend', ['sqlite', 'filesystem'])
    def test_serializers(
        self, backend: str, serializer: Any, duplicate: Any, new_session: SessionFactory, site: Origin
    ) -> None:
        session = new_session(backend=backend, serializer=serializer)
        assert_caches(session, site)
        other = duplicate(session)
        assert str(other.cache.responses.serializer) == str(session.cache.responses.serializer)
        assert other.get(site.url('/page')).from_cache
        other.close()

    def test_serializers_of_ones_own(self, duplicate: Any, new_session: SessionFactory, site: Origin) -> None:
        compressed = SerializerPipeline(
            [pickle_serializer, Stage(gzip, 'compress', 'decompress')], name='compressed', is_binary=True
        )
        for serializer in (compressed, pickle):
            session = new_session(backend='sqlite', serializer=serializer)
            assert_caches(session, site)
            other = duplicate(session)
            assert other.get(site.url('/page')).from_cache
            other.close()

    def test_subclasses(self, duplicate: Any, new_session: SessionFactory, cache_path: Path, site: Origin) -> None:
        session = Limited(cache_path, limit=7)
        assert_caches(session, site)
        other = duplicate(session)
        assert type(other) is Limited
        assert other.limit == 7
        assert other.get(site.url('/page')).from_cache
        other.close()
        session.close()

    def test_in_another_process(
        self, persistent: dict[str, Any], new_session: SessionFactory, site: Origin, tmp_path: Path
    ) -> None:
        """Wherever it runs, though the name of the cache is a relative path"""
        session = new_session(cache_name='relative', **persistent)
        session.headers['X-Mine'] = 'yes'
        assert_caches(session, site)
        elsewhere = tmp_path / 'elsewhere'
        elsewhere.mkdir()
        path = os.pathsep.join([str(Path(requests_cache.__file__).parents[1]), *sys.path])
        done = subprocess.run(
            [sys.executable, '-X', 'dev', '-W', 'error', '-c', IN_THE_OTHER_PROCESS],
            input=pickle.dumps((session, site.url('/page'), site.url('/other'))),
            capture_output=True, cwd=elsewhere, env={**os.environ, 'PYTHONPATH': path},
        )  # fmt: skip
        assert (done.returncode, done.stderr.decode()) == (0, '')
        assert session.get(site.url('/other')).from_cache
        assert list(elsewhere.iterdir()) == []

    def test_what_was_installed_is_an_ordinary_session_elsewhere(
        self, duplicate: Any, cache_path: Path, site: Origin
    ) -> None:
        install_cache(cache_path)
        try:
            with requests.Session() as session:
                assert_caches(session, site)  # type: ignore[arg-type]
                uninstall_cache()
                other = duplicate(session)
                assert isinstance(other, CachedSession)
                assert other.get(site.url('/page')).from_cache
                other.close()
                session.cache.close()  # type: ignore[attr-defined]
        finally:
            uninstall_cache()

    def test_a_session_that_is_in_use(self, new_session: SessionFactory, site: Origin) -> None:
        session = new_session(backend='sqlite')
        with session.cache.responses.bulk_commit():  # type: ignore[attr-defined]
            other = pickle.loads(pickle.dumps(session))
        assert_caches(other, site)
        other.close()


class Limited(CacheMixin, requests.Session):
    def __init__(self, *args: Any, limit: int = 0, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.limit = limit


class TestMemory:
    def test_cannot_be_sent_elsewhere(self, new_session: SessionFactory) -> None:
        with pytest.raises(TypeError, match='with a cache in memory'):
            pickle.dumps(new_session(backend='memory'))
        with pytest.raises(TypeError, match='database in memory'):
            pickle.dumps(new_session(backend='sqlite', use_memory=True))

    def test_a_deep_copy_has_entries_of_its_own(self, new_session: SessionFactory, site: Origin) -> None:
        session = new_session(backend='memory')
        assert_caches(session, site)
        other = copy.deepcopy(session)
        assert other.get(site.url('/page')).from_cache
        other.cache.clear()
        assert session.get(site.url('/page')).from_cache

    def test_a_copy_has_the_same_entries(self, new_session: SessionFactory, site: Origin) -> None:
        session = new_session(backend='memory')
        other = copy.copy(session)
        assert_caches(session, site)
        assert other.get(site.url('/page')).from_cache
        assert other.cache is session.cache

    def test_caches_and_storages_take_their_entries_along(
        self, duplicate: Any, new_session: SessionFactory, site: Origin
    ) -> None:
        """As in 1.x: who pickles the cache itself wants what is in it"""
        session = new_session(backend='memory')
        assert_caches(session, site)
        cache: Any = duplicate(session.cache)
        assert type(cache) is BaseCache
        assert sorted(cache.urls()) == sorted(session.cache.urls())
        storage: Any = duplicate(session.cache.responses)
        assert type(storage) is DictStorage
        assert [r.content for r in storage.values()] == [BODY] * len(storage)


class TestWhatStandsInTheWay:
    """Is named, when it is tried and not when it is used"""

    def test_locks(self, new_session: SessionFactory) -> None:
        for way in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match='given a lock'):
                way(new_session(backend='filesystem', lock=RLock()))  # type: ignore[operator]

    @pytest.mark.parametrize('name', ['redis', 'mongodb', 'gridfs', 'dynamodb'])
    def test_clients(self, name: str, new_session: SessionFactory) -> None:
        for way in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match=r'passed|live client'):
                way(new_session(backend=with_client(name)))  # type: ignore[operator]

    def test_functions_without_a_name(self, new_session: SessionFactory) -> None:
        with pytest.raises((AttributeError, TypeError, pickle.PicklingError), match='lambda'):
            pickle.dumps(new_session(backend='sqlite', filter_fn=lambda response: True))


def with_client(name: str) -> BaseCache:
    """A backend with a client of the caller's; none of them needs a server for that"""
    if name == 'redis':
        return RedisCache(connection=pytest.importorskip('redis').Redis())
    if name == 'dynamodb':
        boto3 = pytest.importorskip('boto3')
        keys = {'aws_access_key_id': 'a', 'aws_secret_access_key': 'b', 'region_name': 'us-east-1'}
        return DynamoDbCache(connection=boto3.resource('dynamodb', **keys), create_table=False, ttl=False)
    client = pytest.importorskip('mongomock').MongoClient()
    return MongoCache(connection=client) if name == 'mongodb' else GridFSCache(connection=client)
