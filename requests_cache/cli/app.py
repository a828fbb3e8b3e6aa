"""The command `requests-cache`: its commands by name, and how it ends

Exit status, as with grep and diff: 0, what was asked for is done; 1, the answer is no (nothing was found, entries are
damaged, a question was answered with no); 2, it cannot be done (wrong usage, no such cache, a server that is away).
Besides, 130 after Ctrl-C, and 141 if nobody reads the output any more.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from errno import EINVAL
from importlib import import_module
from typing import Any

import click

from .._utils import printable
from ..exceptions import CacheError
from ..keys.shown import shown_error, shown_text, shown_traceback
from .logs import is_verbose, show_logs
from .terminal import TROUBLE
from .values import package_version

INTERRUPTED, NO_READER = 130, 141

# By name: the module, the function in it, and what the list of commands says
COMMANDS = {
    'info': ('looking', 'info', 'Say what a cache holds, in numbers.'),
    'list': ('looking', 'list_entries', 'List the responses in a cache.'),
    'show': ('showing', 'show', 'Show one response: headers, body.'),
    'delete': ('removing', 'delete', 'Delete responses.'),
    'prune': ('removing', 'prune', 'Remove what is of no use any more.'),
    'verify': ('checking', 'verify', 'Read every entry, and list those that are damaged.'),
    'copy': ('copying', 'copy', 'Copy a cache to another one, of any kind.'),
    'explain': ('explaining', 'explain', 'Say what would happen to a request, and why.'),
    'export': ('exchanging', 'export_entries', 'Write responses to a HAR file.'),
    'import': ('exchanging', 'import_entries', 'Store the responses of a HAR file.'),
    'report': ('explaining', 'report', 'Make a page about a cache, for a browser.'),
}


class _NoReaderError(Exception):
    """Nobody reads the output any more"""


class Commands(click.Group):
    """Imports a command when it is run, so that `--help` is quick"""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as e:  # which `click` would take for a failure
            if _is_without_reader(e):
                raise _NoReaderError from e
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, function, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f'{__package__}.{module}'), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section('Commands'):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


def _show_version(context: click.Context, option: click.Parameter, is_wanted: bool) -> None:
    if is_wanted and not context.resilient_parsing:
        click.echo(f'requests-cache, version {package_version()}')
        context.exit()


@click.group(
    cls=Commands,
    context_settings={'help_option_names': ['-h', '--help']},
    epilog="""\b
Examples:
  requests-cache info my_cache.sqlite
  requests-cache list my_cache.sqlite --host api.example.com --json
  requests-cache show my_cache.sqlite https://api.example.com/items --body
  requests-cache prune my_cache.sqlite --expired-for 7d --yes
  requests-cache copy my_cache.sqlite 'redis://localhost/0?namespace=my_cache'

A cache is named by a path (a file of SQLite, or a directory of files) or by a
URL: redis://, rediss://, mongodb://, gridfs://, dynamodb://table. Exit status:
0 if all is well, 1 if the answer is no, 2 if it cannot be done.""",
)
@click.option(
    '--version',
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help='Show the version and exit.',
)
def commands() -> None:
    """Look into caches of requests-cache, and maintain them.

    Each command tells more by --help.
    """


def run(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit status"""
    show_logs()
    _write_anything()
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except (OSError, _NoReaderError) as e:
        if isinstance(e, OSError) and not _is_without_reader(e):
            raise
        # What is left in the buffer goes nowhere when the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    return status


def _is_without_reader(error: OSError) -> bool:
    """Whether an error means that nobody reads the output any more: Windows calls that an invalid argument"""
    return isinstance(error, BrokenPipeError) or (os.name == 'nt' and error.errno == EINVAL and error.filename is None)


def _run(arguments: Sequence[str]) -> int:
    try:
        result = commands.main(list(arguments), prog_name='requests-cache', standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.exceptions.Exit as e:
        return e.exit_code
    except click.ClickException as e:
        e.show()
        return e.exit_code
    except (BrokenPipeError, _NoReaderError):
        raise
    except Exception as e:
        return _failed(e)
    return result if isinstance(result, int) else 0


def _write_anything() -> None:
    """Let text be written that the encoding of the terminal does not have, and also where there is no output"""
    for name in ('stdout', 'stderr'):
        file: Any = getattr(sys, name)
        if file is None:
            setattr(sys, name, open(os.devnull, 'w', encoding='utf-8'))  # noqa: SIM115
        elif hasattr(file, 'reconfigure'):
            file.reconfigure(errors='backslashreplace')


def _failed(error: Exception) -> int:
    is_known = isinstance(error, (CacheError, OSError))
    text = shown_text(error) if is_known else f'this should not have happened: {shown_error(error)}'
    sys.stderr.write(f'Error: {printable(text)}\n')
    if is_verbose():
        sys.stderr.write('\n'.join(map(printable, shown_traceback(error).splitlines())) + '\n')
    return TROUBLE
