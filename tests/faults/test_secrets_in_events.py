"""Secrets, looked for in all that subscribers are told, and in what is logged of it"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import requests
from support.events import EventLog

from faults.planting import IGNORED, METHODS, Planter, found_in
from requests_cache import CachedSession
from requests_cache.exceptions import BackendError
from requests_cache.testing.origin import Origin, answer

SECRET = 'Zx7qLm93Secret'


def shown(told: EventLog, caplog: pytest.LogCaptureFixture) -> list[bytes]:
    lines = [record.getMessage() for record in caplog.records if record.name.startswith('requests_cache')]
    return [text.encode() for event in told for text in (str(event), repr(event))] + [line.encode() for line in lines]


@pytest.mark.parametrize('cache_control', [False, 'strict'])
def test_secrets_in_every_place(
    cache_control: Any, origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {'ignored_parameters': IGNORED, 'allowable_methods': METHODS}
    with (
        caplog.at_level(logging.DEBUG),
        CachedSession(tmp_path / 'cache', cache_control=cache_control, **options) as session,
    ):
        told = EventLog(session)
        planter = Planter(session, origin)
        planter.plant()
    assert {str(event.kind) for event in told} >= {'stored', 'miss', 'validated'}
    assert found_in(shown(told, caplog), planter.secrets) == set()
    assert 'api_key=REDACTED' in ' '.join(str(event) for event in told)


def test_errors_and_keys_of_the_users_own(
    origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of an error may name the URL, and a key may be one"""

    def key_of(request: Any, **kwargs: Any) -> str:
        return f'GET {request.url}'

    origin.default = answer(200, b'page')
    url = f'{origin.url("/a")}?api_key={SECRET}&session_id={SECRET}'.replace('://', f'://user:{SECRET}@')
    with CachedSession(tmp_path / 'cache', key_fn=key_of, ignored_parameters=IGNORED) as session:
        told = EventLog(session)
        session.get(url)
        origin.stop()
        session.cache.clear()
        with pytest.raises(requests.ConnectionError):
            session.get(url)

        def fail(*args: Any) -> None:
            raise BackendError(f'no such key: GET {url}')

        monkeypatch.setattr(type(session.cache.responses), '__getitem__', fail)
        session.get(url, only_if_cached=True)
    assert told.results() == ['miss', 'failed', 'unanswered']
    assert told.only('failed').error
    assert told.only('store fault').error
    assert told.only('stored').key
    assert SECRET.encode() not in b'\n'.join(shown(told, caplog))
