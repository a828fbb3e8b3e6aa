"""A server in a process of its own, which can be taken away and brought back"""

from __future__ import annotations

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE_SECONDS = 30


class ServerProcess(ABC):
    """`start` and `stop` may be called again and again"""

    process: subprocess.Popen[Any] | None = None
    _guard: subprocess.Popen[Any] | None = None

    @abstractmethod
    def start(self) -> None:
        """Start the server, and wait until it answers"""

    def stop(self) -> None:
        """End the server, and wait until it is gone"""
        process, self.process = self.process, None
        if process is None:
            return
        if self._guard is not None:  # first, as the number of a process that is gone may become that of another one
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()

    def guard(self) -> None:
        """From now on, the server does not outlive this process, however this one ends"""
        if os.name == 'posix' and self.process is not None:
            # Its standard input ends with this process
            command = ['/bin/sh', '-c', 'read line; kill -KILL "$0"', str(self.process.pid)]
            self._guard = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

    @contextmanager
    def away(self) -> Iterator[None]:
        """The server is stopped, and started again at the end of the block"""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The server accepts connections, and answers nothing"""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        # Until then it may still answer
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)
