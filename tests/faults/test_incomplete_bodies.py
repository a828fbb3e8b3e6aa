"""Bodies that are cut short: callers meet what plain `requests` raises, and nothing is stored as if it were whole"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import requests

from faults.local_caches import SessionFactory
from requests_cache import CachedSession
from requests_cache.testing.origin import NOTICES_SHORT_BODIES, Answer, Origin, answer, revalidating

TEXT = b''.join(b'%d bottles of beer on the wall\n' % i for i in range(200))
PACKED = gzip.compress(TEXT, mtime=0)


def coded(body: bytes, coding: str = 'gzip') -> Answer:
    return answer(200, body, [('Content-Encoding', coding)])


def raw(head: str, body: bytes) -> Answer:
    return Answer(raw=b'HTTP/1.1 200 OK\r\n' + head.encode() + b'\r\n\r\n' + body)


BROKEN = {
    'shorter than its Content-Length': answer(200, TEXT, cut_after=1000),
    'nothing of what was announced': answer(200, TEXT, cut_after=0),
    'chunks without an end': answer(200, TEXT, chunked=True, cut_after=1000),
    'a chunk that is cut short': raw('Transfer-Encoding: chunked', b'10\r\nonly this'),
    'a chunk without a size': raw('Transfer-Encoding: chunked', b'what?\r\nonly this\r\n0\r\n\r\n'),
    'no gzip at all': coded(b'not compressed'),
    'damaged gzip': coded(PACKED[:100] + bytes(50) + PACKED[150:]),
    'damaged gzip checksum': coded(PACKED[:-8] + b'\x00' * 8),
    'no deflate at all': coded(b'not compressed', 'deflate'),
    'gzip, shorter than its Content-Length': answer(200, TEXT, gzip=True, cut_after=100),
    'an answer that is no HTTP': Answer(raw=b'no HTTP\r\n\r\n'),
    'no answer at all': answer(drop=True),
}
# urllib3 takes what there is without a word, so the caller gets it
CUT_SHORT_QUIETLY = {
    'gzip': coded(PACKED[:-40]),
    'gzip without its checksum': coded(PACKED[:-8]),
    'gzip, the second of two members': coded(PACKED + PACKED[:-40]),
    'gzip, chunked': answer(200, PACKED[:-40], [('Content-Encoding', 'gzip')], chunked=True),
    'deflate': coded(zlib.compress(TEXT)[:-20], 'deflate'),
    'deflate of the wrong kind': coded(zlib.compress(TEXT)[2:-20], 'deflate'),
    'twice compressed': coded(gzip.compress(PACKED[:-40], mtime=0), 'gzip, gzip'),
}
WHOLE = {
    'plain': answer(200, TEXT),
    'empty': answer(200, b''),
    'chunked': answer(200, TEXT, chunked=True),
    'until the connection closes': raw('Connection: close', TEXT),
    'gzip': coded(PACKED),
    'gzip, chunked': answer(200, PACKED, [('Content-Encoding', 'gzip')], chunked=True),
    'gzip of two members': coded(gzip.compress(TEXT[:500]) + gzip.compress(TEXT[500:])),
    'gzip with something behind it': coded(PACKED + b'\x00' * 100),
    'gzip of nothing': coded(gzip.compress(b'')),
    'nothing, said to be gzip': coded(b''),
    'deflate': coded(zlib.compress(TEXT), 'deflate'),
    'deflate of the wrong kind': coded(zlib.compress(TEXT)[2:-4], 'deflate'),
    'twice compressed': coded(gzip.compress(PACKED), 'gzip, gzip'),
    'an unknown coding': coded(TEXT, 'rot13'),
}

READERS: dict[str, Callable[[requests.Response], Any]] = {
    'content': lambda response: response.content,
    'text': lambda response: response.text,
    'iter_content': lambda response: b''.join(response.iter_content(100)),
    'iter_lines': lambda response: list(response.iter_lines()),
    'raw': lambda response: response.raw.read(decode_content=True),
}


def outcome(get: Callable[[], requests.Response], read: Callable[[requests.Response], Any]) -> Any:
    """What a caller sees: a body, or the type of an exception, and whether it came before there was a response"""
    try:
        response = get()
    except requests.RequestException as e:
        return 'no response', type(e)
    with response:
        try:
            return response.status_code, read(response)
        except Exception as e:
            return 'no body', type(e)


needs_notice = pytest.mark.skipif(not NOTICES_SHORT_BODIES, reason='urllib3 1.26 takes a short body for a whole one')


@pytest.fixture
def session(new_session: SessionFactory, local: dict[str, Any]) -> CachedSession:
    return new_session(**local)


@pytest.mark.parametrize('stream', [False, True], ids=['at once', 'stream'])
@pytest.mark.parametrize('name', BROKEN)
def test_broken_bodies(name: str, stream: bool, session: CachedSession, origin: Origin) -> None:
    origin.add('/page', BROKEN[name])
    url = origin.url('/page')
    for read in READERS.values():
        expected = outcome(lambda: requests.get(url, stream=stream), read)
        assert outcome(lambda: session.get(url, stream=stream), read) == expected
    assert len(session.cache.responses) == 0
    origin.add('/page', body=TEXT)
    assert [session.get(url).from_cache for _ in range(2)] == [False, True]


@pytest.mark.parametrize('stream', [False, True], ids=['at once', 'stream'])
@pytest.mark.parametrize('name', CUT_SHORT_QUIETLY)
def test_what_urllib3_does_not_notice(name: str, stream: bool, new_session: SessionFactory, origin: Origin) -> None:
    origin.add('/page', CUT_SHORT_QUIETLY[name])
    session, url = new_session(backend='memory'), origin.url('/page')
    expected = outcome(lambda: requests.get(url), READERS['content'])
    assert outcome(lambda: session.get(url, stream=stream), READERS['content']) == expected
    assert len(session.cache.responses) == 0


@pytest.mark.parametrize('stream', [False, True], ids=['at once', 'stream'])
@pytest.mark.parametrize('name', WHOLE)
def test_whole_bodies_are_stored(name: str, stream: bool, new_session: SessionFactory, origin: Origin) -> None:
    origin.add('/page', WHOLE[name])
    session, url = new_session(backend='memory'), origin.url('/page')
    expected = outcome(lambda: requests.get(url), READERS['content'])
    for from_cache in (False, True):
        response = session.get(url, stream=stream)
        assert (response.status_code, response.content) == expected
        assert response.from_cache is from_cache


@needs_notice
def test_a_body_that_breaks_off_at_the_end_of_redirects(session: CachedSession, origin: Origin) -> None:
    origin.add('/page', BROKEN['shorter than its Content-Length'])
    origin.add('/start', answer(302, headers=[('Location', '/page')]))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        session.get(origin.url('/start'))
    assert len(session.cache.responses) == len(session.cache.redirects) == 0


@needs_notice
def test_an_old_entry_outlives_a_new_body_that_breaks_off(session: CachedSession, origin: Origin) -> None:
    """As the new response was not received whole, it replaces nothing"""
    old = answer(200, TEXT, [('ETag', '"1"')])
    origin.add('/page', revalidating(old))
    url = origin.url('/page')
    session.get(url)
    origin.add('/page', answer(200, b'new' * 1000, [('ETag', '"2"')], cut_after=10))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        session.get(url, force_refresh=True)
    assert session.get(url, only_if_cached=True).content == TEXT


@needs_notice
def test_stale_if_error_covers_it(session: CachedSession, origin: Origin) -> None:
    session.settings.stale_if_error = True
    origin.add('/page', body=TEXT)
    url = origin.url('/page')
    session.get(url, expire_after=-10)
    origin.add('/page', answer(200, b'new' * 1000, cut_after=10))
    response = session.get(url)
    assert response.content == TEXT
    assert response.is_expired
