"""Writing entries: commands for names in a single slot, which may depend on the stored values"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .commands import Command, is_refusal, replies_to, run
from .connection import RedisConnection

if TYPE_CHECKING:
    from ...models.body import Body
    from .bodies import BodyHashes


class Entries(Protocol):
    """The methods of `entries.EntryStorage` that are used for writing and maintaining its entries"""

    namespace: str
    pieces: BodyHashes
    _connection: RedisConnection

    @property
    def _client(self) -> Any: ...

    def _calling(self, purpose: str) -> AbstractContextManager[None]: ...

    def _name(self, key: object) -> bytes: ...

    def _names(self, key: object) -> tuple[bytes, ...]: ...

    def _keys(self) -> Iterator[tuple[str, bool]]: ...

    def _unlink(self, keys: Iterable[str]) -> int: ...

    def _expect(self, client: Any, key: str, is_expected: Callable[[Any], bool]) -> None: ...


class UnexpectedError(Exception):
    """The stored entry is not the expected one"""


class Write(NamedTuple):
    """The writing of an entry

    Args:
        names: Possible names of the entry; the first one is that of the string
        commands: A function that takes a client, may read stored values, and returns the commands
        watched: Names that must not change until the commands are run; empty if no values are read
    """

    names: tuple[bytes, ...]
    commands: Callable[[Any], list[Command]]
    watched: tuple[bytes, ...] = ()

    def look(self, pipeline: Any) -> list[Command]:
        """Get the commands, and start a transaction for them"""
        pipeline.watch(*self.watched)
        commands = self.commands(pipeline)
        pipeline.multi()
        return commands

    def carry_out(self, connection: RedisConnection) -> None:
        """Write the entry"""
        if self.watched:
            connection.in_transaction(self.watched[0], self._in_transaction)
            return
        replies = replies_to(connection.client, self.commands(connection.client))
        for number, reply in enumerate(replies):
            # Without permission for the names of hashes, there are none
            if isinstance(reply, Exception) and not (number and is_refusal(reply)):
                raise reply

    def _in_transaction(self, pipeline: Any) -> None:
        for command in self.look(pipeline):
            run(pipeline, command)
        pipeline.execute()


def small_write(
    storage: Entries,
    key: str,
    value: Any,
    seconds: int | None,
    is_expected: Callable[[Any], bool] | None,
    names: tuple[bytes, ...],
) -> Write:
    """Write a string, and delete the values under the other names of the entry

    Args:
        storage: The storage
        key: Key of the entry
        value: The string
        seconds: How many seconds Redis keeps the string; None for ever
        is_expected: A function that checks the stored entry; None to write in any case
        names: Possible names of the entry
    """
    name, *others = names

    def commands(client: Any) -> list[Command]:
        if is_expected is not None:
            storage._expect(client, key, is_expected)
        command = ('set', name, value) if seconds is None else ('setex', name, seconds, value)
        return [command, *(('unlink', other) for other in others)]

    return Write(names, commands, () if is_expected is None else names)


def large_write(
    storage: Entries,
    key: str,
    value: Any,
    seconds: int | None,
    is_expected: Callable[[Any], bool] | None,
    body: Body,
) -> Write:
    """Finish the hash with a large body, and delete the string; arguments as above"""
    names = (storage._name(key), storage.pieces.name(str(key)))

    def commands(client: Any) -> list[Command]:
        if is_expected is not None:
            storage._expect(client, key, is_expected)
        is_unfinished = storage.pieces.is_unfinished(client, str(key), body)
        return [*storage.pieces.finish(str(key), body, value, seconds, is_unfinished), ('unlink', names[0])]

    return Write(names, commands, (*names, storage.pieces.unfinished_name(str(key), body.id)))
