"""Logging faults of a storage once for each cause"""

from __future__ import annotations

from collections.abc import Iterable
from logging import DEBUG, getLogger

from ..exceptions import BackendUnavailableError
from ..keys.shown import shown_error, shown_traceback

logger = getLogger('requests_cache')


class FaultLog:
    """Logs a warning for the first of several consecutive faults with the same cause, and when they have ended

    While the storage fails, requests continue without the cache. A warning for each of them would flood the log. There
    is no lock, which might be held when the process forks: adding a key to a dict is atomic.
    """

    def __init__(self) -> None:
        self._open: dict[str, dict[str, object]] = {}

    def report(self, operation: str, error: Exception, ignored_parameters: Iterable[str] | None = None) -> None:
        """Report that an operation failed; the request continues without it

        Args:
            operation: The operation, for 'Unable to … the cache'
            error: The error
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
        """Report that an operation succeeded"""
        if operation in self._open and self._open.pop(operation, None) is not None:
            logger.warning('Able to %s the cache again', operation)


def _cause(error: BaseException | None) -> str:
    """A text that identifies the cause of an error, the same for all entries

    An unavailable store is a single cause, although drivers report it with various errors.
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
