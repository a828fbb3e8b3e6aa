"""The meaning of SQLite errors"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...exceptions import BackendError
from ..clients import Fault, as_backend_error
from ..paths import explanation

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
except ImportError:  # a Python without SQLite, which is reported when a database is opened
    Error = OperationalError = OSError  # type: ignore[misc, assignment]

DRIVER_ERRORS = (Error, OSError)
_UNAVAILABLE = ('locked', 'unable to open', 'disk i/o error')
_STALE = (
    'no such table', 'no such column', 'disk i/o error', 'readonly database', 'unable to open', 'malformed',
    'not a database', 'closed database',
)  # fmt: skip


def backend_error(error: BaseException, path: Any, seconds: float | None = None) -> BackendError:
    """A BackendError for an error of the driver: what happened, why, and what to do about it

    Args:
        error: What the driver raised
        path: The database
        seconds: The timeout for locks
    """
    text = str(error).lower()
    unavailable = isinstance(error, OSError) or any(part in text for part in _UNAVAILABLE)
    return as_backend_error(error, f'SQLite database {path}', Fault(unavailable, _advice(error, path, seconds)))


def _advice(error: BaseException, path: Any, seconds: float | None) -> str:
    text = str(error).lower()
    if 'locked' in text:
        waited = '' if seconds is None else f' for longer than the busy_timeout of {seconds:g} s'
        return f'another connection has locked it{waited}; set a longer busy_timeout, or wal=True'
    if 'not a database' in text:
        return 'the file is not a database, and was not changed; use another path'
    if 'malformed' in text:
        return 'the file is damaged; clear() replaces it by a new one'
    return explanation(path, error).removeprefix(': ') if isinstance(path, Path) else ''


def is_locked(error: BaseException) -> bool:
    """Whether another connection holds a lock"""
    return isinstance(error, OperationalError) and 'locked' in str(error)


def is_locked_at_once(error: BaseException) -> bool:
    """Whether SQLite gave up without waiting for the lock, as it always does in shared-cache mode"""
    return is_locked(error) and 'database is locked' not in str(error)


def is_unwritable(error: BaseException) -> bool:
    """Whether a database, or a file beside it, cannot be written to"""
    text = str(error).lower()
    return isinstance(error, OperationalError) and ('readonly database' in text or 'unable to open' in text)


def is_full(error: BaseException | None) -> bool:
    """Whether the disk is full"""
    return isinstance(error, Error) and 'disk is full' in str(error)


def is_stale(error: BaseException) -> bool:
    """Whether a new connection may succeed where this one failed, for example after the file was replaced"""
    return isinstance(error, Error) and any(part in str(error).lower() for part in _STALE)
