"""Run one benchmark with one library in this process, and print the sample as JSON

    python _worker.py '{"library": "requests_cache", "case": "hit-sqlite", "origin": "http://127.0.0.1:1", ...}'

`seconds` is the cost of one operation. Other values depend on the benchmark. For large bodies, see `_streams.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial

import _bounds
import _concurrency
import _entries
import _hit_rates
import _requests
import _streams
from _sessions import Options
from _timing import Sample

CASES: dict[str, Callable[[Options], Sample]] = {
    'hit-memory': partial(_requests.hit, backend='memory'),
    'hit-sqlite': partial(_requests.hit, backend='sqlite'),
    'hit-filesystem': partial(_requests.hit, backend='filesystem'),
    'hit-redis': _requests.hit_redis,
    'hit-strict': _requests.hit_strict,
    'hit-5mb-sqlite': partial(_requests.hit_big, backend='sqlite'),
    'hit-5mb-filesystem': partial(_requests.hit_big, backend='filesystem'),
    'miss-sqlite': partial(_requests.miss, backend='sqlite'),
    'miss-filesystem': partial(_requests.miss, backend='filesystem'),
    'bounds-fill': _bounds.fill,
    'bounds-hit': _bounds.hits,
    'bounds-rates': _hit_rates.hit_rates,
    'entries-prefill': _entries.prefill,
    'entries-open': _entries.open_cache,
    'threads-8': partial(_concurrency.threads, number=8),
    'processes-4': partial(_concurrency.processes, number=4),
    'callers-50': partial(_concurrency.callers, number=50),
}
for _name, _operation in _entries.OPERATIONS.items():
    CASES[f'entries-{_name}'] = partial(_entries.operate, operation=_operation)
for _percent in (10, 50, 100):
    CASES[f'entries-expired-{_percent}'] = partial(
        _entries.operate, operation=_entries.delete_expired, expired_percent=_percent
    )
for _backend in ('sqlite', 'filesystem', 'memory'):
    for _size in ('', 'large-'):
        CASES[f'{_size}stream-{_backend}'] = partial(_streams.large_body, backend=_backend, is_streamed=True)
        CASES[f'{_size}whole-{_backend}'] = partial(_streams.large_body, backend=_backend, is_streamed=False)


def main() -> None:
    options = json.loads(sys.argv[1])
    print(json.dumps(CASES[options['case']](options)))


if __name__ == '__main__':
    main()
