"""What the storages in Redis have in common, and the one that is a hash"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from random import sample
from typing import Any

from ..._utils import chunkify
from ..storage import CHUNK_SIZE, BaseStorage
from .commands import driver_errors, in_pages, is_wrong_type, scan_fields, unique, unless_wrong_type
from .connection import RedisConnection
from .names import decode, encode

# Redirects that are looked at whenever some are written
FIELDS_PER_STEP = 50


class RedisStorage(BaseStorage[str, Any]):
    """Base of the storages in Redis

    Raises:
        BackendUnavailableError: The server cannot be reached; from all methods
        BackendError: The server refuses what it is asked; from all methods
    """

    iteration_tolerates_writes = True

    def __init__(self, connection: RedisConnection, serializer: Any, **kwargs: Any):
        super().__init__(serializer=serializer, **kwargs)
        self._connection = connection

    @property
    def connection(self) -> Any:
        """The driver's client"""
        with driver_errors:
            return self._connection.client

    @connection.setter
    def connection(self, client: Any) -> None:
        self._connection = RedisConnection(client, {}, lambda: type(client))

    @property
    def _client(self) -> Any:
        return self._connection.bytes_client

    def serialize(self, value: Any, key: Any = None) -> Any:
        data = super().serialize(value, key)
        return encode(data) if isinstance(data, str) else data

    def close(self) -> None:
        """Close the connections, unless the client was passed in; a later use opens them again"""
        self._connection.close()


class HashStorage(RedisStorage):
    """A storage in one hash of Redis, with a field per entry

    Under the name of the hash, a value of another type reads as nothing, and gives way to what is written.
    """

    def __init__(self, connection: RedisConnection, hash_name: str, serializer: Any, **kwargs: Any):
        super().__init__(connection, serializer, **kwargs)
        self._hash_name = encode(hash_name)
        self._cursor = 0

    def __getitem__(self, key: str) -> Any:
        with driver_errors:
            value = unless_wrong_type(self._client.hget, self._hash_name, encode(str(key)))
        if value is None:
            raise KeyError(key)
        return self.deserialize(key, value)

    def __setitem__(self, key: str, item: Any) -> None:
        self._write(encode(str(key)), self._serialize(key, item))

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Write many entries, a batch at a time"""
        for page in chunkify(dict(*args, **kwargs).items(), CHUNK_SIZE):
            self._write(mapping={encode(str(key)): self._serialize(key, item) for key, item in page})

    def _write(self, *args: Any, **kwargs: Any) -> None:
        with driver_errors:
            try:
                self._client.hset(self._hash_name, *args, **kwargs)
            except Exception as e:
                if not is_wrong_type(e):
                    raise
                self._client.unlink(self._hash_name)
                self._client.hset(self._hash_name, *args, **kwargs)

    def __delitem__(self, key: str) -> None:
        if not self.bulk_delete([key]):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        with driver_errors:
            return bool(unless_wrong_type(self._client.hexists, self._hash_name, encode(str(key))))

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self._fields())

    def __len__(self) -> int:
        with driver_errors:
            return unless_wrong_type(self._client.hlen, self._hash_name) or 0

    def _fields(self) -> Iterator[tuple[str, bytes]]:
        with driver_errors:
            fields = scan_fields(self._client, self._hash_name, CHUNK_SIZE)
        for page in in_pages(unique(fields, key=itemgetter(0)), CHUNK_SIZE):
            for field, value in page:
                if (key := _text(field)) is not None:  # otherwise somebody else's
                    yield key, value

    def scan(self) -> Iterator[tuple[str, Any]]:
        """All keys with their values, None for those that cannot be read; in memory that does not grow with them"""
        return ((key, self.deserialize(key, value)) for key, value in self._fields())

    def bulk_delete(self, keys: Iterable[str]) -> int:
        """Delete keys; those that do not exist are passed over. Returns the number of entries that were removed."""
        return sum(map(self._delete_fields, chunkify((encode(str(key)) for key in keys), CHUNK_SIZE)))

    def _delete_fields(self, fields: list[bytes]) -> int:
        with driver_errors:
            return unless_wrong_type(self._client.hdel, self._hash_name, *fields) or 0

    def keep_for(self, seconds: int | None, n_new: int) -> None:
        """Have Redis remove the hash after the longest of the times that its fields are to be kept for

        Args:
            seconds: For how long the fields that have just been written are to be kept; None for ever
            n_new: How many these are
        """
        with driver_errors:
            left = self._client.ttl(self._hash_name)
            if seconds is None:
                if left >= 0:
                    self._client.persist(self._hash_name)
            elif left >= 0 or self._client.hlen(self._hash_name) <= n_new:
                # One that is there and has no end holds fields that have none
                self._client.expire(self._hash_name, max(left, seconds, 1))

    def prune_some(self, existing: Callable[[Iterable[str]], set[str]]) -> None:
        """Delete some of the fields whose values are no existing keys; called for each write, it deletes all in time

        Args:
            existing: Finds those of some keys that exist
        """
        with driver_errors:
            self._cursor, fields = self._client.hscan(self._hash_name, cursor=self._cursor, count=FIELDS_PER_STEP)
            # Of a small hash, Redis gives all fields at once
            some = sample(list(fields.items()), min(len(fields), FIELDS_PER_STEP))
        targets = {field: _text(value) for field, value in some}
        alive = existing({target for target in targets.values() if target is not None})
        dead = [field for field, target in targets.items() if target not in alive]
        if dead:
            self._delete_fields(dead)

    def clear(self) -> None:
        """Delete all entries"""
        with driver_errors:
            self._client.unlink(self._hash_name)


def _text(data: bytes) -> str | None:
    """Bytes as text; None if they are no text of ours"""
    try:
        return decode(data)
    except UnicodeDecodeError:
        return None
