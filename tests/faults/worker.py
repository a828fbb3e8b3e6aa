"""A process that shares caches with others: python worker.py NUMBER URL DIRECTORY

For each kind of local cache, it asks for pages of its own and for pages that all ask for, and fails if an answer is not
the right one, or if one of its own is not in the cache afterwards.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from requests_cache import CachedSession

OWN_PAGES, SHARED_PAGES = 8, 4
KINDS: dict[str, dict[str, Any]] = {
    'sqlite': {'backend': 'sqlite'},
    'sqlite-wal': {'backend': 'sqlite', 'wal': True},
    'filesystem': {'backend': 'filesystem'},
    'filesystem-lru': {'backend': 'filesystem', 'max_cache_bytes': 50_000_000},
}


def own_paths(number: int) -> list[str]:
    return [f'{number}/{i}' for i in range(OWN_PAGES)]


def work(number: int, url: str, directory: Path) -> None:
    print('ready', flush=True)
    sys.stdin.readline()
    for kind, options in KINDS.items():
        with CachedSession(directory / kind, **options) as session:
            for i, path in enumerate(own_paths(number)):
                for asked in (path, f'shared/{i % SHARED_PAGES}'):
                    response = session.get(url + asked)
                    assert response.content == b'/%s' % asked.encode() * 1000, (
                        f'a wrong body: {response.content[:50]!r}'
                    )
                session.cache.delete(f'no such key {number}')
            assert all(session.get(url + path).from_cache for path in own_paths(number)), 'a lost entry'


if __name__ == '__main__':
    work(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
