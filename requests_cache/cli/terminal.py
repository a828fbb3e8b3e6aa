"""What commands write and ask: plain text in a pipe; colours, progress and questions where somebody looks on

Nothing that is stored reaches a terminal as it is: control characters are escaped, and `rich` interprets no markup.
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
# A part of a line, with a style of `rich`, such as 'red', or none
Part = str | tuple[str, str]
# Exit status: what was asked for cannot be done
TROUBLE = 2

# Progress bars that are shown at the moment: one at most
_shown_bars: list[Any] = []


class Trouble(ClickException):
    """What was asked for cannot be done, for a reason that is said in a sentence"""

    exit_code = TROUBLE

    def __init__(self, *lines: str):
        super().__init__('\n'.join(map(printable, lines)))


# Writing


def line(*parts: Part) -> None:
    """Write a line of text to standard output; it is cut off at the edge of a terminal"""
    if not _is_terminal():
        _write(sys.stdout, ''.join(part if isinstance(part, str) else part[0] for part in parts))
        return
    from rich.text import Text

    if not sys.stdout.isatty():  # colours were asked for
        _console().print(Text.assemble(*parts), soft_wrap=True)
        return
    # Both are one terminal, and a bar that is shown makes room
    console = _shown_bars[-1].console if _shown_bars else _console()
    overflow = 'ellipsis' if console.encoding.startswith('utf') else 'crop'
    console.print(Text.assemble(*parts), no_wrap=True, overflow=overflow)


def lines(text: str, end: str = '\n') -> None:
    """Write text to standard output, as it is"""
    _write(sys.stdout, text, end)


def note(text: str) -> None:
    """Write a line for who looks on, to standard error"""
    if _shown_bars:
        from rich.text import Text

        _shown_bars[-1].console.print(Text(printable(text)), soft_wrap=True)
    else:
        _write(sys.stderr, printable(text))


def count(number: int, name: str, plural: str = '') -> str:
    """A number of things, such as `1 entry` or `2,000 entries`"""
    return f'{number:,} {name if number == 1 else plural or f"{name}s"}'


def entries(number: int) -> str:
    return count(number, 'entry', 'entries')


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


def may_go_on(question: str, yes: bool) -> bool:
    """Whether the user agrees, by `--yes` or by the answer to a question; without an answer nobody does"""
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
        note('There was no answer; give --yes to go on without a question.')
    return answer.strip().lower() in ('y', 'yes')


# Progress


@contextmanager
def progress(title: str, total: Callable[[], int] | None = None) -> Iterator[Callable[..., None]]:
    """A block in which a bar shows how far it has come, if standard error is a terminal

    Args:
        title: What is being done
        total: Counts the steps; it is called if there is a bar

    Yields:
        A function to be called after each step, or with the number of steps that have been taken
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
    """The items, with a bar that shows how far it has come; arguments as for `progress`"""
    with progress(title, total) as advance:
        for item in items:
            yield item
            advance()
