"""Each command on each backend, named by path or URL"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from support.backend_plugins import BACKEND_PLUGINS
from support.commands import run, succeed
from support.redis_server import RedisServer
from support.stored import LARGE, make_cache

from requests_cache import SQLiteCache

pytest_plugins = BACKEND_PLUGINS

CREDENTIALS = {'AWS_ACCESS_KEY_ID': 'test', 'AWS_SECRET_ACCESS_KEY': 'test'}


@pytest.fixture
def name_of_redis(redis_server: RedisServer) -> str:
    return f'redis://127.0.0.1:{redis_server.port}/1?namespace=pages'


@pytest.fixture
def address(name: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a command names a new cache on a backend"""
    for variable, value in CREDENTIALS.items():
        monkeypatch.setenv(variable, value)
    if name == 'redis':
        return str(request.getfixturevalue('name_of_redis'))
    if name in ('mongodb', 'gridfs'):
        port = request.getfixturevalue('mongodb_server').port
        return f'{name}://127.0.0.1:{port}/{request.getfixturevalue("mongodb_name")}'
    if name == 'dynamodb':
        url = quote(request.getfixturevalue('server').url, safe='')
        return f'dynamodb://pages?region=us-east-1&endpoint_url={url}&namespace=mine'
    return str(tmp_path / 'pages.sqlite' if name == 'sqlite' else f'{tmp_path / "pages"}/')


@pytest.mark.parametrize('name', ['sqlite', 'filesystem', 'redis', 'mongodb', 'gridfs', 'dynamodb'])
def test_every_command_works_with_every_backend(name: str, address: str, tmp_path: Path) -> None:
    url = 'https://api.example.com/items?page=1'
    missing = run('info', address)
    assert (missing.status, missing.out) == (2, '')
    assert missing.err.startswith('Error: There is no cache at ')

    local = {'backend': 'filesystem'} if name == 'filesystem' else {}
    keys = make_cache(address, **local)
    info = succeed('info', address, '--json').json
    assert (info['backend'], info['entries'], info['unreadable']) == (name, 6, 0)
    assert info['by_host']['api.example.com']['entries'] == 3
    assert info['largest']['bytes'] == len(LARGE)

    shown = succeed('show', address, url, '--json', '--body').json
    assert (shown['key'], shown['content']) == (keys[0], '{"items": [1, 2, 3]}')

    assert succeed('delete', address, '--status', '404', '--yes').out == '1 entry removed\n'
    copy = tmp_path / 'copy.sqlite'
    assert succeed('copy', address, copy).out == f'5 entries copied to {copy}\n'
    _check_copy(copy, url)
    assert succeed('verify', address).err == '5 of 5 entries are intact.\n'
    assert succeed('prune', address, '--yes').out.startswith('1 entry removed\n')


def test_a_cache_can_be_copied_to_a_server(name_of_redis: str, tmp_path: Path) -> None:
    source = tmp_path / 'pages.sqlite'
    keys = make_cache(source)
    succeed('copy', source, name_of_redis, '--compression', 'zlib')
    rows = succeed('list', name_of_redis, '--json').json
    assert {row['key'] for row in rows} == set(keys)


def _check_copy(path: Path, url: str) -> None:
    """The same can be found there, by keys that its own serializer makes"""
    cache = SQLiteCache(path)
    try:
        assert cache.contains(url=url)
        assert len(cache.responses) == 5
        video = next(r for r in cache.filter() if r.url.endswith('/video'))
        assert video.content == LARGE
    finally:
        cache.close()
