"""The checksum of a record: the same on both sides of every format, and another one after any damage"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import bson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from requests_cache import (
    SERIALIZERS,
    CachedRequest,
    CachedResponse,
    SerializerPipeline,
    Stage,
    bson_document_serializer,
    dict_serializer,
    dynamodb_document_serializer,
    json_serializer,
)
from requests_cache.exceptions import InvalidEntryError
from requests_cache.models.body import Body
from requests_cache.serializers.checksum import FIELD, record_checksum
from requests_cache.testing.values import FAR, facts, make_response

TEXTS = {name: SERIALIZERS[name] for name in ('json', 'ujson', 'orjson', 'yaml', 'bson')}


def through_bson(document: Any) -> Any:
    return bson.decode(bson.encode(document))


def in_another_order(value: Any) -> Any:
    """What DynamoDB may make of an item"""
    if isinstance(value, dict):
        return {name: in_another_order(value[name]) for name in sorted(value, reverse=True)}
    return [in_another_order(v) for v in value] if isinstance(value, list) else value


def to_decimals(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: to_decimals(v) for name, v in value.items()}
    if isinstance(value, list):
        return [to_decimals(v) for v in value]
    return Decimal(repr(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


DOCUMENTS: dict[str, tuple[SerializerPipeline, Callable[[Any], Any]]] = {
    'mongodb': (bson_document_serializer, through_bson),
    'dict in mongodb': (dict_serializer, through_bson),
    'dynamodb': (dynamodb_document_serializer, lambda item: in_another_order(to_decimals(item))),
    'dict in dynamodb': (dict_serializer, lambda item: in_another_order(to_decimals(item))),
}
FORMATS: dict[str, tuple[SerializerPipeline, Callable[[Any], Any]]] = {
    **{name: (pipeline, lambda data: data) for name, pipeline in TEXTS.items()},
    **DOCUMENTS,
}


def rich_response(**fields: Any) -> CachedResponse:
    """A response in which every field of a record is set"""
    jar = RequestsCookieJar()
    jar.set('name', 'value', domain='example.com', path='/', expires=1.8e9)
    hop = make_response(2, status_code=302, elapsed=timedelta(seconds=2))
    response = make_response(
        1,
        cookies=jar,
        expires=FAR,
        history=[hop],
        next=CachedRequest(method='GET', url='http://example.com/next', body=b'\xff'),
        **{'created_at': datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc), **fields},
    )
    response._header_fields = (('Set-Cookie', 'name=value'), ('Set-Cookie', 'other='))
    response._http_version, response._generation = 11, 'abc'
    return response


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a record there are values without parts"""
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    else:
        return [path]
    return [leaf for name, part in parts for leaf in leaves(part, (*path, name))]


def changed(value: Any) -> Any:
    if isinstance(value, datetime):
        return value - timedelta(seconds=1)
    if isinstance(value, (bool, type(None))):
        return not value
    if isinstance(value, str):
        return value + 'x'
    return value + b'x' if isinstance(value, bytes) else value + 1


@pytest.mark.parametrize('name', FORMATS)
class TestEveryFormat:
    def test_what_was_written_is_read(self, name: str) -> None:
        pipeline, store = FORMATS[name]
        for number in (0, 1, 1.0, 0.1, 1e-6, 123456.789, 1e9):
            for response in (rich_response(elapsed=timedelta(seconds=number)), CachedResponse(), make_response(1)):
                read = pipeline.loads(store(pipeline.dumps(response)))
                assert read.headers == response.headers
                # Once more, with what a format or store has cut off
                assert facts(pipeline.loads(store(pipeline.dumps(read)))) == facts(read)

    @settings(max_examples=60)
    @given(
        content=st.binary() | st.none(),
        texts=st.lists(st.text(st.characters(codec='utf-8')), min_size=4, max_size=4),
        headers=st.dictionaries(
            st.text(st.characters(codec='utf-8', exclude_characters='\x00'), min_size=1), st.text()
        ),
        elapsed=st.timedeltas(timedelta(0), timedelta(days=900)),
        created_at=st.datetimes(datetime(1970, 1, 2), timezones=st.just(timezone.utc)),
    )
    def test_anything(
        self, content: Any, texts: list[str], headers: dict[str, str], elapsed: Any, created_at: Any, name: str
    ) -> None:
        pipeline, store = FORMATS[name]
        reason, url, cookie, body = texts
        jar = RequestsCookieJar()
        jar.set('name', cookie)
        fields = CaseInsensitiveDict(headers)
        response = CachedResponse(
            content=content, reason=reason, url=url, cookies=jar, headers=fields, elapsed=elapsed, created_at=created_at
        )
        response.request = CachedRequest(method='POST', url=url, body=body, headers=fields)
        response._header_fields = (*headers.items(), *headers.items())
        response.history = [CachedResponse.from_response(response, history=[])]
        response._http_version = 11
        read = pipeline.loads(store(pipeline.dumps(response)))
        assert (read.content, read.reason, read.url, read.headers) == (content, reason, url, fields)


@pytest.mark.parametrize('name', DOCUMENTS)
def test_every_value_of_a_document_counts(name: str) -> None:
    pipeline, store = DOCUMENTS[name]
    whole = store(pipeline.dumps(rich_response()))
    assert pipeline.loads(whole).reason == 'Very Fine'
    for *path, last in leaves(whole):
        place = whole
        for part in path:
            place = place[part]
        right, place[last] = place[last], changed(place[last])
        with pytest.raises(InvalidEntryError):
            pipeline.loads(whole)
        place[last] = right
    for field in set(whole) - {FIELD}:
        with pytest.raises(InvalidEntryError):
            pipeline.loads({k: v for k, v in whole.items() if k != field})


@pytest.mark.parametrize('flip', [1, 4, 32, 128])
@pytest.mark.parametrize('name', TEXTS)
def test_flipped_bits(name: str, flip: int) -> None:
    """Whatever is read is what was written"""
    pipeline = TEXTS[name]
    data = pipeline.dumps(rich_response())
    data = data.encode() if isinstance(data, str) else data
    whole = facts(pipeline.loads(data if pipeline.is_binary else data.decode()))
    for position in range(len(data)):
        damaged = data[:position] + bytes([data[position] ^ flip]) + data[position + 1 :]
        try:
            read = pipeline.loads(damaged if pipeline.is_binary else damaged.decode())
        except Exception:
            continue
        assert facts(read) == whole, data[position - 20 : position + 20]
        assert read.raw.headers.getlist('Set-Cookie') == ['name=value', 'other=']


@settings(max_examples=300)
@given(data=st.data())
def test_any_byte_of_json(data: st.DataObject) -> None:
    pipeline = json_serializer.copy()
    pipeline.set_decode_content(True)
    response = rich_response(
        content=b'{"a": [1, "b"]}', headers=CaseInsensitiveDict({'Content-Type': 'application/json'})
    )
    text = pipeline.dumps(response).encode()
    position, byte = data.draw(st.integers(0, len(text) - 1)), data.draw(st.integers(0, 255))
    try:
        read = pipeline.loads(text[:position] + bytes([byte]) + text[position + 1 :])
    except Exception:
        return
    assert facts(read) == facts(response)


@pytest.mark.parametrize('name', ['json', 'ujson', 'orjson', 'yaml'])
def test_cut_off_text(name: str) -> None:
    """YAML, and JSON read in parts, may have no end: the checksum comes first"""
    pipeline = TEXTS[name].copy()
    pipeline.set_decode_content(True)
    response = rich_response(content=b'text', headers=CaseInsensitiveDict({'Content-Type': 'text/plain'}))
    data = pipeline.dumps(response)
    for length in range(0, len(data), 3 if name == 'yaml' else 1):
        try:
            read = pipeline.loads(data[:length])
        except Exception:
            continue
        assert isinstance(read, CachedResponse) is False or facts(read) == facts(response)


class TestWhatTakesPart:
    def test_the_readable_copy_may_be_edited(self) -> None:
        pipeline = json_serializer.copy()
        pipeline.set_decode_content(True)
        response = make_response(1, content=b'{}', headers=CaseInsensitiveDict({'Content-Type': 'application/json'}))
        record = json.loads(pipeline.dumps(response))
        for copy in ({'a': [1.5, None]}, 'text', None):
            assert facts(pipeline.loads(json.dumps({**record, '_decoded_content': copy}))) == facts(response)
        del record['_decoded_content']
        assert facts(pipeline.loads(json.dumps(record))) == facts(response)

    def test_a_copy_without_a_body_is_what_is_served(self) -> None:
        record = dict_serializer.dumps(CachedResponse(decoded_content={'a': 1.0}))
        assert dict_serializer.loads(record)._decoded_content == {'a': 1}
        with pytest.raises(InvalidEntryError):
            dict_serializer.loads({**record, '_decoded_content': {'a': 2}})

    @pytest.mark.parametrize('name', DOCUMENTS)
    def test_where_a_body_is_kept(self, name: str) -> None:
        pipeline, store = DOCUMENTS[name]
        record = store(pipeline.dumps(make_response(1)._with_body(Body.whole('abc', 10, 5))))
        assert pipeline.loads(record).size == 10
        for field, value in (('id', 'abd'), ('length', 11), ('piece_bytes', 4), ('coded', True)):
            with pytest.raises(InvalidEntryError, match='checksum'):
                pipeline.loads({**record, 'stored_body': {**record['stored_body'], field: value}})

    def test_fields_of_others_do_not(self) -> None:
        record = bson_document_serializer.dumps(make_response(1))
        assert bson_document_serializer.loads({**record, 'ttl': datetime.now()}).status_code == 200

    def test_records_without_the_field_are_read(self) -> None:
        record = json.loads(json_serializer.dumps(make_response(1)))
        checksum = record.pop(FIELD)
        assert facts(json_serializer.loads(json.dumps(record))) == facts(make_response(1))
        assert record_checksum(record) == checksum

    @pytest.mark.parametrize('value', [None, 0, 'text', [], {}, True])
    def test_something_else_in_its_place(self, value: Any) -> None:
        record = json.loads(json_serializer.dumps(make_response(1)))
        with pytest.raises(InvalidEntryError, match='checksum'):
            json_serializer.loads(json.dumps({**record, FIELD: value}))

    @pytest.mark.parametrize('value', [{1: 2, 'a': 3}, {'a': object()}, Decimal('NaN'), Decimal('1e999')])
    def test_values_that_no_record_holds(self, value: Any) -> None:
        record = dict_serializer.dumps(make_response(1))
        for field in ('headers', 'elapsed', 'cookie_attributes'):
            with pytest.raises(InvalidEntryError):
                dict_serializer.loads({**record, field: value})

    def test_values_that_are_not_records(self) -> None:
        stage = json_serializer.stages[-1]
        for value in ({'a': 1}, {'created_at': 1}, [], 'text', None):
            assert stage.dumps(value) == json.dumps(value, indent=2)
            assert stage.loads(stage.dumps(value)) == value


class TestStagesOfTheUser:
    def test_a_stage_that_changes_records(self) -> None:
        """What it makes of a record is what is written, so that it need not be undone"""
        pipeline = json_serializer.copy()
        pipeline.stages.insert(
            1, Stage(dumps=lambda record: {**record, 'reason': 'Hidden'}, loads=lambda record: record)
        )
        assert pipeline.loads(pipeline.dumps(make_response(1))).reason == 'Hidden'

    def test_a_stage_that_makes_something_else(self) -> None:
        pipeline = json_serializer.copy()
        pipeline.stages.insert(1, Stage(dumps=lambda r: {**r, 'headers': {1: 'a', 'b': 2}}, loads=lambda r: r))
        assert FIELD not in json.loads(pipeline.dumps(make_response(1)))

    @pytest.mark.parametrize('serializer', [json_serializer, dict_serializer])
    def test_a_converter(self, serializer: SerializerPipeline) -> None:
        stage = type(serializer.stages[0])(encode_bytes=True)
        stage.converter.register_unstructure_hook(datetime, lambda d: d.timestamp())
        stage.converter.register_structure_hook(datetime, lambda v, _: datetime.fromtimestamp(v, timezone.utc))
        pipeline = SerializerPipeline([stage, *serializer.stages[1:]])
        assert pipeline.loads(pipeline.dumps(make_response(1))) == make_response(1)
