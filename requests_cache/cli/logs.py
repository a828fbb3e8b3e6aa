"""Showing what the package logs on standard error: warnings, and more with `-v`"""

from __future__ import annotations

import logging
from typing import Any

import click

from .._utils import printable
from ..keys.shown import shown_text
from .terminal import note

LOGGER = logging.getLogger('requests_cache')
# This logger warns about each unreadable entry, but commands count and list these themselves
ENTRY_LOGGER = 'requests_cache.backends.storage'
LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


class _NoteHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.name == ENTRY_LOGGER and not is_verbose():
            return
        for text in record.getMessage().splitlines():
            note(f'{record.levelname.capitalize()}: {printable(shown_text(text))}')


def show_logs() -> None:
    """Show warnings, from now on"""
    if not any(isinstance(handler, _NoteHandler) for handler in LOGGER.handlers):
        LOGGER.addHandler(_NoteHandler())
        LOGGER.propagate = False
    LOGGER.setLevel(LEVELS[0])


def is_verbose() -> bool:
    return LOGGER.level < LEVELS[0]


def _set_level(context: click.Context, parameter: click.Parameter, times: int) -> None:
    if times:
        LOGGER.setLevel(LEVELS[min(times, len(LEVELS) - 1)])


def verbose_option(command: Any) -> Any:
    """Add the options `-v` and `-vv`"""
    return click.option(
        '-v',
        '--verbose',
        count=True,
        expose_value=False,
        callback=_set_level,
        help='Show more details. Give it twice to see everything that is logged.',
    )(command)
