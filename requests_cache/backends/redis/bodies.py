"""Large bodies in Redis: a hash for each, on the server where the string of the entry would be

NAMESPACE-body:{NAMESPACE:KEY}            the pieces of a body, and `record`, the rest of its entry; there is no string
NAMESPACE-unfinished:{NAMESPACE:KEY}:ID   the pieces of a body whose entry has not been written yet

A string takes precedence, so that entries written by versions up to 1.3, which ignore hashes, are found. The braces
make a cluster keep the names in the same slot. If the name of the entry contains braces, a number before it does so.
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
from .commands import Command, each, is_refusal, scan_names, unless_wrong_type
from .names import encode, key_of_entry, name_of_entry, pattern_of

if TYPE_CHECKING:
    from .storage import RedisStorage

# How long a server keeps a body after its last piece, if its entry is not written
UNFINISHED_SECONDS = 3600
RECORD = b'record'
SLOTS = 16384


def slot_of(name: bytes) -> int:
    """The slot of a name in a cluster"""
    start = name.find(b'{')
    end = name.find(b'}', start + 1) if start >= 0 else -1
    return crc_hqx(name[start + 1 : end] if end > start + 1 else name, 0) % SLOTS


def name_beside(entry: bytes, prefix: bytes, suffix: bytes = b'') -> bytes:
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

    The user of Redis may lack permission for these names or commands. Then bodies of any size are stored in their
    entries.

    Args:
        storage: The storage
        namespace: Its namespace
    """

    # Whether the server permits reading and writing them, as far as is known
    readable = True
    writable = True

    def __init__(self, storage: RedisStorage, namespace: str):
        self._storage = storage
        self._namespace = namespace
        self._prefix = encode(f'{namespace}-body:')
        self._unfinished_prefix = encode(f'{namespace}-unfinished:')

    def name(self, key: str) -> bytes:
        """The name of the hash for an entry with a large body"""
        return name_beside(name_of_entry(self._namespace, key), self._prefix)

    def unfinished_name(self, key: str, body_id: str) -> bytes:
        suffix = encode(f':{body_id}')
        return name_beside(name_of_entry(self._namespace, key), self._unfinished_prefix, suffix)

    def key(self, name: bytes) -> str | None:
        """The key for the name of a hash; None if it is not such a name"""
        return self._key(name, self._prefix)

    def _key(self, name: bytes, prefix: bytes, suffix: bytes = b'') -> str | None:
        rest = name[len(prefix) : len(name) - len(suffix)]
        entry = rest[1:-1] if rest.startswith(b'{') else rest.partition(b':')[2]
        key = key_of_entry(self._namespace, entry)
        return key if key is not None and name_beside(entry, prefix, suffix) == name else None

    def names(self) -> Iterator[bytes]:
        """Names of hashes; `key` returns their keys"""
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
            # It may have been finished meanwhile
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
        """The entry without its body; None if it does not exist"""
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
        """Whether a body has not been finished yet; otherwise it belongs to an entry that is being rewritten

        Raises:
            BackendError: The body no longer exists
        """
        if pipeline.hlen(self.unfinished_name(key, body.id)) == body.piece_count:
            return True
        if not unless_wrong_type(pipeline.hexists, self.name(key), _field(body.id, body.piece_count - 1)):
            raise BackendError('the body of the entry was deleted before the entry was written')
        return False

    def lengths(self, client: Any, key: str, body: Body) -> list[int]:
        """Lengths of the stored pieces of a body; empty if it no longer exists"""
        fields = [_field(body.id, index) for index in range(body.piece_count)]
        for name in (self.unfinished_name(key, body.id), self.name(key)):
            lengths = each(client, [('hstrlen', name, field) for field in fields])
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
        """A block with commands that write; if the server does not permit them, bodies are no longer stored here"""
        try:
            yield
        except Exception as e:
            if is_refusal(e):
                self.writable = False
            raise


def _field(body_id: str, index: int) -> bytes:
    return encode(f'{body_id}:{index}')
