"""Sessions that are pickled, sent to another process, or copied"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar

from requests import Session

from ..backends.base import BaseCache
from ..backends.memory import DictStorage

if TYPE_CHECKING:
    PORTABLE_BASE = Session
else:
    PORTABLE_BASE = object

P = TypeVar('P', bound='Portable')


class Portable(PORTABLE_BASE):
    """Lets sessions be pickled and copied: the other session opens the same store when it uses it"""

    _cache: BaseCache
    cache: Any

    def __getstate__(self) -> dict[str, Any]:
        """What makes up the session, with all attributes that subclasses have added

        Raises:
            TypeError: The cache lives in the memory of this process; backends say so themselves if a client or lock
                that was passed to them stands in the way
        """
        if isinstance(self._cache.responses, DictStorage):
            raise TypeError(
                'A session whose cache lives in the memory of this process cannot be pickled or sent to another '
                'process, which would not share it; use another backend, or make a session of its own there'
            )
        return self._state()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[misc]
        self.cache = self._cache

    def __copy__(self: P) -> P:
        copy = object.__new__(type(self))
        copy.__setstate__(self._state())
        return copy

    def __deepcopy__(self: P, memo: dict[int, Any]) -> P:
        """A session with the same store; with a copy of the entries, if they live in memory"""
        copy = object.__new__(type(self))
        memo[id(self)] = copy
        copy.__setstate__(deepcopy(self._state(), memo))
        return copy

    def _state(self) -> dict[str, Any]:
        """All but counters and subscribers: the other session begins to count anew, and nobody looks on"""
        state: dict[str, Any] = {**super().__getstate__(), **self.__dict__}  # type: ignore[misc]
        state.pop('_watch', None)
        return state
