"""Records what published 1.3.3 writes to Redis, as data for tests that do without it

Run with an interpreter that has requests-cache 1.3.3 and redis-py, and pass the port of an empty server:

    python make_redis_data.py 6379 > redis_1.3.3.json
"""

from __future__ import annotations

import gzip
import json
import sys
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import redis

from requests_cache import CachedSession, safe_pickle_serializer

PAGES = {
    '/text': (200, {'Content-Type': 'text/plain; charset=iso-8859-1'}, 'schön'.encode('latin-1')),
    '/json': (
        200,
        {'Content-Type': 'application/json', 'ETag': '"1"'},
        b'{"b": 1.10, "a": [true, null], "c": "\\u00e9"}\n',
    ),
    '/binary': (200, {'Content-Type': 'application/octet-stream'}, bytes(range(256))),
    '/gzip': (200, {'Content-Type': 'text/html', 'Content-Encoding': 'gzip'}, gzip.compress(b'<p>packed</p>', mtime=0)),
    '/empty': (200, {'Set-Cookie': 'name=value; Path=/'}, b''),
    '/start': (302, {'Location': '/middle'}, b'moved'),
    '/middle': (301, {'Location': '/text'}, b''),
}
SERIALIZERS = {
    'pickle': None,
    'json': 'json',
    'yaml': 'yaml',
    'safe_pickle': safe_pickle_serializer(secret_key='secret'),
}
REQUESTS = [
    ('GET', '/text', {}),
    ('GET', '/json?q=a%20b&api_key=SECRET', {}),
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


def record(name: str, serializer: object, expire_after: int, origin: str, port: int) -> list[dict[str, object]]:
    session = CachedSession(
        name,
        backend='redis',
        port=port,
        serializer=serializer,
        expire_after=expire_after,
        allowable_methods=('GET', 'POST'),
    )
    found = []
    for method, path, arguments in REQUESTS:
        session.request(method, origin + path, **arguments)
        response = session.request(method, origin + path, **arguments)
        assert response.from_cache
        found.append(
            {
                'method': method,
                'url': origin + path,
                'arguments': arguments,
                'key': response.cache_key,
                'status': response.status_code,
                'content': b64encode(response.content).decode(),
                'text': response.text,
                'headers': dict(response.headers),
                'cookies': dict(response.cookies),
                'history': [r.url for r in response.history],
                'final_url': response.url,
                'created_at': response.created_at.isoformat(),
                'expires': response.expires and response.expires.isoformat(),
            }
        )
    session.close()
    return found


def dump(client: redis.Redis) -> dict[str, object]:
    entries: dict[str, object] = {}
    for name in sorted(client.keys('*')):
        if client.type(name) == b'hash':
            entries[name.decode()] = {k.decode(): v.decode() for k, v in sorted(client.hgetall(name).items())}
        else:
            entries[name.decode()] = {'value': b64encode(client.get(name)).decode(), 'ttl': client.ttl(name)}
    return entries


def main(port: int) -> None:
    origin = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    Thread(target=origin.serve_forever, daemon=True).start()
    url = f'http://127.0.0.1:{origin.server_port}'
    caches = {}
    for name, serializer in SERIALIZERS.items():
        caches[name] = record(f'old {name}', serializer, -1, url, port)
    caches['expiring'] = record('old expiring', None, 400 * 365 * 86400, url, port)
    with redis.Redis(port=port) as client:
        json.dump({'responses': caches, 'redis': dump(client)}, sys.stdout, indent=1, sort_keys=True)
    print()
    origin.shutdown()


if __name__ == '__main__':
    main(int(sys.argv[1]))
