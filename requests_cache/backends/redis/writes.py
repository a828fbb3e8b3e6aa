"""Writing entries: commands for names in one slot, optionally after checking the stored entry"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .commands import Command, is_refusal, replies_or_errors, run
from .connection import RedisConnection

if TYPE_CHECKING:
    from ...models.body import Body
    from .bodies import BodyHashes


class Entries(Protocol):
    """The attributes of `entries.EntryStorage` that are needed to write and evict entries"""

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
    """The stored entry does not meet the condition of `write_if`"""


class Write(NamedTuple):
    """The commands that write an entry

    Args:
        names: Names that the entry may have; the first one is that of the string
        commands: Called with a client; checks the stored entry and returns the commands
        watched: Names that must not change between the check and the commands; empty if there is no check
    """

    names: tuple[bytes, ...]
    commands: Callable[[Any], list[Command]]
    watched: tuple[bytes, ...] = ()

    def begin(self, pipeline: Any) -> list[Command]:
        """Watch the names, begin a transaction, and return the commands for it"""
        pipeline.watch(*self.watched)
        commands = self.commands(pipeline)
        pipeline.multi()
        return commands

    def execute(self, connection: RedisConnection) -> None:
        """Write the entry"""
        if self.watched:
            connection.in_transaction(self.watched[0], self._in_transaction)
            return
        replies = replies_or_errors(connection.client, self.commands(connection.client))
        for number, reply in enumerate(replies):
            # A user without permission for the names of hashes has no hashes
            if isinstance(reply, Exception) and not (number and is_refusal(reply)):
                raise reply

    def _in_transaction(self, pipeline: Any) -> None:
        for command in self.begin(pipeline):
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
    """Write a string, and delete the values of the entry's other names

    Args:
        storage: The storage
        key: Key of the entry
        value: The string
        seconds: After how many seconds Redis removes it; None for never
        is_expected: The condition of `write_if`; None for none
        names: Names that the entry may have
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
    """Finish the hash with a large body, and delete the string; arguments as for `small_write`"""
    names = (storage._name(key), storage.pieces.name(str(key)))

    def commands(client: Any) -> list[Command]:
        if is_expected is not None:
            storage._expect(client, key, is_expected)
        is_unfinished = storage.pieces.is_unfinished(client, str(key), body)
        return [*storage.pieces.finish(str(key), body, value, seconds, is_unfinished), ('unlink', names[0])]

    return Write(names, commands, (*names, storage.pieces.unfinished_name(str(key), body.id)))
