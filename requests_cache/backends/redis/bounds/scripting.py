"""Running scripts on a server"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Any

from ..commands import UNDECODED, Command, is_cluster, on_server_of


class Script:
    """A script

    Args:
        source: Its text
    """

    def __init__(self, source: str):
        self._source = source.encode('ascii')
        self._digest = sha1(self._source, usedforsecurity=False).hexdigest()

    def run(self, client: Any, names: Sequence[bytes], *arguments: Any) -> Any:
        """What it returns, with bytes for text

        Args:
            client: A client of any kind
            names: Names that it is about, all in one slot
            arguments: Numbers, text and bytes
        """
        if not is_cluster(client):
            return self._run(client, names, arguments)
        return on_server_of(client, names[0], lambda server: self._run(server, names, arguments))

    def _run(self, server: Any, names: Sequence[bytes], arguments: Sequence[Any]) -> Any:
        try:
            return server.execute_command('EVALSHA', self._digest, len(names), *names, *arguments, **UNDECODED)
        except Exception as e:
            if type(e).__name__ != 'NoScriptError':
                raise
        return server.execute_command('EVAL', self._source, len(names), *names, *arguments, **UNDECODED)

    def queue(self, pipeline: Any, *names: bytes, arguments: Iterable[Any] = ()) -> Any:
        """Have a pipeline run it, where it would be too late to learn that the server does not know it"""
        return pipeline.execute_command('EVAL', self._source, len(names), *names, *arguments, **UNDECODED)


def as_arguments(commands: Iterable[Command]) -> list[Any]:
    """Commands as arguments of a script: how long they are, and their parts

    Deleting comes first: it is what a user of Redis may not be permitted, and a script that fails undoes nothing.
    """
    ordered = sorted(commands, key=lambda command: command[0] != 'unlink')
    return [' '.join(str(len(command)) for command in ordered), *(part for command in ordered for part in command)]
