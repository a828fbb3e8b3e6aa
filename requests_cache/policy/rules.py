"""The two sets of rules that a session may go by"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from . import decision, strict
from .request import RequestPolicy, request_policy
from .settings import CacheSettings
from .strict_request import strict_request_policy
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
STANDARD = Rules(
    strict_request_policy, strict.decide_read, strict.decide_store, strict.decide_on_error, strict.renewed_until
)


def rules_for(settings: CacheSettings) -> Rules:
    """The rules that a session's settings ask for"""
    return STANDARD if settings.cache_control == 'strict' else DEFAULT
