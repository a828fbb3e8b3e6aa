"""Backends that several sessions use, each with settings of its own"""

from __future__ import annotations

from typing import Any, TypeVar
from weakref import ref

from ..models.request import AnyRequest, sent_url
from ..policy.settings import CacheSettings

B = TypeVar('B', bound='Bindable')
# Attribute with a weak reference to the session that has the backend itself
_OWNER = '_owner'


class Bindable:
    """A backend, or a handle on it, that goes by the settings of a session"""

    # Outside of `__dict__`, which a backend shares with the handles on it (see `bound_to`)
    __slots__ = ('__dict__', '__weakref__', '_bound_settings')

    @property
    def _settings(self) -> CacheSettings:
        """The settings that methods of this object go by"""
        try:
            return self._bound_settings
        except AttributeError:  # bound to no session
            return CacheSettings()

    @_settings.setter
    def _settings(self, settings: CacheSettings) -> None:
        self._bound_settings: CacheSettings = settings

    def _settings_for(self, request: AnyRequest) -> CacheSettings:
        """The settings that methods of this object go by, for the URL of a request"""
        settings = self._settings
        return settings.for_url(sent_url(request)) if settings.url_settings else settings

    def bound_to(self: B, owner: object, settings: CacheSettings) -> B:
        """This backend, going by the settings of one session

        Sessions that share a backend have settings of their own. The first one gets the backend itself, each other one
        a handle on it: an object with the same attributes, so that whatever is set or replaced on one is on all, and
        with other settings.

        Args:
            owner: The session; once it is gone, the next one gets the backend itself
            settings: Its settings
        """
        if getattr(self, '_bound_settings', None) is settings:
            return self
        attributes, mine = self.__dict__, ref(owner)
        former = attributes.get(_OWNER)
        if former is not None and former() is None and attributes.pop(_OWNER, former) is not former:
            former = None
        current = attributes.setdefault(_OWNER, mine)
        handle = self
        if current is not mine and current() is not owner:
            handle = object.__new__(type(self))
            handle.__dict__ = attributes
        handle._settings = settings
        return handle

    def __eq__(self, other: object) -> bool:
        """Whether both are the same backend, or handles on it"""
        return isinstance(other, Bindable) and self.__dict__ is other.__dict__

    def __hash__(self) -> int:
        return id(self.__dict__)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != _OWNER}
