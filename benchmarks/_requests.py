"""Cases of single requests: hits and misses"""

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
from _opening import Options, fetched, opened, store
from _timing import Sample, turn_by_turn

BIG_BYTES = 5_000_000


def preparing(plain: requests.Session, url: str) -> Callable[[], Any]:
    """The floor: what `requests` does before a cache is asked"""
    return lambda: plain.prepare_request(requests.Request('GET', url))


def hit(options: Options, backend: str) -> Sample:
    url = options['origin'] + '/json'
    with opened(options, backend) as session, requests.Session() as plain:
        store(session, url)
        return turn_by_turn({'seconds': partial(fetched, session, url), 'floor': preparing(plain, url)})


def hit_strict(options: Options) -> Sample:
    """A hit by the standard beside one by the default settings, both on SQLite"""
    url = options['origin'] + '/json'
    strict = {**options, 'directory': options['directory'] + '/strict'}
    with opened(options, 'sqlite') as session, opened(strict, 'sqlite', cache_control='strict') as strict_session:
        for each in (session, strict_session):
            store(each, url)
        return turn_by_turn({'seconds': partial(fetched, strict_session, url), 'plain': partial(fetched, session, url)})


def hit_redis(options: Options) -> Sample:
    """A hit on Redis beside the parts it is made of: a bare GET of the same bytes, and a hit on SQLite"""
    from redis import Redis

    url = options['origin'] + '/json'
    with (
        Redis(port=options['redis_port']) as client,
        opened(options, 'redis') as session,
        opened(options, 'sqlite') as on_sqlite,
    ):
        client.flushdb()
        for each in (session, on_sqlite):
            store(each, url)
        (key,) = (name for name in client.scan_iter() if client.type(name) == b'string')
        calls = {
            'seconds': partial(fetched, session, url),
            'get': partial(client.get, key),
            'sqlite': partial(fetched, on_sqlite, url),
        }
        # The other half of the work is done by the server
        return turn_by_turn(calls, clock=time.perf_counter)


def hit_big(options: Options, backend: str) -> Sample:
    """A hit with a large body, beside reading as many bytes from a table or a file; and the memory it takes"""
    url = f'{options["origin"]}/bytes/{BIG_BYTES}'
    place = Path(options['directory'])
    body = random.Random(0).randbytes(BIG_BYTES)
    with opened(options, backend) as session, closing(sqlite3.connect(place / 'raw.db')) as connection:
        store(session, url)
        connection.execute('CREATE TABLE raw (key TEXT PRIMARY KEY, value BLOB)')
        connection.execute("INSERT INTO raw VALUES ('key', ?)", (body,))
        connection.commit()
        (place / 'raw').write_bytes(body)
        select = "SELECT value FROM raw WHERE key = 'key'"
        raw = {
            'sqlite': lambda: connection.execute(select).fetchone(),
            'filesystem': (place / 'raw').read_bytes,
        }[backend]
        sample = turn_by_turn({'seconds': partial(fetched, session, url), 'raw': raw})
        tracemalloc.start()
        fetched(session, url)
        sample['copies'] = tracemalloc.get_traced_memory()[1] / BIG_BYTES
        tracemalloc.stop()
        return sample


def miss(options: Options, backend: str) -> Sample:
    """A new response beside the same request by plain `requests`: the difference is what caching adds"""
    numbers = count()

    def fetch(session: Any) -> int:
        return fetched(session, f'{options["origin"]}/json/{next(numbers)}')

    with opened(options, backend) as session, requests.Session() as plain:
        calls = {'whole': partial(fetch, session), 'origin': partial(fetch, plain)}
        sample = turn_by_turn(calls, clock=time.perf_counter)
        return {**sample, 'seconds': sample['whole'] - sample['origin']}
