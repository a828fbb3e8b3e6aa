"""Reading settings from the environment only when it changes

For each request, `requests` searches the whole environment twice for proxies, which takes longer than answering the
request from the cache. The result stays the same until the environment changes.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple

from requests import Session

# On other systems, there are also system settings for proxies
IS_ENVIRONMENT_ALL = sys.platform not in ('darwin', 'win32')
MAX_REMEMBERED_ORIGINS = 256


class _Seen(NamedTuple):
    """An environment, and the settings in it

    Args:
        variables: The environment variables
        has_proxies: Whether any variable is about proxies
        bundle: Path of the CA certificates in a variable, if any
        proxies: Proxies by origin (scheme, host, port)
    """

    variables: dict[Any, Any]
    has_proxies: bool
    bundle: str | None
    proxies: dict[str, dict[str, str]]


_last: _Seen | None = None


def _look() -> _Seen | None:
    """The settings in the environment; None if it has to be searched each time"""
    global _last  # noqa: PLW0603
    # Compare the encoded data: decoding it would take as long as the search
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
    """Call `Session.merge_environment_settings`, or return the same result without calling it

    Args:
        merge: The bound method; it is always called if it is not that of `requests`
        url, proxies, stream, verify, cert: Arguments of the method
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
