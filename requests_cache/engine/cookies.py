"""Adding the cookies of stored responses to the session's cookie jar, for `restore_cookies`"""

from __future__ import annotations

from copy import copy
from email.message import Message
from http.cookiejar import Cookie, CookieJar
from typing import Any
from urllib.parse import urlsplit

from requests import Response
from requests.cookies import MockRequest, MockResponse, extract_cookies_to_jar

from ..keys.bodies import REDACTED
from ..models.response import CachedResponse
from .exchange import Exchange


def restore_cookies(exchange: Exchange, response: CachedResponse, newer: Response | None = None) -> None:
    """Add the cookies of a stored response and its history to the cookie jar of the session

    As with a response from the origin, the jar decides which cookies it accepts, and cookies that a response deletes
    are deleted. Expired cookies are left out, and so are cookies whose values are not stored.

    Args:
        exchange: The exchange
        response: The stored response
        newer: The 304 or error that the origin has just sent, if any; its cookies are in the jar already, and stay
    """
    jar = exchange.session.cookies
    for each in (*response.history, response):
        _restore(jar, each)
    for received in (*newer.history, newer) if newer is not None else ():
        extract_cookies_to_jar(jar, received.request, received.raw)  # type: ignore[no-untyped-call]


def _restore(jar: CookieJar, response: CachedResponse) -> None:
    request: Any = MockRequest(response.request)
    cookies: list[Cookie] = list(iter(response.cookies))
    for domain, path, name in _deleted_by(response, request):
        if not any((cookie.domain, cookie.path, cookie.name) == (domain, path, name) for cookie in cookies):
            try:
                jar.clear(domain, path, name)
            except KeyError:  # there is no such cookie
                pass
    for cookie in cookies:
        if not cookie.is_expired() and cookie.value != REDACTED:
            jar.set_cookie_if_ok(_of_host(cookie, response.request.url or ''), request)


def _of_host(cookie: Cookie, url: str) -> Cookie:
    """A copy of a cookie; 1.x stores only name and value, and such a cookie gets the host that set it"""
    cookie = copy(cookie)
    if not cookie.domain:
        host = urlsplit(url).hostname or ''
        cookie.domain = host if '.' in host else f'{host}.local'  # the form that cookie jars use
    return cookie


def _deleted_by(response: CachedResponse, request: Any) -> list[tuple[str, str, str]]:
    """Domain, path and name of cookies that a response deletes, or that have expired since"""
    if response._is_of_1x and response._header_fields is None:  # several fields may be joined
        return []
    fields = response._header_fields or tuple(response.headers.items())
    message = Message()
    for name, value in fields:
        if name.lower() == 'set-cookie':
            message.add_header('Set-Cookie', value)
    if not message:
        return []
    jar = _Deletions()
    jar.make_cookies(MockResponse(message), request)  # type: ignore[arg-type]
    return jar.deleted


class _Deletions(CookieJar):
    """A jar that records which cookies are deleted"""

    def __init__(self) -> None:
        super().__init__()
        self.deleted: list[Any] = []

    def clear(self, domain: str | None = None, path: str | None = None, name: str | None = None) -> None:
        self.deleted.append((domain, path, name))
