"""Records what published 1.3.3 writes to DynamoDB, as data for tests that do without it

Run with an interpreter that has requests-cache 1.3.3 and boto3, and pass the URL of an empty server:

    python make_dynamodb_data.py http://127.0.0.1:8000 > dynamodb_1.3.3.json
"""

from __future__ import annotations

import gzip
import json
import sys
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3

from requests_cache import CachedSession, DynamoDbCache

PAGES = {
    '/text': (200, {'Content-Type': 'text/plain; charset=iso-8859-1'}, 'schön'.encode('latin-1')),
    '/undeclared': (200, {'Content-Type': 'text/html'}, 'grün'.encode()),
    '/json': (200, {'Content-Type': 'application/json'}, b'{"b": "\\u00e9", "a": [true, null, {}, ""]}\n'),
    '/numbers': (
        200,
        {'Content-Type': 'application/json', 'ETag': '"1"'},
        b'{"small": 1, "zero": -0.5, "real": 3.141592653589793, "big": 12345678901234567890, "tiny": 1e-07}',
    ),
    '/binary': (200, {'Content-Type': 'application/octet-stream'}, bytes(range(256))),
    '/gzip': (200, {'Content-Type': 'text/html', 'Content-Encoding': 'gzip'}, gzip.compress(b'<p>packed</p>', mtime=0)),
    '/empty': (200, {'Set-Cookie': 'name=value; Path=/'}, b''),
    '/start': (302, {'Location': '/middle'}, b'moved'),
    '/middle': (301, {'Location': '/text'}, b''),
}
CACHES: dict[str, dict[str, Any]] = {
    'document': {},
    'bytes-only': {'decode_content': False},
    'pickle': {'serializer': 'pickle'},
    'json': {'serializer': 'json'},
    'expiring': {'expire_after': 400 * 365 * 86400},
}
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ('GET', '/text', {}),
    ('GET', '/undeclared', {}),
    ('GET', '/json?q=a%20b&api_key=SECRET', {}),
    ('GET', '/numbers', {}),
    ('GET', '/binary', {}),
    ('GET', '/gzip', {}),
    ('GET', '/empty', {}),
    ('GET', '/start', {}),
    ('POST', '/json', {'json': {'query': [1, 2]}}),
]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get('Content-Length') or 0))
        status, headers, body = PAGES[self.path.partition('?')[0]]
        self.send_response(status)
        for name, value in {**headers, 'Content-Length': str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


def record(name: str, options: dict[str, Any], origin: str, server: dict[str, Any]) -> list[dict[str, Any]]:
    names = ('expire_after',)
    cache = DynamoDbCache(name, **server, **{k: v for k, v in options.items() if k not in names})
    settings = {k: v for k, v in options.items() if k in names}
    session = CachedSession(backend=cache, allowable_methods=('GET', 'POST'), **settings)
    found = []
    for method, path, arguments in REQUESTS:
        response = session.request(method, origin + path, **arguments)
        found.append(
            {
                'method': method,
                'url': origin + path,
                'arguments': arguments,
                'key': cache.create_key((response.history or [response])[0].request),
                'status': response.status_code,
                'reason': response.reason,
                'content': b64encode(response.content).decode(),
                'headers': dict(response.headers),
                'cookies': dict(response.cookies),
                'history': [r.url for r in response.history],
                'final_url': response.url,
            }
        )
    session.close()
    return found


def as_json(value: Any) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(type(value))


def main(url: str) -> None:
    server = {
        'endpoint_url': url,
        'region_name': 'us-east-1',
        'aws_access_key_id': 'test',
        'aws_secret_access_key': 'test',
    }
    origin = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    Thread(target=origin.serve_forever, daemon=True).start()
    client = boto3.client('dynamodb', **server)
    caches = {}
    for name, options in CACHES.items():
        responses = record(name, options, f'http://127.0.0.1:{origin.server_port}', server)
        caches[name] = {'responses': responses, 'items': client.scan(TableName=name)['Items']}
    json.dump(caches, sys.stdout, indent=1, sort_keys=True, default=as_json)
    print()
    origin.shutdown()


if __name__ == '__main__':
    main(sys.argv[1])
