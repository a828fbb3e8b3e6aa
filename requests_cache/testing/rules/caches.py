"""What a cache must do with its storages"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from requests import Request

from ...backends.base import BaseCache
from ...models.request import CachedRequest
from ...models.response import CachedResponse
from ...policy.expiration import DO_NOT_CACHE
from ..values import CREATED, FUTURE, PAST, facts, make_response
from .base import Contract
from .redirects import save_chain


class CacheRules(Contract):
    """What a cache does with its storages: find, save, delete, list and copy responses"""

    def test_saved_responses_are_found(self, cache: Any) -> None:
        """A response is found by the key it was saved with, and no other"""
        cache.save_response(make_response(1), 'key', FUTURE)
        response = cache.get_response('key')
        assert response.from_cache
        assert response.content == make_response(1).content
        assert response.created_at == make_response(1).created_at
        assert (response.cache_key, response.expires) == ('key', FUTURE)
        assert cache.get_response('other') is None
        assert cache.get_response('other', default=5) == 5

    def test_the_key_of_the_request_is_the_default(self, cache: Any) -> None:
        """Without a key, a response is saved for its request, and found by request or URL"""
        response = make_response(1, request=CachedRequest(method='GET', url='http://example.com/1'))
        cache.save_response(response)
        assert list(cache.responses) == [cache.create_key(response.request)]
        assert cache.contains(url='http://example.com/1')
        assert cache.contains(request=Request('GET', 'http://example.com/1'))
        assert not cache.contains(url='http://example.com/2')
        assert not cache.contains()

    def test_deleting_a_response_deletes_its_redirects(self, cache: Any) -> None:
        """Redirects to a response are deleted with it, and no others"""
        save_chain(cache)
        save_chain(cache, host='other')
        before = len(cache.redirects)
        assert cache.delete(urls=['http://example.com/start']) == 1
        assert len(cache.redirects) == before // 2
        assert not cache.contains(url='http://example.com/middle')
        assert cache.contains(url='http://other/middle')

    def test_delete_by_key(self, cache: Any) -> None:
        """`delete()` returns how many responses it removed"""
        fill(cache, 5)
        assert cache.delete() == 0
        assert cache.delete('missing') == 0
        assert cache.delete('0') == 1
        assert cache.delete('0', '1', '2', '2', 'missing') == 2
        assert sorted(cache.responses) == ['3', '4']

    def test_delete_by_request(self, cache: Any) -> None:
        """Responses can be deleted by their requests or URLs"""
        requests = [Request('GET', f'http://example.com/{i}') for i in range(4)]
        for i, request in enumerate(requests):
            cache.save_response(make_response(i), cache.create_key(request))
        assert cache.delete(requests=requests[:2]) == 2
        assert cache.delete(urls=['http://example.com/1', 'http://example.com/2']) == 1
        assert list(cache.responses) == [cache.create_key(requests[3])]

    def test_delete_expired(self, cache: Any) -> None:
        """`delete(expired=True)` removes what has expired, and nothing else"""
        fill(cache, 3, PAST)
        cache.save_response(make_response(7), 'fresh', FUTURE)
        cache.save_response(make_response(8), 'never')
        assert cache.delete(expired=True) == 3
        assert sorted(cache.responses) == ['fresh', 'never']
        assert cache.delete(expired=True) == 0

    def test_delete_expired_and_more(self, cache: Any) -> None:
        """What meets any of several conditions is deleted, and counted once"""
        fill(cache, 2, PAST)
        cache.save_response(make_response(5, created_at=datetime.now(timezone.utc)), 'new', FUTURE)
        cache.save_response(make_response(6), 'old', FUTURE)
        self.plant(cache.responses, 'bad', self.damaged[0])
        cache.save_response(make_response(7, created_at=datetime.now(timezone.utc)), 'named', FUTURE)
        removed = cache.delete('named', expired=True, invalid=True, older_than=timedelta(minutes=5))
        assert list(cache.responses) == ['new']
        assert removed == 5

    def test_delete_older_than(self, cache: Any) -> None:
        """`older_than` takes a moment, a timedelta, or seconds"""
        now = datetime.now(timezone.utc)
        for hours in (1, 3, 5):
            cache.save_response(make_response(hours, created_at=now - timedelta(hours=hours)), str(hours))
        assert cache.delete(older_than=timedelta(hours=4)) == 1
        assert cache.delete(older_than=2 * 3600) == 1
        assert list(cache.responses) == ['1']
        assert cache.delete(older_than=now) == 1

    def test_delete_invalid(self, cache: Any) -> None:
        """`delete(invalid=True)` removes what cannot be read"""
        fill(cache, 2, PAST)
        self.plant(cache.responses, 'bad', self.damaged[0])
        assert cache.delete(invalid=True) == 1
        assert sorted(cache.responses) == ['0', '1']

    def test_filter(self, cache: Any) -> None:
        """`filter()` yields responses that meet any of its conditions"""
        fill(cache, 2, PAST)
        cache.save_response(make_response(7), 'fresh', FUTURE)
        cache.save_response(make_response(8), 'never')
        self.plant(cache.responses, 'bad', self.damaged[0])

        def found(**conditions: Any) -> list[str]:
            return sorted(r.cache_key for r in cache.filter(**conditions))

        assert found() == ['0', '1', 'fresh', 'never']
        assert found(expired=False) == ['fresh', 'never']
        assert found(valid=False) == ['0', '1']
        assert found(valid=False, expired=False) == []
        assert found(valid=False, expired=False, invalid=True) == ['bad']
        assert found(invalid=True) == ['0', '1', 'bad', 'fresh', 'never']
        assert found(valid=False, expired=False, older_than=CREATED + timedelta(seconds=1)) == ['0']
        assert found(valid=False, older_than=CREATED + timedelta(seconds=8)) == ['0', '1', 'fresh']

    def test_deleting_while_filtering(self, cache: Any) -> None:
        """What is yielded may be deleted before the next one is asked for"""
        self.needs('writing while iterating')
        fill(cache, 30, PAST)
        for response in cache.filter():
            assert cache.delete(response.cache_key) == 1
        assert len(cache.responses) == 0

    def test_urls(self, cache: Any) -> None:
        """`urls()` lists each URL once, sorted"""
        fill(cache, 2, PAST)
        cache.save_response(make_response(0), 'same URL')
        cache.save_response(make_response(7), 'fresh', FUTURE)
        self.plant(cache.responses, 'bad', self.damaged[0])
        assert cache.urls() == [make_response(i).url for i in (0, 1, 7)]
        assert cache.urls(valid=False) == [make_response(i).url for i in (0, 1)]

    def test_summary(self, cache: Any) -> None:
        """`summary()` counts all entries in one pass"""
        save_chain(cache)
        cache.save_response(make_response(1, content=b'', status_code=404), '1', PAST)
        cache.save_response(make_response(2, url='https://other:8080/', content=b'x' * 100), '2', FUTURE)
        counted: list[int] = []
        summary = cache.summary(counted.append)
        assert (summary.entries, summary.unreadable) == (len(cache.responses), 0)
        assert summary.bytes == sum(response.size for response in cache.filter())
        assert summary.redirects == len(cache.redirects) > 0
        assert summary.by_host['other:8080'] == (1, 100)
        assert summary.by_status[404] == (1, 0)
        assert (summary.expired, summary.by_expiry['later'].entries) == ((1, 0), 1)
        assert counted == list(range(1, summary.entries + 1))

    def test_remove_leftovers(self, cache: Any) -> None:
        """Redirects to nothing are removed, and those to responses stay"""
        save_chain(cache)
        before = len(cache.redirects)
        cache._save_redirects({'from': 'nothing'})
        cache.remove_leftovers()
        assert len(cache.redirects) == before
        assert 'from' not in cache.redirects

    def test_reset_expiration(self, cache: Any) -> None:
        """All entries that can be read get the new expiration"""
        fill(cache, 50, PAST)
        self.plant(cache.responses, 'bad', self.damaged[0])
        cache.reset_expiration(timedelta(days=1))
        assert len(list(cache.filter(expired=False))) == 50
        assert cache.delete(expired=True) == 0
        cache.reset_expiration(datetime.now(timezone.utc) - timedelta(days=1))
        assert cache.delete(expired=True) == 50
        assert list(cache.responses) == ['bad']
        save_chain(cache)
        cache.reset_expiration()
        assert [r.expires for r in cache.filter()] == [None]
        assert cache.contains(url='http://example.com/middle')

    def test_reset_expiration_by_a_function(self, cache: Any) -> None:
        """A function decides for each response; DO_NOT_CACHE deletes it. What cannot be read stays."""
        fill(cache, 30, PAST)
        self.plant(cache.responses, 'bad', self.damaged[0])
        urls = [make_response(i).url for i in range(30)]

        def expiration(response: CachedResponse) -> Any:
            number = urls.index(response.url)
            return DO_NOT_CACHE if number % 3 == 0 else None if number % 3 == 1 else FUTURE

        cache.reset_expiration(expiration)
        expected = {urls[i]: None if i % 3 == 1 else FUTURE for i in range(30) if i % 3}
        assert {r.url: r.expires for r in cache.filter()} == expected
        assert 'bad' in cache.responses

    def test_remove_expired_responses(self, cache: Any) -> None:
        """The method of earlier versions still works, with a warning"""
        fill(cache, 3, PAST)
        cache.save_response(make_response(8), 'never')
        with pytest.warns(DeprecationWarning, match='remove_expired_responses'):
            cache.remove_expired_responses()
        assert list(cache.responses) == ['never']

    def test_update_from_another_backend(self, cache: Any) -> None:
        """`update()` copies entries and redirects of another cache, and leaves what is here"""
        other = BaseCache()
        fill(other, 3, FUTURE)
        other.redirects['from'] = '1'
        cache.save_response(make_response(9), '9')
        cache.update(other)
        assert sorted(cache.responses) == ['0', '1', '2', '9']
        redirected = cache.get_response('from')
        if cache.responses.authenticates:  # a redirect that is in no history may be somebody else's
            assert redirected is None
        else:
            assert redirected.content == make_response(1).content
        assert cache.get_response('2').expires == FUTURE

    def test_update_of_another_backend(self, cache: Any) -> None:
        """Another cache can copy all entries of this one that can be read"""
        fill(cache, 3, FUTURE)
        save_chain(cache)
        self.plant(cache.responses, 'bad', self.damaged[0])
        other = BaseCache()
        other.update(cache)
        assert len(other.responses) == 4
        assert facts(other.responses['2']) == facts(cache.responses['2'])
        assert other.contains(url='http://example.com/middle')

    def test_recreate_keys(self, cache: Any) -> None:
        """`recreate_keys()` gives entries the keys that they have by the present settings"""
        for i in range(3):
            request = CachedRequest(method='GET', url=f'http://example.com/{i}')
            cache.responses[f'old key {i}'] = make_response(i, request=request)
        self.plant(cache.responses, 'bad', self.damaged[0])
        cache.recreate_keys()
        for i in range(3):
            key = cache.create_key(Request('GET', f'http://example.com/{i}'))
            assert cache.get_response(key).content == make_response(i).content
        assert len(cache.responses) == 4
        keys = sorted(cache.responses)
        cache.recreate_keys()
        assert sorted(cache.responses) == keys

    def test_clear_a_cache(self, cache: Any) -> None:
        """`clear()` removes responses and redirects, also if there are none"""
        save_chain(cache)
        cache.clear()
        assert len(cache.responses) == len(cache.redirects) == 0
        cache.save_response(make_response(1), 'key')
        assert cache.contains('key')
        cache.clear()
        cache.clear()

    def test_close_and_use_again(self, cache: Any, cache_factory: Callable[..., Any]) -> None:
        """`close()` may be called twice; a later use opens the cache again"""
        save_chain(cache)
        cache.close()
        cache.close()
        if self.has('persistence'):
            assert cache.contains(url='http://example.com/middle')
            assert cache_factory().contains(url='http://example.com/middle')
        cache.save_response(make_response(1), 'key')
        assert cache.contains('key')

    def test_keywords_of_others_are_passed_over(self, cache_factory: Callable[..., Any]) -> None:
        """The constructor takes keywords that are not its own, as sessions pass all of theirs"""
        cache = cache_factory(expire_after=5, stale_if_error=True, no_such_option=1, allowable_codes=(200,))
        cache.save_response(make_response(1), 'key')
        assert cache.contains('key')

    def test_no_serializer_stands_for_the_default(self, cache_factory: Callable[..., Any]) -> None:
        """Sessions pass None, if their user does not name one"""
        cache = cache_factory(serializer=None)
        cache.save_response(make_response(1), 'key', FUTURE)
        assert facts(cache.get_response('key')) == facts(make_response(1, expires=FUTURE))

    def test_owned_keywords(self, cache: Any) -> None:
        """`owned_keywords()` names the keywords of the constructor, or is None if it takes any"""
        owned = type(cache).owned_keywords()
        if owned is None:  # the constructor takes any
            return
        assert isinstance(owned, frozenset)
        assert all(isinstance(name, str) for name in owned)
        assert not owned & {'kwargs', 'self', 'expire_after', 'no_such_option'}

    def test_text_forms(self, cache: Any) -> None:
        """`str()` and `repr()` show the class and the name"""
        assert str(cache) == repr(cache) == f'<{type(cache).__name__}(name={cache.cache_name})>'


def fill(cache: Any, count: int, expires: datetime | None = None) -> None:
    for i in range(count):
        cache.save_response(make_response(i), str(i), expires)
