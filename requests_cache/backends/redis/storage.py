"""The base class of storages in Redis, and the storage in a hash"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from math import inf
from operator import itemgetter
from random import sample
from time import time
from typing import Any, TypeVar

from ..._utils import chunkify
from ...exceptions import BackendError
from ..storage import CHUNK_SIZE, BaseStorage
from .commands import is_refusal, is_wrong_type, scan_fields, unique, unless_wrong_type
from .connection import RedisConnection
from .names import decode, encode

T = TypeVar('T')

# Number of redirects that are checked on each write of redirects
FIELDS_PER_STEP = 50
# How much longer than an entry its redirects are kept, and how long the known expiration of the hash is relied on: so
# most entries need not extend it
SLACK_SECONDS = 60


class RedisStorage(BaseStorage[str, Any]):
    """Base of the storages in Redis

    Raises:
        BackendUnavailableError: The server cannot be reached; from all methods
        BackendError: The server refuses a command; from all methods
    """

    iteration_tolerates_writes = True

    def __init__(self, connection: RedisConnection, serializer: Any, **kwargs: Any):
        super().__init__(serializer=serializer, **kwargs)
        self._connection = connection

    @property
    def connection(self) -> Any:
        """The driver's client"""
        with self._calling('connect to it'):
            return self._connection.client

    @connection.setter
    def connection(self, client: Any) -> None:
        self._connection = RedisConnection(client, {}, lambda: type(client))

    @property
    def _client(self) -> Any:
        return self._connection.bytes_client

    def _calling(self, purpose: str) -> AbstractContextManager[None]:
        return self._connection.calling(purpose)

    def _pages(self, items: Iterable[T], size: int) -> Iterator[list[T]]:
        """Lists of at most `size` items, which the driver fetches one list at a time"""
        iterator = iter(items)
        while True:
            with self._calling('read from it'):
                page = list(islice(iterator, size))
            if not page:
                return
            yield page

    def serialize(self, value: Any, key: Any = None) -> Any:
        data = super().serialize(value, key)
        return encode(data) if isinstance(data, str) else data

    def close(self) -> None:
        """Close the connections, unless the client was passed in; a later use opens them again"""
        self._connection.close()


class HashStorage(RedisStorage):
    """A storage in a single Redis hash, with a field per entry

    If the name of the hash has a value of another type, the storage is empty, and the next write replaces the value.
    """

    def __init__(self, connection: RedisConnection, hash_name: str, serializer: Any, **kwargs: Any):
        super().__init__(connection, serializer, **kwargs)
        self._hash_name = encode(hash_name)
        self._cursor = 0
        # When the expiration of the hash was last read, and when it expires
        self._asked_at = 0.0
        self._kept_until = -inf

    def __getitem__(self, key: str) -> Any:
        with self._calling('read from it'):
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
        with self._calling('write to it'):
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
        with self._calling('read from it'):
            return bool(unless_wrong_type(self._client.hexists, self._hash_name, encode(str(key))))

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self._fields())

    def __len__(self) -> int:
        with self._calling('read from it'):
            return unless_wrong_type(self._client.hlen, self._hash_name) or 0

    def _fields(self) -> Iterator[tuple[str, bytes]]:
        with self._calling('read from it'):
            fields = scan_fields(self._client, self._hash_name, CHUNK_SIZE)
        for page in self._pages(unique(fields, key=itemgetter(0)), CHUNK_SIZE):
            for field, value in page:
                if (key := _text(field)) is not None:  # otherwise another program wrote it
                    yield key, value

    def scan(self) -> Iterator[tuple[str, Any]]:
        """All keys and values, read a few at a time; None for a value that cannot be read"""
        return ((key, self.deserialize(key, value)) for key, value in self._fields())

    def bulk_delete(self, keys: Iterable[str]) -> int:
        """Delete keys, ignoring those that do not exist. Returns the number of entries that were removed."""
        return sum(map(self._delete_fields, chunkify((encode(str(key)) for key in keys), CHUNK_SIZE)))

    def _delete_fields(self, fields: list[bytes]) -> int:
        with self._calling('delete from it'):
            return unless_wrong_type(self._client.hdel, self._hash_name, *fields) or 0

    def keep_for(self, seconds: int | None, n_new: int) -> None:
        """Make the hash expire when the last of its fields expires

        Args:
            seconds: How long to keep the fields that have just been written; None for ever
            n_new: Number of these fields
        """
        self._asked_at = 0.0
        with self._calling('write to it'):
            left = self._client.ttl(self._hash_name)
            if seconds is None:
                if left >= 0:
                    self._client.persist(self._hash_name)
            elif left >= 0 or self._client.hlen(self._hash_name) <= n_new:
                # If an older hash does not expire, it contains fields that do not expire
                self._client.expire(self._hash_name, max(left, seconds, 1))

    def outlast(self, seconds: int | None) -> None:
        """Keep the hash at least as long as an entry to which its fields may redirect

        Args:
            seconds: How long the entry, which has just been written, is kept; None for ever
        """
        now = time()
        end = inf if seconds is None else now + seconds
        if end <= self._kept_until and abs(now - self._asked_at) < SLACK_SECONDS:
            return
        with self._calling('write to it'):
            left = self._client.ttl(self._hash_name)
            if left >= 0 and seconds is None:
                self._client.persist(self._hash_name)
                left = -1
            elif seconds is not None and 0 <= left < seconds:
                left = seconds + SLACK_SECONDS
                self._client.expire(self._hash_name, left)
        self._asked_at = now
        self._kept_until = now + left if left >= 0 else inf if left == -1 else -inf

    def prune_some(self, existing: Callable[[Iterable[str]], set[str]]) -> None:
        """Check some fields, and delete those whose values are not existing keys; repeated calls check all fields

        Args:
            existing: A function that returns the existing keys among some keys
        """
        with self._calling('read from it'):
            self._cursor, fields = self._client.hscan(self._hash_name, cursor=self._cursor, count=FIELDS_PER_STEP)
            # Redis returns all fields of a small hash at once
            some = sample(list(fields.items()), min(len(fields), FIELDS_PER_STEP))
        targets = {field: _text(value) for field, value in some}
        alive = existing({target for target in targets.values() if target is not None})
        dead = [field for field, target in targets.items() if target not in alive]
        if dead:
            self._delete_fields(dead)

    def write_if(self, key: str, value: Any, is_expected: Callable[[Any], bool]) -> bool:
        field, data = encode(str(key)), self._serialize(key, value)

        def write(pipeline: Any) -> bool:
            pipeline.watch(self._hash_name)
            is_foreign = False
            try:
                stored = pipeline.hget(self._hash_name, field)
            except Exception as e:
                is_foreign, stored = is_wrong_type(e), None
                if not is_foreign:
                    raise
            if not is_expected(None if stored is None else self.deserialize(key, stored)):
                return False
            pipeline.multi()
            if is_foreign:
                pipeline.unlink(self._hash_name)
            pipeline.hset(self._hash_name, field, data)
            pipeline.execute()
            return True

        try:
            with self._calling('write to it'):
                return self._connection.in_transaction(self._hash_name, write)
        except BackendError as e:
            if not is_refusal(e.__cause__):
                raise
            return super().write_if(key, value, is_expected)

    def clear(self) -> None:
        """Delete all entries"""
        self._asked_at = 0.0
        with self._calling('delete from it'):
            self._client.unlink(self._hash_name)


def _text(data: bytes) -> str | None:
    """Decode bytes; None if they are not valid"""
    try:
        return decode(data)
    except UnicodeDecodeError:
        return None
