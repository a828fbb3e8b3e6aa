"""What the package logs, shown to who looks on: warnings, and with `-v` the rest"""

from __future__ import annotations

import logging
from typing import Any

import click

from .._utils import printable
from ..keys.shown import shown_text
from .terminal import note

LOGGER = logging.getLogger('requests_cache')
# Says of each entry that it cannot be read; commands count and list these themselves
ABOUT_ENTRIES = 'requests_cache.backends.storage'
LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.name == ABOUT_ENTRIES and not is_verbose():
            return
        for text in record.getMessage().splitlines():
            note(f'{record.levelname.capitalize()}: {printable(shown_text(text))}')


def show_logs() -> None:
    """Show warnings from now on"""
    if not any(isinstance(handler, _Notes) for handler in LOGGER.handlers):
        LOGGER.addHandler(_Notes())
        LOGGER.propagate = False
    LOGGER.setLevel(LEVELS[0])


def is_verbose() -> bool:
    return LOGGER.level < LEVELS[0]


def _be_verbose(context: click.Context, parameter: click.Parameter, times: int) -> None:
    if times:
        LOGGER.setLevel(LEVELS[min(times, len(LEVELS) - 1)])


def verbose_option(command: Any) -> Any:
    """`-v`, and `-vv`"""
    return click.option(
        '-v',
        '--verbose',
        count=True,
        expose_value=False,
        callback=_be_verbose,
        help='Say more of what is done; twice: all that is logged.',
    )(command)
