"""Writing many entries of another cache, in few transactions"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .storage import TableStorage

CHUNK_SIZE = 200


class CopyTarget:
    """What `copy_entries` needs of a cache; `flush` must be called at the end"""

    def __init__(self, create_key: Callable[..., str], responses: TableStorage, redirects: TableStorage):
        self.create_key = create_key
        self.responses = _Pending(responses)
        self.redirects = _Pending(redirects)

    def _save_redirects(self, redirects: dict[str, str]) -> None:
        for source, target in redirects.items():
            self.redirects[source] = target

    def flush(self) -> None:
        self.responses.flush()
        self.redirects.flush()


class _Pending:
    """Entries that are written when there are enough of them"""

    def __init__(self, storage: TableStorage):
        self.serializer = storage.serializer
        self._storage = storage
        self._entries: dict[str, Any] = {}

    def __setitem__(self, key: str, value: Any) -> None:
        self._entries[key] = value
        if len(self._entries) >= CHUNK_SIZE:
            self.flush()

    def flush(self) -> None:
        if self._entries:
            self._storage.update(self._entries)
            self._entries = {}
