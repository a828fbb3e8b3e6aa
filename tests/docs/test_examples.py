"""The examples run as a newcomer runs them: as scripts, with nothing but this machine"""

from __future__ import annotations

import re
import shutil
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


def test_the_template_of_a_backend_writes_a_line_for_each_response(tmp_path: Path) -> None:
    output = run('backend_template.py')
    assert re.findall(r'from cache: (\w+)', output) == ['False', 'True']
    assert len((tmp_path / 'recorded.jsonl').read_text().splitlines()) == 1


def test_the_template_of_a_backend_keeps_the_contract(tmp_path: Path) -> None:
    """In a directory of its own, as others would have it, without the settings of this project"""
    for name in ('backend_template.py', 'local_api.py', 'test_backend_template.py'):
        shutil.copy(EXAMPLES / name, tmp_path)
    options = ['-q', '-p', 'no:xdist', '-p', 'no:cacheprovider', '-W', 'error', '--hypothesis-seed=0']
    command = [sys.executable, '-m', 'pytest', *options, 'test_backend_template.py']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    passed = re.search(r'^(\d+) passed, \d+ skipped in', done.stdout, re.M)
    assert passed is not None, done.stdout + done.stderr
    assert int(passed[1]) > 150
