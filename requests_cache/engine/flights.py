"""One flight per key: requests for the same key at the same time are one request to the origin

The first one goes out and leads; the others wait until it has landed, and then look into the store again. So a request
is answered as a hit is, or goes out after all: what followers wait for is a chance, never a promise.

There is no lock that a forked child could find taken: dicts do one thing at a time. What leads in the parent does not
exist in the child, so what was begun does not count there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from os import getpid
from time import monotonic
from typing import Any

from .._utils import remember

# How long it is remembered that a key is not worth waiting for
UNSHARED_SECONDS = 60.0
# How many keys are remembered
MAX_REMEMBERED = 1000


class Outcome(Enum):
    """What became of a flight"""

    STORED = 'stored'
    NOT_STORED = 'not stored'
    FAILED = 'failed'


class Flight:
    """A request that leads for a key; it ends when it lands

    Args:
        flights: Those that it is one of
        key: The key
    """

    __slots__ = ('_event', '_flights', 'is_handed_over', 'key', 'on_landing', 'outcome', 'thread')

    def __init__(self, flights: Flights, key: str):
        self._flights = flights
        self.key = key
        # By their present names, as libraries put others in their place
        self.thread = threading.get_ident()
        self._event = threading.Event()
        self.outcome: Outcome | None = None
        # Its end is when the body of the response has been read
        self.is_handed_over = False
        # Lets other processes know
        self.on_landing: Callable[[Outcome], None] | None = None

    def land(self, outcome: Outcome = Outcome.FAILED) -> None:
        """Come to an end; whoever waits goes on"""
        if self.outcome is None:
            self.outcome = outcome
            self._flights.remove(self)
            self._event.set()
            if self.on_landing is not None:
                self.on_landing(outcome)

    def wait(self, seconds: float) -> Outcome | None:
        """Wait for its end; None if it takes longer"""
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
        """Begin a flight; if there is one for its key already, that one is returned"""
        if self._pid != getpid():
            self._reset()
        other = self._flights.setdefault(flight.key, flight)
        return None if other is flight else other

    def remove(self, flight: Flight) -> None:
        """Take away a flight that has landed, and remember what came of it"""
        if flight.outcome is Outcome.STORED:
            remember(self._landed, flight.key, monotonic(), MAX_REMEMBERED)
        elif flight.outcome is Outcome.NOT_STORED:
            self.find_unshared(flight.key)
        if self._flights.get(flight.key) is flight:
            self._flights.pop(flight.key, None)

    def find_unshared(self, key: str) -> None:
        """Remember that there is no use in waiting for a key, as its responses are not for all"""
        remember(self._unshared, key, monotonic() + UNSHARED_SECONDS, MAX_REMEMBERED)

    def is_unshared(self, key: str) -> bool:
        """Whether it was found a while ago that there is no use in waiting for a key"""
        until = self._unshared.get(key)
        return until is not None and monotonic() < until

    def is_left_over(self, key: str, lease: str) -> bool:
        """Whether a lease that says so was seen before, so that nobody can be there to remove it"""
        is_known = self._seen.get(key) == lease
        remember(self._seen, key, lease, MAX_REMEMBERED)
        return is_known

    def has_landed_since(self, key: str, moment: float) -> bool:
        """Whether a response was stored after a moment (by `monotonic`), at which the store was looked into for it"""
        landed = self._landed.get(key)
        return landed is not None and landed >= moment


def patience(bound_seconds: float, timeout: Any) -> float:
    """How long to wait for another request: no longer than for the own one

    Args:
        bound_seconds: How long at most
        timeout: `timeout` of the request, as `requests` takes it
    """
    if isinstance(timeout, tuple):
        timeout = timeout[-1]
    seconds = getattr(timeout, 'total', timeout)
    seconds = getattr(timeout, 'read_timeout', None) if not isinstance(seconds, (int, float)) else seconds
    return min(bound_seconds, seconds) if isinstance(seconds, (int, float)) else bound_seconds
