"""Validating what is stored: whose copy a 304 is about, and what may be written after it"""

from __future__ import annotations

import pytest

from requests_cache.testing.origin import answer, redirect, revalidating

TAGGED = [('ETag', '"1"')]


@pytest.fixture(params=[False, True, 'strict'], ids=str)
def in_each_mode(request, new_session):
    return new_session(backend='memory', cache_control=request.param)


def made_stale(session):
    """Let what is stored be stale, in each mode"""
    for key, response in list(session.cache.responses.items()):
        response.reset_expiration(-10)
        session.cache.responses[key] = response


class TestRedirects:
    @pytest.fixture
    def moved(self, in_each_mode, origin):
        """`/latest` led to `/v1` when it was stored, and leads to `/v0` now; both have the same entity tag"""
        session = in_each_mode
        origin.add('/latest', redirect('/v1'), redirect('/v0'))
        for version in ('v1', 'v0'):
            full = answer(body=version, headers=[*TAGGED, ('Cache-Control', 'max-age=0')])
            origin.add(f'/{version}', revalidating(full))
        session.settings.expire_after = -10
        assert session.get(origin.url('/latest')).text == 'v1'
        made_stale(session)
        return session

    def test_validators_go_to_the_url_that_gave_them(self, moved, origin):
        response = moved.get(origin.url('/latest'))
        assert (response.text, response.url) == ('v0', origin.url('/v0'))
        for request in origin.requests_for('/latest') + origin.requests_for('/v0')[:1]:
            assert request.header('If-None-Match') is None
        assert moved.get(origin.url('/v1')).text == 'v1'

    def test_conditions_do_not_go_along_a_new_redirect(self, in_each_mode, origin):
        """A page that has moved in the meantime"""
        session = in_each_mode
        full = [*TAGGED, ('Cache-Control', 'max-age=0')]
        origin.add('/page', answer(body=b'old', headers=full), redirect('/other'))
        origin.add('/other', revalidating(answer(body=b'new', headers=full)))
        session.settings.expire_after = -10
        session.get(origin.url('/page'))
        made_stale(session)
        assert session.get(origin.url('/page')).content == b'new'
        assert origin.requests_for('/page')[1].header('If-None-Match') == '"1"'
        assert origin.requests_for('/other')[0].header('If-None-Match') is None


class TestConditionsOfTheCaller:
    """The answer to the caller's own conditions is about the caller's copy"""

    @pytest.mark.parametrize(
        ('stored', 'own'),
        [
            (TAGGED, {'If-None-Match': '"2"'}),
            ([('Last-Modified', 'Mon, 01 Jan 2024 00:00:00 GMT')], {'If-None-Match': '"2"'}),
            (TAGGED, {'If-Modified-Since': 'Tue, 02 Jan 2024 00:00:00 GMT'}),
        ],
        ids=['tag and tag', 'date and tag', 'tag and date'],
    )
    def test_default_modes(self, session, origin, stored, own):
        newer = [('ETag', '"2"'), ('Last-Modified', 'Tue, 02 Jan 2024 00:00:00 GMT')]

        def page(request):
            is_known = any(request.header(name) == value for name, value in own.items())
            return answer(304, headers=newer) if is_known else answer(body=b'new', headers=newer)

        origin.add('/page', answer(body=b'old', headers=stored), page)
        session.get(origin.url('/page'), expire_after=-10)
        response = session.get(origin.url('/page'), headers=own)
        assert (response.status_code, response.content) == (304, b'')
        [entry] = session.cache.filter()
        assert (entry.content, entry.is_expired) == (b'old', True)
        assert entry.headers.get('ETag') != '"2"'
        assert session.get(origin.url('/page')).content == b'new'

    def test_the_same_copy(self, session, origin):
        """What both have is renewed, and the caller gets it"""
        origin.add('/page', revalidating(answer(body=b'x', headers=TAGGED)))
        session.get(origin.url('/page'), expire_after=-10)
        response = session.get(origin.url('/page'), headers={'If-None-Match': '"1"'}, expire_after=60)
        assert (response.status_code, response.content, response.is_expired) == (200, b'x', False)


class TestLateAnswers:
    """A 304 that comes late renews only what it was asked for"""

    @pytest.mark.parametrize('cache_control', [False, 'strict'])
    def test_cleared_in_the_meantime(self, cache_control, new_session, origin):
        session = new_session(backend='memory', cache_control=cache_control)
        full = answer(body=b'x', headers=[*TAGGED, ('Cache-Control', 'max-age=0')])

        def while_cleared(request):
            session.cache.clear()
            return revalidating(full, [('Cache-Control', 'max-age=60')])(request)

        origin.add('/page', full, while_cleared)
        session.get(origin.url('/page'), expire_after=-10)
        assert session.get(origin.url('/page'), expire_after=60).content == b'x'
        assert len(session.cache.responses) == 0

    def test_replaced_in_the_meantime(self, new_session, origin):
        session = new_session(backend='sqlite')
        other = new_session(backend='sqlite')
        full = answer(body=b'old', headers=TAGGED)

        def while_replaced(request):
            other.get(origin.url('/page'), force_refresh=True)
            return revalidating(full)(request)

        origin.add('/page', full, while_replaced, answer(body=b'new', headers=[('ETag', '"2"')]))
        session.get(origin.url('/page'), expire_after=-10)
        session.get(origin.url('/page'), expire_after=60)
        hit = session.get(origin.url('/page'))
        assert (hit.from_cache, hit.content, hit.headers['ETag']) == (True, b'new', '"2"')


class TestConnections:
    """What nobody reads does not keep its connection"""

    def test_validations_of_streamed_responses(self, session, origin):
        origin.add('/page', revalidating(answer(body=b'x', headers=TAGGED)))
        for _ in range(5):
            assert session.get(origin.url('/page'), expire_after=0, stream=True).content == b'x'
        assert (origin.hits(), origin.connections) == (5, 1)

    def test_error_statuses_of_streamed_responses(self, session, origin):
        origin.add('/page', answer(body=b'x'), answer(500, b'failed'))
        session.settings.stale_if_error = True
        session.get(origin.url('/page'), expire_after=-10)
        for _ in range(4):
            assert session.get(origin.url('/page'), stream=True).content == b'x'
        assert (origin.hits(), origin.connections) == (5, 1)
