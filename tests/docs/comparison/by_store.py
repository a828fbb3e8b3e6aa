"""Rows that do not depend on the mode: what is in a store, and what a hit looks like"""

from __future__ import annotations

import gzip
import os
import pickle
import sqlite3
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from probe import FRESH, Probe
from server import Answer

SECRETS = {'parameter': 'secret-of-the-query', 'header': 'secret-of-the-header'}


def restart(probe: Probe) -> bool:
    url = probe.page(FRESH)
    probe.open().get(url)
    probe.open(again=True).get(url)
    return probe.sent() == 1


def compressed(probe: Probe) -> bool:
    url, session = probe.page(FRESH, ('Content-Encoding', 'gzip'), body=gzip.compress(b'text' * 100)), probe.open()
    return session.get(url).content == session.get(url).content == b'text' * 100 and probe.sent() == 1


def repeated_header_fields(probe: Probe) -> bool:
    url = probe.page(FRESH, ('X-Repeated', '1'), ('X-Repeated', '2'))
    probe.open().get(url)
    return probe.open(again=True).get(url).raw.headers.getlist('X-Repeated') == ['1', '2']


def cookies_of_hits(probe: Probe) -> bool:
    url = probe.page(FRESH, ('Set-Cookie', 'a=1'))
    probe.open().get(url)
    return dict(probe.open(again=True).get(url).cookies) == {'a': '1'}


def requests_of_ten_threads(probe: Probe) -> str:
    together, arrived = threading.Barrier(10), threading.Barrier(10)

    def page(request: Any) -> Answer:
        with suppress(threading.BrokenBarrierError):
            arrived.wait(timeout=2)  # so that whoever sends a request has done so before the first one is answered
        return 200, [FRESH], b'slow'

    url, session = probe.program(page), probe.open()

    def ask(_: int) -> None:
        together.wait()
        session.get(url)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(ask, range(10)))
    return str(probe.sent())


def broken_store(probe: Probe) -> bool:
    url = probe.page(FRESH)
    name = probe.next_store
    for path in (Path(name), Path(f'{name}.sqlite'), Path(f'{name}.db')):
        path.write_bytes(b'This is no store. ' * 500)
    try:
        return probe.open().get(url).status_code == 200
    except (OSError, sqlite3.Error):
        return False


def no_secrets(probe: Probe) -> bool:
    url, session = probe.page(('Cache-Control', 'public, max-age=60')), probe.open()
    session.get(f'{url}?api_key={SECRETS["parameter"]}', headers={'Authorization': f'Bearer {SECRETS["header"]}'})
    stored = b''.join(path.read_bytes() for path in probe.files())
    assert stored
    return not any(secret.encode() in stored for secret in SECRETS.values())


class _Payload:
    def __reduce__(self) -> Any:
        return os.mkdir, ('code-was-run',)


def runs_no_code(probe: Probe) -> bool:
    url = probe.page(FRESH)
    probe.open().get(url)
    payload = pickle.dumps(_Payload())
    for path in probe.files():
        if path.suffix in ('.sqlite', '.db'):
            _put_into_all_values(path, payload)
        elif not path.suffix.startswith(('.db-', '.sqlite-')):
            path.write_bytes(payload)
    try:
        probe.open(again=True).get(url)
    except Exception as error:
        print(f'reading it raised {error!r}', file=sys.stderr)
    return not Path('code-was-run').exists()


def _put_into_all_values(path: Path, payload: bytes) -> None:
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for column in [row[1] for row in connection.execute(f'PRAGMA table_info({table})') if row[2] == 'BLOB']:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE typeof({column}) = 'blob'", (payload,))
    connection.close()


def for_the_owner_only(probe: Probe) -> bool:
    url = probe.page(FRESH)
    probe.open().get(url)
    return all(path.stat().st_mode & 0o077 == 0 for path in probe.files())


def lists_urls(probe: Probe) -> bool:
    url, session = probe.page(FRESH), probe.open()
    session.get(url)
    return hasattr(session, 'cache') and session.cache.urls() == [url]


def is_an_adapter(probe: Probe) -> bool:
    """Whether the cache can be put into a session that exists, and into which nothing was put before"""
    url, cached, plain = probe.page(FRESH), probe.open(), requests.Session()
    for prefix, adapter in cached.adapters.items():
        plain.mount(prefix, adapter)
    plain.get(url)
    plain.get(url)
    return probe.sent() == 1


ANY: dict[str, Callable[[Probe], bool | str]] = {
    'Survives a restart': restart,
    'Compressed bodies': compressed,
    'Header fields that come twice': repeated_header_fields,
    'Cookies of hits': cookies_of_hits,
    'Requests sent for 10 equal ones at the same time': requests_of_ten_threads,
    'Requests go on if the store is damaged': broken_store,
    'No credentials in the store': no_secrets,
    'Reading the store runs no code': runs_no_code,
    'Files for their owner only': for_the_owner_only,
    'Lists the stored URLs': lists_urls,
    'Adapter that can be mounted on any session': is_an_adapter,
}
