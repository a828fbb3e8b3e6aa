"""Caching sessions of each library, using only public names"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

Options = dict[str, Any]


@contextmanager
def open_session(options: Options, backend: str, **settings: Any) -> Iterator[Any]:
    """Open a session of the library in the options, on a backend in the directory of the options"""
    place = Path(options['directory'])
    if options['library'] == 'requests_cache':
        import requests_cache

        if backend == 'redis':
            settings['port'] = options['redis_port']
        with requests_cache.CachedSession(str(place / backend), backend=backend, **settings) as session:
            yield session
        return
    import requests

    with requests.Session() as session:
        _mount_peer(session, options['library'], backend, place)
        yield session


def _mount_peer(session: Any, library: str, backend: str, place: Path) -> None:
    if library == 'hishel':
        hishel, adapters = import_module('hishel'), import_module('hishel.requests')
        session.mount('http://', adapters.CacheAdapter(storage=hishel.SqliteStorage(database_path=place / 'cache.db')))
    else:
        cachecontrol, caches = import_module('cachecontrol'), import_module('cachecontrol.caches')
        files = None if backend == 'memory' else caches.FileCache(str(place / 'files'))
        cachecontrol.CacheControl(session, cache=files)


def fetch(session: Any, url: str) -> int:
    """Get a URL, and return the length of its body"""
    return len(session.get(url).content)


def store_response(session: Any, url: str) -> None:
    """Store the response to a URL, and check that further requests are hits"""
    served = session.get(url).headers['X-Served']
    for _ in range(3):
        assert session.get(url).headers['X-Served'] == served, 'not a hit'
