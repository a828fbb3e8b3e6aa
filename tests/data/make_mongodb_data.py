"""Records what published 1.3.3 writes to MongoDB and GridFS, as data for tests that do without it

Run with an interpreter that has requests-cache 1.3.3 and pymongo, and pass the port of an empty server:

    python make_mongodb_data.py 27017 > mongodb_1.3.3.json

Documents are BSON, compressed and in base64.
"""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from requests_cache import CachedSession

PAGES = {
    '/text': (200, {'Content-Type': 'text/plain; charset=iso-8859-1'}, 'schön'.encode('latin-1')),
    '/json': (
        200,
        {'Content-Type': 'application/json', 'ETag': '"1"'},
        b'{"b": 1.10, "a": [true, null], "c": "\\u00e9", "d.e": {"$f": 123456789012}}\n',
    ),
    '/binary': (200, {'Content-Type': 'application/octet-stream'}, bytes(range(256))),
    '/gzip': (200, {'Content-Type': 'text/html', 'Content-Encoding': 'gzip'}, gzip.compress(b'<p>packed</p>', mtime=0)),
    '/empty': (200, {'Set-Cookie': 'name=value; Path=/'}, b''),
    '/large': (200, {'Content-Type': 'application/octet-stream'}, b'0123456789abcdef' * 40_000),
    '/start': (302, {'Location': '/middle'}, b'moved'),
    '/middle': (301, {'Location': '/binary'}, b''),
}
CACHES = {
    'mongodb': {'backend': 'mongodb'},
    'mongodb_expiring': {'backend': 'mongodb', 'expire_after': 400 * 365 * 86400},
    'mongodb_expired': {'backend': 'mongodb', 'expire_after': 1},
    'mongodb_whole': {'backend': 'mongodb', 'decode_content': False},
    'mongodb_pickle': {'backend': 'mongodb', 'serializer': 'pickle'},
    'mongodb_json': {'backend': 'mongodb', 'serializer': 'json'},
    'gridfs': {'backend': 'gridfs'},
    'gridfs_expired': {'backend': 'gridfs', 'expire_after': 1},
    'gridfs_json': {'backend': 'gridfs', 'serializer': 'json'},
}
REQUESTS = [
    ('GET', '/text', {}),
    ('GET', '/json?q=a%20b&api_key=SECRET', {}),
    ('GET', '/binary', {}),
    ('GET', '/gzip', {}),
    ('GET', '/empty', {}),
    ('GET', '/large', {}),
    ('GET', '/start', {}),
    ('POST', '/json', {'json': {'query': [1, 2]}}),
]
COLLECTIONS = ('responses', 'redirects', 'fs.files', 'fs.chunks')


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


def body_of(path: str) -> bytes:
    _, headers, body = PAGES[path.partition('?')[0]]
    return gzip.decompress(body) if 'Content-Encoding' in headers else body


def packed(data: bytes) -> str:
    return b64encode(zlib.compress(data, 9)).decode()


def record(name: str, options: dict[str, object], origin: str, client: MongoClient) -> list[dict[str, object]]:
    found = []
    with CachedSession(name, connection=client, allowable_methods=('GET', 'POST'), **options) as session:
        session.settings.autoclose = False
        for method, path, arguments in REQUESTS:
            session.request(method, origin + path, **arguments)
            key = session.cache.create_key(session.prepare_request(_request(method, origin + path, arguments)))
            response = session.cache.get_response(key)
            found.append(
                {
                    'method': method,
                    'url': origin + path,
                    'arguments': arguments,
                    'key': key,
                    'content': packed(body_of('/binary' if path == '/start' else path)),
                    'status': response.status_code,
                    'headers': dict(response.headers),
                    'cookies': dict(response.cookies),
                    'history': [r.url for r in response.history],
                    'final_url': response.url,
                    'created_at': response.created_at.isoformat(),
                    'expires': response.expires and response.expires.isoformat(),
                }
            )
    return found


def _request(method: str, url: str, arguments: dict[str, object]) -> object:
    from requests import Request

    return Request(method, url, **arguments)


def dump(client: MongoClient, name: str) -> dict[str, list[str]]:
    raw = CodecOptions(document_class=RawBSONDocument)
    collections = {c: client[name].get_collection(c, codec_options=raw) for c in COLLECTIONS}
    return {c: [packed(d.raw) for d in collection.find()] for c, collection in collections.items()}


def main(port: int) -> None:
    origin = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    Thread(target=origin.serve_forever, daemon=True).start()
    url = f'http://127.0.0.1:{origin.server_port}'
    caches = {}
    with MongoClient(port=port) as client:
        for name, options in CACHES.items():
            entries = record(name, options, url, client)
            caches[name] = {'options': options, 'entries': entries, 'documents': dump(client, name)}
    json.dump(caches, sys.stdout, indent=1, sort_keys=True)
    print()
    origin.shutdown()


if __name__ == '__main__':
    main(int(sys.argv[1]))
