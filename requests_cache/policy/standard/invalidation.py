"""Which stored responses a request invalidates (RFC 9111, section 4.4)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

SAFE_METHODS = frozenset(('GET', 'HEAD', 'OPTIONS', 'TRACE'))
_DEFAULT_PORTS = {'http': 80, 'https': 443}


def invalidated_urls(method: str | None, url: str, status_code: int, headers: Mapping[str, Any]) -> list[str]:
    """URLs whose stored responses are invalid after a successful request with an unsafe or unknown method

    Args:
        method: Method of the request
        url: URL of the request
        status_code: Status of the response
        headers: Header fields of the response
    """
    if method in SAFE_METHODS or not 200 <= status_code < 400:
        return []
    urls = [url]
    for name in ('Location', 'Content-Location'):
        other = resolve(url, headers.get(name))
        if other is not None and origin(other) == origin(url) and other not in urls:
            urls.append(other)
    return urls


def resolve(url: str, reference: Any) -> str | None:
    """Resolve a URL reference in a header field; None if it is absent or invalid"""
    try:
        return urljoin(url, str(reference)) if reference else None
    except ValueError:
        return None


def origin(url: str) -> tuple[str, str | None, int | None] | None:
    """Scheme, host and port of a URL; None if they are absent or invalid (RFC 9110, section 4.3.1)"""
    try:
        parts = urlsplit(url)
        return parts.scheme.lower(), parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme.lower())
    except ValueError:
        return None
