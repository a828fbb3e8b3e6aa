"""Leases: which process is the leader for a key, among all processes that share a store

A lease is a small value beside the entries. The store only needs to replace it atomically (`swap`). The value contains
no time: a holder shows that it is alive by changing the value repeatedly. Any process that has seen the same value for
long enough, by its own clock, may take over the lease. See `engine/leasing.py`.
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
        """Replace a lease atomically if it has not changed; returns whether it was replaced

        Args:
            key: The key
            old: The expected lease; None if there should be none
            new: The new lease; None to remove it
        """


class LeasesInMemory(Leases):
    """Leases between the threads of this process, for stores that have no leases"""

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
