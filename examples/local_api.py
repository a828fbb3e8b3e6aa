"""A small local HTTP API for the examples, slow enough for a cache to be useful"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DELAY_SECONDS = 0.05


class LocalApi:
    """A context manager that runs a server, which answers every GET with a JSON document after a short delay

    Args:
        port: The preferred port, so that URLs are the same in the next run; if it is in use, any free port is taken
        headers: Header fields of every response
    """

    def __init__(self, port: int = 0, headers: dict[str, str] | None = None):
        self.request_count = 0
        handler = type('Handler', (Handler,), {'api': self, 'extra_headers': headers or {}})
        try:
            self._server = ThreadingHTTPServer(('127.0.0.1', port), handler)
        except OSError:
            self._server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
        self.port = self._server.server_port
        self.base_url = f'http://127.0.0.1:{self.port}'
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> LocalApi:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    api: LocalApi
    extra_headers: dict[str, str]

    def do_GET(self) -> None:
        self.api.request_count += 1
        threading.Event().wait(DELAY_SECONDS)
        document = {'path': self.path, 'answered': self.api.request_count}
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        for name, value in self.extra_headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing, so that only the examples print"""
