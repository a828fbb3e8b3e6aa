"""Tools that show responses with their requests, such as `requests_toolbelt.utils.dump`"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from requests_cache import CachedSession
from requests_cache.testing.origin import Origin, redirect

HEADERS = [('Set-Cookie', 'a=1'), ('Set-Cookie', 'b=2'), ('X-Name', 'value')]


@pytest.fixture(params=['memory', 'sqlite', 'filesystem'])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CachedSession]:
    with CachedSession(tmp_path / 'cache', backend=request.param) as session:
        yield session


@pytest.fixture
def pages(origin: Origin) -> Origin:
    origin.add('/page', body=b'content', headers=HEADERS)
    origin.add('/start', redirect('/page?a=1'))
    return origin


def pieces(response: Any) -> Iterator[Any]:
    """What such tools look at"""
    for one in (*response.history, response):
        assert not getattr(one.connection, 'proxy_manager', False)
        request, raw = one.request, one.raw
        headers = request.headers.copy()
        yield request.method, request.url, headers.pop('Host', None), dict(headers), request.body or None
        yield raw.version, raw.status, one.reason, one.content
        yield [(name, value) for name in raw.headers for value in raw.headers.getlist(name)]


@pytest.mark.parametrize('path', ['/page', '/start'])
def test_what_tools_look_at(path: str, session: CachedSession, pages: Origin) -> None:
    original = session.get(pages.url(path))
    hit = session.get(pages.url(path))
    assert hit.from_cache
    assert list(pieces(hit)) == list(pieces(original))
    assert hit.raw.version_string == 'HTTP/1.1'


@pytest.mark.parametrize('method', ['get', 'post'])
@pytest.mark.parametrize('path', ['/page', '/start'])
def test_requests_toolbelt(path: str, method: str, session: CachedSession, pages: Origin) -> None:
    dump = pytest.importorskip('requests_toolbelt.utils.dump', reason='requests-toolbelt is not installed')
    session.settings.allowable_methods = ['GET', 'POST']
    data = {'a': '1'} if method == 'post' else None
    original = session.request(method, pages.url(path), data=data)
    hit = session.request(method, pages.url(path), data=data)
    assert hit.from_cache
    for function in (dump.dump_all, dump.dump_response):
        assert function(hit) == function(original)
        assert b'HTTP/1.1 200 OK' in function(hit)
