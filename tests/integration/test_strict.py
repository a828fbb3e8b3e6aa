"""The standard end to end: `cache_control='strict'` over a real origin, by section of RFC 9111"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
import requests

from requests_cache import CachedSession, CacheMixin
from requests_cache.testing.origin import answer, redirect, revalidating


def date(seconds=0):
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)


@pytest.fixture(params=['memory', 'sqlite', 'filesystem'])
def session(request, new_session):
    return new_session(backend=request.param, cache_control='strict')


def fetches(session, origin, path, **kwargs):
    """Whether each of two requests in a row went to the origin"""
    out = []
    for _ in range(2):
        before = origin.hits(path)
        session.get(origin.url(path), **kwargs)
        out.append(origin.hits(path) > before)
    return out


@pytest.mark.parametrize(
    ('status', 'headers', 'reused'),
    [
        (200, [('Cache-Control', 'max-age=100')], True),
        (200, [('Cache-Control', 'max-age=100'), ('Age', '100')], False),
        (200, [('Cache-Control', 'max-age=100, no-store')], False),
        (200, [('Expires', date(100_000))], True),
        (200, [('Expires', '0'), ('ETag', '"1"')], False),
        (200, [('Last-Modified', date(-10000))], True),
        (200, [], False),
        (404, [('Cache-Control', 'max-age=100')], True),
        (500, [('Cache-Control', 'max-age=100')], True),
        (500, [('Last-Modified', date(-10000))], False),
        (200, [('Cache-Control', 'max-age=100'), ('Vary', '*')], False),
    ],
)
def test_storing_and_freshness(session, origin, status, headers, reused):
    """Sections 3 and 4.2"""
    origin.add('/page', answer(status, b'x', headers))
    assert fetches(session, origin, '/page') == [True, not reused]


def test_age_is_generated(session, origin):
    """Section 5.1"""
    origin.add('/page', body=b'x', headers=[('Cache-Control', 'max-age=100'), ('Age', '30')])
    session.get(origin.url('/page'))
    assert int(session.get(origin.url('/page')).headers['Age']) >= 30


def test_request_directives(session, origin):
    """Section 5.2.1"""
    full = answer(200, b'x', [('Cache-Control', 'max-age=100'), ('ETag', '"1"'), ('Age', '10')])
    origin.add('/page', revalidating(full))
    session.get(origin.url('/page'))

    def reused(**headers):
        before = origin.hits()
        session.get(origin.url('/page'), headers={k.replace('_', '-'): v for k, v in headers.items()})
        return origin.hits() == before

    assert reused(Cache_Control='max-age=50')
    assert not reused(Cache_Control='max-age=5')
    assert not reused(Cache_Control='no-cache')
    assert not reused(Pragma='no-cache')
    assert not reused(Cache_Control='min-fresh=200')
    assert reused(Cache_Control='only-if-cached')
    assert session.get(origin.url('/none'), headers={'Cache-Control': 'only-if-cached'}).status_code == 504


def test_no_store_request_is_answered_and_not_stored(session, origin):
    """Section 5.2.1.5"""
    origin.add('/page', body=b'x', headers=[('Cache-Control', 'max-age=100')])
    assert fetches(session, origin, '/page', headers={'Cache-Control': 'no-store'}) == [True, True]
    session.get(origin.url('/page'))
    assert session.get(origin.url('/page'), headers={'Cache-Control': 'no-store'}).from_cache


def test_hop_by_hop_fields_are_not_stored(session, origin):
    """Section 3.1"""
    headers = [('Cache-Control', 'max-age=100'), ('Connection', 'X-Hop'), ('X-Hop', '1'), ('X-Kept', '1')]
    origin.add('/page', body=b'x', headers=headers)
    assert session.get(origin.url('/page')).headers['X-Hop'] == '1'
    hit = session.get(origin.url('/page'))
    assert hit.from_cache
    assert 'X-Hop' not in hit.headers
    assert 'Connection' not in hit.headers
    assert hit.headers['X-Kept'] == '1'


def test_variants_and_their_invalidation(session, origin):
    """Sections 4.1 and 4.4"""

    def page(request):
        return answer(
            body=request.header('X-Kind') or 'none', headers=[('Vary', 'X-Kind'), ('Cache-Control', 'max-age=9')]
        )

    origin.add('/page', page)
    kinds = ['a', 'b', None]
    for _ in range(2):
        for kind in kinds:
            assert session.get(origin.url('/page'), headers={'X-Kind': kind}).text == (kind or 'none')
    assert origin.hits() == 3
    session.delete(origin.url('/page'))
    before = origin.hits()
    for kind in reversed(kinds):
        assert not session.get(origin.url('/page'), headers={'X-Kind': kind}).from_cache
    assert origin.hits() == before + 3


def test_invalidation_needs_success_and_covers_locations(session, origin):
    """Section 4.4"""
    fresh = [('Cache-Control', 'max-age=100')]
    origin.add('/other', body=b'x', headers=fresh)
    origin.add('/failing', answer(500))
    origin.add('/form', answer(201, headers=[('Location', '/other')]))
    session.get(origin.url('/other'))
    session.post(origin.url('/failing'))
    assert session.get(origin.url('/other')).from_cache
    session.post(origin.url('/form'))
    assert not session.get(origin.url('/other')).from_cache


def test_validation_freshens_and_replaces(session, origin):
    """Sections 4.3.3 and 4.3.4"""
    old = answer(200, b'old', [('ETag', '"old"'), ('Cache-Control', 'max-age=0'), ('X-Version', '1')])
    new = answer(200, b'new', [('ETag', '"new"'), ('Cache-Control', 'max-age=100')])
    freshened = answer(304, headers=[('ETag', '"old"'), ('Cache-Control', 'max-age=100'), ('X-Version', '2')])
    origin.add('/page', old, freshened, new)
    session.get(origin.url('/page'))
    response = session.get(origin.url('/page'))
    assert (response.content, response.revalidated, response.headers['X-Version']) == (b'old', True, '2')
    assert session.get(origin.url('/page')).from_cache
    response = session.get(origin.url('/page'), refresh=True)
    assert (response.content, response.from_cache) == (b'new', False)


def test_not_modified_about_another_response(session, origin):
    """Section 4.3.4: what it does not select is not used"""
    first = answer(200, b'first', [('ETag', '"1"'), ('Cache-Control', 'max-age=0')])
    origin.add('/page', first, answer(304, headers=[('ETag', '"2"')]), answer(200, b'second', [('ETag', '"2"')]))
    session.get(origin.url('/page'))
    assert session.get(origin.url('/page')).content == b'second'
    assert origin.requests[-1].header('If-None-Match') is None


def test_callers_conditions(session, origin):
    """Section 4.3.2"""
    full = answer(200, b'x', [('ETag', '"1"'), ('Cache-Control', 'max-age=100'), ('X-Other', '1')])
    origin.add('/page', revalidating(full))
    session.get(origin.url('/page'))
    response = session.get(origin.url('/page'), headers={'If-None-Match': '"0", W/"1"'})
    assert (response.status_code, response.content, response.from_cache) == (304, b'', True)
    assert 'X-Other' not in response.headers
    assert session.get(origin.url('/page'), headers={'If-None-Match': '"0"'}).status_code == 200
    assert origin.hits() == 1
    response = session.get(origin.url('/page'), headers={'If-None-Match': '"0"', 'Cache-Control': 'no-cache'})
    assert origin.requests[-1].header('If-None-Match') == '"1"', 'the condition of the cache takes its place'
    assert (response.status_code, response.content) == (200, b'x')


def test_head(session, origin):
    """Sections 4 and 4.3.5"""
    full = answer(200, b'body', [('ETag', '"1"'), ('Cache-Control', 'max-age=100')])
    origin.add('/page', full)
    session.get(origin.url('/page'))
    head = session.head(origin.url('/page'))
    assert (head.from_cache, head.content, head.headers['Content-Length'], origin.hits()) == (True, b'', '4', 1)
    origin.add('/page', answer(200, b'body', [('ETag', '"1"'), ('Cache-Control', 'max-age=100'), ('X-New', '1')]))
    session.head(origin.url('/page'), force_refresh=True)
    assert session.get(origin.url('/page')).headers['X-New'] == '1'
    origin.add('/page', answer(200, b'other', [('ETag', '"2"'), ('Cache-Control', 'max-age=100')]))
    session.head(origin.url('/page'), force_refresh=True)
    assert session.get(origin.url('/page')).content == b'other'


def test_stale_responses(session, origin):
    """Section 4.2.4 and RFC 5861"""
    allowing = [('Cache-Control', 'max-age=1, stale-if-error=100'), ('Age', '10')]
    origin.add('/page', answer(200, b'x', allowing), answer(503))
    origin.add(
        '/plain', answer(200, b'x', [('Cache-Control', 'max-age=1'), ('Age', '10'), ('ETag', '"1"')]), answer(503)
    )
    assert [session.get(origin.url('/page')).status_code for _ in range(2)] == [200, 200]
    assert [session.get(origin.url('/plain')).status_code for _ in range(2)] == [200, 503]
    origin.stop()
    assert session.get(origin.url('/page')).content == b'x'
    with pytest.raises(requests.ConnectionError):
        session.get(origin.url('/plain'))


def test_shared_cache(new_session, origin):
    """Sections 3.5, 5.2.2.7 and 5.2.2.10"""
    session = new_session(cache_control='strict', shared_cache=True)
    origin.add('/private', body=b'x', headers=[('Cache-Control', 'private, max-age=100')])
    origin.add('/shared', body=b'x', headers=[('Cache-Control', 's-maxage=100, max-age=0')])
    origin.add('/user', body=b'x', headers=[('Cache-Control', 'max-age=100')])
    assert fetches(session, origin, '/private') == [True, True]
    assert fetches(session, origin, '/shared') == [True, False]
    assert fetches(session, origin, '/user', headers={'Authorization': 'Bearer x'}) == [True, True]


def test_cache_status(session, origin):
    """RFC 9211"""
    origin.add('/page', revalidating(answer(200, b'x', [('Cache-Control', 'max-age=100'), ('ETag', '"1"')])))
    responses = [session.get(origin.url('/page'), **kwargs) for kwargs in ({}, {}, {'refresh': True})]
    assert [str(r.cache_status) for r in responses] == [
        'requests-cache; fwd=uri-miss; fwd-status=200; ttl=100; stored; detail="not stored"',
        'requests-cache; hit; ttl=100; detail="fresh"',
        'requests-cache; fwd=request; fwd-status=304; ttl=100; stored; detail="refresh"',
    ]
    key = session.cache.create_key(requests.Request('GET', origin.url('/page')))
    assert {r.cache_status.key for r in responses} == {key}
    assert not any('Cache-Status' in r.headers for r in responses)
    status = session.get(origin.url('/none'), only_if_cached=True).cache_status
    assert (status.hit, status.fwd, status.stored) == (False, None, False)
    session.settings.cache_status = True
    assert 'Cache-Status' not in session.get(origin.url('/none'), only_if_cached=True).headers
    assert str(session.post(origin.url('/page')).cache_status).startswith('requests-cache; fwd=method; fwd-status=200')


def test_cache_status_of_an_origin_that_does_not_answer(session, origin):
    """RFC 9211, section 2.1"""
    origin.add('/page', body=b'x', headers=[('Cache-Control', 'max-age=0, stale-if-error=100'), ('ETag', '"1"')])
    session.get(origin.url('/page'))
    origin.stop()
    status = session.get(origin.url('/page')).cache_status
    assert (status.hit, status.fwd, status.fwd_status, status.stored) == (True, None, None, False)


@pytest.mark.parametrize('mode', ['strict', True, False])
def test_cache_status_as_a_header_field(new_session, origin, mode):
    """In each mode, for redirects too, and never stored"""
    session = new_session(cache_control=mode, cache_status='key')
    origin.add('/start', redirect('/page', headers=[('Cache-Control', 'max-age=100')]))
    origin.add('/page', body=b'x', headers=[('Cache-Control', 'max-age=100'), ('Cache-Status', 'Upstream; hit')])
    for path in ('/start', '/page'):
        for own in ('fwd', 'hit', 'hit') if path == '/start' else ('hit', 'hit'):
            response = session.get(origin.url(path))
            upstream, field = response.headers['Cache-Status'].split(', ')
            assert (upstream, field.split(';')[1].partition('=')[0].strip()) == ('Upstream; hit', own)
            assert f'key="{response.cache_status.key}"' in field
    stored = [r for entry in session.cache.responses.values() for r in (*entry.history, entry)]
    assert {r.headers.get('Cache-Status') for r in stored} <= {'Upstream; hit', None}


def test_cache_status_is_not_made_unless_asked_for(new_session, origin):
    """Other modes take no time for it"""
    origin.add('/page', body=b'x')
    session = new_session()
    assert [session.get(origin.url('/page')).cache_status for _ in range(2)] == [None, None]


def test_redirects_that_nobody_follows(new_session, origin):
    """A session may take no response for a redirect"""

    class Gateway(CachedSession):
        def get_redirect_target(self, resp):
            return None

    session = new_session(session_class=Gateway, cache_control='strict')
    origin.add('/start', redirect('/page', 301, [('Cache-Control', 'max-age=100')]))
    for _ in range(2):
        response = session.get(origin.url('/start'), allow_redirects=False)
        assert (response.status_code, response.next) == (301, None)
    assert origin.hits() == 1


def test_repeated_fields_of_a_304(session, origin):
    """Section 3.2: they replace those that are stored, and stay apart"""
    first = answer(200, b'x', [('ETag', '"1"'), ('Cache-Control', 'no-cache'), ('Set-Cookie', 'a=1')])
    cookies = [('Set-Cookie', 'b=2'), ('Set-Cookie', 'c=3')]
    origin.add('/page', first, answer(304, headers=[('ETag', '"1"'), ('Cache-Control', 'max-age=100'), *cookies]))
    session.get(origin.url('/page'))
    for _ in range(2):
        response = session.get(origin.url('/page'))
        assert response.raw.headers.getlist('Set-Cookie') == ['b=2', 'c=3']
        assert response.raw.headers.getlist('Cache-Control') == ['max-age=100']
    assert origin.hits() == 2


def test_a_client_library(new_session, origin):
    """A client of a real service, which is a session itself"""
    docker = pytest.importorskip('docker')

    class Client(CacheMixin, docker.APIClient):
        pass

    client = new_session(
        session_class=Client, cache_control='strict', base_url=f'tcp://127.0.0.1:{origin.port}', version='1.41'
    )
    document = revalidating(answer(200, '{"Id": "1"}', [('Cache-Control', 'no-cache'), ('ETag', '"1"')]))
    origin.add('/v1.41/images/a/json', document)
    origin.add('/v1.41/info', body='{"ID": "2"}', headers=[('Cache-Control', 'max-age=100')])
    assert [client.inspect_image('a')['Id'] for _ in range(2)] == ['1', '1']
    assert [client.info()['ID'] for _ in range(2)] == ['2', '2']
    assert [r.header('If-None-Match') for r in origin.requests] == [None, '"1"', None]
