"""Measure one case with one library in this process, by public names only, and print seconds as JSON.

    python _worker.py '{"library": "requests_cache", "case": "hit-json-sqlite", "origin": "http://127.0.0.1:1", ...}'

``seconds`` is the cost of one operation (of a whole operation on all entries for ``entries-…``). Where there is a
``floor_seconds``, it was measured in the same process, turn by turn with the operation: preparing the same request for
a hit, the same request by plain `requests` for a miss.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

BATCHES = 9
BATCH_SECONDS = 0.1
BIG_BYTES = 5_000_000
EXPIRED_EVERY = 10

Options = dict[str, Any]
Result = dict[str, float]


def per_call(call: Callable[[], Any], number: int) -> float:
    start = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - start) / number


def number_for(call: Callable[[], Any]) -> int:
    """How many calls fill a batch."""
    number = 1
    while (cost := per_call(call, number)) * number < BATCH_SECONDS / 4:
        number *= 2
    return max(1, round(BATCH_SECONDS / cost))


def turn_by_turn(call: Callable[[], Any], floor: Callable[[], Any]) -> Result:
    """Medians over batches of *call* and of *floor*, alternating so that both see the same machine."""
    numbers = number_for(call), number_for(floor)
    pairs = [(per_call(call, numbers[0]), per_call(floor, numbers[1])) for _ in range(BATCHES)]
    return {'seconds': median(pair[0] for pair in pairs), 'floor_seconds': median(pair[1] for pair in pairs)}


@contextmanager
def opened(options: Options, backend: str) -> Iterator[Any]:
    """A caching session of the library on *backend*, in a new place."""
    place = Path(options['directory'])
    if options['library'] == 'requests_cache':
        import requests_cache

        with requests_cache.CachedSession(str(place / 'cache'), backend=backend) as session:
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
        files = caches.FileCache(str(place / 'files')) if backend == 'filesystem' else None
        cachecontrol.CacheControl(session, cache=files)


def hit(options: Options, backend: str, path: str) -> Result:
    import requests

    url = options['origin'] + path
    with opened(options, backend) as session, requests.Session() as plain:
        served = session.get(url).headers['X-Served']

        def read() -> int:
            return len(session.get(url).content)

        for _ in range(3):
            assert session.get(url).headers['X-Served'] == served, 'not a hit'
        return turn_by_turn(read, lambda: plain.prepare_request(requests.Request('GET', url)))


def miss(options: Options, backend: str) -> Result:
    import requests

    numbers = count()
    with opened(options, backend) as session, requests.Session() as plain:

        def fetch(by: Any) -> int:
            return len(by.get(f'{options["origin"]}/json/{next(numbers)}').content)

        return turn_by_turn(lambda: fetch(session), lambda: fetch(plain))


def importing(options: Options) -> Result:
    import sqlite3  # noqa: F401

    import requests  # noqa: F401

    start = time.perf_counter()
    import_module(options['library'])
    return {'seconds': time.perf_counter() - start}


def prefill(options: Options) -> Result:
    """Write a cache of ``entries`` responses, every tenth of them expired, for the ``entries-…`` cases."""
    import requests
    from requests.structures import CaseInsensitiveDict

    from requests_cache import CachedRequest, CachedResponse, CachedSession

    with CachedSession(str(Path(options['directory']) / 'cache'), backend='sqlite', fast_save=True) as session:
        start = time.perf_counter()
        fetched = requests.get(options['origin'] + '/json')
        headers = CaseInsensitiveDict({'Content-Type': 'application/json', 'ETag': '"v1"'})
        storage: Any = session.cache.responses
        with storage.bulk_commit():
            for number in range(options['entries']):
                url = f'http://example.com/{number}'
                response = CachedResponse(
                    content=fetched.content,
                    headers=headers,
                    status_code=200,
                    reason='OK',
                    url=url,
                    request=CachedRequest(method='GET', url=url),
                )
                response.reset_expiration(-60 if number % EXPIRED_EVERY == 0 else 3600)
                storage[f'{number:016x}'] = response
        return {'seconds': time.perf_counter() - start}


def on_entries(options: Options, operation: Callable[[Any, int], Any]) -> Result:
    """Time *operation* on an opened copy of the prefilled cache."""
    from requests_cache import CachedSession

    place = Path(options['directory'])
    shutil.copytree(options['prefilled'], place, dirs_exist_ok=True)
    with CachedSession(str(place / 'cache'), backend='sqlite') as session:
        assert session.cache.contains(f'{1:016x}')
        start = time.perf_counter()
        operation(session.cache, options['entries'])
        return {'seconds': time.perf_counter() - start}


def opening(options: Options) -> Result:
    """Open the prefilled cache and look one key up, again and again."""
    from requests_cache import CachedSession

    place = Path(options['directory'])
    shutil.copytree(options['prefilled'], place, dirs_exist_ok=True)

    def call() -> None:
        with closing(CachedSession(str(place / 'cache'), backend='sqlite')) as session:
            assert session.cache.contains(f'{1:016x}')

    call()
    return {'seconds': median(per_call(call, 1) for _ in range(BATCHES * 3))}


def contains_many(cache: Any, entries: int) -> None:
    for number in range(0, entries, max(1, entries // 1000)):
        assert cache.contains(f'{number:016x}')


OPERATIONS: dict[str, Callable[[Any, int], Any]] = {
    'entries-len': lambda cache, entries: len(cache.responses),
    'entries-contains-1000': contains_many,
    'entries-urls': lambda cache, entries: cache.urls(),
    'entries-filter': lambda cache, entries: sum(1 for _ in cache.filter(expired=False)),
    'entries-delete-expired': lambda cache, entries: cache.delete(expired=True),
    'entries-clear': lambda cache, entries: cache.clear(),
}
CASES: dict[str, Callable[[Options], Result]] = {
    'hit-json-memory': lambda options: hit(options, 'memory', '/json'),
    'hit-json-sqlite': lambda options: hit(options, 'sqlite', '/json'),
    'hit-json-filesystem': lambda options: hit(options, 'filesystem', '/json'),
    'hit-5mb-sqlite': lambda options: hit(options, 'sqlite', f'/bytes/{BIG_BYTES}'),
    'hit-5mb-filesystem': lambda options: hit(options, 'filesystem', f'/bytes/{BIG_BYTES}'),
    'miss-json-sqlite': lambda options: miss(options, 'sqlite'),
    'miss-json-filesystem': lambda options: miss(options, 'filesystem'),
    'import': importing,
    'entries-prefill': prefill,
    'entries-open': opening,
}
for _name, _operation in OPERATIONS.items():
    CASES[_name] = partial(on_entries, operation=_operation)


def main() -> None:
    options = json.loads(sys.argv[1])
    result = CASES[options['case']](options)
    print(json.dumps(result))


if __name__ == '__main__':
    main()
