"""Selecting the mode of a session"""

from __future__ import annotations

from functools import cache

from ..policy.settings import CacheSettings
from .default_mode import DEFAULT
from .exchange import Mode


@cache
def _standard() -> Mode:
    """Strict mode, which is imported when the first session uses it"""
    from .standard_mode import STANDARD

    return STANDARD


def mode_of(settings: CacheSettings) -> Mode:
    """The mode for these settings"""
    return _standard() if settings.cache_control == 'strict' else DEFAULT
