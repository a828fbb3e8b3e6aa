"""Secrets in every place of a request and a response that has a name to tell them by, and a search for them in bytes"""

from __future__ import annotations

import gzip
import json
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import count
from typing import Any

from boto3.dynamodb.types import Binary
from requests import Request

from requests_cache import DEFAULT_IGNORED_PARAMS, CachedSession
from requests_cache.testing.origin import Origin, answer, redirect, revalidating

IGNORED = [*DEFAULT_IGNORED_PARAMS, 'session_id', 'X-Custom-Secret']
METHODS = ['GET', 'HEAD', 'POST', 'PUT']


class Planter:
    """Sends requests with secrets in them, each in a place and under a name of its own, and gets answers with others

    Beside each secret stands a value of the same kind whose name says nothing, which is to be kept.

    Args:
        session: Goes by `IGNORED` and `METHODS`
        origin: Answers
    """

    def __init__(self, session: CachedSession, origin: Origin):
        self.session, self.origin = session, origin
        self.secrets: dict[str, str] = {}
        self.kept: dict[str, str] = {}
        self._numbers = count()

    def secret(self, place: str) -> str:
        self.secrets[place] = value = f'Secret{next(self._numbers):03d}Zx7qLm93'
        return value

    def keep(self, place: str) -> str:
        self.kept[place] = value = f'Kept{next(self._numbers):03d}Hj2wRt58'
        return value

    def pair(self, place: str, name: str, other: str) -> list[tuple[str, str]]:
        return [(name, self.secret(f'{place} {name}')), (other, self.keep(f'{place} {other}'))]

    def get(self, path: str, **kwargs: Any) -> Any:
        return self._send('GET', path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> Any:
        return self._send('POST', path, **kwargs)

    def _send(self, method: str, path: str, url: str | None = None, **kwargs: Any) -> Any:
        return self.session.request(method, url or self.origin.url(path), **kwargs)

    def plant(self) -> None:
        self.origin.default = answer(200, b'page')
        self._request_headers()
        self._urls()
        self._bodies()
        self._cookies()
        self._responses()
        self._redirects()
        self._variants()
        self._validated()

    def _request_headers(self) -> None:
        names = ('Authorization', 'authorization', 'X-API-KEY', 'x-auth-token', 'X-Api-Token', 'x-custom-secret')
        for i, name in enumerate(names):
            self.get(f'/headers/{i}', headers=dict(self.pair('request header', name, 'X-Other')))
        value = self.secret('request header of bytes').encode()
        self.get('/headers/bytes', headers={'X-Access-Token': value})
        self.get('/headers/basic', auth=('user', self.secret('password of basic authentication')))
        self.session.headers['X-API-Key'] = self.secret('header of the session')
        self.get('/headers/session')
        del self.session.headers['X-API-Key']
        url = self.origin.url(f'/came?api_key={self.secret("query of Referer")}')
        self.get('/headers/referer', headers={'Referer': url})

    def _urls(self) -> None:
        for i, name in enumerate(('api_key', 'ACCESS_TOKEN', 'Apikey', 'session_id')):
            self.get(f'/query/{i}', params=self.pair('query', name, 'other'))
        self.get('/query/twice', params={'api_key': [self.secret('first of two'), self.secret('second of two')]})
        self.get(f'/query/escaped?a%70i%5Fkey={self.secret("query with escapes")}')
        self.get(f'/query/fragment#access_token={self.secret("fragment")}')
        host = f'{self.origin.host}:{self.origin.port}'
        self.get('', url=f'http://user:{self.secret("password in the URL")}@{host}/password')
        for i, name in enumerate(('api_key[]', 'api_key[0]', 'user[api_key]')):
            self.get(f'/query/brackets/{i}', params=self.pair('query', name, 'other[]'))
        kept = self.keep('query with semicolons')
        self.get(f'/query/semicolons?a=1;api_key={self.secret("query with semicolons")};b={kept}')
        self.get(f'/path;api_key={self.secret("path")};other={self.keep("path")}/end')
        url = f'http://user:{self.secret("password in a parameter")}@h/?api_key={self.secret("URL in a parameter")}'
        self.get('/query/url', params={'to': url})
        self.get('/query/raw-url?to=http://h/?api_key=' + self.secret('URL in a parameter, as it is'))
        variables = {
            'input': {'api_key': self.secret('JSON in a parameter'), 'other': self.keep('JSON in a parameter')}
        }
        self.get('/query/json', params={'query': '{a}', 'variables': json.dumps(variables)})

    def _bodies(self) -> None:
        self.post('/form', data=self.pair('form', 'api_key', 'other'))
        self.post('/form/upper', data=self.pair('form', 'API_KEY', 'other'))
        deep = {'list': [{'Access_Token': self.secret('JSON, deep')}], 'other': self.keep('JSON')}
        self.post('/json', json=deep)
        self.post('/json/object', json={'api_key': {'value': [self.secret('JSON, within an object')]}})
        many = '\n'.join(json.dumps({'api_key': self.secret(f'JSON, line {i}')}) for i in range(2))
        self.post('/json/lines', data=many, headers={'Content-Type': 'application/x-ndjson'})
        fields = {name: (None, value) for name, value in self.pair('multipart', 'api_key', 'other')}
        self.post('/multipart', files=fields)
        part = json.dumps({'deep': [{'api_key': self.secret('JSON in multipart')}]})
        self.post('/multipart/json', files={'document': ('a.json', part, 'application/json')})
        form = f'a=1&access_token={self.secret("form in multipart")}'
        self.post('/multipart/form', files={'document': (None, form, 'application/x-www-form-urlencoded')})

        self._documents()
        self._multipart()

    def _documents(self) -> None:
        def document() -> str:
            number = len(self.secrets)
            return json.dumps({'a': {'api_key': self.secret(f'JSON {number}')}, 'b': self.keep(f'JSON {number}')})

        for media in (
            'text/json',
            'TEXT/Json; charset=utf-8',
            'application/problem+json',
            'text/plain',
            'a/vnd.b+json',
        ):
            self.post('/json/type', data=document(), headers={'Content-Type': media})
        self.post('/json/no-type', data=document())
        self.post('/json/seq', data=f'\x1e{document()}\n' * 2, headers={'Content-Type': 'application/json-seq'})
        self.post('/json/graphql', json={'query': '{a}', 'variables': {'api_key': self.secret('variable of GraphQL')}})
        self.post('/json/url', json={'to': f'http://h/?api_key={self.secret("URL in JSON")}'})
        self.post('/form/json', data={'payload': document()})
        self.post('/form/no-type', data=f'a=1&api_key={self.secret("form without a type")}')
        form = f'a=1;api_key={self.secret("form with semicolons")};b={self.keep("form with semicolons")}'
        self.post('/form/semicolons', data=form, headers={'Content-Type': 'application/x-www-form-urlencoded'})
        self.post('/form/brackets', data=self.pair('form', 'user[api_key][]', 'other[]'))
        xml = f'<a api_key="{self.secret("XML attribute")}"><n:api_key>{self.secret("XML")}</n:api_key>'
        self.post('/xml', data=f'{xml}<b>{self.keep("XML")}</b></a>', headers={'Content-Type': 'application/soap+xml'})

    def _multipart(self) -> None:
        for i, media in enumerate(
            ('form-data; boundary=XX', 'mixed; boundary="XX"', 'related;boundary=XX', 'form-data')
        ):
            place = f'multipart {i}'
            field = f'--YY\nContent-Disposition: form-data; name=api_key\n\n{self.secret(f"{place}, nested")}\n--YY--\n'
            parts = [
                f'Content-Disposition: form-data; name="user[api_key]"\n\n{self.secret(place)}\n',
                f'Content-Disposition: form-data; name="other"\n\n{self.keep(place)}\n',
                f'Content-Type: text/json\n\n{json.dumps({"api_key": self.secret(f"{place}, JSON")})}\n',
                f'\nto=http://h/?api_key={self.secret(f"{place}, form")}\n',
                f'Content-Type: multipart/mixed; boundary=YY\n\n{field}\n',
                (
                    f'Content-Type: application/http\n\nGET /?api_key={self.secret(f"{place}, request")} HTTP/1.1\n'
                    f'Authorization: {self.secret(f"{place}, header")}\n\n'
                ),
            ]
            body = '--XX\n' + '--XX\n'.join(parts) + '--XX--\n'
            headers = {'Content-Type': f'multipart/{media}'}
            self.post('/multipart/lines', data=body.encode(), headers=headers)
            if i == 0:
                self.post('/multipart/crlf', data=body.replace('\n', '\r\n').encode(), headers=headers)

    def _cookies(self) -> None:
        self.get('/cookies/jar', cookies=dict(self.pair('cookie', 'session_id', 'other')))
        cookies = '; '.join('='.join(pair) for pair in self.pair('cookie header', 'Session_ID', 'other'))
        self.get('/cookies/header', headers={'Cookie': cookies})
        (name, secret), (other, kept) = self.pair('Set-Cookie', 'session_id', 'other')
        fields = [('Set-Cookie', f'{name}={secret}; Path=/nowhere'), ('Set-Cookie', f'{other}={kept}; Path=/nowhere')]
        self.origin.add('/cookies/set', answer(200, b'page', fields))
        self.get('/cookies/set')

    def _responses(self) -> None:
        fields = self.pair('response header', 'x-auth-TOKEN', 'X-Other')
        fields += [('Content-Location', f'/other?api_key={self.secret("Content-Location")}')]
        fields += [('Link', f'</?api_key={self.secret("Link")}>; rel=next, </{self.keep("Link")}>; rel=prev')]
        fields += [('Refresh', f'5; url=/?a={self.keep("Refresh")}&api_key={self.secret("Refresh")}')]
        fields += [
            ('X-Report', f'to=https://u:{self.secret("password in a header")}@h/?api_key={self.secret("URL")}; a')
        ]
        fields += [('X-Arguments', json.dumps({'api_key': self.secret('JSON in a header')}))]
        self.origin.add('/response', answer(200, b'page', fields))
        self.get('/response')
        twice = [('X-API-Key', self.secret('response header, given twice')) for _ in range(2)]
        self.origin.add('/response/twice', answer(200, b'page', twice))
        self.get('/response/twice')

    def _redirects(self) -> None:
        cookie = ('Set-Cookie', f'session_id={self.secret("Set-Cookie of a redirect")}; Path=/nowhere')
        token = self.secret('Location')
        self.origin.add('/start', redirect(f'/target?access_token={token}', headers=[cookie]))
        self.get('/start', headers={'Authorization': self.secret('request header of a redirect')})
        host = f'{self.origin.host}:{self.origin.port}'
        self.origin.add('/to/password', redirect(f'http://user:{self.secret("password in Location")}@{host}/end'))
        self.get('/to/password')
        self.origin.add('/not/followed', redirect(f'/next?api_key={self.secret("redirect that is not followed")}'))
        self.get('/not/followed', allow_redirects=False, headers={'X-API-Key': self.secret('request to be sent next')})

    def _variants(self) -> None:
        for name in ('X-API-Key', 'Authorization'):
            self.origin.add(f'/vary/{name}', answer(200, b'page', [('Vary', name)]))
            for number in range(2):
                self.get(f'/vary/{name}', headers={name: self.secret(f'{name} that varies {number}')})

    def _validated(self) -> None:
        page = answer(200, b'page', [('ETag', '"1"')])
        new = [('X-Auth-Token', self.secret('header of a 304')), ('X-New', self.keep('header of a 304'))]
        self.origin.add('/validated', revalidating(page, new))
        self.get('/validated')
        self.get('/validated', refresh=True, headers={'X-API-Key': self.secret('header of a validation')})
        self.session.send(
            self.session.prepare_request(
                Request('GET', self.origin.url(f'/prepared?api_key={self.secret("prepared request")}'))
            )
        )


def found_in(blobs: Iterable[bytes], values: Mapping[str, str]) -> set[str]:
    """Names of those values that occur in some bytes: as they are, compressed, in base64, or as UTF-16"""
    haystack = b'\n'.join(form for blob in blobs for form in _forms(blob))
    return {name for name, value in values.items() if any(form in haystack for form in _spellings(value.encode()))}


def _forms(blob: bytes) -> Iterator[bytes]:
    if not blob:
        return
    yield blob
    # YAML breaks long lines
    yield b''.join(blob.split())
    decompressors: list[Callable[[bytes], bytes]] = [gzip.decompress, zlib.decompress]
    for decompress in decompressors:
        with suppress(OSError, EOFError, zlib.error):
            yield from _forms(decompress(blob))


def _spellings(value: bytes) -> list[bytes]:
    """A value, and what it is in base64, wherever it begins there"""
    shifted = [b64encode(b'\x00' * shift + value)[4 if shift else 0 : -4] for shift in range(3)]
    assert all(len(text) > 8 for text in shifted)
    return [value, value.decode().encode('utf-16-le'), *shifted, b64encode(b64encode(value))[:-8]]


def flat(value: Any) -> Iterator[bytes]:
    """All text and bytes in a value of nested containers, names included"""
    if isinstance(value, Mapping):
        for pair in value.items():
            yield from flat(pair)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from flat(item)
    elif isinstance(value, (bytes, bytearray, Binary)):
        yield bytes(value.value if isinstance(value, Binary) else value)
    else:
        yield str(value).encode('utf-8', 'surrogatepass')
