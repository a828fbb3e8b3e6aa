"""Which URLs may share an entry whose key they share"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from requests_cache.cache_keys import create_key, normalize_headers, normalize_url
from requests_cache.keys.matching import same_headers, same_target
from requests_cache.keys.redaction import redact_headers, redact_url
from requests_cache.keys.urls import remove_dot_segments, replace_query, split_url
from requests_cache.models.request import CachedRequest

SITE = 'http://example.com'
IGNORED = ('api_key', 'Token')

# What keys spell alike and servers tell apart
DIFFERENT = [
    ('/a/b', '/a%2Fb'),
    ('/a/b', '/a//b'),
    ('/', '//'),
    ('/b', '/a//../b'),
    ('/a', '/a&'),
    ('/a', '/a;'),
    ('/a#b', '/a%23b'),
    ('/a;b', '/a%3Bb'),
    ('/caf%C3%A9', '/cafe%CC%81'),
    ('/%FF', '/%FE'),
    ('/%zz', '/%25zz'),
    ('/%', '/%25'),
    ('/x?a=1', '/x?a=1&b='),
    ('/x', '/x?a='),
    ('/x?a=1&a=2', '/x?a=2&a=1'),
    ('/x?a=1+1', '/x?a=1%2B1'),
    ('/x?a=%zz', '/x?a=%25zz'),
    ('/x?a=%FF', '/x?a=%FE'),
    ('/x?a=%FF', '/x?a=%EF%BF%BD'),
    ('/x?caf%C3%A9=1', '/x?cafe%CC%81=1'),
    ('/x?b&a=1', '/x?b%26a=1'),
    ('/x?what', '/x?what?'),
    ('/x?_escaped_fragment_=y', '/x#!y'),
]
# What keys tell apart already, or nobody can
SAME = [
    ('/', ''),
    ('/a', '/./a'),
    ('/b', '/a/../b'),
    ('/b', '/../b'),
    ('/a/', '/a/.'),
    ('/', '/a/..'),
    ('/~user', '/%7Euser'),
    ('/~user', '/%7euser'),
    ('/a%2Fb', '/a%2fb'),
    ('/a', '/a#fragment'),
    ('/a#one', '/a#two'),
    ('/é', '/%C3%A9'),
    ('/x?a=1&b=2', '/x?b=2&a=1'),
    ('/x?a=1&a=2&b=3', '/x?a=1&b=3&a=2'),
    ('/x?a=1+1', '/x?a=1%201'),
    ('/x?a=1,2', '/x?a=1%2C2'),
    ('/x?a=b=c', '/x?a=b%3Dc'),
    ('/x?a=1', '/x?a=1&'),
    ('/x?%61=1', '/x?a=1'),
]


@pytest.mark.parametrize(('one', 'other'), DIFFERENT)
def test_different_resources(one: str, other: str) -> None:
    assert not same_target(SITE + one, SITE + other, ())
    assert not same_target(SITE + other, SITE + one, ())


@pytest.mark.parametrize(('one', 'other'), SAME)
def test_spellings_of_one_resource(one: str, other: str) -> None:
    assert same_target(SITE + one, SITE + other, ())
    assert same_target(SITE + other, SITE + one, ())


@pytest.mark.parametrize(
    ('one', 'other', 'same'),
    [
        ('http://Example.COM/', 'HTTP://example.com:80', True),
        ('https://example.com/', 'https://example.com:0443/', True),
        ('http://example.com/', 'http://example.com:/', True),
        ('http://[::1]/', 'http://[::1]:80/', True),
        ('http://@example.com/', 'http://example.com/', True),
        ('mock://example.com/a', 'mock://example.com/a#b', True),
        ('http://example.com/', 'https://example.com/', False),
        ('http://example.com/', 'http://example.com:8080/', False),
        ('http://example.com/', 'http://example.com./', False),
        ('http://example.com/', 'http://example..com/', False),
        ('http://[::1]/', 'http://[::2]/', False),
        ('http://user@example.com/', 'http://example.com/', False),
        ('http://user:a@example.com/', 'http://user:b@example.com/', False),
        ('http://user:a@example.com/', 'http://user@example.com/', False),
        ('http://example.com/a', 'http://example.com/A', False),
        ('mock://example.com', 'mock:example.com', False),
    ],
)
def test_the_rest_of_a_url(one: str, other: str, same: bool) -> None:
    assert same_target(one, other, ()) is same
    assert same_target(other, one, ()) is same


@pytest.mark.parametrize(
    ('url', 'stored', 'same'),
    [
        ('/x?api_key=1', '/x?api_key=REDACTED', True),
        ('/x?API_KEY=1', '/x?API_KEY=REDACTED', True),
        ('/x?token=1', '/x?token=2', True),
        ('/x?api%5Fkey=1', '/x?api_key=REDACTED', True),
        ('/x?other=1', '/x?other=REDACTED', True),
        ('/x?other=1', '/x?other=2', False),
        ('/x?other=REDACTED', '/x?other=1', False),
        ('/x?other=', '/x?other=REDACTED', False),
        ('/x?api_key=', '/x?api_key=REDACTED', False),
        ('/x', '/x?api_key=REDACTED', False),
        ('/x?a=1;api_key=1', '/x?a=1;api_key=REDACTED', True),
        ('/x?a=1;api_key=1;b=2', '/x?a=1;api_key=REDACTED;b=3', False),
        ('/x?a=1;api_key=', '/x?a=1;api_key=REDACTED', False),
        ('/x?b=2&user[api_key]=1', '/x?user[api_key]=REDACTED&b=2', True),
        ('/x?api_key[]=1&api_key%5B%5D=2', '/x?api_key[]=REDACTED&api_key%5B%5D=REDACTED', True),
        ('/x?user[name]=1', '/x?user[name]=2', False),
        ('/a;api_key=1/x', '/a;api_key=REDACTED/x', True),
        ('/a;api_key=1/x', '/a;api_key=REDACTED/y', False),
        ('/a;b=1/x', '/a;b=2/x', False),
        ('/x?u=http://h/?api_key=1', '/x?u=http://h/?api_key=REDACTED', True),
        ('/x?u=%2Fa%3Fapi_key%3D1', '/x?u=%2Fa%3Fapi_key%3DREDACTED', True),
        ('/x?api_key=1&api_key=2', '/x?api_key=REDACTED', False),
    ],
)
def test_ignored_and_redacted_values(url: str, stored: str, same: bool) -> None:
    assert same_target(SITE + url, SITE + stored, IGNORED) is same


@pytest.mark.parametrize(
    ('url', 'stored'),
    [
        ('/x?b=1&a=1;api_key=1', '/x?b=1&a=1;api_key=REDACTED'),
        ('/a;api_key=1/x', '/a;api_key=REDACTED/x'),
        ('/x?user[api_key]=1', '/x?user[api_key]=REDACTED'),
        ('/x?u=%2F%3Fapi_key%3D1', '/x?u=%2F%3Fapi_key%3DREDACTED'),
    ],
)
@pytest.mark.parametrize('options', [{}, {'exact_query': True}, {'written_by_1x': True}])
def test_a_url_matches_what_is_stored_of_it(url: str, stored: str, options: dict[str, bool]) -> None:
    assert redact_url(SITE + url, IGNORED) == SITE + stored
    assert same_target(SITE + url, SITE + stored, IGNORED, **options)


def test_redacted_passwords() -> None:
    assert same_target('http://user:secret@example.com/', 'http://user:REDACTED@example.com/', IGNORED)
    assert not same_target('http://user@example.com/', 'http://user:REDACTED@example.com/', IGNORED)
    assert not same_target('http://other:secret@example.com/', 'http://user:REDACTED@example.com/', IGNORED)


@pytest.mark.parametrize(
    ('one', 'other', 'same'),
    [
        ('/x?a=1&b=', '/x?a=1', True),
        ('/x?a=2&a=1', '/x?a=1&a=2', True),
        ('/a%2Fb//c', '/a/b/c', True),
        ('/x?Token=1', '/x?Token=REDACTED', True),
        ('/x?a=1', '/x?a=2', False),
        ('/a', '/b', False),
    ],
)
def test_entries_of_1x_match_by_what_1x_makes_of_them(one: str, other: str, same: bool) -> None:
    assert same_target(SITE + one, SITE + other, IGNORED, written_by_1x=True) is same


def server_view(url: str) -> Any:
    """How a server takes a URL apart, reading parameters into lists by name"""
    parts = urlsplit(url)
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True, encoding='latin-1'):
        fields.setdefault(name, []).append(value)
    path = [unquote_to_bytes(segment) for segment in parts.path.split('/')]
    return parts.hostname, path if parts.path else [b'', b''], fields


# Few characters, so that many pairs come close
paths = st.text('ab/%2F5~', max_size=8).map('/{}'.format)
queries = st.lists(st.sampled_from(['a=1', 'a=2', 'b=', 'b', 'a=%2B', 'a=+', 'a=%20', 'c=%C3%A9', '']), max_size=4)
urls = st.builds(lambda path, query: SITE + path + '?' * bool(query) + '&'.join(query), paths, queries)


@given(urls, urls)
@example(SITE + '/a/b', SITE + '/a%2Fb')
def test_what_servers_tell_apart_is_told_apart(one: str, other: str) -> None:
    if same_target(one, other, ()):
        assert server_view(one) == server_view(other)


@given(urls, st.sampled_from([(), ('a',), ('B', 'c')]))
def test_an_entry_is_found_again(url: str, ignored: tuple[str, ...]) -> None:
    assert same_target(url, redact_url(url, ignored), ignored)
    assert same_target(url, normalize_url(url, ignored), ignored, written_by_1x=True)


@given(st.text(), st.text(), st.booleans())
@example('http://[', 'http://]:', False)
@example('\ud800?\ud800=%', '?\udfff', False)
def test_any_text_is_compared(one: str, other: str, written_by_1x: bool) -> None:
    assert same_target(one, one + '', IGNORED, written_by_1x)
    assert same_target(one, other, IGNORED, written_by_1x) in (True, False)


@given(st.text() | st.text(':/?#@.a', max_size=12))
@example('http://user:p@ss@host:80/path?query?#fragment#')
def test_splitting_loses_nothing(text: str) -> None:
    assert split_url(text).join() == text


def test_parts_of_urls() -> None:
    parts = ('http', 'user:p@ss', 'host:80', '/path:@', 'query?/', 'fragment#?')
    assert split_url('http://user:p@ss@host:80/path:@?query?/#fragment#?') == parts
    assert split_url('http://@?#') == ('http', '', '', '', '', '')
    assert split_url('/path') == (None, None, None, '/path', None, None)
    assert replace_query('http://host/path;x?a=1#f', str.upper) == 'http://host/path;x?A=1#f'
    assert replace_query('http://[', str.upper) == 'http://['


@pytest.mark.parametrize(
    ('path', 'resolved', 'merged'),
    [
        ('/a/./b', '/a/b', '/a/b'),
        ('/a/b/..', '/a/', '/a/'),
        ('/../../a', '/a', '/a'),
        ('/a//b/', '/a//b/', '/a/b/'),
        ('/a//../b', '/a/b', '/b'),
        ('/.', '/', '/'),
        ('/', '/', '/'),
    ],
)
def test_dot_segments(path: str, resolved: str, merged: str) -> None:
    assert remove_dot_segments(path) == resolved
    assert remove_dot_segments(path, merge_slashes=True) == merged


def test_equal_urls_cost_nothing() -> None:
    """So little that no clock would tell: ignored parameters are not even looked at"""
    assert same_target(SITE, 'http://' + 'example.com', (1 / 0 for _ in '1'))  # type: ignore[misc]


def key_of(headers: dict[str, str], match_headers: Any, ignored: tuple[str, ...] = ()) -> str:
    request = CachedRequest(method='GET', url=SITE, headers=CaseInsensitiveDict(headers))
    return create_key(request, ignored, match_headers)


# Few names and characters, so that many sets of headers have one text
FIELDS = st.dictionaries(st.sampled_from(['A', 'B', 'Ab']), st.text('aAbB=1, ', max_size=5), max_size=3)


class TestHeaders:
    """Headers of two requests that have the same key"""

    @pytest.mark.parametrize('match_headers', [['A', 'B'], True])
    def test_headers_that_keys_put_one_after_another(self, match_headers: Any) -> None:
        one, other = {'A': '1', 'B': '2'}, {'A': '1b=2'}
        assert key_of(one, match_headers) == key_of(other, match_headers), 'this is what the comparison is for'
        assert not same_headers(one, other, match_headers, ())
        assert not same_headers(other, one, match_headers, ())

    @given(FIELDS, FIELDS, st.sampled_from([True, ['A', 'B'], ['ab', 'A', 'b']]))
    def test_what_shares_a_key_is_told_apart(self, one: dict[str, str], other: dict[str, str], names: Any) -> None:
        chosen = [
            {
                n.lower(): v
                for n, v in normalize_headers(h).items()
                if names is True or n.lower() in map(str.lower, names)
            }
            for h in (one, other)
        ]
        if key_of(one, names) == key_of(other, names):
            assert same_headers(one, other, names, ()) is (chosen[0] == chosen[1])
        assert same_headers(one, one, names, ())

    @pytest.mark.parametrize('match_headers', [False, [], ['a'], ['A', 'C'], ['X']])
    def test_only_names_that_are_matched_count(self, match_headers: Any) -> None:
        assert same_headers({'A': '1', 'B': '2'}, {'a': '1', 'b': '3'}, match_headers, ())

    def test_lists_match_in_any_order(self) -> None:
        assert same_headers({'Accept': 'a, b', 'B': '1'}, {'accept': 'b,a', 'b': '1'}, True, ())

    def test_secrets_match_anything(self) -> None:
        headers = {'Authorization': 'Bearer secret', 'Cookie': 'id=5; token=secret', 'Y': '1', 'Z': '2'}
        ignored = ('authorization', 'token')
        stored = redact_headers(headers, ignored)
        assert same_headers(headers, stored, True, ignored)
        assert same_headers({**headers, 'Authorization': 'Bearer other'}, stored, True, ignored)
        del headers['Z']
        assert not same_headers({**headers, 'Y': '1z=2'}, stored, True, ignored)

    def test_boundaries_do_not_count(self) -> None:
        one, other = ({'Content-Type': f'multipart/form-data; boundary={b}', 'A': '1'} for b in 'ab')
        assert key_of(one, True) == key_of(other, True)
        assert same_headers(one, other, True, ())

    def test_headers_that_were_changed_after_the_key_was_made(self) -> None:
        """As adapters do that add header fields; what was asked for cannot be told, and the key is believed"""
        assert same_headers({'A': '1', 'B': '2'}, {'A': '1', 'B': '2', 'X-Trace': '5'}, True, ())
        assert same_headers({'A': '1', 'B': '2'}, {'A': '1'}, ['A', 'B'], ())

    def test_unambiguous_headers_cost_nothing(self) -> None:
        class Untouched(dict[str, str]):
            def items(self) -> Any:
                raise AssertionError('not to be looked at')

        assert same_headers({'A': '1', 'B': '2'}, Untouched(), ['A'], ())
