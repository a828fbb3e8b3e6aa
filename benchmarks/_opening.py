"""Caching sessions of each library, by public names only"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

Options = dict[str, Any]


@contextmanager
def opened(options: Options, backend: str, **settings: Any) -> Iterator[Any]:
    """A session of the library on a backend, in the directory of the options"""
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


def fetched(session: Any, url: str) -> int:
    """Get a URL and read it"""
    return len(session.get(url).content)


def store(session: Any, url: str) -> None:
    """Have a response stored, and see that it is answered from the cache from then on"""
    served = session.get(url).headers['X-Served']
    for _ in range(3):
        assert session.get(url).headers['X-Served'] == served, 'not a hit'
