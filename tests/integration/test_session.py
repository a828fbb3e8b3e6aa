"""Sessions as their users see them, over a real origin"""

from __future__ import annotations

import logging
from contextvars import copy_context
from datetime import datetime, timedelta, timezone
from threading import Thread

import pytest
import requests

from requests_cache import (
    DO_NOT_CACHE,
    BaseCache,
    CachedResponse,
    CachedSession,
    CacheMixin,
    CacheSettings,
    OriginalResponse,
    SQLiteCache,
)
from requests_cache.testing import FaultyStorage
from requests_cache.testing.origin import answer, revalidating


def in_other_thread(function):
    """The result of a function that runs in a thread of its own"""
    results = []
    thread = Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


class TestHitsAndMisses:
    def test_miss_then_hit(self, any_session, origin):
        origin.add('/page', body=b'hello', headers=[('Content-Type', 'text/plain')])
        before = datetime.now(timezone.utc)
        miss = any_session.get(origin.url('/page'))
        hit = any_session.get(origin.url('/page'))
        assert origin.hits() == 1
        assert isinstance(miss, OriginalResponse)
        assert isinstance(hit, CachedResponse)
        assert (miss.from_cache, hit.from_cache) == (False, True)
        assert (miss.is_expired, hit.is_expired) == (False, False)
        assert miss.cache_key == hit.cache_key
        assert before <= hit.created_at <= datetime.now(timezone.utc)
        assert hit.expires is miss.expires is None
        assert (hit.status_code, hit.reason, hit.url, hit.text) == (200, 'OK', origin.url('/page'), 'hello')

    def test_other_methods_codes_and_parameters(self, session, origin):
        origin.add('/page', body=b'x')
        for method in ('POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'):
            assert [session.request(method, origin.url('/page')).from_cache for _ in range(2)] == [False, False]
            assert session.request(method, origin.url('/page')).cache_key is None
        assert [session.get(origin.url('/none')).from_cache for _ in range(2)] == [False, False]
        assert [session.head(origin.url('/page')).from_cache for _ in range(2)] == [False, True]
        assert session.get(origin.url('/page'), params={'b': 1, 'a': 2}).from_cache is False
        assert session.get(origin.url('/page?a=2&b=1')).from_cache is True

    def test_verbs_send_what_they_are_given(self, session, origin):
        session.post(origin.url('/p'), data={'a': 1})
        session.put(origin.url('/p'), data=b'put')
        session.patch(origin.url('/p'), data=b'patch')
        session.delete(origin.url('/p'))
        session.options(origin.url('/p'))
        sent = [(r.method, r.body) for r in origin.requests]
        assert sent == [
            ('POST', b'a=1'), ('PUT', b'put'), ('PATCH', b'patch'), ('DELETE', b''), ('OPTIONS', b''),
        ]  # fmt: skip

    def test_post_by_body(self, new_session, origin):
        session = new_session(backend='memory', allowable_methods=['GET', 'POST'])
        origin.add('/page', answer(body=b'1'), answer(body=b'2'), answer(body=b'3'))
        assert session.post(origin.url('/page'), json={'a': 1, 'b': 2}).content == b'1'
        assert session.post(origin.url('/page'), json={'b': 2, 'a': 1}).content == b'1'
        assert session.post(origin.url('/page'), json=[1, 2]).content == b'2'
        assert session.post(origin.url('/page'), json=[2, 1]).content == b'3'

    def test_bodies_that_can_be_read_once_are_sent_and_not_cached(self, new_session, origin):
        session = new_session(backend='memory', allowable_methods=['POST'])
        for _ in range(2):
            response = session.post(origin.url('/page'), data=(part for part in [b'one', b'two']))
            assert (response.from_cache, origin.requests[-1].body) == (False, b'onetwo')

    def test_files_are_sent_from_where_they_stand(self, new_session, origin, tmp_path):
        session = new_session(backend='memory', allowable_methods=['POST'])
        path = tmp_path / 'file'
        path.write_bytes(b'head and body')
        with path.open('rb') as file:
            file.seek(9)
            session.post(origin.url('/page'), data=file)
        assert origin.requests[-1].body == b'body'

    def test_callers_request_is_not_changed(self, session, origin):
        origin.add('/page', revalidating(answer(body=b'x', headers=[('ETag', '"1"')])))
        prepared = session.prepare_request(requests.Request('GET', origin.url('/page')))
        before = dict(prepared.headers), dict(prepared.hooks), prepared.url
        session.send(prepared, expire_after=60)
        assert session.send(prepared, refresh=True).revalidated
        assert (dict(prepared.headers), dict(prepared.hooks), prepared.url) == before

    def test_nothing_of_ours_is_sent(self, session, origin):
        origin.add('/page', body=b'x')
        options = {'expire_after': 60, 'refresh': True}
        session.get(origin.url('/page'), **options)
        session.get(origin.url('/page'), force_refresh=True, headers={'Cache-Control': 'no-transform, max-age=5'})
        session.get(origin.url('/other'), expire_after=DO_NOT_CACHE)
        names = [{name.lower() for name, _ in r.headers} for r in origin.requests]
        assert names[0] == names[2] == {'host', 'user-agent', 'accept-encoding', 'accept', 'connection'}
        assert origin.requests[1].header('Cache-Control') == 'no-transform, max-age=5'

    def test_session_cookies_are_kept_on_a_miss_and_left_alone_on_a_hit(self, session, origin):
        origin.add('/login', body=b'x', headers=[('Set-Cookie', 'a=1; Path=/'), ('Set-Cookie', 'b=2; Path=/')])
        session.get(origin.url('/login'))
        assert session.cookies.get_dict() == {'a': '1', 'b': '2'}
        session.cookies.clear()
        hit = session.get(origin.url('/login'))
        assert hit.from_cache
        assert hit.cookies.get_dict() == {'a': '1', 'b': '2'}
        assert session.cookies.get_dict() == {}

    def test_callers_cannot_change_what_others_get(self, any_session, origin):
        origin.add('/page', body=b'{"a": [1]}', headers=[('Content-Type', 'application/json')])
        miss = any_session.get(origin.url('/page'))
        miss.headers['X-Changed'] = '1'
        hit = any_session.get(origin.url('/page'))
        hit.headers['X-Changed'] = '2'
        hit.request.headers['X-Changed'] = '3'
        hit.json()['a'].append(2)
        again = any_session.get(origin.url('/page'))
        assert 'X-Changed' not in again.headers
        assert 'X-Changed' not in again.request.headers
        assert again.json() == {'a': [1]}
        assert again.raw.read() == b'{"a": [1]}'


class TestOptions:
    def test_expire_after(self, session, origin):
        origin.add('/page', body=b'x')
        response = session.get(origin.url('/page'), expire_after=60)
        remaining = response.expires - datetime.now(timezone.utc)
        assert timedelta(seconds=50) < remaining <= timedelta(seconds=60)
        assert session.get(origin.url('/page'), expire_after=1).expires == response.expires
        assert session.get(origin.url('/soon'), expire_after=-60).from_cache is False

    def test_keyword_goes_before_the_callers_directive(self, session, origin):
        origin.add('/page', body=b'x')
        response = session.get(origin.url('/page'), expire_after=600, headers={'Cache-Control': 'max-age=7'})
        assert response.expires > datetime.now(timezone.utc) + timedelta(seconds=60)

    def test_do_not_cache(self, session, origin):
        origin.add('/page', body=b'x')
        assert [session.get(origin.url('/page'), expire_after=DO_NOT_CACHE).from_cache for _ in range(2)] == [False] * 2
        assert len(session.cache.responses) == 0

    def test_only_if_cached(self, session, origin):
        origin.add('/page', body=b'x')
        response = session.get(origin.url('/page'), only_if_cached=True)
        assert (response.status_code, response.reason, response.from_cache) == (504, 'Not Cached', True)
        assert (response.content, response.text, list(response.iter_content())) == (None, '', [])
        assert (response.url, response.request.url) == (origin.url('/page'), origin.url('/page'))
        assert origin.hits() == 0
        with pytest.raises(requests.HTTPError, match='504 Server Error: Not Cached for url'):
            response.raise_for_status()
        session.get(origin.url('/page'))
        assert session.get(origin.url('/page'), only_if_cached=True).content == b'x'

    def test_force_refresh(self, session, origin):
        origin.add('/page', answer(body=b'old'), answer(body=b'new'))
        session.get(origin.url('/page'))
        assert session.get(origin.url('/page'), force_refresh=True).content == b'new'
        hit = session.get(origin.url('/page'))
        assert (hit.content, hit.from_cache) == (b'new', True)

    def test_options_do_not_outlive_their_call(self, session, origin):
        origin.add('/page', body=b'x')
        with pytest.raises(requests.exceptions.MissingSchema):
            session.get('no-scheme', only_if_cached=True)
        assert session.get(origin.url('/page')).status_code == 200

    def test_options_stay_with_their_request(self, session, origin):
        """A request made while another one is being prepared has options of its own"""
        origin.add('/token', body=b'secret')
        origin.add('/page', body=b'x')

        def auth(request):
            request.headers['X-Token'] = session.get(origin.url('/token')).text
            return request

        response = session.get(origin.url('/page'), auth=auth, expire_after=60)
        assert response.expires is not None
        assert session.get(origin.url('/token')).expires is None

    def test_options_reach_send_of_subclasses_that_replace_the_environment(self, new_session, origin):
        class Plain(CachedSession):
            def merge_environment_settings(self, url, proxies, stream, verify, cert):
                return {'proxies': {}, 'stream': False, 'verify': True, 'cert': None}

        session = new_session(session_class=Plain, backend='memory')
        assert session.get(origin.url('/page'), only_if_cached=True).status_code == 504


class TestValidation:
    def test_refresh(self, any_session, origin):
        full = answer(body=b'x', headers=[('ETag', '"1"'), ('X-Version', '1')])
        origin.add('/page', revalidating(full, [('X-Version', '2'), ('Content-Length', '0')]))
        any_session.get(origin.url('/page'))
        response = any_session.get(origin.url('/page'), refresh=True, expire_after=60)
        assert origin.requests[-1].header('If-None-Match') == '"1"'
        assert (response.status_code, response.content, response.from_cache, response.revalidated) == (
            200, b'x', True, True,
        )  # fmt: skip
        assert (response.headers['X-Version'], response.headers['Content-Length']) == ('2', '1')
        stored = any_session.get(origin.url('/page'))
        assert (stored.revalidated, stored.headers['X-Version']) == (False, '2')
        assert stored.expires == response.expires
        assert stored.expires is not None
        assert 'If-None-Match' not in stored.request.headers

    def test_changed_response_replaces_the_stored_one(self, any_session, origin):
        old, new = (answer(body=b, headers=[('ETag', f'"{b.decode()}"')]) for b in (b'old', b'new'))
        origin.add('/page', old, revalidating(new))
        any_session.get(origin.url('/page'))
        response = any_session.get(origin.url('/page'), refresh=True)
        assert (response.content, response.from_cache) == (b'new', False)
        hit = any_session.get(origin.url('/page'))
        assert (hit.content, hit.from_cache) == (b'new', True)
        assert 'If-None-Match' not in hit.request.headers

    def test_expired_response_is_validated(self, session, origin):
        origin.add(
            '/page', revalidating(answer(body=b'x', headers=[('Last-Modified', 'Thu, 01 Jan 2026 00:00:00 GMT')]))
        )
        session.get(origin.url('/page'), expire_after=-10)
        assert session.get(origin.url('/page')).revalidated
        assert origin.requests[-1].header('If-Modified-Since') == 'Thu, 01 Jan 2026 00:00:00 GMT'
        assert not session.get(origin.url('/page')).is_expired

    def test_callers_own_conditions(self, session, origin):
        origin.add('/page', revalidating(answer(body=b'x', headers=[('ETag', '"1"')])))
        response = session.get(origin.url('/page'), headers={'If-None-Match': '"1"'})
        assert (response.status_code, response.from_cache) == (304, False)
        assert len(session.cache.responses) == 0

    def test_read_only(self, new_session, origin):
        origin.add('/page', revalidating(answer(body=b'x', headers=[('ETag', '"1"')]), [('X-New', '1')]))
        session = new_session(backend='memory')
        session.get(origin.url('/page'), expire_after=-10)
        session.settings.read_only = True
        assert session.get(origin.url('/page')).headers['X-New'] == '1'
        assert session.get(origin.url('/other')).cache_key is None
        session.settings.read_only = False
        assert 'X-New' not in next(iter(session.cache.responses.values())).headers
        assert len(session.cache.responses) == 1


class TestStale:
    def test_error_status(self, session, origin, caplog):
        origin.add('/page', answer(body=b'x'), answer(500, b'down'))
        session.settings.stale_if_error = True
        session.get(origin.url('/page'), expire_after=-10)
        response = session.get(origin.url('/page'))
        assert (response.content, response.from_cache, response.is_expired) == (b'x', True, True)
        assert 'got status 500' in caplog.text

    def test_error_status_of_a_response_that_is_too_stale(self, session, origin):
        origin.add('/page', answer(body=b'x'), answer(500, b'down'))
        session.settings.stale_if_error = 5
        session.get(origin.url('/page'), expire_after=-10)
        response = session.get(origin.url('/page'))
        assert (response.status_code, response.content, response.from_cache) == (500, b'down', False)

    def test_exception(self, session, origin, caplog):
        origin.add('/page', body=b'x')
        session.get(origin.url('/page'), expire_after=-10)
        origin.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(origin.url('/page'))
        session.settings.stale_if_error = True
        assert session.get(origin.url('/page')).content == b'x'
        with pytest.raises(requests.ConnectionError):
            session.get(origin.url('/other'))

    @pytest.mark.parametrize('options', [{'refresh': True}, {'expire_after': 0}, {}])
    def test_unexpired_response_when_the_origin_is_away(self, session, origin, options):
        origin.add('/page', body=b'x', headers=[('ETag', '"1"')])
        session.get(origin.url('/page'), expire_after=600)
        session.settings.always_revalidate = not options
        origin.stop()
        response = session.get(origin.url('/page'), **options)
        assert (response.content, response.from_cache, response.is_expired) == (b'x', True, False)

    def test_stale_while_revalidate(self, session, origin):
        hold = origin.hold()
        origin.add('/page', answer(body=b'old'), answer(body=b'new', hold=hold))
        session.settings.stale_while_revalidate = True
        session.get(origin.url('/page'), expire_after=-10)
        threads = []
        start = session._resend_async

        def resend(*args, **kwargs):
            threads.append(start(*args, **kwargs))

        session._resend_async = resend
        responses = [session.get(origin.url('/page')) for _ in range(3)]
        assert [r.content for r in responses] == [b'old'] * 3
        assert all(r.is_expired for r in responses)
        hold.release()
        for thread in threads:
            if thread is not None:
                thread.join(10)
        assert session.get(origin.url('/page')).content == b'new'
        assert origin.hits() == 2, 'one renewal at a time'

    def test_background_renewal_leaves_the_answer_alone(self, session, origin):
        origin.add('/page', revalidating(answer(body=b'x', headers=[('ETag', '"1"')]), [('X-New', '1')]))
        session.settings.stale_while_revalidate = True
        session.get(origin.url('/page'), expire_after=-10)
        threads = []
        start = session._resend_async
        session._resend_async = lambda *args: threads.append(start(*args))
        response = session.get(origin.url('/page'))
        threads[0].join(10)
        assert 'X-New' not in response.headers
        assert session.get(origin.url('/page')).headers['X-New'] == '1'

    def test_background_failure_is_logged(self, session, origin, caplog):
        origin.add('/page', body=b'x')
        session.settings.stale_while_revalidate = True
        session.get(origin.url('/page'), expire_after=-10)
        threads = []
        start = session._resend_async
        session._resend_async = lambda *args: threads.append(start(*args))
        origin.stop()
        assert session.get(origin.url('/page')).content == b'x'
        threads[0].join(10)
        assert 'in the background' in caplog.text


class TestVary:
    def test_variants(self, any_session, origin):
        def page(request):
            return answer(body=request.header('Accept-Language') or 'none', headers=[('Vary', 'Accept-Language')])

        origin.add('/page', page)
        languages = ['en', 'de', None, 'fr']
        for _ in range(2):
            for language in languages:
                response = any_session.get(origin.url('/page'), headers={'Accept-Language': language})
                assert response.text == language or (language is None and response.text == 'none')
        assert origin.hits() == len(languages)

    def test_only_if_cached_stays_off_the_network(self, session, origin):
        origin.add('/page', body=b'x', headers=[('Vary', 'Accept')])
        session.get(origin.url('/page'))
        response = session.get(origin.url('/page'), headers={'Accept': 'other'}, only_if_cached=True)
        assert response.status_code == 504
        assert origin.hits() == 1

    def test_variant_is_not_validated_with_the_validator_of_another(self, session, origin):
        origin.add('/page', revalidating(answer(body=b'x', headers=[('Vary', 'Accept'), ('ETag', '"1"')])))
        session.get(origin.url('/page'))
        response = session.get(origin.url('/page'), headers={'Accept': 'other'}, refresh=True)
        assert origin.requests[-1].header('If-None-Match') is None
        assert response.from_cache is False

    def test_cookies(self, session, origin):
        origin.add(
            '/page', answer(body=b'1', headers=[('Vary', 'Cookie')]), answer(body=b'2', headers=[('Vary', 'Cookie')])
        )
        assert session.get(origin.url('/page'), headers={'Cookie': 'user=1'}).content == b'1'
        assert session.get(origin.url('/page'), headers={'Cookie': 'user=2'}).content == b'2'
        assert session.get(origin.url('/page'), cookies={'user': '2'}).from_cache is True

    def test_post_with_root_key(self, new_session, origin):
        session = new_session(
            backend='memory', allowable_methods=['POST'], content_root_key='root', ignored_parameters=['id']
        )
        origin.add('/page', body=b'x', headers=[('Vary', 'Accept')])
        sent = [{'root': {'id': n, 'a': 1}} for n in range(2)]
        assert [session.post(origin.url('/page'), json=json).from_cache for json in sent] == [False, True]


class TestSettings:
    def test_changes_take_effect_with_the_next_request(self, session, origin):
        origin.add('/page', body=b'x')
        session.get(origin.url('/page'))
        session.settings.disabled = True
        assert session.get(origin.url('/page')).from_cache is False
        session.settings.disabled = False
        assert session.get(origin.url('/page')).from_cache is True
        session.expire_after = 5
        assert session.settings.expire_after == session.expire_after == 5
        session.settings = CacheSettings(allowable_codes=[404])
        assert [session.get(origin.url('/none')).from_cache for _ in range(2)] == [False, True]

    def test_sessions_that_share_a_backend_have_settings_of_their_own(self, new_session, origin):
        backend = BaseCache()
        first = new_session(backend=backend, expire_after=60, ignored_parameters=['secret'])
        second = new_session(backend=backend, expire_after=-1, ignored_parameters=[])
        origin.add('/page', body=b'x')
        assert first.get(origin.url('/page?secret=1')).expires is not None
        assert second.get(origin.url('/page?secret=1')).from_cache is False
        assert first.get(origin.url('/page?secret=2')).from_cache is True
        assert second.get(origin.url('/page?secret=2')).from_cache is False
        assert sorted(r.url.partition('?')[2] for r in backend.filter()) == ['secret=1', 'secret=2', 'secret=REDACTED']
        assert first.cache.contains(url=origin.url('/page?secret=9'))
        assert not second.cache.contains(url=origin.url('/page?secret=9'))
        assert (first.settings.expire_after, second.settings.expire_after) == (60, -1)

    def test_filter_fn(self, new_session, origin):
        session = new_session(backend='memory', filter_fn=lambda r: r.content != b'bad')
        origin.add('/page', answer(body=b'bad'), answer(body=b'good'))
        assert [session.get(origin.url('/page')).from_cache for _ in range(3)] == [False, False, True]
        session.settings.filter_fn = lambda r: False
        assert session.get(origin.url('/page')).from_cache is True
        assert len(session.cache.responses) == 0

    def test_key_fn(self, new_session, origin):
        calls = []

        def key_fn(request, **kwargs):
            calls.append(kwargs)
            return 'the key'

        session = new_session(backend='memory', key_fn=key_fn)
        origin.add('/page', body=b'x')
        assert session.get(origin.url('/page')).cache_key == 'the key'
        assert session.get(origin.url('/other')).from_cache is True
        assert {'ignored_parameters', 'content_root_key', 'match_headers', 'serializer', 'verify'} <= set(calls[0])

    def test_replaced_create_key_that_gives_no_key(self, session, origin):
        origin.add('/page', body=b'x')
        session.cache.create_key = lambda request, **kwargs: None
        assert [session.get(origin.url('/page')).from_cache for _ in range(2)] == [False, False]

    def test_certificates_that_are_not_verified_have_other_keys(self, session, origin):
        origin.add('/page', body=b'x')
        session.get(origin.url('/page'), verify=False)
        assert session.get(origin.url('/page')).from_cache is False
        assert session.cache.contains(url=origin.url('/page'), verify=False)

    def test_unknown_keywords_are_tolerated_and_logged(self, new_session, caplog):
        new_session(backend='memory', expire_aftr=5)
        assert "Keyword 'expire_aftr' of CachedSession has no effect; did you mean 'expire_after'?" in caplog.text
        caplog.clear()
        new_session(backend='memory', old_data_on_error=True, include_get_headers=True, stale_while_revalidate=5)
        assert caplog.text == ''

    def test_matched_headers_that_are_ignored_are_logged(self, new_session, caplog):
        new_session(backend='memory', match_headers=['Accept', 'AUTHORIZATION'])
        assert "'AUTHORIZATION' in match_headers has no effect" in caplog.text
        assert "'Accept'" not in caplog.text
        caplog.clear()
        new_session(backend='memory', match_headers=['Authorization'], ignored_parameters=['api_key'])
        new_session(backend='memory', match_headers=['Authorization'], key_fn=lambda request, **kwargs: 'the key')
        new_session(backend='memory', match_headers=True)
        assert caplog.messages == []

    def test_keywords_for_a_backend_that_was_passed_in_are_logged(self, new_session, caplog):
        new_session(backend=BaseCache(), wal=True)
        assert "Keyword 'wal'" in caplog.text


class TestSessionMembers:
    def test_cache_disabled(self, session, origin):
        origin.add('/page', body=b'x')
        session.get(origin.url('/page'))
        with session.cache_disabled():
            with session.cache_disabled():
                pass
            response = session.get(origin.url('/page'))
            assert (response.from_cache, response.cache_key) == (False, None)
            assert in_other_thread(lambda: session.get(origin.url('/page')).from_cache) is True
            assert copy_context().run(lambda: session.get(origin.url('/page')).from_cache) is False
        assert session.get(origin.url('/page')).from_cache is True

    def test_cache_disabled_after_an_exception(self, session, origin):
        origin.add('/page', body=b'x')
        session.get(origin.url('/page'))
        with pytest.raises(KeyError), session.cache_disabled():
            raise KeyError
        assert session.get(origin.url('/page')).from_cache is True

    def test_wrap(self, origin, cache_path):
        origin.add('/page', body=b'x')
        with requests.Session() as original:
            original.headers['X-Own'] = '1'
            session = CachedSession.wrap(original, cache_name=cache_path, backend='memory')
            session.get(origin.url('/page'))
            assert origin.requests[-1].header('X-Own') == '1'
            assert session.headers is original.headers
            assert session.adapters is original.adapters

    def test_repr(self, session):
        settings = 'CacheSettings(expire_after=-1)'
        expected = f'<CachedSession(cache=<BaseCache(name={session.cache.cache_name})>, settings={settings})>'
        assert repr(session) == str(session) == expected

    def test_autoclose(self, cache_path, origin):
        closed = []

        class Backend(BaseCache):
            def close(self):
                closed.append(1)

        with CachedSession(backend=Backend(), autoclose=False):
            pass
        assert closed == []
        with CachedSession(backend=Backend()):
            pass
        assert closed == [1]

    def test_use_after_close(self, any_session, origin):
        origin.add('/page', body=b'x')
        any_session.get(origin.url('/page'))
        any_session.close()
        assert any_session.get(origin.url('/page')).from_cache is True


class TestSubclasses:
    def test_mixin_before_another_session(self, new_session, origin):
        sent = []

        class Limiter(requests.Session):
            def __init__(self, per_second=1, **kwargs):
                super().__init__()
                self.per_second, self.rest = per_second, kwargs

            def send(self, request, **kwargs):
                sent.append(request.url)
                return super().send(request, **kwargs)

        class Session(CacheMixin, Limiter):
            pass

        session = new_session(session_class=Session, backend='memory', per_second=5, expire_after=60, other=1)
        origin.add('/page', body=b'x')
        assert [session.get(origin.url('/page'), refresh=True).from_cache for _ in range(2)] == [False, True]
        assert len(sent) == 1, 'the other send() runs on a miss only'
        assert (session.per_second, session.rest) == (5, {'other': 1})
        assert session.settings.expire_after == 60

    def test_mixin_after_another_session(self, new_session, origin):
        class Prefix:
            def request(self, method, url, **kwargs):
                return super().request(method, origin.url(url), **kwargs)

            def send(self, request, **kwargs):
                request.headers['X-Sent'] = 'yes'
                return super().send(request, **kwargs)

        class Session(Prefix, CacheMixin, requests.Session):
            pass

        session = new_session(session_class=Session, backend='memory')
        origin.add('/page', body=b'x')
        assert [session.get('/page').from_cache for _ in range(2)] == [False, True]
        assert origin.requests[0].header('X-Sent') == 'yes'
        assert session.get('/none', only_if_cached=True).status_code == 504

    def test_send_replaced_after_the_session_was_made(self, session, origin, monkeypatch):
        def send(self, request, **kwargs):
            response = requests.Response()
            response.status_code, response.url, response.request = 200, request.url, request
            response._content = b'replaced'
            return response

        monkeypatch.setattr(requests.Session, 'send', send)
        responses = [session.get(origin.url('/page')) for _ in range(2)]
        assert [(r.content, r.from_cache) for r in responses] == [(b'replaced', False), (b'replaced', True)]


class TestBackendArgument:
    @pytest.mark.parametrize('backend', ['sqlite', 'SQLite', SQLiteCache, None, ''])
    def test_name_and_class(self, new_session, backend, cache_path):
        cache = new_session(backend=backend).cache
        assert type(cache) is SQLiteCache
        assert cache.db_path == cache_path.with_suffix('.sqlite')

    def test_instance(self, new_session, cache_path):
        backend = SQLiteCache(cache_path)
        assert new_session(backend=backend, cache_name='http_cache').cache is backend
        with pytest.warns(DeprecationWarning, match='other') as warnings, CachedSession('other', backend=backend):
            pass
        assert warnings[0].filename == __file__
        assert backend.cache_name == 'other'

    def test_unknown(self):
        with pytest.raises(ValueError, match=r"Invalid backend: nope.*'dynamodb', 'filesystem', 'gridfs', 'memory'"):
            CachedSession(backend='nope')

    def test_name_by_keyword(self, new_session, cache_path):
        other = cache_path.with_name('other.sqlite')
        assert new_session(db_path=other).cache.db_path == other

    def test_faults_of_the_store_do_not_reach_the_caller(self, new_session, origin, caplog):
        backend = BaseCache()
        backend.responses = FaultyStorage(backend.responses)
        backend.responses.fail('read', error=OSError('cannot read'))
        backend.responses.fail('write', error=OSError('cannot write'))
        session = new_session(backend=backend)
        origin.add('/page', body=b'x')
        assert [session.get(origin.url('/page')).content for _ in range(3)] == [b'x'] * 3
        warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert warnings == [
            'Unable to read the cache, requests go on without it: OSError: cannot read',
            'Unable to write to the cache, requests go on without it: OSError: cannot write',
        ]
        backend.responses.mend()
        assert [session.get(origin.url('/page')).from_cache for _ in range(2)] == [False, True]
        assert 'Able to write to the cache again' in caplog.text


class TestUrlsThatKeysDoNotTellApart:
    """Keys of requests without a body are those of 1.x, which drops blank parameters, for one"""

    @pytest.mark.parametrize(
        ('first', 'second'),
        [('/page?a=1', '/page?a=1&b='), ('/a%2Fb', '/a/b'), ('/a//b', '/a/b'), ('/page?q=%E9', '/page?q=%EA')],
    )
    def test_different_resources(self, any_session, origin, first, second):
        origin.default = lambda request: answer(body=request.path)
        for _ in range(2):
            for path in (first, second):
                assert any_session.get(origin.url(path)).content.decode() == path

    @pytest.mark.parametrize(
        ('first', 'second'),
        [('/page?a=1&b=2', '/page?b=2&a=1'), ('/%7Euser', '/~user'), ('/page?api_key=1', '/page?api_key=2'), ('', '/')],
    )
    def test_same_resource(self, any_session, origin, first, second):
        origin.default = answer(body=b'x')
        assert [any_session.get(origin.url(path)).from_cache for path in (first, second)] == [False, True]
