"""Partial responses with `cache_control='strict'`, end to end: RFC 9111, sections 3.3 and 3.4, RFC 9110, section 14"""

from __future__ import annotations

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from email import message_from_bytes
from email.utils import format_datetime

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from requests_cache import CachedSession
from requests_cache.testing.origin import Answer, Origin, answer

pytest_plugins = ['support.redis_fixtures']

BODY = bytes(range(256)) * 4
FRESH = ('Cache-Control', 'max-age=100')
STALE = ('Cache-Control', 'max-age=0')
ETAG = ('ETag', '"1"')


def date(seconds=0):
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)


@pytest.fixture(params=['memory', 'sqlite', 'filesystem', 'redis'])
def session(request, new_session):
    if request.param == 'redis':
        return request.getfixturevalue('make_redis_session')(cache_control='strict')
    return new_session(backend=request.param, cache_control='strict')


@pytest.fixture
def memory_session(new_session):
    return new_session(backend='memory', cache_control='strict')


def ranged(body=BODY, headers=(FRESH, ETAG), length=None):
    """An origin that answers one range, unless `If-Range` has another entity tag, and 304"""
    tag = dict(headers).get('ETag')

    def handle(request) -> Answer:
        if tag is not None and request.header('If-None-Match') == tag:
            return answer(304, headers=headers)
        wanted, if_range = request.header('Range'), request.header('If-Range')
        if wanted is None or if_range not in (None, tag):
            return answer(200, body, [*headers, ('Content-Type', 'text/plain')])
        first, _, last = wanted.removeprefix('bytes=').partition('-')
        start = int(first) if first else len(body) - int(last)
        end = min(int(last), len(body) - 1) if first and last else len(body) - 1
        if start > end:
            return answer(416, headers=[('Content-Range', f'bytes */{len(body)}'), *headers])
        content_range = f'bytes {start}-{end}/{len(body) if length is None else length}'
        fields = [*headers, ('Content-Type', 'text/plain'), ('Content-Range', content_range)]
        return answer(206, body[start : end + 1], fields)

    return handle


def get(session, origin, ranges=None, path='/page', **headers):
    fields = {name.replace('_', '-'): value for name, value in headers.items()}
    return session.get(origin.url(path), headers={**fields, **({'Range': f'bytes={ranges}'} if ranges else {})})


def seen(response):
    return response.status_code, response.content, response.from_cache


class TestRangesOfCompleteResponses:
    """RFC 9110, sections 14.2 and 15.3.7"""

    @pytest.mark.parametrize(
        ('ranges', 'content_range', 'content'),
        [
            ('10-19', 'bytes 10-19/1024', BODY[10:20]),
            ('1000-', 'bytes 1000-1023/1024', BODY[1000:]),
            ('-5', 'bytes 1019-1023/1024', BODY[-5:]),
            ('0-99999', 'bytes 0-1023/1024', BODY),
        ],
    )
    def test_three_forms(self, session, origin, ranges, content_range, content):
        origin.add('/page', ranged())
        get(session, origin)
        response = get(session, origin, ranges)
        assert seen(response) == (206, content, True)
        assert response.reason == 'Partial Content'
        assert response.headers['Content-Range'] == content_range
        assert response.headers['Content-Length'] == str(len(content))
        assert response.headers['Content-Type'] == 'text/plain'
        assert response.headers['ETag'] == '"1"'
        assert int(response.headers['Age']) >= 0
        assert response.cache_status.hit
        assert seen(get(session, origin)) == (200, BODY, True), 'what is stored is as it was'
        assert origin.hits() == 1

    def test_several_ranges(self, session, origin):
        """RFC 9110, section 14.6"""
        origin.add('/page', ranged())
        get(session, origin)
        response = get(session, origin, '0-1, -1')
        head = f'Content-Type: {response.headers["Content-Type"]}\r\n\r\n'.encode()
        parts = message_from_bytes(head + response.content).get_payload()
        assert [(p['Content-Range'], p.get_payload(decode=True)) for p in parts] == [
            ('bytes 0-1/1024', BODY[:2]),
            ('bytes 1023-1023/1024', BODY[-1:]),
        ]
        assert response.from_cache

    def test_not_satisfiable(self, session, origin):
        """RFC 9110, section 15.5.17"""
        origin.add('/page', ranged())
        get(session, origin)
        response = get(session, origin, '1024-')
        assert seen(response) == (416, b'', True)
        assert response.headers['Content-Range'] == 'bytes */1024'

    @pytest.mark.parametrize('value', ['items=0-4', 'bytes=4-3', '0-4'])
    def test_what_is_not_understood_goes_to_the_origin(self, memory_session, origin, value):
        """RFC 9110, section 14.2: it may mean something there"""
        headers = {'Range': value}
        page = answer(200, b'some', [FRESH, ('Content-Range', 'items 0-3/9')])
        origin.add('/page', answer(200, b'all', [FRESH]), page, answer(206, b'some', [FRESH]))
        memory_session.get(origin.url('/page'))
        for _ in range(2):
            assert memory_session.get(origin.url('/page'), headers=headers).content == b'some'
        assert memory_session.get(origin.url('/page')).content == b'all'

    def test_only_get_has_ranges(self, memory_session, origin):
        """RFC 9110, section 14.2"""
        origin.add('/page', ranged())
        get(memory_session, origin)
        head = memory_session.head(origin.url('/page'), headers={'Range': 'bytes=0-1'})
        assert (head.status_code, head.headers['Content-Length'], head.from_cache) == (200, '1024', True)

    def test_preconditions_go_first(self, session, origin):
        """RFC 9110, section 13.2.2"""
        origin.add('/page', ranged())
        get(session, origin)
        assert get(session, origin, '0-1', If_None_Match='"1"').status_code == 304
        assert get(session, origin, '0-1', If_None_Match='"2"').status_code == 206
        assert origin.hits() == 1

    def test_if_range(self, session, origin):
        """RFC 9110, section 13.1.5"""
        modified = date(-1000)
        origin.add('/page', ranged(headers=[FRESH, ETAG, ('Last-Modified', modified), ('Date', date())]))
        get(session, origin)
        for same in ('"1"', modified):
            assert seen(get(session, origin, '0-1', If_Range=same)) == (206, BODY[:2], True)
        for other in ('"2"', 'W/"1"', date(-999)):
            assert seen(get(session, origin, '0-1', If_Range=other)) == (200, BODY, True)
        assert seen(get(session, origin, None, If_Range='"2"')) == (200, BODY, True)
        assert origin.hits() == 1

    def test_other_status_codes_have_no_ranges(self, memory_session, origin):
        """RFC 9110, section 14.2"""
        origin.add('/page', answer(404, b'nothing', [FRESH]))
        get(memory_session, origin)
        assert seen(get(memory_session, origin, '0-1')) == (404, b'nothing', True)

    def test_ranges_count_encoded_bytes(self, memory_session, origin):
        """RFC 9110, section 14.1.2: those that requests has decoded are others"""
        coded = gzip.compress(BODY)
        origin.add('/page', ranged(coded, [FRESH, ETAG, ('Content-Encoding', 'gzip')]))
        assert get(memory_session, origin).content == BODY
        for _ in range(2):
            headers = {'Range': 'bytes=0-9'}
            response = memory_session.get(origin.url('/page'), headers=headers, stream=True)
            assert response.raw.read(decode_content=False) == coded[:10]
        assert origin.hits() == 3
        assert seen(get(memory_session, origin)) == (200, BODY, True)
        assert seen(get(memory_session, origin, '0-9', If_Range='"2"')) == (200, BODY, True)

    def test_reading_in_pieces(self, session, origin):
        origin.add('/page', ranged())
        get(session, origin)
        called = []

        def read(**kwargs):
            hooks = {'response': lambda r, **_: called.append(r.status_code)}
            headers = {'Range': 'bytes=10-19'}
            return session.get(origin.url('/page'), headers=headers, stream=True, hooks=hooks, **kwargs)

        assert read().raw.read() == BODY[10:20]
        assert list(read().iter_content(4)) == [BODY[10:14], BODY[14:18], BODY[18:20]]
        assert called == [206, 206]

    def test_after_redirects(self, session, origin):
        origin.add('/start', answer(301, headers=[('Location', '/page'), FRESH]))
        origin.add('/page', ranged())
        for ranges in ('0-1', '0-1', None, '5-6'):
            response = get(session, origin, ranges, '/start')
            assert [r.status_code for r in response.history] == [301]
            assert response.content == {'0-1': BODY[:2], '5-6': BODY[5:7], None: BODY}[ranges]
        assert origin.hits('/page') == 2
        assert response.status_code == 206

    def test_only_if_cached(self, memory_session, origin):
        """Section 5.2.1.7"""
        origin.add('/page', ranged())
        assert get(memory_session, origin, '0-1', Cache_Control='only-if-cached').status_code == 504
        get(memory_session, origin, '0-9')
        assert get(memory_session, origin, '0-1', Cache_Control='only-if-cached').status_code == 206
        assert get(memory_session, origin, '0-10', Cache_Control='only-if-cached').status_code == 504
        assert get(memory_session, origin, None, Cache_Control='only-if-cached').status_code == 504


class TestStaleResponses:
    """Section 4.3"""

    def test_not_modified(self, session, origin):
        origin.add('/page', ranged(headers=[STALE, ETAG]))
        get(session, origin)
        response = get(session, origin, '5-9')
        assert (seen(response), response.revalidated) == ((206, BODY[5:10], True), True)
        sent = origin.requests[-1]
        assert (sent.header('Range'), sent.header('If-None-Match')) == ('bytes=5-9', '"1"')

    def test_not_modified_with_if_range_of_the_caller(self, session, origin):
        origin.add('/page', ranged(headers=[STALE, ETAG]))
        get(session, origin)
        assert seen(get(session, origin, '5-9', If_Range='"1"')) == (206, BODY[5:10], True)
        assert seen(get(session, origin, '5-9', If_Range='"0"')) == (200, BODY, True)

    def test_replaced_by_a_part_of_another(self, session, origin):
        other = BODY[::-1]
        origin.add('/page', ranged(headers=[STALE, ETAG]))
        get(session, origin)
        origin.add('/page', ranged(other, [FRESH, ('ETag', '"2"')]))
        assert seen(get(session, origin, '5-9')) == (206, other[5:10], False)
        assert seen(get(session, origin, '6-7')) == (206, other[6:8], True)
        assert seen(get(session, origin)) == (200, other, False)

    def test_replaced_by_a_complete_response(self, session, origin):
        origin.add('/page', ranged(headers=[STALE, ETAG]))
        get(session, origin)
        origin.add('/page', answer(200, b'new', [FRESH]))
        assert seen(get(session, origin, '5-9')) == (200, b'new', False)
        assert seen(get(session, origin, '0-1')) == (206, b'ne', True)

    def test_a_part_brings_a_complete_response_up_to_date(self, session, origin):
        """Section 3.4"""
        origin.add('/page', answer(200, BODY, [STALE, ETAG, ('X-Version', '1'), ('Age', '50')]))
        get(session, origin)
        part = [FRESH, ETAG, ('X-Version', '2'), ('Content-Range', 'bytes 0-1/1024')]
        origin.add('/page', answer(206, BODY[:2], part))
        assert seen(get(session, origin, '0-1')) == (206, BODY[:2], False)
        response = get(session, origin)
        assert (seen(response), response.headers['X-Version']) == ((200, BODY, True), '2')
        assert response.headers['Content-Length'] == '1024'
        assert 'Content-Range' not in response.headers

    def test_stale_parts_are_validated(self, session, origin):
        origin.add('/page', ranged(headers=[STALE, ETAG]))
        get(session, origin, '0-9')
        response = get(session, origin, '2-3')
        assert (seen(response), response.revalidated) == ((206, BODY[2:4], True), True)
        assert origin.requests[-1].header('If-None-Match') == '"1"'
        origin.add('/page', ranged(headers=[FRESH, ETAG]))
        get(session, origin, '2-3')
        before = origin.hits()
        assert seen(get(session, origin, '4-5')) == (206, BODY[4:6], True)
        assert origin.hits() == before, 'the 304 was for all parts'

    def test_a_part_of_nobody_knows_what(self, session, origin):
        """Without validators, the complete response stays as it is"""
        origin.add('/page', ranged(headers=[FRESH]))
        get(session, origin)
        assert seen(get(session, origin, '0-1', Cache_Control='no-cache')) == (206, BODY[:2], False)
        assert seen(get(session, origin)) == (200, BODY, True)

    def test_forced_refresh(self, session, origin):
        origin.add('/page', ranged())
        for ranges in (None, '0-1'):
            get(session, origin, ranges)
            headers = {'Range': 'bytes=0-1'}
            response = session.get(origin.url('/page'), headers=headers, force_refresh=True)
            assert seen(response) == (206, BODY[:2], False)

    def test_errors_of_the_origin(self, session, origin):
        """Section 4.2.4 and RFC 5861"""
        headers = [('Cache-Control', 'max-age=1, stale-if-error=100'), ('Age', '10'), ETAG]
        origin.add('/page', ranged(headers=headers))
        origin.add('/part', ranged(headers=headers))
        get(session, origin)
        get(session, origin, '0-9', '/part')
        for path in ('/page', '/part'):
            origin.add(path, answer(503))
        origin_is_away = False
        for _ in range(2):
            for path in ('/page', '/part'):
                assert seen(get(session, origin, '2-3', path)) == (206, BODY[2:4], True)
            if not origin_is_away:
                origin.stop()
                origin_is_away = True

    def test_renewal_in_the_background(self, memory_session, origin, monkeypatch):
        """RFC 5861, section 3: all of a complete response, as it was before, and of parts what is asked for"""
        threads = []
        start = threading.Thread.start
        monkeypatch.setattr(threading.Thread, 'start', lambda t: (threads.append(t), start(t))[1])
        headers = [('Cache-Control', 'max-age=1, stale-while-revalidate=100'), ('Age', '10'), ETAG]
        new = BODY[::-1]
        for path, ranges, sent in (('/page', None, None), ('/part', '0-9', 'bytes=2-3')):
            origin.add(path, ranged(headers=headers))
            get(memory_session, origin, ranges, path)
            origin.add(path, ranged(new, [FRESH, ('ETag', '"2"')]))
            threads.clear()
            assert seen(get(memory_session, origin, '2-3', path)) == (206, BODY[2:4], True)
            for thread in threads:
                thread.join(10)
            assert origin.requests[-1].header('Range') == sent
            assert seen(get(memory_session, origin, '2-3', path)) == (206, new[2:4], True)
        assert seen(get(memory_session, origin)) == (200, new, True)


class TestParts:
    """Sections 3.3 and 3.4"""

    def test_ranges_inside_a_part(self, session, origin):
        origin.add('/page', ranged())
        first = get(session, origin, '10-19')
        assert (seen(first), first.cache_status.stored) == ((206, BODY[10:20], False), True)
        for ranges in ('10-19', '12-13', '19-19'):
            start, end = map(int, ranges.split('-'))
            response = get(session, origin, ranges)
            assert seen(response) == (206, BODY[start : end + 1], True)
            assert response.headers['Content-Range'] == f'bytes {ranges}/1024'
            assert response.headers['Content-Length'] == str(end - start + 1)
            assert response.headers['Content-Type'] == 'text/plain'
            assert 'Age' in response.headers
            assert response.cache_status.hit
        assert origin.hits() == 1
        assert not get(session, origin, '9-12').from_cache

    def test_a_part_is_never_the_answer_to_a_request_for_all(self, session, origin):
        origin.add('/page', ranged())
        get(session, origin, '0-9')
        assert seen(get(session, origin)) == (200, BODY, False)
        assert origin.requests[-1].header('Range') is None
        assert len(session.cache.responses) == 1, 'which takes the place of the part'
        assert seen(get(session, origin, '500-509')) == (206, BODY[500:510], True)

    def test_parts_are_combined(self, session, origin):
        """Adjacent, overlapping and apart, in any order"""
        origin.add('/page', ranged())
        for ranges in ('20-29', '0-9', '5-14', '15-19', '100-109'):
            assert not get(session, origin, ranges).from_cache
        hits = origin.hits()
        assert seen(get(session, origin, '0-29')) == (206, BODY[:30], True)
        assert seen(get(session, origin, '3-27')) == (206, BODY[3:28], True)
        response = get(session, origin, '0-1, 104-105')
        assert response.headers['Content-Type'].startswith('multipart/byteranges')
        assert b'\r\n\r\n' + BODY[104:106] + b'\r\n' in response.content
        assert origin.hits() == hits
        assert not get(session, origin, '25-30').from_cache

    def test_a_part_takes_the_place_of_those_in_it(self, session, origin):
        origin.add('/page', ranged())
        for ranges in ('5-9', '20-29', '0-19'):
            get(session, origin, ranges)
        assert seen(get(session, origin, '0-29')) == (206, BODY[:30], True)
        assert len(session.cache.responses) == 3, 'two parts and their index'

    def test_parts_make_up_a_complete_response(self, session, origin):
        origin.add('/page', ranged())
        for ranges in ('-24', '0-499', '400-999'):
            get(session, origin, ranges)
        hits = origin.hits()
        response = get(session, origin)
        assert seen(response) == (200, BODY, True)
        assert response.reason == 'OK'
        assert response.headers['Content-Length'] == '1024'
        assert 'Content-Range' not in response.headers
        assert seen(get(session, origin, '100-899')) == (206, BODY[100:900], True)
        assert origin.hits() == hits
        assert len(session.cache.responses) == 1

    def test_a_part_that_is_all(self, session, origin):
        origin.add('/page', ranged())
        get(session, origin, '0-')
        assert seen(get(session, origin)) == (200, BODY, True)

    @pytest.mark.parametrize(
        ('before', 'after'),
        [
            ([FRESH, ETAG], [FRESH, ('ETag', '"2"')]),
            ([FRESH, ('ETag', 'W/"1"')], [FRESH, ('ETag', 'W/"1"')]),
            ([FRESH], [FRESH]),
            ([FRESH, ('Last-Modified', date(-100))], [FRESH, ('Last-Modified', date(-50))]),
        ],
    )
    def test_parts_without_a_common_strong_validator_are_not_combined(self, session, origin, before, after):
        origin.add('/page', ranged(headers=before))
        get(session, origin, '0-511')
        origin.add('/page', ranged(BODY[::-1], after))
        assert seen(get(session, origin, '512-')) == (206, BODY[511::-1], False)
        assert seen(get(session, origin, '512-')) == (206, BODY[511::-1], True)
        assert seen(get(session, origin, '0-511')) == (206, BODY[:511:-1], False)
        assert get(session, origin).content == BODY[::-1], 'no part of it is from before'

    def test_parts_of_different_lengths_are_not_combined(self, session, origin):
        origin.add('/page', ranged(length=1024))
        get(session, origin, '0-9')
        origin.add('/page', ranged(length=2048))
        get(session, origin, '10-19')
        assert not get(session, origin, '0-9').from_cache

    def test_last_modified_is_a_strong_validator(self, session, origin):
        """RFC 9110, section 8.8.2.2"""
        headers = [FRESH, ('Last-Modified', date(-1000)), ('Date', date())]
        origin.add('/page', ranged(headers=headers))
        get(session, origin, '0-511')
        get(session, origin, '512-')
        assert seen(get(session, origin)) == (200, BODY, True)

    def test_unknown_length(self, session, origin):
        origin.add('/page', ranged(length='*'))
        get(session, origin, '0-9')
        assert seen(get(session, origin, '3-5')) == (206, BODY[3:6], True)
        assert get(session, origin, '3-5').headers['Content-Range'] == 'bytes 3-5/*'
        assert not get(session, origin, '3-').from_cache
        assert not get(session, origin, '-5').from_cache

    @pytest.mark.parametrize(
        'part',
        [
            answer(206, b'01234', [FRESH, ETAG, ('Content-Range', 'bytes 0-9/10')]),
            answer(206, b'01234', [FRESH, ETAG, ('Content-Range', 'bytes 0-4')]),
            answer(206, b'01234', [FRESH, ETAG]),
            answer(206, b'01234', [('Cache-Control', 'no-store'), ETAG, ('Content-Range', 'bytes 0-4/10')]),
            answer(206, b'01234', [FRESH, ETAG, ('Content-Range', 'bytes 0-4/10'), ('Vary', '*')]),
            answer(206, b'01234', [FRESH, ETAG, ('Content-Range', 'bytes 0-4/10')], cut_after=3),
        ],
        ids=['length', 'range', 'no range', 'no-store', 'vary', 'cut'],
    )
    def test_what_is_not_stored_or_not_used(self, memory_session, origin, part):
        origin.add('/page', part)
        for _ in range(2):
            with suppress(requests.RequestException):
                assert not get(memory_session, origin, '0-4').from_cache
        assert origin.hits() == 2

    def test_errors_for_a_range_are_not_those_of_the_resource(self, session, origin):
        """Section 3: a 416 is about the Range, a 412 about a condition, which are not in the key"""
        origin.add('/page', ranged())
        assert get(session, origin, '2000-').status_code == 416
        assert seen(get(session, origin)) == (200, BODY, False)
        origin.add('/other', answer(412, headers=[FRESH]), answer(200, b'x'))
        get(session, origin, None, '/other', If_Match='"0"')
        assert get(session, origin, None, '/other').status_code == 200

    def test_variants(self, session, origin):
        """Section 4.1"""

        def page(request):
            return ranged((request.header('X-Kind') or '-').encode() * 100, [FRESH, ETAG, ('Vary', 'X-Kind')])(request)

        origin.add('/page', page)
        assert get(session, origin, '0-1', X_Kind='a').content == b'aa'
        assert seen(get(session, origin, '0-1', X_Kind='a')) == (206, b'aa', True)
        assert seen(get(session, origin, '0-1', X_Kind='b')) == (206, b'bb', False)
        assert seen(get(session, origin, '2-99', X_Kind='a')) == (206, b'a' * 98, False)
        assert seen(get(session, origin, X_Kind='a')) == (200, b'a' * 100, False), 'the part of b does not complete it'

    def test_variants_beside_a_complete_one(self, session, origin):
        def page(request):
            return ranged((request.header('X-Kind') or '-').encode() * 100, [FRESH, ETAG, ('Vary', 'X-Kind')])(request)

        origin.add('/page', page)
        get(session, origin, X_Kind='a')
        for kind in 'bc':
            get(session, origin, '0-1', X_Kind=kind)
        for kind in 'abc':
            assert seen(get(session, origin, '0-1', X_Kind=kind)) == (206, kind.encode() * 2, True)
        assert seen(get(session, origin, X_Kind='a')) == (200, b'a' * 100, True)

    def test_shared_cache(self, new_session, origin):
        """Section 3.5"""
        session = new_session(cache_control='strict', shared_cache=True)
        origin.add('/page', ranged())
        for _ in range(2):
            assert not get(session, origin, '0-4', Authorization='Bearer x').from_cache

    def test_codes_given_by_the_user(self, new_session, origin):
        session = new_session(cache_control='strict', allowable_codes=(200, 404))
        origin.add('/page', ranged())
        for _ in range(2):
            assert not get(session, origin, '0-4').from_cache

    def test_answers_to_if_range_only_add_to_what_is_there(self, session, origin, caplog):
        """RFC 9110, section 15.3.7: they may lack header fields"""
        bare = answer(206, BODY[:10], [FRESH, ETAG, ('Content-Range', 'bytes 0-9/1024')])
        origin.add('/page', bare)
        for _ in range(2):
            assert not get(session, origin, '0-9', If_Range='"1"').from_cache
        origin.add('/page', ranged())
        get(session, origin, '10-19')
        origin.add('/page', bare)
        get(session, origin, '0-9', If_Range='"1"')
        response = get(session, origin, '0-19')
        assert (seen(response), response.headers['Content-Type']) == ((206, BODY[:20], True), 'text/plain')
        assert 'Content-Type' not in get(session, origin, '0-19', If_Range='"1"').headers
        before = origin.hits()
        assert not get(session, origin, '0-9', If_Range='"2"').from_cache
        assert origin.hits() == before + 1
        assert not [r for r in caplog.records if r.levelname == 'WARNING']

    def test_header_fields_are_those_of_the_newest_part(self, session, origin):
        """Section 3.4"""
        origin.add('/page', ranged(headers=[FRESH, ETAG, ('X-Version', '1'), ('X-Old', '1')]))
        get(session, origin, '0-9')
        origin.add('/page', ranged(headers=[FRESH, ETAG, ('X-Version', '2')]))
        get(session, origin, '10-19')
        headers = get(session, origin, '0-19').headers
        assert (headers['X-Version'], headers['X-Old']) == ('2', '1')

    def test_a_part_that_has_gone(self, session, origin):
        """Such as by the bound of a cache: what is left is not taken for more than it is"""
        origin.add('/page', ranged())
        for ranges in ('0-9', '10-19'):
            get(session, origin, ranges)
        lost = [key for key in session.cache.responses if key.endswith('-0-9')]
        session.cache.delete(*lost)
        assert seen(get(session, origin, '5-14')) == (206, BODY[5:15], False)
        assert seen(get(session, origin, '5-14')) == (206, BODY[5:15], True)
        lost = [key for key in session.cache.responses if key.endswith('-5-14')]
        session.cache.delete(*lost)
        get(session, origin, '0-4')
        get(session, origin, '15-')
        assert seen(get(session, origin)) == (200, BODY, False)

    def test_read_only(self, new_session, origin):
        session = new_session(cache_control='strict')
        origin.add('/page', ranged())
        for ranges in ('0-9', '10-19'):
            get(session, origin, ranges)
        session.cache.delete(*(key for key in session.cache.responses if key.endswith('-0-9')))
        session.settings.read_only = True
        before = set(session.cache.responses)
        assert not get(session, origin, '0-9').from_cache
        assert not get(session, origin, '50-59').from_cache
        assert set(session.cache.responses) == before
        assert get(session, origin, '10-19').from_cache

    def test_filter(self, memory_session, origin):
        origin.add('/page', ranged())
        memory_session.settings.filter_fn = lambda response: response.status_code != 206
        for _ in range(2):
            assert not get(memory_session, origin, '0-9').from_cache
        memory_session.settings.filter_fn = None
        get(memory_session, origin, '0-9')
        memory_session.settings.filter_fn = lambda response: False
        get(memory_session, origin, '0-9')
        assert not memory_session.cache.responses

    def test_number_of_parts_is_bounded(self, memory_session, origin, monkeypatch):
        monkeypatch.setattr('requests_cache.engine.ranges.MAX_PARTS', 2)
        origin.add('/page', ranged())
        for ranges in ('0-1', '10-11', '20-21'):
            get(memory_session, origin, ranges)
        assert get(memory_session, origin, '10-11').from_cache
        assert not get(memory_session, origin, '20-21').from_cache

    def test_redirects_do_not_hide_where_a_part_belongs(self, memory_session, origin):
        origin.add('/start', answer(302, headers=[('Location', '/page'), ('Cache-Control', 'no-store')]))
        origin.add('/page', ranged())
        get(memory_session, origin, '0-9', '/start')
        assert get(memory_session, origin, '0-9').from_cache
        origin.add('/start', answer(302, headers=[('Location', '/other')]))
        origin.add('/other', ranged(BODY[::-1]))
        assert get(memory_session, origin, '0-9', '/start').content == BODY[:-11:-1]


class TestStore:
    """What else finds, lists and deletes parts"""

    @pytest.fixture
    def with_parts(self, session, origin):
        origin.add('/page', ranged())
        for ranges in ('0-9', '20-29'):
            get(session, origin, ranges)
        return session

    def test_invalidation(self, with_parts, origin):
        """Section 4.4"""
        origin.add('/page', answer(204))
        with_parts.delete(origin.url('/page'))
        assert len(with_parts.cache.responses) == 0

    def test_delete(self, with_parts, origin):
        assert with_parts.cache.urls() == [origin.url('/page')]
        with_parts.cache.delete(urls=[origin.url('/other')])
        assert get(with_parts, origin, '0-9').from_cache
        assert with_parts.cache.delete(urls=[origin.url('/page')]) == 3
        assert len(with_parts.cache.responses) == 0

    def test_clear(self, with_parts, origin):
        with_parts.cache.clear()
        assert not get(with_parts, origin, '0-9').from_cache

    def test_delete_expired(self, session, origin):
        origin.add('/page', ranged(headers=[STALE, ETAG]))
        get(session, origin, '0-9')
        assert len(session.cache.responses) > 0
        session.cache.delete(expired=True)
        assert len(session.cache.responses) == 0

    def test_keys_made_anew(self, with_parts, origin):
        """Parts keep their keys, or get others that go with the new key of the complete response"""
        keys = sorted(with_parts.cache.responses)
        with_parts.cache.recreate_keys()
        assert sorted(with_parts.cache.responses) == keys
        with_parts.settings.ignored_parameters = ['Accept', 'User-Agent']
        with_parts.settings.match_headers = ['Accept-Language']
        with_parts.headers['Accept-Language'] = 'en'
        for key in list(with_parts.cache.responses):
            part = with_parts.cache.responses[key]
            part.request.headers['Accept-Language'] = 'en'
            with_parts.cache.responses[key] = part
        with_parts.cache.recreate_keys()
        assert not set(with_parts.cache.responses) & set(keys)
        assert get(with_parts, origin, '0-9').from_cache

    def test_head_about_another_representation(self, with_parts, origin):
        """Section 4.3.5"""
        get(with_parts, origin)
        origin.add('/page', ranged(BODY[::-1], [FRESH, ('ETag', '"2"')]))
        with_parts.head(origin.url('/page'), force_refresh=True)
        assert not get(with_parts, origin, '0-9').from_cache

    @pytest.mark.parametrize('cache_control', [False, True])
    def test_other_modes_do_not_find_parts(self, with_parts, origin, cache_control):
        other = CachedSession(backend=with_parts.cache, cache_control=cache_control, autoclose=False)
        assert seen(other.get(origin.url('/page'))) == (200, BODY, False)

    def test_what_other_modes_store_is_not_taken_for_a_complete_response(self, session, origin):
        """By default, `allowable_codes` may have 206, whatever the range"""
        origin.add('/page', ranged())
        other = CachedSession(backend=session.cache, allowable_codes=(200, 206), autoclose=False)
        assert get(other, origin, '0-9').status_code == 206
        assert get(other, origin).status_code == 206
        assert seen(get(session, origin, '0-9', If_Range='"2"')) == (200, BODY, False)
        other.cache.clear()
        get(other, origin, '0-9')
        assert seen(get(session, origin)) == (200, BODY, False)


def test_faults_of_the_store(memory_session, origin, monkeypatch):
    """Requests go on"""
    origin.add('/page', ranged())
    get(memory_session, origin, '0-9')

    def fail(*args, **kwargs):
        raise OSError('the store is away')

    with monkeypatch.context() as patch:
        patch.setattr(memory_session.cache, 'get_response', fail)
        assert seen(get(memory_session, origin, '0-9')) == (206, BODY[:10], False)
    with monkeypatch.context() as patch:
        patch.setattr(memory_session.cache, 'save_response', fail)
        assert seen(get(memory_session, origin, '10-19')) == (206, BODY[10:20], False)
    with monkeypatch.context() as patch:
        patch.setattr(memory_session.cache, '_delete_keys', fail)
        assert seen(get(memory_session, origin)) == (200, BODY, False)
    assert seen(get(memory_session, origin, '0-9')) == (206, BODY[:10], True)


def version(number, size=40):
    return bytes((position * 7 + number * 31) % 256 for position in range(size))


def assert_is_of_one_version(response):
    """The content is what the entity tag and `Content-Range` say"""
    body = version(int(response.headers['ETag'].strip('"')))
    if response.status_code == 206:
        first, last = map(int, response.headers['Content-Range'].removeprefix('bytes ').partition('/')[0].split('-'))
        body = body[first : last + 1]
    assert response.content == body


STEPS = st.tuples(
    st.sampled_from([None, '0-9', '5-19', '10-29', '20-39', '0-29', '25-', '7-8']),
    st.sampled_from([None, None, None, '"0"', '"1"']),
    st.booleans(),
)


@settings(max_examples=100)
@given(st.lists(STEPS, min_size=2, max_size=15))
def test_no_response_is_made_of_two_versions(steps):
    """Section 3.4: whatever is asked for in whatever order, while the resource changes now and then"""
    number, session = 0, CachedSession(backend='memory', cache_control='strict')
    with Origin() as origin, session:
        for ranges, if_range, changes in steps:
            number += changes
            origin.add('/page', ranged(version(number), [FRESH, ('ETag', f'"{number}"')]))
            response = get(session, origin, ranges, **({'If_Range': if_range} if if_range else {}))
            assert_is_of_one_version(response)
            if ranges is None:
                assert response.status_code == 200


def test_parts_stored_by_several_threads(session, origin):
    """Parts may get lost in between, and are never mixed up"""
    origin.add('/page', ranged(version(0), [FRESH, ('ETag', '"0"')]))
    barrier = threading.Barrier(4)

    def read(offset):
        barrier.wait(10)
        for first in range(offset, 40, 4):
            response = get(session, origin, f'{first}-{min(first + 5, 39)}')
            assert response.status_code == 206
            assert_is_of_one_version(response)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, range(4)))
    for ranges in ('0-39', None):
        assert_is_of_one_version(get(session, origin, ranges))
