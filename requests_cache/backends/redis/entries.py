"""Entries in Redis: a string for each, or a hash if its body is large"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial
from logging import getLogger
from math import ceil
from typing import TYPE_CHECKING, Any

from ..._utils import chunkify
from ...exceptions import BackendError, BackendUnavailableError
from ...models.body import Body
from ...models.response import CachedResponse
from ..bodies import Pieces
from ..storage import CHUNK_SIZE
from .bodies import RECORD, BodyHashes
from .commands import is_refusal, is_wrong_type, run_each, scan_names, unique
from .connection import RedisConnection
from .names import encode, key_of_entry, name_of_entry, pattern_of
from .storage import HashStorage, RedisStorage
from .writes import UnexpectedError, Write, large_write, small_write

if TYPE_CHECKING:
    from .bounds.upkeep import RedisUpkeep
    from .leases import RedisLeases

logger = getLogger(__name__)

# Seconds for which entries are kept after they have expired
DEFAULT_TTL_OFFSET = 3600
# Number of entries whose values are read at a time
VALUES_PER_PAGE = 100


@contextmanager
def if_permitted() -> Iterator[None]:
    """A block that may fail for Redis users who have permission only to read and write"""
    try:
        yield
    except BackendUnavailableError:
        raise
    except BackendError as e:
        logger.debug('Could not maintain redirects in Redis: %s', e)


class EntryStorage(RedisStorage):
    """A storage with a Redis string or hash per entry

    Args:
        connection: The connection
        namespace: Prefix of the names
        ttl: Have Redis remove entries after they have expired
        ttl_offset: How many seconds Redis keeps entries after they have expired
        kwargs: As for `BaseStorage`
    """

    can_be_bounded = True
    # With `ttl`
    deletes_expired = True
    pieces: BodyHashes
    _upkeep: RedisUpkeep | None = None
    # Redis removes unfinished bodies itself
    _has_swept = True
    # The redirects to the entries
    _redirects: HashStorage | None = None

    def __init__(self, connection: RedisConnection, namespace: str, ttl: bool, ttl_offset: int, **kwargs: Any):
        super().__init__(connection, **kwargs)
        self.namespace = namespace
        self.ttl = ttl
        self.ttl_offset = ttl_offset if self.delete_expired_after is None else self._offset(ttl, ttl_offset)
        self.pieces = BodyHashes(self, namespace)
        if self.bounds is not None:
            from .bounds.upkeep import RedisUpkeep

            self._upkeep = RedisUpkeep(self, self.bounds)

    def _offset(self, ttl: bool, ttl_offset: int) -> int:
        """How many seconds Redis keeps expired entries, if `delete_expired_after` is set"""
        seconds = ceil(self.delete_expired_after or 0)
        if not ttl:
            raise ValueError('delete_expired_after does not work with ttl=False; omit one of them')
        if ttl_offset not in (DEFAULT_TTL_OFFSET, seconds):
            raise ValueError(
                f'delete_expired_after={seconds} and ttl_offset={ttl_offset} contradict each other; omit one of them'
            )
        return seconds

    @cached_property
    def leases(self) -> RedisLeases:
        """The leases, one string for each"""
        from .leases import RedisLeases

        return RedisLeases(self, self.namespace)

    @property
    def _usable_pieces(self) -> Pieces | None:
        return super()._usable_pieces if self.pieces.writable else None

    def _name(self, key: object) -> bytes:
        return name_of_entry(self.namespace, str(key))

    def _names(self, key: object) -> tuple[bytes, ...]:
        """The names that an entry may have"""
        return (self._name(key), self.pieces.name(str(key))) if self.pieces.readable else (self._name(key),)

    # Reading

    def __getitem__(self, key: str) -> Any:
        with self._calling('read from it'):
            is_foreign, value = self._look_up(self._client, key)
        if is_foreign:
            return None
        if value is None:
            raise KeyError(key)
        if self._upkeep is not None:
            self._upkeep.note(str(key))
        return self.deserialize(key, value)

    def _look_up(self, client: Any, key: str) -> tuple[bool, Any]:
        """Whether the name of an entry has a value of another type, and the serialized entry or None"""
        try:
            value = client.get(self._name(key))
        except Exception as e:
            if is_wrong_type(e):
                return True, None
            raise
        return False, self.pieces.record(client, str(key)) if value is None else value

    def __contains__(self, key: object) -> bool:
        return bool(self._run_for_each('exists', [key])[0])

    def existing(self, keys: Iterable[str]) -> set[str]:
        """The keys that exist in this storage"""
        wanted = list(keys)
        return {key for key, exists in zip(wanted, self._run_for_each('exists', wanted), strict=True) if exists}

    def seconds_left(self, keys: Iterable[str]) -> int | None:
        """Seconds until Redis will have removed all entries with some keys; None if it keeps one forever"""
        with self._calling('read from it'):
            seconds = run_each(self._connection.client, [('ttl', name) for key in keys for name in self._names(key)])
        return None if -1 in seconds else max(0, *seconds)

    def _run_for_each(self, method: str, keys: Iterable[object], purpose: str = 'read from it') -> list[Any]:
        """Run a command for each key, with all names of the entry as arguments, and return the replies"""
        commands = [(method, *self._names(key)) for key in keys]
        with self._calling(purpose):
            try:
                return run_each(self._connection.client, commands)
            except Exception as e:
                if not (self.pieces.readable and is_refusal(e)):
                    raise
            # The user may have permission only for the names of strings
            return run_each(self._connection.client, [command[:2] for command in commands])

    # All entries

    def __iter__(self) -> Iterator[str]:
        return unique((key for key, _ in self._keys()), key=str)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _keys(self) -> Iterator[tuple[str, bool]]:
        """Keys, and whether their entries are hashes; a key may be repeated"""
        with self._calling('read from it'):
            strings = scan_names(self._client, pattern_of(encode(f'{self.namespace}:')), CHUNK_SIZE)
        for page in self._pages(strings, CHUNK_SIZE):
            keys = (key_of_entry(self.namespace, name) for name in page)
            yield from ((key, False) for key in keys if key is not None)
        for page in self._pages(self.pieces.names(), CHUNK_SIZE):
            yield from ((key, True) for key in map(self.pieces.key, page) if key is not None)

    def scan(self) -> Iterator[tuple[str, Any]]:
        """All keys and values, read a few at a time; None for a value that cannot be read"""
        for page in chunkify(unique(self._keys(), key=lambda found: found[0]), VALUES_PER_PAGE):
            commands = [
                ('hget', self.pieces.name(key), RECORD) if is_large else ('get', self._name(key))
                for key, is_large in page
            ]
            with self._calling('read from it'):
                values = run_each(self._connection.client, commands)
            for (key, _), value in zip(page, values, strict=True):
                found = value if value is not None else self._read_again(key)
                if found is not None:
                    yield key, self.deserialize(key, found)

    def _read_again(self, key: str) -> Any:
        """Read an entry that was deleted, or replaced by one of the other type, since it was listed"""
        with self._calling('read from it'):
            return self._look_up(self._client, key)[1]

    # Writing

    def __setitem__(self, key: str, item: Any) -> None:
        self._write_apart(key, item, self._write)

    def write_if(self, key: str, value: Any, is_expected: Callable[[Any], bool]) -> bool:
        try:
            return self._write_apart(key, value, partial(self._write, is_expected=is_expected))
        except UnexpectedError:
            return False
        except BackendError as e:
            if not is_refusal(e.__cause__):
                raise
            return super().write_if(key, value, is_expected)

    def _write_apart(self, key: str, value: Any, write: Callable[[str, Any], object]) -> bool:
        was_writable = self.pieces.writable
        try:
            return super()._write_apart(key, value, write)
        except BackendError:
            is_in_pieces = getattr(value, '_body', None) is not None
            if self.pieces.writable or not (was_writable or is_in_pieces):
                raise
            whole = CachedResponse.from_response(value, content=value.content) if is_in_pieces else value
            return super()._write_apart(key, whole, write)

    def _write(self, key: str, item: Any, is_expected: Callable[[Any], bool] | None = None) -> None:
        value = self._serialize(key, item)
        seconds = self._seconds_to_keep(item)
        body: Body | None = getattr(item, '_body', None)
        with self._calling('write to it'):
            if body is None:
                self._write_small(key, value, seconds, is_expected)
            else:
                with self.pieces.watching_permissions():
                    write = large_write(self, key, value, seconds, is_expected, body)
                    self._execute(write, key, value, seconds, body)
        if self._redirects is not None and getattr(item, 'history', None):
            with if_permitted():
                self._redirects.outlast(seconds)

    def _execute(self, write: Write, key: str, value: Any, seconds: int | None, body: Body | None = None) -> None:
        if self._upkeep is None:
            write.execute(self._connection)
        else:
            self._upkeep.write(write, str(key), value, seconds, body)

    def _write_small(
        self, key: str, value: Any, seconds: int | None, is_expected: Callable[[Any], bool] | None
    ) -> None:
        names = self._names(key)
        try:
            self._execute(small_write(self, key, value, seconds, is_expected, names), key, value, seconds)
        except Exception as e:
            if is_expected is None or len(names) == 1 or not is_refusal(e):
                raise
            # The user may have permission only for the names of strings
            self._execute(small_write(self, key, value, seconds, is_expected, names[:1]), key, value, seconds)

    def _expect(self, client: Any, key: str, is_expected: Callable[[Any], bool]) -> None:
        _, stored = self._look_up(client, key)
        if not is_expected(None if stored is None else self.deserialize(key, stored)):
            raise UnexpectedError

    def _seconds_to_keep(self, item: Any) -> int | None:
        expires_in: int | None = getattr(item, 'expires_delta', None) if self.ttl else None
        if expires_in is None:
            return None
        seconds = int(expires_in + self.ttl_offset)
        # An expired entry is written for a reason: it was copied, or it will be validated on its next use
        return seconds if seconds > 0 else max(int(self.ttl_offset), 1)

    # Deleting

    def __delitem__(self, key: str) -> None:
        if not self.bulk_delete([key]):
            raise KeyError(key)

    def bulk_delete(self, keys: Iterable[str]) -> int:
        """Delete keys, ignoring those that do not exist. Returns the number of entries that were removed."""
        return sum(map(self._delete_page, chunkify(keys, CHUNK_SIZE)))

    def _delete_page(self, keys: list[str]) -> int:
        with nullcontext() if self._upkeep is None else self._upkeep.forgetting(map(str, keys)):
            return self._unlink(keys)

    def _unlink(self, keys: Iterable[str]) -> int:
        """Delete entries without updating the index of a bounded storage"""
        return sum(map(bool, self._run_for_each('unlink', dict.fromkeys(keys), 'delete from it')))

    def clear(self) -> None:
        """Delete all entries, and nothing else"""
        self.bulk_delete(self)
        if self._upkeep is not None:
            self._upkeep.forget_missing()

    def close(self) -> None:
        if self._upkeep is not None:
            self._upkeep.close()
        super().close()
