"""Output, questions and progress bars: plain text in a pipe, colours and bars in a terminal

Stored text never reaches a terminal unchanged: control characters are escaped, and `rich` interprets no markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from click import ClickException

from .._utils import printable

T = TypeVar('T')
# A part of a line: text, or text with a style of `rich`, such as 'red'
Part = str | tuple[str, str]
# Exit status of a command that failed
FAILED = 2

# The progress bar that is shown at the moment, if any
_shown_bars: list[Any] = []


class CommandError(ClickException):
    """A command failed, for a reason that the message gives in a sentence"""

    exit_code = FAILED

    def __init__(self, *lines: str):
        super().__init__('\n'.join(map(printable, lines)))


# Writing


def write_line(*parts: Part) -> None:
    """Write a line of text to standard output; a terminal cuts it off at its right edge"""
    if not _is_terminal():
        _write(sys.stdout, ''.join(part if isinstance(part, str) else part[0] for part in parts))
        return
    from rich.text import Text

    if not sys.stdout.isatty():  # FORCE_COLOR is set
        _console().print(Text.assemble(*parts), soft_wrap=True)
        return
    # A bar on the same terminal has to make room for the line
    console = _shown_bars[-1].console if _shown_bars else _console()
    overflow = 'ellipsis' if console.encoding.startswith('utf') else 'crop'
    console.print(Text.assemble(*parts), no_wrap=True, overflow=overflow)


def write(text: str, end: str = '\n') -> None:
    """Write text to standard output unchanged"""
    _write(sys.stdout, text, end)


def note(text: str) -> None:
    """Write a line that is not part of the results to standard error"""
    if _shown_bars:
        from rich.text import Text

        _shown_bars[-1].console.print(Text(printable(text)), soft_wrap=True)
    else:
        _write(sys.stderr, printable(text))


def format_count(number: int, noun: str, plural: str = '') -> str:
    """A number of things, such as `1 entry` or `2,000 entries`"""
    return f'{number:,} {noun if number == 1 else plural or f"{noun}s"}'


def format_entries(number: int) -> str:
    """`1 entry`, `2,000 entries`"""
    return format_count(number, 'entry', 'entries')


def _write(file: Any, text: str, end: str = '\n') -> None:
    file.write(text + end)
    if file.isatty():
        file.flush()


def _is_terminal() -> bool:
    return sys.stdout.isatty() or bool(os.environ.get('FORCE_COLOR'))


@cache
def _console() -> Any:
    from rich.console import Console

    return Console(file=sys.stdout, **_plain_or_not())


def _plain_or_not() -> dict[str, Any]:
    plain = {'color_system': None} if os.environ.get('NO_COLOR') else {}
    return {'markup': False, 'highlight': False, 'emoji': False, **plain}


# Asking


def confirm(question: str, yes: bool) -> bool:
    """Whether the user agrees, by `--yes` or by the answer to a question; no answer means no"""
    if yes:
        return True
    sys.stdout.flush()
    sys.stderr.write(f'{printable(question)} [y/N] ')
    sys.stderr.flush()
    try:
        answer = sys.stdin.readline()
    except (AttributeError, OSError, ValueError):  # there is no standard input
        answer = ''
    if not answer.endswith('\n'):
        _write(sys.stderr, '')
    if not answer:
        note('There was no answer. Give --yes to skip the question.')
    return answer.strip().lower() in ('y', 'yes')


# Progress


@contextmanager
def progress(title: str, total: Callable[[], int] | None = None) -> Iterator[Callable[..., None]]:
    """Show a progress bar until the end of the block, if standard error is a terminal

    Args:
        title: What is being done
        total: Returns the number of steps; it is only called if there is a bar

    Yields:
        A function to call after each step, or at any time with the number of steps done
    """
    if not sys.stderr.isatty() or os.environ.get('TERM') == 'dumb':
        yield lambda *done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(file=sys.stderr, stderr=True, **_plain_or_not())
    with Progress(console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task(title, total=total() if total is not None else None)
        _shown_bars.append(bar)
        try:
            yield lambda done=None: bar.advance(task) if done is None else bar.update(task, completed=done)
        finally:
            _shown_bars.pop()


def tracked(items: Iterable[T], title: str, total: Callable[[], int] | None = None) -> Iterator[T]:
    """Iterate over items and show a progress bar; the arguments are those of `progress`"""
    with progress(title, total) as advance:
        for item in items:
            yield item
            advance()
