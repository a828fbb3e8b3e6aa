"""What a cache must do with redirects, and with the entries that they lead to"""

from __future__ import annotations

from typing import Any

from requests import Request

from ...models.request import CachedRequest
from ...session import CachedSession
from ..values import FUTURE, PAST, make_response
from .base import Contract


class RedirectRules(Contract):
    """A response that was reached by redirects is found by the requests that lead to it"""

    def test_redirects_lead_to_the_response(self, cache: Any) -> None:
        """Each request of a chain finds the response, with the history from that request on"""
        save_chain(cache)
        for path in ('/start', '/middle'):
            response = cache.get_response(cache.create_key(Request('GET', f'http://example.com{path}')))
            assert response.content == b'end'
            assert [r.url for r in response.history][-1] == 'http://example.com/middle'
            assert cache.contains(url=f'http://example.com{path}')
        assert len(cache.responses) == 1

    def test_a_redirect_to_nothing_is_nothing(self, cache: Any) -> None:
        """A redirect whose response is gone is a miss, and does not keep a new one from being stored"""
        save_chain(cache)
        start, middle = (cache.create_key(Request('GET', f'http://example.com/{p}')) for p in ('start', 'middle'))
        del cache.responses[start]  # as a store does by itself, when the time of an entry is over
        for key, url in ((start, 'http://example.com/start'), (middle, 'http://example.com/middle')):
            assert cache.get_response(key) is None
            assert not cache.contains(key)
            assert not cache.contains(url=url)
        save_chain(cache)
        assert cache.contains(url='http://example.com/middle')

    def test_deleting_within_a_request_does_not_look_at_other_redirects(self, cache: Any) -> None:
        """It would take longer the more there are"""
        save_chain(cache)
        cache.redirects = Countable(cache.redirects)
        session = CachedSession(backend=cache, filter_fn=lambda response: False, autoclose=False)
        assert session.get('http://example.com/start').from_cache
        assert cache.redirects.passes == 0
        assert not cache.contains(url='http://example.com/start')

    def test_deleting_by_key_deletes_the_way_there(self, cache: Any) -> None:
        """`delete(key)` deletes the redirects to it"""
        save_chain(cache)
        save_chain(cache, host='other')
        assert cache.delete(cache.create_key(Request('GET', 'http://example.com/start'))) == 1
        assert set(cache.redirects.values()) == {cache.create_key(Request('GET', 'http://other/start'))}

    def test_deleting_a_url_in_the_middle_of_redirects(self, cache: Any) -> None:
        """`delete(urls=…)` of any URL of a chain deletes the response, and no other"""
        save_chain(cache)
        save_chain(cache, host='other')
        assert cache.delete(urls=['http://example.com/middle']) == 1
        for path in ('start', 'middle'):
            assert not cache.contains(url=f'http://example.com/{path}')
            assert cache.contains(url=f'http://other/{path}')

    def test_deleting_a_url_whose_redirect_is_out_of_date(self, cache: Any) -> None:
        """If the response at the end is one to another URL, it stays"""
        save_chain(cache)
        other = make_response(1, request=CachedRequest(method='GET', url='http://example.com/start'))
        cache.save_response(other)
        assert cache.delete(urls=['http://example.com/middle']) == 0
        assert cache.contains(url='http://example.com/start')

    def test_redirects_to_nothing_are_deleted_with_expired_entries(self, cache: Any) -> None:
        """Redirects whose response is gone are removed by maintenance"""
        save_chain(cache)
        save_chain(cache, host='other')
        cache.save_response(make_response(1), 'expired', PAST)
        cache.delete(cache.create_key(Request('GET', 'http://example.com/start')))
        assert cache.delete(expired=True) == 1
        assert set(cache.redirects.values()) == {cache.create_key(Request('GET', 'http://other/start'))}
        assert cache.contains(url='http://other/middle')

    def test_deleting_expired_entries_deletes_their_redirects(self, cache: Any) -> None:
        """Redirects to what has expired are deleted with it"""
        save_chain(cache, expires=PAST)
        save_chain(cache, host='other', expires=FUTURE)
        assert cache.delete(expired=True) == 1
        assert set(cache.redirects.values()) == {cache.create_key(Request('GET', 'http://other/start'))}


class Countable:
    """Redirects that count how often all of them are looked at"""

    def __init__(self, redirects: Any):
        self.__dict__.update(_redirects=redirects, passes=0)

    def __getattr__(self, name: str) -> Any:
        if name in ('scan', 'items', 'values', 'keys', 'delete_dangling'):
            self.__dict__['passes'] += 1
        return getattr(self._redirects, name)

    def __getitem__(self, key: str) -> Any:
        return self._redirects[key]

    def __setitem__(self, key: str, value: str) -> None:
        self._redirects[key] = value

    def __delitem__(self, key: str) -> None:
        del self._redirects[key]

    def __iter__(self) -> Any:
        self.__dict__['passes'] += 1
        return iter(self._redirects)


def save_chain(cache: Any, host: str = 'example.com', expires: Any = None) -> None:
    """Save a response that was reached from /start through /middle"""

    def hop(path: str, **fields: Any) -> Any:
        url = f'http://{host}/{path}'
        return make_response(url=url, request=CachedRequest(method='GET', url=url), **fields)

    history = [hop('start', status_code=302), hop('middle', status_code=302)]
    response = hop('end', content=b'end', history=history)
    cache.save_response(response, cache.create_key(history[0].request), expires)
