"""Sharing a backend among several sessions with different settings"""

from __future__ import annotations

from typing import Any, TypeVar
from weakref import ref

from ..models.request import AnyRequest, sent_url
from ..policy.settings import CacheSettings

B = TypeVar('B', bound='Bindable')
# Name of the attribute with a weak reference to the session that has the backend itself
_OWNER = '_owner'


class Bindable:
    """A backend, or a handle on it, that uses the settings of a session"""

    # Not in `__dict__`, which a backend shares with its handles (see `bound_to`)
    __slots__ = ('__dict__', '__weakref__', '_bound_settings')

    @property
    def _settings(self) -> CacheSettings:
        """The settings that the methods of this object use"""
        try:
            return self._bound_settings
        except AttributeError:  # not bound to a session
            return CacheSettings()

    @_settings.setter
    def _settings(self, settings: CacheSettings) -> None:
        self._bound_settings: CacheSettings = settings

    def _settings_for(self, request: AnyRequest) -> CacheSettings:
        """The settings that the methods of this object use for the URL of a request"""
        settings = self._settings
        return settings.for_url(sent_url(request)) if settings.url_settings else settings

    def bound_to(self: B, owner: object, settings: CacheSettings) -> B:
        """This backend with the settings of a session

        Sessions may share a backend, but have different settings. The first session gets the backend itself. Each other
        session gets a handle on it: an object with its own settings, but the same attributes, so that setting or
        patching an attribute affects the backend and all handles.

        Args:
            owner: The session; after it has been deleted, the next session gets the backend itself
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
        """Whether both are the same backend or handles on it"""
        return isinstance(other, Bindable) and self.__dict__ is other.__dict__

    def __hash__(self) -> int:
        return id(self.__dict__)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != _OWNER}
