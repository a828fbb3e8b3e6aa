"""Benchmarks of bounded caches: the cost of a write and of a hit, and how much is kept in the end

Writes alternate between a bounded and an unbounded storage, a few at a time, so that load on the machine affects both.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from _entries import key
from _origin import DOCUMENT
from _sessions import Options, fetch, open_session, store_response
from _timing import Sample, time_in_turns

# Number of writes in a row to the same storage
TURN = 10
# How many times the bound is written
TIMES = 10
KINDS = ('bounded', 'unbounded')
# Length of a body in bytes, and number of writes; the largest bodies are kept in pieces
BODIES = {'small': (len(DOCUMENT), 5000), '10kb': (10_000, 2000), '1mb': (1_200_000, 100)}


@dataclass(frozen=True)
class Store:
    """A store to measure

    Args:
        backend: The name of its backend
        entry_bytes: Approximate size of an entry without its body
        settings: Keywords of the backend
    """

    backend: str
    entry_bytes: int
    settings: Options = field(default_factory=dict)


STORES = {
    'memory': Store('memory', 1100),
    'sqlite': Store('sqlite', 500),
    'sqlite-fast': Store('sqlite', 500, {'fast_save': True}),
    'filesystem': Store('filesystem', 550),
    'redis': Store('redis', 700),
}


@contextmanager
def open_both(options: Options, store: Store, bound: int) -> Iterator[dict[str, Any]]:
    """Open a session on a bounded store, and another one on an unbounded store"""
    bounded, unbounded = ({**options, 'directory': f'{options["directory"]}/{kind}'} for kind in KINDS)
    with (
        open_session(bounded, store.backend, **store.settings, max_cache_bytes=bound) as one,
        open_session(unbounded, store.backend, **store.settings) as other,
    ):
        yield dict(zip(KINDS, (one, other), strict=True))


def response_of(length: int) -> Any:
    from requests.structures import CaseInsensitiveDict

    from requests_cache import CachedRequest, CachedResponse

    response = CachedResponse(
        content=DOCUMENT if length == len(DOCUMENT) else random.Random(0).randbytes(length),
        headers=CaseInsensitiveDict({'Content-Type': 'application/json', 'ETag': '"v1"'}),
        status_code=200,
        reason='OK',
        url='http://example.com/',
        request=CachedRequest(method='GET', url='http://example.com/'),
    )
    response.reset_expiration(86_400)
    return response


def fill(options: Options) -> Sample:
    """Write ten times as much as the bound; measures all writes, the slowest one, and what is kept"""
    store, (length, writes) = STORES[options['store']], BODIES[options['body']]
    writes = max(2, int(writes * options['scale']) // TURN) * TURN
    bound, response = (length + store.entry_bytes) * writes // TIMES, response_of(length)
    with open_both(options, store, bound) as sessions:
        storages = {kind: session.cache.responses for kind, session in sessions.items()}
        taken = {kind: Timings() for kind in KINDS}
        for storage in storages.values():
            # The first write imports modules and creates tables
            storage['first'] = response
        # Otherwise it would be chance which storage pays for garbage collection
        gc.disable()
        for start in range(0, writes, TURN):
            for kind in KINDS if start // TURN % 2 == 0 else KINDS[::-1]:
                taken[kind].write(storages[kind], response, range(start, start + TURN))
        gc.enable()
        sample: Sample = {'bound': bound, 'size': size_of(options, store)}
        sample |= {f'{kind} entries': len(storage) for kind, storage in storages.items()}
    for kind, each in taken.items():
        sample |= {kind: sum(each.seconds), f'{kind} cpu': each.cpu_seconds, f'{kind} slowest': max(each.seconds)}
    return sample


class Timings:
    """The times of the writes to one storage"""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.cpu_seconds = 0.0

    def write(self, storage: Any, response: Any, numbers: range) -> None:
        names = [key(number) for number in numbers]
        cpu_before = time.process_time()
        for name in names:
            before = time.perf_counter()
            storage[name] = response
            self.seconds.append(time.perf_counter() - before)
        self.cpu_seconds += time.process_time() - cpu_before


def size_of(options: Options, store: Store) -> int:
    """Size of the bounded storage in bytes; 0 in memory, where it is not known"""
    place = Path(options['directory'], 'bounded')
    if store.backend == 'redis':
        from redis import Redis

        with Redis(port=options['redis_port']) as client:
            return sum(client.memory_usage(name, samples=0) for name in client.scan_iter(f'{place}*', 1000))
    return sum(path.stat().st_size for path in place.rglob('*') if path.is_file()) if store.backend != 'memory' else 0


def hits(options: Options) -> Sample:
    """Seconds for a hit on a bounded and on an unbounded storage"""
    url, store = options['origin'] + '/json', STORES[options['store']]
    with open_both(options, store, 1_000_000) as sessions:
        for session in sessions.values():
            store_response(session, url)
        calls: dict[str, Callable[[], Any]] = {kind: partial(fetch, s, url) for kind, s in sessions.items()}
        # The server does a part of the work, so CPU time of this process would not count it
        return time_in_turns(calls, time.perf_counter if store.backend == 'redis' else time.process_time)
