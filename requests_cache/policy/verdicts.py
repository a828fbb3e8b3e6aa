"""What can be decided about a request, and about the response to it, each with its reason"""

from __future__ import annotations

from datetime import datetime

from attrs import frozen


@frozen
class Use:
    """Answer with the stored response"""

    reason: str


@frozen
class UseAndRefresh:
    """Answer with the stored response, and renew it in the background, with these request header fields"""

    reason: str
    conditions: dict[str, str]


@frozen
class Validate:
    """Ask the origin whether the stored response is still right, with these request header fields"""

    reason: str
    conditions: dict[str, str]


@frozen
class Fetch:
    """Send the request to the origin as it is"""

    reason: str


@frozen
class GatewayTimeout:
    """Answer with status 504: the network may not be used (RFC 9111, section 5.2.1.7)"""

    reason: str


ReadDecision = Use | UseAndRefresh | Validate | Fetch | GatewayTimeout


@frozen
class Store:
    """Store the response"""

    expires: datetime | None


@frozen
class DoNotStore:
    """Leave the store as it is"""

    reason: str


StoreDecision = Store | DoNotStore
