"""State that is shared by all sessions with the same backend: faults, flights, and renewals in the background

So even a program that creates a session for each request, like `requests.get()` does, logs a fault once, sends equal
requests once, and renews an entry once.
"""

from __future__ import annotations

import sys
from typing import Any

from .fault_log import FaultLog
from .flights import Flights
from .refreshing import Refreshing

_NAME = '_shared'


class Shared:
    """The shared state of a backend in this process; copies of the backend have their own"""

    def __init__(self) -> None:
        self.faults = FaultLog()
        self.flights = Flights()
        self.refreshing = Refreshing()

    def __reduce__(self) -> tuple[type[Shared], tuple[()]]:
        return Shared, ()


def shared_by(cache: Any) -> Shared:
    """The shared state of a backend"""
    attributes = cache.__dict__
    shared: Shared | None = attributes.get(_NAME)
    return shared if shared is not None else attributes.setdefault(_NAME, Shared())


def close(cache: Any) -> None:
    """Close a backend and its shared state"""
    shared_by(cache).refreshing.stop()
    leasing = sys.modules.get('requests_cache.engine.leasing')
    if leasing is not None:
        leasing.keeper.settle(getattr(cache, 'leases', None))
    cache.close()
