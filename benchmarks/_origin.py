"""A small HTTP/1.1 server, which runs in its own process

`/bytes/N` returns N bytes, and `/blocks/N` returns N blocks of 1 MiB. Any other path returns a small JSON document,
`/slow` after a delay. Each response has its number in `X-Served`, so that a stored response can be told from a new one.
The server prints its port when it listens, and ends when its standard input is closed.
"""

from __future__ import annotations

import json
import random
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from typing import Any

BLOCK = random.Random(0).randbytes(1 << 20)
SLOW_SECONDS = 0.1
DOCUMENT = json.dumps({'id': 1, 'name': 'a small document', 'tags': ['one', 'two'], 'ratio': 0.5}).encode()

NUMBERS = count(1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        kind, _, number = self.path[1:].partition('/')
        block, times = DOCUMENT, 1
        if kind == 'bytes':
            block = random.Random(0).randbytes(int(number))
        elif kind == 'blocks':
            block, times = BLOCK, int(number)
        elif kind == 'slow':
            time.sleep(SLOW_SECONDS)
        self.send_response(200)
        self.send_header('Content-Type', 'application/json' if block is DOCUMENT else 'application/octet-stream')
        self.send_header('Content-Length', str(len(block) * times))
        self.send_header('Cache-Control', 'max-age=3600')
        self.send_header('ETag', '"v1"')
        self.send_header('X-Served', str(next(NUMBERS)))
        self.end_headers()
        self.wfile.flush()
        with suppress(ConnectionError):  # the client has failed, and reports that itself
            for _ in range(times):
                self.connection.sendall(block)

    def log_message(self, *args: Any) -> None:
        """Log nothing"""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # Many clients may connect at the same time
    request_queue_size = 128


def main() -> None:
    with Server(('127.0.0.1', 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == '__main__':
    main()
