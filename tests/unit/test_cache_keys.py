"""Keys: those of 1.3.x for requests without a body, unambiguous ones for requests with a body"""

from __future__ import annotations

import base64
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import requests
from hypothesis import assume, given
from hypothesis import strategies as st
from requests import PreparedRequest, Request
from requests.structures import CaseInsensitiveDict

from requests_cache import CachedSession, cache_keys
from requests_cache.cache_keys import (
    MAX_NORM_BODY_SIZE,
    create_key,
    has_unkeyable_body,
    normalize_body,
    normalize_headers,
    normalize_json_body,
    normalize_params,
    normalize_request,
    normalize_url,
)
from requests_cache.models.request import CachedRequest

VECTORS = json.loads((Path(__file__).parents[1] / 'data' / 'key_vectors.json').read_text('utf-8'))
FORM = 'application/x-www-form-urlencoded'
JSON = 'application/json'
URL = 'http://example.com/path'

# White space around a media type means nothing, and does not any more make JSON and forms into plain bytes
SPACED_MEDIA_TYPES = {'form content type with space before ;', 'json content type  application/json'}

# What `normalize_body` gives differently from 1.3.x, by decision, as (body, content_root_key, whether only with ignored
# names or only without); in each case it now gives what it got.
RULED_BODIES = {
    'the elements of a list keep their order': [
        ('[3, 1, 2]', None, None),
        ('["b", "a"]', None, False),
        ('[[2, 1], [1, 5]]', None, False),
        ('["api_key", "a"]', None, False),
        ('{"root": ["api_key", "b", "a"], "z": 1}', 'root', False),
    ],
    'elements of a list are values, and none is dropped for having the name of an ignored parameter': [
        ('["b", "a"]', None, True),
        ('["api_key", "a"]', None, True),
        ('{"root": ["api_key", "b", "a"], "z": 1}', 'root', True),
    ],
    'a string is not a list of characters': [
        ('"cba"', None, None),
        ('{"root": "cba", "z": 1}', 'root', None),
    ],
}


def unpack(value: Any) -> Any:
    """A value of the vectors, which are JSON, as it was when they were recorded"""
    if isinstance(value, dict) and set(value) == {'b64'}:
        return base64.b64decode(value['b64'])
    if isinstance(value, dict) and set(value) == {'file'}:
        return io.BytesIO(base64.b64decode(value['file']['b64']))
    return value


def build(case: dict[str, Any], prepare: str | None = None) -> Request | PreparedRequest:
    fields = {k: unpack(v) for k, v in case.items() if k != 'verify_kw'}
    if prepare == 'manual':
        return prepared(fields['method'], fields['url'], fields.get('data'), fields.get('headers'))
    if 'headers' in fields:
        fields['headers'] = {k: unpack(v) for k, v in fields['headers'].items()}
    for name in ('params', 'data'):
        if isinstance(fields.get(name), list):
            fields[name] = [tuple(pair) for pair in fields[name]]
    if 'files' in fields:
        fields['files'] = {k: tuple(unpack(part) for part in v) for k, v in fields['files'].items()}
    if 'auth' in fields:
        fields['auth'] = tuple(fields['auth'])
    request = Request(**fields)
    return request.prepare() if prepare == 'bare' else request


def prepared(
    method: str = 'GET', url: str = URL, body: Any = None, headers: dict[str, Any] | None = None
) -> PreparedRequest:
    """A request with exactly this, and nothing that requests would add"""
    request = PreparedRequest()
    request.method, request.url, request.body = method, url, body
    request.headers = CaseInsensitiveDict(headers or {})
    return request


def post(body: Any, content_type: str | None = None) -> PreparedRequest:
    return prepared('POST', URL, body, {'Content-Type': content_type} if content_type else None)


def has_body(vector: dict[str, Any]) -> bool:
    built = build(vector['request'], vector['prepare'])
    return bool(normalize_request(built).body)


def key_of(vector: dict[str, Any]) -> str:
    settings = dict(vector['settings'])
    if 'verify_kw' in vector['request']:
        settings['verify'] = vector['request']['verify_kw']
    return create_key(build(vector['request'], vector['prepare']), **settings)


def recorded(vector: dict[str, Any]) -> Any:
    """What 1.3.x gives with url-normalize 3.0.0, which is the one of its releases that counts here"""
    return unpack(vector.get('unstable', {}).get('url-normalize 3.0.0', vector['expected'])['value'])


class TestVectors:
    def test_keys_without_body_are_those_of_1_3(self) -> None:
        vectors = [v for v in VECTORS['keys'] if not has_body(v)]
        assert len(vectors) > 200
        assert {v['name']: key_of(v) for v in vectors} == {v['name']: recorded(v) for v in vectors}

    def test_keys_with_body_tell_apart_all_that_1_3_told_apart(self) -> None:
        vectors = [v for v in VECTORS['keys'] if has_body(v) and v['name'] not in SPACED_MEDIA_TYPES]
        assert len(vectors) > 100
        was = defaultdict(set)
        for vector in vectors:
            was[key_of(vector)].add(recorded(vector))
        assert [keys for keys in was.values() if len(keys) > 1] == []
        assert len(was) > len({key for keys in was.values() for key in keys})

    def test_functions_give_what_they_gave_but_for_the_rulings(self) -> None:
        ruled = {case for cases in RULED_BODIES.values() for case in cases}
        met, wrong = set(), []
        for vector in VECTORS['functions']:
            given, expected, subject = self.run(vector)
            if given == expected:
                continue
            body, ignored, root = subject
            exceptions = ruled & {(body, root, None), (body, root, bool(ignored))}
            if exceptions and given == body.encode():
                met |= exceptions
            else:
                wrong.append((vector['function'], subject, given, expected))
        assert wrong == []
        assert met == ruled

    def test_sessions_give_requests_without_body_the_keys_of_1_3(self) -> None:
        vectors = [v for v in VECTORS['sessions'] if 'json' not in v['request']]
        assert len(vectors) > 60
        wrong = []
        for vector in vectors:
            options = {'backend': vector['backend'], 'serializer': vector['serializer'], **vector['settings']}
            with CachedSession('cache', **options) as session:
                key = session.cache.create_key(build(vector['request']), **vector['send_kwargs'])
            if key != recorded(vector):
                wrong.append((options, vector['request'], key, recorded(vector)))
        assert wrong == []

    def run(self, vector: dict[str, Any]) -> tuple[Any, Any, Any]:
        args = [unpack(a) for a in vector['args']]
        if vector['function'] == 'normalize_body':
            request = build(vector['request'], vector['prepare'])
            body = request.body if isinstance(request.body, (str, bytes)) else ''
            text = body.decode('utf-8', 'replace') if isinstance(body, bytes) else body
            return normalize_body(request, *args), recorded(vector), (text, *args)
        if vector['function'] == 'normalize_headers':
            args[0] = {k: unpack(v) for k, v in args[0].items()}
            return dict(normalize_headers(*args)), recorded(vector), args
        return getattr(cache_keys, vector['function'])(*args), recorded(vector), args


class TestWithoutBody:
    def test_parts_are_hashed_as_1_3_does(self) -> None:
        assert create_key(prepared(url='http://example.com/')) == '64250c54fdfd77f9'

    @pytest.mark.parametrize('error', [TypeError, ValueError])
    def test_sha_256_where_blake2b_is_refused(self, error: type[Exception]) -> None:
        with patch.object(cache_keys, 'blake2b', side_effect=error('unsupported hash type')):
            key = create_key(prepared(url='http://example.com/'))
        assert key == '42c4e86bc4438d2782918077fd392b41846b804674d1862db6814eeac90f35ac'

    def test_the_url_is_normalized_by_the_function_of_the_module(self) -> None:
        other = create_key(prepared(url='http://example.com/other'))
        with patch.object(cache_keys, 'normalize_url', return_value='http://example.com/other'):
            assert create_key(prepared()) == other

    @pytest.mark.parametrize('make', [iter, list, set, tuple, dict.fromkeys])
    def test_names_are_taken_from_any_iterable(self, make: Any) -> None:
        request = prepared(url=f'{URL}?a=1&b=2', headers={'X-A': '1', 'X-B': '2'})
        key = create_key(request, ignored_parameters=make(['b', 'X-B']), match_headers=make(['X-A', 'X-B']))
        assert key == create_key(request, ignored_parameters=('b', 'X-B'), match_headers=('X-B', 'X-A'))

    def test_missing_parts(self) -> None:
        request = PreparedRequest()
        assert create_key(request) == create_key(request, match_headers=True) == create_key(prepared('', ''))

    @pytest.mark.parametrize('body', [None, '', b'', bytearray(), io.BytesIO(b''), io.StringIO('')])
    def test_an_empty_body_is_no_body(self, body: Any) -> None:
        assert create_key(post(body, JSON)) == create_key(prepared('POST'))

    def test_a_request_of_any_kind(self) -> None:
        keys = {
            create_key(request, ['api_key'])
            for request in (
                Request('get', 'http://EXAMPLE.com/path', params={'b': '1', 'api_key': 'x'}),
                prepared(url=f'{URL}?b=1&api_key=y'),
                CachedRequest(method='GET', url=f'{URL}?api_key=REDACTED&b=1'),
            )
        }
        assert len(keys) == 1

    def test_an_unprepared_request_gets_the_headers_of_a_session(self) -> None:
        agent = requests.Session().headers['User-Agent']
        assert create_key(Request('GET', URL), match_headers=['User-Agent']) == create_key(
            prepared(headers={'user-agent': agent}), match_headers=['User-Agent']
        )


class TestSerializer:
    @pytest.mark.parametrize(
        'text', ['<app.Own object at {}>', 'SerializerPipeline(name=<function dumps at {}>, n_stages=1)']
    )
    def test_addresses_do_not_count(self, text: str) -> None:
        one, other = (create_key(prepared(), serializer=text.format(a)) for a in ('0x7f25b2c0510', '0x00007F25B2C0520'))
        assert one == other != create_key(prepared(), serializer=text.format('home'))

    def test_its_class_counts(self) -> None:
        class One: ...

        class Two: ...

        keys = [create_key(prepared(), serializer=s) for s in (One(), One(), Two(), None, 'pickle')]
        assert keys[0] == keys[1]
        assert len(set(keys)) == 4


class TestMediaTypes:
    def test_the_media_type_counts_but_for_case_and_parameters(self) -> None:
        types = [None, 'text/plain', 'Text/Plain ; charset=utf-8', b'text/plain', 'text/xml', FORM]
        keys = [create_key(post('a=1', t)) for t in types]  # type: ignore[arg-type]
        assert keys[1] == keys[2] == keys[3]
        assert len(set(keys)) == 4

    def test_where_it_is_ignored_a_body_counts_byte_by_byte(self) -> None:
        def key(body: str, content_type: str) -> str:
            return create_key(post(body, content_type), ['content-type', 'a'])

        assert key('{"a": 1}', JSON) == key('{"a": 1}', 'text/plain') != key('{"a": 2}', JSON)


class TestForms:
    @pytest.mark.parametrize(
        ('one', 'other'),
        [
            ('a=1&b=2', 'b=2&a=1'),
            ('a=x+y', 'a=x%20y'),
            ('a=%7e', 'a=~'),
            ('é=ü', '%C3%A9=%c3%bc'),
            ('a=1&a=2&b=3', 'b=3&a=1&a=2'),
        ],
    )
    def test_the_same_fields(self, one: str, other: str) -> None:
        assert create_key(post(one, FORM)) == create_key(post(other, FORM)) == create_key(post(other.encode(), FORM))

    @pytest.mark.parametrize(
        ('one', 'other'),
        [
            ('a=&b=1', 'b=1'),
            ('a=&b=1', 'a&b=1'),
            ('a=1&a=2', 'a=2&a=1'),
            ('a=%E9', 'a=%EA'),
            ('a=%zz', 'a=%25zz'),
            ('a=1', 'a=1&'),
            ('a=b=c', 'a=b&c'),
            ('a=1+2', 'a=1%2B2'),
            (b'a=\xe9', b'a=\xea'),
            ('a=1', 'A=1'),
        ],
    )
    def test_different_fields(self, one: str, other: str) -> None:
        assert create_key(post(one, FORM)) != create_key(post(other, FORM))

    def test_what_is_not_utf_8_is_taken_as_it_is(self) -> None:
        assert normalize_body(post(b'b=\xff&a=1', FORM), None) == b'b=\xff&a=1'
        assert create_key(post(b'b=\xff&a=1', FORM)) == create_key(post(b'b=\xff&a=1', FORM))

    def test_ignored_fields_count_by_presence(self) -> None:
        def key(body: str) -> str:
            return create_key(post(body, FORM), ['api_key'])

        assert key('api_key=1&a=1') == key('a=1&api_key=2')
        assert len({key('api_key=1&a=1'), key('a=1'), key('api_key=&a=1'), key('API_KEY=1&a=1')}) == 4


class TestJson:
    @pytest.mark.parametrize(
        ('one', 'other'),
        [
            ('{"a": 1, "b": 2}', '{"b":2,\n"a":1}'),
            ('[1, 2.50]', '[1,2.5]'),
            ('{"a": "\\u00e9"}', '{"a": "é"}'),
            ('{"a": 1E2}', '{"a": 100.0}'),
        ],
    )
    def test_the_same_document(self, one: str, other: str) -> None:
        assert create_key(post(one, JSON)) == create_key(post(other.encode(), JSON + '; charset=utf-8'))

    @pytest.mark.parametrize(
        ('one', 'other'),
        [
            ('[1, 2]', '[2, 1]'),
            ('"abc"', '"cba"'),
            ('"abc"', '["a", "b", "c"]'),
            ('{"a": [1, 2]}', '{"a": [2, 1]}'),
            ('{"a": 1, "a": 2}', '{"a": 2}'),
            ('{"a": 1e400}', '{"a": 2e400}'),
            ('{"a": 1e400}', '{"a": Infinity}'),
            ('{"a": 0.1}', '{"a": 0.1000000000000000000001}'),
            ('{"a": 1e-99999999999999999999}', '{"a": 0.0}'),
            ('{"a": 1}', '{"a": "1"}'),
            ('{"a": 1}', '{"a": true}'),
            ('{"a": "\\ud800"}', b'{"a": "\xed\xa0\x80"}'),
            ('{"a":', '{"a" :'),
        ],
    )
    def test_different_documents(self, one: Any, other: Any) -> None:
        assert create_key(post(one, JSON)) != create_key(post(other, JSON))

    def test_ignored_members_count_by_presence(self) -> None:
        def key(document: Any, root: str | None = None) -> str:
            return create_key(post(json.dumps(document), JSON), ['api_key'], content_root_key=root)

        assert key({'api_key': 1, 'a': 1}) == key({'a': 1, 'api_key': 2})
        assert key({'api_key': 1}) != key({})
        assert key({'a': {'api_key': 1}}) != key({'a': {'api_key': 2}})
        assert key({'r': {'api_key': 1}}, 'r') == key({'r': {'api_key': 2}}, 'r')
        assert key({'api_key': 1, 'r': {}}, 'r') != key({'api_key': 2, 'r': {}}, 'r')
        assert key(['api_key', 'a']) != key(['a'])

    def test_a_document_that_is_too_deep_is_taken_as_it_is(self) -> None:
        body = '[' * 100_000 + ']' * 100_000
        assert normalize_json_body(body, ['a']) == body
        assert create_key(post(body, JSON)) != create_key(post(body[1:-1], JSON))

    def test_a_long_document_is_taken_as_it_is(self) -> None:
        body = '{"b": 1, "a": "' + 'x' * MAX_NORM_BODY_SIZE + '"}'
        assert normalize_json_body(body, None) is body
        assert create_key(post(body, JSON)) != create_key(post(body.replace(' ', ''), JSON))


class TestMultipart:
    def test_the_boundary_does_not_count(self) -> None:
        def key(url: str) -> str:
            request = Request('POST', url, data={'k': 'v'}, files={'f': ('n.txt', b'data')}).prepare()
            return create_key(request, match_headers=['Content-Type'])

        assert key(URL) == key(URL) != key(f'{URL}/other')

    def test_prepared_or_not(self) -> None:
        request = Request('POST', URL, data={'k': 'v'}, files={'f': ('n.txt', b'data')})
        assert create_key(request) == create_key(request.prepare())

    @pytest.mark.parametrize(
        'other',
        [
            {'files': {'f': ('n.txt', b'atad')}},
            {'files': {'f': ('m.txt', b'data')}},
            {'files': {'g': ('n.txt', b'data')}},
            {'files': {'f': ('n.txt', b'data', 'text/plain')}},
            {'files': {'f': ('n.txt', b'data')}, 'data': {'k': 'v'}},
            {'files': {'f': ('n.txt', b'data\r\n----requests-cache-form-boundary--\r\n')}},
        ],
    )
    def test_parts_count(self, other: dict[str, Any]) -> None:
        request = Request('POST', URL, files={'f': ('n.txt', b'data')})
        assert create_key(request) != create_key(Request('POST', URL, **other))

    def test_parts_are_not_confused_by_text_that_looks_like_a_boundary(self) -> None:
        part = '\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
        one = f'--x{part.format("a", "1")}--x{part.format("b", "2")}--x--\r\n'
        other = f'--y{part.format("a", "1")}--x{part.format("b", "2")}--y--\r\n'
        keys = {create_key(post(b, f'multipart/form-data; boundary={b[2]}')) for b in (one, other)}
        assert len(keys) == 2

    def test_the_normal_form_has_the_boundary_of_1_3(self) -> None:
        norm = normalize_request(Request('POST', URL, files={'f': ('n', b'x')}))
        assert norm.headers['Content-Type'] == 'multipart/form-data; boundary=--requests-cache-form-boundary--'
        assert norm.body == (
            b'----requests-cache-form-boundary--\r\nContent-Disposition: form-data; name="f"; filename="n"\r\n\r\nx\r\n'
            b'----requests-cache-form-boundary----\r\n'
        )

    def test_parts_without_a_name_are_never_ignored(self) -> None:
        def key(value: str) -> str:
            body = f'--x\r\nContent-Type: a/b\r\n\r\n{value}\r\n--x--\r\n'
            return create_key(post(body, 'multipart/form-data; boundary=x'), ['', 'api_key'])

        assert key('1') != key('2')

    def test_ignored_fields_count_by_presence(self) -> None:
        def key(**fields: str) -> str:
            return create_key(Request('POST', URL, data=fields, files={'f': ('n', b'x')}), ['api_key'])

        assert key(api_key='1') == key(api_key='22') != key()

    @pytest.mark.parametrize('content_type', ['multipart/form-data', 'multipart/form-data; boundary=absent'])
    def test_without_its_boundary_a_document_is_taken_as_it_is(self, content_type: str) -> None:
        body = b'--x\r\n\r\nabc\r\n--x--\r\n'
        assert normalize_body(post(body, content_type), None) == body
        assert create_key(post(body, content_type)) != create_key(post(body.replace(b'x', b'y'), content_type))

    def test_urllib3_is_left_as_it_is(self) -> None:
        import urllib3.filepost

        before = urllib3.filepost.choose_boundary
        create_key(Request('POST', URL, files={'f': ('n', b'x')}))
        with pytest.raises(requests.exceptions.MissingSchema):
            create_key(Request('POST', 'no-scheme', files={'f': ('n', b'x')}))
        assert urllib3.filepost.choose_boundary is before


class Unseekable(io.RawIOBase):
    def __init__(self) -> None:
        self.reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        return b'x'


class TestStreams:
    def test_a_file_is_read_from_where_it_is_and_put_back(self) -> None:
        file = io.BytesIO(b'skip this, read this')
        file.seek(11)
        assert create_key(post(file)) == create_key(post(b'read this'))
        assert normalize_body(post(file), None) == b'read this'
        assert file.tell() == 11

    def test_a_file_on_disk(self, tmp_path: Path) -> None:
        path = tmp_path / 'body.json'
        path.write_text('{"b": 1, "a": 2}')
        with path.open('rb') as binary, path.open() as text:
            keys = {create_key(post(body, JSON)) for body in (binary, text, '{"a": 2, "b": 1}')}
            assert len(keys) == 1
            assert (binary.tell(), text.tell()) == (0, 0)

    def test_files_of_an_unprepared_request_stay_where_they_are(self) -> None:
        one, two = io.BytesIO(b'abc'), io.BytesIO(b'def')
        one.seek(1)
        request = Request('POST', URL, files=[('one', one), ('two', ('name', two))])
        key = create_key(request)
        assert (one.tell(), two.tell()) == (1, 0)
        assert key == create_key(request)

    @pytest.mark.parametrize(('is_prepared', 'as_files'), [(False, False), (False, True), (True, False)])
    def test_what_cannot_be_read_twice_is_not_read(self, is_prepared: bool, as_files: bool) -> None:
        stream = Unseekable()
        request: Any = Request('POST', URL, **({'files': {'f': ('n', stream)}} if as_files else {'data': stream}))
        request = request.prepare() if is_prepared else request
        assert has_unkeyable_body(request)
        assert create_key(request) != create_key(request)
        assert stream.reads == 0

    def test_a_generator_is_not_started(self) -> None:
        started = []

        def generate() -> Iterator[bytes]:
            started.append(True)
            yield b'x'

        request = prepared('POST', body=generate())
        assert has_unkeyable_body(request)
        assert create_key(request) != create_key(request)
        assert normalize_body(request, None).startswith(b'<generator')
        assert started == []

    @pytest.mark.parametrize('body', [None, '', b'x', 'x', bytearray(b'x'), memoryview(b'x'), io.BytesIO(b'x'), 5])
    def test_all_else_has_a_key(self, body: Any) -> None:
        assert not has_unkeyable_body(post(body))
        assert create_key(post(body)) == create_key(post(body))
        assert not has_unkeyable_body(Request('POST', URL, data=body))

    def test_a_closed_file_has_no_key(self) -> None:
        file = io.BytesIO(b'x')
        file.close()
        assert has_unkeyable_body(post(file))

    def test_form_data_has_a_key(self) -> None:
        assert not has_unkeyable_body(Request('POST', URL, data={'a': ['1', '2']}, files={'f': b'x'}))
        assert not has_unkeyable_body(Request('POST', URL, data=[('a', '1')], files=[('f', ('n', 'x', 'text/plain'))]))


class TestNormalize:
    def test_the_copy_is_of_the_same_kind(self) -> None:
        for request in (prepared('post', body='x'), CachedRequest(method='post', url=URL, body='x')):
            norm = normalize_request(request)
            assert type(norm) is type(request)
            assert (norm.method, norm.url, norm.body) == ('POST', URL, b'x')

    def test_ignored_header_names_are_compared_as_spelled(self) -> None:
        headers = CaseInsensitiveDict({'b': '1', 'Authorization': 'x', 'authorization2': 'y'})
        assert list(normalize_headers(headers, ['Authorization']).items()) == [
            ('Authorization', 'REDACTED'),
            ('authorization2', 'y'),
            ('b', '1'),
        ]

    @pytest.mark.parametrize('value', [None, '', b''])
    def test_nothing_is_an_empty_header(self, value: Any) -> None:
        assert normalize_headers({'A': value})['a'] == ''

    def test_params_must_be_utf_8(self) -> None:
        with pytest.raises(UnicodeDecodeError):
            normalize_params(b'a=\xff')

    @pytest.mark.parametrize('url', ['http://[::1', 'http://h/?\ud800=1', 'http://a\uff0fb/'])
    def test_what_cannot_be_a_url_is_left_alone(self, url: str) -> None:
        assert normalize_url(url, ['a']) == url

    def test_long_urls_are_normalized_and_not_remembered(self) -> None:
        remembered = cache_keys._normalize_url.cache_info().currsize
        long = 'x' * 5000
        assert normalize_url(f'HTTP://h?b={long}&a=1', ['a']) == f'http://h/?a=REDACTED&b={long}'
        assert cache_keys._normalize_url.cache_info().currsize == remembered

    @pytest.mark.parametrize('value', [None, '', b''])
    def test_nothing_is_an_empty_url(self, value: Any) -> None:
        assert normalize_url(value, None) == ''


ignored_names = st.lists(st.sampled_from(['a', 'b', 'api_key', 'X-A', 'a~']), max_size=3).map(tuple)
plain_text = st.text('abAB01_.~-', min_size=1, max_size=3)
plain_values = st.text('abAB01_.~-+,:/@', min_size=1, max_size=4)
plain_urls = st.builds(
    '{}://{}{}{}'.format,
    st.sampled_from(['http', 'https']),
    st.lists(st.text('ab0_-', min_size=1, max_size=3), min_size=1, max_size=3).map('.'.join),
    st.lists(plain_text | st.just(''), max_size=3).map(lambda parts: ''.join(f'/{p}' for p in parts)),
    st.lists(st.tuples(plain_text, plain_values).map('='.join), max_size=4).map(lambda q: '?' + '&'.join(q)),
)
urls = plain_urls | st.text() | st.text('htp:/?#[]@%&=.!\\ \t\n\x00é\ud800\uff10')
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('abé', max_size=2), inner, max_size=3),
    max_leaves=6,
)
field_lists = st.lists(st.tuples(st.text('ab=&%é', max_size=2), st.text('xy=&% +é', max_size=2)), max_size=3)
raw_forms = st.text('ab=&%25+', max_size=6)
bodies = st.tuples(st.just(FORM), raw_forms) | st.tuples(st.sampled_from(['text/plain', JSON]), st.binary(max_size=4))
bodies |= st.tuples(st.just(JSON), json_values.map(json.dumps))


class TestLaws:
    @given(urls, ignored_names)
    def test_no_url_raises(self, url: str, ignored: tuple[str, ...]) -> None:
        assert isinstance(normalize_url(url, ignored), str)
        assert len(create_key(prepared(url=url), ignored)) == 16

    @given(plain_urls, ignored_names)
    def test_shortcuts_for_plain_urls_change_nothing(self, url: str, ignored: tuple[str, ...]) -> None:
        with patch.object(cache_keys, 'PLAIN_URL') as pattern:
            pattern.fullmatch.return_value = None
            slow = cache_keys._normalize_url.__wrapped__(url, ignored)
        assert normalize_url(url, ignored) == slow
        assert normalize_url(url, list(ignored)) == slow

    @given(urls, ignored_names, st.booleans(), st.sampled_from(['GET', 'head', None]))
    def test_the_key_is_that_of_the_normalized_request(
        self, url: str, ignored: tuple[str, ...], verify: bool, method: str | None
    ) -> None:
        """Without a body, the key is a hash of what `normalize_request` gives, by whatever shorter way it is made"""
        request = prepared(method, url, headers={'X-A': '2, 1'})  # type: ignore[arg-type]
        norm = normalize_request(request, ignored)
        header = 'x-a=' + norm.headers['X-A']
        text = f'{norm.method}{norm.url}{"True" if verify else ""}{header}json'
        key = create_key(request, ignored, match_headers=['x-a'], serializer='json', verify=verify)
        assert key == cache_keys.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()

    @given(plain_urls, ignored_names)
    def test_normal_urls_are_normal(self, url: str, ignored: tuple[str, ...]) -> None:
        norm = normalize_url(url, ignored)
        assume('.' not in url)
        assert normalize_url(norm, ignored) == norm

    @given(field_lists, field_lists)
    def test_forms_share_a_key_only_if_they_are_the_same(self, one: Any, other: Any) -> None:
        def identity(fields: list[tuple[str, str]]) -> dict[str, list[str]]:
            values = defaultdict(list)
            for name, value in fields:
                values[name].append(value)
            return values

        def key(fields: list[tuple[str, str]]) -> str:
            return create_key(Request('POST', URL, data=fields).prepare())

        assume(one and other)
        assert (key(one) == key(other)) is (identity(one) == identity(other))

    @given(json_values, json_values)
    def test_json_shares_a_key_only_if_it_is_the_same(self, one: Any, other: Any) -> None:
        def identity(document: Any) -> str:
            if isinstance(document, dict):
                document = dict(sorted(document.items()))
            return json.dumps(document)

        def key(document: Any) -> str:
            return create_key(post(json.dumps(document), JSON))

        assert (key(one) == key(other)) is (identity(one) == identity(other))

    @given(bodies, bodies)
    def test_different_kinds_of_bodies_do_not_meet(self, one: Any, other: Any) -> None:
        assume(one[0] != other[0] and one[1] and other[1])
        assert create_key(post(one[1], one[0])) != create_key(post(other[1], other[0]))

    @given(st.binary(min_size=1, max_size=8), st.integers(0, 8))
    def test_parts_do_not_run_into_each_other(self, content: bytes, cut: int) -> None:
        text = content.hex()
        assume(cut < len(text))
        one = prepared('POST', f'{URL}/{text[:cut]}', text[cut:])
        other = prepared('POST', f'{URL}/{text}', '')
        third = prepared('POST', URL, f'/{text}')
        assert len({create_key(one), create_key(other), create_key(third)}) == 3

    @given(bodies, ignored_names, st.sampled_from([True, False, ('X-A',)]))
    def test_nothing_of_the_caller_is_changed(self, body: Any, ignored: tuple[str, ...], match_headers: Any) -> None:
        content_type, content = body
        headers = {'X-A': 'B, a', 'Content-Type': content_type}
        request = prepared('post', f'{URL}?b=1&a=2', content, headers)
        create_key(request, ignored, match_headers)
        normalize_request(request, ignored)
        assert (request.method, request.url, request.body) == ('post', f'{URL}?b=1&a=2', content)
        assert list(request.headers.items()) == list(headers.items())

    @given(bodies, ignored_names)
    def test_normal_bodies_are_normal(self, body: Any, ignored: tuple[str, ...]) -> None:
        content_type, content = body
        assume('%' not in str(content) and b'"""' not in str(content).encode())
        norm = normalize_body(post(content, content_type), ignored)
        assert normalize_body(post(norm, content_type), ignored) == norm
