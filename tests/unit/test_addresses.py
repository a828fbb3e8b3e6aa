"""URLs of caches: what they mean, what they must not mean, and that no password is told"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requests_cache import BaseCache, CachedSession, FileCache, GridFSCache, MongoCache, RedisCache, SQLiteCache
from requests_cache.backends.addresses import parse_address, path_address
from requests_cache.backends.registry import init_backend

VALID: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    'memory:': ('memory', None, {}),
    'memory://label': ('memory', 'label', {}),
    'sqlite:///a.sqlite': ('sqlite', 'a.sqlite', {}),
    'sqlite:////var/a%20b.sqlite?wal=true&busy_timeout=5': (
        'sqlite',
        '/var/a b.sqlite',
        {'wal': True, 'busy_timeout': 5.0},
    ),
    'file:///var/cache/': ('filesystem', '/var/cache/', {}),
    'filesystem:///var/cache?serializer=yaml': ('filesystem', '/var/cache', {'serializer': 'yaml'}),
    'redis://host': ('redis', None, {'url': 'redis://host'}),
    'REDISS://u:p@host:6380/2?namespace=x&ttl=no&socket_timeout=3': (
        'redis',
        None,
        {'namespace': 'x', 'ttl': False, 'url': 'rediss://u:p@host:6380/2?socket_timeout=3'},
    ),
    'unix:///run/redis.sock?db=1': ('redis', None, {'url': 'unix:///run/redis.sock?db=1'}),
    'mongodb://u:p@a:1,b:2/pages?w=1&large_body_bytes=9': (
        'mongodb',
        'pages',
        {'large_body_bytes': 9, 'host': 'mongodb://u:p@a:1,b:2/pages?w=1'},
    ),
    'mongodb+srv://host/pages?backend=gridfs': ('gridfs', 'pages', {'host': 'mongodb+srv://host/pages'}),
    'gridfs://[::1]:27017': ('gridfs', None, {'host': 'mongodb://[::1]:27017'}),
    'dynamodb://table?region=eu-north-1&endpoint_url=http%3A%2F%2Flocalhost%3A8000&namespace=n': (
        'dynamodb',
        'table',
        {'namespace': 'n', 'endpoint_url': 'http://localhost:8000', 'region_name': 'eu-north-1'},
    ),
}
INVALID = {
    'https://example.com/x': 'is not the URL of a cache; use a URL that begins with one of: memory:, sqlite:',
    'sqlite://a.sqlite': 'three slashes before a relative path',
    'sqlite:///': 'the path of the file is missing',
    'sqlite:///a?mode=ro': "there is no option 'mode'",
    'file://host/dir/': 'three slashes and the absolute path',
    'filesystem:///': 'the path of the directory is missing',
    'redis://host/pages': 'name a cache with ?namespace=',
    'redis://host:port/0': 'is not a valid URL',
    'redis://host?ttl=perhaps': "'perhaps' is not a valid value of the option ttl",
    'redis://host?encryption_key=x': 'too secret for a URL',
    'unix://': 'the path of the socket is missing',
    'mongodb:///pages': 'the names of hosts',
    'mongodb://host:1x/pages': 'the names of hosts',
    'mongodb://host/a/b': 'the name of a database, without slashes',
    'mongodb://host/a?backend=redis': "'redis' is not a backend for MongoDB",
    'dynamodb://id:secret@table': 'credentials are not accepted here',
    'dynamodb://table/more': 'only the name of a table',
}
SPECIAL = st.text(st.sampled_from('abc019:@/?#[]%&=+ é\\"\''), min_size=1, max_size=12)


@pytest.mark.parametrize('url', VALID)
def test_urls_say_which_cache_is_meant(url: str) -> None:
    address = parse_address(url)
    assert (address.backend, address.cache_name, address.options) == VALID[url]


@pytest.mark.parametrize('url', INVALID)
def test_what_is_wrong_with_a_url_is_said(url: str) -> None:
    with pytest.raises(ValueError, match=re.escape(INVALID[url])):
        parse_address(url)


@given(SPECIAL, st.sampled_from(['redis', 'mongodb', 'gridfs', 'dynamodb', 'sqlite', 'nonsense']))
def test_no_message_tells_a_password(text: str, scheme: str) -> None:
    """Also of URLs in which it is not escaped, and so may look like a path, a query or a port"""
    password = f'PASS{text}WORD'
    try:
        shown = parse_address(f'{scheme}://user:{password}@host/0?namespace=x').shown
    except ValueError as e:
        shown = str(e)
    assert 'PASS' not in shown
    assert 'WORD' not in shown


@pytest.mark.parametrize(
    'url', ['redis://u:SECRET@h/0?namespce=x', 'mongodb://u:SECRET@x@h/db', 'redis://u:SECRET@h:x']
)
def test_nor_does_a_backend_that_is_made(url: str) -> None:
    with pytest.raises(ValueError, match='REDACTED') as raised:
        init_backend(url)
    assert 'SECRET' not in repr(raised.value)
    assert raised.value.__cause__ is None


def test_options_that_nobody_knows_are_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no option 'namespce'; did you mean 'namespace'\?"):
        init_backend('redis://localhost/0?namespce=x')


def test_sessions_take_urls_as_the_name_or_as_the_backend(cache_path: Any) -> None:
    with CachedSession(f'sqlite:///{cache_path}.sqlite?wal=true') as session:
        assert session.cache.db_path == cache_path.with_suffix('.sqlite')
        assert session.cache.responses.wal
    with CachedSession('ignored', backend=f'file://{cache_path}/') as session:
        assert isinstance(session.cache, FileCache)
        assert session.cache.cache_dir == cache_path
    with CachedSession('redis://localhost:1/3?namespace=x&ttl_offset=9') as session:
        assert (session.cache.cache_name, session.cache.responses.ttl_offset) == ('x', 9)
    with CachedSession('name', backend='redis://localhost:1/3') as session:
        assert session.cache.cache_name == 'name'
    with CachedSession('redis://localhost:1/3', 'redis', namespace='mine') as session:
        assert session.cache.cache_name == 'mine'


def test_keywords_go_before_what_a_url_says(cache_path: Any) -> None:
    cache = init_backend(f'sqlite:///{cache_path}?wal=true', wal=False, busy_timeout=None)
    assert isinstance(cache, SQLiteCache)
    assert not cache.responses.wal
    cache.close()


@pytest.mark.parametrize(
    ('arguments', 'backend'),
    [
        (('mongodb://localhost:1/pages',), MongoCache),
        (('mongodb://localhost:1/pages', 'gridfs'), GridFSCache),
        (('gridfs://localhost:1/pages', 'mongodb'), MongoCache),
        (('redis://localhost:1/0', 'Redis'), RedisCache),
        (('memory:',), BaseCache),
    ],
)
def test_urls_name_backends(arguments: tuple[str, ...], backend: type) -> None:
    cache = init_backend(*arguments)
    assert type(cache) is backend
    cache.close()


@pytest.mark.parametrize(
    ('name', 'keywords'),
    [
        ('my_cache', {}),
        ('my_cache.db', {}),
        ('https://api.example.com', {}),
        (':memory:', {}),
        ('file:shared?mode=memory&cache=shared', {}),
        ('file:///{}/b.db', {'uri': True}),
    ],
)
def test_other_names_are_what_they_were(name: str, keywords: dict[str, Any], tmp_path: Any) -> None:
    cache = init_backend(name.format(tmp_path), **keywords)
    assert isinstance(cache, SQLiteCache)
    cache.close()


@pytest.mark.parametrize('backend', ['memory', 'filesystem', 'sqlite'])
def test_to_another_backend_a_url_is_a_name(backend: str) -> None:
    cache = init_backend('redis://host/0', backend)
    assert cache.cache_name == 'redis://host/0'
    cache.close()


def test_paths_name_directories_and_files(tmp_path: Any) -> None:
    assert path_address(str(tmp_path)).backend == 'filesystem'
    assert path_address('new/').backend == 'filesystem'
    assert path_address('new').backend == path_address('new.sqlite').backend == 'sqlite'
