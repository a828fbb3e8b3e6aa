"""How entries are written: commands about names in one slot, after a look at what is there"""

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
    """What `entries.EntryStorage` has for those who write its entries, and look after them"""

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
    """What is stored is not what is expected"""


class Write(NamedTuple):
    """An entry that is to be written

    Args:
        names: Names that it may have; the first one is that of the string
        commands: Gives what is to be run, after a look at what is there; called with a client
        watched: Names that must not change between the look and the commands; none if there is no look
    """

    names: tuple[bytes, ...]
    commands: Callable[[Any], list[Command]]
    watched: tuple[bytes, ...] = ()

    def look(self, pipeline: Any) -> list[Command]:
        """What is to be run in a transaction, which is then begun"""
        pipeline.watch(*self.watched)
        commands = self.commands(pipeline)
        pipeline.multi()
        return commands

    def carry_out(self, connection: RedisConnection) -> None:
        """Write it"""
        if self.watched:
            connection.in_transaction(self.watched[0], self._in_transaction)
            return
        replies = replies_to(connection.client, self.commands(connection.client))
        for number, reply in enumerate(replies):
            # Who may not use the names of hashes has none
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
    """Write a string, and delete what there is under the other names of the entry

    Args:
        storage: Where to
        key: Key of the entry
        value: The string
        seconds: After which Redis removes it; None for never
        is_expected: Called with what is there; None if it does not matter
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
    """Complete the hash with a large body, and delete the string; arguments as above"""
    names = (storage._name(key), storage.pieces.name(str(key)))

    def commands(client: Any) -> list[Command]:
        if is_expected is not None:
            storage._expect(client, key, is_expected)
        is_unfinished = storage.pieces.is_unfinished(client, str(key), body)
        return [*storage.pieces.finish(str(key), body, value, seconds, is_unfinished), ('unlink', names[0])]

    return Write(names, commands, (*names, storage.pieces.unfinished_name(str(key), body.id)))
