"""`session.explain()`: what would happen to a request, and why"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests import PreparedRequest, Request, Session
from requests_mock import ANY, Adapter

from requests_cache import DO_NOT_CACHE, CachedSession
from requests_cache.testing.values import closing_all

URL = 'http://example.com/items'
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def adapter() -> Adapter:
    adapter = Adapter()
    adapter.register_uri(ANY, ANY, text='body', headers={'Content-Type': 'text/plain'})
    return adapter


@pytest.fixture
def make(tmp_path: Path, adapter: Adapter) -> Iterator[Callable[..., CachedSession]]:
    def session(**kwargs: Any) -> CachedSession:
        cached = CachedSession(tmp_path / 'cache', **{'expire_after': 3600, **kwargs})
        cached.mount('http://', adapter)
        return cached

    with closing_all(session) as factory:
        yield factory


def test_a_miss_and_a_hit(make: Callable[..., CachedSession], adapter: Adapter) -> None:
    session = make()
    with time_machine.travel(NOW, tick=False) as clock:
        explained = session.explain('GET', URL, params={'page': 2})
        assert (explained.outcome, explained.reason, explained.stored) == ('miss', 'not stored', None)
        assert adapter.call_count == 0
        response = session.get(URL, params={'page': 2})
        clock.shift(60)
        explained = session.explain('get', URL, params={'page': 2})
    assert adapter.call_count == 1
    assert explained.outcome == 'hit'
    assert explained.key == response.cache_key
    assert explained.stored is not None
    assert (explained.stored.age, explained.stored.freshness_left) == (60, 3540)
    assert str(explained).splitlines() == [
        f'GET {URL}?page=2',
        'hit: the stored response is fresh',
        f'key: {response.cache_key} (from method GET, URL {URL}?page=2)',
        'stored: status 200, 4 bytes, received 60 s ago, fresh for 59 min more, no validator',
    ]


def test_stale_without_a_validator(make: Callable[..., CachedSession]) -> None:
    session = make(expire_after=60)
    with time_machine.travel(NOW, tick=False) as clock:
        session.get(URL)
        clock.shift(3 * 3600 + 60)
        text = str(session.explain('GET', URL))
    assert 'miss: the stored response is stale, and has no validator' in text
    assert 'expired 3 h ago, no validator' in text


def test_what_would_be_validated(make: Callable[..., CachedSession], adapter: Adapter) -> None:
    adapter.register_uri('GET', URL, text='body', headers={'ETag': '"1"'})
    session = make()
    session.get(URL)
    explained = session.explain('GET', URL, refresh=True)
    assert (explained.outcome, explained.reason) == ('validate', 'refresh')
    assert explained.stored is not None
    assert explained.stored.validators == {'ETag': '"1"'}


@pytest.mark.parametrize(
    ('stored', 'asked', 'difference'),
    [
        ({'url': URL}, {'url': f'{URL}?page=2'}, 'stored without the parameter `page`'),
        ({'url': f'{URL}?page=2'}, {'url': URL}, 'stored with the parameter `page`'),
        ({'url': f'{URL}?page=1'}, {'url': f'{URL}?page=2'}, 'parameter `page`: stored for `1`, asked for `2`'),
        ({'url': URL, 'method': 'HEAD'}, {'url': URL}, 'stored for HEAD, requested with GET'),
        ({'url': f'{URL}/'}, {'url': URL}, 'stored for the path `/items/`'),
        (
            {'url': URL, 'method': 'POST', 'json': {'a': 1}},
            {'url': URL, 'method': 'POST', 'json': {'a': 2}},
            'stored for another body',
        ),
        (
            {'url': URL, 'headers': {'Accept': 'text/html'}},
            {'url': URL, 'headers': {'Accept': 'text/plain'}},
            'header `accept`: stored for `text/html`, asked with `text/plain`',
        ),
        ({'url': URL}, {'url': URL, 'verify': False}, 'stored under a key made with other settings'),
    ],
)
def test_similar_requests(
    stored: dict[str, Any], asked: dict[str, Any], difference: str, make: Callable[..., CachedSession]
) -> None:
    session = make(allowable_methods=('GET', 'HEAD', 'POST'), match_headers=['Accept'])
    session.get('http://elsewhere.example.com/items')
    session.get(f'{URL}/something/else?with=many&other=parameters&and=more&than=that')
    session.request(**{'method': 'GET', **stored})
    asked = {'method': 'GET', **asked}
    explained = session.explain(asked.pop('method'), asked.pop('url'), **asked)
    assert explained.outcome == 'miss'
    assert [difference in text for text in explained.similar[0].differences] == [True]
    assert difference in str(explained)


def test_variants(make: Callable[..., CachedSession], adapter: Adapter) -> None:
    adapter.register_uri('GET', URL, text='body', headers={'Vary': 'Accept-Language'})
    session = make()
    session.get(URL, headers={'Accept-Language': 'de'})
    explained = session.explain('GET', URL, headers={'Accept-Language': 'en'})
    assert explained.similar[0].differences == ('`Vary: Accept-Language`: stored for `de`, asked for `en`',)


def test_secrets_are_not_shown(make: Callable[..., CachedSession]) -> None:
    session = make()
    session.get(f'{URL}?api_key=hidden-1&page=1')
    text = str(session.explain('GET', f'{URL}?api_key=hidden-2&page=2', headers={'Authorization': 'hidden-3'}))
    assert 'page' in text
    assert 'hidden' not in text


@pytest.mark.parametrize(
    ('options', 'call', 'outcome', 'reason'),
    [
        ({'disabled': True}, {}, 'bypassed', 'disabled'),
        ({'expire_after': DO_NOT_CACHE}, {}, 'bypassed', 'do not cache'),
        ({'only_if_cached': True}, {}, 'unanswered', 'not stored'),
        ({}, {'only_if_cached': True}, 'unanswered', 'not stored'),
        ({}, {'force_refresh': True}, 'miss', 'no-cache'),
        ({}, {'headers': {'Cache-Control': 'no-store'}}, 'bypassed', 'no-store'),
    ],
)
def test_outcomes(
    options: dict[str, Any], call: dict[str, Any], outcome: str, reason: str, make: Callable[..., CachedSession]
) -> None:
    explained = make(**options).explain('GET', URL, **call)
    assert (explained.outcome, explained.reason) == (outcome, reason)


def test_read_only(make: Callable[..., CachedSession]) -> None:
    assert make(read_only=True).explain('GET', URL).not_stored == 'the cache is read-only'


def test_a_prepared_request(make: Callable[..., CachedSession]) -> None:
    session = make()
    session.get(URL)
    request = session.prepare_request(Request('GET', URL))
    headers = dict(request.headers)
    assert session.explain(request).outcome == 'hit'
    assert session.explain(request, force_refresh=True).outcome == 'miss'
    assert session.explain(request, verify=False).outcome == 'miss'
    assert dict(request.headers) == headers


def test_the_users_own_methods_prepare_it(tmp_path: Path) -> None:
    class OwnSession(CachedSession):
        def prepare_request(self, request: Request) -> PreparedRequest:
            prepared = super().prepare_request(request)
            prepared.url = f'{prepared.url}?own=1'
            return prepared

    session = OwnSession(tmp_path / 'cache')
    assert session.explain('GET', URL).url == f'{URL}?own=1'
    session.close()


def test_nothing_changes(make: Callable[..., CachedSession], adapter: Adapter) -> None:
    """Not even the order in which entries would go"""
    session = make(max_entries=3)
    for number in range(3):
        session.get(f'{URL}/{number}')
    before, statistics = list(session.cache.responses.items()), session.stats
    assert session.explain('GET', f'{URL}/0').outcome == 'hit'
    assert session.explain('GET', f'{URL}/x').outcome == 'miss'
    assert list(session.cache.responses.items()) == before
    assert session.stats == statistics
    session.get(f'{URL}/new')
    assert session.explain('GET', f'{URL}/0').outcome == 'miss'


class TestResponses:
    def test_stored_or_not(self, make: Callable[..., CachedSession], adapter: Adapter) -> None:
        adapter.register_uri('GET', f'{URL}/missing', status_code=404)
        session = make(max_body_bytes=10, filter_fn=lambda response: 'filtered' not in response.url)
        adapter.register_uri('GET', f'{URL}/long', text='x' * 11)
        assert session.explain(session.get(URL)).not_stored is None
        assert session.explain(session.get(URL)).outcome == 'hit'
        missing = session.explain(session.get(f'{URL}/missing'))
        assert missing.not_stored == 'status 404 is not among allowable_codes (200)'
        assert 'not stored: status 404' in str(missing)
        assert session.explain(session.get(f'{URL}/long')).not_stored == 'its body is longer than max_body_bytes'
        assert session.explain(session.get(f'{URL}/filtered')).not_stored == 'filter_fn rejects it'
        assert session.explain(session.post(URL)).outcome == 'bypassed'

    def test_of_another_session(self, make: Callable[..., CachedSession], adapter: Adapter) -> None:
        with Session() as plain:
            plain.mount('http://', adapter)
            response = plain.get(URL)
        with pytest.raises(TypeError, match='caching session'):
            make().explain(response)


HEADERS = st.sampled_from(
    [
        {},
        {'ETag': '"1"'},
        {'Cache-Control': 'max-age=30'},
        {'Cache-Control': 'no-cache', 'ETag': '"1"'},
        {'Cache-Control': 'max-age=10, stale-while-revalidate=100'},
        {'Cache-Control': 'no-store'},
        {'Vary': 'Accept'},
    ]
)
CALLS = st.fixed_dictionaries(
    {},
    optional={
        'expire_after': st.sampled_from([0, 30, DO_NOT_CACHE]),
        'only_if_cached': st.booleans(),
        'refresh': st.booleans(),
        'force_refresh': st.booleans(),
        'headers': st.sampled_from([{'Accept': 'a'}, {'Cache-Control': 'max-age=5'}, {'Cache-Control': 'no-cache'}]),
        'params': st.sampled_from([{'page': '1'}, {'page': '2'}]),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_it_agrees_with_what_then_happens(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from([False, True, 'strict']))
    options = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                'always_revalidate': st.booleans(),
                'read_only': st.just(True),
                'stale_while_revalidate': st.sampled_from([True, 60]),
                'allowable_methods': st.just(('GET', 'HEAD', 'POST')),
            },
        )
    )
    adapter = Adapter()
    session = CachedSession(backend='memory', cache_control=mode, expire_after=20)
    session.mount('http://', adapter)
    events: list[Any] = []
    with time_machine.travel(NOW, tick=False) as clock:
        for number in range(data.draw(st.integers(1, 5))):
            if number == 2:
                for name, value in options.items():
                    setattr(session.settings, name, value)
            adapter.register_uri(ANY, ANY, text='body', headers=data.draw(HEADERS))
            method, call = data.draw(st.sampled_from(['GET', 'GET', 'HEAD', 'POST'])), data.draw(CALLS)
            clock.shift(timedelta(seconds=data.draw(st.sampled_from([0, 15, 40]))))
            explained = session.explain(method, URL, **call)
            end = session.subscribe(events.append)
            response = session.request(method, URL, **call)
            end()
            results = [e.kind.value for e in events if e.kind.value in KINDS]
            keys = [e.key for e in events if e.kind.value in KINDS]
            events.clear()
            assert results == [KINDS[explained.outcome]] or (explained.outcome, results) == ('validate', ['miss'])
            # By the standard, where a new response is stored depends on what it varies by
            assert explained.outcome != 'hit' or explained.key == keys[0]
            told = session.explain(response)
            assert told.outcome == results[0]
            assert told.reason == explained.reason
    session.close()


KINDS = {
    'hit': 'hit',
    'stale hit': 'stale hit',
    'validate': 'validated',
    'validated': 'validated',
    'miss': 'miss',
    'bypassed': 'bypassed',
    'unanswered': 'unanswered',
}


def test_through_an_installation(tmp_path: Path) -> None:
    import requests_cache

    with requests_cache.enabled(tmp_path / 'cache'):
        assert requests.Session().explain('GET', URL).outcome == 'miss'  # type: ignore[attr-defined]
