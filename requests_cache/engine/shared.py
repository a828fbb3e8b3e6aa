"""What the sessions that use one backend share: reported faults, requests under way, and renewals in the background

So a program that makes a session for each request, as `requests.get()` does, is warned once, sends equal requests once,
and renews an entry once.
"""

from __future__ import annotations

import sys
from typing import Any

from .fault_log import FaultLog
from .flights import Flights
from .refreshing import Refreshing

_NAME = '_shared'


class Shared:
    """Lives with the backend, in this process: copies and pickles of the backend have one of their own"""

    def __init__(self) -> None:
        self.faults = FaultLog()
        self.flights = Flights()
        self.refreshing = Refreshing()

    def __reduce__(self) -> tuple[type[Shared], tuple[()]]:
        return Shared, ()


def shared_by(cache: Any) -> Shared:
    """What the users of a backend share"""
    attributes = cache.__dict__
    shared: Shared | None = attributes.get(_NAME)
    return shared if shared is not None else attributes.setdefault(_NAME, Shared())


def close(cache: Any) -> None:
    """End what the users of a backend share, and the backend itself"""
    shared_by(cache).refreshing.stop()
    leasing = sys.modules.get('requests_cache.engine.leasing')
    if leasing is not None:
        leasing.keeper.settle(getattr(cache, 'leases', None))
    cache.close()
