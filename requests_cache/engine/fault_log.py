"""Faults of a storage, reported once for each cause"""

from __future__ import annotations

from collections.abc import Iterable
from logging import DEBUG, getLogger

from ..exceptions import BackendUnavailableError
from ..keys.shown import shown_error, shown_traceback

logger = getLogger('requests_cache')


class FaultLog:
    """Logs a warning for the first of a row of faults with the same cause, and says when it is over

    Requests go on without the cache while its storage fails; a warning for each one of them would hide more than it
    tells. There is no lock that a forked child could find taken: a dict takes a new key for one thread only.
    """

    def __init__(self) -> None:
        self._open: dict[str, dict[str, object]] = {}

    def report(self, operation: str, error: Exception, ignored_parameters: Iterable[str] | None = None) -> None:
        """Report that an operation failed; the request goes on without it

        Args:
            operation: What was to be done, as in 'Unable to … the cache'
            error: Why it failed
            ignored_parameters: Names of secrets
        """
        token = object()
        text = shown_error(error, ignored_parameters)
        if self._open.setdefault(operation, {}).setdefault(_cause(error), token) is token:
            logger.warning('Unable to %s the cache, requests go on without it: %s', operation, text)
            if logger.isEnabledFor(DEBUG):
                logger.debug('Unable to %s the cache:\n%s', operation, shown_traceback(error, ignored_parameters))
        else:
            logger.debug('Unable to %s the cache: %s', operation, text)

    def succeeded(self, operation: str) -> None:
        """Report that an operation worked"""
        if operation in self._open and self._open.pop(operation, None) is not None:
            logger.warning('Able to %s the cache again', operation)


def _cause(error: BaseException | None) -> str:
    """What is behind an error, less what differs from one entry to the next

    That a store is not available is one cause: drivers give several names to it while it lasts.
    """
    if isinstance(error, BackendUnavailableError):
        return type(error).__name__
    parts: list[str] = []
    while error is not None and len(parts) < 5:
        name = f'{type(error).__module__}.{type(error).__name__}'
        detail = error.errno if isinstance(error, OSError) else str(error) if name.startswith('sqlite3.') else None
        parts.append(f'{name} {detail}')
        error = error.__cause__
    return ' < '.join(parts)
