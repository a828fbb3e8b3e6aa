"""What a cache that looks after itself removes by and by, a little with each write

That is redirects to entries which are gone, and what writers and leaders left behind that did not come to an end.
Entries that have long expired are deleted by the storages, each in the way that is best there.
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
from .mappings import bulk_delete_from, existing_in, scan_to_change
from .storage import BaseStorage

logger = getLogger(__name__)

REDIRECTS_PER_WRITE = 4
SECONDS_BETWEEN_SWEEPS = 3600.0


class Cleaning:
    """Cleaning of one cache, by whichever thread writes to it; nobody waits for it, and faults of it harm nobody"""

    def __init__(self) -> None:
        self._redirects: Iterator[tuple[str, Any]] = iter(())
        self._swept_at = monotonic()
        self._new_lock()

    def _new_lock(self) -> None:
        self._lock = Lock()
        renew_after_fork(self, '_lock', Lock)

    def step(self, responses: MutableMapping[str, Any], redirects: MutableMapping[str, Any], n_new: int) -> None:
        """Remove some of what there is to remove

        Args:
            responses: The entries
            redirects: Those that lead to them
            n_new: How many redirects have just been written; more than that are looked at, so that all are in time
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
            logger.debug('The cache was not cleaned: %s', shown_text(e))
        finally:
            self._lock.release()

    def _prune(self, responses: MutableMapping[str, Any], redirects: MutableMapping[str, Any], count: int) -> None:
        some = list(islice(self._redirects, count))
        if not some:
            self._redirects = scan_to_change(redirects)
            some = list(islice(self._redirects, count))
        existing = existing_in(responses, {target for _, target in some if isinstance(target, str)})
        dead = [source for source, target in some if target not in existing]
        if dead:
            bulk_delete_from(redirects, dead)

    def __reduce__(self) -> tuple[type[Cleaning], tuple[()]]:
        return Cleaning, ()
