"""A MongoDB server on loopback: SecantusDB, which speaks MongoDB's wire protocol and comes from PyPI

    with MongoServer() as server, MongoClient(server.host, server.port) as client:
        ...

It needs CPython 3.12 or 3.13, and runs in its own process. On first use, its packages are installed into the user's
cache directory. If that is not possible, a `NotAvailableError` gives the reason, and `mongodb_fixtures` skip the test.
"""

from __future__ import annotations

import glob
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

import platformdirs

from support.server_process import ServerProcess

REQUIREMENT = 'secantusdb==0.7.0b3'
VERSIONS = ('3.12', '3.13')
PATIENCE_SECONDS = 60
INSTALL_PATIENCE_SECONDS = 600

# Saved before the tests change the environment
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(('PYTHON', 'PYENV_VERSION', 'COV_'))}
PYENV_VERSIONS = Path(os.environ.get('PYENV_ROOT', Path.home() / '.pyenv')) / 'versions'
CACHE = platformdirs.user_cache_path('requests-cache-tests')
TEMPORARY = tempfile.gettempdir()


# The driver logs every command in full
logging.getLogger('pymongo').setLevel(logging.WARNING)


class NotAvailableError(Exception):
    """The server cannot run on this machine, for the reason in the message"""


def _candidates() -> Iterator[str]:
    yield getattr(sys, '_base_executable', sys.executable)
    for version in VERSIONS:
        yield from sorted(glob.glob(str(PYENV_VERSIONS / f'{version}.*' / 'bin' / 'python')), reverse=True)
        for folder in ENVIRONMENT.get('PATH', '').split(os.pathsep):
            yield str(Path(folder) / f'python{version}')


def _version(python: str) -> str | None:
    code = 'import sys; print(sys.implementation.name, "%d.%d" % sys.version_info[:2])'
    try:
        done = subprocess.run([python, '-c', code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    name, _, version = done.stdout.strip().partition(' ')
    return version if name == 'cpython' and version in VERSIONS else None


@cache
def installed() -> tuple[str, Path]:
    """Install the server if necessary; returns an interpreter, and the directory with the packages

    Raises:
        NotAvailableError: There is no interpreter, or the packages cannot be installed
    """
    for python in _candidates():
        version = _version(python)
        if version:
            packages = CACHE / f'{REQUIREMENT}-{version}-{sys.platform}'
            if not packages.is_dir():
                _install(python, packages)
            return python, packages
    raise NotAvailableError(
        f'the MongoDB server of the tests needs CPython {" or ".join(VERSIONS)}, and none was found'
    )


def _install(python: str, packages: Path) -> None:
    packages.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=packages.parent, ignore_cleanup_errors=True) as folder:
        new = Path(folder, 'packages')
        options = ['install', '--quiet', '--disable-pip-version-check', '--target', str(new), REQUIREMENT]
        for pip in ([python, '-m', 'pip'], [sys.executable, '-m', 'pip', '--python', python]):
            done = subprocess.run(
                [*pip, *options], env=ENVIRONMENT, capture_output=True, text=True, timeout=INSTALL_PATIENCE_SECONDS
            )
            if done.returncode == 0:
                break
        else:
            raise NotAvailableError(f'{REQUIREMENT} cannot be installed: {(done.stderr or done.stdout)[-500:]}')
        try:
            new.rename(packages)
        except OSError:
            if not packages.is_dir():  # another process was faster if it exists
                raise


def free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class MongoServer(ServerProcess):
    """The server; it can be stopped and started again, on the same port and with the same data

    Args:
        options: Options of its command line
    """

    options: tuple[str, ...] = ()
    host: str = '127.0.0.1'
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix='mongodb-', dir=TEMPORARY))

    def __enter__(self) -> MongoServer:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()

    def client(self, **options: Any) -> Any:
        """A client of the driver, which the caller has to close"""
        from pymongo import MongoClient

        return MongoClient(self.host, self.port, **options)

    def start(self) -> None:
        python, packages = installed()
        command = [python, '-c', 'from secantus.cli import main; main()', '--standalone', '--log-level', 'WARNING']
        command += ['--host', self.host, '--port', str(self.port), '--storage-path', str(self._folder / 'data')]
        with open(self._folder / 'log', 'ab') as log:
            self.process = subprocess.Popen(
                [*command, *self.options],
                cwd=self._folder,
                env={**ENVIRONMENT, 'PYTHONPATH': str(packages)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.guard()
        self._wait()

    def _wait(self) -> None:
        """Wait until the server answers"""
        from pymongo.errors import PyMongoError

        deadline = monotonic() + PATIENCE_SECONDS
        with self.client(serverSelectionTimeoutMS=1000) as client:
            while True:
                try:
                    client.admin.command('ping')
                    return
                except PyMongoError as e:  # noqa: PERF203
                    if self.process is None or self.process.poll() is not None or monotonic() > deadline:
                        log = (self._folder / 'log').read_text('utf-8', 'replace')
                        raise NotAvailableError(f'the MongoDB server did not start: {e}\n{log[-2000:]}') from e

    def remove(self) -> None:
        """Stop the server, and remove its data"""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass
class AuthenticatingMongoServer(MongoServer):
    """A server that demands the `credentials` of its only user"""

    credentials: dict[str, str] = field(default_factory=lambda: {'username': 'tester', 'password': 'p:@/%s?'})

    def __enter__(self) -> AuthenticatingMongoServer:
        super().__enter__()
        try:
            with self.client() as client:
                user, password = self.credentials.values()
                client.admin.command('createUser', user, pwd=password, roles=['root'])
            self.stop()
            self.options = (*self.options, '--auth')
            self.start()
        except BaseException:
            self.remove()
            raise
        return self
