"""A process that sends requests through its own session: python flight_worker.py

It reads a JSON object from each line of its input:

- `{"open": KEYWORDS, "lease_seconds": …, "renewal_seconds": …, "clock_ahead": …}` opens a session, and prints `"open"`
- `{"url": …, "options": KEYWORDS}` requests a page, and prints an object with the result
- `{"count": KEY, "times": …}` increments the number in a lease, and prints `"counted"`

Before the result, it prints `"waiting"` each time it begins to wait for another process.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from requests import RequestException

from requests_cache import CachedSession
from requests_cache.engine import leasing

wait_for = leasing.wait_for
real_time = time.time
# A process that polls may be suspended for longer than usual on a busy machine
leasing.LANDED_SECONDS = 20.0


def say(what: object) -> None:
    print(json.dumps(what), flush=True)


def wait_and_say(*args: Any, **kwargs: Any) -> Any:
    say('waiting')
    return wait_for(*args, **kwargs)


def ask(session: CachedSession, url: str, options: dict[str, Any]) -> dict[str, Any]:
    try:
        response: Any = session.get(url, **options)
    except RequestException as e:
        return {'error': type(e).__name__}
    return {
        'status': response.status_code,
        'body': response.text,
        'from_cache': response.from_cache,
        'collapsed': response.cache_status.collapsed,
    }


def count(session: CachedSession, key: str, times: int) -> None:
    """Increment the number in a lease several times"""
    leases = session.cache.leases
    while times:
        old = leases.read(key)
        times -= leases.swap(key, old, str(int(old or 0) + 1))


def work() -> None:
    session: CachedSession | None = None
    for line in sys.stdin:
        order = json.loads(line)
        if session is None or 'open' in order:
            if session is not None:
                session.close()
            leasing.LEASE_SECONDS = order['lease_seconds']
            leasing.RENEWAL_SECONDS = order['renewal_seconds']
            shift = order['clock_ahead']
            time.time = lambda shift=shift: real_time() + shift
            session = CachedSession(single_flight='shared', cache_status=True, **order['open'])
            say('open')
        elif 'count' in order:
            count(session, order['count'], order['times'])
            say('counted')
        else:
            say(ask(session, **order))
    if session is not None:
        session.close()


if __name__ == '__main__':
    leasing.wait_for = wait_and_say
    work()
