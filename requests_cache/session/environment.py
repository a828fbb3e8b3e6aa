"""Settings from the environment, without going through all of it for each request

`requests` goes through the whole environment twice for each request to find proxies, which takes longer than to answer
the request from the cache. What it finds stays the same until the environment changes.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple

from requests import Session

# Elsewhere the system has settings for proxies, too
IS_ENVIRONMENT_ALL = sys.platform not in ('darwin', 'win32')
MAX_REMEMBERED_ORIGINS = 256


class _Seen(NamedTuple):
    """An environment, and what it says

    Args:
        variables: The environment
        has_proxies: Whether any variable is about proxies
        bundle: Certificates of authorities, if a variable names some
        proxies: Proxies for the origins (scheme, host, port) that were asked for
    """

    variables: dict[Any, Any]
    has_proxies: bool
    bundle: str | None
    proxies: dict[str, dict[str, str]]


_last: _Seen | None = None


def _look() -> _Seen | None:
    """What the environment says; None if all of it has to be looked through each time"""
    global _last  # noqa: PLW0603
    # Compared as it is: to decode it would take the time that is to be saved
    variables = getattr(os.environ, '_data', None)
    if not IS_ENVIRONMENT_ALL or variables is None:
        return None
    last = _last
    if last is None or last.variables != variables:
        names = [os.fsdecode(name).lower() for name in variables]
        bundle = os.environ.get('REQUESTS_CA_BUNDLE') or os.environ.get('CURL_CA_BUNDLE')
        has_proxies = any(name.endswith('_proxy') for name in names)
        _last = last = _Seen(dict(variables), has_proxies, bundle, {})
    return last


def merge_settings(merge: Any, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> dict[str, Any]:
    """Call `Session.merge_environment_settings`, or give what it would give

    Args:
        merge: The bound method; one that is not that of `requests` is simply called
        url, proxies, stream, verify, cert: Its arguments
    """
    if proxies or getattr(merge, '__func__', None) is not Session.merge_environment_settings or merge.__self__.proxies:
        settings: dict[str, Any] = merge(url, proxies, stream, verify, cert)
        return settings
    session, found = merge.__self__, {}
    if session.trust_env:
        seen = _look()
        if seen is None or (seen.has_proxies and (remembered := seen.proxies.get(_origin(url))) is None):
            settings = merge(url, proxies, stream, verify, cert)
            if seen is not None and len(seen.proxies) < MAX_REMEMBERED_ORIGINS:
                seen.proxies[_origin(url)] = dict(settings['proxies'])
            return settings
        found = dict(remembered or {}) if seen.has_proxies else {}
        if verify is True or verify is None:
            verify = seen.bundle or verify
    return {
        'proxies': found,
        'stream': session.stream if stream is None else stream,
        'verify': session.verify if verify is None else verify,
        'cert': session.cert if cert is None else cert,
    }


def _origin(url: Any) -> str:
    return '/'.join(str(url).split('/', 3)[:3])
