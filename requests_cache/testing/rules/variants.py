"""What a cache must do with the variants of a resource: delete them together, and give all of them the right keys"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests import Request, Session

from ...backends.base import BaseCache, DictStorage
from ...keys.variants import split_part_key
from ...session import CachedSession
from ..echo import EchoAdapter
from ..values import make_response
from .base import Contract

URL = 'http://example.com/page'
MODES: dict[str, dict[str, Any]] = {
    'default': {},
    'headers': {'cache_control': True},
    'strict': {'cache_control': 'strict'},
}


class VariantRules(Contract):
    """Variants of a resource are deleted together, and keep their keys when keys are made anew"""

    @pytest.mark.parametrize('mode', MODES)
    @pytest.mark.parametrize('way', ['urls', 'requests', 'prepared'])
    def test_deleting_a_url_deletes_all_variants_and_parts(self, mode: str, way: str, cache_factory: Any) -> None:
        """Deleting by URL or request removes all variants and parts of the resource, and of no other"""
        with open_session(cache_factory(), **MODES[mode]) as session:
            for url in (URL, f'{URL}/other'):
                for value in ('1', '2', '3', None):
                    session.get(url, headers={'X-A': value})
                session.get(f'{url}?ranges', headers={'Range': 'bytes=1-3'})
                session.get(f'{url}?ranges', headers={'Range': 'bytes=5-9'})
            before = list(session.cache.responses)
            requests = [Request('GET', URL), Request('GET', f'{URL}?ranges')]
            if way == 'urls':
                removed = session.cache.delete(urls=[request.url for request in requests])
            else:
                prepared = [Session().prepare_request(request) for request in requests]
                removed = session.cache.delete(requests=requests if way == 'requests' else prepared)
            assert removed == len(before) // 2
            assert {str(r.url).partition('?')[0] for r in session.cache.filter()} == {f'{URL}/other'}
            assert mode != 'strict' or any(split_part_key(key)[1] for key in session.cache.responses)
            for value in ('1', '2', '3', None):
                assert not session.get(URL, headers={'X-A': value}).from_cache
                assert session.get(f'{URL}/other', headers={'X-A': value}).from_cache

    @pytest.mark.parametrize('mode', MODES)
    def test_deleting_what_was_not_verified(self, mode: str, cache_factory: Any) -> None:
        """What was requested with `verify=False` is deleted by itself"""
        with open_session(cache_factory(), **MODES[mode]) as session:
            for verify in (True, False):
                for value in ('1', '2'):
                    session.get(URL, headers={'X-A': value}, verify=verify)
            assert session.cache.delete(urls=[URL], verify=False) == 2
            assert session.get(URL, headers={'X-A': '2'}).from_cache
            assert session.get(URL, headers={'X-A': '1'}).from_cache
            assert not session.get(URL, headers={'X-A': '2'}, verify=False).from_cache

    @pytest.mark.parametrize('mode', MODES)
    def test_deleting_a_url_whatever_the_matched_headers_are(self, mode: str, cache_factory: Any) -> None:
        """With `match_headers`, deleting by URL removes the responses for all values of these headers"""
        with open_session(cache_factory(), match_headers=['X-B', 'User-Agent'], **MODES[mode]) as session:
            for value in ('1', '2'):
                session.get(URL, headers={'X-B': value})
                session.get(URL, headers={'X-B': value, 'X-A': value})
                session.get(f'{URL}/other', headers={'X-B': value})
            session.head(URL, headers={'X-B': '1'})
            session.cache.delete(urls=[URL])
            assert {(r.request.method, r.url) for r in session.cache.filter()} <= {
                ('HEAD', URL),
                ('GET', f'{URL}/other'),
            }
            assert session.get(f'{URL}/other', headers={'X-B': '2'}).from_cache
            assert not session.get(URL, headers={'X-B': '2'}).from_cache

    def test_deleting_what_does_not_vary_takes_no_pass_over_the_store(self, cache: Any) -> None:
        """Deleting by request does not read all entries, if its response has no variants"""
        for number in range(2):
            cache.save_response(make_response(number, headers={'Vary': 'Accept-Encoding, Cookie'}), str(number))
            request = make_response(number).request
            cache.save_response(make_response(number), cache.create_key(request))
        cache.responses = Unlisted(cache.responses)
        assert cache.delete(requests=[make_response(1).request, Request('GET', 'http://example.com/missing')]) == 1

    def test_deleting_does_not_need_readable_entries(self, cache: Any) -> None:
        """A damaged entry is deleted by its URL"""
        key = cache.create_key(Request('GET', URL))
        self.plant(cache.responses, key, self.damaged[0])
        self.plant(cache.responses, 'bad', self.damaged[0])
        assert cache.delete(urls=[URL]) == 1
        assert list(cache.responses) == ['bad']

    @pytest.mark.parametrize('mode', MODES)
    def test_recreating_keys_changes_nothing(self, mode: str, cache_factory: Any) -> None:
        """With the same settings, all keys stay and all requests hit as before"""
        with open_session(cache_factory(), **MODES[mode]) as session:
            requests: list[dict[str, Any]] = [{'url': URL, 'headers': {'X-A': value}} for value in ('1', '2', None)]
            requests += [{'url': f'{URL}?q=1#fragment'}, {'url': f'{URL}?redirect=2'}, {'url': f'{URL}?redirect=1'}]
            requests += [{'url': URL, 'verify': False, 'headers': {'X-A': value}} for value in ('1', '2')]
            requests += [{'url': f'{URL}?ranges', 'headers': {'Range': f'bytes={r}'}} for r in ('1-3', '5-9')]
            for request in requests:
                session.get(**request)
            self.plant(session.cache.responses, 'bad', self.damaged[0])
            before = sorted(session.cache.responses)
            hits = [seen(session.get(**request)) for request in requests]
            assert mode != 'strict' or all(hit for hit, _ in hits)
            session.cache.recreate_keys()
            assert sorted(session.cache.responses) == before
            assert [seen(session.get(**request)) for request in requests] == hits

    @pytest.mark.parametrize('last', [{}, {'X-A': '1', 'X-B': '1'}])
    def test_recreating_keys_of_variants_beside_a_redirect(self, last: dict[str, str], cache_factory: Any) -> None:
        """So they do if the first variant for a URL was reached by a redirect from another one"""
        with open_session(cache_factory()) as session:
            session.get(f'{URL}?redirect=2', headers={'X-A': '2'})
            session.get(f'{URL}?redirect=1', headers=last)
            keys = sorted(session.cache.responses)
            session.cache.recreate_keys()
            assert sorted(session.cache.responses) == keys
            assert session.get(f'{URL}?redirect=1', headers=last).from_cache
            assert session.get(f'{URL}?redirect=2', headers={'X-A': '2'}).from_cache

    def test_every_hit_is_one_after_recreating_keys(self, cache_factory: Any) -> None:
        """Whatever was requested and with whatever settings, what was a hit is one afterwards, also in a copy"""
        cache = cache_factory()

        @settings(max_examples=self.examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(options=OPTIONS, requests=st.lists(REQUESTS, max_size=12))
        def check(options: dict[str, Any], requests: list[Any]) -> None:
            cache.clear()
            with open_session(cache, **options) as session:
                for request in requests:
                    session.request(**request)
                hits = [answer(session, request) for request in requests]
                keys = sorted(cache.responses)
                session.cache.recreate_keys()
                assert sorted(cache.responses) == keys
                assert [answer(session, request) for request in requests] == hits
            # Its serializer gives all entries other keys
            other = BaseCache()
            other.responses = DictStorage(serializer='json')
            with open_session(other, **options) as copied:
                copied.cache.update(session.cache)
                assert [answer(copied, request) for request in requests] == hits

        check()

    @pytest.mark.parametrize('mode', MODES)
    def test_recreating_keys_by_other_settings(self, mode: str, cache_factory: Any) -> None:
        """All variants are found under their new keys, and redirects lead there"""
        with open_session(cache_factory(), **MODES[mode]) as session:
            requests = [{'url': URL, 'headers': {'X-A': value}} for value in ('1', '2', '3', None)]
            requests += [{'url': f'{URL}?redirect=2'}, {'url': f'{URL}?key=secret'}]
            for request in requests:
                session.get(**request)
            before = [seen(session.get(**request)) for request in requests]
            assert all(hit for hit, _ in before)
            keys = set(session.cache.responses)
            session.settings.match_headers = ['X-C', 'User-Agent']
            session.settings.ignored_parameters = ['key']
            session.cache.recreate_keys()
            assert not keys & set(session.cache.responses)
            assert len(session.cache.responses) == len(keys)
            assert [seen(session.get(**request)) for request in requests] == before
            if mode != 'strict':
                session.settings.match_headers = ['X-A', 'X-B']
                session.cache.recreate_keys()
                assert [seen(session.get(**request)) for request in requests] == before

    def test_the_most_recent_of_entries_with_the_same_key_stays(self, cache: Any) -> None:
        """If several entries get the same key, the most recent one stays"""
        for number, key in enumerate(('b', 'c', 'a')):
            cache.save_response(make_response(number, request=make_response(0).request), key)
        cache.recreate_keys()
        assert [r.content for r in cache.filter()] == [make_response(2).content]
        assert cache.contains(request=make_response(0).request)


OPTIONS = st.fixed_dictionaries(
    {
        'cache_control': st.sampled_from([False, True, 'strict']),
        'match_headers': st.sampled_from([False, True, ['X-A'], ['X-B', 'Accept']]),
        'ignored_parameters': st.sampled_from([[], ['q'], ['X-B']]),
        'key_fn': st.sampled_from([None, lambda request, **kwargs: f'{request.method} {request.url}']),
    }
)
REQUESTS = st.fixed_dictionaries(
    {
        'method': st.sampled_from(['GET', 'GET', 'GET', 'HEAD', 'POST']),
        'url': st.sampled_from(
            [URL, f'{URL}?q=1', f'{URL}?q=2#f', f'{URL}?redirect=1', f'{URL}?redirect=2', f'{URL}/2']
        ),
        'headers': st.fixed_dictionaries({}, optional={n: st.sampled_from(['1', '2']) for n in ('X-A', 'X-B', 'X-C')}),
        'verify': st.sampled_from([True, True, False]),
        'data': st.sampled_from([None, None, b'body', {'q': '1', 'r': '2'}]),
    }
)


def answer(session: CachedSession, request: dict[str, Any]) -> Any:
    """What a request is answered with from the cache, None if it is not"""
    response = session.request(**request, only_if_cached=True)
    return response.content if response.from_cache and response.status_code != 504 else None


def seen(response: Any) -> tuple[bool, bytes]:
    return response.from_cache, response.content


def open_session(cache: Any, **options: Any) -> CachedSession:
    codes = {} if options.get('cache_control') == 'strict' else {'allowable_methods': ('GET', 'HEAD', 'POST')}
    session = CachedSession(backend=cache, autoclose=False, **{**codes, **options})
    adapter = EchoAdapter()
    session.mount('http://', adapter)
    return session


class Unlisted:
    """A storage that cannot be listed"""

    def __init__(self, storage: Any):
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        assert name not in ('scan', 'items', 'values', 'keys', 'sorted')
        return getattr(self._storage, name)

    def get(self, key: str, default: Any = None) -> Any:
        return self._storage.get(key, default)

    def __getitem__(self, key: str) -> Any:
        return self._storage[key]

    def __delitem__(self, key: str) -> None:
        del self._storage[key]

    def __contains__(self, key: str) -> bool:
        return key in self._storage

    def pop(self, key: str, *default: Any) -> Any:
        return self._storage.pop(key, *default)

    def __iter__(self) -> Any:
        raise AssertionError
