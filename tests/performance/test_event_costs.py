"""What is said of requests costs next to nothing while nobody listens: counts, which are the same on a busy machine"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from performance.hit_profile import calls
from support.events import EventLog

from requests_cache import CachedSession
from requests_cache.engine import watching
from requests_cache.testing.origin import Origin, answer, revalidating

# Functions of these modules that a hit calls
MAX_CALLS = 8
OURS = ('engine/observing', 'engine/watching', 'engine/statistics', 'engine/events')


@pytest.fixture(autouse=True)
def nobody_listens(caplog: pytest.LogCaptureFixture) -> Any:
    with caplog.at_level(logging.INFO, 'requests_cache'):
        yield


@pytest.fixture
def session(origin: Origin) -> Any:
    origin.default = answer(200, b'hello', [('ETag', '"1"')])
    with CachedSession(backend='memory') as session:
        yield session


def ours(counter: Counter[str]) -> dict[str, int]:
    return {name: number for name, number in counter.items() if any(module in name for module in OURS)}


def test_a_hit_is_counted_by_a_few_calls(session: CachedSession, origin: Origin) -> None:
    url = origin.url('/page')
    session.get(url)
    hit = ours(calls(lambda: session.get(url)))
    assert session.stats.hits == 1
    assert sum(hit.values()) <= MAX_CALLS, hit
    assert not any('watching.py' in name and 'emit' in name for name in hit)


def test_a_subscriber_is_what_makes_it_cost_more(session: CachedSession, origin: Origin) -> None:
    url = origin.url('/page')
    session.get(url)
    unwatched = calls(lambda: session.get(url)).total()
    told = EventLog(session)
    assert calls(lambda: session.get(url)).total() > unwatched
    told.unsubscribe()
    assert calls(lambda: session.get(url)).total() == unwatched


def test_nothing_is_made_and_formatted_for_nobody(
    session: CachedSession, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On no way that a request can take"""
    for name in ('shown_url', 'shown_key', 'shown_error', 'shown_traceback', 'utcnow'):
        monkeypatch.setattr(watching, name, lambda *args: pytest.fail('something is formatted'))
    origin.add('/validated', revalidating(answer(200, b'hello', [('ETag', '"1"')])))
    origin.add('/failing', answer(200, b'hello'), answer(500))
    session.settings.stale_if_error = True
    for path in ('/page', '/page', '/validated', '/validated', '/failing', '/failing'):
        session.get(origin.url(path), expire_after=None if path == '/page' else -10)
    session.get(origin.url('/none'), only_if_cached=True)
    session.post(origin.url('/page'))
    stats = session.stats
    assert (stats.hits, stats.validations, stats.stale_hits, stats.unanswered, stats.bypassed) == (1, 1, 1, 1, 1)


def test_events_are_not_even_loaded() -> None:
    """In a process of its own, where logging is as Python sets it up, and then at INFO"""
    tests = Path(__file__).parents[1]
    code = f"""
import logging, sys
sys.path.insert(0, {str(tests)!r})
from requests_cache.testing.origin import Origin
from requests_cache import CachedSession
for level in (logging.WARNING, logging.INFO):
    logging.basicConfig(level=level, force=True)
    with Origin() as origin, CachedSession(backend='memory') as session:
        origin.add('/page', body='x')
        session.get(origin.url('/page'))
        session.get(origin.url('/page'))
        assert session.stats.hits == 1
        assert 'requests_cache.engine.events' not in sys.modules
        assert not any(name.startswith('requests_cache.observe') for name in sys.modules)
"""
    done = subprocess.run([sys.executable, '-W', 'error', '-c', code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
