"""Benchmarks of maintenance: operations on an SQLite cache with many entries"""

from __future__ import annotations

import hashlib
import resource
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import requests
from _sessions import Options
from _timing import Sample, per_call
from requests.structures import CaseInsensitiveDict

OPENINGS = 25
LOOKUPS = 1000
PAST, FUTURE = 1_000_000_000, 4_000_000_000
RSS_UNIT_BYTES = 1 if sys.platform == 'darwin' else 1024


def key(number: int) -> str:
    return hashlib.blake2b(str(number).encode(), digest_size=8).hexdigest()


def prefill(options: Options) -> Sample:
    """Write a cache with many responses, none of them expired"""
    from requests_cache import CachedRequest, CachedResponse, CachedSession

    start = time.perf_counter()
    body = requests.get(options['origin'] + '/json').content
    headers = CaseInsensitiveDict({'Content-Type': 'application/json', 'ETag': '"v1"'})
    with CachedSession(str(Path(options['directory']) / 'cache'), backend='sqlite', fast_save=True) as session:
        storage: Any = session.cache.responses
        with storage.bulk_commit():
            for number in range(options['entries']):
                url = f'http://example.com/{number}'
                response = CachedResponse(
                    content=body,
                    headers=headers,
                    status_code=200,
                    reason='OK',
                    url=url,
                    request=CachedRequest(method='GET', url=url),
                )
                response.reset_expiration(10 * 365 * 86_400)
                storage[key(number)] = response
    return {'seconds': time.perf_counter() - start}


def copy(options: Options, expired_percent: int = 0) -> str:
    """Copy the prefilled cache, let a part of its entries expire, evenly spread, and return its name"""
    place = Path(options['directory'])
    shutil.copytree(options['prefilled'], place, dirs_exist_ok=True)
    if expired_percent:
        with closing(sqlite3.connect(place / 'cache.sqlite')) as connection:
            statement = 'UPDATE responses SET expires = ? WHERE (rowid * 37) % 100 < ?'
            connection.execute(statement, (PAST, expired_percent))
            connection.commit()
    return str(place / 'cache')


def operate(options: Options, operation: Callable[[Any, int], Any], expired_percent: int = 0) -> Sample:
    """Measure an operation on an open cache: its time, and how much memory it takes in addition"""
    from requests_cache import CachedSession

    with CachedSession(copy(options, expired_percent), backend='sqlite') as session:
        assert session.cache.contains(key(1))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds = per_call(lambda: operation(session.cache, options['entries']))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        return {'seconds': seconds, 'megabytes': peak * RSS_UNIT_BYTES / 1e6}


def open_cache(options: Options) -> Sample:
    """Open the cache, look up a key, and close it"""
    from requests_cache import CachedSession

    name = copy(options)

    def call() -> None:
        with closing(CachedSession(name, backend='sqlite')) as session:
            assert session.cache.contains(key(1))

    call()
    return {'seconds': median(per_call(call) for _ in range(OPENINGS))}


def contains_many(cache: Any, entries: int) -> None:
    for number in range(0, entries, max(1, entries // LOOKUPS)):
        assert cache.contains(key(number))


def delete_expired(cache: Any, entries: int) -> None:
    cache.delete(expired=True)


OPERATIONS: dict[str, Callable[[Any, int], Any]] = {
    'len': lambda cache, entries: len(cache.responses),
    'contains': contains_many,
    'urls': lambda cache, entries: cache.urls(),
    'filter': lambda cache, entries: sum(1 for _ in cache.filter(expired=False)),
    'clear': lambda cache, entries: cache.clear(),
}
