"""The program `requests-cache`: its commands by name, and its exit status

The exit status is like that of grep and diff:

- 0: the command has done what it was asked to do
- 1: the answer is no (nothing was found, entries are damaged, or the user answered a question with no)
- 2: the command failed (wrong usage, no such cache, a server that cannot be reached)
- 130: the user pressed Ctrl-C
- 141: the program that reads the output has ended
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
from .terminal import FAILED
from .values import package_version

INTERRUPTED, OUTPUT_CLOSED = 130, 141

# For each command: its module, its function, and its line in the list of commands
COMMANDS = {
    'info': ('listing', 'info', 'Show how many responses a cache holds, and their sizes.'),
    'list': ('listing', 'list_entries', 'List the responses in a cache.'),
    'show': ('showing', 'show', 'Show one response, with its headers or its body.'),
    'delete': ('removing', 'delete', 'Delete responses from a cache.'),
    'prune': ('removing', 'prune', 'Delete expired and damaged responses from a cache.'),
    'verify': ('verifying', 'verify', 'Check every entry of a cache, and list damaged ones.'),
    'copy': ('copying', 'copy', 'Copy a cache to another one, on any backend.'),
    'explain': ('explaining', 'explain', 'Explain how a request would be answered, and why.'),
    'export': ('har_commands', 'export_entries', 'Write the responses in a cache to a HAR file.'),
    'import': ('har_commands', 'import_entries', 'Store the responses from a HAR file in a cache.'),
    'report': ('explaining', 'report', 'Write an HTML page about a cache.'),
}


class _OutputClosedError(Exception):
    """The program that reads the output has ended"""


class Commands(click.Group):
    """A group that imports each command only when it is run, so that `--help` is fast"""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as e:  # `click` would exit with status 1
            if _is_closed_output(e):
                raise _OutputClosedError from e
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

A cache is given by its path (an SQLite file, or a directory of files) or by its
URL (redis://, rediss://, mongodb://, gridfs:// or dynamodb://table).

\b
Exit status: 0 on success, 1 if the answer is no, 2 if the command failed.""",
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
    """Inspect and maintain caches made by requests-cache.

    Run "requests-cache COMMAND --help" for more about a command.
    """


def run(arguments: Sequence[str]) -> int:
    """Run a command, and return the exit status"""
    show_logs()
    _make_output_tolerant()
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except (OSError, _OutputClosedError) as e:
        if isinstance(e, OSError) and not _is_closed_output(e):
            raise
        # Otherwise the interpreter would fail again when it flushes the buffer at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    return status


def _is_closed_output(error: OSError) -> bool:
    """Whether an error means that the program that reads the output has ended (an invalid argument on Windows)"""
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
    except (BrokenPipeError, _OutputClosedError):
        raise
    except Exception as e:
        return _report_failure(e)
    return result if isinstance(result, int) else 0


def _make_output_tolerant() -> None:
    """Escape characters that the encoding of the output does not have; without any output, discard the text"""
    for name in ('stdout', 'stderr'):
        file: Any = getattr(sys, name)
        if file is None:
            setattr(sys, name, open(os.devnull, 'w', encoding='utf-8'))  # noqa: SIM115
        elif hasattr(file, 'reconfigure'):
            file.reconfigure(errors='backslashreplace')


def _report_failure(error: Exception) -> int:
    is_known = isinstance(error, (CacheError, OSError))
    text = (
        shown_text(error) if is_known else f'Unexpected error ({shown_error(error)}). Give -v to see where it happened.'
    )
    sys.stderr.write(f'Error: {printable(text)}\n')
    if is_verbose():
        sys.stderr.write('\n'.join(map(printable, shown_traceback(error).splitlines())) + '\n')
    return FAILED
