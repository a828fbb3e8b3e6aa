"""The two sets of rules that a session may go by"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import NamedTuple

from . import decision
from .request import RequestPolicy, request_policy
from .settings import CacheSettings
from .verdicts import ReadDecision, StoreDecision


class Rules(NamedTuple):
    """Functions that decide; described at those of `decision` and `request`"""

    request_policy: Callable[..., RequestPolicy]
    decide_read: Callable[..., ReadDecision]
    decide_store: Callable[..., StoreDecision]
    decide_on_error: Callable[..., bool]
    renewed_until: Callable[..., datetime | None]


DEFAULT = Rules(
    request_policy, decision.decide_read, decision.decide_store, decision.decide_on_error, decision.renewed_until
)


@cache
def standard() -> Rules:
    """The rules of the standard, which are loaded when the first session goes by them"""
    from .standard import decision as strict
    from .standard.request import strict_request_policy

    return Rules(
        strict_request_policy, strict.decide_read, strict.decide_store, strict.decide_on_error, strict.renewed_until
    )


def rules_for(settings: CacheSettings) -> Rules:
    """The rules that a session's settings ask for"""
    return standard() if settings.cache_control == 'strict' else DEFAULT
