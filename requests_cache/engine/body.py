"""Reading the body of a response so that it can be stored, and still be read by the caller"""

from __future__ import annotations

from http.client import IncompleteRead
from io import BytesIO
from typing import Any

import urllib3
from requests import Response
from urllib3.response import HTTPResponse

from ..models.response import CachedResponse

PIECE_BYTES = 64 * 1024
# Of a decoder of gzip: what follows the last member is passed over
SWALLOW_DATA = 2
# From version 2 on, urllib3 itself raises an error for a body that is shorter than its Content-Length
CHECKS_LENGTH = not urllib3.__version__.startswith('1.')  # type: ignore[attr-defined]


def read_body(response: Response) -> bool:
    """Read the whole body, leaving the response as it was for its caller

    A streamed response can afterwards be read from its beginning, by `raw` as it came over the wire, coded or not.

    Returns:
        Whether the body is complete. If it is not, the caller meets the same error, in the same place, as without a
        cache.
    """
    if isinstance(response, CachedResponse):  # the end of a row of redirects, which only whole ones are
        return True
    if response.__dict__.get('_content', False) is not False:
        return _is_complete(response.raw) and _is_decoded_to_its_end(response)
    raw: Any = response.raw
    if not isinstance(raw, HTTPResponse) or raw.closed:
        response.content  # noqa: B018
        return True
    data, error = _read_raw(raw)
    if error is None and not _is_complete(raw):
        error = IncompleteRead(b'', raw.length_remaining)
    response.raw = _replay(raw, data, None)
    is_whole = error is None
    if is_whole:
        try:
            response.content  # noqa: B018
            is_whole = _is_decoded_to_its_end(response)
        except Exception:  # the caller meets it again when decoding the replay
            is_whole = False
            response.__dict__.update(_content=False, _content_consumed=False)
    response.raw = _replay(raw, data, error)
    return is_whole


def release(response: Response) -> None:
    """Free the connection of a response that nobody will read

    It can be used again if the rest of the body is known to be short, and is read; else it is closed.
    """
    if isinstance(response, CachedResponse):
        return
    length = response.headers.get('Content-Length')
    if response.status_code == 304 or (length is not None and length.isdigit() and int(length) <= PIECE_BYTES):
        try:
            response.content  # noqa: B018
        except Exception:  # it is not needed
            pass
    response.close()


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


def _is_decoded_to_its_end(response: Response) -> bool:
    """Whether compressed data had an end, which urllib3 does not look for: it takes what there is"""
    raw: Any = response.raw
    decoder = getattr(raw, '_decoder', None) if isinstance(raw, HTTPResponse) else None
    if decoder is None or not (response.content or raw.tell()):
        return True
    return all(map(_is_at_its_end, getattr(decoder, '_decoders', [decoder])))


def _is_at_its_end(decoder: Any) -> bool:
    state = getattr(decoder, '_state', None)
    stream: Any = getattr(decoder, '_obj', None)
    if state == SWALLOW_DATA:
        return True
    if hasattr(stream, 'is_finished'):  # brotli
        return bool(stream.is_finished())
    return bool(getattr(stream, 'eof', True))


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
        if self.error is None:
            return data
        # Who asks for all of it, or for more than there is, meets the error; that a body is too short, version 1 of
        # urllib3 notices in the first case only
        wants_all = size is None or size < 0
        if wants_all or (size and not data and type(self.error) is not IncompleteRead):
            raise self.error
        return data
