"""A process whose memory is measured while it gets a page: python memory_worker.py URL DIRECTORY KIND STREAM

KIND is `plain`, `miss` or `hit`. Prints by how many bytes its memory grew at most.
"""

from __future__ import annotations

import gc
import hashlib
import sys
from pathlib import Path

import requests

from requests_cache import CachedSession

STATUS = Path('/proc/self/status')


def memory(name: str) -> int:
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith(name))


def get(session: requests.Session, url: str, stream: bool) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    with session.get(url, stream=stream) as response:
        if not stream:
            return hashlib.sha1(response.content, usedforsecurity=False).hexdigest()
        for piece in response.iter_content(64 * 1024):
            digest.update(piece)
    return digest.hexdigest()


def peak(url: str, directory: Path, kind: str, stream: bool) -> int:
    session = requests.Session() if kind == 'plain' else CachedSession(directory / 'cache')
    for _ in range(2):
        get(session, f'{url}warm', stream)  # loads all that is needed
    if kind == 'miss':
        session.cache.clear()  # type: ignore[attr-defined]
    gc.collect()
    Path('/proc/self/clear_refs').write_text('5')
    before = memory('VmRSS')
    digest = get(session, f'{url}page', stream)
    after = memory('VmHWM')
    session.close()
    print(digest, after - before)
    return after - before


if __name__ == '__main__':
    peak(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4] == 'stream')
