"""A body that no single value of a store could hold; in the stress session only, as it takes minutes and gigabytes"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import pytest

from requests_cache import CachedSession

SIZE_BYTES = (2 << 30) + 12_345
BLOCK = bytes(range(256)) * 4096
pytestmark = [
    pytest.mark.skipif('REQUESTS_CACHE_STRESS' not in os.environ, reason='only in the stress session'),
    pytest.mark.timeout(1800),
]


def blocks() -> Iterator[bytes]:
    whole, rest = divmod(SIZE_BYTES, len(BLOCK))
    for _ in range(whole):
        yield BLOCK
    yield BLOCK[:rest]


@pytest.fixture
def url() -> Iterator[str]:
    """A server that sends one huge response"""
    with socket.create_server(('127.0.0.1', 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65536)
                client.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' % SIZE_BYTES)
                for block in blocks():
                    client.sendall(block)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f'http://127.0.0.1:{server.getsockname()[1]}/huge'
        thread.join()


@pytest.mark.parametrize('backend', ['sqlite', 'filesystem'])
def test_more_than_two_gibibytes(backend: str, url: str, tmp_path: Path) -> None:
    expected = blake2b()
    for block in blocks():
        expected.update(block)
    with CachedSession(tmp_path / 'cache', backend=backend) as session:
        for from_cache in (False, True):
            digest, length = blake2b(), 0
            with session.get(url, stream=True) as response:
                assert response.from_cache == from_cache
                for chunk in response.iter_content(1 << 20):
                    digest.update(chunk)
                    length += len(chunk)
            assert (length, digest.digest()) == (SIZE_BYTES, expected.digest())
        hit = session.get(url, stream=True)
        assert hit.size == SIZE_BYTES
        session.cache.clear()
