"""A small HTTP/1.1 server in a process of its own: ``/bytes/N`` gives N bytes, any other path a small JSON document.

Each answer carries its number as ``X-Served``, by which a stored answer is told from a new one.
It prints its port once it listens, and ends when its standard input is closed.
"""

from __future__ import annotations

import json
import random
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from typing import Any

DOCUMENT = json.dumps({'id': 1, 'name': 'a small document', 'tags': ['one', 'two'], 'ratio': 0.5}).encode()

NUMBERS = count(1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        big = self.path.startswith('/bytes/')
        body = random.Random(0).randbytes(int(self.path.rpartition('/')[2])) if big else DOCUMENT
        self.send_response(200)
        self.send_header('Content-Type', 'application/octet-stream' if big else 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.send_header('Cache-Control', 'max-age=3600')
        self.send_header('ETag', '"v1"')
        self.send_header('X-Served', str(next(NUMBERS)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Stay silent."""


def main() -> None:
    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == '__main__':
    main()
