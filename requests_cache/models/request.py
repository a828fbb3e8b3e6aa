"""The request that a stored response answers"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from attrs import define, field, setters
from requests import PreparedRequest, Request
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from .base import LazyFields, RichMixin
from .cookies import cookies_by_name


def encode_body(value: Any) -> bytes:
    """A request body as bytes; `b''` if there is none, `str()` of objects that are neither text nor bytes"""
    if not value:
        return b''
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else str(value).encode('utf-8')


@define(repr=False, eq=True, auto_attribs=False, on_setattr=setters.NO_OP)
class CachedRequest(LazyFields, RichMixin):
    """A request that can be stored; `body` is converted to bytes when it is assigned"""

    body: bytes = field(default=None, converter=encode_body, on_setattr=setters.convert)
    cookies: RequestsCookieJar = field(factory=RequestsCookieJar)
    headers: CaseInsensitiveDict[str] = field(factory=CaseInsensitiveDict)
    method: str | None = field(default=None)
    url: str | None = field(default=None)

    @classmethod
    def from_request(cls, original_request: PreparedRequest | CachedRequest) -> CachedRequest:
        """Copy a request that was sent, or another stored request"""
        headers: Any = original_request.headers
        cookies: Any = getattr(original_request, '_cookies', None)
        return cls(
            body=original_request.body,
            cookies=cookies.copy() if cookies is not None else RequestsCookieJar(),
            headers=headers.copy() if headers is not None else CaseInsensitiveDict(),
            method=original_request.method,
            url=original_request.url,
        )

    @classmethod
    def _from_record(cls, record: dict[str, Any]) -> CachedRequest:
        self = cls.__new__(cls)
        self.__dict__['_record'] = record
        return self

    @property
    def _cookies(self) -> RequestsCookieJar:
        return self.cookies

    @property
    def path_url(self) -> str:
        """Path and query, as in a request line"""
        parts = urlsplit(self.url or '')
        return (parts.path or '/') + (f'?{parts.query}' if parts.query else '')

    def copy(self) -> CachedRequest:
        """A copy with its own headers and cookies"""
        return self.from_request(self)

    def prepare(self) -> PreparedRequest:
        """A prepared request, which a session can send"""
        prepared = PreparedRequest()
        prepared.method = self.method
        prepared.url = self.url
        prepared.headers = self.headers.copy()
        prepared.body = self.body or None
        prepared._cookies = self.cookies.copy()  # type: ignore[attr-defined]
        return prepared

    def __str__(self) -> str:
        return f'{self.method} {self.url}'

    __hash__ = None  # type: ignore[assignment]


CachedRequest._builders = {
    'body': lambda self, record: encode_body(record.get('body')),
    'cookies': lambda self, record: cookies_by_name(record.get('cookies')),
    'headers': lambda self, record: CaseInsensitiveDict(record.get('headers') or {}),
    'method': lambda self, record: record.get('method'),
    'url': lambda self, record: record.get('url'),
}


def sent_url(request: Request | PreparedRequest | CachedRequest) -> str | None:
    """The URL that a request, prepared or not, is sent to"""
    if not isinstance(request, Request):
        return request.url
    prepared = PreparedRequest()
    prepared.prepare_url(request.url, request.params)
    return prepared.url


AnyRequest = Request | PreparedRequest | CachedRequest
AnyPreparedRequest = PreparedRequest | CachedRequest
