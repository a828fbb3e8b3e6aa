"""Caches as HAR files, and HAR files as caches"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from requests_cache import CachedSession, SQLiteCache
from requests_cache.backends.base import BaseCache
from requests_cache.cli.app import commands
from requests_cache.cli.har import Imported, export_har, import_har, read_document
from requests_cache.exceptions import InvalidEntryError
from requests_cache.testing.origin import Origin, answer, redirect
from requests_cache.testing.values import FUTURE, closing_all, facts, make_response

HAR = Path(__file__).parents[1] / 'data' / 'har'
# What HAR 1.2 asks for: names of members, and what they must be; a `?` marks those that may be left out
PAIRS = [{'name': str, 'value': str, 'comment?': str}]
COOKIES = [
    {
        'name': str, 'value': str, 'path?': (str, type(None)), 'domain?': (str, type(None)),
        'expires?': (str, type(None)), 'httpOnly?': bool, 'secure?': bool, 'comment?': str,
    }
]  # fmt: skip
SCHEMA = {
    'log': {
        'version': str,
        'creator': {'name': str, 'version': str, 'comment?': str},
        'entries': [
            {
                'startedDateTime': 'time',
                'time': 'milliseconds',
                'request': {
                    'method': str,
                    'url': str,
                    'httpVersion': str,
                    'cookies': COOKIES,
                    'headers': PAIRS,
                    'queryString': PAIRS,
                    'postData?': {'mimeType': str, 'text': str, 'params?': list},
                    'headersSize': int,
                    'bodySize': int,
                },
                'response': {
                    'status': int,
                    'statusText': str,
                    'httpVersion': str,
                    'cookies': COOKIES,
                    'headers': PAIRS,
                    'content': {'size': int, 'mimeType': str, 'text?': str, 'encoding?': str, 'compression?': int},
                    'redirectURL': str,
                    'headersSize': int,
                    'bodySize': int,
                },
                'cache': {},
                'timings': {'send': 'milliseconds', 'wait': 'milliseconds', 'receive': 'milliseconds'},
            }
        ],
    }
}


def check(value: Any, schema: Any, path: str = 'har') -> None:
    """Raise an AssertionError if a value is not as a schema says; members that begin with `_` may be anything"""
    if schema == 'time':
        assert datetime.fromisoformat(value.replace('Z', '+00:00')).tzinfo is not None, path
    elif schema == 'milliseconds':
        assert isinstance(value, (int, float)), path
        assert value >= 0, path
    elif isinstance(schema, list):
        assert isinstance(value, list), path
        for number, item in enumerate(value):
            check(item, schema[0], f'{path}[{number}]')
    elif isinstance(schema, dict):
        assert isinstance(value, dict), path
        names = {name.rstrip('?') for name in schema}
        assert {name for name in value if not name.startswith('_')} <= names, path
        for name, its in schema.items():
            if not name.endswith('?') or name[:-1] in value:
                check(value[name.rstrip('?')], its, f'{path}.{name}')
    else:
        assert isinstance(value, schema), f'{path}: {value!r}'


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., CachedSession]]:
    with closing_all(lambda name='cache', **kwargs: CachedSession(tmp_path / name, **kwargs)) as factory:
        yield factory


def exported(cache: BaseCache) -> Any:
    file = io.StringIO()
    number = export_har(cache, cache.filter(), file)
    document = json.loads(file.getvalue())
    check(document, SCHEMA)
    assert number == sum('record' in entry['_requests_cache'] for entry in document['log']['entries'])
    return document


def test_a_har_file_is_imported_byte_for_byte(origin: Origin, make: Callable[..., CachedSession]) -> None:
    origin.add('/text', body='text with ü'.encode(), headers=[('Content-Type', 'text/plain; charset=utf-8')])
    origin.add('/latin', body='ü'.encode('latin-1'), headers=[('Content-Type', 'text/plain; charset=iso-8859-1')])
    origin.add('/binary', body=os.urandom(5_000), headers=[('Set-Cookie', 'a=1; Path=/'), ('Set-Cookie', 'b=2')])
    origin.add('/empty', body=b'')
    origin.add('/from', redirect('/between'))
    origin.add('/between', redirect('/text'))
    origin.add('/varies', answer(200, b'varies', [('Vary', 'Accept-Language')]))
    source = make(allowable_methods=('GET', 'POST', 'HEAD'), allowable_codes=(200, 404), match_headers=['X-Match'])
    for path in ('/text', '/latin', '/binary', '/empty', '/from', '/missing?a=1&b=%C3%BC'):
        source.get(origin.url(path))
    source.get(origin.url('/text'), headers={'X-Match': 'yes'})
    source.get(origin.url('/text'), verify=False)
    for language in ('de', 'en'):
        source.get(origin.url('/varies'), headers={'Accept-Language': language})
    source.post(origin.url('/text'), json={'a': 'ü'})
    source.post(origin.url('/text'), data=b'\xff\x00')
    source.head(origin.url('/text'))
    source.get(origin.url('/binary?long'), expire_after=timedelta(days=1))

    document = exported(source.cache)
    for options in ({}, {'serializer': 'json'}, {'backend': 'memory'}):
        target = make(f'target-{options}', match_headers=['X-Match'], **options)
        assert import_har(target.cache, document) == Imported(source.cache.responses.__len__(), 0, 0)
        mine, its = ({r.url + r.request.method + str(r.request.headers) + str(r.request.body): facts(r)
                      for r in session.cache.filter()} for session in (source, target))  # fmt: skip
        assert mine == its
        before = len(origin.requests)
        assert target.get(origin.url('/from')).from_cache
        assert [r.status_code for r in target.get(origin.url('/from')).history] == [302, 302]
        assert target.get(origin.url('/text'), headers={'X-Match': 'yes'}).from_cache
        assert target.get(origin.url('/text'), verify=False).from_cache
        assert target.get(origin.url('/varies'), headers={'Accept-Language': 'de'}).from_cache
        assert len(origin.requests) == before
    again = make('again', match_headers=['X-Match'])
    import_har(again.cache, document)
    entries = [json.dumps(entry, sort_keys=True) for entry in exported(again.cache)['log']['entries']]
    assert sorted(entries) == sorted(json.dumps(entry, sort_keys=True) for entry in document['log']['entries'])


def test_large_bodies(tmp_path: Path) -> None:
    source, target = (SQLiteCache(tmp_path / name, large_body_bytes=1_000) for name in ('a', 'b'))
    response = make_response(1, content=os.urandom(10_000), expires=FUTURE)
    source.save_response(response, 'key', FUTURE)
    import_har(target, exported(source))
    [found] = target.filter()
    assert facts(found) == facts(response)
    source.close()
    target.close()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=50) | st.text(max_size=20).map(lambda text: text.encode('utf-8', 'surrogatepass')),
    headers=st.dictionaries(
        st.text('abcXYZ-', min_size=1, max_size=8),
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters='\x7f'), max_size=10),
        max_size=3,
    ),
    body=st.binary(max_size=10),
    status=st.integers(200, 299),
)
def test_any_response(content: bytes, headers: dict[str, str], body: bytes, status: int) -> None:
    source, target = BaseCache(), BaseCache()
    response = make_response(1, content=content, headers=headers, status_code=status)
    response.request.body = body
    source.save_response(response, 'of the user')
    import_har(target, exported(source))
    assert [facts(r) for r in target.filter()] == [facts(r) for r in source.filter()]


class TestBrowsers:
    @pytest.mark.parametrize('name', ['chromium', 'firefox'])
    def test_a_recorded_page_is_replayed(self, name: str, make: Callable[..., CachedSession]) -> None:
        session = make()
        imported = import_har(session.cache, read_document(HAR / f'{name}.har'))
        assert imported.invalid == 0
        base = 'http://127.0.0.1:8765'
        page = session.get(f'{base}/', only_if_cached=True)
        assert page.status_code == 200
        assert '<h1>Grüße</h1>' in page.text
        assert session.get(f'{base}/from', only_if_cached=True).history[0].status_code == 302
        assert session.get(f'{base}/style.css', only_if_cached=True).text == 'h1 { color: green }'
        image = session.get(f'{base}/image.png', only_if_cached=True)
        assert image.content.startswith(b'\x89PNG')
        assert session.get(f'{base}/data.json?page=1', only_if_cached=True).json() == {'name': 'Grüße', 'page': 1}
        session.settings.allowable_methods = ('GET', 'POST')
        posted = session.post(f'{base}/data.json', json={'a': 1}, only_if_cached=True)
        assert posted.json() == {'got': {'a': 1}}
        assert session.get(f'{base}/gone', only_if_cached=True).text == 'nothing here'


@pytest.mark.parametrize('document', [None, [], {}, {'log': {}}, {'log': {'entries': {}}}, 'text', 1])
def test_no_har_file(document: Any) -> None:
    with pytest.raises(InvalidEntryError, match='not a HAR file'):
        import_har(BaseCache(), document)


@pytest.mark.parametrize('content', [b'', b'<html>', b'{"log":', b'\xff\xfe'])
def test_no_json(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / 'file.har'
    path.write_bytes(content)
    with pytest.raises(InvalidEntryError, match=r'file\.har is not a HAR file'):
        read_document(path)


@pytest.mark.parametrize(
    ('change', 'imported'),
    [
        ({'startedDateTime': 'yesterday'}, Imported(0, 0, 1)),
        ({'response': None}, Imported(0, 0, 1)),
        ({'request': {'method': 'GET', 'url': 'data:text/plain,x'}}, Imported(0, 1, 0)),
        ({'response': {'status': 0, 'headers': []}}, Imported(0, 1, 0)),
        ({'response': {'status': 101, 'headers': []}}, Imported(0, 1, 0)),
        ({'response': {'status': 200, 'headers': [], 'content': {'size': 100}}}, Imported(0, 1, 0)),
        ({}, Imported(1, 0, 0)),
    ],
)
def test_entries_of_other_tools(change: dict[str, Any], imported: Imported) -> None:
    entry = {
        'startedDateTime': '2026-01-02T03:04:05.678+0100',
        'time': 12.5,
        'request': {
            'method': 'GET',
            'url': 'http://example.com/#part',
            'headers': [{'name': ':authority', 'value': 'x'}],
        },
        'response': {
            'status': 200,
            'httpVersion': 'h2',
            'headers': [{'name': 'set-cookie', 'value': 'a=1\nb=2'}, {'name': 'Vary', 'value': 'User-Agent'}],
            'content': {'text': 'x', 'size': 1},
        },
    }
    cache = BaseCache()
    assert import_har(cache, {'log': {'entries': [{**entry, **change}]}}) == imported
    if imported.entries:
        [response] = cache.filter()
        assert response.url == 'http://example.com/'
        assert response.created_at == datetime(2026, 1, 2, 2, 4, 5, 690_500, timezone.utc)
        assert response._http_version == 20
        assert response.raw.headers.getlist('Set-Cookie') == ['a=1', 'b=2']
        assert 'Vary' not in response.headers
        assert ':authority' not in response.request.headers


@settings(max_examples=50, deadline=None)
@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda s: st.lists(s) | st.dictionaries(
    st.sampled_from(['request', 'response', 'url', 'method', 'status', 'headers', 'content', 'text', 'startedDateTime',
                     '_requests_cache', 'record', 'name', 'value']), s), max_leaves=8))  # fmt: skip
def test_any_entry_is_understood_or_refused(entry: Any) -> None:
    imported = import_har(BaseCache(), {'log': {'entries': [entry]}})
    assert sum(imported) == 1 or entry.get('_requests_cache', {}).get('is_redirect')


def test_export_from_a_tree_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr('importlib.metadata.distribution', find_none)
    file = io.StringIO()
    export_har(BaseCache(), [], file)
    assert json.loads(file.getvalue())['log']['creator'] == {'name': 'requests-cache', 'version': 'unknown'}
    assert CliRunner().invoke(commands, ['--version']).output == 'requests-cache, version unknown\n'
