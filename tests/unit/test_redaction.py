"""Secrets are not stored, and all that is no secret is stored as it was"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests import Request
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict
from urllib3._collections import HTTPHeaderDict

from requests_cache.cache_keys import create_key, redact_response
from requests_cache.keys.redaction import redact_headers, redact_url
from requests_cache.models.request import CachedRequest
from requests_cache.models.response import CachedResponse

IGNORED = ('Authorization', 'X-API-Key', 'api_key', 'sid')
FORM = 'application/x-www-form-urlencoded'
JSON = 'application/json'
MULTIPART = 'multipart/form-data; boundary=XX'
URL = 'http://example.com/a?b=2&api_key=SECRET&a=1'
REDACTED_URL = 'http://example.com/a?b=2&api_key=REDACTED&a=1'


def cached_request(**fields: Any) -> CachedRequest:
    fields['headers'] = CaseInsensitiveDict(fields.get('headers') or {})
    return CachedRequest(**{'method': 'POST', 'url': 'http://example.com/', **fields})


def stored(**fields: Any) -> CachedResponse:
    """A response like those that are stored, redacted"""
    return redact_response(CachedResponse(**fields), IGNORED)


def stored_request(**fields: Any) -> CachedRequest:
    return stored(request=cached_request(**fields)).request


def stored_body(body: str | bytes, content_type: str = JSON) -> bytes:
    return stored_request(body=body, headers={'Content-Type': content_type}).body


def jar(**cookies: str) -> RequestsCookieJar:
    made = RequestsCookieJar()
    for name, value in cookies.items():
        made.set(name, value, domain='example.com', path='/')
    return made


class TestUrls:
    @pytest.mark.parametrize(
        ('url', 'redacted'),
        [
            (URL, REDACTED_URL),
            ('http://h/?API_KEY=x&Api_Key=y', 'http://h/?API_KEY=REDACTED&Api_Key=REDACTED'),
            ('http://h/?api%5Fkey=x', 'http://h/?api_key=REDACTED'.replace('_', '%5F')),
            ('http://h/?api_key=a=b%26c&&x=%zz&y=é&flag&api_key', 'http://h/?api_key=REDACTED&&x=%zz&y=é&flag&api_key'),
            ('http://h/?api_key=', 'http://h/?api_key='),
            ('http://h/#api_key=x&b=1', 'http://h/#api_key=REDACTED&b=1'),
            ('HTTP://User:pa%3Ass@Host:080/..//a?#', 'HTTP://User:REDACTED@Host:080/..//a?#'),
            ('http://:x@h', 'http://:REDACTED@h'),
            ('http://a@b:x@h/', 'http://a@b:REDACTED@h/'),
            ('//user:x@h/a', '//user:REDACTED@h/a'),
            ('http://user@h/a:b@c', 'http://user@h/a:b@c'),
            ('http://user:@h/', 'http://user:@h/'),
            ('/path?api_key=x', '/path?api_key=REDACTED'),
            ('/?a=1;api_key=x', '/?a=1;api_key=REDACTED'),
            ('/?a=1;api_key=x;b=2;c', '/?a=1;api_key=REDACTED;b=2;c'),
            ('/?a=1; api_key=x;y&b=2', '/?a=1; api_key=REDACTED&b=2'),
            ('/?api_key=x;b=2&c=3', '/?api_key=REDACTED&c=3'),
            ('/?a=1;api_key=;b=2', '/?a=1;api_key=;b=2'),
            ('/?api_key[]=x&api_key[0]=y&sid%5Ba%5D=z', '/?api_key[]=REDACTED&api_key[0]=REDACTED&sid%5Ba%5D=REDACTED'),
            ('/?user[API_KEY]=x&u[a][sid][]=y&u[b]=1', '/?user[API_KEY]=REDACTED&u[a][sid][]=REDACTED&u[b]=1'),
            ('/?my_api_key=x&api_key2=y&sid.a=z', '/?my_api_key=x&api_key2=y&sid.a=z'),
            ('/a;api_key=x/b;c=1;sid=y?d=2', '/a;api_key=REDACTED/b;c=1;sid=REDACTED?d=2'),
            ('/a;api_key=/b;c', '/a;api_key=/b;c'),
            ('/a&api_key=x/y&b=1', '/a&api_key=REDACTED&b=1'),
            ('/#/route?api_key=x&b=1', '/#/route?api_key=REDACTED&b=1'),
            ('/#/api_key=x&b=1', '/#/api_key=REDACTED&b=1'),
            ('/?u=http://h/?api_key=x&b=1', '/?u=http://h/?api_key=REDACTED&b=1'),
            ('/?u=http://me:x@h/', '/?u=http://me:REDACTED@h/'),
            ('/?u=%2Fp%3Fa%3D1%26sid%3Dx%26b%3D2&c=3', '/?u=%2Fp%3Fa%3D1%26sid%3DREDACTED%26b%3D2&c=3'),
            ('/?u=%252Fp%253Fsid%253Dx', '/?u=%252Fp%253Fsid%253DREDACTED'),
            ('/?v=%7B%22a%22:+1,+%22sid%22:+%22x%22%7D', '/?v=%7B%22a%22:+1,+%22sid%22:+%22REDACTED%22%7D'),
            ('/?v={"sid":["x"],"a":1}', '/?v={"sid":"REDACTED","a":1}'),
            ('?api_key=x', '?api_key=REDACTED'),
            ('mailto:a:b@c', 'mailto:a:b@c'),
            ('', ''),
        ],
    )
    def test_only_secrets_change(self, url: str, redacted: str) -> None:
        assert redact_url(url, IGNORED) == redacted

    @given(st.text() | st.text('htp:/?#[]@%&=.x\n'))
    def test_any_text_is_taken(self, url: str) -> None:
        assert redact_url(redact_url(url, IGNORED), IGNORED) == redact_url(url, IGNORED)
        assert redact_url(url, ()) == redact_url(url, None) == url

    def test_names_that_are_not_ascii(self) -> None:
        assert redact_url('/?u=a%26%C3%A9%3Dx', ['É']) == '/?u=a%26%C3%A9%3DREDACTED'

    def test_in_all_places(self) -> None:
        response = stored(
            url=URL,
            request=cached_request(url=URL),
            next=cached_request(url=URL),
            headers=CaseInsensitiveDict({'Location': URL, 'Content-Location': '/?sid=x', 'Link': f'<{URL}>'}),
        )
        assert [response.url, response.request.url, response._next.url] == [REDACTED_URL] * 3
        assert list(response.headers.values()) == [REDACTED_URL, '/?sid=REDACTED', f'<{REDACTED_URL}>']
        assert response.raw.geturl() == REDACTED_URL


class TestHeaders:
    def test_names_have_any_case_and_order_stays(self) -> None:
        fields = {'Z': 'b, A', 'authorization': 'Bearer x', 'A': 'Text/HTML,b', 'x-api-KEY': 'k'}
        expected = [('Z', 'b, A'), ('authorization', 'REDACTED'), ('A', 'Text/HTML,b'), ('x-api-KEY', 'REDACTED')]
        for headers in (fields, CaseInsensitiveDict(fields), HTTPHeaderDict(fields)):
            redacted = redact_headers(headers, IGNORED)
            assert type(redacted) is type(headers)
            assert list(redacted.items()) == expected
            assert list(headers.items()) == list(fields.items())
        response = stored(headers=CaseInsensitiveDict(fields), request=cached_request(headers=fields))
        assert list(response.headers.items()) == expected
        assert list(response.request.headers.items()) == expected

    @pytest.mark.parametrize(
        ('name', 'value', 'redacted'),
        [
            ('Link', '</?sid=a,b;c>; rel="next", <//u:p@h/>', '</?sid=REDACTED>; rel="next", <//u:REDACTED@h/>'),
            ('Link', '</>; rel=up; anchor="/?sid=x"', '</>; rel=up; anchor="/?sid=REDACTED"'),
            ('Refresh', '5; url=/a?sid=x;y', '5; url=/a?sid=REDACTED'),
            ('Refresh', "0;URL='/a?b=1&sid=x'", "0;URL='/a?b=1&sid=REDACTED'"),
            ('Referer', b'http://h/?sid=x', 'http://h/?sid=REDACTED'),
            ('SourceMap', 'a.map?sid=x', 'a.map?sid=REDACTED'),
            ('X-Original-URL', '/a?sid=x', '/a?sid=REDACTED'),
            ('Reporting-Endpoints', 'a="https://h/?sid=x", b="/c"', 'a="https://h/?sid=REDACTED", b="/c"'),
            ('Content-Security-Policy', 'report-uri https://h/?sid=x; a', 'report-uri https://h/?sid=REDACTED; a'),
            ('X-Args', '{"sid": "x", "a": 1}', '{"sid": "REDACTED", "a": 1}'),
            ('Accept', 'text/html;sid=0.9', 'text/html;sid=0.9'),
            ('Content-Type', 'text/plain; sid=1', 'text/plain; sid=1'),
            ('From', 'sid@example.com', 'sid@example.com'),
            ('X-Bytes', b'a=1', b'a=1'),
            ('X-Number', 5, 5),
        ],
    )
    def test_urls_and_json_in_values(self, name: str, value: Any, redacted: Any) -> None:
        assert redact_headers({name: value}, IGNORED) == {name: redacted}

    def test_repeated_fields(self) -> None:
        response = CachedResponse(headers=CaseInsensitiveDict({'Set-Cookie': 'sid=1; Path=/, b=2', 'A': '1'}))
        response._header_fields = (('Set-Cookie', 'sid=1; Path=/'), ('A', '1'), ('set-cookie', 'b=2'))
        redact_response(response, IGNORED)
        assert response._header_fields == (('Set-Cookie', 'sid=REDACTED; Path=/'), ('A', '1'), ('set-cookie', 'b=2'))
        assert response.headers['Set-Cookie'] == 'sid=REDACTED; Path=/, b=2'
        assert response.raw.headers.getlist('Set-Cookie') == ['sid=REDACTED; Path=/', 'b=2']

    def test_what_raw_showed_before_is_gone(self) -> None:
        response = CachedResponse(headers=CaseInsensitiveDict({'Authorization': 'x'}))
        assert response.raw.headers['Authorization'] == 'x'
        assert redact_response(response, IGNORED).raw.headers['Authorization'] == 'REDACTED'


class TestCookies:
    @pytest.mark.parametrize(
        ('name', 'value', 'redacted'),
        [
            ('Cookie', 'a=1; sid=x; SID="y z";b=sid=2', 'a=1; sid=REDACTED; SID=REDACTED;b=sid=2'),
            ('Cookie', b'sid=x; a=\xe9', 'sid=REDACTED; a=é'),
            ('Set-Cookie', 'sid=x; Path=/; HttpOnly', 'sid=REDACTED; Path=/; HttpOnly'),
            ('Set-Cookie', 'sid=a,b, c; Path=/', 'sid=REDACTED; Path=/'),
            (
                'Set-Cookie',
                'a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/, sid=x; Max-Age=3, Sid = y',
                'a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/, sid=REDACTED; Max-Age=3, Sid = REDACTED',
            ),
            ('Set-Cookie', 'sid=', 'sid='),
            ('Set-Cookie', 'a=sid; sid=1', 'a=sid; sid=1'),
        ],
    )
    def test_by_the_name_of_the_cookie(self, name: str, value: Any, redacted: str) -> None:
        assert redact_headers({name: value}, IGNORED) == {name: redacted}

    @pytest.mark.parametrize(
        ('ignored', 'kept', 'sent'),
        [
            (['SID'], {'sid': 'REDACTED', 'a': '1'}, {'sid': 'REDACTED', 'a': '1'}),
            (['cookie'], {'sid': 'x', 'a': '1'}, {'sid': 'REDACTED', 'a': 'REDACTED'}),
            (['set-cookie'], {'sid': 'REDACTED', 'a': 'REDACTED'}, {'sid': 'x', 'a': '1'}),
            (['other'], {'sid': 'x', 'a': '1'}, {'sid': 'x', 'a': '1'}),
        ],
    )
    def test_in_jars(self, ignored: list[str], kept: dict[str, str], sent: dict[str, str]) -> None:
        cookies = jar(sid='x', a='1')
        response = CachedResponse(cookies=cookies, request=cached_request(cookies=cookies))
        redact_response(response, ignored)
        assert response.cookies.get_dict() == kept
        assert response.request.cookies.get_dict() == sent
        assert [c.domain for c in response.cookies] == ['example.com'] * 2
        assert cookies.get_dict() == {'sid': 'x', 'a': '1'}


class TestBodies:
    @pytest.mark.parametrize(
        ('body', 'redacted'),
        [
            ('b=2&api_key=x&&a=+1', 'b=2&api_key=REDACTED&&a=+1'),
            ('API%5FKEY=x&flag', 'API%5FKEY=REDACTED&flag'),
            (b'a=\xff&api_key=\xff', b'a=\xff&api_key=REDACTED'),
            ('a=1;api_key=x', 'a=1;api_key=REDACTED'),
            ('api_key[]=x&user[sid]=y', 'api_key[]=REDACTED&user[sid]=REDACTED'),
            ('payload=%7B%22sid%22%3A1%7D', 'payload=%7B%22sid%22%3A%22REDACTED%22%7D'),
            ('{"sid": "x&y", "a": 1}', '{"sid": "REDACTED", "a": 1}'),
            ('', ''),
        ],
    )
    def test_forms(self, body: Any, redacted: Any) -> None:
        assert stored_body(body, f'{FORM} ; charset=utf-8') == (
            redacted.encode() if isinstance(redacted, str) else redacted
        )

    @pytest.mark.parametrize(
        ('body', 'redacted'),
        [
            ('{"b" : 2,\n"api_key":"x" , "a": 1.50}', '{"b" : 2,\n"api_key":"REDACTED" , "a": 1.50}'),
            ('{"r": {"l": [{"Api_Key": [1, {"x": "]"}]}, 1]}}', '{"r": {"l": [{"Api_Key": "REDACTED"}, 1]}}'),
            ('{"api\\u005fkey": null}', '{"api\\u005fkey": "REDACTED"}'),
            ('["api_key", "x"]', '["api_key", "x"]'),
            ('{"a": "\\"api_key\\": 1"}', '{"a": "\\"api_key\\": 1"}'),
            ('{"api_key": 1}\n{"api_key": 2}', '{"api_key": "REDACTED"}\n{"api_key": "REDACTED"}'),
            ('{"api_key": "unterminated', '{"api_key": "REDACTED"'),
            ('{"a": "http://h/?sid=x&b=\\u0026", "c": 1}', '{"a": "http://h/?sid=REDACTED&b=\\u0026", "c": 1}'),
            ('["https:\\/\\/u:p@h\\/"]', '["https:\\/\\/u:REDACTED@h\\/"]'),
            ('["{\\"sid\\": 1}", "to use ?sid=x"]', '["{\\"sid\\": \\"REDACTED\\"}", "to use ?sid=x"]'),
            ('\x1e{"sid": 1}\n\x1e{"a": 1}\n', '\x1e{"sid": "REDACTED"}\n\x1e{"a": 1}\n'),
            (
                '{"variables": {"in": {"sid": "x"}}, "query": "{a}"}',
                '{"variables": {"in": {"sid": "REDACTED"}}, "query": "{a}"}',
            ),
            ('{"api_key": unquoted , "a": 1}', '{"api_key": "REDACTED" , "a": 1}'),
            ('{"api_key": 12 }', '{"api_key": "REDACTED" }'),
            ('{"\\x": 1, "sid": ""}', '{"\\x": 1, "sid": "REDACTED"}'),
            ('{"a": "é\\/", "sid": -1e5}', '{"a": "é\\/", "sid": "REDACTED"}'),
            ('{"api_key": ' + '[' * 9999 + ']' * 9999 + '}', '{"api_key": "REDACTED"}'),
            ('', ''),
        ],
    )
    def test_json(self, body: str, redacted: str) -> None:
        for encoding in ('utf-8', 'utf-16-le', 'utf-8-sig'):
            if body or encoding == 'utf-8':
                have = stored_body(body.encode(encoding), 'Application/Vnd.x+JSON; q=1')
                assert have == redacted.encode(encoding)

    @pytest.mark.parametrize(
        'content_type',
        [
            'text/json',
            'TEXT/JSON; charset=UTF-8',
            'text/x-json',
            'application/problem+json',
            'Application/Vnd.API+Json;a="b"',
            'image/x+json ; q=1',
            'application/x-ndjson',
            'application/jsonl',
            'application/json-seq',
            'application/graphql+json',
            'text/plain;charset=UTF-8',
            'application/octet-stream',
            FORM,
            '',
        ],
    )
    @pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
    def test_json_by_any_name(self, content_type: str, encoding: str) -> None:
        body = '{"a": [{"Api_Key": "x"}], "b": "=&"}\n{"sid": 1}'
        redacted = '{"a": [{"Api_Key": "REDACTED"}], "b": "=&"}\n{"sid": "REDACTED"}'
        assert stored_body(body.encode(encoding), content_type) == redacted.encode(encoding)

    @pytest.mark.parametrize('encoding', ['utf-16-le', 'utf-16-be', 'utf-32-le', 'utf-32-be'])
    def test_json_with_a_byte_order_mark(self, encoding: str) -> None:
        for mark in ('', '\ufeff'):
            body = stored_body(f'{mark}{{"sid": "x"}}'.encode(encoding), JSON)
            assert body == f'{mark}{{"sid": "REDACTED"}}'.encode(encoding)

    @pytest.mark.parametrize('content_type', ['', 'text/plain', 'application/json', 'application/octet-stream'])
    def test_forms_by_any_name(self, content_type: str) -> None:
        assert stored_body('a=1&api_key=x%20y', content_type) == b'a=1&api_key=REDACTED'

    @pytest.mark.parametrize('content_type', ['', 'text/plain'])
    def test_a_url_by_itself(self, content_type: str) -> None:
        assert stored_body('http://h/?a=1&sid=x', content_type) == b'http://h/?a=1&sid=REDACTED'

    @pytest.mark.parametrize(
        ('body', 'redacted'),
        [
            ('<a><sid>x</sid> <b>1</b></a>', '<a><sid>REDACTED</sid> <b>1</b></a>'),
            ('<n:SID\n t="1">x<sid>y</sid><n:SID/><n:SID>z</n:SID></n:SID>', '<n:SID\n t="1">REDACTED</n:SID>'),
            ('<sid><![CDATA[</sid>x]]></sid>', '<sid>REDACTED</sid>'),
            ("<a sid=\"x\" b='1' n:sid = 'y>'/>", "<a sid=\"REDACTED\" b='1' n:sid = 'REDACTED'/>"),
            (
                '<!-- <sid>x</sid> --><sid/><sid></sid><sid2>x</sid2>',
                '<!-- <sid>x</sid> --><sid/><sid></sid><sid2>x</sid2>',
            ),
            ('<?xml version="1.0"?><sid>x', '<?xml version="1.0"?><sid>REDACTED'),
            ('<a>sid</a><b>"sid": 1 sid=x</b>', '<a>sid</a><b>"sid": 1 sid=x</b>'),
        ],
    )
    def test_xml(self, body: str, redacted: str) -> None:
        for content_type in ('text/xml; charset=utf-8', 'Application/SOAP+XML', 'application/xml'):
            assert stored_body(body, content_type) == redacted.encode()

    def test_json_in_a_wrong_encoding(self) -> None:
        assert stored_body(b'{"a": "\xe9", "api_key": "\xe9"}') == b'{"a": "\xe9", "api_key": "REDACTED"}'

    def test_multipart(self) -> None:
        fields = {'a': 'api_key', 'api_key': 'x\r\ny', 'b': '1'}
        request = Request('POST', URL, data=fields, files={'SID': ('n', b'\x00', 'text/plain')}).prepare()
        assert isinstance(request.body, bytes)
        body = stored_body(request.body, request.headers['Content-Type'])
        assert body == request.body.replace(b'x\r\ny', b'REDACTED').replace(b'\x00', b'REDACTED')

    @pytest.mark.parametrize('newline', ['\n', '\r\n'])
    @pytest.mark.parametrize(
        'content_type',
        [
            MULTIPART,
            'multipart/mixed; boundary="XX"',
            'MULTIPART/Related;boundary=XX; start=a',
            'multipart/form-data',
            'multipart/form-data; boundary=other',
        ],
    )
    def test_documents_of_parts(self, content_type: str, newline: str) -> None:
        def document(secret: str, member: str) -> bytes:
            inner = (
                f'--inner\nContent-Disposition: form-data; name="sid"\n\n{secret}\nof lines\n'
                if secret == 'x'
                else f'--inner\nContent-Disposition: form-data; name="sid"\n\n{secret}\n'
            )
            text = (
                f'preamble\n--XX\nContent-Disposition: form-data;\n name="user[api_key]"\n\n{secret}\n'
                f'--XX\nContent-Disposition: form-data; filename="; name=x"; name = "sid"\n\n{secret}\n'
                f'--XX\nContent-Disposition: form-data; name="a"\n\nkept sid\n'
                f'--XX\nContent-Type: text/json\n\n{{"sid": {member}}}\n'
                f'--XX\nContent-Disposition: form-data; name="operations"\n\n{{"sid": {member}}}\n'
                f'--XX\n\na=1&sid={secret}\n'
                f'--XX\nContent-Type: multipart/mixed; boundary=inner\n\n{inner}--inner--\n'
                f'--XX\nContent-Type: application/http\nX-API-Key: {secret}\n\n'
                f'POST /a?sid={secret} HTTP/1.1\nAuthorization: {secret}\nContent-Type: text/json\n\n'
                f'{{"sid": {member}}}\n'
                '--XX--\nepilogue'
            )
            return text.replace('\n', newline).encode()

        assert stored_body(document('x', '"x"'), content_type) == document('REDACTED', '"REDACTED"')

    def test_parts_within_parts_without_end(self) -> None:
        body = '\n'.join(f'--{i}\nContent-Type: multipart/mixed; boundary={i + 1}\n' for i in range(2000))
        assert stored_body(body, 'multipart/mixed; boundary=0') == body.encode()

    @pytest.mark.parametrize(
        'disposition',
        ['name=api_key', 'filename="a"; NAME="api_key"', "name*=utf-8''api%5Fkey; filename=b", 'name="api\\_key"'],
    )
    def test_names_of_parts(self, disposition: str) -> None:
        def body(value: str) -> bytes:
            return f'--XX\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n--XX--\r\n'.encode()

        assert stored_body(body('x'), MULTIPART) == body('REDACTED')
        assert stored_body(body(''), MULTIPART) == body('')

    @pytest.mark.parametrize('content_type', ['text/plain', MULTIPART, 'multipart/form-data', ''])
    def test_other_bodies_stay(self, content_type: str) -> None:
        assert stored_body(b'api_key=x\r\n\r\n{"api_key": 1}', content_type) == b'api_key=x\r\n\r\n{"api_key": 1}'


class TestResponses:
    def test_the_history_likewise(self) -> None:
        earlier = CachedResponse(
            url=URL,
            status_code=302,
            headers=CaseInsensitiveDict({'Location': URL}),
            request=cached_request(url=URL, headers={'Authorization': 'x'}),
            next=cached_request(url=URL),
        )
        (redacted,) = stored(history=[earlier]).history
        assert redacted.status_code == 302
        assert (redacted.url, redacted.headers['Location'], redacted._next.url) == (REDACTED_URL,) * 3
        assert redacted.request.headers['Authorization'] == 'REDACTED'
        assert (earlier.url, earlier.headers['Location'], earlier._next.url) == (URL,) * 3

    def test_nothing_shared_is_changed(self) -> None:
        request = cached_request(url=URL, headers={'Authorization': 'x'}, cookies=jar(sid='x'))
        headers = CaseInsensitiveDict({'X-API-Key': 'x'})
        response = CachedResponse(url=URL, headers=headers, request=request, content=b'SECRET')
        assert redact_response(response, IGNORED) is response
        assert (request.url, request.headers['Authorization'], headers['X-API-Key']) == (URL, 'x', 'x')
        assert request.cookies.get_dict() == {'sid': 'x'}
        assert response.content == b'SECRET'

    @pytest.mark.parametrize('ignored', [None, (), []])
    def test_nothing_is_done_without_names(self, ignored: Any) -> None:
        url = URL.replace('http://', 'http://u:p@')
        response = CachedResponse(
            url=url, headers=CaseInsensitiveDict({'Authorization': 'x'}), request=cached_request()
        )
        before = dict(response.__dict__)
        assert redact_response(response, ignored) is response
        assert response.__dict__ == before

    def test_a_response_read_from_the_cache(self) -> None:
        response = CachedResponse()
        record = {'url': URL, 'headers': {'X-API-Key': 'x'}, 'cookies': {'sid': 'x'}, 'request': {'url': URL}}
        response.__dict__.update(_record=record, url=URL)
        for name in ('headers', 'cookies', 'request'):
            del response.__dict__[name]
        redact_response(response, IGNORED)
        assert (response.url, response.request.url) == (REDACTED_URL,) * 2
        assert (response.headers['X-API-Key'], response.cookies['sid']) == ('REDACTED',) * 2
        assert '_record' not in response.__dict__


names = st.sampled_from(['a', 'api_key', 'sid', 'é', 'X-API-Key', 'x y'])
values = st.text('xy&=%+é"\\ ', max_size=4)
pairs = st.lists(st.tuples(names, values), min_size=1, max_size=4)
documents = st.dictionaries(names, values | st.integers() | st.lists(values, max_size=2), min_size=1, max_size=4)
requests = st.one_of(
    st.builds(lambda p, d: Request('POST', URL, params=p, data=d), pairs, pairs),
    st.builds(lambda p, d: Request('POST', URL, params=p, json=d), pairs, documents),
    st.builds(lambda d: Request('POST', URL, data=d, files={'f': ('n', b'x')}), pairs),
    st.builds(lambda p, h: Request('GET', URL, params=p, headers={'X-API-Key': h}), pairs, st.text('xyz', min_size=1)),
)


@given(requests, st.sampled_from([IGNORED, ('sid',), ('é', 'x y'), ()]))
def test_a_stored_request_keeps_its_key(request: Request, ignored: tuple[str, ...]) -> None:
    original = CachedRequest.from_request(request.prepare())
    response = redact_response(CachedResponse(request=original), ignored)
    arguments: dict[str, Any] = {'ignored_parameters': ignored, 'match_headers': ['X-API-Key', 'Content-Type']}
    assert create_key(response.request, **arguments) == create_key(original, **arguments)


@given(requests)
def test_redacting_twice_changes_nothing_more(request: Request) -> None:
    once = stored(request=CachedRequest.from_request(request.prepare())).request
    assert stored(request=once).request == once


@given(documents)
def test_json_values_are_replaced_and_no_others(document: dict[str, Any]) -> None:
    secrets = {name.lower() for name in IGNORED}
    expected = {k: 'REDACTED' if k.lower() in secrets else v for k, v in document.items()}
    assert json.loads(stored_body(json.dumps(document))) == expected
    assert json.loads(stored_body(json.dumps({'deep': [document]}))) == {'deep': [expected]}


@given(
    st.lists(
        st.sampled_from(
            [
                'sid',
                '=',
                ';',
                '&',
                '?',
                '#',
                '/',
                '[',
                ']',
                '"',
                '{',
                '}',
                '%3D',
                '%26',
                '%22',
                ':',
                '@',
                ',',
                '\\',
                '<',
                '>',
                ' ',
                'x',
                '\n',
            ]
        ),
        max_size=12,
    )
)
def test_any_body_is_taken(pieces: list[str]) -> None:
    """Under any type, and what is redacted is not redacted any further"""
    body = ''.join(pieces)
    for content_type in (FORM, JSON, 'text/xml', 'text/plain', 'multipart/mixed; boundary=x', 'application/http'):
        once = stored_body(body, content_type)
        assert stored_body(once, content_type) == once
