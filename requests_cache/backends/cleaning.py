"""Automatic cleaning of a cache, a little with each write

This removes redirects to entries that no longer exist, and what interrupted writers and leaders left behind. Expired
entries are deleted by the storages.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from itertools import islice
from logging import getLogger
from threading import Lock
from time import monotonic
from typing import Any

from .._utils import renew_after_fork
from ..exceptions import CacheError
from ..keys.shown import shown_text
from .mappings import bulk_delete_from, existing_in, scan_while_changing
from .storage import BaseStorage

logger = getLogger(__name__)

REDIRECTS_PER_WRITE = 4
SECONDS_BETWEEN_SWEEPS = 3600.0


class Cleaning:
    """Cleans one cache, in any thread that writes to it; never waits, and never raises a `CacheError`"""

    def __init__(self) -> None:
        self._redirects: Iterator[tuple[str, Any]] = iter(())
        self._swept_at = monotonic()
        self._new_lock()

    def _new_lock(self) -> None:
        self._lock = Lock()
        renew_after_fork(self, '_lock', Lock)

    def step(self, responses: MutableMapping[str, Any], redirects: MutableMapping[str, Any], n_new: int) -> None:
        """Check some redirects, and remove leftovers once an hour

        Args:
            responses: The entries
            redirects: The redirects to them
            n_new: How many redirects have just been written; more than that are checked, so that none is left out
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._prune(responses, redirects, 2 * n_new + REDIRECTS_PER_WRITE)
            if monotonic() - self._swept_at >= SECONDS_BETWEEN_SWEEPS:
                self._swept_at = monotonic()
                if isinstance(responses, BaseStorage):
                    responses.remove_leftovers()
        except CacheError as e:
            self._redirects = iter(())
            logger.debug('Could not clean the cache: %s', shown_text(e))
        finally:
            self._lock.release()

    def _prune(self, responses: MutableMapping[str, Any], redirects: MutableMapping[str, Any], count: int) -> None:
        some = list(islice(self._redirects, count))
        if not some:
            self._redirects = scan_while_changing(redirects)
            some = list(islice(self._redirects, count))
        existing = existing_in(responses, {target for _, target in some if isinstance(target, str)})
        dead = [source for source, target in some if target not in existing]
        if dead:
            bulk_delete_from(redirects, dead)

    def __reduce__(self) -> tuple[type[Cleaning], tuple[()]]:
        return Cleaning, ()
