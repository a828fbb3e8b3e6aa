"""Response hooks, streamed responses, and `raw`"""

from __future__ import annotations

import gzip
from contextlib import nullcontext

import pytest
import requests
from requests.auth import HTTPDigestAuth

from requests_cache.testing.origin import NOTICES_SHORT_BODIES, Answer, answer, redirect, revalidating

TEXT = b'first line\nsecond line\n' * 500


class TestHooks:
    def calls(self, session, url, **kwargs):
        seen = []
        session.get(url, hooks={'response': lambda r, **kw: seen.append((r.status_code, sorted(kw)))}, **kwargs)
        return seen

    def test_once_per_response(self, session, origin):
        origin.add('/a', redirect('/b'))
        origin.add('/b', revalidating(answer(body=b'x', headers=[('ETag', '"1"')])))
        keywords = ['cert', 'proxies', 'stream', 'timeout', 'verify']
        assert self.calls(session, origin.url('/a')) == [(302, keywords), (200, keywords)]
        assert self.calls(session, origin.url('/a')) == [(200, keywords)]
        assert self.calls(session, origin.url('/b'), refresh=True) == [(200, keywords)]
        assert self.calls(session, origin.url('/none'), only_if_cached=True) == [(504, keywords)]

    def test_changed_response_after_validation(self, session, origin):
        origin.add('/b', answer(body=b'1', headers=[('ETag', '"1"')]), answer(body=b'2'))
        session.get(origin.url('/b'))
        assert len(self.calls(session, origin.url('/b'), refresh=True)) == 1

    def test_what_a_hook_changes_is_stored(self, session, origin):
        origin.add('/page', body=b'x')

        def hook(response, **kwargs):
            response.headers['X-Hook'] = 'yes'

        session.get(origin.url('/page'), hooks={'response': hook})
        assert session.get(origin.url('/page')).headers['X-Hook'] == 'yes'

    def test_hook_that_raises_prevents_storing(self, session, origin):
        def hook(response, **kwargs):
            raise KeyError('hook')

        with pytest.raises(KeyError, match='hook'):
            session.get(origin.url('/page'), hooks={'response': hook})
        assert len(session.cache.responses) == 0

    def test_hook_may_replace_the_response(self, session, origin):
        origin.add('/page', body=b'x')
        session.get(origin.url('/page'))
        other = requests.Response()
        assert session.get(origin.url('/page'), hooks={'response': lambda r, **kw: other}) is other

    def test_authentication_by_hook_during_validation(self, session, origin):
        full = answer(body=b'x', headers=[('ETag', '"1"')])
        protected = revalidating(full)

        def page(request):
            if request.header('Authorization') is None:
                challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
                return answer(401, headers=[('WWW-Authenticate', challenge)])
            return protected(request)

        origin.add('/page', page)
        session.auth = HTTPDigestAuth('user', 'password')
        assert session.get(origin.url('/page')).content == b'x'
        session.auth = HTTPDigestAuth('user', 'password')
        response = session.get(origin.url('/page'), refresh=True)
        assert (response.status_code, response.content, response.revalidated) == (200, b'x', True)


class TestStreams:
    @pytest.fixture(params=['plain', 'gzip', 'chunked'])
    def page(self, request, origin):
        options = {'gzip': {'gzip': True}, 'chunked': {'chunked': True}, 'plain': {}}[request.param]
        origin.add('/page', Answer(200, TEXT, (('Content-Type', 'text/plain; charset=utf-8'),), **options))
        return origin.url('/page')

    @pytest.mark.parametrize(
        'read',
        [
            lambda r: b''.join(r.iter_content(100)),
            lambda r: b'\n'.join(r.iter_lines()) + b'\n',
            lambda r: r.content,
            lambda r: r.raw.read(decode_content=True),
            lambda r: b''.join(r.raw.stream(100, decode_content=True)),
            lambda r: r.text.encode(),
        ],
        ids=['iter_content', 'iter_lines', 'content', 'raw.read', 'raw.stream', 'text'],
    )
    def test_miss_and_hit_read_the_same(self, any_session, page, read):
        for _ in range(2):
            with any_session.get(page, stream=True) as response:
                assert read(response) == TEXT
                assert response.content == TEXT

    def test_raw_of_a_stored_original_is_as_it_came(self, session, origin):
        origin.add('/page', Answer(200, TEXT, (('Content-Type', 'text/plain'),), gzip=True))
        response = session.get(origin.url('/page'), stream=True)
        assert gzip.decompress(response.raw.read()) == TEXT

    def test_response_that_is_not_stored_stays_unread(self, session, origin):
        origin.add('/page', answer(404, body=TEXT))
        with session.get(origin.url('/page'), stream=True) as response:
            assert response._content is False
            assert response.raw.read() == TEXT

    def test_hit_can_be_read_again_and_again(self, session, origin):
        origin.add('/page', body=TEXT, headers=[('X-Twice', '1'), ('X-Twice', '2')])
        session.get(origin.url('/page'))
        hit = session.get(origin.url('/page'), stream=True)
        assert list(hit.iter_content(1000)) == list(hit.iter_content(1000))
        assert hit.raw.read(5) == TEXT[:5]
        assert hit.raw.tell() == 5
        hit.raw.reset()
        assert hit.raw.read() == TEXT
        assert hit.raw.read() == b''
        assert hit.raw.headers.getlist('X-Twice') == ['1', '2']
        assert (hit.raw.status, hit.raw.reason, hit.raw.version, hit.raw.geturl()) == (
            200,
            'OK',
            11,
            origin.url('/page'),
        )

    @pytest.mark.parametrize('stream', [False, True])
    @pytest.mark.parametrize(
        ('broken', 'error'),
        [
            (Answer(200, TEXT, cut_after=100), requests.exceptions.ChunkedEncodingError),
            (Answer(200, TEXT, chunked=True, cut_after=100), requests.exceptions.ChunkedEncodingError),
            (Answer(200, b'no gzip', (('Content-Encoding', 'gzip'),)), requests.exceptions.ContentDecodingError),
        ],
        ids=['short', 'chunks', 'coding'],
    )
    def test_incomplete_bodies(self, session, origin, stream, broken, error):
        """Never stored; the error comes as it does without a cache: when the body is read"""
        origin.add('/page', broken)
        unnoticed = broken.cut_after and not broken.chunked and not NOTICES_SHORT_BODIES
        with nullcontext() if unnoticed else pytest.raises(error):
            session.get(origin.url('/page'))
        response = session.get(origin.url('/page'), stream=True)
        with nullcontext() if unnoticed else pytest.raises(error):
            response.content  # noqa: B018
        assert len(session.cache.responses) == 0


def test_reading_nothing_of_a_hit(session, origin):
    """As without a cache, it reads nothing, and leaves all to be read"""
    origin.add('/page', body=b'hello')
    for _ in range(2):
        raw = session.get(origin.url('/page'), stream=True).raw
        buffer = bytearray()
        assert (raw.read(0), raw.readinto(buffer), raw.read(3), raw.read(0), raw.read()) == (b'', 0, b'hel', b'', b'lo')
        assert session.get(origin.url('/page')).from_cache
