"""Access to the whole database, for the classes that have a table in it"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from .database import Database
from .table import overwriting, vacuum


class DatabaseAccess:
    """The methods that concern the whole database

    Raises:
        BackendUnavailableError: The database cannot be opened, or remains locked for too long
        BackendError: Any other error of SQLite
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
        """A block in a transaction; waits up to `busy_timeout` for those of other connections"""
        with self._database.transaction():
            yield

    def connection(self, commit: bool = False) -> AbstractContextManager[Any]:
        """A block in which only this thread uses the connection to the database

        Args:
            commit: Begin a transaction, and commit it after the block
        """
        return self._database.transaction() if commit else self._database.held()

    @contextmanager
    def bulk_commit(self, overwrite: bool = True) -> Iterator[None]:
        """Make all changes of a block in one transaction, which an exception rolls back

        Args:
            overwrite: Let SQLite overwrite deleted data, if it was built to; useless before a vacuum
        """
        with self._database.transaction() as connection, overwriting(connection, overwrite):
            yield

    def init_db(self) -> None:
        """Open the database again, and create the table if it is missing"""
        self._database.close()
        self._database.read(lambda connection: None)

    def close(self) -> None:
        """Close the connection; the next use opens it again"""
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
        """Give unused space of the database back to the system; does nothing in a transaction"""
        if not self._active_transaction:
            self._database.read(vacuum)
