"""The hosts in the tutorial and the how-to pages, for whatever `example_api` does not serve"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections import Counter
from urllib.parse import unquote, urlsplit

from requests_cache.testing.origin import Answer, RecordedRequest, answer, revalidating
from support.snippets import example_api

ROWS = 'city,people\nOulu,214000\nTurku,202000\n'
PAGE = '<html><body><h1>News</h1><a href="/one">One</a><a href="/two">Two</a></body></html>'
FEED = '<feed>' + ''.join(f'<entry><title>{title}</title></entry>' for title in ('One', 'Two')) + '</feed>'
CHALLENGE = ('WWW-Authenticate', 'Digest realm="example", nonce="n", qop="auth", algorithm=SHA-256')


def zip_file() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        archive.writestr('cities.csv', ROWS)
    return stream.getvalue()


def tar_file() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w:gz') as archive:
        member = tarfile.TarInfo('cities.csv')
        member.size = len(ROWS)
        archive.addfile(member, io.BytesIO(ROWS.encode()))
    return stream.getvalue()


FILES = {
    '.csv': ('text/csv', ROWS.encode()),
    '.csv.gz': ('application/gzip', gzip.compress(ROWS.encode(), mtime=0)),
    '.html': ('text/html; charset=utf-8', PAGE.encode()),
    '.xml': ('application/xml', FEED.encode()),
    '.zip': ('application/zip', zip_file()),
    '.tar.gz': ('application/gzip', tar_file()),
}


def as_json(document: object) -> Answer:
    return answer(200, json.dumps(document), [('Content-Type', 'application/json')])


def package_index(request: RecordedRequest, path: str) -> Answer:
    """The part of the document about a project on PyPI that the tutorial uses"""
    document = {'info': {'name': path.split('/')[2], 'summary': 'A package'}}
    headers = [('Content-Type', 'application/json'), ('Cache-Control', 'max-age=900, public'), ('ETag', '"1"')]
    return revalidating(answer(200, json.dumps(document), headers))(request)


class ExampleWeb:
    """Serves files by their suffix, a page that is busy at first, GraphQL, tokens, and pages that need a login"""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._pages = {
            'busy': self._busy,
            'graphql': self._graphql,
            'token': self._token,
            'me': self._me,
            'protected': self._protected,
        }

    def __call__(self, request: RecordedRequest) -> Answer:
        url = urlsplit(unquote(request.path.removeprefix('/')))
        path = url.path
        if url.hostname == 'pypi.org':
            return package_index(request, path)
        name = path.rpartition('/')[2]
        if name in self._pages:
            self._seen[name] += 1
            return self._pages[name](request)
        suffix = name[name.find('.') :] if '.' in name else ''
        if suffix in FILES:
            content_type, body = FILES[suffix]
            return answer(200, body, [('Content-Type', content_type)], gzip=suffix in ('.csv', '.html', '.xml'))
        return example_api(request)

    def _busy(self, request: RecordedRequest) -> Answer:
        if self._seen['busy'] == 1:
            return answer(429, 'too many requests', [('Retry-After', '0')])
        return answer(200, 'here it is')

    def _graphql(self, request: RecordedRequest) -> Answer:
        asked = json.loads(request.body)
        return as_json({'data': {'item': {'id': asked.get('variables', {}).get('id'), 'name': 'tea'}}})

    def _token(self, request: RecordedRequest) -> Answer:
        return as_json({'access_token': f'token-{self._seen["token"]}', 'token_type': 'Bearer', 'expires_in': 3600})

    def _me(self, request: RecordedRequest) -> Answer:
        return as_json({'name': (request.header('Authorization') or 'nobody').removeprefix('Bearer ')})

    def _protected(self, request: RecordedRequest) -> Answer:
        if not request.header('Authorization'):
            return answer(401, 'who are you?', [CHALLENGE])
        return answer(200, 'come in')
