"""A caching HTTP gateway that serves any origin through one session, and follows the HTTP caching standard

    python gateway.py http://localhost:8000 --port 8002 [--shared] [--backend sqlite] [--cache-status]

Without an origin it is a forward proxy, but it does not support tunnels. It forwards messages unchanged in both
directions, including content codings and repeated header fields. It only removes header fields that concern a single
connection (RFC 9110, section 7.6).
"""

from __future__ import annotations

import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from email.utils import formatdate
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.poolmanager import PoolManager
from urllib3.util import SKIP_HEADER

from requests_cache import CachedSession

CONNECTION_FIELDS = {
    'connection', 'keep-alive', 'proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization',
    'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade',
}  # fmt: skip
PIECE_BYTES = 64 * 1024
VIA = '1.1 requests-cache'
current = threading.local()  # `current.handler` is the handler of the request in this thread


class FinalResponse(HTTPResponse):
    """The final response of the origin; interim responses (1xx) before it are forwarded at once"""

    def begin(self) -> None:
        super().begin()
        while 100 < self.status < 200:
            handler = getattr(current, 'handler', None)  # there is none during a background refresh
            if handler is not None:
                handler.forward_interim(self.status, self.reason, self.headers.items())
            self.headers = None  # type: ignore[assignment]
            super().begin()


class PlainConnection(HTTPConnection):
    response_class = FinalResponse


class TlsConnection(HTTPSConnection):
    response_class = FinalResponse


class Wire(HTTPAdapter):
    """Sends requests without the header fields that urllib3 adds, and does not decode response bodies"""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **kwargs)
        classes = dict(self.poolmanager.pool_classes_by_scheme)
        for scheme, connection in (('http', PlainConnection), ('https', TlsConnection)):
            classes[scheme] = type('Pool', (classes[scheme],), {'ConnectionCls': connection})
        self.poolmanager.pool_classes_by_scheme = classes

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        bare = request.copy()
        for name in ('User-Agent', 'Accept-Encoding'):
            bare.headers.setdefault(name, SKIP_HEADER)
        response = super().send(bare, **kwargs)
        response.request = request
        # Without this field urllib3 does not decode the body; `response.headers` still has it
        response.raw.headers.pop('Content-Encoding', None)
        return response


class GatewaySession(CachedSession):
    """Leaves redirects and cookies to the client"""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def new_session(options: Namespace) -> GatewaySession:
    session = GatewaySession(
        options.cache_name,
        options.backend,
        cache_control='strict',
        shared_cache=options.shared,
        cache_status=options.cache_status,
        ignored_parameters=[],
    )
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ('http://', 'https://'):
        session.mount(scheme, Wire(pool_maxsize=100))
    return session


class Handler(BaseHTTPRequestHandler):
    """One connection of a client"""

    protocol_version = 'HTTP/1.1'
    timeout = 60
    wbufsize = -1
    disable_nagle_algorithm = True
    session: GatewaySession
    options: Namespace

    def __getattr__(self, name: str) -> Any:
        if name.startswith('do_'):  # any method
            return self.forward
        raise AttributeError(name)

    def forward(self) -> None:
        """Answer one request through the session"""
        current.handler = self
        try:
            request = self.read_request()
        except ValueError as e:
            self.close_connection = True
            return self.send_error(400, explain=str(e))
        seconds = self.options.timeout
        try:
            response = self.session.send(request, stream=True, allow_redirects=False, timeout=seconds)
        except requests.Timeout:
            return self.send_error(504)
        except (requests.RequestException, ValueError) as e:
            return self.send_error(502, explain=str(e))
        try:
            self.write_response(response)
        except (OSError, requests.RequestException):
            self.close_connection = True  # the client must notice that the body is incomplete
        finally:
            response.close()

    def read_request(self) -> requests.PreparedRequest:
        request = requests.PreparedRequest()
        request.method, request.url, request.hooks = self.command, self.target(), {'response': []}
        request.headers = CaseInsensitiveDict(Via=VIA)
        for name, folded in end_to_end(self.headers.items()):
            if name.lower() not in ('host', 'content-length'):
                separator = '; ' if name.lower() == 'cookie' else ', '
                before = request.headers.get(name)
                value = folded.replace('\r\n', '')
                request.headers[name] = value if before is None else before + separator + value
        request.headers['Via'] = request.headers.pop('Via')
        request.body = self.read_body()
        if request.body is not None:
            request.headers['Content-Length'] = str(len(request.body))
        return request

    def target(self) -> str:
        """The URL at the origin; for a forward proxy, the URL in the request line"""
        path = self.requestline.split(' ')[1]  # `self.path` has lost repeated slashes
        if self.options.origin is None:
            if not path.lower().startswith(('http://', 'https://')):
                raise ValueError('the request line has no http URL; tunnels are not supported')
            return path
        if path.lower().startswith(('http://', 'https://')):
            path = '/' + path.partition('://')[2].partition('/')[2]
        return self.options.origin.rstrip('/') + path if path.startswith('/') else self.options.origin

    def read_body(self) -> bytes | None:
        codings, lengths = self.headers.get_all('Transfer-Encoding'), self.headers.get_all('Content-Length')
        if codings is not None:
            if [coding.lower() for coding in codings] != ['chunked'] or lengths is not None:
                raise ValueError('the Transfer-Encoding is not supported, or there is also a Content-Length')
            return b''.join(self.read_chunks())
        if lengths is None:
            return None
        if len(set(lengths)) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
            raise ValueError('the Content-Length is not valid')
        return self.read_exactly(int(lengths[0]))

    def read_chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b';')[0], 16):
            yield self.read_exactly(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers

    def read_exactly(self, size: int) -> bytes:
        data = self.rfile.read(size) if size >= 0 else b''
        if len(data) != size:
            raise ValueError('the body is incomplete')
        return data

    def forward_interim(self, status: int, reason: str, fields: Any) -> None:
        if self.request_version != 'HTTP/1.0':
            self.send_response_only(status, reason)
            self.write_fields(end_to_end(fields))

    def write_response(self, response: Any) -> None:
        status = response.status_code
        fields = [*end_to_end(lines_of(response)), ('Via', VIA)]
        names = {name.lower() for name, _ in fields}
        if 'date' not in names:
            fields.append(('Date', formatdate(usegmt=True)))
        chunked = False
        if self.command != 'HEAD' and status not in (204, 304) and 'content-length' not in names:
            if response.from_cache:
                fields.append(('Content-Length', str(len(response.content or b''))))
            elif self.request_version == 'HTTP/1.0':
                self.close_connection = True
            else:
                chunked = True
                fields.append(('Transfer-Encoding', 'chunked'))
        if self.close_connection:
            fields.append(('Connection', 'close'))
        self.send_response_only(status, response.reason)
        self.write_fields(fields)
        if self.command != 'HEAD' and status not in (204, 304):
            self.write_body(response, chunked)

    def write_fields(self, fields: Any) -> None:
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()

    def write_body(self, response: Any, chunked: bool) -> None:
        for piece in filter(None, response.iter_content(PIECE_BYTES)):
            self.wfile.write(b'%x\r\n%b\r\n' % (len(piece), piece) if chunked else piece)
            self.wfile.flush()
        if chunked:
            self.wfile.write(b'0\r\n\r\n')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing"""


def end_to_end(fields: Any) -> list[tuple[str, str]]:
    """Header fields without those that concern a single connection, by their name or listed in `Connection`"""
    fields = list(fields)
    named = ','.join(value for name, value in fields if name.lower() == 'connection').lower().split(',')
    excluded = CONNECTION_FIELDS.union(map(str.strip, named))
    return [(name, value) for name, value in fields if name.lower() not in excluded]


def lines_of(response: requests.Response) -> Iterator[tuple[str, str]]:
    """Header fields of a response; repeated ones are separate, unless the session has changed them"""
    for name, value in response.headers.items():
        lines = response.raw.headers.getlist(name)
        yield from ((name, line) for line in (lines if ', '.join(lines) == value else [value]))


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument('origin', nargs='?', help='URL to forward requests to; without it, run a forward proxy')
    parser.add_argument('--host', default='127.0.0.1')
    parser.add_argument('--port', type=int, default=8002)
    parser.add_argument('--shared', action='store_true', help='be a shared cache, for many users')
    parser.add_argument('--backend', default='memory', choices=['memory', 'sqlite'])
    parser.add_argument('--cache-name', default='gateway_cache', help='name of the SQLite file for --backend sqlite')
    parser.add_argument('--cache-status', action='store_true', help='add a Cache-Status header field')
    parser.add_argument('--timeout', type=float, default=30, help='seconds to wait for the origin')
    options = parser.parse_args()
    with new_session(options) as session:
        handler = type('BoundHandler', (Handler,), {'session': session, 'options': options})
        with Server((options.host, options.port), handler) as server:
            print(f'http://{options.host}:{server.server_port} -> {options.origin or "anywhere"}', flush=True)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                pass


if __name__ == '__main__':
    main()
