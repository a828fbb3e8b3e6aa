"""Sessions that are pickled, sent to another process, or copied"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar

from requests import Session

from ..backends.base import BaseCache
from ..backends.memory import DictStorage
from ..engine.fault_log import FaultLog
from ..engine.refreshing import Refreshing

if TYPE_CHECKING:
    PORTABLE_BASE = Session
else:
    PORTABLE_BASE = object

P = TypeVar('P', bound='Portable')
# Made anew by `__setstate__`
_TRANSIENT = frozenset({'_faults', '_refreshing'})


class Portable(PORTABLE_BASE):
    """Lets sessions be pickled and copied: the other session opens the same store when it uses it"""

    _cache: BaseCache

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
        self._faults = FaultLog()
        self._refreshing = Refreshing()

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
        own = {name: value for name, value in self.__dict__.items() if name not in _TRANSIENT}
        return {**super().__getstate__(), **own}  # type: ignore[misc]
