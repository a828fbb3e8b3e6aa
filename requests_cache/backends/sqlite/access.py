"""What those who have a table in a database can do with the whole of it"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from .database import Database
from .table import overwriting, vacuum


class DatabaseAccess:
    """The database, as users of a table in it know it

    Raises:
        BackendUnavailableError: The database cannot be opened, or stays locked for too long
        BackendError: It could not do what was asked
    """

    db_path: Path | str
    _database: Database

    @property
    def _lock(self) -> Any:
        return self._database.lock

    @property
    def _connection(self) -> Any:
        return self._database.connection

    @_connection.setter
    def _connection(self, connection: Any) -> None:
        self._database.connection = connection

    @property
    def _active_transaction(self) -> bool:
        return self._database.depth > 0

    @contextmanager
    def _acquire_sqlite_lock(self) -> Iterator[None]:
        """A transaction; waits until no other connection has one, but no longer than `busy_timeout`"""
        with self._database.transaction():
            yield

    def connection(self, commit: bool = False) -> AbstractContextManager[Any]:
        """The connection to the database, for one thread at a time

        Args:
            commit: Begin a transaction, and commit it at the end of the block
        """
        return self._database.transaction() if commit else self._database.held()

    @contextmanager
    def bulk_commit(self, overwrite: bool = True) -> Iterator[None]:
        """Make all changes of a block in one transaction; an exception undoes them

        Args:
            overwrite: Whether SQLite shall overwrite what is deleted, if it was built so; vain before a vacuum
        """
        with self._database.transaction() as connection, overwriting(connection, overwrite):
            yield

    def init_db(self) -> None:
        """Open the database, and make the table if there is none"""
        self._database.close()
        self._database.read(lambda connection: None)

    def close(self) -> None:
        """Close the connection; a later use opens it again"""
        self._database.close()

    def size(self) -> int:
        """Size of the database, in bytes"""
        if isinstance(self.db_path, Path):
            try:
                return os.path.getsize(self.db_path)
            except OSError:
                return 0
        pages = self._database.row('PRAGMA page_count')[0]
        return int(pages * self._database.row('PRAGMA page_size')[0])

    def vacuum(self) -> None:
        """Give unused space of the database back to the system; not possible within a transaction"""
        if not self._active_transaction:
            self._database.read(vacuum)
