"""The local origin server: pages are plain dictionaries of a scenario, and everything it received is kept."""

from __future__ import annotations

import gzip
import hashlib
import time
import zlib
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from .bodies import BODIES

Page = dict[str, Any]

LAST_MODIFIED = 'Wed, 01 Jan 2025 10:00:00 GMT'
GATE_SECONDS = 0.3
THREAD_NAME = 'differential-origin'
BODILESS = (204, 304)
ECHOED = {'lang': 'Accept-Language', 'auth': 'Authorization', 'cookie': 'Cookie', 'agent': 'X-Agent'}
CONNECTION_HEADERS = ('connection', 'content-length')


def digest(data: bytes | None) -> str:
    """Length and a short hash of *data*; ``none`` for an absent body."""
    return 'none' if data is None else f'{len(data)}:{hashlib.sha256(data).hexdigest()[:12]}'


def dated(value: str) -> str:
    """Replace a value ``@N`` by the HTTP date N seconds from the (virtual) now."""
    return formatdate(time.time() + float(value[1:]), usegmt=True) if value.startswith('@') else value


def encode(body: bytes, coding: str | None) -> bytes:
    if coding == 'gzip':
        return gzip.compress(body, mtime=0)
    return zlib.compress(body) if coding == 'deflate' else body


class Handler(BaseHTTPRequestHandler):
    """Answers every method by the page of the requested path."""

    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Origin

    def log_message(self, *args: Any) -> None:
        """Stay silent: what was received is in ``Origin.log``."""

    def answer(self) -> None:
        received = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        if 'chunked' in (self.headers.get('Transfer-Encoding') or ''):
            received = self._read_chunks()
        page, count = self.server.visit(self.headers.get('Host', ''), self.path)
        status = page['statuses'][min(count, len(page['statuses'])) - 1]
        entry = self._entry(received, status)
        self.server.log.append(entry)
        self.server.gate.wait(GATE_SECONDS)
        if status == 0:
            self.close_connection = True
            return
        if self._not_modified(page, count):
            entry['status'] = 304
            self._send(304, page.get('headers_304', []), self._validators(page, count), b'')
            return
        facts = {
            'n': count,
            'path': self.path,
            'status': status,
            'method': self.command,
            'got': digest(self._without_boundary(received)),
        }
        facts |= {name: value for name, header in ECHOED.items() if (value := self.headers.get(header))}
        body, content_type = (b'', None) if status in BODILESS else BODIES[page.get('body', 'json')](facts)
        if self.command != 'HEAD':
            entry.update(sent=digest(body), encoded=digest(encode(body, page.get('coding'))))
        headers = [['Content-Type', content_type]] if content_type else []
        headers += self._validators(page, count) + page.get('headers', [])
        self._send(status, headers, [], body, page)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def _read_chunks(self) -> bytes:
        received = b''
        while size := int(self.rfile.readline().split(b';')[0], 16):
            received += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return received

    def _entry(self, received: bytes, status: int) -> dict[str, Any]:
        headers = [[name, value] for name, value in self.headers.items() if name.lower() not in CONNECTION_HEADERS]
        target = f'{self.headers.get("Host", "")}{self.path}'
        return {
            'method': self.command,
            'target': target,
            'headers': sorted(headers),
            'body': digest(self._without_boundary(received)),
            'status': status,
            'sent': digest(b''),
            'encoded': digest(b''),
        }

    def _without_boundary(self, received: bytes) -> bytes:
        boundary = self.headers.get_boundary()
        return received.replace(boundary.encode(), b'boundary') if boundary else received

    def _validators(self, page: Page, count: int) -> list[list[str]]:
        etag = {'fixed': '"v1"', 'weak': 'W/"v1"', 'changing': f'"v{count}"'}.get(page.get('etag', ''))
        headers = [['ETag', etag]] if etag else []
        return headers + ([['Last-Modified', LAST_MODIFIED]] if page.get('last_modified') else [])

    def _not_modified(self, page: Page, count: int) -> bool:
        if not page.get('conditional'):
            return False
        match = self.headers.get('If-None-Match')
        if match is not None:
            return ['ETag', match] in self._validators(page, count)
        since = self.headers.get('If-Modified-Since')
        return since is not None and bool(page.get('last_modified'))

    def _send(
        self, status: int, headers: list[list[str]], more: list[list[str]], body: bytes, page: Page | None = None
    ) -> None:
        page = page or {}
        reason = page.get('reason', self.responses[status][0])
        self.send_response_only(status, reason)
        coding, chunked = page.get('coding'), bool(page.get('chunked'))
        payload = encode(body, coding)
        for name, value in [['Server', 'origin'], ['Date', formatdate(time.time(), usegmt=True)], *headers, *more]:
            self.send_header(name, dated(value))
        if coding and status not in BODILESS:
            self.send_header('Content-Encoding', coding)
        if chunked and status not in BODILESS:
            self.send_header('Transfer-Encoding', 'chunked')
        elif status not in BODILESS:
            self.send_header('Content-Length', str(len(payload)))
        self.end_headers()
        if self.command == 'HEAD' or status in BODILESS:
            return
        self.wfile.write(self._chunks(payload) if chunked else payload)

    @staticmethod
    def _chunks(payload: bytes) -> bytes:
        pieces = [payload[start : start + 1000] for start in range(0, len(payload), 1000)]
        return b''.join(b'%x\r\n%s\r\n' % (len(piece), piece) for piece in pieces) + b'0\r\n\r\n'


class Origin(ThreadingHTTPServer):
    """One server for the whole run; ``reset`` gives it the pages of the next scenario.

    While ``gate`` is cleared, answers are held back, though not for ever.

    Pages are looked up by ``host/path`` first, then by ``/path``; an unknown path is a 404.
    """

    daemon_threads = True
    missing: Page = {'statuses': [404], 'body': 'text'}

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.log: list[dict[str, Any]] = []
        self.gate = Event()
        self.gate.set()
        self._lock = Lock()
        self._site: dict[str, Page] = {}
        self._counts: dict[str, int] = {}
        Thread(target=self.serve_forever, name=THREAD_NAME, kwargs={'poll_interval': 0.05}, daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        handle = self.process_request_thread
        Thread(target=handle, args=(request, client_address), name=THREAD_NAME, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up early is part of the game."""

    def reset(self, site: dict[str, Page]) -> None:
        with self._lock:
            self._site, self._counts, self.log = site, {}, []

    def visit(self, host: str, target: str) -> tuple[Page, int]:
        """The page for *target* on *host*, and how many times it has been asked for, this time included."""
        path = urlsplit(target).path
        with self._lock:
            name = next((name for name in (host + path, path) if name in self._site), path)
            self._counts[name] = self._counts.get(name, 0) + 1
            return self._site.get(name, self.missing), self._counts[name]
