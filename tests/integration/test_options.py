"""Options of a call reach the request that they are given for, and no other"""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
import requests
from requests.auth import AuthBase

from requests_cache import BaseCache, CachedSession, CacheMixin, CacheSettings
from requests_cache.testing.origin import answer, redirect


class Pooled(requests.Session):
    """A session that sends from threads of its own, as those of requests-futures do"""

    def __init__(self):
        super().__init__()
        self.pool = ThreadPoolExecutor(1)

    def request(self, *args, **kwargs):
        return self.pool.submit(super().request, *args, **kwargs).result(30)


class TestThreads:
    @pytest.fixture
    def pooled(self, new_session):
        session = new_session(session_class=type('Session', (CacheMixin, Pooled), {}), backend='memory')
        yield session
        session.pool.shutdown()

    def test_options_follow_the_request(self, pooled, origin):
        origin.add('/page', body=b'x')
        assert pooled.get(origin.url('/page'), only_if_cached=True).status_code == 504
        assert pooled.get(origin.url('/page'), expire_after=60).expires is not None
        assert pooled.get(origin.url('/page')).from_cache
        assert not pooled.get(origin.url('/page'), force_refresh=True).from_cache
        assert origin.hits() == 2

    def test_redirects(self, pooled, origin):
        origin.add('/a', redirect('/b'))
        origin.add('/b', body=b'x')
        pooled.get(origin.url('/a'))
        pooled.get(origin.url('/a'), force_refresh=True)
        assert origin.hits('/b') == 2


class TestAuth:
    def test_requests_of_an_auth_object_have_options_of_their_own(self, session, origin):
        """A token is fetched while the request that needs it is prepared"""
        origin.add('/token', body=b'secret')
        origin.add('/page', body=b'x')

        class Token(AuthBase):
            def __call__(self, request):
                prepared = requests.Request('GET', origin.url('/token')).prepare()
                self.response = session.send(prepared)
                request.headers['X-Token'] = self.response.text
                return request

        auth = Token()
        response = session.get(origin.url('/page'), auth=auth, only_if_cached=True)
        assert (auth.response.status_code, response.status_code) == (200, 504)
        assert [r.path for r in origin.requests] == ['/token']


class TestWhatOthersSee:
    def test_hooks_are_those_of_the_caller(self, new_session, origin):
        """Sessions that override `send` see the hooks that they would see without options"""
        seen = []

        class Session(CachedSession):
            def send(self, request, **kwargs):
                seen.append(({k: list(v) for k, v in request.hooks.items()}, sorted(kwargs)))
                return super().send(request, **kwargs)

        def hook(response, **kwargs):
            pass

        session = new_session(session_class=Session, backend='memory')
        origin.add('/page', body=b'x')
        for options in ({}, {'force_refresh': True, 'expire_after': 60}):
            for hooks in (None, {'response': hook}, {'response': [hook, hook]}):
                session.get(origin.url('/page'), hooks=hooks, **options)
        assert [hooks for hooks, _ in seen] == [{'response': []}, {'response': [hook]}, {'response': [hook, hook]}] * 2
        assert len({tuple(names) for _, names in seen}) == 1

    def test_hooks_of_the_session_go_for_calls_with_options(self, session, origin):
        origin.add('/page', body=b'x')
        seen = []
        session.hooks['response'] = lambda response, **kwargs: seen.append(response.status_code)
        session.get(origin.url('/page'), force_refresh=True)
        session.get(origin.url('/page'), only_if_cached=True)
        assert seen == [200, 200]

    def test_prepared_requests_can_be_copied_and_pickled(self, session, origin):
        origin.add('/page', body=b'x')
        seen = []
        send = CachedSession.send

        def remember(self, request, **kwargs):
            seen.append(request)
            return send(self, request, **kwargs)

        with mock.patch.object(CachedSession, 'send', remember):
            session.get(origin.url('/page'), only_if_cached=True)
        for request in (seen[0].copy(), pickle.loads(pickle.dumps(seen[0]))):
            assert session.send(request).status_code == 504
        assert origin.hits() == 0

    def test_request_of_the_caller_is_not_changed(self, session, origin):
        origin.add('/page', body=b'x')
        prepared = session.prepare_request(requests.Request('GET', origin.url('/page')))
        hooks = prepared.hooks
        session.send(prepared, force_refresh=True)
        assert prepared.hooks is hooks
        assert session.send(prepared).from_cache


class TestSharedBackend:
    """Sessions that share a backend go by settings of their own, whoever calls its methods, and where"""

    def test_methods_of_the_cache(self, new_session, origin):
        origin.add('/page', body=b'x')
        request = requests.Request('GET', origin.url('/page'), headers={'X-Name': 'a'}).prepare()
        backend = BaseCache()
        first = new_session(backend=backend, match_headers=['X-Name'])
        second = new_session(backend=backend)
        keys = first.cache.create_key(request), second.cache.create_key(request)
        assert keys[0] != keys[1]
        assert backend == first.cache == second.cache
        found = []

        def hook(response, **kwargs):
            found.append((first.cache.create_key(request), second.cache.create_key(request)))

        for session in (first, second):
            session.get(origin.url('/page'), hooks={'response': hook})
        assert found == [keys, keys]

    def test_changes_of_one_are_seen_by_all(self, new_session, origin):
        origin.add('/page', body=b'x')
        backend = BaseCache()
        sessions = [new_session(backend=backend) for _ in range(3)]
        backend.create_key = lambda request, **kwargs: 'key'
        for session in sessions:
            session.get(origin.url('/page'))
        assert list(backend.responses) == ['key']
        sessions[2].cache.cache_name = 'name'
        assert backend.cache_name == sessions[0].cache.cache_name == 'name'

    def test_the_next_session_gets_the_backend_itself(self):
        backend = BaseCache()
        for _ in range(2):
            session = CachedSession(backend=backend)
            assert session.cache is backend
            session.close()
            del session

    def test_settings_that_are_replaced(self, new_session, origin):
        backend, request = BaseCache(), requests.Request('GET', origin.url('/page'), headers={'X-Name': 'a'})
        first, second = new_session(backend=backend), new_session(backend=backend)
        before = first.cache.create_key(request)
        second.settings = CacheSettings(match_headers=True)
        assert second.cache.create_key(request) != before == first.cache.create_key(request)


class TestAttributes:
    @pytest.mark.parametrize('options', [{}, {'autospec': True}])
    def test_patching(self, session, origin, options):
        cache = session.cache
        with mock.patch.object(session, 'cache', **options) as patched:
            assert session.cache is patched
        assert session.cache is cache
        origin.add('/page', body=b'x')
        assert [session.get(origin.url('/page')).from_cache for _ in range(2)] == [False, True]

    def test_a_cache_that_is_deleted(self, session):
        cache = session.cache
        del session.cache
        with pytest.raises(AttributeError, match='deleted'):
            session.cache  # noqa: B018
        session.cache = cache
        assert session.cache is cache

    def test_only_if_cached_with_a_body_that_cannot_be_read_twice(self, session, origin):
        origin.add('/page', body=b'x')
        response = session.post(origin.url('/page'), data=(piece for piece in [b'a']), only_if_cached=True)
        assert (response.status_code, origin.hits()) == (504, 0)


class TestErrors:
    """Mistakes in the code around a request are not taken for a network that failed"""

    @pytest.mark.parametrize('error', [ValueError('x'), TypeError('x'), requests.exceptions.InvalidURL('x')])
    def test_mistakes_are_raised(self, session, origin, error, monkeypatch):
        origin.add('/page', body=b'x')
        session.settings.stale_if_error = True
        session.get(origin.url('/page'), expire_after=-10)
        monkeypatch.setattr(session, '_send_to_origin', mock.Mock(side_effect=error))
        with pytest.raises(type(error)):
            session.get(origin.url('/page'))

    @pytest.mark.parametrize('error', [requests.Timeout('x'), OSError('x'), RuntimeError('limit reached')])
    def test_failures_are_not(self, session, origin, error, monkeypatch):
        origin.add('/page', answer(body=b'x'))
        session.settings.stale_if_error = True
        session.get(origin.url('/page'), expire_after=-10)
        monkeypatch.setattr(session, '_send_to_origin', mock.Mock(side_effect=error))
        assert session.get(origin.url('/page')).content == b'x'
