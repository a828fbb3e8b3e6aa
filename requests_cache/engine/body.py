"""Reading the bodies of new responses, and checking that they are complete"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import urllib3
from requests import Response
from urllib3.response import HTTPResponse

from ..models.response import CachedResponse

PIECE_BYTES = 64 * 1024
# State of urllib3's gzip decoder after the last member, when it ignores further data
SWALLOW_DATA = 2
# Since version 2, urllib3 raises an error if a body is shorter than its Content-Length
CHECKS_LENGTH = not urllib3.__version__.startswith('1.')  # type: ignore[attr-defined]


def is_to_be_read(response: Response) -> bool:
    """Whether the body has not been read yet, and can be copied while the caller reads it"""
    raw: Any = response.raw
    is_unread = response.__dict__.get('_content', False) is False and not isinstance(response, CachedResponse)
    return is_unread and isinstance(raw, HTTPResponse) and not raw.closed and _length_remaining(raw) != 0


def is_touched(response: Response) -> bool:
    """Whether a hook, for example, has read part of the body or closed it, so that `content` would be incomplete"""
    raw: Any = response.raw
    if response.__dict__.get('_content', False) is not False or isinstance(response, CachedResponse):
        return False
    if response.__dict__.get('_content_consumed') or not isinstance(raw, HTTPResponse):
        return bool(response.__dict__.get('_content_consumed'))
    in_chunks = getattr(raw, 'chunk_left', None) is not None or getattr(raw, '_uncached_read_occurred', False)
    return bool(raw.tell() or in_chunks or (raw.closed and _length_remaining(raw) != 0))


def read_body(response: Response) -> bool:
    """Read a body into `content` if it is not streamed, and return whether it is complete"""
    if isinstance(response, CachedResponse):  # the end of a chain of redirects; stored responses are complete
        return True
    if response.__dict__.get('_content', False) is not False:
        return is_complete(response.raw) and _is_decoded_to_its_end(response)
    response.content  # noqa: B018
    return True


def release(response: Response) -> None:
    """Release the connection of a response that will not be read

    If the rest of the body is known to be short, it is read, so that the connection can be reused. Otherwise the
    connection is closed.
    """
    if isinstance(response, CachedResponse):
        return
    length = declared_length(response)
    if response.status_code == 304 or (length is not None and length <= PIECE_BYTES):
        try:
            response.content  # noqa: B018
        except Exception:  # the body is not needed
            pass
    response.close()


def declared_length(response: Response) -> int | None:
    """The length of a body in `Content-Length`; None if it is absent or invalid"""
    length = response.headers.get('Content-Length', '')
    return int(length) if length.isdecimal() and len(length) < 20 else None


def is_complete(raw: Any) -> bool:
    """Whether a response that has been read to its end had all the bytes that it declared"""
    return CHECKS_LENGTH or not _length_remaining(raw)


def _length_remaining(raw: Any) -> int | None:
    return getattr(raw, 'length_remaining', None)


def is_coded(headers: Mapping[str, Any]) -> bool:
    """Whether a response has a content coding that urllib3 decodes"""
    codings = str(headers.get('Content-Encoding') or '').lower().split(',')
    return any(coding.strip() in HTTPResponse.CONTENT_DECODERS for coding in codings)


def can_decode(stored: CachedResponse) -> bool:
    """Whether a body that was stored with its content coding can be decoded with the installed libraries"""
    return stored._body is None or not stored._body.is_coded or is_coded(stored.headers)


def decode(headers: Mapping[str, Any], data: bytes, max_bytes: int) -> bytes | None:
    """Decode a complete body; None if the result is longer than `max_bytes`

    Raises:
        Exception: The body cannot be decoded
        EOFError: The encoded data is truncated
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
        raise EOFError('the encoded body is truncated')
    return b''.join(pieces)


class CodingCheck:
    """Checks that the encoded data of a long body is not truncated, by decoding it and discarding the result"""

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
        except Exception:  # the caller gets the same error when decoding
            self._is_damaged = True

    def is_whole(self) -> bool:
        return not self._is_damaged and _is_at_the_end(self._decoder)


def _is_decoded_to_its_end(response: Response) -> bool:
    """Whether compressed data was not truncated, which urllib3 does not check"""
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
