"""Processes that request the same pages at the same time, and report when they wait for each other"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import requests_cache

PATIENCE_SECONDS = 60
# Long enough for a busy machine, so that no living process is taken for dead
SETTINGS = {'lease_seconds': 60.0, 'renewal_seconds': 0.2, 'clock_ahead': 0.0}


class Worker:
    """A process that runs `flight_worker.py`"""

    def __init__(self) -> None:
        path = os.pathsep.join([str(Path(requests_cache.__file__).parents[1]), *sys.path])
        self.process = subprocess.Popen(
            [sys.executable, '-X', 'dev', '-W', 'error', str(Path(__file__).with_name('flight_worker.py'))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, 'PYTHONPATH': path},
        )  # fmt: skip
        self._lines: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put('')

    def _say(self, order: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + '\n')
        self.process.stdin.flush()

    def _next(self) -> Any:
        line = self._lines.get(timeout=PATIENCE_SECONDS)
        assert line, 'the worker has ended'
        return json.loads(line)

    def open(self, session: dict[str, Any], **settings: float) -> None:
        self._say({'open': session, **settings})
        while self._next() != 'open':  # earlier lines are left over from a test that failed
            pass

    def get(self, url: str, **options: Any) -> None:
        self._say({'url': url, 'options': options})

    def count(self, key: str, times: int) -> None:
        """Let the process increment the number in a lease"""
        self._say({'count': key, 'times': times})

    def wait_until_it_has_counted(self) -> None:
        assert (heard := self._next()) == 'counted', heard

    def wait_until_it_waits(self) -> None:
        assert (heard := self._next()) == 'waiting', heard

    def result(self) -> dict[str, Any]:
        """The result of its request; `waited` is the number of times it has waited since the last result"""
        waited = 0
        while (heard := self._next()) == 'waiting':
            waited += 1
        return {**heard, 'waited': waited}

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def finish(self) -> None:
        """Let the process end by itself, and check that it succeeds and prints no errors"""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        try:
            self.process.stdin.close()
            said = self.process.stderr.read()
            ended = self.process.wait(PATIENCE_SECONDS), said
            assert ended == (0, ''), ended
        finally:
            self.kill()

    def _end(self) -> None:
        self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


class Crew:
    """Worker processes that are reused by several tests"""

    def __init__(self) -> None:
        self._workers: list[Worker] = []

    def open(self, count: int, session: dict[str, Any], **settings: float) -> list[Worker]:
        """Get some workers, each with a new session

        Args:
            session: Keywords of the sessions
            settings: `lease_seconds`, `renewal_seconds`, `clock_ahead`
        """
        self._workers = [worker for worker in self._workers if worker.process.poll() is None]
        self._workers += [Worker() for _ in range(count - len(self._workers))]
        for worker in self._workers[:count]:
            worker.open(session, **{**SETTINGS, **settings})
        return self._workers[:count]

    def finish(self) -> None:
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.finish()


@contextmanager
def crew() -> Iterator[Crew]:
    workers = Crew()
    try:
        yield workers
    finally:
        workers.finish()
