"""A subscriber that logs events with the standard library's `logging`"""

from __future__ import annotations

import logging

from ..engine.events import Event
from .values import fields_of


class LoggingSubscriber:
    """Logs each event with the standard library, at a level of your choice

    The message is the event as text. Each field of the event is also an attribute of the log record (`cache_kind`,
    `cache_url`, `cache_reason` and so on), for handlers that write JSON, for example.

    Args:
        logger: A logger, or the name of a logger
        level: The level of all messages
    """

    def __init__(self, logger: str | logging.Logger = 'requests_cache.events', level: int = logging.INFO):
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._level = level

    def __call__(self, event: Event) -> None:
        if self._logger.isEnabledFor(self._level):
            extra = {f'cache_{name}': value for name, value in fields_of(event).items()}
            self._logger.log(self._level, '%s', event, extra=extra)
