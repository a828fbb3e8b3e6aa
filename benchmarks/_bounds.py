"""Cases of bounds: what they cost a write and a hit, and how much is kept in the end

A bounded and an unbounded storage take turns, a few writes each, so that both see the same machine.
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
from _opening import Options, fetched, opened
from _opening import store as have_stored
from _origin import DOCUMENT
from _timing import Sample, turn_by_turn

# So many writes in a row go to one of them
TURN = 10
# What is written is so many times the bound
TIMES = 10
KINDS = ('bounded', 'unbounded')
# Bytes of a body, and how many of them are written; the last ones are kept in pieces
BODIES = {'small': (len(DOCUMENT), 5000), '10kb': (10_000, 2000), '1mb': (1_200_000, 100)}


@dataclass(frozen=True)
class Store:
    """A store to measure

    Args:
        backend: The name of its backend
        entry_bytes: What an entry takes beside its body, about
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
def both_opened(options: Options, store: Store, bound: int) -> Iterator[dict[str, Any]]:
    """A session on a store with a bound, and one on another without"""
    bounded, unbounded = ({**options, 'directory': f'{options["directory"]}/{kind}'} for kind in KINDS)
    with (
        opened(bounded, store.backend, **store.settings, max_cache_bytes=bound) as one,
        opened(unbounded, store.backend, **store.settings) as other,
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


def filling(options: Options) -> Sample:
    """Write ten times as much as the bound: seconds for each write and for the slowest one, and what is kept"""
    store, (length, writes) = STORES[options['store']], BODIES[options['body']]
    writes = max(2, int(writes * options['scale']) // TURN) * TURN
    bound, response = (length + store.entry_bytes) * writes // TIMES, response_of(length)
    with both_opened(options, store, bound) as sessions:
        storages = {kind: session.cache.responses for kind, session in sessions.items()}
        taken = {kind: Taken() for kind in KINDS}
        for storage in storages.values():
            # Imports what it takes, and makes tables
            storage['first'] = response
        # Whose turn it is when the collector runs is chance, and what it takes depends on all there is
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


class Taken:
    """What writes to one storage have taken"""

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
    """Bytes that the bounded storage takes up; 0 in memory, where that cannot be said"""
    place = Path(options['directory'], 'bounded')
    if store.backend == 'redis':
        from redis import Redis

        with Redis(port=options['redis_port']) as client:
            return sum(client.memory_usage(name, samples=0) for name in client.scan_iter(f'{place}*', 1000))
    return sum(path.stat().st_size for path in place.rglob('*') if path.is_file()) if store.backend != 'memory' else 0


def hits(options: Options) -> Sample:
    """Seconds that a hit takes on a bounded storage, and on an unbounded one"""
    url, store = options['origin'] + '/json', STORES[options['store']]
    with both_opened(options, store, 1_000_000) as sessions:
        for session in sessions.values():
            have_stored(session, url)
        calls: dict[str, Callable[[], Any]] = {kind: partial(fetched, s, url) for kind, s in sessions.items()}
        # The other half of the work is done by the server
        return turn_by_turn(calls, time.perf_counter if store.backend == 'redis' else time.process_time)
