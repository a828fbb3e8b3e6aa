"""A subscriber that logs events with `structlog`"""

from __future__ import annotations

from typing import Any

from ..engine.events import Event
from ..exceptions import MissingDependencyError
from .values import fields_of


class StructlogSubscriber:
    """Logs each event with structlog, as `requests_cache.hit`, `requests_cache.stored` and so on

    The fields of the event become values of the log entry.

    Args:
        logger: A logger of structlog; by default `structlog.get_logger('requests_cache')`
        level: Name of the method of the logger to call, such as `'debug'`

    Raises:
        MissingDependencyError: structlog is not installed
    """

    def __init__(self, logger: Any = None, level: str = 'info'):
        if logger is None:
            try:
                from structlog import get_logger
            except ImportError as e:
                raise MissingDependencyError('StructlogSubscriber', 'structlog', 'structlog') from e
            logger = get_logger('requests_cache')
        self._logger = logger
        self._level = level

    def __call__(self, event: Event) -> None:
        fields = fields_of(event)
        getattr(self._logger, self._level)(f'requests_cache.{fields.pop("kind")}', **fields)
