"""By the standard: filters, chains of redirects, and what unsafe requests make invalid"""

from __future__ import annotations

import pytest

from requests_cache.testing.origin import answer, redirect, revalidating

FRESH = ('Cache-Control', 'max-age=60')


@pytest.fixture
def strict(new_session):
    return new_session(backend='memory', cache_control='strict')


class TestFilter:
    """A filter judges responses of the origin, not what the cache makes of them"""

    @pytest.fixture
    def filtered(self, strict):
        strict.settings.filter_fn = lambda response: 'data' in response.json()
        return strict

    @pytest.mark.parametrize(
        ('headers', 'status'),
        [({'If-None-Match': '"1"'}, 304), ({'Range': 'bytes=0-3'}, 206), ({'Range': 'bytes=99-'}, 416)],
    )
    def test_answers_made_from_what_is_stored(self, filtered, origin, headers, status):
        origin.add('/page', body=b'{"data": 1}', headers=[FRESH, ('ETag', '"1"')])
        filtered.get(origin.url('/page'))
        assert filtered.get(origin.url('/page'), headers=headers).status_code == status
        assert filtered.get(origin.url('/page')).from_cache
        assert origin.hits() == 1

    def test_head(self, filtered, origin):
        origin.add('/page', body=b'{"data": 1}', headers=[FRESH])
        filtered.get(origin.url('/page'))
        assert filtered.head(origin.url('/page')).from_cache
        assert filtered.get(origin.url('/page')).from_cache

    @pytest.mark.parametrize('cache_control', [False, 'strict'])
    def test_answers_without_the_origin(self, new_session, origin, cache_control):
        """What is stale and may not be validated stays stored"""
        session = new_session(backend='memory', cache_control=cache_control)
        session.settings.filter_fn = lambda response: response.status_code == 200
        origin.add('/page', body=b'x', headers=[('Cache-Control', 'max-age=0'), ('ETag', '"1"')])
        session.get(origin.url('/page'), expire_after=-10)
        assert session.get(origin.url('/page'), only_if_cached=True).status_code == 504
        assert len(session.cache.responses) == 1

    def test_what_a_filter_does_not_want_any_more(self, strict, origin):
        origin.add('/page', body=b'x', headers=[FRESH])
        strict.get(origin.url('/page'))
        strict.settings.filter_fn = lambda response: False
        assert strict.get(origin.url('/page')).from_cache
        assert len(strict.cache.responses) == 0


class TestChains:
    """Each response is stored for its own request; none is part of another"""

    def test_redirect_that_is_not_to_be_stored(self, strict, origin):
        origin.add('/a', redirect('/b', headers=[('Cache-Control', 'no-store')]))
        origin.add('/b', body=b'x', headers=[FRESH])
        for is_hit in (False, True):
            response = strict.get(origin.url('/a'))
            assert (response.content, response.from_cache) == (b'x', is_hit)
        assert (origin.hits('/a'), origin.hits('/b')) == (2, 1)

    def test_lifetimes_of_their_own(self, strict, origin):
        origin.add('/a', redirect('/b', 301, headers=[FRESH]))
        origin.add('/b', body=b'x', headers=[('Cache-Control', 'max-age=0')])
        for _ in range(2):
            response = strict.get(origin.url('/a'))
            assert (response.content, [r.status_code for r in response.history]) == (b'x', [301])
        assert (origin.hits('/a'), origin.hits('/b')) == (1, 2)

    def test_all_are_fresh(self, strict, origin):
        origin.add('/a', redirect('/b', 302, headers=[FRESH]))
        origin.add('/b', redirect('/c', 307, headers=[FRESH]))
        origin.add('/c', body=b'x', headers=[FRESH])
        first, hit = (strict.get(origin.url('/a')) for _ in range(2))
        assert (hit.content, hit.url, hit.from_cache) == (b'x', first.url, True)
        assert [(r.status_code, r.url) for r in hit.history] == [(r.status_code, r.url) for r in first.history]
        assert origin.hits() == 3
        not_followed = strict.get(origin.url('/a'), allow_redirects=False)
        assert (not_followed.status_code, not_followed.from_cache, not_followed.next.url) == (
            302, True, origin.url('/b'),
        )  # fmt: skip

    def test_redirects_are_validated(self, strict, origin):
        headers = [('Cache-Control', 'max-age=0'), ('ETag', '"1"')]
        origin.add('/a', revalidating(redirect('/b', headers=headers)))
        origin.add('/b', revalidating(answer(body=b'x', headers=headers)))
        for _ in range(2):
            assert strict.get(origin.url('/a')).content == b'x'
        assert [r.header('If-None-Match') for r in origin.requests] == [None, None, '"1"', '"1"']


class TestUnsafeRequests:
    """RFC 9111, section 4.4"""

    def stored(self, session, origin):
        return sorted(url.removeprefix(origin.url('')) for url in session.cache.urls())

    def test_answered_by_a_redirect_to_nothing(self, strict, origin):
        origin.add('/page', answer(body=b'old', headers=[FRESH]), redirect('/gone', 303))
        strict.get(origin.url('/page'))
        assert strict.post(origin.url('/page')).status_code == 404
        assert self.stored(strict, origin) == []

    def test_the_end_of_a_chain(self, strict, origin):
        origin.add('/a', redirect('/b', headers=[FRESH]))
        origin.add('/b', answer(body=b'old', headers=[FRESH]), answer(204), answer(body=b'new', headers=[FRESH]))
        strict.get(origin.url('/a'))
        strict.post(origin.url('/b'))
        assert strict.get(origin.url('/a')).content == b'new'
        assert origin.hits('/a') == 1

    def test_failed(self, strict, origin):
        origin.add('/page', answer(body=b'old', headers=[FRESH]), answer(500))
        strict.get(origin.url('/page'))
        strict.post(origin.url('/page'))
        assert strict.get(origin.url('/page')).from_cache

    @pytest.mark.parametrize('backend', ['memory', 'sqlite', 'filesystem'])
    @pytest.mark.parametrize('match_headers', [['Accept-Language'], True], ids=str)
    def test_whatever_headers_are_matched(self, new_session, origin, match_headers, backend):
        session = new_session(backend=backend, cache_control='strict', match_headers=match_headers)
        for path in ('/page', '/other'):
            origin.add(path, body=b'x', headers=[FRESH])
            for language in ('de', 'en'):
                session.get(origin.url(path), headers={'Accept-Language': language})
        session.post(origin.url('/page'), headers={'Accept-Language': 'fr'})
        assert self.stored(session, origin) == ['/other']
        assert len(session.cache.responses) == 2
