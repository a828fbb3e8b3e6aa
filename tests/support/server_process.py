"""A server in its own process, which can be stopped and started again"""

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
    """A server in its own process; `start` and `stop` may be called several times"""

    process: subprocess.Popen[Any] | None = None
    _guard: subprocess.Popen[Any] | None = None

    @abstractmethod
    def start(self) -> None:
        """Start the server, and wait until it answers"""

    def stop(self) -> None:
        """Stop the server, and wait until it has ended"""
        process, self.process = self.process, None
        if process is None:
            return
        if self._guard is not None:  # first, because the ID of a process that has ended may be reused
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
        """Make sure that the server ends with this process, even if this process is killed"""
        if os.name == 'posix' and self.process is not None:
            # Its standard input is closed when this process ends
            command = ['/bin/sh', '-c', 'read line; kill -KILL "$0"', str(self.process.pid)]
            self._guard = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stop the server, and start it again at the end of the block"""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend the server until the end of the block: it accepts connections, but does not answer"""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        # It may still answer until it has stopped
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)
