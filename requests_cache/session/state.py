"""Pickling and copying sessions"""

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
    """Makes sessions picklable and copyable; the new session opens the same store when it needs it"""

    _cache: BaseCache
    cache: Any

    def __getstate__(self) -> dict[str, Any]:
        """The state of the session, including attributes of subclasses

        Raises:
            TypeError: The cache is in memory, or the backend has a client or lock that cannot be pickled
        """
        if isinstance(self._cache.responses, DictStorage):
            raise TypeError(
                'A session with a cache in memory cannot be pickled or sent to another process, as the cache would not '
                'be shared; use another backend, or create a separate session there'
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
        """A session with the same store; if the cache is in memory, with a copy of its entries"""
        copy = object.__new__(type(self))
        memo[id(self)] = copy
        copy.__setstate__(deepcopy(self._state(), memo))
        return copy

    def _state(self) -> dict[str, Any]:
        """The attributes without counters and subscribers, which are not copied"""
        state: dict[str, Any] = {**super().__getstate__(), **self.__dict__}  # type: ignore[misc]
        state.pop('_watch', None)
        return state
