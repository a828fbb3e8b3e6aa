"""Ranges and parts by the standard, as pure functions: RFC 9110, section 14, RFC 9111, sections 3.3 and 3.4"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email import message_from_bytes
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from requests_cache import CachedResponse
from requests_cache.keys.variants import split_part_key
from requests_cache.policy.standard.parts import (
    Parts,
    can_serve_ranges,
    combined_headers,
    index_key,
    is_different_representation,
    is_same_representation,
    part_key,
    part_keys,
    part_range,
    parts_of,
)
from requests_cache.policy.standard.range_responses import partial_content, range_applies, serve_ranges
from requests_cache.policy.standard.ranges import (
    MAX_RANGES,
    ByteRange,
    ContentRange,
    Span,
    combine,
    cover,
    is_whole,
    merge,
    parse_content_range,
    parse_ranges,
    resolve,
)

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=timezone.utc)
HUGE = '9' * 5000


def date(seconds=0):
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


def response(content=b'0123456789', status_code=200, **headers):
    fields = CaseInsensitiveDict({name.replace('_', '-'): value for name, value in headers.items()})
    return CachedResponse(status_code=status_code, headers=fields, content=content, url='http://example.com/')


spans = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: Span(min(pair), max(pair)))


class TestParsing:
    @pytest.mark.parametrize(
        ('value', 'ranges'),
        [
            ('bytes=0-4', [(0, 4)]),
            ('bytes=3-', [(3, None)]),
            ('bytes=-5', [(None, 5)]),
            ('BYTES=0-0, 2-3 ,,-1', [(0, 0), (2, 3), (None, 1)]),
            (b'bytes=0-4', [(0, 4)]),
            (' bytes=007-008', [(7, 8)]),
            (f'bytes=0-{HUGE}', [(0, 10**18)]),
            ('bytes=4-3', []),
            ('bytes=', []),
            ('bytes=-', []),
            ('bytes=a-b', []),
            ('bytes=0-4, x', []),
            ('bytes=+0-4', []),
            ('bytes=\u0660-4', []),
            ('bytes 0-4', []),
            ('items=0-4', []),
            ('0-4', []),
            ('', []),
        ],
    )
    def test_range(self, value, ranges):
        """RFC 9110, sections 14.1.1 and 14.1.2"""
        assert parse_ranges(value) == tuple(ByteRange(*r) for r in ranges)

    def test_too_many_ranges_are_not_understood(self):
        """RFC 9110, section 14.2"""
        assert len(parse_ranges('bytes=' + '0-0,' * MAX_RANGES)) == MAX_RANGES
        assert parse_ranges('bytes=' + '0-0,' * (MAX_RANGES + 1)) == ()

    @pytest.mark.parametrize(
        ('value', 'first', 'last', 'length'),
        [('bytes 0-4/10', 0, 4, 10), ('Bytes  5-5/*', 5, 5, None), ('bytes 0-0/1', 0, 0, 1)],
    )
    def test_content_range(self, value, first, last, length):
        """RFC 9110, section 14.4"""
        assert parse_content_range(value) == ContentRange(Span(first, last), length)

    @pytest.mark.parametrize(
        'value',
        ['', 'bytes */10', 'bytes 4-3/10', 'bytes 0-10/10', 'items 0-1/10', 'bytes 0-1', f'bytes 0-{HUGE}/*', None],
    )
    def test_invalid_content_range(self, value):
        assert parse_content_range(value) is None

    @given(st.text() | st.binary() | st.from_regex(r'bytes[= ][0-9,*/ -]*'))
    def test_nothing_raises(self, value):
        parse_ranges(value)
        parse_content_range(value)

    @given(spans, st.none() | st.integers(31, 10**17))
    def test_content_range_is_read_as_it_is_written(self, span, length):
        assert parse_content_range(str(ContentRange(span, length))) == ContentRange(span, length)


class TestChoosing:
    @pytest.mark.parametrize(
        ('value', 'chosen'),
        [
            ('bytes=0-4', [(0, 4)]),
            ('bytes=8-20', [(8, 9)]),
            ('bytes=-3', [(7, 9)]),
            ('bytes=-30', [(0, 9)]),
            ('bytes=9-', [(9, 9)]),
            ('bytes=10-', []),
            ('bytes=-0', []),
            ('bytes=10-11, -0', []),
            ('bytes=20-, 0-0', [(0, 0)]),
            ('bytes=-1, 0-0', [(9, 9), (0, 0)]),
            ('bytes=0-4, 3-6', [(0, 6)]),
            ('bytes=5-6, 0-4', [(0, 6)]),
        ],
    )
    def test_of_known_length(self, value, chosen):
        """RFC 9110, sections 14.1.2 and 15.3.7.2"""
        assert resolve(parse_ranges(value), 10) == [Span(*c) for c in chosen]

    def test_of_unknown_length(self):
        assert resolve([ByteRange(2, 4)], None) == [Span(2, 4)]
        assert resolve([ByteRange(2, None)], None) is None
        assert resolve([ByteRange(None, 2)], None) is None

    @given(st.lists(st.tuples(st.none() | st.integers(0, 40), st.none() | st.integers(0, 40))), st.integers(1, 30))
    def test_all_that_is_chosen_is_there_once(self, pairs, length):
        ranges = [ByteRange(a, b) for a, b in pairs if (a, b) != (None, None) and not (a and b and a > b)]
        chosen = [position for span in resolve(ranges, length) for position in range(span.first, span.last + 1)]
        assert len(set(chosen)) == len(chosen)
        assert all(0 <= position < length for position in chosen)


class TestCombining:
    """RFC 9111, section 3.4"""

    @given(st.binary(min_size=31, max_size=31), st.lists(spans), spans)
    def test_parts_in_any_order_give_slices_of_the_body(self, body, added, wanted):
        parts = {}
        for span in added:
            kept = combine(list(parts), span)
            parts = {s: body[s.first : s.last + 1] for s in kept}
        present = {position for span in added for position in range(span.first, span.last + 1)}
        pieces = cover(parts, wanted)
        assert (pieces is not None) == present.issuperset(range(wanted.first, wanted.last + 1))
        if pieces is not None:
            taken = [parts[s][piece.first - s.first : piece.last - s.first + 1] for s, piece in pieces]
            assert b''.join(taken) == body[wanted.first : wanted.last + 1]
        assert is_whole(parts, 31) == (len(present) == 31)

    @given(st.lists(spans))
    def test_no_part_is_kept_inside_another(self, added):
        kept = []
        for span in added:
            kept = combine(kept, span)
        assert not [(a, b) for a in kept for b in kept if a is not b and a.first <= b.first and b.last <= a.last]
        assert merge(kept) == merge(added)

    def test_whole(self):
        assert Parts((Span(0, 4), Span(5, 9)), 10).are_complete
        assert not Parts((Span(0, 4),), 10).are_complete
        assert not is_whole([Span(0, 9)], None)
        assert not is_whole([], 0)

    @pytest.mark.parametrize(
        ('length', 'new', 'admitted'),
        [
            (10, 'bytes 5-9/10', True),
            (10, 'bytes 5-9/11', False),
            (10, 'bytes 5-9/*', True),
            (10, 'bytes 5-10/*', False),
            (None, 'bytes 5-9/10', True),
            (None, 'bytes 0-1/4', False),
            (None, 'bytes 5-9/*', True),
        ],
    )
    def test_lengths_must_agree(self, length, new, admitted):
        assert Parts((Span(0, 4),), length).accepts(parse_content_range(new)) is admitted

    @pytest.mark.parametrize(
        ('old', 'new', 'same', 'another'),
        [
            ({'ETag': '"1"'}, {'ETag': '"1"'}, True, False),
            ({'ETag': '"1"'}, {'ETag': '"2"'}, False, True),
            ({'ETag': 'W/"1"'}, {'ETag': 'W/"1"'}, False, False),
            ({'ETag': 'W/"1"'}, {'ETag': '"1"'}, False, False),
            ({'ETag': '1'}, {'ETag': '1'}, False, False),
            ({'Last_Modified': date(-60), 'Date': date()}, {'Last_Modified': date(-60), 'Date': date()}, True, False),
            ({'Last_Modified': date(-60), 'Date': date()}, {'Last_Modified': date(-61), 'Date': date()}, False, True),
            ({'Last_Modified': date(), 'Date': date()}, {'Last_Modified': date(), 'Date': date(9)}, False, False),
            ({'Last_Modified': date(-60)}, {'Last_Modified': date(-60)}, False, False),
            ({}, {}, False, False),
        ],
    )
    def test_strong_validators_decide(self, old, new, same, another):
        """RFC 9110, sections 8.8.2.2 and 8.8.3.2"""
        assert is_same_representation(response(**old), response(**new), NOW) is same
        assert is_different_representation(response(**old), response(**new)) is another

    def test_header_fields(self):
        old = CaseInsensitiveDict({'Age': '9', 'X': '1', 'Content-Type': 'a/b'})
        assert combined_headers(old, CaseInsensitiveDict({'X': '2'})) == {'X': '2', 'Content-Type': 'a/b'}
        assert combined_headers(old, CaseInsensitiveDict({'age': '3'}))['Age'] == '3'


class TestWhatIsStored:
    def test_index(self):
        parts = Parts((Span(0, 1), Span(4, 5)), 10)
        index = response(parts.to_content(), 206)
        index._generation = 'ab12'
        assert parts_of(index) == parts
        assert part_keys('key', index) == [index_key('key'), 'key-part-ab12-0-1', 'key-part-ab12-4-5']
        assert all(split_part_key(key)[1] for key in part_keys('key', index))
        assert split_part_key('0a1b') == ('0a1b', '')

    @pytest.mark.parametrize('content', [b'', b'x', b'bytes 0-1/3\nx', b'bytes 0-1/3\nbytes 0-1/4', None])
    def test_what_is_no_index(self, content):
        index = response(content, 206)
        assert parts_of(index) is None
        assert part_keys('key', index) == [index_key('key')]

    def test_complete_responses_are_no_index(self):
        assert parts_of(response(b'bytes 0-1/3')) is None

    def test_keys_of_other_generations_differ(self):
        assert part_key('key', 'a', Span(0, 1)) != part_key('key', 'b', Span(0, 1))

    @pytest.mark.parametrize(
        ('headers', 'is_part'),
        [
            ({'Content_Range': 'bytes 0-1/3'}, True),
            ({'Content_Range': 'bytes 0-1/3', 'Transfer_Encoding': 'chunked'}, True),
            ({'Content_Range': 'bytes 0-1/3', 'Content_Encoding': 'identity'}, True),
            ({'Content_Range': 'bytes 0-1/3', 'Content_Encoding': 'gzip'}, False),
            ({'Content_Range': 'bytes 0-1/3', 'Transfer_Encoding': 'gzip, chunked'}, False),
            ({'Content_Type': 'multipart/byteranges; boundary=x'}, False),
        ],
    )
    def test_parts(self, headers, is_part):
        assert (part_range(response(**headers).headers) is not None) is is_part

    @pytest.mark.parametrize(
        ('stored', 'gives'),
        [
            (response(), True),
            (response(Content_Length='10'), True),
            (response(Content_Length='9'), False),
            (response(Content_Encoding='br'), False),
            (response(status_code=404), False),
            (response(status_code=206), False),
        ],
    )
    def test_what_ranges_are_taken_from(self, stored, gives):
        assert can_serve_ranges(stored) is gives


class TestAnswers:
    @pytest.mark.parametrize(
        ('if_range', 'stored', 'applies'),
        [
            (None, {}, True),
            ('"1"', {'ETag': '"1"'}, True),
            (b'"1"', {'ETag': '"1"'}, True),
            ('"2"', {'ETag': '"1"'}, False),
            ('W/"1"', {'ETag': 'W/"1"'}, False),
            ('"1"', {'ETag': 'W/"1"'}, False),
            (date(-60), {'Last_Modified': date(-60), 'Date': date()}, True),
            (date(-60), {'Last_Modified': date(-60), 'Date': date(-60)}, False),
            (date(-60), {'Last_Modified': date(-61), 'Date': date()}, False),
            (date(-60), {}, False),
            ('', {}, False),
        ],
    )
    def test_if_range(self, if_range, stored, applies):
        """RFC 9110, section 13.1.5"""
        request = {} if if_range is None else {'If-Range': if_range}
        assert range_applies(request, response(**stored).headers, NOW) is applies

    def answer(self, ranges, is_brief=False, **kwargs):
        return serve_ranges(response(**kwargs), parse_ranges(ranges), is_brief, 'THE-END')

    def test_one_range(self):
        """RFC 9110, section 15.3.7.1"""
        answer = self.answer('bytes=2-3', ETag='"1"', Content_Type='a/b', Content_Length='10', X='1')
        assert (answer.status_code, answer.reason, answer.content) == (206, 'Partial Content', b'23')
        assert answer.headers == {
            'ETag': '"1"', 'Content-Type': 'a/b', 'X': '1', 'Content-Range': 'bytes 2-3/10', 'Content-Length': '2'
        }  # fmt: skip

    def test_what_the_client_has_is_left_out(self):
        """RFC 9110, section 15.3.7"""
        answer = self.answer('bytes=2-3', True, ETag='"1"', Vary='X', Content_Type='a/b')
        assert answer.headers == {
            'ETag': '"1"', 'Vary': 'X', 'Content-Range': 'bytes 2-3/10', 'Content-Length': '2'
        }  # fmt: skip

    def test_several_ranges(self):
        """RFC 9110, sections 14.6 and 15.3.7.2"""
        answer = self.answer('bytes=-2, 0-0', Content_Type='a/b')
        assert 'Content-Range' not in answer.headers
        assert answer.headers['Content-Length'] == str(len(answer.content))
        head = f'Content-Type: {answer.headers["Content-Type"]}\r\n\r\n'.encode()
        parts = message_from_bytes(head + answer.content).get_payload()
        found = [(p['Content-Range'], p['Content-Type'], p.get_payload(decode=True)) for p in parts]
        assert found == [('bytes 8-9/10', 'a/b', b'89'), ('bytes 0-0/10', 'a/b', b'0')]
        assert b'Content-Type' not in self.answer('bytes=-2, 0-0').content

    def test_not_satisfiable(self):
        """RFC 9110, section 15.5.17"""
        answer = self.answer('bytes=10-', ETag='"1"', Date=date(), Cache_Control='max-age=9')
        assert (answer.status_code, answer.content) == (416, b'')
        assert answer.headers == {'Date': date(), 'Content-Range': 'bytes */10', 'Content-Length': '0'}

    def test_ranges_of_nothing(self):
        """RFC 9110, section 14.2"""
        assert self.answer('bytes=-5', content=b'').status_code == 200

    def test_repeated_fields_stay_so(self):
        stored = response(Set_Cookie='a=1, b=2', Content_Length='10')
        stored._header_fields = (('Set-Cookie', 'a=1'), ('Set-Cookie', 'b=2'), ('Content-Length', '10'))
        raw = partial_content(stored, [(ContentRange(Span(0, 1), 10), b'01')], False, '').raw
        assert raw.headers.getlist('Set-Cookie') == ['a=1', 'b=2']
        assert (raw.headers['Content-Length'], raw.headers['Content-Range']) == ('2', 'bytes 0-1/10')
