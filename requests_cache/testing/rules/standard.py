"""What a cache must do by the standard, whatever it keeps its entries in: each test is named by its section

Sections are of RFC 9111 where no other is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from ...session import CachedSession
from ..executor import ManualExecutor
from ..origin import Origin, answer, revalidating
from .base import Contract

FRESH = ('Cache-Control', 'max-age=100')
STALE = ('Cache-Control', 'max-age=0')


def date(seconds: int = 0) -> str:
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)


def went_to_origin(origin: Origin, send: Callable[[], Any]) -> bool:
    before = origin.hits()
    send()
    return origin.hits() > before


class StandardRules(Contract):
    """A session with `cache_control='strict'` on the backend; every test asks a real server on loopback"""

    @pytest.fixture
    def origin(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Origin]:
        """A programmable HTTP server, which is asked without a proxy"""
        monkeypatch.setenv('NO_PROXY', '*')
        with Origin() as server:
            yield server

    @pytest.fixture
    def strict(self, cache_factory: Any) -> Iterator[CachedSession]:
        with CachedSession(backend=cache_factory(), cache_control='strict', autoclose=False) as session:
            yield session

    def test_rfc9111_3_storing(self, strict: CachedSession, origin: Origin) -> None:
        origin.add('/fresh', body=b'x', headers=[FRESH])
        origin.add('/unknown', answer(299, b'x', [FRESH]))
        origin.add('/heuristic', body=b'x', headers=[('Last-Modified', date(-10000))])
        origin.add('/no-store', body=b'x', headers=[('Cache-Control', 'max-age=100, no-store')])
        origin.add('/error', answer(500, b'x', [('Last-Modified', date(-10000))]))
        for path in origin_paths(origin):
            strict.get(origin.url(path))
        reused = [path for path in origin_paths(origin) if strict.get(origin.url(path)).from_cache]
        assert reused == ['/fresh', '/unknown', '/heuristic']

    def test_rfc9111_3_1_header_fields(self, strict: CachedSession, origin: Origin) -> None:
        hop_by_hop = [('Connection', 'X-Hop'), ('X-Hop', '1'), ('Keep-Alive', 'timeout=5'), ('Proxy-Authenticate', 'x')]
        cookies = [('Set-Cookie', 'a=1'), ('Set-Cookie', 'b=2')]
        origin.add('/page', body=b'x', headers=[FRESH, *hop_by_hop, *cookies, ('X-End-To-End', '1')], chunked=True)
        strict.get(origin.url('/page'))
        hit = strict.get(origin.url('/page'))
        assert hit.from_cache
        assert set(hit.headers) == {'Cache-Control', 'Set-Cookie', 'X-End-To-End', 'Date', 'Age'}
        assert hit.raw.headers.getlist('Set-Cookie') == ['a=1', 'b=2']
        assert hit.raw.headers['Age'] == hit.headers['Age']

    def test_rfc9111_3_2_fields_that_a_304_does_not_update(self, strict: CachedSession, origin: Origin) -> None:
        old = [('Content-Type', 'text/a'), ('X-Old', '1'), ('X-Hop', '1')]
        full = answer(200, b'body', [STALE, ('ETag', '"1"'), *old])
        new = [('Content-Type', 'text/b; charset=utf-8'), ('Content-Encoding', 'x'), ('Content-MD5', 'x'), FRESH]
        hop_by_hop = [('Connection', 'X-Hop'), ('X-Hop', '2')]
        origin.add('/page', full, answer(304, headers=[('ETag', '"1"'), *new, *hop_by_hop]))
        strict.get(origin.url('/page'))
        for _ in range(2):
            response = strict.get(origin.url('/page'))
            assert (response.content, response.encoding) == (b'body', 'utf-8')
            assert response.headers['Content-Type'] == 'text/b; charset=utf-8'
            assert (response.headers['Content-Length'], response.headers['X-Old']) == ('4', '1')
            assert response.headers['X-Hop'] == '1'
            assert not {'Content-Encoding', 'Content-MD5', 'Connection'} & set(response.headers)
        assert origin.hits() == 2

    def test_rfc9111_3_5_authorization(self, strict: CachedSession, origin: Origin) -> None:
        strict.settings.shared_cache = True
        credentials = {'Authorization': 'Bearer x'}
        for control, reused in (('max-age=100', False), ('max-age=100, public', True), ('s-maxage=100', True)):
            path = f'/{control}'.replace(' ', '')
            origin.add(path, body=b'x', headers=[('Cache-Control', control)])
            strict.get(origin.url(path), headers=credentials)
            assert strict.get(origin.url(path), headers=credentials).from_cache is reused

    def test_rfc9111_4_the_target_uri(self, strict: CachedSession, origin: Origin) -> None:
        origin.add('/page', lambda r: answer(body=r.path, headers=[FRESH]))
        strict.get(origin.url('/page?a=1&b=2'))
        assert strict.get(origin.url('/page?a=1&b=2#fragment')).from_cache
        assert strict.get(origin.url('/page?%61=1&b=2')).from_cache
        for other in ('/page?b=2&a=1', '/page?a=1&b=2&', '/page?a=1&b=2&c=', '/page?a=1&B=2', '/page?a=1%26b=2'):
            strict.get(origin.url('/page?a=1&b=2'))
            assert strict.get(origin.url(other)).text == other

    def test_rfc9111_4_the_most_recent_of_get_and_head(self, strict: CachedSession, origin: Origin) -> None:
        for seconds, version in ((-50, 'old'), (-10, 'new')):
            headers = [FRESH, ('Date', date(seconds)), ('X-Version', version)]
            origin.add('/page', body=b'body', headers=headers)
            strict.request('HEAD' if version == 'old' else 'GET', origin.url('/page'), force_refresh=True)
        head = strict.head(origin.url('/page'))
        assert (head.from_cache, head.headers['X-Version'], head.content) == (True, 'new', b'')

    def test_rfc9111_4_1_any_number_of_variants(self, strict: CachedSession, origin: Origin) -> None:
        """Also where they vary by different header fields"""

        def page(request: Any) -> Any:
            a, b = request.header('X-A') or '', request.header('X-B') or ''
            vary = {'1': 'X-A', '2': 'X-A,, X-B ,'}.get(a, 'x-b, X-A')
            return answer(body=f'{a}/{b}' if a != '1' else a, headers=[('Vary', vary), FRESH])

        origin.add('/page', page)
        asked = [{'X-A': a, 'X-B': b} for a in ('1', '2', '3', None) for b in ('1', '2', None)]
        for expected_hits in (10, 10):
            for headers in asked:
                a, b = headers['X-A'] or '', headers['X-B'] or ''
                text = strict.get(origin.url('/page'), headers=headers).text
                assert text == (f'{a}/{b}' if a != '1' else a)
            assert origin.hits() == expected_hits

    def test_rfc9111_4_1_the_most_recent_variant(self, strict: CachedSession, origin: Origin) -> None:
        """A newer response that varies by other fields answers what an older variant did"""
        old = [answer(body=b'old', headers=[('Vary', 'X-A'), FRESH])] * 2
        origin.add('/page', *old, answer(body=b'new', headers=[('Vary', 'X-B'), FRESH]))
        for value in ('1', '2', '3'):
            strict.get(origin.url('/page'), headers={'X-A': value})
        assert [strict.get(origin.url('/page'), headers={'X-A': v}).content for v in ('1', '2', '4')] == [b'new'] * 3
        assert origin.hits() == 3

    def test_rfc9111_4_1_a_response_without_vary_beside_variants(self, strict: CachedSession, origin: Origin) -> None:
        """It does not keep the others from being found"""

        def page(request: Any) -> Any:
            preference = request.header('Accept-Language')
            vary = [('Vary', 'Accept-Language')] if preference else []
            return answer(body=preference or 'default', headers=[*vary, FRESH])

        origin.add('/page', page)
        for _ in range(2):
            for preference in ('en', None, 'de'):
                response = strict.get(origin.url('/page'), headers={'Accept-Language': preference})
                assert response.text == (preference or 'default')
        assert origin.hits() == 3

    @pytest.mark.parametrize('lines', [['*'], ['X-A, *'], ['*, *'], [', *'], ['X-A', '*']])
    def test_rfc9111_4_1_star(self, strict: CachedSession, origin: Origin, lines: list[str]) -> None:
        origin.add('/page', body=b'x', headers=[FRESH, *(('Vary', line) for line in lines)])
        strict.get(origin.url('/page'))
        assert not strict.get(origin.url('/page')).from_cache

    @pytest.mark.parametrize(
        ('name', 'first', 'second', 'is_same'),
        [
            ('Accept-Language', 'en, de;q=0.5', 'DE;q=0.50 ,eN;q=1.0', True),
            ('Accept-Language', 'en, de;q=0.5', 'en;q=0.5, de', False),
            ('Accept-Encoding', 'gzip,br', 'BR , gzip', True),
            ('Accept', 'text/html;level="A,b", */*', '*/*,TEXT/html;level="A,b"', True),
            ('Accept', 'text/html;level="A"', 'text/html;level="a"', False),
            ('X-List', '1,2', ' 1 ,  2', True),
            ('X-List', '1,2', '2,1', False),
            ('X-List', 'a,b', 'A,B', False),
        ],
    )
    def test_rfc9111_4_1_normalisation(
        self, strict: CachedSession, origin: Origin, name: str, first: str, second: str, is_same: bool
    ) -> None:
        origin.add('/page', body=b'x', headers=[FRESH, ('Vary', name)])
        strict.get(origin.url('/page'), headers={name: first})
        assert strict.get(origin.url('/page'), headers={name: second.strip()}).from_cache is is_same

    def test_rfc9111_4_2_1_lifetime(self, strict: CachedSession, origin: Origin) -> None:
        origin.add('/first', body=b'x', headers=[('Cache-Control', 'max-age=100, max-age=0')])
        origin.add('/lines', body=b'x', headers=[('Cache-Control', 'max-age="100"'), ('Cache-Control', 'max-age=0')])
        origin.add('/expires', body=b'x', headers=[('Expires', date(100)), ('Date', date())])
        origin.add('/rank', body=b'x', headers=[('Expires', date(100)), STALE])
        origin.add('/invalid', body=b'x', headers=[('Expires', '0'), ('Last-Modified', date(-10000))])
        for path in origin_paths(origin):
            strict.get(origin.url(path))
        reused = [path for path in origin_paths(origin) if strict.get(origin.url(path)).from_cache]
        assert reused == ['/first', '/lines', '/expires']

    def test_rfc9111_4_2_3_age(self, strict: CachedSession, origin: Origin) -> None:
        origin.add('/age', body=b'x', headers=[FRESH, ('Age', '100')])
        origin.add('/slow', body=b'x', headers=[FRESH, ('Date', date(-101))])
        origin.add('/list', body=b'x', headers=[FRESH, ('Age', '10, 100')])
        origin.add('/invalid', body=b'x', headers=[FRESH, ('Age', '1e9')])
        for path in origin_paths(origin):
            strict.get(origin.url(path))
        reused = [path for path in origin_paths(origin) if strict.get(origin.url(path)).from_cache]
        assert reused == ['/list', '/invalid']
        assert 10 <= int(strict.get(origin.url('/list')).headers['Age']) < 100

    def test_rfc9111_4_2_4_stale_responses(self, strict: CachedSession, origin: Origin) -> None:
        origin.add('/page', answer(200, b'x', [STALE, ('ETag', '"1"')]), answer(200, b'y', [STALE]))
        origin.add('/must', answer(200, b'x', [('Cache-Control', 'max-age=0, must-revalidate')]), answer(503))
        origin.add('/allowed', answer(200, b'x', [('Cache-Control', 'max-age=0, stale-if-error=100')]), answer(503))
        strict.settings.stale_if_error = 100
        answers = [[strict.get(origin.url(p)).status_code for _ in range(2)] for p in origin_paths(origin)]
        assert answers == [[200, 200], [200, 503], [200, 200]]
        assert origin.hits() == 6

    def test_rfc9111_4_3_1_conditions(self, strict: CachedSession, origin: Origin) -> None:
        validators = [('ETag', 'W/"1"'), ('Last-Modified', date(-1000))]
        origin.add('/page', revalidating(answer(200, b'x', [STALE, *validators])))
        strict.get(origin.url('/page'))
        assert strict.get(origin.url('/page')).content == b'x'
        sent = origin.requests[-1]
        assert [sent.header(n) for n in ('If-None-Match', 'If-Modified-Since')] == [v for _, v in validators]

    def test_rfc9111_4_3_2_conditions_of_the_caller(self, strict: CachedSession, origin: Origin) -> None:
        before, modified, after = (date(seconds) for seconds in (-2000, -1000, -500))
        origin.add('/page', body=b'x', headers=[FRESH, ('ETag', '"1"'), ('Last-Modified', modified)])
        strict.get(origin.url('/page'))

        def status(**headers: str) -> int:
            fields = {name.replace('_', '-'): value for name, value in headers.items()}
            return strict.get(origin.url('/page'), headers=fields).status_code

        assert status(If_None_Match='"0", W/"1"') == 304
        assert status(If_None_Match='"0"', If_Modified_Since=after) == 200
        assert [status(If_Modified_Since=since) for since in (before, modified, after)] == [200, 304, 304]
        assert origin.hits() == 1

    def test_rfc9111_4_3_3_validation(self, strict: CachedSession, origin: Origin) -> None:
        first = answer(200, b'old', [STALE, ('ETag', '"1"')])
        origin.add('/page', first, answer(503, b'away'), answer(304), answer(200, b'new', [FRESH]))
        contents = [strict.get(origin.url('/page')).content for _ in range(5)]
        assert contents == [b'old', b'away', b'old', b'new', b'new']
        assert [r.header('If-None-Match') for r in origin.requests] == [None, '"1"', '"1"', '"1"']

    @pytest.mark.parametrize(
        ('stored', 'not_modified', 'updates'),
        [
            ({'ETag': '"1"'}, {'ETag': '"1"'}, True),
            ({'ETag': 'W/"1"'}, {'ETag': 'W/"1"'}, True),
            ({'ETag': '"1"'}, {'ETag': 'W/"1"'}, True),
            ({'ETag': 'W/"1"'}, {'ETag': '"1"'}, False),
            ({'ETag': '"1"'}, {}, True),
            ({'Last-Modified': date(-1000)}, {}, True),
        ],
    )
    def test_rfc9111_4_3_4_freshening(
        self, strict: CachedSession, origin: Origin, stored: Any, not_modified: Any, updates: bool
    ) -> None:
        first = answer(200, b'x', [('Cache-Control', 'max-age=50'), ('Age', '50'), *stored.items()])
        origin.add('/page', first, answer(304, headers=[('X-New', '1'), *not_modified.items()]))
        strict.get(origin.url('/page'))
        response = strict.get(origin.url('/page'))
        assert (response.content, 'X-New' in response.headers) == (b'x', updates)
        assert went_to_origin(origin, lambda: strict.get(origin.url('/page'))) is not updates

    @pytest.mark.parametrize(
        ('stored', 'not_modified'),
        [
            ({'ETag': '"1"'}, {'ETag': '"2"'}),
            ({'ETag': 'W/"1"'}, {'ETag': 'W/"2"'}),
            ({'Last-Modified': date(-1000)}, {'Last-Modified': date(-2000)}),
        ],
    )
    def test_rfc9111_4_3_4_a_304_about_another_response(
        self, strict: CachedSession, origin: Origin, stored: Any, not_modified: Any
    ) -> None:
        first = answer(200, b'first', [STALE, *stored.items()])
        origin.add('/page', first, answer(304, headers=not_modified.items()), answer(200, b'second', [FRESH]))
        contents = [strict.get(origin.url('/page')).content for _ in range(3)]
        assert contents == [b'first', b'second', b'second']
        assert origin.requests[-1].header('If-None-Match') is None

    def test_rfc9111_4_3_5_head(self, strict: CachedSession, origin: Origin) -> None:
        """Of several variants, only the one that the request selects is brought up to date, or deleted"""
        state = {'version': '1'}

        def page(request: Any) -> Any:
            tag = f'"{request.header("X-A")}-{state["version"]}"' if request.header('X-A') == '1' else '"x"'
            headers = [FRESH, ('Vary', 'X-A'), ('ETag', tag), ('X-Version', state['version'])]
            return answer(body=b'body', headers=headers)

        origin.add('/page', page)
        for value in ('1', '2'):
            strict.get(origin.url('/page'), headers={'X-A': value})
        state['version'] = '2'
        for value in ('1', '2'):
            strict.head(origin.url('/page'), headers={'X-A': value}, force_refresh=True)
        before = origin.hits()
        assert strict.get(origin.url('/page'), headers={'X-A': '2'}).headers['X-Version'] == '2'
        assert origin.hits() <= before + 1
        assert not strict.get(origin.url('/page'), headers={'X-A': '1'}).from_cache

    def test_rfc9111_4_4_invalidation(self, strict: CachedSession, origin: Origin) -> None:
        for path in ('/page', '/other', '/third', '/failing'):
            origin.add(path, lambda r: answer(204 if r.method != 'GET' else 200, b'', [FRESH, ('Vary', 'X-A')]))
        origin.add('/form', answer(201, headers=[('Location', '/other'), ('Content-Location', origin.url('/third'))]))
        origin.add('/refused', answer(403, headers=[('Location', '/failing')]))

        def fill() -> None:
            for path in ('/page', '/other', '/third', '/failing'):
                for value in ('1', '2'):
                    strict.get(origin.url(path), headers={'X-A': value})

        def kept(path: str) -> list[bool]:
            return [strict.get(origin.url(path), headers={'X-A': v}).from_cache for v in ('2', '1')]

        fill()
        strict.get(origin.url('/page#fragment'), headers={'X-A': '5'})
        assert strict.get(origin.url('/page'), headers={'X-A': '5'}).from_cache
        strict.delete(origin.url('/page#other'))
        strict.post(origin.url('/form'))
        strict.request('M-SEARCH', origin.url('/refused'))
        strict.options(origin.url('/failing'))
        assert [kept(path) for path in ('/page', '/other', '/third')] == [[False, False]] * 3
        assert not strict.get(origin.url('/page#fragment'), headers={'X-A': '5'}).from_cache
        assert kept('/failing') == [True, True]

    def test_rfc9111_5_2_1_request_directives(self, strict: CachedSession, origin: Origin) -> None:
        origin.add('/page', body=b'x', headers=[FRESH, ('Age', '10')])
        origin.add('/stale', body=b'x', headers=[('Cache-Control', 'max-age=10'), ('Age', '20')])

        def reused(control: str, path: str = '/page') -> bool:
            strict.get(origin.url(path))
            return bool(strict.get(origin.url(path), headers={'Cache-Control': control}).from_cache)

        assert [reused(c) for c in ('max-age=50', 'max-age=5', 'max-age=0', 'max-age=x')] == [True, False, False, False]
        assert [reused(c) for c in ('min-fresh=50', 'min-fresh=95', 'no-cache')] == [True, False, False]
        assert [reused(c) for c in ('no-store', 'no-transform', 'unknown=1')] == [True, True, True]
        assert [reused(c, '/stale') for c in ('max-stale', 'max-stale=20', 'max-stale=5')] == [True, True, False]
        asked = strict.get(origin.url('/stale'), headers={'Cache-Control': 'only-if-cached'})
        assert (asked.status_code, asked.content) == (504, b'')

    def test_rfc9111_5_2_2_response_directives(self, strict: CachedSession, origin: Origin) -> None:
        controls = {
            'max-age=100, no-cache': (False, False),
            'max-age=100, no-store': (False, False),
            'max-age=100, private': (True, False),
            's-maxage=100': (False, True),
            'max-age=100, s-maxage=0': (True, False),
            'max-age=100, must-revalidate, proxy-revalidate': (True, True),
            'max-age=100, must-understand, no-store': (True, True),
            'max-age=100, no-transform, community="UCI"': (True, True),
            'max-age=100, private="X-A"': (True, True),
        }
        for number, (control, reused) in enumerate(controls.items()):
            origin.add(f'/{number}', body=b'x', headers=[('Cache-Control', control), ('X-A', '1')])
            for shared in (False, True):
                strict.settings.shared_cache = shared
                strict.cache.clear()
                strict.get(origin.url(f'/{number}'))
                assert strict.get(origin.url(f'/{number}')).from_cache is reused[shared], control

    def test_rfc9111_5_4_pragma(self, strict: CachedSession, origin: Origin) -> None:
        origin.add('/page', body=b'x', headers=[FRESH])
        strict.get(origin.url('/page'))
        assert strict.get(origin.url('/page'), headers={'Pragma': 'no-cache', 'Cache-Control': 'max-age=50'}).from_cache
        assert not strict.get(origin.url('/page'), headers={'Pragma': 'no-cache'}).from_cache

    def test_rfc5861_3_stale_while_revalidate(self, strict: CachedSession, origin: Origin) -> None:
        control = ('Cache-Control', 'max-age=10, stale-while-revalidate=100')
        origin.add('/page', answer(200, b'old', [control, ('Age', '20')]), answer(200, b'new', [FRESH]))
        origin.add('/late', body=b'x', headers=[('Cache-Control', 'max-age=1, stale-while-revalidate=1'), ('Age', '9')])
        for path in ('/page', '/late'):
            strict.get(origin.url(path))
        with ManualExecutor() as background:
            assert strict.get(origin.url('/page')).content == b'old'
            assert not strict.get(origin.url('/late')).from_cache
            assert background.waiting == [origin.url('/page')]
            background.run()
        assert (strict.get(origin.url('/page')).content, origin.hits('/page')) == (b'new', 2)

    def test_rfc8246_immutable(self, strict: CachedSession, origin: Origin) -> None:
        strict.settings.always_revalidate = True
        origin.add('/kept', body=b'x', headers=[('Cache-Control', 'max-age=100, immutable'), ('ETag', '"1"')])
        origin.add('/page', body=b'x', headers=[FRESH, ('ETag', '"1"')])
        assert [strict.get(origin.url(p)).from_cache for p in ('/kept', '/kept', '/page', '/page')] == [
            False, True, False, False,
        ]  # fmt: skip

    def test_rfc9110_9_3_3_post(self, strict: CachedSession, origin: Origin) -> None:
        """A response to POST that says it is one to GET answers GET and HEAD, and never POST"""
        origin.add('/page', body=b'posted', headers=[FRESH, ('Content-Location', '/page')])
        origin.add('/other', body=b'posted', headers=[FRESH, ('Content-Location', '/page2')])
        origin.add('/implicit', body=b'posted', headers=[('Last-Modified', date(-10000)), ('Content-Location', '')])
        for path in ('/page', '/other', '/implicit'):
            strict.post(origin.url(path), data={'a': 'b'})
        assert [strict.get(origin.url(p)).from_cache for p in ('/page', '/other', '/implicit')] == [True, False, False]
        assert strict.head(origin.url('/page')).from_cache
        assert strict.get(origin.url('/page')).request.method == 'GET'
        assert went_to_origin(origin, lambda: strict.post(origin.url('/page'), data={'a': 'b'}))

    def test_rfc9211_cache_status(self, strict: CachedSession, origin: Origin) -> None:
        strict.settings.cache_status = True
        origin.add('/page', body=b'x', headers=[FRESH, ('Vary', 'X-A'), ('Cache-Status', 'Upstream; hit')])

        def status(**kwargs: Any) -> str:
            before, _, own = str(strict.get(origin.url('/page'), **kwargs).headers['Cache-Status']).partition(', ')
            assert before == 'Upstream; hit'
            return own.replace('ttl=99', 'ttl=100')

        end = 'fwd-status=200; ttl=100; stored; detail='
        assert status() == f'requests-cache; fwd=uri-miss; {end}"not stored"'
        assert status() == 'requests-cache; hit; ttl=100; detail="fresh"'
        assert status() == 'requests-cache; hit; ttl=100; detail="fresh"'
        assert status(headers={'X-A': '2'}) == f'requests-cache; fwd=vary-miss; {end}"not stored"'
        assert status(headers={'Cache-Control': 'no-cache'}) == f'requests-cache; fwd=request; {end}"no-cache"'
        assert not any(r.header('Cache-Status') for r in origin.requests)


def origin_paths(origin: Origin) -> list[str]:
    """Paths that the test has programmed, in order"""
    return list(origin._routes)
