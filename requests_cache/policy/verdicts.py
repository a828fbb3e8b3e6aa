"""The possible decisions about a request and its response, each with its reason"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


def _is_same(verdict: tuple[object, ...], other: object) -> bool:
    """Unlike plain tuples, verdicts of different classes are never equal"""
    return type(verdict) is type(other) and tuple.__eq__(verdict, other)


class _WithReason(NamedTuple):
    reason: str

    def __eq__(self, other: object) -> bool:
        return _is_same(self, other)

    def __ne__(self, other: object) -> bool:
        return not _is_same(self, other)


class _WithConditions(NamedTuple):
    reason: str
    conditions: dict[str, str]

    def __eq__(self, other: object) -> bool:
        return _is_same(self, other)

    def __ne__(self, other: object) -> bool:
        return not _is_same(self, other)


class Use(NamedTuple):
    """Answer with the stored response

    Args:
        reason: Reason of the decision
        age_seconds: Current age of the response, if it was calculated for the decision
    """

    reason: str
    age_seconds: int | None = None

    def __eq__(self, other: object) -> bool:
        return _is_same(self, other)

    def __ne__(self, other: object) -> bool:
        return not _is_same(self, other)


class UseAndRefresh(_WithConditions):
    """Answer with the stored response, and renew it in the background, with these conditions as header fields"""


class Validate(_WithConditions):
    """Validate the stored response with the origin, with these conditions as header fields"""


class Fetch(_WithReason):
    """Send the request to the origin unchanged"""


class GatewayTimeout(_WithReason):
    """Answer with status 504, as the network must not be used (RFC 9111, section 5.2.1.7)"""


ReadDecision = Use | UseAndRefresh | Validate | Fetch | GatewayTimeout


class Store(NamedTuple):
    """Store the response"""

    expires: datetime | None


class DoNotStore(_WithReason):
    """Do not store the response"""


StoreDecision = Store | DoNotStore
