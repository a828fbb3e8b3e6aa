"""Exceptions raised by this package.

    Exception
    └── CacheError
        ├── BackendError                  a storage could not do what was asked; `__cause__` is the driver's exception
        │   ├── BackendUnavailableError   it could not be reached, opened or locked within its time limit
        │   └── EntryTooLargeError        it keeps no entries of this size, and there is nothing wrong with that
        ├── InvalidEntryError             a stored value is not an entry of ours (also a ValueError)
        │   └── SealError                 it is encrypted, and was tampered with, or moved
        │       └── MissingKeyError       it is encrypted with a key that was not given
        └── MissingDependencyError        an optional library is not installed (also a ModuleNotFoundError)

Requests never see a `BackendError`: a fault while reading is a miss and a fault while writing is logged. Maintenance
calls (`clear`, `delete`, `update`, iteration, …) raise it.
"""

from __future__ import annotations


class CacheError(Exception):
    """Base of all exceptions of this package"""


class BackendError(CacheError):
    """A storage could not do what was asked; the driver's own exception is the `__cause__`"""


class BackendUnavailableError(BackendError):
    """A storage could not be reached, opened or locked within its time limit"""


class EntryTooLargeError(BackendError):
    """A storage keeps no entries of this size"""


class InvalidEntryError(CacheError, ValueError):
    """A stored value cannot be turned into a response"""


class SealError(InvalidEntryError):
    """An entry is encrypted, and cannot be opened: it was tampered with, or encrypted for another place"""


class MissingKeyError(SealError):
    """An entry is encrypted with a key that is not among those in `encryption_key`"""


class MissingDependencyError(CacheError, ModuleNotFoundError):
    """An optional library is needed and not installed; the message names the extra that brings it"""

    def __init__(self, feature: str, library: str, extra: str | None = None):
        wanted = f"'requests-cache[{extra}]'" if extra else f"'{library}'"
        super().__init__(
            f'{feature} needs the library {library!r}; install it with: pip install {wanted}', name=library
        )
        self.library = library
        self.extra = extra
