"""Serializers: round trips, formats of earlier versions, and safety"""

from __future__ import annotations

import copyreg
import gzip
import json
import os
import pickle
import sys
from base64 import b64encode, b85encode
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import BadSignature
from requests.structures import CaseInsensitiveDict

from requests_cache import (
    SERIALIZERS,
    BaseCache,
    CachedRequest,
    CachedResponse,
    CattrStage,
    DictStorage,
    SerializerPipeline,
    Stage,
    bson_document_serializer,
    dict_serializer,
    dynamodb_document_serializer,
    init_serializer,
    json_serializer,
    pickle_serializer,
    safe_pickle_serializer,
    utf8_serializer,
)
from requests_cache.exceptions import InvalidEntryError, MissingDependencyError
from requests_cache.serializers.legacy import restore_content
from requests_cache.serializers.preconf import make_stage
from requests_cache.serializers.record import from_record
from requests_cache.serializers.unpickling import SEAL

CREATED = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc)
EVERY_SERIALIZER = [*SERIALIZERS, 'bson_document', 'dynamodb_document', 'dict', 'safe_pickle']


def serializer(name, decode_content=False):
    others = {
        'bson_document': bson_document_serializer,
        'dynamodb_document': dynamodb_document_serializer,
        'dict': dict_serializer,
        'safe_pickle': safe_pickle_serializer('secret'),
    }
    return init_serializer(others.get(name, name), decode_content)


def response(content=b'body', content_type='text/plain', **kwargs):
    hop = CachedResponse(
        content=b'', status_code=302, url='http://h/0', request=CachedRequest(method='GET', url='http://h/0'),
        created_at=CREATED,
    )  # fmt: skip
    kwargs = {
        'status_code': 200,
        'url': 'http://h/1',
        'reason': 'OK',
        'encoding': 'utf-8',
        'created_at': CREATED,
        'expires': CREATED + timedelta(days=9),
        'elapsed': timedelta(seconds=1.5),
        'headers': CaseInsensitiveDict({'Z': '1', 'Content-Type': content_type, 'A': '2'}),
        'request': CachedRequest(method='POST', url='http://h/1', body=b'\x00\xff', headers=CaseInsensitiveDict(H='1')),
        'history': [hop],
        **kwargs,
    }
    return CachedResponse(content=content, **kwargs)


def assert_same(one, other):
    assert other == one
    assert list(other.headers.items()) == list(one.headers.items())
    assert other.raw.read() == (one.content or b'')
    assert [r.request for r in other.history] == [r.request for r in one.history]


class TestRoundTrips:
    @pytest.mark.parametrize('decode_content', [False, True])
    @pytest.mark.parametrize('name', EVERY_SERIALIZER)
    def test_all_fields(self, name, decode_content):
        pipeline = serializer(name, decode_content)
        assert_same(response(), pipeline.loads(pipeline.dumps(response())))
        for content_type in ('application/json', 'text/html; charset=iso-8859-1', 'application/octet-stream'):
            for content in (b'', b'null', b'{"b": 1, "a": 1.50}', b'\xff\xfe', '{"é": 12345678901234567890}'.encode()):
                original = response(content, content_type)
                assert pipeline.loads(pipeline.dumps(original)).content == content

    @pytest.mark.parametrize('name', EVERY_SERIALIZER)
    def test_empty_response(self, name):
        original = CachedResponse(created_at=CREATED)
        assert serializer(name).loads(serializer(name).dumps(original)) == original

    @pytest.mark.parametrize('name', EVERY_SERIALIZER)
    def test_repeated_header_fields(self, name):
        original = response()
        original._header_fields = (('Set-Cookie', 'a=1'), ('X', '1'), ('Set-Cookie', 'b=2'))
        original._http_version = 11
        other = serializer(name).loads(serializer(name).dumps(original))
        assert other.raw.headers.getlist('set-cookie') == ['a=1', 'b=2']
        assert other.raw.version == 11

    @pytest.mark.parametrize('name', EVERY_SERIALIZER)
    def test_entries_are_told_from_those_of_1x(self, name):
        """Also where an adapter gives no HTTP version, and where one of 1.x has been written again"""
        pipeline = serializer(name)
        ours = pipeline.loads(pipeline.dumps(response(history=[response()])))
        assert (ours._is_of_1x, ours.history[0]._is_of_1x, ours.raw.version) == (False, False, 0)
        of_1x = response()
        of_1x._is_of_1x = True
        for _ in range(2):
            of_1x = pipeline.loads(pipeline.dumps(of_1x))
            assert of_1x._is_of_1x is True

    @given(
        content=st.binary(),
        headers=st.dictionaries(st.text('abcXYZ-', min_size=1), st.text(st.characters(codec='latin-1'))),
        reason=st.none() | st.text(st.characters(codec='utf-8')),
        expires=st.none() | st.datetimes(timezones=st.just(timezone.utc), min_value=datetime(1970, 1, 2)),
        name=st.sampled_from(['pickle', 'json', 'orjson', 'ujson', 'yaml', 'dict']),
    )
    def test_anything(self, content, headers, reason, expires, name):
        original = response(content, headers=CaseInsensitiveDict(headers), reason=reason, expires=expires)
        pipeline = serializer(name)
        other = pipeline.loads(pipeline.dumps(original))
        assert (other.content, other.reason, other.expires) == (content, reason, expires)
        assert dict(other.headers) == dict(original.headers)

    def test_readable_copy(self):
        record = json.loads(serializer('json', True).dumps(response(b'{"b": [1.50]}', 'Application/JSON')))
        assert record['_decoded_content'] == {'b': [1.5]}
        assert list(record)[-1] == '_decoded_content'
        assert (
            json.loads(serializer('json', True).dumps(response('é'.encode(), 'text/plain')))['_decoded_content'] == 'é'
        )
        assert '_decoded_content' not in json.loads(serializer('json').dumps(response()))
        assert '_decoded_content' not in json.loads(serializer('json', True).dumps(response(b'{', 'application/json')))

    def test_readable_copy_that_a_format_cannot_hold_is_left_out(self):
        original = response(b'{"a": 123456789012345678901234567890}', 'application/json')
        for name in ('bson', 'orjson'):
            pipeline = serializer(name, True)
            assert pipeline.loads(pipeline.dumps(original)).content == original.content

    def test_fields_are_those_of_1x_in_their_order(self):
        record = dict_serializer.dumps(response())
        assert list(record) == [
            '_content', 'record_checksum', 'created_at', 'elapsed', 'encoding', 'expires', 'headers', 'history',
            'reason', 'request', 'status_code', 'url', 'checksum', 'http_version',
        ]  # fmt: skip
        assert record['created_at'] == '2026-01-02T03:04:05.678000+00:00'
        assert (record['elapsed'], record['_content'], record['request']['body']) == (1.5, b'body', b'\x00\xff')
        assert bson_document_serializer.dumps(response())['created_at'] == CREATED
        assert dynamodb_document_serializer.dumps(response())['elapsed'] == Decimal('1.5')

    def test_fields_are_built_when_looked_at(self):
        loaded = pickle_serializer.loads(pickle_serializer.dumps(response()))
        assert 'headers' not in loaded.__dict__
        assert loaded.headers['content-type'] == 'text/plain'
        assert loaded.headers is loaded.headers


class TestDamage:
    @pytest.mark.parametrize(
        'record',
        [
            {},
            {'unknown': 1},
            [],
            None,
            'text',
            {'status_code': 'x'},
            {'status_code': True},
            {'status_code': 200, '_content': 5},
            {'status_code': 200, 'headers': []},
            {'status_code': 200, 'headers': {'a': 1}},
            {'status_code': 200, 'url': 5},
            {'status_code': 200, 'request': 5},
            {'status_code': 200, 'request': {'body': 5}},
            {'status_code': 200, 'request': {'headers': 'x'}},
            {'status_code': 200, 'history': 'x'},
            {'status_code': 200, 'history': [5]},
            {'status_code': 200, 'cookie_attributes': [5]},
            {'status_code': 200, 'cookie_attributes': [{'name': 'a'}]},
            {'status_code': 200, 'header_fields': [5]},
            {'status_code': 200, 'elapsed': 'long'},
            {'status_code': 200, 'expires': 5},
            {'status_code': 200, 'expires': 'soon'},
            {'created_at': 'then'},
            {'status_code': 200, '_content': b'x', 'checksum': 1},
            {'status_code': 200, 'checksum': 1},
            {'status_code': 200, '_content': '!', 'checksum': 1},
        ],
    )
    def test_records_that_are_not_responses(self, record):
        with pytest.raises((InvalidEntryError, ValueError, TypeError)):
            from_record(record)

    @pytest.mark.parametrize('name', ['pickle', 'json', 'bson', 'yaml', 'orjson', 'ujson'])
    def test_flipped_bytes_never_give_another_body(self, name):
        pipeline = serializer(name)
        data = pipeline.dumps(response(os.urandom(50)))
        data = data.encode() if isinstance(data, str) else data
        good = pipeline.loads(data if pipeline.is_binary else data.decode()).content
        for position in range(len(data)):
            damaged = data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :]
            try:
                content = pipeline.loads(damaged if pipeline.is_binary else damaged.decode()).content
            except Exception:
                continue
            # A damaged name of the field makes an entry without body
            assert content in (good, None)


class Called:
    times = 0

    def __new__(cls, *args):
        cls.times += 1
        return super().__new__(cls)


def seal(data):
    return data + SEAL + crc32(data).to_bytes(4, 'big')


def is_plain(value):
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return is_plain([*value, *value.values()])
    return type(value) in (str, bytes, bytearray, memoryview, int, float, bool, type(None))


@pytest.fixture
def extension():
    """Registers a class as an extension with a code, sees to it that it is cached, and gives the operation for it"""
    added = []

    def add(code):
        copyreg.add_extension(Called.__module__, 'Called', code)
        added.append(code)
        data = pickle.dumps(Called, 2)
        assert pickle.loads(data) is Called
        return data[2:-1]

    Called.times = 0
    yield add
    for code in added:
        copyreg.remove_extension(Called.__module__, 'Called', code)


class TestSafety:
    @pytest.mark.parametrize(
        'value',
        [os.system, datetime.now(), CaseInsensitiveDict(), Exception('x'), {'a': [Stage]}, os.stat('.')],
        ids=lambda v: type(v).__name__,
    )
    @pytest.mark.parametrize('protocol', range(6))
    def test_pickle_of_anything_but_plain_values_is_refused(self, value, protocol):
        with pytest.raises(pickle.UnpicklingError, match='only builtin types'):
            pickle_serializer.loads(pickle.dumps(value, protocol))

    def test_pickle_that_would_run_code(self, tmp_path):
        class Exploit:
            def __reduce__(self):
                return open, (str(tmp_path / 'made'), 'w')

        with pytest.raises(pickle.UnpicklingError):
            pickle_serializer.loads(pickle.dumps({'status_code': 200, 'url': Exploit()}))
        assert not (tmp_path / 'made').exists()

    @pytest.mark.parametrize('name', ['pickle', 'safe_pickle'])
    @pytest.mark.parametrize('sealed', [False, True], ids=['bare', 'sealed'])
    @pytest.mark.parametrize('code', [1, 0x82, 300, 2**30])
    def test_extensions_are_refused(self, code, sealed, name, extension):
        """Also one that `copyreg` has in its cache, which no unpickler is asked about"""
        operation = extension(code)
        call = b'\x80\x02}(X\x0b\x00\x00\x00status_codeX\x07\x00\x00\x00\x82\x83\x84 ok' + operation + b')Ru.'
        call = call.replace(b'\x82\x83\x84 ok', '\x82é ok'.encode())
        for data in (call, b'\x80\x02' + operation + b'.', b'C\x03\x82\x83\x84' + operation + b')R.'):
            with pytest.raises(pickle.UnpicklingError, match='only builtin types'):
                self.load(name, seal(data) if sealed else data)
        assert Called.times == 0

    @pytest.mark.parametrize('value', ['()', '}', ']', 'N', '\x8c\x02os', '\x96\x01\0\0\0\0\0\0\0a'])
    def test_every_operation_with_a_checksum(self, value):
        """Whatever is done with plain values, nothing else comes of it"""
        # These two take memory by a number in the data
        for operation in set(range(256)) - {ord('r'), 0x96}:
            # More than one end, as operations with an argument take some of them for it, and would then take the
            # checksum for operations
            for rest in (b'', b')R', b'os\nsystem\n)R', b'(Nt'):
                data = seal(b'\x80\x04(' + value.encode('latin-1') * 3 + bytes([operation]) + rest + b'.' * 12)
                try:
                    loaded = self.load('pickle', data)
                except Exception:
                    continue
                assert is_plain(loaded), operation

    def load(self, name, data):
        pipeline = serializer(name)
        if name == 'safe_pickle':
            data = pipeline.stages[-1].dumps(data, 'key')
        for stage in reversed(pipeline.stages[1:]):
            data = stage.loads(data, 'key') if stage.takes_key else stage.loads(data)
        return data

    def test_bytes_of_extensions_are_data_like_any_other(self):
        for content in (b'\x82\x83\x84' * 50, b'\x83' * 131, b'a' * 130, b'a' * 131, b'a' * 132, b'a' * 0x8283):
            for headers in ({'A': 'a' * 130}, {'\x82': '\x83' * 131}, {'A': 'x' * 33154}):
                original = response(content, headers=CaseInsensitiveDict(headers), encoding=None)
                loaded = pickle_serializer.loads(pickle_serializer.dumps(original))
                assert (loaded.content, dict(loaded.headers)) == (content, headers)

    def test_signatures(self):
        data = safe_pickle_serializer('key').dumps(response())
        assert safe_pickle_serializer(['new', 'key']).loads(data).content == b'body'
        for secret in ('other', ['a', 'b']):
            with pytest.raises(BadSignature):
                safe_pickle_serializer(secret).loads(data)
        with pytest.raises(BadSignature):
            safe_pickle_serializer('key').loads(pickle_serializer.dumps(response()))


class TestEarlierVersions:
    def base85(self, content, **fields):
        return {'status_code': 200, 'created_at': '2024-01-01T00:00:00+00:00', '_content': b85encode(content).decode(),
                'request': {'body': '', 'method': 'GET'}, **fields}  # fmt: skip

    def test_base85(self):
        assert from_record(self.base85(b'some content')).content == b'some content'
        assert from_record(self.base85(b'abc', request={'method': 'GET', 'body': ''})).content == b'abc'
        naive = self.base85(b'abc', created_at='2024-01-01T00:00:00.500000', request={})
        assert from_record(naive).content == b'abc'
        assert from_record(naive).created_at.tzinfo is timezone.utc

    def test_base85_told_by_length(self):
        content = next(c for c in (os.urandom(4) for _ in range(10000)) if b85encode(c).decode().isalnum())
        record = self.base85(content * 4, request={}, headers={'Content-Length': '16'})
        assert from_record(record).content == content * 4

    @given(st.binary())
    def test_base64(self, content):
        record = {
            'status_code': 200,
            'created_at': '2024-01-01T00:00:00+00:00',
            '_content': b64encode(content).decode(),
            'request': {'method': 'GET'},
            'headers': {'content-length': str(len(content))},
        }
        assert from_record(record).content == content

    def test_text_only(self):
        headers = {'Content-Type': 'text/plain', 'Content-Length': '9'}
        record = {'status_code': 200, '_decoded_content': 'déjà', 'headers': headers, 'encoding': 'iso-8859-1'}
        loaded = from_record(record)
        assert (loaded.content, loaded.text, loaded.encoding) == ('déjà'.encode('latin-1'), 'déjà', 'iso-8859-1')
        assert loaded.headers['Content-Length'] == '4'
        loaded = from_record({**record, '_decoded_content': 'd\ufffd'})
        assert (loaded.text, loaded.encoding) == ('d\ufffd', 'utf-8')
        assert from_record({**record, 'encoding': 'nope'}).text == 'déjà'
        assert from_record({**record, 'encoding': 'ascii'}).text == 'déjà'

    def test_json_only(self):
        headers = {'Content-Type': 'application/json'}
        for document in ({'a': [1, None]}, [], 'text', 5, None):
            record = {'status_code': 200, '_decoded_content': document, 'headers': headers}
            assert from_record(record).json() == document

    def test_other_content_stays_as_it_is(self):
        record = {'status_code': 200, '_decoded_content': {'a': 1}}
        assert restore_content(record) is record
        assert from_record(record)._decoded_content == {'a': 1}

    def test_head_keeps_its_content_length(self):
        headers = {'Content-Type': 'text/plain', 'Content-Length': '99'}
        record = {'status_code': 200, '_decoded_content': '', 'headers': headers, 'request': {'method': 'HEAD'}}
        assert from_record(record).headers['Content-Length'] == '99'


class TestPipelines:
    def test_names_and_texts(self):
        assert str(pickle_serializer) == repr(pickle_serializer) == 'SerializerPipeline(name=pickle, n_stages=2)'
        assert str(init_serializer('json', True)) == 'SerializerPipeline(name=json, n_stages=2)'
        assert str(bson_document_serializer) == 'SerializerPipeline(name=bson_document, n_stages=1)'
        assert str(dynamodb_document_serializer) == 'SerializerPipeline(name=dynamodb_document, n_stages=2)'
        assert str(safe_pickle_serializer('x')) == 'SerializerPipeline(name=safe_pickle, n_stages=3)'
        assert utf8_serializer.loads(utf8_serializer.dumps('é')) == 'é'

    def test_init(self):
        assert init_serializer(None, True) is None
        pipeline = init_serializer(json_serializer, True)
        assert pipeline is not json_serializer
        assert (pipeline.stages[0].decode_content, json_serializer.stages[0].decode_content) == (True, False)
        assert str(init_serializer(pickle, False)) == f'SerializerPipeline(name={pickle}, n_stages=1)'
        with pytest.raises(KeyError, match="Unknown serializer: 'nope'"):
            init_serializer('nope', False)
        with pytest.raises(TypeError, match='dumps'):
            init_serializer(object(), False)

    def test_compressed(self):
        zipped = SerializerPipeline(
            [pickle_serializer, Stage(dumps=gzip.compress, loads=gzip.decompress)], is_binary=True
        )
        pipeline = init_serializer(zipped, False)
        assert_same(response(), pipeline.loads(pipeline.dumps(response())))
        assert gzip.decompress(pipeline.dumps(response()))

    def test_plain_modules_as_stages(self):
        pipeline = init_serializer(SerializerPipeline([*json_serializer.stages[:1], json]), True)
        assert json.loads(pipeline.dumps(response()))['_decoded_content'] == 'body'

    def test_extended_stages(self):
        pipeline = pickle_serializer.copy()
        pipeline.stages.append(Stage(dumps=lambda v: v[::-1], loads=lambda v: v[::-1]))
        assert_same(response(), pipeline.loads(pipeline.dumps(response())))
        assert len(pipeline.dump_stages) == len(pipeline.load_stages) == 3
        assert len(pickle_serializer.stages) == 2

    def test_stage_of_an_object(self):
        class Own:
            def write(self, value):
                return ('written', value)

            def read(self, value):
                return value[1]

        stage = Stage(Own(), dumps='write', loads='read').copy()
        assert stage.loads(stage.dumps(5)) == 5
        with pytest.raises(AttributeError):
            Stage(Own())

    def test_missing_library(self, monkeypatch):
        monkeypatch.setattr('requests_cache.serializers.pipeline.find_spec', lambda name: None)
        with pytest.raises(MissingDependencyError, match=r"'requests-cache\[yaml\]'"):
            init_serializer('yaml', False)

    def test_other_errors_are_raised(self):
        with pytest.raises(TypeError):
            init_serializer('json', True).dumps({'a': object()})


class TestCattrs:
    def test_values_that_are_not_responses_pass_through(self):
        assert CattrStage().dumps('key') == CattrStage().loads('key') == 'key'

    def test_hooks_of_the_user(self):
        stage = CattrStage()
        stage.converter.register_unstructure_hook(datetime, lambda d: d.timestamp())
        stage.converter.register_structure_hook(datetime, lambda v, _: datetime.fromtimestamp(v, timezone.utc))
        record = stage.dumps(response())
        assert record['created_at'] == CREATED.timestamp()
        assert_same(response(), stage.loads(record))
        assert stage.copy().converter is stage.converter

    @pytest.mark.parametrize('module', ['json', 'bson', 'pyyaml', 'ujson'])
    def test_converters_of_cattrs(self, module):
        from importlib import import_module

        factory = import_module(f'cattrs.preconf.{module}').make_converter
        stage = CattrStage(factory, convert_datetime=False)
        assert_same(response(), stage.loads(stage.dumps(response())))

    @pytest.mark.parametrize('b64', [False, True])
    def test_stages_made_by_name(self, b64):
        pipeline = SerializerPipeline([make_stage('cattrs.preconf.json', b64=b64), json])
        assert_same(response(), pipeline.loads(pipeline.dumps(response())))
        body = json.loads(pipeline.dumps(response(b'abc')))['_content']
        assert body == (b64encode(b'abc') if b64 else b85encode(b'abc')).decode()

    def test_times_and_durations_left_to_the_next_stage(self):
        record = CattrStage(convert_datetime=False, convert_timedelta=False).dumps(response())
        assert (record['created_at'], record['elapsed']) == (CREATED, timedelta(seconds=1.5))
        assert_same(response(), CattrStage().loads(record))


class TestReadingJsonInParts:
    """The body and its readable copy are not parsed, which must not show"""

    @pytest.mark.parametrize('content_type', ['text/plain', 'application/json', 'image/png'])
    @pytest.mark.parametrize('name', ['json', 'ujson'])
    def test_same_as_whole(self, name, content_type):
        original = response(rb'{"a": ["\\", "}", 1]}', content_type)
        text = serializer(name, decode_content=True).dumps(original)
        assert ('"_decoded_content"' in text) is (content_type != 'image/png')
        assert serializer(name).loads(text) == from_record(json.loads(text)) == original
        assert serializer(name).loads(text.encode()) == original

    @pytest.mark.parametrize('indent', [None, 2, 4])
    @pytest.mark.parametrize('order', [sorted, list, lambda names: sorted(names, reverse=True)])
    def test_written_by_another_tool(self, indent, order):
        document = json.loads(serializer('json', decode_content=True).dumps(response()))
        text = json.dumps({name: document[name] for name in order(document)}, indent=indent)
        assert serializer('json').loads(text) == serializer('json').loads(text.encode()) == response()

    @pytest.mark.parametrize('damage', [lambda b: b[:-1], lambda b: b[4:], lambda b: '*' + b[1:], lambda b: ''])
    def test_damaged_body(self, damage):
        text = serializer('json').dumps(response())
        body = json.loads(text)['_content']
        for content in (text.replace(body, damage(body), 1), text.replace(body, damage(body), 1).encode()):
            with pytest.raises(InvalidEntryError):
                serializer('json').loads(content)

    def test_escapes_in_the_body(self):
        text = serializer('json', decode_content=True).dumps(response())
        first = json.loads(text)['_content'][0]
        escaped = text.replace(f'"_content": "{first}', f'"_content": "\\u{ord(first):04x}', 1)
        assert escaped != text
        assert serializer('json').loads(escaped) == serializer('json').loads(escaped.encode()) == response()

    def test_torn_readable_copy(self):
        """Nobody reads it, so it does no harm that its end is lost"""
        text = serializer('json', decode_content=True).dumps(response())
        assert serializer('json').loads(text[: text.index('"_decoded_content"') + 22]) == response()


def test_cattrs_is_needed_for_converters_only(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cattrs', None)
    for serializer in ('json', 'pickle'):
        cache = BaseCache()
        cache.responses = DictStorage(serializer=serializer)
        cache.save_response(CachedResponse(content=b'x', status_code=200, url='http://page'), 'key')
        assert cache.get_response('key').content == b'x'
    with pytest.raises(MissingDependencyError, match=r'requests-cache\[cattrs\]'):
        CattrStage().converter  # noqa: B018
