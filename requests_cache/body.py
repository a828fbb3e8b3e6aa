"""Reading the body of a response so that it can be stored, and still be read by the caller"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import urllib3
from requests import Response
from urllib3.response import HTTPResponse

PIECE_BYTES = 64 * 1024
# From version 2 on, urllib3 itself raises an error for a body that is shorter than its Content-Length
CHECKS_LENGTH = not urllib3.__version__.startswith('1.')  # type: ignore[attr-defined]


def read_body(response: Response) -> bool:
    """Read the whole body, leaving the response as it was for its caller

    A streamed response can afterwards be read from its beginning, by `raw` as it came over the wire, coded or not.

    Returns:
        Whether the body is complete. If it is not, the caller meets the same error, in the same place, as without a
        cache.
    """
    if response.__dict__.get('_content', False) is not False:
        return _is_complete(response.raw)
    raw: Any = response.raw
    if not isinstance(raw, HTTPResponse) or raw.closed:
        response.content  # noqa: B018
        return True
    data, error = _read_raw(raw)
    if error is None and not _is_complete(raw):
        error = EOFError('the body is shorter than its Content-Length')
    response.raw = _replay(raw, data, None)
    if error is None:
        try:
            response.content  # noqa: B018
        except Exception as e:
            error = e
            response.__dict__.update(_content=False, _content_consumed=False)
    response.raw = _replay(raw, data, error if CHECKS_LENGTH or not isinstance(error, EOFError) else None)
    return error is None


def _read_raw(raw: HTTPResponse) -> tuple[bytes, Exception | None]:
    pieces = []
    try:
        while piece := raw.read(PIECE_BYTES, decode_content=False):
            pieces.append(piece)
    except Exception as e:
        return b''.join(pieces), e
    return b''.join(pieces), None


def _is_complete(raw: Any) -> bool:
    return CHECKS_LENGTH or not getattr(raw, 'length_remaining', None)


def _replay(raw: HTTPResponse, data: bytes, error: Exception | None) -> HTTPResponse:
    """A response like `raw`, with its body once more to read"""
    return HTTPResponse(
        body=_Replay(data, error),
        headers=raw.headers,
        status=raw.status,
        version=raw.version,
        reason=raw.reason,
        preload_content=False,
        decode_content=raw.decode_content,
        original_response=getattr(raw, '_original_response', None),
        enforce_content_length=False,
        request_url=raw.geturl(),
    )


class _Replay(BytesIO):
    """Bytes followed by the error that came after them"""

    def __init__(self, data: bytes, error: Exception | None):
        super().__init__(data)
        self.error = error

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if not data and size != 0 and self.error is not None and not isinstance(self.error, EOFError):
            raise self.error
        return data
