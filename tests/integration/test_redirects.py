"""Redirects: followed, stored, and served from the cache"""

from __future__ import annotations

import pytest
import requests

from requests_cache.testing.origin import answer, redirect, revalidating


@pytest.fixture
def chain(origin):
    origin.add('/a', redirect('/b', headers=[('Set-Cookie', 'hop=a; Path=/')]))
    origin.add('/b', redirect('/c', 301))
    origin.add('/c', body=b'end')
    return origin


def facts(response):
    return response.status_code, response.url, [(r.status_code, r.url) for r in response.history]


def test_chain(any_session, chain):
    expected = 200, chain.url('/c'), [(302, chain.url('/a')), (301, chain.url('/b'))]
    miss, hit = (any_session.get(chain.url('/a')) for _ in range(2))
    assert facts(miss) == facts(hit) == expected
    assert (miss.from_cache, hit.from_cache, chain.hits()) == (False, True, 3)
    assert all(r.from_cache for r in hit.history)
    assert hit.history[0].headers['Location'] == '/b'
    assert hit.history[0].cookies.get_dict() == {'hop': 'a'}


def test_intermediate_url_has_the_history_from_there(any_session, chain):
    any_session.get(chain.url('/a'))
    hit = any_session.get(chain.url('/b'))
    assert facts(hit) == (200, chain.url('/c'), [(301, chain.url('/b'))])
    assert any_session.get(chain.url('/c')).history == []
    assert chain.hits() == 3


def test_intermediate_url_without_verification(session, chain):
    session.get(chain.url('/a'), verify=False)
    assert session.get(chain.url('/b'), verify=False).from_cache
    assert not session.get(chain.url('/b')).from_cache


def test_not_following_after_a_chain_was_stored(any_session, chain):
    any_session.get(chain.url('/a'))
    response = any_session.get(chain.url('/a'), allow_redirects=False)
    assert facts(response) == (302, chain.url('/a'), [])
    assert (response.from_cache, response.is_redirect, chain.hits()) == (True, True, 3)
    assert response.next.url == chain.url('/b')
    assert facts(any_session.get(chain.url('/b'), allow_redirects=False)) == (301, chain.url('/b'), [])


def test_stored_redirect_is_followed(new_session, chain):
    session = new_session(backend='memory', allowable_codes=[200, 301, 302])
    first = session.get(chain.url('/a'), allow_redirects=False)
    assert (first.status_code, first.next.url) == (302, chain.url('/b'))
    again = session.get(chain.url('/a'), allow_redirects=False)
    assert (again.status_code, again.from_cache, again.next.url) == (302, True, chain.url('/b'))
    response = session.get(chain.url('/a'))
    assert facts(response) == (200, chain.url('/c'), [(302, chain.url('/a')), (301, chain.url('/b'))])
    assert chain.hits('/a') == 1


def test_options_go_for_each_redirect(session, chain):
    session.get(chain.url('/a'))
    response = session.get(chain.url('/a'), force_refresh=True, expire_after=60)
    assert (response.from_cache, chain.hits()) == (False, 6)
    assert session.get(chain.url('/c')).expires is not None
    session.cache.clear()
    assert session.get(chain.url('/a'), only_if_cached=True).status_code == 504
    assert chain.hits() == 6


def test_options_do_not_go_for_requests_of_hooks(session, chain):
    chain.add('/other', body=b'x')
    other = []

    def hook(response, **kwargs):
        if response.is_redirect:
            other.append(session.get(chain.url('/other')).expires)

    session.get(chain.url('/c'), expire_after=60, hooks={'response': hook})
    session.get(chain.url('/a'), expire_after=60, hooks={'response': hook})
    assert other == [None, None]


def test_known_end_of_a_new_chain(session, chain):
    session.get(chain.url('/c'), expire_after=60)
    response = session.get(chain.url('/a'))
    assert (response.content, chain.hits('/c')) == (b'end', 1)
    stored = session.get(chain.url('/a'))
    assert stored.expires == session.get(chain.url('/c')).expires, 'the chain is no fresher than its end'


def test_method_of_the_request_decides_on_storing(new_session, origin):
    session = new_session(backend='memory')
    origin.add('/form', redirect('/done', 303))
    origin.add('/done', body=b'done')
    assert session.post(origin.url('/form'), data={'a': 1}).content == b'done'
    assert session.cache.urls() == [origin.url('/done')]
    session.cache.clear()
    session.settings.allowable_methods = ['GET', 'POST']
    assert [session.post(origin.url('/form'), data={'a': 1}).from_cache for _ in range(2)] == [False, True]


def test_expired_chain_is_validated(session, origin):
    origin.add('/a', redirect('/b'))
    origin.add('/b', revalidating(answer(body=b'end', headers=[('ETag', '"1"')])))
    session.get(origin.url('/a'), expire_after=-10)
    response = session.get(origin.url('/a'))
    assert (response.content, response.status_code) == (b'end', 200)
    assert [r.status_code for r in response.history] == [302]
    assert origin.requests_for('/b')[-1].header('If-None-Match') == '"1"'
    hit = session.get(origin.url('/a'))
    assert (hit.from_cache, hit.content) == (True, b'end')
    assert 'If-None-Match' not in hit.request.headers
    assert 'If-None-Match' not in hit.history[0].request.headers


def test_vary_of_any_redirect_counts(session, origin):
    def start(request):
        language = request.header('Accept-Language')
        return redirect(f'/{language}', headers=[('Vary', 'Accept-Language')])

    origin.add('/start', start)
    origin.add('/en', body=b'en')
    origin.add('/de', body=b'de')
    for _ in range(2):
        for language in ('en', 'de'):
            response = session.get(origin.url('/start'), headers={'Accept-Language': language})
            assert response.text == language
    assert origin.hits() == 4


def test_vary_at_the_end_of_redirects(session, chain):
    chain.add('/c', body=b'end', headers=[('Vary', 'Accept')])
    assert [session.get(chain.url('/a')).from_cache for _ in range(2)] == [False, True]


def test_too_many_redirects(session, origin):
    origin.add('/loop', redirect('/loop'))
    session.max_redirects = 3
    for _ in range(2):
        with pytest.raises(requests.TooManyRedirects):
            session.get(origin.url('/loop'))


def test_deleting_the_entry_deletes_the_way_to_it(any_session, chain):
    any_session.get(chain.url('/a'))
    assert len(any_session.cache.redirects) == 2
    assert any_session.cache.delete(urls=[chain.url('/a')]) == 1
    assert len(any_session.cache.redirects) == 0
    assert not any_session.get(chain.url('/b'), only_if_cached=True).ok


def test_head_is_not_followed_unless_asked(session, chain):
    assert session.head(chain.url('/a')).status_code == 302
    assert session.head(chain.url('/a'), allow_redirects=True).status_code == 200


class TestHandshakes:
    """A history may hold the 401 of an authentication, which is no redirect"""

    @pytest.fixture
    def protected(self, origin):
        challenge = answer(401, headers=[('WWW-Authenticate', 'Digest realm="a", nonce="1", qop="auth"')])

        def page(request):
            return answer(body=b'secret') if request.header('Authorization') else challenge

        origin.add('/page', page)
        return origin.url('/page')

    @pytest.mark.parametrize('options', [{}, {'allow_redirects': False}])
    @pytest.mark.parametrize('method', ['GET', 'HEAD'])
    def test_digest(self, any_session, protected, method, options):
        auth = requests.auth.HTTPDigestAuth('u', 'p')
        for is_hit in (False, True):
            response = any_session.request(method, protected, auth=auth, **options)
            assert (response.status_code, response.from_cache) == (200, is_hit)
            assert response.content == (b'secret' if method == 'GET' else b'')
        assert any_session.request(method, protected, **options).status_code == 200

    def test_digest_and_redirects(self, any_session, protected, origin):
        def start(request):
            return (
                redirect('/page')
                if request.header('Authorization')
                else answer(401, headers=[('WWW-Authenticate', 'Digest realm="a", nonce="1", qop="auth"')])
            )

        origin.add('/start', start)
        auth = requests.auth.HTTPDigestAuth('u', 'p')
        first = any_session.get(origin.url('/start'), auth=auth)
        hit = any_session.get(origin.url('/start'), auth=auth)
        assert (first.content, hit.content, hit.from_cache) == (b'secret', b'secret', True)
        not_followed = any_session.get(origin.url('/start'), auth=auth, allow_redirects=False)
        assert (not_followed.status_code, not_followed.from_cache) == (302, True)


def test_hops_that_are_not_to_be_stored(new_session, origin):
    """With `cache_control`, a redirect that is not to be stored is not stored as part of a chain either"""
    session = new_session(backend='memory', cache_control=True)
    origin.add('/a', redirect('/b', headers=[('Cache-Control', 'no-store')]))
    origin.add('/b', body=b'x')
    for _ in range(2):
        session.get(origin.url('/a'))
    assert (origin.hits('/a'), origin.hits('/b')) == (2, 1)


def test_redirects_that_lead_elsewhere_now(new_session, origin):
    """With keys of the user's own, there is nothing to compare but the keys of what is stored"""
    session = new_session(backend='memory', key_fn=lambda request, **kwargs: request.url.rpartition('/')[2])
    origin.add('/a', redirect('/b'), redirect('/d'))
    origin.add('/b', redirect('/c'))
    for path in 'cd':
        origin.add(f'/{path}', body=path.encode())
    session.get(origin.url('/a'))
    assert session.get(origin.url('/b')).from_cache
    assert session.get(origin.url('/a'), force_refresh=True).content == b'd'
    response = session.get(origin.url('/b'))
    assert (response.content, response.url) == (b'c', origin.url('/c'))


def test_redirects_whose_secrets_are_not_stored(new_session, origin):
    """They are asked for anew: nobody is sent to a URL with a placeholder in it"""
    session = new_session(backend='memory', allowable_codes=[200, 302])
    origin.add('/a', redirect('/b?access_token=secret'))
    origin.add('/b', body=b'x')
    session.get(origin.url('/a'), allow_redirects=False)
    assert session.get(origin.url('/a')).content == b'x'
    assert [r.path for r in origin.requests_for('/b')] == ['/b?access_token=secret']
