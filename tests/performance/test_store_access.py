"""How often a store is asked, and how much memory bodies take"""

from __future__ import annotations

import random
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from requests_cache import CachedSession
from requests_cache.testing.origin import Origin

pytest_plugins = ['support.redis_fixtures']

BIG_BYTES = 5_000_000
JSON = [('Content-Type', 'application/json'), ('Cache-Control', 'max-age=3600')]


@pytest.fixture
def stored(origin: Origin, tmp_path: Path) -> Iterator[Callable[..., tuple[CachedSession, str]]]:
    """Makes a session on a backend, with a response stored; gives its URL, too"""
    sessions = []

    def make(body: bytes = b'{"a": 1}', **settings: Any) -> tuple[CachedSession, str]:
        origin.add('/page', body=body, headers=JSON)
        session = CachedSession(tmp_path / 'cache', **settings)
        sessions.append(session)
        url = origin.url('/page')
        for _ in range(2):
            session.get(url)
        assert session.get(url).from_cache
        return session, url

    yield make
    for session in sessions:
        session.close()


@contextmanager
def statements(session: CachedSession) -> Iterator[list[str]]:
    """Statements that are run in the block"""
    seen: list[str] = []
    with session.cache.responses.connection() as connection:  # type: ignore[attr-defined]
        connection.set_trace_callback(seen.append)
        yield seen
        connection.set_trace_callback(None)


@pytest.mark.parametrize('cache_control', [False, 'strict'])
def test_sqlite(cache_control: bool | str, stored: Any, origin: Origin) -> None:
    session, url = stored(backend='sqlite', cache_control=cache_control)
    with statements(session) as seen:
        session.get(url)
    assert [statement.split()[0] for statement in seen] == ['SELECT']
    origin.add('/other', body='{}', headers=JSON)
    with statements(session) as seen:
        session.get(origin.url('/other'))
    kinds = [statement.split()[0] for statement in seen if not statement.startswith('PRAGMA')]
    # By the standard, parts of the response may be stored, which it takes the place of
    looks = 3 if cache_control else 2
    assert sorted(kinds) == ['BEGIN', 'COMMIT', 'INSERT', *['SELECT'] * looks]


@pytest.fixture(scope='module')
def opened() -> list[str]:
    """Names of all files that are opened from now on"""
    names: list[str] = []
    # A hook of this kind cannot be taken away, so there is one for all tests
    sys.addaudithook(lambda event, arguments: names.append(str(arguments[0])) if event == 'open' else None)
    return names


def test_filesystem(stored: Any, opened: list[str]) -> None:
    session, url = stored(backend='filesystem')
    opened.clear()
    session.get(url)
    assert [Path(name).suffix for name in opened] == ['.json']


def test_redis(stored: Any, redis_server: Any, redis_client: Any) -> None:
    session, url = stored(backend='redis', port=redis_server.port)
    redis_client.config_resetstat()
    session.get(url)
    calls = {name: stat['calls'] for name, stat in redis_client.info('commandstats').items()}
    assert {name: number for name, number in calls.items() if 'config' not in name} == {'cmdstat_get': 1}


@pytest.mark.parametrize(
    ('settings', 'most'),
    [
        ({'backend': 'sqlite'}, 3),
        ({'backend': 'filesystem', 'serializer': 'pickle'}, 3),
        ({'backend': 'filesystem'}, 3),
    ],
    ids=['sqlite', 'pickle', 'json'],
)
def test_copies_of_a_large_body(settings: dict[str, Any], most: float, stored: Any) -> None:
    session, url = stored(random.Random(0).randbytes(BIG_BYTES), **settings)
    tracemalloc.start()
    try:
        assert len(session.get(url).content) == BIG_BYTES
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= most * BIG_BYTES + 500_000
