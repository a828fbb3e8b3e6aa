"""Models of requests and responses"""

from __future__ import annotations

import copy
import io
import pickle
from datetime import datetime, timedelta, timezone

import pytest
import requests
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from requests_cache import CachedHTTPResponse, CachedRequest, CachedResponse, OriginalResponse
from requests_cache._utils import format_file_size

URL = 'http://example.com/a?b=1'


def cached(**kwargs):
    kwargs = {'content': b'body', 'status_code': 200, 'url': URL, 'reason': 'OK', **kwargs}
    return CachedResponse(headers=CaseInsensitiveDict(Name='value'), **kwargs)


class TestRequest:
    @pytest.mark.parametrize(
        ('given', 'body'),
        [(None, b''), ('', b''), ('é', 'é'.encode()), (b'x', b'x'), (bytearray(b'y'), b'y'), (5, b'5')],
    )
    def test_body_is_bytes(self, given, body):
        request = CachedRequest(body=given)
        assert request.body == body
        request.body = given
        assert request.body == body

    def test_from_request_and_back(self):
        original = requests.Request('POST', URL, data='x', headers={'A': '1'}, cookies={'c': '2'}).prepare()
        request = CachedRequest.from_request(original)
        original.headers['A'] = 'changed'
        assert (request.method, request.url, request.body, request.headers['A']) == ('POST', URL, b'x', '1')
        assert request._cookies.get_dict() == {'c': '2'}
        again = request.prepare()
        assert (again.method, again.url, again.body, again.headers['a']) == ('POST', URL, b'x', '1')
        assert request.copy() == request
        assert request.copy().headers is not request.headers

    def test_text(self):
        request = CachedRequest(method='GET', url=URL)
        assert str(request) == f'GET {URL}'
        assert repr(request) == f"CachedRequest(body=b'', method='GET', url='{URL}')"
        assert repr(CachedRequest()) == "CachedRequest(body=b'')"
        assert (request.path_url, CachedRequest(url='http://h').path_url) == ('/a?b=1', '/')

    def test_unprepared_parts(self):
        request = CachedRequest.from_request(requests.PreparedRequest())
        assert (request.method, request.body, dict(request.headers)) == (None, b'', {})

    def test_single_header_fields(self):
        request = CachedRequest._from_record({'headers': {'Accept': 'a', 'X-Other': 'b'}})
        assert [request.header(name) for name in ('accept', 'x-other', 'x')] == ['a', 'b', None]
        assert 'headers' not in request.__dict__
        assert request.headers == {'accept': 'a', 'x-other': 'b'}
        assert [request.header(name) for name in ('accept', 'x')] == ['a', None]


class TestResponse:
    def test_from_response(self):
        original = requests.Response()
        original.status_code, original.url, original._content = 200, URL, b'x'
        original.headers['A'] = '1'
        original.elapsed = timedelta(seconds=2)
        response = CachedResponse.from_response(original, expires=None)
        assert (response.content, response.status_code, response.elapsed.seconds) == (b'x', 200, 2)
        assert response.request == CachedRequest()

    def test_copy_with_changes(self):
        expires = datetime(2030, 1, 1, tzinfo=timezone.utc)
        first = cached()
        second = CachedResponse.from_response(first, expires=expires)
        second.headers['Name'] = 'other'
        assert (first.expires, second.expires, first.headers['Name']) == (None, expires, 'value')
        assert second.created_at == first.created_at

    def test_expiration(self):
        now = datetime.now(timezone.utc)
        assert not cached().is_expired
        assert (cached().expires_delta, cached().expires_unix) == (None, None)
        assert cached(expires=now - timedelta(seconds=1)).is_expired
        soon = cached(expires=now + timedelta(seconds=100))
        assert (soon.is_expired, soon.expires_unix) == (False, round(soon.expires.timestamp()))
        assert 98 <= soon.expires_delta <= 100
        assert cached(expires=datetime(2000, 1, 1)).expires == datetime(2000, 1, 1, tzinfo=timezone.utc)
        assert soon.reset_expiration(-5) is soon.is_expired is True
        soon.expires = 'what'
        assert soon.is_expired

    def test_is_older_than(self):
        response = cached(created_at=datetime.now(timezone.utc) - timedelta(seconds=100))
        assert response.is_older_than(50)
        assert not response.is_older_than(timedelta(seconds=150))
        assert response.is_older_than(datetime.now(timezone.utc))
        assert not response.is_older_than(None)
        response.created_at = response.created_at.replace(tzinfo=None)
        assert response.is_older_than(50)

    def test_text(self):
        created = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
        response = cached(created_at=created, request=CachedRequest(method='GET', url=URL))
        local = created.astimezone().strftime('%Y-%m-%d %H:%M:%S %Z')
        assert str(response) == (
            f'<CachedResponse [200]: "created: {local}, expires: N/A (fresh), size: 4 bytes, request: GET {URL}>'
        )
        assert repr(response).startswith(
            "CachedResponse(_content=b'body', created_at='2026-01-02 03:04:05+00:00', headers"
        )
        assert dict(response.__rich_repr__())['status_code'] == 200

    def test_works_as_a_response_of_requests(self):
        response = cached(content=b'{"a": "\xc3\xa9"}\nline', encoding='utf-8')
        assert response.text == '{"a": "é"}\nline'
        assert list(response.iter_lines()) == [b'{"a": "\xc3\xa9"}', b'line']
        assert next(response.iter_content(4, decode_unicode=True)) == '{"a"'
        assert list(response) == list(response)
        assert response.ok
        assert response
        with response:
            response._content_consumed = False
            assert response._content_consumed
        assert response.links == {}
        assert (response.is_redirect, response.next) == (False, None)
        assert response.apparent_encoding

    def test_body_that_is_not_there(self):
        response = CachedResponse()
        assert (response.content, response.text, response.size) == (None, '', 0)
        assert list(response.iter_content()) == list(response.iter_lines()) == []
        assert response.apparent_encoding == 'utf-8'

    def test_next(self):
        response = cached(next=CachedRequest(method='GET', url=URL))
        assert response.next.url == URL

    def test_equal_by_fields_and_hashable(self):
        created = datetime.now(timezone.utc)
        first, second = cached(created_at=created), cached(created_at=created)
        assert first == second
        assert len({first, second}) == 1
        second.headers['Name'] = 'other'
        assert first != second
        assert first != 'something else'

    def test_pickle_and_copy(self):
        response = cached(request=CachedRequest(method='GET', url=URL))
        response.cache_key = 'key'
        response.raw.read(2)
        for other in (pickle.loads(pickle.dumps(response)), copy.copy(response), copy.deepcopy(response)):
            assert other == response
            assert (other.cache_key, other.raw.read()) == ('key', b'body')

    def test_unknown_attribute(self):
        with pytest.raises(AttributeError, match="'CachedResponse' object has no attribute 'nope'"):
            cached().nope  # noqa: B018

    @pytest.mark.parametrize(
        ('size', 'text'), [(0, '0 bytes'), (1023, '1023 bytes'), (1024, '1.00 KiB'), (5 * 2**20, '5.00 MiB'),
                           (3 * 2**30, '3.00 GiB'), (2**42, '4096.00 GiB')],
    )  # fmt: skip
    def test_sizes(self, size, text):
        assert format_file_size(size) == text


class TestOriginalResponse:
    def test_wrap(self):
        class Actions:
            cache_key, expires = 'key', None

        original = requests.Response()
        wrapped = OriginalResponse.wrap_response(original, Actions)
        assert wrapped is original
        assert (wrapped.cache_key, wrapped.expires, wrapped.from_cache, wrapped.revalidated) == (
            'key',
            None,
            False,
            False,
        )
        assert repr(wrapped) == '<Response [None]>'
        assert {wrapped}

    def test_pickle(self):
        original = OriginalResponse()
        original._content = b'x'
        original.status_code = 200
        other = pickle.loads(pickle.dumps(original))
        assert isinstance(other, OriginalResponse)
        assert (other.content, other.created_at, other.from_cache) == (b'x', original.created_at, False)


class TestRawResponse:
    def test_reading(self):
        raw = CachedHTTPResponse(b'0123456789', status=200, request_url=URL, headers={'Content-Length': '10'})
        assert raw.read(4) == b'0123'
        assert (raw.tell(), raw._fp_bytes_read, raw.length_remaining) == (4, 4, 6)
        assert raw.read1(2) == b'45'
        assert list(raw.stream(3)) == [b'678', b'9', b'']
        assert (raw.closed, raw.isclosed(), raw.read()) == (True, True, b'')
        assert raw.data == b'0123456789'
        raw.reset(b'new')
        assert (raw.read(), raw.data) == (b'new', b'new')
        raw.release_conn()
        raw.drain_conn()
        raw.close()

    @pytest.mark.parametrize(
        'read',
        [
            lambda raw: raw.read(0),
            lambda raw: raw.read1(0),
            lambda raw: raw.readinto(bytearray()) or b'',
            lambda raw: raw.readinto(memoryview(bytearray())) or b'',
            lambda raw: raw.readline(0),
            lambda raw: b''.join(raw.stream(0)),
        ],
    )
    def test_reading_nothing_leaves_it_open(self, read):
        """As urllib3 does it for a response of the origin"""
        raw = CachedHTTPResponse(b'0123')
        assert (read(raw), raw.closed, raw.read(1)) == (b'', False, b'0')
        assert (read(raw), raw.closed, raw.tell(), raw.read()) == (b'', False, 1, b'123')
        assert raw.closed

    @pytest.mark.parametrize('size', [None, -1])
    def test_reading_all_closes_it(self, size):
        for read in (CachedHTTPResponse.read, CachedHTTPResponse.read1):
            raw = CachedHTTPResponse(b'0123')
            assert (read(raw, size), raw.closed, read(raw, size), raw.read(0)) == (b'0123', True, b'', b'')
        assert list(CachedHTTPResponse(b'0123').stream(size)) == [b'0123']

    def test_without_a_connection(self):
        raw = CachedHTTPResponse(b'0123', version=11)
        for call in (raw.shutdown, raw.release_conn, raw.drain_conn):
            call()
        assert (raw.read(), raw.version_string) == (b'0123', 'HTTP/1.1')
        assert CachedHTTPResponse(b'', version=0).version == 0

    def test_as_a_file(self):
        assert io.BufferedReader(CachedHTTPResponse(b'0123')).read() == b'0123'
        assert list(CachedHTTPResponse(b'a\nb')) == [b'a\n', b'b']
        raw = CachedHTTPResponse(b'0123')
        assert raw.readable()
        assert not raw.supports_chunked_reads()
        buffer = bytearray(3)
        assert (raw.readinto(buffer), bytes(buffer)) == (3, b'012')
        with pytest.raises(io.UnsupportedOperation):
            raw.fileno()

    def test_coding_is_not_redone(self, caplog):
        raw = CachedHTTPResponse(b'decoded', headers={'Content-Encoding': 'gzip'})
        assert raw.read(decode_content=True) == b'decoded'
        raw.reset()
        assert raw.read(decode_content=False) == b'decoded'
        assert 'stored decoded' in caplog.text

    def test_repr(self):
        raw = CachedHTTPResponse(b'x', status=200, reason='OK', request_url=URL, headers={'A': '1'})
        assert repr(raw) == (
            f"CachedHTTPResponse(headers=HTTPHeaderDict({{'A': '1'}}), reason='OK', request_url='{URL}', status=200)"
        )

    def test_from_response(self):
        original = requests.Response()
        original.status_code, original.url, original._content = 200, URL, b'x'
        raw = CachedHTTPResponse.from_response(original)
        assert (raw.read(), raw.status, raw.geturl()) == (b'x', 200, URL)


def test_cookies_keep_their_attributes():
    from requests_cache import pickle_serializer

    response = cached()
    response.cookies.set('a', '1', domain='example.com', path='/x', secure=True, expires=2**31, rest={'HttpOnly': None})
    response.cookies.set('a', '2', domain='example.com', path='/y')
    jar = pickle_serializer.loads(pickle_serializer.dumps(response)).cookies
    assert isinstance(jar, RequestsCookieJar)
    assert [(c.name, c.value, c.path, c.domain) for c in jar] == [
        ('a', '1', '/x', 'example.com'), ('a', '2', '/y', 'example.com'),
    ]  # fmt: skip
    first = next(iter(jar))
    assert (first.secure, first.expires, first.has_nonstandard_attr('HttpOnly')) == (True, 2**31, True)
