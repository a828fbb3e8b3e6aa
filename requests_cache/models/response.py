"""Responses from the origin, and responses from the cache"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from time import time
from typing import Any

import attrs
from attrs import define, field
from requests import PreparedRequest, Response
from requests.cookies import RequestsCookieJar
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import DecodeError, ProtocolError

from .._utils import format_file_size
from .base import LazyFields, RichMixin
from .body import Body, BodyLostError
from .cookies import cookies_from_record
from .raw_response import CachedHTTPResponse, stored_http_response
from .request import CachedRequest

DATETIME_FORMAT = '%Y-%m-%d %H:%M:%S %Z'
DecodedContent = dict | list | str | bool | int | float | None  # type: ignore[type-arg]
HeaderFields = tuple[tuple[str, str], ...]
LOADED_CHUNK_BYTES = 256 * 1024
# Left out of copies and pickles
_NOT_COPIED = ('_raw', '_result', '_told')
_COPIED = ('cookies', 'elapsed', 'encoding', 'headers', 'reason', 'status_code', 'url')


def _now() -> datetime:
    return datetime.now(timezone.utc)


@define(slots=False, repr=False, eq=False, auto_attribs=False, on_setattr=attrs.setters.NO_OP)
class BaseResponse(Response):
    """The attributes that this package adds to a `requests.Response`, whether it comes from the cache or not

    `created_at` is the time (UTC) at which the response was received. `expires` is the time (UTC) at which it becomes
    stale, or None if it never does.
    """

    created_at: datetime = field(factory=_now)
    expires: datetime | None = field(default=None)
    cache_key = ''
    revalidated = False
    # What the cache did (RFC 9211); set with cache_control='strict'
    cache_status: Any = None
    # What was done with the request, and which result subscribers have been told
    _result: Any = None
    _told: Any = None

    @property
    def from_cache(self) -> bool:
        return False

    @property
    def is_expired(self) -> bool:
        return False


@define(slots=False, repr=False, eq=False, init=False)
class OriginalResponse(BaseResponse):
    """A response that was received from the origin"""

    cache_key: str | None = None  # type: ignore[assignment]

    def __init__(self, **kwargs: Any):
        Response.__init__(self)
        self.created_at = kwargs.get('created_at') or _now()
        self.expires = kwargs.get('expires')

    @classmethod
    def wrap_response(cls, response: Response, actions: Any) -> OriginalResponse:
        """Turn a response of `requests` into an `OriginalResponse`, in place

        Args:
            response: The response, whose class is changed
            actions: Anything with the attributes `cache_key` (None if the response was not stored) and `expires`
        """
        response.__class__ = cls
        wrapped: OriginalResponse = response  # type: ignore[assignment]
        if 'created_at' not in wrapped.__dict__:
            wrapped.created_at = _now()
        wrapped.expires = actions.expires
        wrapped.cache_key = actions.cache_key
        return wrapped

    def __getstate__(self) -> dict[str, Any]:
        kept = ('created_at', 'expires', 'cache_key')
        state: dict[str, Any] = super().__getstate__()  # type: ignore[misc]
        return state | {name: self.__dict__[name] for name in kept if name in self.__dict__}


@define(slots=False, repr=False, eq=True, auto_attribs=False, on_setattr=attrs.setters.NO_OP)
class CachedResponse(LazyFields, RichMixin, BaseResponse):
    """A response that can be stored, or that was read from the cache

    Works like a `requests.Response` whose body has been read. The body is kept in memory, decoded. A large body is
    read in pieces when it is needed: then `_body` says where it is stored, and `_content` is False.
    """

    _content: bytes | None = field(default=None)
    _decoded_content: DecodedContent = field(default=None)
    _next: CachedRequest | None = field(default=None)
    cookies: RequestsCookieJar = field(factory=RequestsCookieJar)
    created_at: datetime = field(default=None)
    elapsed: timedelta = field(factory=timedelta)
    encoding: str | None = field(default=None)
    expires: datetime | None = field(default=None)
    headers: CaseInsensitiveDict[str] = field(factory=CaseInsensitiveDict)
    history: list[CachedResponse] = field(factory=list)  # type: ignore[assignment]
    reason: str | None = field(default=None)  # type: ignore[assignment]
    request: CachedRequest = field(factory=CachedRequest)  # type: ignore[assignment]
    status_code: int = field(default=0)
    url: str | None = field(default=None)  # type: ignore[assignment]

    # The adapter that received the response: none, but other code expects the attribute
    connection: Any = None
    # HTTP version, as in urllib3
    _http_version = 0
    # Whether the response was first stored by 1.x, which normalises URLs; it may have been rewritten since
    _is_of_1x = False
    # All header fields one by one, if some are repeated
    _header_fields: HeaderFields | None = None
    # A name that all variants of a resource share; used with cache_control='strict'
    _generation = ''
    # A body that is stored separately
    _body: Body | None = None
    # Whether certificates were verified, which is part of the key; known only until the response is stored
    _is_verified = True

    def __attrs_post_init__(self) -> None:
        if self.__dict__['created_at'] is None:
            self.created_at = _now()
        if self.expires is not None and self.expires.tzinfo is None:
            self.expires = self.expires.replace(tzinfo=timezone.utc)

    @classmethod
    def from_response(cls, response: Response, **kwargs: Any) -> CachedResponse:
        """Copy a response, and read its body if necessary; `kwargs` replace fields of the copy"""
        if isinstance(response, CachedResponse):
            return response._copy(**kwargs)
        body, raw = None if 'content' in kwargs else response.content, response.raw
        fields = {name: getattr(response, name) for name in _COPIED if name not in kwargs}
        if 'request' not in kwargs and response.request is not None:
            fields['request'] = CachedRequest.from_request(response.request)
        if 'next' not in kwargs and response.next is not None:
            fields['next'] = CachedRequest.from_request(response.next)
        if 'history' not in kwargs:
            fields['history'] = [cls.from_response(r, history=[]) for r in response.history]
        # Pass all fields at once: building a default costs more than copying the field
        self = cls(**{'content': body if body is not None else b'', **fields, **kwargs})
        self._header_fields = repeated_fields(getattr(raw, 'headers', None))
        self._http_version = getattr(raw, 'version', 0) or 0
        return self

    def _copy(self, **kwargs: Any) -> CachedResponse:
        self._materialize()
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__)
        for name in _NOT_COPIED:
            copy.__dict__.pop(name, None)
        copy.headers = self.headers.copy()
        copy.cookies = self.cookies.copy()
        copy.history = [CachedResponse.from_response(r, history=[]) for r in self.history]
        for field_ in attrs.fields(type(self)):
            if field_.alias in kwargs:
                copy.__dict__[field_.name] = kwargs[field_.alias]
        if 'content' in kwargs:
            copy.__dict__.pop('_body', None)
        return copy

    def _with_body(self, body: Body) -> CachedResponse:
        """A copy with a body that is stored separately"""
        copy = self._copy()
        copy.__dict__.update(_body=body, _content=False, _decoded_content=None)
        return copy

    @property
    def content(self) -> Any:
        """The body, decoded

        Raises:
            requests.exceptions.ChunkedEncodingError: It is stored separately, and is missing or damaged
        """
        content: Any = self._content
        return self._load() if content is False else content

    @property
    def _is_body_unread(self) -> bool:
        """Whether the body is stored separately and has not been read into memory"""
        return self._body is not None and self.__dict__.get('_content') is False

    def _load(self) -> bytes:
        """Read a body that is stored separately into memory"""
        body = self._body
        assert body is not None
        try:
            if body.is_coded:
                self._content = b''.join(self._new_raw().stream(LOADED_CHUNK_BYTES, decode_content=True))
            else:
                self._content = body.read()
        except (BodyLostError, ProtocolError) as e:
            raise ChunkedEncodingError(e) from e
        except DecodeError as e:
            raise ContentDecodingError(e) from e
        return self._content

    @property
    def raw(self) -> Any:
        """A `urllib3` response with the stored body"""
        raw = self.__dict__.get('_raw')
        if raw is None:
            raw = self.__dict__['_raw'] = self._new_raw()
        return raw

    @raw.setter
    def raw(self, raw: Any) -> None:
        self.__dict__['_raw'] = raw

    @property
    def _content_or_body(self) -> Any:
        """The body, or a description of where it is stored if it has not been read into memory"""
        return self._body if self._is_body_unread else self.content

    def _new_raw(self) -> Any:
        if self._body is not None and self._is_body_unread:
            return stored_http_response(self, self._body)
        return CachedHTTPResponse.from_cached_response(self)

    @property
    def from_cache(self) -> bool:
        return True

    @property
    def is_expired(self) -> bool:
        """Whether the response is stale; True if the expiration is invalid"""
        try:
            return self.expires is not None and _now() >= self.expires
        except (AttributeError, TypeError):
            return True

    @property
    def expires_unix(self) -> int | None:
        """Expiration as Unix time in seconds; None if it never expires"""
        return round(self.expires.timestamp()) if self.expires is not None else None

    @property
    def expires_delta(self) -> int | None:
        """Seconds from now until expiration; None if it never expires"""
        return round(self.expires.timestamp() - time()) if self.expires is not None else None

    @property
    def next(self) -> PreparedRequest | None:
        """The next request, if this is a redirect that was not followed"""
        return self._next.prepare() if self._next is not None else None

    @property
    def size(self) -> int:
        """Length of the body in bytes; the stored length if the body is stored separately"""
        if self._body is not None:
            return self._body.size
        content = self.content
        return len(content) if content else 0

    @property
    def elapsed_seconds(self) -> float:
        """How long the origin took; does not build the `timedelta` of a new hit, and so is faster"""
        if 'elapsed' in self.__dict__ or '_record' not in self.__dict__:
            return self.elapsed.total_seconds()
        return float(self._record.get('elapsed') or 0)

    @property
    def _content_consumed(self) -> bool:
        return not self._is_body_unread

    @_content_consumed.setter
    def _content_consumed(self, value: bool) -> None:
        """Ignore what `requests` assigns; the body is always available"""

    @property
    def apparent_encoding(self) -> str | None:  # type: ignore[override]
        return super().apparent_encoding if self.content else 'utf-8'

    def iter_content(self, chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:
        if self._content is None:
            return iter(())
        if self._is_body_unread and self.raw.closed:
            self._raw = self._new_raw()  # a body that was read to its end can be read again
        return super().iter_content(chunk_size, decode_unicode)

    def is_older_than(self, older_than: Any) -> bool:
        """Whether the response was received before a datetime, or longer ago than a timedelta or number of seconds"""
        from ..policy.expiration import add_tzinfo, get_expiration_datetime

        limit = get_expiration_datetime(older_than, negative_delta=True)
        return limit is not None and add_tzinfo(self.created_at) < limit

    def reset_expiration(self, expire_after: Any) -> bool:
        """Set a new expiration, counted from now, and return whether the response has now expired

        Args:
            expire_after: The expiration, or a function that takes the response and returns it
        """
        from ..policy.expiration import DO_NOT_CACHE, EXPIRE_IMMEDIATELY, expiration_of, get_expiration_datetime

        value = expiration_of(self, expire_after)
        if callable(expire_after) and value == DO_NOT_CACHE:
            value = EXPIRE_IMMEDIATELY
        self.expires = get_expiration_datetime(value)
        return self.is_expired

    def close(self) -> None:
        """Release a body that is stored separately; there is no connection to close"""
        if self._body is not None:
            self._body.end()

    def __getstate__(self) -> dict[str, Any]:
        self._materialize()
        state = {k: v for k, v in self.__dict__.items() if k not in _NOT_COPIED}
        if state.pop('_body', None) is not None:
            state['_content'] = self.content
        return state if self._is_of_1x else {**state, '_http_version': self._http_version}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({k: v for k, v in state.items() if k != '_content_consumed'})
        if '_http_version' not in state:
            self.__dict__['_is_of_1x'] = True

    def __str__(self) -> str:
        created, expires = format_datetime(self.created_at), format_datetime(self.expires)
        return (
            f'<CachedResponse [{self.status_code}]: "created: {created}, expires: {expires} '
            f'({"stale" if self.is_expired else "fresh"}), size: {format_file_size(self.size)}, '
            f'request: {self.request}>'
        )

    def __hash__(self) -> int:
        return hash((type(self), self.status_code, self.url))


def format_datetime(value: datetime | None) -> str:
    """A time as local time, to the second; `str()` of it if it cannot be converted, `N/A` if it is None"""
    try:
        return value.astimezone().strftime(DATETIME_FORMAT) if value else 'N/A'
    except (OSError, OverflowError, ValueError):  # on the first or last day that a datetime can hold, for example
        return str(value)


def repeated_fields(headers: Any) -> HeaderFields | None:
    """All fields of a urllib3 header dict in order, one by one; None if no field is repeated"""
    if not hasattr(headers, 'iteritems') and not hasattr(headers, 'getlist'):
        return None
    fields = tuple(headers.iteritems()) if hasattr(headers, 'iteritems') else tuple(headers.items())
    return fields if len(fields) != len(headers) else None


def _build_request(response: CachedResponse, record: dict[str, Any]) -> CachedRequest:
    return CachedRequest._from_record(record.get('request') or {})


def _build_next(response: CachedResponse, record: dict[str, Any]) -> CachedRequest | None:
    return CachedRequest._from_record(record['_next']) if record.get('_next') else None


CachedResponse._builders = {
    '_next': _build_next,
    'cookies': lambda self, record: cookies_from_record(record),
    'elapsed': lambda self, record: timedelta(seconds=float(record.get('elapsed') or 0)),
    'headers': lambda self, record: CaseInsensitiveDict(record.get('headers') or {}),
    'history': lambda self, record: [],
    'request': _build_request,
}

AnyResponse = OriginalResponse | CachedResponse
