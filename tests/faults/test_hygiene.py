"""Sessions that come and go, or are never closed, leave nothing open and say nothing when the interpreter exits"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from support.backend_plugins import BACKEND_PLUGINS
from support.redis_server import wait_until

import requests_cache
from faults.local_caches import BACKENDS, BODY, LOCAL, PERSISTENT
from faults.scripted import Scripted
from faults.stress import STRESS
from requests_cache import CachedSession
from requests_cache.testing.origin import Origin, answer

pytest_plugins = BACKEND_PLUGINS

SESSIONS = 60 if STRESS == 1 else 300
# A client of these takes long to make
SLOW = ('mongodb', 'gridfs', 'dynamodb')
needs_descriptors = pytest.mark.skipif(not Path('/proc/self/fd').exists(), reason='open files cannot be listed')


def use(options: dict[str, Any], number: int) -> CachedSession:
    session = CachedSession(**options)
    session.mount('http://', Scripted())
    for path in (number, 'same'):
        assert session.get(f'http://example.com/{path}').content == b'body'
    return session


def descriptors() -> int:
    gc.collect()
    return len(list(Path('/proc/self/fd').iterdir()))


def assert_no_more_than(before: int) -> None:
    # Threads of a driver close what they have when they end, which takes them a moment
    wait_until(lambda: descriptors() <= before, 'what is open to be closed')


@needs_descriptors
@pytest.mark.parametrize('name', BACKENDS)
def test_sessions_that_were_closed_leave_no_descriptor(name: str, backend_options: dict[str, Any]) -> None:
    use(backend_options, 0).close()
    before = descriptors()
    for number in range(SESSIONS // 3 if name in SLOW else SESSIONS):
        use(backend_options, number).close()
    assert_no_more_than(before)


@needs_descriptors
@pytest.mark.parametrize('name', LOCAL)
def test_sessions_that_were_forgotten_leave_no_descriptor(name: str, backend_options: dict[str, Any]) -> None:
    use(backend_options, 0).close()
    before = descriptors()
    for number in range(SESSIONS):
        use(backend_options, number)
    assert_no_more_than(before)


@needs_descriptors
@pytest.mark.parametrize('name', PERSISTENT)
def test_a_session_that_cannot_store_leaves_no_descriptor(name: str, backend_options: dict[str, Any]) -> None:
    """Each attempt opens something, and fails"""
    path = Path(backend_options['cache_name'])
    (path if 'filesystem' in name else path.with_suffix('.sqlite')).parent.mkdir(parents=True)
    session = use(backend_options, 0)
    for part in path.parent.rglob('*'):
        if part.is_file():
            part.write_bytes(b'This is not what it was. ' * 400)
    before = descriptors()
    for number in range(SESSIONS):
        assert session.get(f'http://example.com/{number}').content == b'body'
        session.cache.close()
    assert_no_more_than(before)
    session.close()


AT_EXIT = """
import json, sys, threading
from requests_cache import CachedSession, install_cache
import requests

how, url, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
session = CachedSession(**options, stale_while_revalidate=True)
session.get(url + 'page')
session.get(url + 'page')
if how == 'in threads':
    def work(number):
        while True:
            session.get(f'{url}page?{number}', force_refresh=True)
            session.cache.delete('no such key')
    for number in range(4):
        threading.Thread(target=work, args=(number,), daemon=True).start()
    session.get(url + 'page?once')
if how == 'renewing':
    session.get(url + 'slow', expire_after=-10)
    assert session.get(url + 'slow').from_cache
if how == 'iterating':
    entries = session.cache.filter()
    next(entries)
if how == 'in a cycle':
    session.itself = session
    session.cache.itself = session.cache
if how == 'installed':
    install_cache(**options)
    requests.get(url + 'page')
if how == 'exception':
    raise SystemExit(0)
print('done')
"""


@pytest.mark.parametrize(
    ('how', 'name'),
    [
        *product(['in threads', 'renewing'], BACKENDS),
        *product(
            ['idle', 'iterating', 'in a cycle', 'installed', 'exception'], ['sqlite', 'filesystem-lru', 'mongodb']
        ),
    ],
)
def test_an_unclosed_session_at_exit(how: str, name: str, backend_options: dict[str, Any], origin: Origin) -> None:
    hold = origin.hold()
    origin.default = answer(200, BODY)
    origin.add('/slow', answer(200, BODY), answer(200, BODY, hold=hold))
    path = os.pathsep.join([str(Path(requests_cache.__file__).parents[1]), *sys.path])
    process = subprocess.run(
        [sys.executable, '-X', 'dev', '-c', AT_EXIT, how, origin.url('/'), json.dumps(backend_options)],
        env={**os.environ, 'PYTHONPATH': path}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    hold.release()
    assert process.returncode == 0, process.stderr
    complaints = [line for line in process.stderr.splitlines() if line and not line.startswith(' ')]
    # The second line is that of pymongo's own
    allowed = ('ResourceWarning', 'Call MongoClient.close()')
    assert [line for line in complaints if not any(text in line for text in allowed)] == []
