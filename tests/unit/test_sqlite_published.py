"""One database file, used by this package and by the published one in turn"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import requests_cache

pytestmark = pytest.mark.differential

# Runs under either package, so it keeps to what both have
SCRIPT = """
import json, sys
from datetime import datetime, timedelta, timezone
from requests_cache import CachedRequest, CachedResponse, SQLiteCache

action, path, serializer, tag = sys.argv[1:]
cache = SQLiteCache(path, serializer=serializer)


def make(name, content=b''):
    url = f'http://example.com/{name}'
    response = CachedResponse(status_code=200, url=url, headers={'Content-Type': 'text/plain'})
    response._content = content
    response.request = CachedRequest(method='GET', url=url)
    return response


if action == 'write':
    for i in range(4):
        response = make(f'{tag}{i}', b'\\xff body' * (i + 1) * (100 if tag == 'a' else 101))
        response.history = [make(f'from-{tag}{i}')]
        cache.save_response(response, f'{tag}{i}', datetime.now(timezone.utc) + timedelta(days=i - 1, seconds=ord(tag)))
    never = make(f'{tag}-never', b'')
    cache.save_response(never, f'{tag}-never')
elif action == 'delete':
    cache.delete(f'{tag}1', f'{tag}2')
    cache.delete(expired=True)
elif action == 'clear':
    cache.clear()
keys = sorted(cache.responses.keys())
found = {key: cache.get_response(key) for key in keys}
print(json.dumps({
    'entries': {k: [r.status_code, r.url, r.content.hex(), str(r.expires), r.is_expired] for k, r in found.items()},
    'history': {k: [h.url for h in r.history] for k, r in found.items()},
    'redirects': sorted(map(list, cache.redirects.items())),
    'counts': [cache.count(), cache.count(expired=False), len(cache.responses)],
    'by expiration': [r.url for r in cache.sorted() if r.expires],
    'by size': [r.url for r in cache.sorted('size', reversed=True, limit=3)],
    'by key': [r.cache_key for r in cache.sorted('key', expired=False)],
    'filtered': sorted(r.url for r in cache.filter(expired=False)),
    'urls': cache.urls(),
}))
cache.close()
"""


def run(python: str, *arguments: str) -> Any:
    package = Path(requests_cache.__file__).parents[1]
    environment = {**os.environ, 'PYTHONPATH': str(package) if python == sys.executable else ''}
    done = subprocess.run([python, '-c', SCRIPT, *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize('serializer', ['pickle', 'json'])
def test_either_package_reads_what_the_other_wrote(serializer: str, tmp_path: Path) -> None:
    published = os.environ['REQUESTS_CACHE_ORACLE']
    path = str(tmp_path / 'cache')
    for writer, action, tag in [
        (sys.executable, 'write', 'a'),
        (published, 'write', 'b'),
        (published, 'delete', 'a'),
        (sys.executable, 'delete', 'b'),
        (published, 'write', 'a'),
        (sys.executable, 'write', 'b'),
        (sys.executable, 'clear', ''),
        (published, 'write', 'a'),
        (published, 'clear', ''),
        (sys.executable, 'write', 'b'),
    ]:
        seen = run(writer, action, path, serializer, tag)
        assert seen == run(sys.executable, 'read', path, serializer, '') == run(published, 'read', path, serializer, '')
    assert seen['counts'] == [5, 4, 5]
