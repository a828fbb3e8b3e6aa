"""Renewing stored responses in the background"""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from os import getpid
from threading import Thread
from typing import Any

logger = getLogger(__name__)


class Refreshing:
    """Threads that renew entries, one at a time for each

    There is no lock that a forked child could find taken: a dict takes a new key for one thread only. The threads of
    the parent do not exist in the child, so what they had begun does not count there.
    """

    def __init__(self) -> None:
        self._begun: dict[tuple[int, str], object] = {}

    def start(self, key: str, url: Any, renew: Callable[[], object]) -> Thread | None:
        """Call a function in a thread of its own, which is returned, unless one is at work on the same entry

        Args:
            key: Key of the entry
            url: For messages; a failure is logged, and so is a thread that cannot be started
            renew: The function
        """
        begun, token = (getpid(), key), object()
        if self._begun.setdefault(begun, token) is not token:
            return None
        thread = Thread(target=self._run, args=(begun, url, renew), daemon=True)
        try:
            thread.start()
        except RuntimeError as e:  # too many threads, or the interpreter is about to exit
            self._begun.pop(begun, None)
            logger.warning('Unable to renew the response for %s in the background: %s', url, e)
            return None
        return thread

    def _run(self, begun: tuple[int, str], url: Any, renew: Callable[[], object]) -> None:
        try:
            renew()
        except Exception:
            logger.warning('Unable to renew the response for %s in the background', url, exc_info=True)
        finally:
            self._begun.pop(begun, None)
