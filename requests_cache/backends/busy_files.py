"""Retrying operations on files that another program has open, which Windows refuses to open, replace or delete

The other program is usually a virus scanner, an indexer, or a process that reads the same entry, and it finishes within
milliseconds. Python raises a PermissionError for such a file, as it does if this user has no permission. So a refused
operation is tried again for a short while.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

from .._utils import remember

T = TypeVar('T')
IS_WINDOWS = os.name == 'nt'
BUSY_SECONDS = 0.5
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.001, 0.02
# After waiting in vain for a file, do not wait for it again for a while: most likely it is not just busy
HOPELESS_SECONDS = 10.0
MAX_REMEMBERED = 100
_hopeless: dict[str, float] = {}


def try_again(action: Callable[[], T], path: Path, refusal: PermissionError) -> T:
    """Call a function again, for up to `BUSY_SECONDS`, after the system refused the operation; only on Windows

    Args:
        action: The function
        path: The file that it opens, replaces or deletes
        refusal: The exception that it raised

    Returns:
        What the function returns

    Raises:
        PermissionError: The system still refuses it, or waiting would not help
        OSError: Any other error that the function raises
    """
    name, now = str(path), monotonic()
    if not IS_WINDOWS or now < _hopeless.get(name, now) or os.path.isdir(path):
        raise refusal
    end, pause = now + BUSY_SECONDS, _FIRST_PAUSE_SECONDS
    while monotonic() < end:
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        try:
            return action()
        except PermissionError as e:
            refusal = e
    remember(_hopeless, name, monotonic() + HOPELESS_SECONDS, MAX_REMEMBERED)
    raise refusal


def remove(path: Path, unlink: Callable[[str], None] | None = None) -> None:
    """Delete a file

    Args:
        path: The file
        unlink: A function that deletes it, instead of `os.unlink`

    Raises:
        FileNotFoundError: It does not exist
        OSError: It cannot be deleted
    """
    unlink, name = unlink or os.unlink, str(path)
    try:
        unlink(name)
    except PermissionError as e:
        try_again(lambda: unlink(name), path, e)
