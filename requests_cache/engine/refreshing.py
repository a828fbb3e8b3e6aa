"""Renewing stored responses in the background"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from logging import DEBUG, getLogger
from os import getpid
from threading import Thread, current_thread
from typing import Any, NamedTuple

from ..keys.shown import shown_error, shown_traceback, shown_url

logger = getLogger(__name__)

MAX_THREADS = 8
MAX_WAITING = 1000


class _Job(NamedTuple):
    key: str
    url: Any
    renew: Callable[[], object]
    ignored_parameters: Iterable[str] | None

    def warn(self, error: Exception) -> None:
        url, text = shown_url(self.url, self.ignored_parameters), shown_error(error, self.ignored_parameters)
        logger.warning('Unable to renew the response for %s in the background: %s', url, text)


class Refreshing:
    """A few threads that renew the entries of a backend, each entry only once at a time

    If `MAX_THREADS` are busy, renewals wait; if `MAX_WAITING` are waiting, further ones are dropped, until the next
    request for their entry. There is no lock, which might be held when the process forks: operations on dicts and
    deques are atomic. In a forked child, the renewals of the parent are ignored, as their threads do not exist there.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._pid = getpid()
        self._begun: dict[str, _Job] = {}
        self._waiting: deque[_Job] = deque()
        self._threads: dict[Thread, None] = {}
        self._epoch = object()

    @property
    def epoch(self) -> object:
        """An object that is replaced by each call of `stop()`"""
        return self._epoch

    def stop(self) -> None:
        """Drop waiting renewals; those in progress see from `epoch` that their results are no longer wanted"""
        self._epoch = object()
        while self._waiting:
            try:
                self._begun.pop(self._waiting.popleft().key, None)
            except IndexError:  # noqa: PERF203 - a thread has just taken the last one
                break

    def start(
        self, key: str, url: Any, renew: Callable[[], object], ignored_parameters: Iterable[str] | None = None
    ) -> Thread | None:
        """Call a function in a thread, which is returned, unless the same entry is already being renewed

        If the function fails, or if the thread cannot be started, this is logged.

        Args:
            key: Key of the entry
            url: URL for log messages, which are redacted
            renew: The function
            ignored_parameters: Names of secrets
        """
        if self._pid != getpid():
            self._reset()
        job = _Job(key, url, renew, ignored_parameters)
        if len(self._waiting) >= MAX_WAITING or self._begun.setdefault(key, job) is not job:
            return None
        try:
            self._waiting.append(job)
            return self._thread()
        except BaseException as e:
            self._take_back(job)
            if not isinstance(e, RuntimeError):  # too many threads, or the interpreter is about to exit
                raise
            job.warn(e)
            return None

    def _thread(self) -> Thread | None:
        if len(self._threads) >= MAX_THREADS:
            return next(iter(list(self._threads)), None)
        thread = Thread(target=self._work, daemon=True)
        self._threads[thread] = None
        try:
            thread.start()
        except BaseException:
            self._threads.pop(thread, None)
            raise
        return thread

    def _take_back(self, job: _Job) -> None:
        try:
            self._waiting.remove(job)
        except ValueError:  # a thread has taken it
            return
        self._begun.pop(job.key, None)

    def _work(self) -> None:
        this = current_thread()
        while True:
            try:
                job = self._waiting.popleft()
            except IndexError:
                self._threads.pop(this, None)
                if not self._waiting:
                    return
                # A job may have been added in the meantime, without starting a new thread
                self._threads[this] = None
                continue
            try:
                job.renew()
            except Exception as e:
                job.warn(e)
                if logger.isEnabledFor(DEBUG):
                    logger.debug('The failure:\n%s', shown_traceback(e, job.ignored_parameters))
            finally:
                self._begun.pop(job.key, None)
