"""Benchmarks of single requests: hits and misses"""

from __future__ import annotations

import random
import sqlite3
import time
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import requests
from _sessions import Options, fetch, open_session, store_response
from _timing import Sample, time_in_turns

BIG_BYTES = 5_000_000


def prepare_with(plain: requests.Session, url: str) -> Callable[[], Any]:
    """A call that prepares a request, which is the least that a hit has to do"""
    return lambda: plain.prepare_request(requests.Request('GET', url))


def hit(options: Options, backend: str) -> Sample:
    url = options['origin'] + '/json'
    with open_session(options, backend) as session, requests.Session() as plain:
        store_response(session, url)
        return time_in_turns({'seconds': partial(fetch, session, url), 'floor': prepare_with(plain, url)})


def hit_strict(options: Options) -> Sample:
    """A hit with `cache_control='strict'` and one with the default settings, both on SQLite"""
    url = options['origin'] + '/json'
    strict = {**options, 'directory': options['directory'] + '/strict'}
    with (
        open_session(options, 'sqlite') as session,
        open_session(strict, 'sqlite', cache_control='strict') as strict_session,
    ):
        for each in (session, strict_session):
            store_response(each, url)
        return time_in_turns({'seconds': partial(fetch, strict_session, url), 'plain': partial(fetch, session, url)})


def hit_redis(options: Options) -> Sample:
    """A hit on Redis, compared with a bare GET of the same bytes and with a hit on SQLite"""
    from redis import Redis

    url = options['origin'] + '/json'
    with (
        Redis(port=options['redis_port']) as client,
        open_session(options, 'redis') as session,
        open_session(options, 'sqlite') as on_sqlite,
    ):
        client.flushdb()
        for each in (session, on_sqlite):
            store_response(each, url)
        (key,) = (name for name in client.scan_iter() if client.type(name) == b'string')
        calls = {
            'seconds': partial(fetch, session, url),
            'get': partial(client.get, key),
            'sqlite': partial(fetch, on_sqlite, url),
        }
        # The server does a part of the work, so CPU time of this process would not count it
        return time_in_turns(calls, clock=time.perf_counter)


def hit_big(options: Options, backend: str) -> Sample:
    """A hit with a large body, compared with reading as many bytes from a table or a file, and the memory it takes"""
    url = f'{options["origin"]}/bytes/{BIG_BYTES}'
    place = Path(options['directory'])
    body = random.Random(0).randbytes(BIG_BYTES)
    with open_session(options, backend) as session, closing(sqlite3.connect(place / 'raw.db')) as connection:
        store_response(session, url)
        connection.execute('CREATE TABLE raw (key TEXT PRIMARY KEY, value BLOB)')
        connection.execute("INSERT INTO raw VALUES ('key', ?)", (body,))
        connection.commit()
        (place / 'raw').write_bytes(body)
        select = "SELECT value FROM raw WHERE key = 'key'"
        raw = {
            'sqlite': lambda: connection.execute(select).fetchone(),
            'filesystem': (place / 'raw').read_bytes,
        }[backend]
        sample = time_in_turns({'seconds': partial(fetch, session, url), 'raw': raw})
        tracemalloc.start()
        fetch(session, url)
        sample['copies'] = tracemalloc.get_traced_memory()[1] / BIG_BYTES
        tracemalloc.stop()
        return sample


def miss(options: Options, backend: str) -> Sample:
    """A miss, compared with the same request by plain `requests`; `seconds` is the difference"""
    numbers = count()

    def fetch_next(session: Any) -> int:
        return fetch(session, f'{options["origin"]}/json/{next(numbers)}')

    with open_session(options, backend) as session, requests.Session() as plain:
        calls = {'whole': partial(fetch_next, session), 'origin': partial(fetch_next, plain)}
        sample = time_in_turns(calls, clock=time.perf_counter)
        return {**sample, 'seconds': sample['whole'] - sample['origin']}
