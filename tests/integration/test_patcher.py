"""Caching for all of `requests`"""

from __future__ import annotations

from contextvars import copy_context
from threading import Barrier, Thread

import pytest
import requests

import requests_cache
from requests_cache import BaseCache, CachedSession, CacheMixin
from requests_cache.session import OriginalSession


@pytest.fixture
def page(origin):
    origin.add('/page', body=b'x')
    return origin.url('/page')


@pytest.fixture(autouse=True)
def uninstalled():
    yield
    requests_cache.uninstall_cache()


def is_cached(url):
    return getattr(requests.get(url), 'from_cache', None)


def test_install_and_uninstall(page, cache_path):
    requests_cache.install_cache(cache_path, backend='memory')
    assert requests_cache.is_installed()
    assert isinstance(requests.Session(), CachedSession)
    assert isinstance(requests.session(), CachedSession)
    assert requests_cache.get_cache().cache_name == str(cache_path)
    assert [is_cached(page), is_cached(page)] == [False, True]
    with requests.Session() as session:
        assert session.get(page).from_cache
    requests_cache.uninstall_cache()
    assert is_cached(page) is None
    assert requests.Session is OriginalSession
    assert not requests_cache.is_installed()
    assert requests_cache.get_cache() is None
    requests_cache.uninstall_cache()


def test_installed_session_takes_no_arguments(cache_path):
    requests_cache.install_cache(backend='memory')
    with pytest.raises(TypeError):
        requests.Session(1)

    class Own(requests.Session):
        def __init__(self, name):
            super().__init__()
            self.name = name

    with Own('mine') as session:
        assert (session.name, isinstance(session, CachedSession)) == ('mine', True)


def test_settings_of_each_session(page):
    requests_cache.install_cache(backend='memory', expire_after=60)
    session = requests.Session()
    session.settings.expire_after = 5
    assert requests.Session().settings.expire_after == 60
    assert session.settings.expire_after == 5


def test_keywords_of_the_backend_have_their_effect_and_are_not_complained_of(cache_path, caplog):
    requests_cache.install_cache(cache_path, wal=True)
    with requests.Session():
        assert requests_cache.get_cache().responses.wal
    assert 'has no effect' not in caplog.text
    requests_cache.get_cache().close()
    requests_cache.install_cache(backend=BaseCache(), wal=True)
    with requests.Session():
        assert "Keyword 'wal'" in caplog.text


def test_factory(page):
    class Session(CacheMixin, OriginalSession):
        pass

    requests_cache.install_cache(backend='memory', session_factory=Session)
    assert [is_cached(page), is_cached(page)] == [False, True]
    assert requests_cache.is_installed()
    assert requests_cache.delete(urls=[page]) == 1
    assert is_cached(page) is False


def test_clear_and_delete(page):
    requests_cache.clear()
    assert requests_cache.delete(urls=[page]) == 0
    requests_cache.install_cache(backend=BaseCache())
    is_cached(page)
    requests_cache.clear()
    assert is_cached(page) is False
    assert requests_cache.delete(expired=True) == 0


def test_disabled(page):
    requests_cache.install_cache(backend='memory')
    is_cached(page)
    with requests_cache.disabled():
        assert is_cached(page) is None
        assert not requests_cache.is_installed()
        assert type(requests.Session()) is OriginalSession
        with requests_cache.enabled(backend='memory'):
            assert is_cached(page) is False
        assert is_cached(page) is None
    assert is_cached(page) is True
    with pytest.raises(KeyError), requests_cache.disabled():
        raise KeyError
    assert requests_cache.is_installed()


def test_enabled_restores_what_was_there(page):
    with requests_cache.enabled(backend='memory'):
        assert [is_cached(page), is_cached(page)] == [False, True]
    assert requests.Session is OriginalSession
    requests_cache.install_cache(backend='memory')
    is_cached(page)
    with requests_cache.enabled(backend='memory'):
        assert is_cached(page) is False
    assert is_cached(page) is True
    with pytest.raises(KeyError), requests_cache.enabled(backend='memory'):
        raise KeyError
    assert is_cached(page) is True


def test_scopes_of_threads_do_not_touch_each_other(page):
    requests_cache.install_cache(backend='memory')
    is_cached(page)
    inside, done, seen = Barrier(3, timeout=10), Barrier(3, timeout=10), {}

    def run(name, scope):
        with scope:
            inside.wait()
            seen[name] = is_cached(page)
            done.wait()

    threads = [
        Thread(target=run, args=('disabled', requests_cache.disabled())),
        Thread(target=run, args=('enabled', requests_cache.enabled(backend='memory'))),
    ]
    for thread in threads:
        thread.start()
    inside.wait()
    seen['main'] = is_cached(page)
    done.wait()
    for thread in threads:
        thread.join()
    assert seen == {'disabled': None, 'enabled': False, 'main': True}
    assert is_cached(page) is True


def test_enabled_in_one_thread_only(page):
    inside, done = Barrier(2, timeout=10), Barrier(2, timeout=10)

    def run():
        with requests_cache.enabled(backend='memory'):
            inside.wait()
            done.wait()

    thread = Thread(target=run)
    thread.start()
    inside.wait()
    assert is_cached(page) is None
    assert not requests_cache.is_installed()
    done.wait()
    thread.join()
    assert requests.Session is OriginalSession


class TestBlocksThatAreLeftElsewhere:
    """The two halves of an async fixture run in contexts of their own"""

    def test_enabled(self, page):
        block = requests_cache.enabled(backend='memory')
        inside = copy_context()
        inside.run(block.__enter__)
        copied = inside.run(copy_context)
        assert copied.run(is_cached, page) is False
        copy_context().run(block.__exit__, None, None, None)
        assert requests.Session is OriginalSession
        for context in (inside, copied):
            assert context.run(requests_cache.is_installed) is False
            assert context.run(is_cached, page) is None

    def test_enabled_in_another(self, page):
        with requests_cache.enabled(backend='memory'):
            block = requests_cache.disabled()
            inside = copy_context()
            inside.run(block.__enter__)
            assert inside.run(is_cached, page) is None
            block.__exit__(None, None, None)
            assert inside.run(is_cached, page) is False

    def test_cache_disabled(self, page):
        with CachedSession(backend='memory') as session:
            session.get(page)
            block = session.cache_disabled()
            inside = copy_context()
            inside.run(block.__enter__)
            assert inside.run(session.get, page).from_cache is False
            block.__exit__(None, None, None)
            assert inside.run(session.get, page).from_cache
