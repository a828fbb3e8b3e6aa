"""Running scripts on a server"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Any

from ..commands import UNDECODED, Command, is_cluster, on_server_of


class Script:
    """A Lua script

    Args:
        source: The source code
    """

    def __init__(self, source: str):
        self._source = source.encode('ascii')
        self._digest = sha1(self._source, usedforsecurity=False).hexdigest()

    def run(self, client: Any, names: Sequence[bytes], *arguments: Any) -> Any:
        """Run the script and return its reply, with text as bytes

        Args:
            client: A client of any kind
            names: The keys of the script, all in one slot
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
        """Queue the script in a pipeline, with its source, as the server may not know it yet"""
        return pipeline.execute_command('EVAL', self._source, len(names), *names, *arguments, **UNDECODED)


def as_arguments(commands: Iterable[Command]) -> list[Any]:
    """Commands as arguments of a script: their lengths, and their parts

    Commands that delete come first, as the user may have no permission for them, and a script that fails is not rolled
    back.
    """
    ordered = sorted(commands, key=lambda command: command[0] != 'unlink')
    return [' '.join(str(len(command)) for command in ordered), *(part for command in ordered for part in command)]
