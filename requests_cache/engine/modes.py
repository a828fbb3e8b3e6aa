"""Which mode a session goes by"""

from __future__ import annotations

from functools import cache

from ..policy.settings import CacheSettings
from .default_mode import DEFAULT
from .exchange import Mode


@cache
def _standard() -> Mode:
    """The standard, which is loaded when the first session goes by it"""
    from .standard_mode import STANDARD

    return STANDARD


def mode_of(settings: CacheSettings) -> Mode:
    """The mode that settings ask for"""
    return _standard() if settings.cache_control == 'strict' else DEFAULT
