"""Distributing the keywords of a session to its settings, its backend and its parent class; reporting unknown ones"""

from __future__ import annotations

from functools import lru_cache
from logging import getLogger
from typing import Any

from .._utils import accepted_keywords, nearest_name
from ..backends.registry import CACHE_NAME_KWARGS
from ..policy.settings import CacheSettings, setting_names

logger = getLogger(__name__)
# Inspecting a signature takes as long as opening a database
_accepted_keywords = lru_cache(maxsize=32)(accepted_keywords)


def parent_keywords(
    session_class: type, mixin: type, kwargs: dict[str, Any], backend_names: frozenset[str] | None
) -> dict[str, Any]:
    """Find the keywords for the class after the mixin, and log those that nothing accepts

    Args:
        session_class: Class of the session
        mixin: The mixin, which is one of its bases
        kwargs: Keywords for which the mixin has no parameter
        backend_names: Names that the backend accepts; None if unknown
    """
    mro = session_class.__mro__
    parent = next(cls for cls in mro[mro.index(mixin) + 1 :] if '__init__' in cls.__dict__)
    parent_names = _accepted_keywords(parent.__init__)  # type: ignore[misc]
    settings = setting_names() | frozenset(CACHE_NAME_KWARGS)
    given = {k: v for k, v in kwargs.items() if v is not None}
    if parent_names is None:  # it accepts any name
        return given if backend_names is None else _not_in(settings, _not_in(backend_names, given))
    known = settings | parent_names
    if backend_names is not None:
        for name in _not_in(backend_names, kwargs).keys() - known:
            names = known | backend_names | frozenset(mixin.__init__.__annotations__)  # type: ignore[misc]
            nearest = nearest_name(name, names)
            hint = f"; did you mean '{nearest}'?" if nearest else ''
            logger.warning('Keyword %r of %s has no effect%s', name, session_class.__name__, hint)
    return {k: v for k, v in given.items() if k in parent_names}


def log_ignored_headers(settings: CacheSettings) -> None:
    """Log names in `match_headers` that are also in `ignored_parameters`, and so are not part of keys"""
    if isinstance(settings.match_headers, bool) or settings.key_fn:
        return
    ignored = {name.lower() for name in settings.ignored_parameters or ()}
    for name in settings.match_headers:
        if name.lower() in ignored:
            logger.warning(
                '%r in match_headers has no effect, because it is also in ignored_parameters: requests that differ '
                'in it share responses. Take it out of ignored_parameters, or use key_fn',
                name,
            )


def _not_in(names: frozenset[str], kwargs: dict[str, Any]) -> dict[str, Any]:
    # Use `in`, as the set may be a subclass: a backend may accept names in any case
    return {k: v for k, v in kwargs.items() if k not in names}
