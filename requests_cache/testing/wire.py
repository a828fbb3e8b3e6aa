"""HTTP/1.1 as bytes: the requests that come in, and the answers that go out"""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import BinaryIO
from urllib.parse import parse_qsl, urlsplit

BODYLESS = {204, 304}
PATIENCE_SECONDS = 30


class Hold:
    """Keeps answers back until the test releases them

    `wait_arrived(n)` returns once n requests have come in and are being held.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._arrived = 0
        self._released = False

    def wait(self) -> None:
        with self._changed:
            self._arrived += 1
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._released, PATIENCE_SECONDS):
                raise TimeoutError('an answer was held and never released')

    def wait_arrived(self, n: int = 1) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._arrived >= n, PATIENCE_SECONDS):
                raise TimeoutError(f'{self._arrived} of {n} requests arrived')

    def release(self) -> None:
        with self._changed:
            self._released = True
            self._changed.notify_all()


@dataclass(frozen=True)
class RecordedRequest:
    """A request as it came over the wire: `path` with its query, header names as spelled, repeated headers in order"""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b''

    def header(self, name: str) -> str | None:
        """The values of a header, joined with a comma; None if it was not sent"""
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        return ', '.join(values) if values else None

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.path).query, keep_blank_values=True)


@dataclass(frozen=True)
class Answer:
    """What goes back over the wire

    Content-Length is added unless it is among the headers or the body is `chunked`; nothing else is, not even Date.

    Args:
        gzip: Send the body compressed, with a Content-Encoding
        chunked: Send the body in chunks of at most `chunk_bytes`
        cut_after: Send only so many bytes of the body, then close the connection
        close: Close the connection after the answer
        drop: Close the connection without an answer
        raw: Bytes to be sent instead of everything above, then close
        hold: Waited for before anything is sent
        between: Waited for one by one: the first after the first `chunk_bytes` of the body, and so on
        reset: End the connection by a reset
    """

    status: int = 200
    body: bytes = b''
    headers: tuple[tuple[str, str], ...] = ()
    reason: str | None = None
    gzip: bool = False
    chunked: bool = False
    chunk_bytes: int = 1024
    cut_after: int | None = None
    close: bool = False
    drop: bool = False
    raw: bytes | None = None
    hold: Hold | None = None
    between: tuple[Hold, ...] = ()
    reset: bool = False

    @property
    def ends_connection(self) -> bool:
        return self.close or self.drop or self.reset or self.raw is not None or self.cut_after is not None

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)


def read_request(reader: BinaryIO) -> RecordedRequest | None:
    line = reader.readline().decode('latin-1').split()
    if len(line) != 3:
        return None
    headers = []
    while (field_line := reader.readline().decode('latin-1').rstrip('\r\n')) != '':
        name, _, value = field_line.partition(':')
        headers.append((name, value.strip()))
    request = RecordedRequest(line[0], line[1], tuple(headers))
    if (request.header('Transfer-Encoding') or '').lower() == 'chunked':
        return replace(request, body=_read_chunks(reader))
    return replace(request, body=reader.read(int(request.header('Content-Length') or 0)))


def _read_chunks(reader: BinaryIO) -> bytes:
    body = b''
    while size := int(reader.readline().partition(b';')[0], 16):
        body += reader.read(size)
        reader.readline()
    while reader.readline().strip():
        pass
    return body


def encode_parts(result: Answer, method: str) -> list[bytes]:
    """The answer, taken apart where it is to wait"""
    if result.raw is not None:
        return [result.raw]
    headers, body = list(result.headers), result.body
    if result.gzip:
        headers.append(('Content-Encoding', 'gzip'))
        body = gzip.compress(body, mtime=0)
    if result.chunked:
        headers.append(('Transfer-Encoding', 'chunked'))
    elif result.header('Content-Length') is None and result.status not in BODYLESS:
        headers.append(('Content-Length', str(len(body))))
    if result.close:
        headers.append(('Connection', 'close'))
    reason = _phrase(result.status) if result.reason is None else result.reason
    head = f'HTTP/1.1 {result.status} {reason}\r\n' + ''.join(f'{k}: {v}\r\n' for k, v in headers) + '\r\n'
    if method == 'HEAD' or result.status in BODYLESS:
        return [head.encode('latin-1')]
    sent, step, stops = body[: result.cut_after], result.chunk_bytes, len(result.between)
    pieces = [sent[i : i + step] for i in range(0, len(sent), step)]
    if result.chunked:
        end = b'' if result.cut_after is not None else b'0\r\n\r\n'
        pieces = [b'%x\r\n%s\r\n' % (len(p), p) for p in pieces] + [end]
    start = head.encode('latin-1')
    if not stops:
        return [start + b''.join(pieces)]
    return [start + b''.join(pieces[:1]), *pieces[1:stops], b''.join(pieces[stops:])]


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ''
