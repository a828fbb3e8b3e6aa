"""Cookies as they are stored"""

from __future__ import annotations

from http.cookiejar import Cookie
from typing import Any

from requests.cookies import RequestsCookieJar, create_cookie


def cookies_by_name(cookies: dict[str, str] | None) -> RequestsCookieJar:
    """A cookie jar from names and values"""
    jar = RequestsCookieJar()
    for name, value in (cookies or {}).items():
        jar.set_cookie(create_cookie(name, value))  # type: ignore[no-untyped-call]
    return jar


COOKIE_ATTRIBUTES = (
    'version', 'name', 'value', 'port', 'port_specified', 'domain', 'domain_specified', 'domain_initial_dot',
    'path', 'path_specified', 'secure', 'expires', 'discard', 'comment', 'comment_url', 'rfc2109',
)  # fmt: skip


def cookie_to_dict(cookie: Cookie) -> dict[str, Any]:
    """All attributes of a cookie, as plain values"""
    return {**{k: getattr(cookie, k) for k in COOKIE_ATTRIBUTES}, 'rest': dict(getattr(cookie, '_rest', None) or {})}


def cookies_from_record(record: dict[str, Any]) -> RequestsCookieJar:
    """The cookies of a stored response: with all attributes where they were stored, else by name and value"""
    if not record.get('cookie_attributes'):
        return cookies_by_name(record.get('cookies'))
    jar = RequestsCookieJar()
    for attributes in record['cookie_attributes']:
        jar.set_cookie(Cookie(**attributes))
    return jar
