"""Chains of redirects in the default modes, if there are `url_settings` for some of the URLs"""

from __future__ import annotations

from typing import Any

from requests import Response

from ..models.redirects import redirects_of
from ..policy.settings import CacheSettings
from ..policy.verdicts import DoNotStore, Store, StoreDecision
from .exchange import result_of
from .refusals import UNREAD


def apply_hop_settings(decided: Store, response: Response, settings: CacheSettings) -> StoreDecision:
    """Store a chain only if the settings for all its URLs permit it, and no longer than those for its last URL permit

    In the default modes, all responses of a chain are stored together under the first URL. Those after the first have
    had an exchange of their own, with the settings for their URLs.

    Args:
        decided: The decision by the settings for the first URL
        response: The last response of the chain
        settings: The settings for the first URL
    """
    for hop in (*redirects_of(response)[1:], response):
        if settings.rule_for(hop.request.url) is None:
            continue
        result = result_of(hop)
        # The last response must also have been stored for its own request
        tolerated = ('', UNREAD) if hop is response else ('', UNREAD, 'status')
        if result.is_bypassed or result.not_stored not in tolerated:
            return DoNotStore(result.not_stored or result.reason)
        if hop is response:
            expires: Any = getattr(response, 'expires', None)
            decided = Store(min(filter(None, (decided.expires, expires)), default=None))
    return decided
