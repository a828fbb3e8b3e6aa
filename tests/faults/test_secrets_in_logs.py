"""Secrets, looked for in all that is logged while the origin, the store and the entries fail"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.planting import IGNORED
from requests_cache import CachedSession
from requests_cache.exceptions import BackendError, BackendUnavailableError
from requests_cache.testing import ManualExecutor
from requests_cache.testing.origin import Origin, answer

SECRET = 'Zx7qLm93Secret'
PATHS = [
    f'/a?b=1&api_key={SECRET}',
    f'/a?b=1;session_id={SECRET}',
    f'/a;api_key={SECRET}/b',
    f'/a?to=http%3A%2F%2Fh%2F%3Fapi_key%3D{SECRET}',
]


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG):
        yield


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """All that a handler can show of the records of this package; urllib3 logs what it sends on its own"""
    shown = []
    for record in caplog.records:
        if record.name.startswith('requests_cache'):
            shown += [record.getMessage(), repr(record.args), str(record.msg), record.exc_text or '']
            for value in record.args if isinstance(record.args, tuple) else ():
                shown.append(''.join(traceback.format_exception(value)) if isinstance(value, Exception) else '')
            if record.exc_info:
                shown += traceback.format_exception(*record.exc_info)
    return '\n'.join(shown)


def with_password(url: str) -> str:
    return url.replace('://', f'://user:{SECRET}@')


@pytest.mark.parametrize('path', PATHS)
@pytest.mark.parametrize('cache_control', [False, 'strict'])
def test_the_origin_fails(
    path: str, cache_control: Any, origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not reached, and then answers with an error; each time there is a stale response"""
    headers = {'X-API-Key': SECRET, 'Cookie': f'session_id={SECRET}'}
    fields = [('Cache-Control', 'max-age=0, stale-if-error=600'), ('ETag', '"1"')]
    origin.default = answer(200, b'page', fields)
    url = with_password(origin.url(path))
    options: dict[str, Any] = {'ignored_parameters': IGNORED, 'stale_if_error': True, 'cache_control': cache_control}
    with CachedSession(tmp_path / 'cache', **options) as session:
        session.get(url, headers=headers, expire_after=-2 if not cache_control else None)
        origin.default = answer(500, b'broken')
        assert session.get(url, headers=headers).from_cache
        assert 'got status 500' in logged(caplog)
        origin.stop()
        assert session.get(url, headers=headers).from_cache
    assert 'failed; using the stored response' in logged(caplog)
    assert 'REDACTED' in logged(caplog)
    assert SECRET not in logged(caplog)


@pytest.mark.parametrize('path', PATHS)
def test_a_renewal_in_the_background_fails(
    path: str, origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    origin.default = answer(200, b'page')
    url = with_password(origin.url(path))
    options: dict[str, Any] = {'ignored_parameters': IGNORED, 'stale_while_revalidate': True}
    with ManualExecutor() as background, CachedSession(tmp_path / 'cache', **options) as session:
        session.get(url, expire_after=-2)
        origin.stop()
        assert session.get(url).from_cache
        assert background.run() == 1
    assert 'in the background' in logged(caplog)
    assert SECRET not in logged(caplog)


def test_a_thread_cannot_be_started(
    origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError(f"can't start new thread for {url}")

    origin.default = answer(200, b'page')
    url = with_password(origin.url(PATHS[0]))
    with CachedSession(tmp_path / 'cache', stale_while_revalidate=True) as session:
        session.get(url, expire_after=-2)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, 'start', refuse)
            assert session.get(url).from_cache
    assert 'in the background' in logged(caplog)
    assert SECRET not in logged(caplog)


@pytest.mark.parametrize('backend', ['sqlite', 'filesystem'])
def test_entries_are_damaged_and_keys_are_urls(
    backend: str, origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys of the caller's own are not ours to keep clean, but they are not logged in full"""
    origin.default = answer(200, b'page')
    url = with_password(origin.url(PATHS[0]))
    key = f'GET {url}'
    with CachedSession(tmp_path / 'cache', backend=backend, serializer='json', key_fn=lambda *a, **k: key) as session:
        session.get(url)
        serializer = session.cache.responses.serializer
        session.cache.responses.serializer = None
        session.cache.responses[key] = f'{{"url": "{url}", "password": '
        session.cache.responses.serializer = serializer
        assert not session.get(url).from_cache
        if backend == 'filesystem':
            (path,) = session.cache.paths()
            Path(path).unlink()
            Path(path).mkdir()
            session.get(url)
            assert 'Unable to' in logged(caplog)
    assert 'Unable to deserialize' in logged(caplog)
    assert SECRET not in logged(caplog)


class Failing(dict[str, Any]):
    """A storage whose driver says more than it should"""

    error: Exception

    def __getitem__(self, key: str) -> Any:
        raise self.error from OSError(str(self.error))

    __setitem__ = __getitem__  # type: ignore[assignment]


@pytest.mark.parametrize(
    'text',
    [
        f'redis://user:{SECRET}@h:6379/0 cannot be reached',
        f'mongodb://user:{SECRET}/x@h/?authSource=admin',
        f"NoCredentials(aws_secret_access_key='{SECRET}')",
        f'AUTH failed: {{"password": "{SECRET}"}}',
    ],
)
@pytest.mark.parametrize('kind', [BackendError, BackendUnavailableError, OSError])
def test_the_store_fails(text: str, kind: type[Exception], origin: Origin, caplog: pytest.LogCaptureFixture) -> None:
    origin.default = answer(200, b'page')
    with CachedSession(backend='memory') as session:
        session.cache.responses = Failing()
        session.cache.responses.error = kind(text)
        for _ in range(3):
            assert not session.get(origin.url('/a')).from_cache
    assert 'Unable to read the cache' in logged(caplog)
    assert 'REDACTED' in logged(caplog)
    assert SECRET not in logged(caplog)
