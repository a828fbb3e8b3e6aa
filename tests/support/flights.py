"""Requests in progress: answers that are held back, and threads that wait for them"""

from __future__ import annotations

import threading
from typing import Any

import pytest

from requests_cache.engine import flights

PATIENCE_SECONDS = 20


class HeldAnswer:
    """An answer that is held back until `release()`, and that counts the requests for it"""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self._arrived = threading.Semaphore(0)
        self._gate = threading.Event()

    def __call__(self, request: Any) -> Any:
        self._arrived.release()
        assert self._gate.wait(PATIENCE_SECONDS)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def wait(self, count: int = 1) -> None:
        for _ in range(count):
            assert self._arrived.acquire(timeout=PATIENCE_SECONDS)

    def release(self) -> None:
        self._gate.set()


class Followers:
    """Counts the threads that wait for a flight"""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self._arrived = threading.Semaphore(0)
        wait = flights.Flight.wait

        def counted(flight: flights.Flight, seconds: float) -> Any:
            self._arrived.release()
            return wait(flight, seconds)

        monkeypatch.setattr(flights.Flight, 'wait', counted)

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self._arrived.acquire(timeout=PATIENCE_SECONDS)
