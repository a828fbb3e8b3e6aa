"""An origin on loopback whose pages are functions of the request, and which counts requests"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, list[tuple[str, str]], bytes]
Page = Callable[[BaseHTTPRequestHandler], Answer]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        origin: Origin = self.server.origin  # type: ignore[attr-defined]
        path = self.path.partition('?')[0]
        origin.counts[path] = origin.counts.get(path, 0) + 1
        self.rfile.read(int(self.headers.get('Content-Length') or 0))
        status, headers, body = origin.pages[path](self)
        self.send_response(status)
        for name, value in [*headers, ('Content-Length', str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_GET

    def log_message(self, *args: object) -> None:
        pass


class Origin:
    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.counts: dict[str, int] = {}
        server = ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
        server.daemon_threads = True
        server.origin = self  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._base = f'http://127.0.0.1:{server.server_port}'

    def page(self, path: str, *headers: tuple[str, str], body: bytes = b'hello', status: int = 200) -> str:
        """Program a page that is always the same; returns its URL"""
        return self.program(path, lambda request: (status, list(headers), body))

    def program(self, path: str, *answers: Page) -> str:
        """Program a page by functions, which are used one by one, the last of them from then on"""
        left = list(answers)
        self.pages[path] = lambda request: (left.pop(0) if len(left) > 1 else left[0])(request)
        return self._base + path
