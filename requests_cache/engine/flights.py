"""One flight per key: of several simultaneous requests for the same key, only one is sent to the origin

The first request is the leader, and is sent. The others are followers: they wait until it has finished, and then look
up the store again. If that is a hit, they are answered from the store; otherwise they are sent too.

There is no lock, which might be held when the process forks: operations on dicts are atomic. In a forked child, the
flights of the parent are ignored, as their threads do not exist there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from os import getpid
from time import monotonic
from typing import Any

from .._utils import remember

# How long to remember that waiting for a key is useless
UNSHARED_SECONDS = 60.0
# How many keys to remember
MAX_REMEMBERED = 1000


class Outcome(Enum):
    """How a flight ended"""

    STORED = 'stored'
    NOT_STORED = 'not stored'
    FAILED = 'failed'


class Flight:
    """The request of a leader; `land()` ends it

    Args:
        flights: The flights to which it belongs
        key: The key
    """

    __slots__ = ('_event', '_flights', 'is_handed_over', 'key', 'on_landing', 'outcome', 'thread')

    def __init__(self, flights: Flights, key: str):
        self._flights = flights
        self.key = key
        # Look these names up now, as libraries such as gevent replace them
        self.thread = threading.get_ident()
        self._event = threading.Event()
        self.outcome: Outcome | None = None
        # Whether the flight ends only when the body of the response has been read
        self.is_handed_over = False
        # A function that notifies other processes
        self.on_landing: Callable[[Outcome], None] | None = None

    def land(self, outcome: Outcome = Outcome.FAILED) -> None:
        """End the flight, and wake the followers"""
        if self.outcome is None:
            self.outcome = outcome
            self._flights.remove(self)
            self._event.set()
            if self.on_landing is not None:
                self.on_landing(outcome)

    def wait(self, seconds: float) -> Outcome | None:
        """Wait for the end of the flight; None if it takes longer"""
        return self.outcome if self._event.wait(max(seconds, 0)) else None


class Flights:
    """The flights for the keys of one backend, in this process"""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._pid = getpid()
        self._flights: dict[str, Flight] = {}
        self._unshared: dict[str, float] = {}
        self._landed: dict[str, float] = {}
        self._seen: dict[str, str] = {}

    def enter(self, flight: Flight) -> Flight | None:
        """Start a flight, unless there is one with this key, which is returned"""
        if self._pid != getpid():
            self._reset()
        other = self._flights.setdefault(flight.key, flight)
        return None if other is flight else other

    def remove(self, flight: Flight) -> None:
        """Remove a flight that has ended, and remember its outcome"""
        if flight.outcome is Outcome.STORED:
            remember(self._landed, flight.key, monotonic(), MAX_REMEMBERED)
        elif flight.outcome is Outcome.NOT_STORED:
            self.mark_unshared(flight.key)
        if self._flights.get(flight.key) is flight:
            self._flights.pop(flight.key, None)

    def mark_unshared(self, key: str) -> None:
        """Remember that waiting for a key is useless, because its responses cannot be shared"""
        remember(self._unshared, key, monotonic() + UNSHARED_SECONDS, MAX_REMEMBERED)

    def is_unshared(self, key: str) -> bool:
        """Whether `mark_unshared` was called for a key a short time ago"""
        until = self._unshared.get(key)
        return until is not None and monotonic() < until

    def is_left_over(self, key: str, lease: str) -> bool:
        """Whether this lease, with outcome 'unshared', was seen before, so that its owner must have died"""
        is_known = self._seen.get(key) == lease
        remember(self._seen, key, lease, MAX_REMEMBERED)
        return is_known

    def has_landed_since(self, key: str, moment: float) -> bool:
        """Whether a response was stored since the look-up at `moment` (by `monotonic`)"""
        landed = self._landed.get(key)
        return landed is not None and landed >= moment


def patience(bound_seconds: float, timeout: Any) -> float:
    """How long to wait for another request, in seconds: no longer than the `timeout` of this request

    Args:
        bound_seconds: Maximum time in seconds
        timeout: `timeout` of the request, in any form that `requests` accepts
    """
    if isinstance(timeout, tuple):
        timeout = timeout[-1]
    seconds = getattr(timeout, 'total', timeout)
    seconds = getattr(timeout, 'read_timeout', None) if not isinstance(seconds, (int, float)) else seconds
    return min(bound_seconds, seconds) if isinstance(seconds, (int, float)) else bound_seconds
