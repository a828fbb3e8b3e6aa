"""Parts of the page about the command line: the output of `--help`"""

from __future__ import annotations

from typing import Any

import click
from texts import table

from requests_cache.cli.app import COMMANDS, commands

WIDTH = 80
NAME = 'requests-cache'


def _help(command: click.Command, name: str, parent: click.Context | None = None) -> str:
    widths: dict[str, Any] = {'terminal_width': WIDTH, 'max_content_width': WIDTH}
    context = command.make_context(name, [], parent=parent, resilient_parsing=True, **widths)
    lines = (line.rstrip() for line in command.get_help(context).splitlines())
    return '```text\n' + '\n'.join(lines).strip() + '\n```'


def overview() -> str:
    rows = [(f'[`{name}`](#{name})', text) for name, (_, _, text) in COMMANDS.items()]
    return table(('command', 'what it does'), rows)


def all_help() -> str:
    parent = commands.make_context(NAME, [], resilient_parsing=True)
    parts = [f'## All commands\n\n{_help(commands, NAME)}']
    for name in COMMANDS:
        command = commands.get_command(parent, name)
        assert command is not None
        parts.append(f'## `{name}`\n\n{_help(command, name, parent)}')
    return '\n\n'.join(parts)


PARTS = {'overview': overview, 'help': all_help}
