"""Leases, by which processes with the same store agree on which of them sends a request

A lease is a small value that is stored in addition to the entries. A store only needs to replace it atomically
(`swap`). Clocks are not compared: a holder shows that it is alive by changing the value repeatedly, and a process that
has seen the same value for long enough, by its own clock, may take the lease. See `engine/leasing.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import Lock

from .._utils import renew_after_fork


class Leases(ABC):
    """The leases of a store; each method may raise a `BackendError`"""

    @abstractmethod
    def read(self, key: str) -> str | None:
        """Read the lease for a key; None if there is none"""

    @abstractmethod
    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        """Replace a lease atomically if it still has the expected value, and return whether it had

        Args:
            key: The key
            old: The expected value; None for no lease
            new: The new value; None to delete the lease
        """


class LeasesInMemory(Leases):
    """Leases among the threads of this process, for stores that do not support leases"""

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
