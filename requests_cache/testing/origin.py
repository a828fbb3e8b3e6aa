"""A real HTTP/1.1 server on loopback, which a test programs, and which records the requests it gets

    with Origin() as origin:
        origin.add('/page', body=b'hello', headers=[('ETag', '"1"')])
        requests.get(origin.url('/page'))
        assert origin.hits('/page') == 1

A path is answered by a sequence of steps, and by the last of them again and again. A step is an `Answer`, or a function
that takes the `RecordedRequest` and returns one. Paths that were not added get the origin's `default`, a 404.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import urllib3

from .wire import PATIENCE_SECONDS, Answer, Hold, RecordedRequest, encode_parts, read_request

__all__ = ['NOTICES_SHORT_BODIES', 'Answer', 'Hold', 'Origin', 'RecordedRequest', 'answer', 'redirect', 'revalidating']

Headers = Iterable[tuple[str, str]]
Handler = Callable[[RecordedRequest], Answer]
Step = Answer | Handler
# urllib3 1.x accepts a body that is shorter than its Content-Length
NOTICES_SHORT_BODIES = not urllib3.__version__.startswith('1.')  # type: ignore[attr-defined]
NOT_FOUND = Answer(404, b'nothing here')


def answer(status: int = 200, body: bytes | str = b'', headers: Headers = (), **options: object) -> Answer:
    """An `Answer` from convenient types: text is sent as UTF-8, and headers may be any iterable of pairs"""
    content = body.encode() if isinstance(body, str) else body
    return Answer(status, content, tuple(headers), **options)  # type: ignore[arg-type]


def redirect(location: str, status: int = 302, headers: Headers = ()) -> Answer:
    return answer(status, b'', [('Location', location), *headers])


def revalidating(full: Answer, headers_304: Headers = ()) -> Handler:
    """Answers 304 when the validator of the request matches that of `full`, and `full` otherwise (RFC 9110, section 13)

    The 304 carries what section 15.4.5 asks for, and `headers_304`.
    """
    kept = ('cache-control', 'content-location', 'date', 'etag', 'expires', 'last-modified', 'vary')
    not_modified = Answer(304, headers=(*(h for h in full.headers if h[0].lower() in kept), *headers_304))

    def handle(request: RecordedRequest) -> Answer:
        wanted = request.header('If-None-Match')
        if wanted is not None:
            etags = {e.strip().removeprefix('W/') for e in wanted.split(',')}
            matches = wanted.strip() == '*' or (full.header('ETag') or '').removeprefix('W/') in etags
        else:
            since = request.header('If-Modified-Since')
            matches = since is not None and since == full.header('Last-Modified')
        return not_modified if matches else full

    return handle


@dataclass
class _Route:
    steps: Sequence[Step]
    used: int = 0

    def next(self) -> Step:
        step = self.steps[min(self.used, len(self.steps) - 1)]
        self.used += 1
        return step


@dataclass
class Origin:
    """The server. `start` and `stop` may be called again: it comes back on the same port."""

    host: str = '127.0.0.1'
    port: int = 0
    default: Step = NOT_FOUND
    requests: list[RecordedRequest] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._routes: dict[str, _Route] = {}
        self._holds: list[Hold] = []
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._listener: socket.socket | None = None

    def __enter__(self) -> Origin:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def url(self, path: str = '/') -> str:
        return f'http://{self.host}:{self.port}{path}'

    def add(self, path: str, *steps: Step, **options: object) -> None:
        """Program a path (with or without a query; the longer match wins), by steps or by the arguments of `answer`"""
        with self._lock:
            self._routes[path] = _Route(steps or [answer(**options)])  # type: ignore[arg-type]

    def hold(self) -> Hold:
        """A `Hold` for `Answer(hold=…)` that is released, at the latest, when the origin stops"""
        self._holds.append(Hold())
        return self._holds[-1]

    def hits(self, path: str | None = None) -> int:
        """How many requests came in, in all or for a path with any query"""
        return len(self.requests_for(path)) if path else len(self.requests)

    def requests_for(self, path: str) -> list[RecordedRequest]:
        return [r for r in list(self.requests) if path in (r.path, r.path.partition('?')[0])]

    def wait_closed(self) -> None:
        """Wait until all connections have ended"""
        with self._lock:
            threads = list(self._open)
        for thread in threads:
            thread.join(PATIENCE_SECONDS)

    def start(self) -> None:
        self._listener = socket.create_server((self.host, self.port))
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, args=(self._listener,), name='origin', daemon=True)
        self._acceptor.start()

    def stop(self) -> None:
        """Refuse connections, end those that are open, and wait until every thread is gone"""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        socket.create_connection((self.host, self.port)).close()  # wakes the acceptor on every platform
        self._acceptor.join(PATIENCE_SECONDS)
        listener.close()
        for hold in self._holds:
            hold.release()
        with self._lock:
            still_open = dict(self._open)
            for connection in still_open.values():
                _shut(connection)
        for thread in still_open:
            thread.join(PATIENCE_SECONDS)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            if self._listener is not listener:
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,), name='origin', daemon=True)
            with self._lock:
                self.connections += 1
                self._open[thread] = connection
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile('rb') as reader:
                while (request := read_request(reader)) and self._answer(connection, request):
                    pass
        except (OSError, TimeoutError):
            pass  # the client went away, or the origin is stopping
        finally:
            with self._lock:
                self._open.pop(threading.current_thread(), None)

    def _answer(self, connection: socket.socket, request: RecordedRequest) -> bool:
        """Send the answer; whether the connection stays open"""
        with self._lock:
            self.requests.append(request)
            route = self._routes.get(request.path) or self._routes.get(request.path.partition('?')[0])
            step = route.next() if route else self.default
        result = step if isinstance(step, Answer) else step(request)
        if result.hold:
            result.hold.wait()
        if not result.drop:
            self._send(connection, encode_parts(result, request.method), result.between)
        if result.reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        return not (result.ends_connection or (request.header('Connection') or '').lower() == 'close')

    @staticmethod
    def _send(connection: socket.socket, parts: list[bytes], between: Iterable[Hold]) -> None:
        for part, hold in zip_longest(parts, between):
            connection.sendall(part or b'')
            if hold is not None:
                hold.wait()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the other side was first
