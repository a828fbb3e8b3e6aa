"""Exceptions raised by this package.

    Exception
    └── CacheError
        ├── BackendError                  the store failed; `__cause__` is the driver's exception
        │   ├── BackendUnavailableError   the store could not be reached, opened or locked in time
        │   └── EntryTooLargeError        the store keeps no entries of this size, by design
        ├── InvalidEntryError             a stored value is not a valid entry (also a ValueError)
        │   └── SealError                 an encrypted entry was tampered with or moved
        │       └── MissingKeyError       an entry is encrypted with a key that was not given
        └── MissingDependencyError        an optional library is not installed (also a ModuleNotFoundError)

Requests never raise a `BackendError`: a failure to read is a miss, and a failure to write is logged. Maintenance calls
(`clear`, `delete`, `update`, iteration, …) raise it.
"""

from __future__ import annotations


class CacheError(Exception):
    """Base class of all exceptions of this package"""


class BackendError(CacheError):
    """The store failed. The exception of its driver is the `__cause__`."""


class BackendUnavailableError(BackendError):
    """The store could not be reached, opened or locked within its time limit"""


class EntryTooLargeError(BackendError):
    """The store keeps no entries of this size"""


class InvalidEntryError(CacheError, ValueError):
    """A stored value cannot be turned into a response"""


class SealError(InvalidEntryError):
    """An encrypted entry cannot be decrypted: it was tampered with, or moved from another place in the store"""


class MissingKeyError(SealError):
    """An entry is encrypted with a key that `encryption_key` does not contain"""


class MissingDependencyError(CacheError, ModuleNotFoundError):
    """An optional library is not installed. The message names the extra that installs it."""

    def __init__(self, feature: str, library: str, extra: str | None = None):
        wanted = f"'requests-cache[{extra}]'" if extra else f"'{library}'"
        super().__init__(
            f'{feature} needs the library {library!r}; install it with: pip install {wanted}', name=library
        )
        self.library = library
        self.extra = extra
