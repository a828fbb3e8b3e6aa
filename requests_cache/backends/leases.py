"""Leases: which process leads for a key, among all that share a store

A lease is one small value beside the entries, and all that is asked of a store is to replace it in one step (`swap`).
There are no clocks in it: a holder shows that it is alive by changing the value again and again, and whoever has seen
the same value for long enough, by its own clock, may take the lease. See `engine/leasing.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import Lock

from .._utils import renew_after_fork


class Leases(ABC):
    """The leases of a store; each method may raise a `BackendError`"""

    @abstractmethod
    def read(self, key: str) -> str | None:
        """The lease for a key; None if there is none"""

    @abstractmethod
    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        """Replace a lease, if it is still the same, in one step; returns whether it was

        Args:
            key: The key
            old: The lease as it is thought to be; None for none
            new: What it is to be; None to remove it
        """


class LeasesInMemory(Leases):
    """Leases among the threads of this process, for stores without any of their own"""

    def __init__(self) -> None:
        self._all: dict[str, str] = {}
        self._lock = Lock()
        renew_after_fork(self, '_lock', Lock)

    def read(self, key: str) -> str | None:
        return self._all.get(key)

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        with self._lock:
            if self._all.get(key) != old:
                return False
            if new is None:
                self._all.pop(key, None)
            else:
                self._all[key] = new
            return True

    def __reduce__(self) -> tuple[type[LeasesInMemory], tuple[()]]:
        return LeasesInMemory, ()
