"""The examples run as a newcomer runs them: as scripts, with nothing but this machine"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / 'examples'


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, '-X', 'dev', '-W', 'error', str(EXAMPLES / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
    return done.stdout


def free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        return int(listener.getsockname()[1])


def passes(output: str) -> list[tuple[str, ...]]:
    """From-cache count and requests to the server, of each pass"""
    return re.findall(r'^\w+ pass +[\d.]+ +(\d+/\d+) +(\d+)$', output, re.M)


def test_quickstart_fetches_once_and_keeps_the_cache_for_the_next_run(tmp_path: Path) -> None:
    port = free_port()
    first, second = run('quickstart.py', port), run('quickstart.py', port)
    assert passes(first) == [('0/10', '10'), ('10/10', '0')]
    assert passes(second) == [('10/10', '0'), ('10/10', '0')]
    assert str(tmp_path / 'my_cache.sqlite') in first
    assert (tmp_path / 'my_cache.sqlite').stat().st_size > 0


def test_expiration_follows_patterns_requests_and_servers() -> None:
    output = run('expiration.py')
    assert re.search(r'/static/logo, second request +from cache +expires -', output)
    assert re.search(r'/live/score, second request +from server', output)


def test_patching_caches_only_inside() -> None:
    assert re.findall(r'answered (\d) of 3', run('patching.py')) == ['1', '3', '3']
