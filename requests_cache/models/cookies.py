"""Converting cookies to and from stored records"""

from __future__ import annotations

from http.cookiejar import Cookie
from math import isfinite
from typing import Any

from requests.cookies import RequestsCookieJar, create_cookie

from .._utils import is_decimal


def cookies_by_name(cookies: dict[str, str] | None) -> RequestsCookieJar:
    """A cookie jar with these names and values"""
    jar = RequestsCookieJar()
    for name, value in (cookies or {}).items():
        jar.set_cookie(create_cookie(name, value))  # type: ignore[no-untyped-call]
    return jar


COOKIE_ATTRIBUTES = (
    'version', 'name', 'value', 'port', 'port_specified', 'domain', 'domain_specified', 'domain_initial_dot',
    'path', 'path_specified', 'secure', 'expires', 'discard', 'comment', 'comment_url', 'rfc2109',
)  # fmt: skip


def cookie_to_dict(cookie: Cookie) -> dict[str, Any]:
    """All attributes of a cookie as plain values"""
    return {**{k: getattr(cookie, k) for k in COOKIE_ATTRIBUTES}, 'rest': dict(getattr(cookie, '_rest', None) or {})}


_TEXT, _OPTIONAL_TEXT, _FLAG = (str,), (str, type(None)), (bool, int)
_NUMBERS = ('version', 'expires')
_ATTRIBUTE_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(COOKIE_ATTRIBUTES, _OPTIONAL_TEXT),
    **dict.fromkeys(('name', 'domain', 'path'), _TEXT),
    **dict.fromkeys(_NUMBERS, (int, float, type(None))),
    **dict.fromkeys([name for name in COOKIE_ATTRIBUTES if name.endswith('_specified')], _FLAG),
    **dict.fromkeys(('domain_initial_dot', 'secure', 'discard', 'rfc2109'), _FLAG),
    'rest': (dict,),
}


def is_cookie(attributes: Any) -> bool:
    """Whether stored attributes are valid and complete, so that a cookie can be made from them"""
    return (
        isinstance(attributes, dict)
        and attributes.keys() == _ATTRIBUTE_TYPES.keys()
        and all(_is_attribute(name, value) for name, value in attributes.items())
        and not (attributes['port'] is None and attributes['port_specified'])
        and all(isfinite(attributes[name] or 0) for name in _NUMBERS)
    )


def _is_attribute(name: str, value: Any) -> bool:
    return isinstance(value, _ATTRIBUTE_TYPES[name]) or (name in _NUMBERS and is_decimal(value))


def cookies_from_record(record: dict[str, Any]) -> RequestsCookieJar:
    """The cookies of a stored response: with all attributes if these were stored, otherwise with name and value only"""
    if not record.get('cookie_attributes'):
        return cookies_by_name(record.get('cookies'))
    jar = RequestsCookieJar()
    for attributes in record['cookie_attributes']:
        jar.set_cookie(Cookie(**attributes))
    return jar
