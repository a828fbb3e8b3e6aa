"""Faults of a storage, reported once for each cause"""

from __future__ import annotations

from logging import getLogger
from threading import Lock

logger = getLogger('requests_cache')


class FaultLog:
    """Logs a warning for the first of a row of faults with the same cause, and says when it is over

    Requests go on without the cache while its storage fails; a warning for each one of them would hide more than it
    tells.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: dict[str, set[str]] = {}

    def report(self, operation: str, error: Exception) -> None:
        """Report that an operation failed; the request goes on without it"""
        cause = f'{type(error).__name__}: {error}'
        with self._lock:
            causes = self._open.setdefault(operation, set())
            first = type(error).__name__ not in causes
            causes.add(type(error).__name__)
        if first:
            logger.warning('Unable to %s the cache, requests go on without it: %s', operation, cause, exc_info=error)
        else:
            logger.debug('Unable to %s the cache: %s', operation, cause)

    def succeeded(self, operation: str) -> None:
        """Report that an operation worked"""
        if operation in self._open:
            with self._lock:
                self._open.pop(operation, None)
            logger.warning('Able to %s the cache again', operation)
