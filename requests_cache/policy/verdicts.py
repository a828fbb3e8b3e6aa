"""What can be decided about a request, and about the response to it, each with its reason"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


def _is_same(verdict: tuple[object, ...], other: object) -> bool:
    """Unlike plain tuples, verdicts of different kinds are different"""
    return type(verdict) is type(other) and tuple.__eq__(verdict, other)


class _Because(NamedTuple):
    reason: str

    def __eq__(self, other: object) -> bool:
        return _is_same(self, other)

    def __ne__(self, other: object) -> bool:
        return not _is_same(self, other)


class _OnConditions(NamedTuple):
    reason: str
    conditions: dict[str, str]

    def __eq__(self, other: object) -> bool:
        return _is_same(self, other)

    def __ne__(self, other: object) -> bool:
        return not _is_same(self, other)


class Use(NamedTuple):
    """Answer with the stored response

    Args:
        reason: Why
        age_seconds: Its current age, if that was needed for the decision
    """

    reason: str
    age_seconds: int | None = None

    def __eq__(self, other: object) -> bool:
        return _is_same(self, other)

    def __ne__(self, other: object) -> bool:
        return not _is_same(self, other)


class UseAndRefresh(_OnConditions):
    """Answer with the stored response, and renew it in the background, with these request header fields"""


class Validate(_OnConditions):
    """Ask the origin whether the stored response is still right, with these request header fields"""


class Fetch(_Because):
    """Send the request to the origin as it is"""


class GatewayTimeout(_Because):
    """Answer with status 504: the network may not be used (RFC 9111, section 5.2.1.7)"""


ReadDecision = Use | UseAndRefresh | Validate | Fetch | GatewayTimeout


class Store(NamedTuple):
    """Store the response"""

    expires: datetime | None


class DoNotStore(_Because):
    """Leave the store as it is"""


StoreDecision = Store | DoNotStore
