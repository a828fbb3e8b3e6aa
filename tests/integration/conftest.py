"""Sessions over each local backend"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.large_bodies import LARGE_BODY_BYTES, PIECE_BYTES, pieces_of

from requests_cache import BaseCache, CachedSession
from requests_cache.engine.refreshing import Refreshing


@pytest.fixture
def new_session(cache_path) -> Iterator[Callable[..., CachedSession]]:
    """Makes sessions that are closed after the test; with SQLite, unless another backend is given"""
    sessions = []

    def make(**kwargs: Any) -> CachedSession:
        name = {} if isinstance(kwargs.get('backend'), BaseCache) else {'cache_name': cache_path}
        session = kwargs.pop('session_class', CachedSession)(**{**name, **kwargs})
        sessions.append(session)
        return session

    yield make
    for session in sessions:
        session.settings.autoclose = True
        session.close()


@pytest.fixture
def session(new_session) -> CachedSession:
    return new_session(backend='memory')


@pytest.fixture(params=['memory', 'sqlite', 'filesystem'])
def any_session(request, new_session) -> CachedSession:
    """A session on each of the local backends"""
    return new_session(backend=request.param)


@pytest.fixture(params=['memory', 'sqlite'])
def new_with_pieces(request, new_session) -> Callable[..., CachedSession]:
    """Makes sessions for which some kilobytes are a large body"""

    def make(**kwargs: Any) -> CachedSession:
        session = new_session(**{'backend': request.param, 'large_body_bytes': LARGE_BODY_BYTES, **kwargs})
        pieces_of(session).piece_bytes = PIECE_BYTES
        return session

    return make


@pytest.fixture
def refreshed(monkeypatch):
    """Waits for all that is renewed in the background"""
    threads = []
    start = Refreshing.start

    def remember(self, *args):
        threads.append(start(self, *args))
        return threads[-1]

    monkeypatch.setattr(Refreshing, 'start', remember)

    def wait():
        for thread in threads:
            if thread is not None:
                thread.join(30)
        return threads

    return wait
