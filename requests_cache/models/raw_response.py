"""The `raw` of a cached response"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from logging import getLogger
from typing import Any

from requests import Response
from urllib3._collections import HTTPHeaderDict
from urllib3.exceptions import ProtocolError
from urllib3.response import HTTPResponse

from .base import RichMixin
from .body import Body, BodyLostError, BodyReader

logger = getLogger(__name__)


class CachedHTTPResponse(RichMixin, HTTPResponse):
    """A urllib3 response with a body that is already decoded

    Args:
        body: The decoded body, in memory or stored separately
        kwargs: Arguments of `urllib3.response.HTTPResponse`, and `request_url`
    """

    _fp: Any

    def __init__(self, body: bytes | Body | None = None, **kwargs: Any):
        self._cached_body: bytes | Body = body or b''
        kwargs = {k: v for k, v in kwargs.items() if v is not None}
        self._request_url: str | None = kwargs.get('request_url')
        super().__init__(body=_file_over(self._cached_body), preload_content=False, **kwargs)
        if self.version and 'version_string' not in kwargs:
            self.version_string = f'HTTP/{self.version // 10}.{self.version % 10}'

    @classmethod
    def from_response(cls, response: Response) -> CachedHTTPResponse:
        """Copy the `raw` attribute of a response; the body is that of its `content`"""
        raw: Any = response.raw
        return cls(
            body=response.content,
            headers=getattr(raw, 'headers', None) or response.headers,
            reason=response.reason,
            request_url=getattr(response.request, 'url', None) or response.url,
            status=response.status_code,
            version=getattr(raw, 'version', 0),
        )

    @classmethod
    def from_cached_response(cls, response: Any) -> CachedHTTPResponse:
        """Create the `raw` attribute of a `CachedResponse` that was read from the cache"""
        return cls(response.content, **_http_fields(response))

    @property
    def data(self) -> bytes:
        """The whole body, even if some of it has been read already"""
        if isinstance(self._cached_body, Body):
            with _as_urllib3():
                return self._cached_body.read()
        return self._cached_body

    @property
    def request_url(self) -> str | None:
        return self._request_url

    def release_conn(self) -> None:
        """There is no connection to release"""

    def drain_conn(self) -> None:
        """There is no connection to drain"""

    def shutdown(self) -> None:
        """There is no connection to shut down"""

    def readable(self) -> bool:
        return True

    def supports_chunked_reads(self) -> bool:
        return False

    def read(  # type: ignore[override]
        self, amt: int | None = None, decode_content: bool | None = None, **kwargs: Any
    ) -> bytes:
        """Read up to `amt` bytes; None or a negative number reads everything that is left

        Reading past the end returns `b''` and closes the response. Reading 0 bytes does nothing.
        `decode_content` has no effect, as the body is already decoded.
        """
        self._warn_of_decoding(decode_content)
        data = self._take(self._fp.read, amt)
        if amt is None or amt < 0:
            self._fp.close()
        return data

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:
        """Read at most `amt` bytes, possibly fewer; reading past the end closes the response"""
        if not isinstance(self._cached_body, Body):
            return self.read(amt, decode_content)
        self._warn_of_decoding(decode_content)
        return self._take(self._fp.read1, amt)

    def _warn_of_decoding(self, decode_content: bool | None) -> None:
        if decode_content is False and 'Content-Encoding' in self.headers:
            logger.warning('decode_content=False has no effect: the body of a cached response is stored decoded')

    def _take(self, read: Callable[[int | None], bytes], amt: int | None) -> bytes:
        if self._fp.closed:
            return b''
        with _as_urllib3():
            data = read(amt)
        self._fp_bytes_read += len(data)
        if self.length_remaining is not None:
            self.length_remaining -= len(data)
        if not data and amt != 0:
            self._fp.close()
        return data

    def readinto(self, b: Any) -> int:
        data = self.read(len(b))
        b[: len(data)] = data
        return len(data)

    def stream(self, amt: int | None = None, **kwargs: Any) -> Iterator[bytes]:  # type: ignore[override]
        """Yield the body in chunks of up to `amt` bytes, then an empty one; with 0, only the empty one"""
        while not self._fp.closed:
            yield self.read(amt=amt, **kwargs)
            if amt == 0:
                return

    def reset(self, body: bytes | None = None) -> None:
        """Go back to the first byte, or replace the body"""
        if body is not None:
            self._cached_body = body
        self._fp = _file_over(self._cached_body)
        self._fp_bytes_read = 0

    def _repr_fields(self) -> Iterator[tuple[str, Any]]:
        shown = {
            'headers': self.headers,
            'reason': self.reason,
            'request_url': self._request_url,
            'status': self.status or None,
        }
        return ((k, v) for k, v in shown.items() if v)


class _StoredHTTPResponse(HTTPResponse):
    """A urllib3 response with a stored body that still has its content coding, as received"""

    def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:  # type: ignore[override]
        """The same as `stream()`; the chunks of the transfer were not stored"""
        return self.stream(amt, decode_content)


def stored_http_response(response: Any, body: Body) -> HTTPResponse:
    """The `raw` attribute of a `CachedResponse` whose body is stored separately"""
    if not body.is_coded:
        return CachedHTTPResponse(body, **_http_fields(response))
    fields = {name: value for name, value in _http_fields(response).items() if value is not None}
    return _StoredHTTPResponse(
        BodyReader(body),  # type: ignore[arg-type]
        preload_content=False,
        decode_content=False,
        enforce_content_length=False,
        **fields,
    )


def _http_fields(response: Any) -> dict[str, Any]:
    headers: Any = response._header_fields or response.headers
    return {
        'headers': HTTPHeaderDict(headers),
        'reason': response.reason,
        'request_url': getattr(response.request, 'url', None) or response.url,
        'status': response.status_code,
        'version': response._http_version,
    }


def _file_over(body: bytes | Body) -> Any:
    return BodyReader(body) if isinstance(body, Body) else BytesIO(body)


@contextmanager
def _as_urllib3() -> Iterator[None]:
    """Turn a lost body into the exception that urllib3 raises for a broken connection"""
    try:
        yield
    except BodyLostError as e:
        raise ProtocolError(f'Connection broken: {e!r}', e) from e
