"""What errors of SQLite mean"""

from __future__ import annotations

from typing import Any

from ...exceptions import BackendError, BackendUnavailableError

__all__ = [
    'DRIVER_ERRORS',
    'Error',
    'OperationalError',
    'backend_error',
    'is_full',
    'is_locked',
    'is_locked_at_once',
    'is_stale',
    'is_unwritable',
]

try:
    from sqlite3 import Error, OperationalError
except ImportError:  # a Python without SQLite; its absence is told when a database is to be opened
    Error = OperationalError = OSError  # type: ignore[misc, assignment]

DRIVER_ERRORS = (Error, OSError)
_UNAVAILABLE = ('locked', 'unable to open', 'disk i/o error')
_STALE = (
    'no such table', 'no such column', 'disk i/o error', 'readonly database', 'unable to open', 'malformed',
    'not a database', 'closed database',
)  # fmt: skip


def backend_error(error: BaseException, path: Any) -> BackendError:
    """The exception of this package that stands for one of the driver"""
    text = str(error).lower()
    unavailable = isinstance(error, OSError) or any(part in text for part in _UNAVAILABLE)
    kind = BackendUnavailableError if unavailable else BackendError
    return kind(f'SQLite database {path}: {error}')


def is_locked(error: BaseException) -> bool:
    """Whether another connection holds a lock"""
    return isinstance(error, OperationalError) and 'locked' in str(error)


def is_locked_at_once(error: BaseException) -> bool:
    """Whether SQLite did not wait for the lock before it gave up: it never does within a shared cache"""
    return is_locked(error) and 'database is locked' not in str(error)


def is_unwritable(error: BaseException) -> bool:
    """Whether a file, or one beside it, cannot be written to"""
    text = str(error).lower()
    return isinstance(error, OperationalError) and ('readonly database' in text or 'unable to open' in text)


def is_full(error: BaseException | None) -> bool:
    """Whether there is no room on the disk"""
    return isinstance(error, Error) and 'disk is full' in str(error)


def is_stale(error: BaseException) -> bool:
    """Whether a new connection may do what this one could not, as when the file was replaced"""
    return isinstance(error, Error) and any(part in str(error).lower() for part in _STALE)
