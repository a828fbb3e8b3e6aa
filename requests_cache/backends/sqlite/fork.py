"""What becomes of open databases when the process forks

SQLite keeps track of its file locks per process, and a child that inherits an open database inherits a wrong idea of
them. So idle connections are closed before, and each process opens its own when it needs one. The locks that guard them
are held during the fork, so that no other thread is in the middle of something then. What is busy for longer, or in a
transaction of the forking thread, stays open: the child lets go of it without closing it, as that would undo the
transaction of its parent.
"""

from __future__ import annotations

import os
from threading import local
from time import monotonic
from typing import Any, Protocol
from weakref import WeakValueDictionary

PATIENCE_SECONDS = 1.0


class Forkable(Protocol):
    lock: Any

    def before_fork(self) -> None:
        """Close what is idle; the lock is held"""

    def after_fork(self, was_idle: bool) -> None:
        """In the child: let go of what belongs to the parent. `was_idle`: the lock was held during the fork"""


_databases: WeakValueDictionary[int, Forkable] = WeakValueDictionary()
_thread = local()
_abandoned: list[Any] = []


def register(database: Forkable) -> None:
    """Take care of a database when the process forks"""
    _databases[id(database)] = database


def abandon(connection: Any) -> None:
    """Never close a connection, not even when the interpreter exits"""
    _abandoned.append(connection)
    try:
        from ctypes import py_object, pythonapi

        pythonapi.Py_IncRef(py_object(connection))
    except (ImportError, AttributeError):  # not every Python has it; then the list must do
        pass


def _all() -> list[Forkable]:
    return [database for ref in _databases.valuerefs() if (database := ref()) is not None]


def _before() -> None:
    _thread.held = held = []
    deadline = monotonic() + PATIENCE_SECONDS
    for database in _all():
        if database.lock.acquire(timeout=max(0, deadline - monotonic())):
            held.append(database)
            database.before_fork()


def _after_in_parent() -> None:
    for database in _thread.__dict__.pop('held', ()):
        database.lock.release()


def _after_in_child() -> None:
    held = _thread.__dict__.pop('held', ())
    idle = {id(database) for database in held}
    for database in _all():
        database.after_fork(id(database) in idle)
    for database in held:
        database.lock.release()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
