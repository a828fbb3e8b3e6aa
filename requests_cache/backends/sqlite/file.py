"""The file of a database: made so that only its owner can read it, and recognized when it was replaced"""

from __future__ import annotations

import os
import sys
from logging import getLogger
from pathlib import Path
from threading import Lock
from typing import Any

from ..._utils import renew_after_fork
from ..paths import check_owner, make_parents
from .errors import Error
from .fork import abandon

SUFFIXES = ('', '-journal', '-wal', '-shm')
SQLITE_HEADER = b'SQLite format 3\x00'
logger = getLogger(__name__)
_creating = Lock()
renew_after_fork(sys.modules[__name__], '_creating', Lock)


def create_file(path: Path, temp_root: Path | None = None) -> None:
    """Make an empty file that only its owner can read, if there is none; SQLite would make one that all can read

    Args:
        path: The file
        temp_root: Directory that all users may write to, if the file lies below it

    Raises:
        PermissionError: It lies there, and belongs to somebody else
    """
    # Closing a file takes away all locks that the process has on it, so nobody may have opened it as a database by then
    with _creating:
        if not path.exists():
            make_parents(path)
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            except OSError as e:
                logger.debug('Could not make %s: %s', path, e)
    if temp_root is not None:
        for suffix in SUFFIXES:
            check_owner(path.with_name(path.name + suffix), temp_root)


def identity(path: str) -> tuple[int, int] | None:
    """What tells a file from another one at the same path; None if there is none"""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_database(path: Path) -> bool:
    """Whether a file looks like a database, or is empty, as a new one is"""
    try:
        with open(path, 'rb') as file:
            return file.read(len(SQLITE_HEADER)) in (SQLITE_HEADER, b'')
    except OSError:
        return False


def let_go(connection: Any) -> None:
    """Close a connection to a file that is not at its path any more"""
    try:
        in_wal_mode = connection.execute('PRAGMA journal_mode').fetchone()[0] == 'wal'
    except Error:
        in_wal_mode = False
    if in_wal_mode:
        # Closing it would remove the write-ahead log by its name, which may be that of a new database by now
        abandon(connection)
    else:
        connection.close()
