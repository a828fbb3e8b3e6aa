"""Fetch a few pages from a slow API twice: once over the network, once from `my_cache.sqlite`

The cache stays in the current directory: run it again, and the first pass is served from it too.
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
    """Seconds taken, and how many of the responses came from the cache"""
    start = perf_counter()
    hits = sum(session.get(url).from_cache for url in urls)
    return perf_counter() - start, hits


def main(port: int = PREFERRED_PORT) -> None:
    cache_file = Path('my_cache.sqlite').resolve()
    found = f'found, {cache_file.stat().st_size:,} bytes' if cache_file.exists() else 'new'

    with LocalApi(port) as api, CachedSession('my_cache') as session:
        urls = [f'{api.base_url}/pages/{n}' for n in range(1, PAGES + 1)]
        before = sum(session.cache.contains(url=url) for url in urls)
        print(
            f'An API on {api.base_url} takes {DELAY_SECONDS * 1000:.0f} ms to answer; {PAGES} pages are fetched twice.'
        )
        print(f'Cache file: {cache_file} ({found}); {before} of the pages are in it already.\n')

        print(f'{"":12}{"seconds":>9}{"from cache":>13}{"requests to the server":>25}')
        seconds = {}
        for name in ('first pass', 'second pass'):
            served_before = api.request_count
            seconds[name], hits = fetch(session, urls)
            print(f'{name:12}{seconds[name]:9.3f}{f"{hits}/{PAGES}":>13}{api.request_count - served_before:25}')

        ratio = seconds['first pass'] / seconds['second pass']
        print(f'{"speed-up":12}{f"{ratio:.0f}x":>9}\n')
        stored = len(session.cache.responses)
        print(f'Now {stored} responses in {cache_file.name}, {cache_file.stat().st_size:,} bytes.')
    if api.port != port:
        print(f'Port {port} was taken; on another port these are other pages to the cache.')
    elif before:
        print(
            'The first pass came from the cache: an earlier run had stored the pages. Delete the file to start afresh.'
        )
    else:
        print('Run this again: the first pass will be served from the file as well.')


if __name__ == '__main__':
    main(*map(int, sys.argv[1:2]))
