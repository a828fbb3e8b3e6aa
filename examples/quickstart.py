"""Fetch a few pages from a slow API twice: first over the network, then from `my_cache.sqlite`

The cache file stays in the current directory. If you run the script again, the first pass uses it too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

from local_api import DELAY_SECONDS, LocalApi

from requests_cache import CachedSession

PREFERRED_PORT = 8765
PAGES = 10


def fetch(session: CachedSession, urls: Iterable[str]) -> tuple[float, int]:
    """Fetch URLs; returns the seconds taken, and how many responses came from the cache"""
    start = perf_counter()
    hits = sum(session.get(url).from_cache for url in urls)
    return perf_counter() - start, hits


def main(port: int = PREFERRED_PORT) -> None:
    cache_file = Path('my_cache.sqlite').resolve()
    found = f'found, {cache_file.stat().st_size:,} bytes' if cache_file.exists() else 'new'

    with LocalApi(port) as api, CachedSession('my_cache') as session:
        urls = [f'{api.base_url}/pages/{n}' for n in range(1, PAGES + 1)]
        before = sum(session.cache.contains(url=url) for url in urls)
        print(f'The API at {api.base_url} takes {DELAY_SECONDS * 1000:.0f} ms to answer. We fetch {PAGES} pages twice.')
        print(f'Cache file: {cache_file} ({found}); it holds {before} of the pages.\n')

        print(f'{"":12}{"seconds":>9}{"from cache":>13}{"requests to the server":>25}')
        seconds = {}
        for name in ('first pass', 'second pass'):
            served_before = api.request_count
            seconds[name], hits = fetch(session, urls)
            print(f'{name:12}{seconds[name]:9.3f}{f"{hits}/{PAGES}":>13}{api.request_count - served_before:25}')

        ratio = seconds['first pass'] / seconds['second pass']
        print(f'{"speed-up":12}{f"{ratio:.0f}x":>9}\n')
        stored = len(session.cache.responses)
        print(f'{cache_file.name} now holds {stored} responses and takes {cache_file.stat().st_size:,} bytes.')
    if api.port != port:
        print(
            f'Port {port} was in use. On another port the pages have other URLs, so the next run may fetch them again.'
        )
    elif before:
        print(
            'The first pass used the cache, because an earlier run had stored the pages. Delete the file to start over.'
        )
    else:
        print('Run this again, and the first pass will use the cache as well.')


if __name__ == '__main__':
    main(*map(int, sys.argv[1:2]))
