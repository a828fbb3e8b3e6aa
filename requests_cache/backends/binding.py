"""Sharing a backend between sessions that have different settings"""

from __future__ import annotations

from typing import Any, TypeVar
from weakref import ref

from ..models.request import AnyRequest, sent_url
from ..policy.settings import CacheSettings

B = TypeVar('B', bound='Bindable')
# Attribute with a weak reference to the session that uses the backend itself, not a handle
_OWNER = '_owner'


class Bindable:
    """A backend, or a handle on it, that uses the settings of a session"""

    # The settings are not in `__dict__`, which a backend shares with its handles (see `bound_to`)
    __slots__ = ('__dict__', '__weakref__', '_bound_settings')

    @property
    def _settings(self) -> CacheSettings:
        """The settings for the methods of this object"""
        try:
            return self._bound_settings
        except AttributeError:  # not bound to a session
            return CacheSettings()

    @_settings.setter
    def _settings(self, settings: CacheSettings) -> None:
        self._bound_settings: CacheSettings = settings

    def _settings_for(self, request: AnyRequest) -> CacheSettings:
        """The settings for the URL of a request"""
        settings = self._settings
        return settings.for_url(sent_url(request)) if settings.url_settings else settings

    def bound_to(self: B, owner: object, settings: CacheSettings) -> B:
        """This backend with the settings of one session

        If several sessions share a backend, the first one gets the backend itself. Every other session gets a handle:
        an object with its own settings that shares all other attributes, so that an attribute set on one is set on all.

        Args:
            owner: The session; after it was garbage-collected, the next session gets the backend itself
            settings: Settings of the session
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
        """Whether both are the same backend, or handles on the same one"""
        return isinstance(other, Bindable) and self.__dict__ is other.__dict__

    def __hash__(self) -> int:
        return id(self.__dict__)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != _OWNER}
