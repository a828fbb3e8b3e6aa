"""How entries are written: commands about names in one slot, after a look at what is there"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .commands import Command, is_refusal, replies_to, run
from .connection import RedisConnection


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
