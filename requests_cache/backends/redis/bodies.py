"""Large bodies in Redis: a hash for each, on the server where the string of its entry would be

NAMESPACE-body:{NAMESPACE:KEY}            the pieces of a body, and `record`, the rest of its entry; there is no string
NAMESPACE-unfinished:{NAMESPACE:KEY}:ID   the pieces of a body whose entry has not been written yet

If there is also a string, it takes precedence, as it was written by version 1.3 or older, which does not know the
hashes. The braces put the names into the same slot of a cluster. If the name of the entry itself contains braces, a
number before it does so.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

from ...exceptions import BackendError
from ...models.body import Body
from ..bodies import Pieces
from ..storage import CHUNK_SIZE
from .commands import Command, is_refusal, run_each, scan_names, unless_wrong_type
from .names import encode, key_of_entry, name_of_entry, pattern_of

if TYPE_CHECKING:
    from .storage import RedisStorage

# How long a server keeps a body after its last piece was written, if its entry is not written
UNFINISHED_SECONDS = 3600
RECORD = b'record'
SLOTS = 16384


def slot_of(name: bytes) -> int:
    """The cluster slot of a name"""
    start = name.find(b'{')
    end = name.find(b'}', start + 1) if start >= 0 else -1
    return crc_hqx(name[start + 1 : end] if end > start + 1 else name, 0) % SLOTS


def name_in_same_slot(entry: bytes, prefix: bytes, suffix: bytes = b'') -> bytes:
    """A name in the same slot as the name of an entry"""
    if b'{' not in entry and b'}' not in entry:
        return b''.join((prefix, b'{', entry, b'}', suffix))
    return _numbered_name(entry, prefix, suffix)


@lru_cache(maxsize=1000)
def _numbered_name(entry: bytes, prefix: bytes, suffix: bytes) -> bytes:
    names = (b'%b%d:%b%b' % (prefix, number, entry, suffix) for number in count())
    slot = slot_of(entry)
    return next(name for name in names if slot_of(name) == slot)


class BodyHashes(Pieces):
    """The hashes for the bodies of one storage

    A Redis user may have no permission for these names, or for the necessary commands. Then bodies of any size are kept
    in their entries.

    Args:
        storage: The storage
        namespace: Its namespace
    """

    # Whether the server permits reading and writing the hashes, as far as known
    readable = True
    writable = True

    def __init__(self, storage: RedisStorage, namespace: str):
        self._storage = storage
        self._namespace = namespace
        self._prefix = encode(f'{namespace}-body:')
        self._unfinished_prefix = encode(f'{namespace}-unfinished:')

    def name(self, key: str) -> bytes:
        """The name of the hash for an entry with a large body"""
        return name_in_same_slot(name_of_entry(self._namespace, key), self._prefix)

    def unfinished_name(self, key: str, body_id: str) -> bytes:
        suffix = encode(f':{body_id}')
        return name_in_same_slot(name_of_entry(self._namespace, key), self._unfinished_prefix, suffix)

    def key(self, name: bytes) -> str | None:
        """The key that belongs to the name of a hash; None for any other name"""
        return self._key(name, self._prefix)

    def _key(self, name: bytes, prefix: bytes, suffix: bytes = b'') -> str | None:
        rest = name[len(prefix) : len(name) - len(suffix)]
        entry = rest[1:-1] if rest.startswith(b'{') else rest.partition(b':')[2]
        key = key_of_entry(self._namespace, entry)
        return key if key is not None and name_in_same_slot(entry, prefix, suffix) == name else None

    def names(self) -> Iterator[bytes]:
        """Names of all hashes, and perhaps others; `key` returns their keys"""
        return scan_names(self._storage._client, pattern_of(self._prefix), CHUNK_SIZE, 'HASH')

    # Pieces

    def write(self, key: str, body_id: str, index: int, piece: bytes) -> None:
        name = self.unfinished_name(key, body_id)

        def write(pipeline: Any) -> None:
            pipeline.hset(name, _field(body_id, index), piece)
            pipeline.expire(name, UNFINISHED_SECONDS)
            pipeline.execute()

        with self._storage._calling('write to it'), self.watching_permissions():
            self._storage._connection.in_transaction(name, write)

    def read(self, key: str, body_id: str, index: int) -> bytes | None:
        finished, unfinished = self.name(key), self.unfinished_name(key, body_id)
        with self._storage._calling('read from it'):
            # It may be finished between the reads
            for name in (finished, unfinished, finished):
                piece: bytes | None
                piece = unless_wrong_type(self._storage._client.hget, name, _field(body_id, index))
                if piece is not None:
                    return piece
        return None

    def delete(self, key: str, body_id: str) -> None:
        with self._storage._calling('delete from it'):
            self._storage._client.unlink(self.unfinished_name(key, body_id))

    def unused(self) -> Iterator[tuple[str, str]]:
        with self._storage._calling('read from it'):
            names = scan_names(self._storage._client, pattern_of(self._unfinished_prefix), CHUNK_SIZE, 'HASH')
        for page in self._storage._pages(names, CHUNK_SIZE):
            for name in page:
                body_id = name.rpartition(b':')[2]
                key = self._key(name, self._unfinished_prefix, b':' + body_id)
                if key is not None:
                    yield key, body_id.decode('ascii', 'replace')

    # Entries

    def record(self, client: Any, key: str) -> bytes | None:
        """The entry without its large body; None if there is no such hash"""
        if not self.readable:
            return None
        try:
            record = unless_wrong_type(client.hget, self.name(key), RECORD)
        except Exception as e:
            if not is_refusal(e):
                raise
            self.readable = self.writable = False
            return None
        return record if isinstance(record, bytes) else None

    def is_unfinished(self, pipeline: Any, key: str, body: Body) -> bool:
        """Whether a body is unfinished; False if it is finished, and its entry is only being rewritten

        Raises:
            BackendError: The body no longer exists
        """
        if pipeline.hlen(self.unfinished_name(key, body.id)) == body.piece_count:
            return True
        if not unless_wrong_type(pipeline.hexists, self.name(key), _field(body.id, body.piece_count - 1)):
            raise BackendError('The body of the entry was deleted before the entry was written')
        return False

    def lengths(self, client: Any, key: str, body: Body) -> list[int]:
        """Lengths of the stored pieces of a body; empty if it no longer exists"""
        fields = [_field(body.id, index) for index in range(body.piece_count)]
        for name in (self.unfinished_name(key, body.id), self.name(key)):
            lengths = run_each(client, [('hstrlen', name, field) for field in fields])
            if all(lengths):
                return lengths
        return []

    def finish(self, key: str, body: Body, record: bytes, seconds: int | None, is_unfinished: bool) -> list[Command]:
        """Commands that finish a body by adding the rest of its entry"""
        name = self.name(key)
        moved: list[Command] = [('unlink', name), ('rename', self.unfinished_name(key, body.id), name)]
        kept: Command = ('persist', name) if seconds is None else ('expire', name, seconds)
        return [*(moved if is_unfinished else ()), ('hset', name, RECORD, record), kept]

    @contextmanager
    def watching_permissions(self) -> Iterator[None]:
        """A block that writes; if the server does not permit the commands, no more bodies are written here"""
        try:
            yield
        except Exception as e:
            if is_refusal(e):
                self.writable = False
            raise


def _field(body_id: str, index: int) -> bytes:
    return encode(f'{body_id}:{index}')
