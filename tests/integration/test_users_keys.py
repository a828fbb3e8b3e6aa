"""Keys of the user's own alone say which requests are the same"""

from __future__ import annotations

import pytest

from requests_cache import BaseCache, create_key
from requests_cache.testing.origin import answer

MODES = [False, True, 'strict']


def by_path(request, **kwargs):
    return request.url.partition('?')[0].lower()


def without_codings(request, match_headers=None, **kwargs):
    """As a user writes it whose test data are replayed where other codecs are installed"""
    names = [name for name in match_headers or () if name.lower() != 'accept-encoding']
    return create_key(request, match_headers=names)


class Own(BaseCache):
    def create_key(self, request, **kwargs):
        return by_path(request)


@pytest.fixture(params=['setting', 'instance', 'class', 'set later'])
def keyed(request, new_session):
    """Makes sessions whose keys are made by a function, given in each way"""

    def make(key_fn, **settings):
        way = request.param
        backend = type('Own', (BaseCache,), {'create_key': lambda self, r, **kw: key_fn(r, **kw)})()
        session = new_session(
            backend=backend if way == 'class' else 'memory', key_fn=key_fn if way == 'setting' else None, **settings
        )
        if way == 'instance':
            session.cache.create_key = key_fn
        elif way == 'set later':
            session.settings.key_fn = key_fn
        return session

    return make


@pytest.mark.parametrize('cache_control', MODES, ids=str)
def test_urls_that_are_the_same_by_the_users_keys(keyed, origin, cache_control):
    session = keyed(by_path, cache_control=cache_control)
    origin.add('/page', body=b'x', headers=[('Cache-Control', 'max-age=60')])
    session.get(origin.url('/page?session=1'))
    assert session.get(origin.url('/page?session=2&b=3')).from_cache
    assert origin.hits() == 1


@pytest.mark.parametrize('cache_control', MODES, ids=str)
def test_codings_that_do_not_count_by_the_users_keys(keyed, origin, cache_control):
    session = keyed(without_codings, cache_control=cache_control)
    headers = [('Vary', 'Accept, Accept-Encoding'), ('Cache-Control', 'max-age=60')]
    origin.add('/page', body=b'x', headers=headers)
    session.get(origin.url('/page'), headers={'Accept-Encoding': 'gzip, deflate, zstd'})
    assert session.get(origin.url('/page'), headers={'Accept-Encoding': 'gzip, deflate'}).from_cache
    assert not session.get(origin.url('/page'), headers={'Accept': 'text/html'}).from_cache


def test_what_counts_by_the_users_keys(keyed, origin):
    """Also where URLs are the same"""
    numbers = iter(range(100))
    session = keyed(lambda request, **kwargs: str(next(numbers)))
    origin.add('/page', body=b'x')
    assert [session.get(origin.url('/page')).from_cache for _ in range(3)] == [False] * 3


class TestOurKeys:
    @pytest.mark.parametrize('first', ['gzip, deflate, zstd', 'gzip', None])
    @pytest.mark.parametrize('second', ['gzip, deflate', 'br', None])
    def test_codings_do_not_count_in_the_default_modes(self, any_session, origin, first, second):
        origin.add('/page', body=b'x', headers=[('Vary', 'Accept-Encoding')])
        any_session.get(origin.url('/page'), headers={'Accept-Encoding': first})
        assert any_session.get(origin.url('/page'), headers={'Accept-Encoding': second}).from_cache

    def test_codings_count_by_the_standard(self, new_session, origin):
        session = new_session(backend='memory', cache_control='strict')
        origin.add('/page', body=b'x', headers=[('Vary', 'Accept-Encoding'), ('Cache-Control', 'max-age=60')])
        found = [
            session.get(origin.url('/page'), headers={'Accept-Encoding': value}).from_cache
            for value in ('gzip, br', 'br,GZIP', 'gzip')
        ]
        assert found == [False, True, False]

    @pytest.mark.parametrize('cache_control', MODES, ids=str)
    @pytest.mark.parametrize('match_headers', [['X-A', 'X-B'], True], ids=str)
    def test_headers_that_share_a_key(self, new_session, origin, match_headers, cache_control):
        """Keys of 1.x put headers one after another, without anything in between"""
        session = new_session(backend='memory', match_headers=match_headers, cache_control=cache_control)
        origin.add(
            '/page', lambda request: answer(body=request.header('X-A'), headers=[('Cache-Control', 'max-age=60')])
        )
        both, one = {'X-A': '1', 'X-B': '2'}, {'X-A': '1x-b=2'}
        session.headers.clear()
        assert session.get(origin.url('/page'), headers=both).text == '1'
        assert session.get(origin.url('/page'), headers=one).text == '1x-b=2'
        assert session.get(origin.url('/page'), headers=one).from_cache
        assert session.get(origin.url('/page'), headers=both).text == '1'
