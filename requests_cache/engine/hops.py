"""Chains of redirects in the default modes, where URLs on the way have settings of their own"""

from __future__ import annotations

from typing import Any

from requests import Response

from ..models.redirects import redirects_of
from ..policy.settings import CacheSettings
from ..policy.verdicts import DoNotStore, Store, StoreDecision
from .exchange import result_of
from .refusals import UNREAD


def kept_like_hops(decided: Store, response: Response, settings: CacheSettings) -> StoreDecision:
    """Store a chain only if no rule for a URL on the way keeps that out, and no longer than a rule for its end says

    In the default modes, all responses of a chain are stored with the first one. Those after the first have been
    through an exchange of their own, by the settings for their URLs.

    Args:
        decided: By the settings for the first URL
        response: The end of the chain
        settings: These settings
    """
    for hop in (*redirects_of(response)[1:], response):
        if settings.rule_for(hop.request.url) is None:
            continue
        result = result_of(hop)
        # Only its end has to be stored for its own request, too
        tolerated = ('', UNREAD) if hop is response else ('', UNREAD, 'status')
        if result.is_bypassed or result.not_stored not in tolerated:
            return DoNotStore(result.not_stored or result.reason)
        if hop is response:
            expires: Any = getattr(response, 'expires', None)
            decided = Store(min(filter(None, (decided.expires, expires)), default=None))
    return decided
