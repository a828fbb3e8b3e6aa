"""A table of an SQLite database as a mapping"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from time import time
from typing import TYPE_CHECKING, Any

from ..._utils import chunkify
from ..storage import CHUNK_SIZE, BaseStorage
from .access import DatabaseAccess
from .bodies import BodyTables
from .table import (
    SORT_ORDERS,
    Table,
    delete_expired,
    from_column,
    is_worth_vacuuming,
    to_column,
    unpack,
)

if TYPE_CHECKING:
    from sqlite3 import Connection

    from ...models.body import Body
    from .leases import LeaseTable
    from .upkeep import TableUpkeep


class TableStorage(DatabaseAccess, BaseStorage[str, Any]):
    """The methods of a storage that use its table; see `DatabaseAccess` for what they raise"""

    iteration_tolerates_writes = True
    can_be_bounded = True
    deletes_expired = True
    table_name: str
    _table: Table
    pieces: BodyTables | None = None
    _upkeep: TableUpkeep | None = None
    _expirations_known = False

    @cached_property
    def leases(self) -> LeaseTable | None:
        """The leases, in a table that is created for the first one"""
        from .leases import LeaseTable

        return LeaseTable(self._database, self._table) if self.serializer is not None else None

    def remove_leftovers(self) -> None:
        """Remove bodies and leases that killed processes have left behind"""
        super().remove_leftovers()
        if self.leases is not None:
            self.leases.remove_leftovers()

    # One entry

    def __getitem__(self, key: str) -> Any:
        value = self.peek(key)
        if self._upkeep is not None:
            self._upkeep.note(key)
        return value

    def peek(self, key: str) -> Any:
        row = self._database.row(self._table.select, (to_column(key),))
        if row is None:
            raise KeyError(key)
        return self.deserialize(key, row[0])

    def __setitem__(self, key: str, value: Any) -> None:
        self._write_apart(key, value, self._write)

    def _write(self, key: str, value: Any) -> None:
        data, stored_key = self._serialize(key, value), to_column(key)
        data = to_column(data) if isinstance(data, str) else data
        expires = getattr(value, 'expires_unix', None)
        body: Body | None = getattr(value, '_body', None) if self.pieces is not None else None
        n_bytes = _length(data) + (0 if body is None else body.size)

        def write(connection: Connection) -> None:
            if self._upkeep is not None:
                self._upkeep.before_writing(connection, key, n_bytes)
            connection.execute(self._table.replace, (stored_key, data if body is None else None, expires))
            if body is not None and self.pieces is not None:
                self.pieces.put(connection, stored_key, body.id, body.piece_count, data)
            if self._upkeep is not None:
                self._upkeep.after_writing(connection, key, n_bytes, body is not None)

        if self._upkeep is None:
            self._database.write(write)
        else:
            self._upkeep.write(write)
        if body is not None and self.pieces is not None:
            self.pieces.forget(body.id)

    def write_if(self, key: str, value: Any, is_expected: Callable[[Any], bool]) -> bool:
        with self.bulk_commit():
            return super().write_if(key, value, is_expected)

    def __delitem__(self, key: str) -> None:
        parameters = (to_column(key),)
        if not self._database.write(lambda connection: connection.execute(self._table.delete, parameters).rowcount):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return self._database.row(self._table.contains, (to_column(key),)) is not None

    def deserialize(self, key: str, value: Any) -> Any:
        if value is None and self.pieces is not None:
            value = self.pieces.record(key)
        return super().deserialize(key, value) if self.serializer is not None else from_column(value)

    # All entries

    def __len__(self) -> int:
        return self.count()

    def __iter__(self) -> Iterator[str]:
        return (key for rows in self._pages('key') for (key,) in rows)

    def scan(self) -> Iterator[tuple[str, Any]]:
        return ((key, self.deserialize(key, value)) for rows in self._pages('key, value') for key, value in rows)

    def _pages(self, columns: str, where: str = '1') -> Iterator[list[Any]]:
        """Rows in the order of their keys, with keys as text, in pages; rows may be changed meanwhile"""
        after = None
        while rows := self._read_page(columns, after, where):
            after = rows[-1][0]
            decoded = ((from_column(key), *rest) for key, *rest in rows)
            yield [row for row in decoded if isinstance(row[0], str)]

    def _read_page(self, columns: str, after: Any, where: str) -> list[Any]:
        return self._database.read(lambda connection: self._table.page(connection, columns, after, where))

    def count(self, expired: bool = True) -> int:
        """Number of entries; without `expired`, of those that have not expired"""
        if expired:
            return int(self._database.row(self._table.count)[0])
        self._learn_expirations()
        return int(self._database.row(self._table.count_unexpired, (round(time()),))[0])

    def sorted(
        self,
        key: str = 'expires',
        reversed: bool = False,  # noqa: A002
        limit: int | None = None,
        expired: bool = True,
    ) -> Iterator[Any]:
        """Readable values, in a given order

        Args:
            key: `expires` (those that never do come first), `size`, or `key`
            reversed: In descending order
            limit: How many entries to look at; None for all
            expired: Whether to include those that have expired

        Raises:
            ValueError: `key` is none of these
        """
        if key not in SORT_ORDERS:
            raise ValueError(f'Invalid sort key: {key}; use one of {", ".join(SORT_ORDERS)}')
        where, parameters = ('1', ()) if expired else ('expires IS NULL OR expires > ?', (round(time()),))
        order = SORT_ORDERS[key]
        if key == 'size' and self.pieces is not None:
            order = self._database.read(self.pieces.size_of_entry)
        yield from self._sorted(f'{order} {"DESC" if reversed else "ASC"}', where, parameters, limit)

    def expired(self) -> Iterator[Any]:
        """Readable values that have expired"""
        return self._sorted('expires', 'expires <= ?', (round(time()),))

    def _sorted(self, order: str, where: str, parameters: Sequence[Any], limit: int | None = None) -> Iterator[Any]:
        if where != '1':
            self._learn_expirations()
        pages = self._database.read(
            lambda connection: self._table.sorted_keys(connection, order, where, parameters, limit)
        )
        for keys in unpack(pages):
            for stored_key, data in self._read_values(keys):
                value = self.deserialize(from_column(stored_key), data)
                if value is not None:
                    yield value

    def _read_values(self, keys: list[Any]) -> list[tuple[Any, Any]]:
        return self._database.read(lambda connection: self._table.values_in(connection, keys))

    def _learn_expirations(self) -> None:
        """Fill in expirations that version 0.9 kept only in the values"""
        if self._expirations_known or self.serializer is None:
            return
        if self._database.read(self._table.has_unknown_expirations):
            for rows in self._pages('key, value', 'expires IS NULL'):
                values = ((key, self.deserialize(key, data)) for key, data in rows)
                self._set_expirations(
                    [(v.expires_unix, to_column(k)) for k, v in values if getattr(v, 'expires_unix', None) is not None]
                )
        self._expirations_known = True

    def _set_expirations(self, rows: list[tuple[int, Any]]) -> None:
        if rows:
            self._database.write(lambda connection: connection.executemany(self._table.set_expiration, rows))

    # Several entries in one transaction

    def update(self, *args: Any, **kwargs: Any) -> None:
        with self.bulk_commit():
            super().update(*args, **kwargs)

    def change(self, function: Callable[[Any], bool]) -> None:
        """Call a function with each readable value, and write the changed value; a page of entries at a time

        Args:
            function: Changes the value; returns False if the entry is to be deleted instead
        """
        for rows in self._pages('key'):
            with self.bulk_commit():
                for (key,) in rows:
                    value = self.get(key)
                    if value is not None and function(value):
                        self[key] = value
                    elif value is not None:
                        del self[key]

    def bulk_delete(self, keys: Iterable[str] | None = None, values: Iterable[Any] | None = None) -> int:
        """Delete entries with any of the given keys or stored values; missing ones are skipped

        Returns:
            The number of deleted entries
        """
        return self._delete_in('key', keys or ()) + self._delete_in('value', values or ())

    def _delete_in(self, column: str, items: Iterable[Any]) -> int:
        return sum(self._delete_chunk(column, chunk) for chunk in chunkify(items, CHUNK_SIZE))

    def _delete_chunk(self, column: str, items: list[Any]) -> int:
        statement = self._table.delete_in(column, len(items))
        stored = [to_column(item) if column == 'key' or isinstance(item, str) else item for item in items]
        return self._database.write(lambda connection: connection.execute(statement, stored).rowcount)

    def delete_expired(self, overwrite: bool = True) -> int:
        """Delete expired entries; returns their number. `overwrite`: see `bulk_commit`"""
        self._learn_expirations()
        now = round(time())
        return self._database.write(lambda connection: delete_expired(connection, self._table, now, overwrite))

    def delete_dangling(self, target: TableStorage) -> int:
        """Delete entries whose value is no key of another storage in the database; returns their number"""
        statement = self._table.delete_dangling(target._table)
        return self._database.write(lambda connection: connection.execute(statement).rowcount)

    def clear(self) -> None:
        def clear(connection: Connection) -> None:
            if self.pieces is not None:
                self.pieces.clear(connection)
            connection.execute(self._table.delete_all)

        self._database.write(clear)

    # The database

    def close(self) -> None:
        if self._upkeep is not None:
            self._upkeep.close()
        super().close()

    def vacuum_if_worthwhile(self, removed: int) -> None:
        """Vacuum the database, unless it is large and little of it is unused after `removed` entries were deleted"""
        if self._database.read(lambda connection: is_worth_vacuuming(connection, self._table, removed)):
            self.vacuum()


def _length(data: Any) -> int:
    """Size of a value, in bytes"""
    if isinstance(data, str):
        return len(data) if data.isascii() else len(data.encode('utf-8', 'surrogatepass'))
    return len(data) if isinstance(data, (bytes, bytearray, memoryview)) else 8
