"""Caching for all of `requests`, for code that makes its own sessions or calls `requests.get()`

`install_cache()` replaces `requests.Session` by a caching class, for the whole process. `enabled()` and `disabled()`
apply to the thread or task that enters them: inside such a block, `requests.Session` is a class that finds out, when it
is called, what applies to its caller.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import requests
from requests import Session as OriginalSession

from ._scopes import Scopes
from ._utils import renew_after_fork
from .backends.base import BackendSpecifier, BaseCache
from .backends.registry import init_backend
from .engine.watching import Watch
from .policy.settings import DEFAULT_CACHE_NAME, CacheSettings
from .session import CachedSession, CacheMixin

StrOrPath = Path | str


def _new(session_class: Any) -> Any:
    return session_class.__new__(session_class)


class _Installation:
    """A cache, and a class of sessions that use it; arguments as for `install_cache()`"""

    def __init__(
        self,
        cache_name: StrOrPath = DEFAULT_CACHE_NAME,
        backend: BackendSpecifier | None = None,
        session_factory: Any = CachedSession,
        **kwargs: Any,
    ):
        self.cache = init_backend(cache_name, backend, **kwargs).bound_to(self, CacheSettings.from_kwargs(**kwargs))
        kwargs = {'autoclose': False, **kwargs}
        installation = self

        class InstalledSession(session_factory):  # type: ignore[misc]
            _watch = Watch()
            _backend_has_keywords = not isinstance(backend, BaseCache)

            def __new__(cls, *args: Any, **kwargs: Any) -> Any:
                current = _current()
                if cls is not installation.session_class or current is installation:
                    return super().__new__(cls)
                return OriginalSession() if current is None else current.session_class()

            def __init__(self) -> None:
                super().__init__(backend=installation.cache, **kwargs)

            def __reduce__(self) -> Any:
                # There may be no installation in the process that unpickles it
                return _new, (session_factory,), self.__getstate__()

        self.session_class: Any = InstalledSession


_lock = RLock()
renew_after_fork(sys.modules[__name__], '_lock', RLock)
# The installation for the whole process, if any, and those that `enabled()` has made for some thread or task
_installed: list[_Installation] = []
_scoped: list[_Installation] = []
# The installations that `enabled()` has made for this thread or task; None for `disabled()`
_scopes = Scopes('requests_cache_installed')


def _current() -> _Installation | None:
    """The installation that applies to the caller"""
    in_force: list[_Installation | None] = [*_scopes.values(), *_installed]
    return in_force[0] if in_force else None


def _patch() -> None:
    in_force = [*_installed, *_scoped]
    session_class = in_force[-1].session_class if in_force else OriginalSession
    requests.Session = requests.sessions.Session = session_class  # type: ignore[misc]


def install_cache(
    cache_name: StrOrPath = DEFAULT_CACHE_NAME,
    backend: BackendSpecifier | None = None,
    session_factory: Any = CachedSession,
    **kwargs: Any,
) -> None:
    """Cache all requests of this process that are made with `requests.get()` and the like, or with new sessions

    Args:
        cache_name: As for `CachedSession`
        backend: As for `CachedSession`
        session_factory: The class of new sessions: `CachedSession`, or a class made with `CacheMixin`
        kwargs: As for `CachedSession`. `autoclose` is False by default here, because all sessions share the backend.
    """
    installation = _Installation(cache_name, backend, session_factory, **kwargs)
    with _lock:
        _installed[:] = [installation]
        _patch()


def uninstall_cache() -> None:
    """Undo `install_cache()`. Nothing happens if no cache is installed."""
    with _lock:
        _installed.clear()
        _patch()


@contextmanager
def disabled() -> Iterator[None]:
    """A context manager. In the block, new sessions do not cache, in this thread or task only."""
    with _scopes.enter(None):
        yield


@contextmanager
def enabled(*args: Any, **kwargs: Any) -> Iterator[None]:
    """A context manager. In the block, new sessions cache, in this thread or task only.

    Args:
        args, kwargs: As for `install_cache()`
    """
    installation = _Installation(*args, **kwargs)
    with _lock:
        _scoped.append(installation)
        _patch()
    try:
        with _scopes.enter(installation):
            yield
    finally:
        with _lock:
            _scoped.remove(installation)
            _patch()


def get_cache() -> BaseCache | None:
    """The cache that new sessions use here, or None if they do not cache"""
    current = _current()
    if current is not None:
        return current.cache
    session = requests.Session()
    try:
        return session.cache if isinstance(session, CacheMixin) else None
    finally:
        OriginalSession.close(session)


def is_installed() -> bool:
    """Whether new sessions cache here"""
    return get_cache() is not None


def clear() -> None:
    """Delete all entries of the cache that `get_cache()` returns, if there is one"""
    cache = get_cache()
    if cache is not None:
        cache.clear()


def delete(*args: Any, **kwargs: Any) -> int:
    """Delete entries of the cache that `get_cache()` returns; arguments and result as for `BaseCache.delete()`"""
    cache = get_cache()
    return cache.delete(*args, **kwargs) if cache is not None else 0
