"""The `raw` of a cached response"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from logging import getLogger
from typing import Any

from requests import Response
from urllib3._collections import HTTPHeaderDict
from urllib3.response import HTTPResponse

from .base import RichMixin

logger = getLogger(__name__)


class CachedHTTPResponse(RichMixin, HTTPResponse):
    """A urllib3 response over a body in memory, whose content coding has been undone already

    Args:
        body: The decoded body
        kwargs: Arguments of `urllib3.response.HTTPResponse`, and `request_url`
    """

    _fp: Any

    def __init__(self, body: bytes | None = None, **kwargs: Any):
        self._cached_body = body or b''
        kwargs = {k: v for k, v in kwargs.items() if v is not None}
        self._request_url: str | None = kwargs.get('request_url')
        super().__init__(body=BytesIO(self._cached_body), preload_content=False, **kwargs)
        if self.version and 'version_string' not in kwargs:
            self.version_string = f'HTTP/{self.version // 10}.{self.version % 10}'

    @classmethod
    def from_response(cls, response: Response) -> CachedHTTPResponse:
        """Copy the raw part of a response, with the body it has in `content`"""
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
        """Make the raw part of a `CachedResponse` that was read from the cache"""
        headers: Any = response._header_fields or response.headers
        return cls(
            body=response.content,
            headers=HTTPHeaderDict(headers),
            reason=response.reason,
            request_url=getattr(response.request, 'url', None) or response.url,
            status=response.status_code,
            version=response._http_version,
        )

    @property
    def data(self) -> bytes:
        """The whole body, whatever has been read"""
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
        """Read up to `amt` bytes, or all of them if it is None or negative

        What is read beyond the last byte is `b''`, and closes the response; reading 0 bytes does nothing.
        `decode_content` has no effect: the coding has been undone.
        """
        if decode_content is False and 'Content-Encoding' in self.headers:
            logger.warning('The body of a cached response is stored decoded; it cannot be read as it was encoded')
        if self._fp.closed:
            return b''
        data: bytes = self._fp.read(amt)
        self._fp_bytes_read += len(data)
        if self.length_remaining is not None:
            self.length_remaining -= len(data)
        if amt is None or amt < 0 or (amt and not data):
            self._fp.close()
        return data

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:
        return self.read(amt, decode_content)

    def readinto(self, b: Any) -> int:
        data = self.read(len(b))
        b[: len(data)] = data
        return len(data)

    def stream(self, amt: int | None = None, **kwargs: Any) -> Iterator[bytes]:  # type: ignore[override]
        """Yield the body in pieces of up to `amt` bytes, and an empty one at its end; no more than that for 0 bytes"""
        while not self._fp.closed:
            yield self.read(amt=amt, **kwargs)
            if amt == 0:
                return

    def reset(self, body: bytes | None = None) -> None:
        """Start again from the first byte, or with another body"""
        if body is not None:
            self._cached_body = body
        self._fp = BytesIO(self._cached_body)
        self._fp_bytes_read = 0

    def _repr_fields(self) -> Iterator[tuple[str, Any]]:
        shown = {
            'headers': self.headers,
            'reason': self.reason,
            'request_url': self._request_url,
            'status': self.status or None,
        }
        return ((k, v) for k, v in shown.items() if v)
