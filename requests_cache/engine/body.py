"""Bodies of new responses: whether they are whole, and reading them so that they can be stored"""

from __future__ import annotations

from collections.abc import Mapping
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


def is_to_be_read(response: Response) -> bool:
    """Whether the body is still to come, and can be copied while its caller reads it"""
    raw: Any = response.raw
    is_unread = response.__dict__.get('_content', False) is False and not isinstance(response, CachedResponse)
    return is_unread and isinstance(raw, HTTPResponse) and not raw.closed and _length_remaining(raw) != 0


def is_touched(response: Response) -> bool:
    """Whether somebody, a hook for example, has read or closed what is not in `content`, so that it is not all there"""
    raw: Any = response.raw
    if response.__dict__.get('_content', False) is not False or isinstance(response, CachedResponse):
        return False
    if response.__dict__.get('_content_consumed') or not isinstance(raw, HTTPResponse):
        return bool(response.__dict__.get('_content_consumed'))
    in_chunks = getattr(raw, 'chunk_left', None) is not None or getattr(raw, '_uncached_read_occurred', False)
    return bool(raw.tell() or in_chunks or (raw.closed and _length_remaining(raw) != 0))


def read_body(response: Response) -> bool:
    """Have a body in `content` that nobody reads piece by piece; returns whether it is whole"""
    if isinstance(response, CachedResponse):  # the end of a row of redirects, which only whole ones are
        return True
    if response.__dict__.get('_content', False) is not False:
        return is_complete(response.raw) and _is_decoded_to_its_end(response)
    response.content  # noqa: B018
    return True


def release(response: Response) -> None:
    """Free the connection of a response that nobody will read

    It can be used again if the rest of the body is known to be short, and is read; else it is closed.
    """
    if isinstance(response, CachedResponse):
        return
    length = declared_length(response)
    if response.status_code == 304 or (length is not None and length <= PIECE_BYTES):
        try:
            response.content  # noqa: B018
        except Exception:  # it is not needed
            pass
    response.close()


def declared_length(response: Response) -> int | None:
    """The length of a body, as far as the response says it"""
    length = response.headers.get('Content-Length', '')
    return int(length) if length.isdecimal() and len(length) < 20 else None


def is_complete(raw: Any) -> bool:
    """Whether a response that has been read to its end has as many bytes as it said"""
    return CHECKS_LENGTH or not _length_remaining(raw)


def _length_remaining(raw: Any) -> int | None:
    return getattr(raw, 'length_remaining', None)


def is_coded(headers: Mapping[str, Any]) -> bool:
    """Whether urllib3 undoes a content coding of a response"""
    codings = str(headers.get('Content-Encoding') or '').lower().split(',')
    return any(coding.strip() in HTTPResponse.CONTENT_DECODERS for coding in codings)


def can_decode(stored: CachedResponse) -> bool:
    """Whether a body that is stored as it came over the wire can be decoded here, by the libraries that there are"""
    return stored._body is None or not stored._body.is_coded or is_coded(stored.headers)


def decode(headers: Mapping[str, Any], data: bytes, max_bytes: int) -> bytes | None:
    """Undo the content coding of a whole body; None if it is longer then than a number of bytes

    Raises:
        Exception: It cannot be decoded
        EOFError: The coded data has no end
    """
    raw = HTTPResponse(BytesIO(data), headers=dict(headers), preload_content=False, enforce_content_length=False)
    pieces: list[bytes] = []
    length = 0
    for piece in raw.stream(PIECE_BYTES, decode_content=True):
        pieces.append(piece)
        length += len(piece)
        if length > max_bytes:
            return None
    if data and not _is_at_the_end(getattr(raw, '_decoder', None)):
        raise EOFError('the coded body has no end')
    return b''.join(pieces)


class CodingCheck:
    """Whether the coded data of a long body has an end; it is decoded as it passes, and what comes out is dropped"""

    def __init__(self, headers: Mapping[str, Any]):
        self._raw: Any = HTTPResponse(b'', headers=dict(headers), preload_content=False)
        self._raw._init_decoder()
        self._decoder: Any = self._raw._decoder
        self._limit = {'max_length': PIECE_BYTES} if hasattr(self._decoder, 'has_unconsumed_tail') else {}
        self._is_damaged = False

    def feed(self, data: bytes) -> None:
        try:
            while not self._is_damaged and self._raw._decode(data, True, False, **self._limit):
                if not getattr(self._decoder, 'has_unconsumed_tail', False):
                    return
                data = b''
        except Exception:  # the caller meets it as well, if this is decoded
            self._is_damaged = True

    def is_whole(self) -> bool:
        return not self._is_damaged and _is_at_the_end(self._decoder)


def _is_decoded_to_its_end(response: Response) -> bool:
    """Whether compressed data had an end, which urllib3 does not look for: it takes what there is"""
    raw: Any = response.raw
    decoder = getattr(raw, '_decoder', None) if isinstance(raw, HTTPResponse) else None
    return not (response.content or (decoder is not None and raw.tell())) or _is_at_the_end(decoder)


def _is_at_the_end(decoder: Any) -> bool:
    return decoder is None or all(map(_has_ended, getattr(decoder, '_decoders', [decoder])))


def _has_ended(decoder: Any) -> bool:
    state = getattr(decoder, '_state', None)
    stream: Any = getattr(decoder, '_obj', None)
    if state == SWALLOW_DATA:
        return True
    if hasattr(stream, 'is_finished'):  # brotli
        return bool(stream.is_finished())
    return bool(getattr(stream, 'eof', True))
