"""The tables that say what happens to stored responses, row by row, in all modes"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from requests_cache import CachedSession
from requests_cache.testing.origin import Answer, Origin, RecordedRequest, answer, revalidating

PAGE = Path(__file__).parents[2] / 'docs' / 'explanation' / 'freshness.md'
TABLE = re.compile(r'^\| (?:the situation|what you say) \|[^\n]*\n\|[-| ]+\n((?:\|.*\n)*)', re.M)
STALE: dict[str, Any] = {'expire_after': -2}
FRESH: dict[str, Any] = {'expire_after': 60}
WITHIN, TOO_SHORT = 60, 1
MODES = [False, True, 'strict']
PATIENCE_SECONDS = 30


class Case(NamedTuple):
    """A request for what is stored, and its outcome in the modes False, True and 'strict'

    Args:
        outcomes: As `session.explain()` has them
        settings: Of the session
        call: Options of the second request
        then: What the origin answers then
        directives: `Cache-Control` of the responses
    """

    outcomes: str | tuple[str, str, str]
    settings: dict[str, Any]
    call: dict[str, Any] = {}
    then: str = 'the same'
    directives: str = ''


def saying(directive: str) -> dict[str, Any]:
    return {'headers': {'Cache-Control': directive}}


CASES: dict[str, list[Case]] = {
    'The request says `only-if-cached`.': [
        Case('unanswered', STALE, saying('only-if-cached')),
        Case(('stale hit', 'stale hit', 'unanswered'), {**STALE, 'stale_if_error': True}, saying('only-if-cached')),
    ],
    'It is stale within `stale_while_revalidate`.': [
        Case('stale hit', {**STALE, 'stale_while_revalidate': WITHIN}, then='another'),
        Case('miss', {**STALE, 'stale_while_revalidate': TOO_SHORT}, then='another'),
    ],
    'It has a validator, and the origin says 304.': [Case('validated', STALE)],
    'The origin sends a new response.': [Case('miss', STALE, then='another')],
    'The origin fails or sends an error status, and it is stale within `stale_if_error`.': [
        Case('stale hit', {**STALE, 'stale_if_error': WITHIN}, then='an error'),
        Case('miss', {'stale_if_error': True}, then='an error', directives='max-age=0, must-revalidate'),
    ],
    'The origin fails or sends an error status.': [
        Case('miss', STALE, then='an error'),
        Case('miss', {**STALE, 'stale_if_error': TOO_SHORT}, then='an error'),
    ],
    '`refresh=True`, `always_revalidate=True`': [
        Case('validated', FRESH, {'refresh': True}),
        Case('validated', {**FRESH, 'always_revalidate': True}),
    ],
    '`force_refresh=True`': [Case('miss', FRESH, {'force_refresh': True})],
    '`Cache-Control: no-cache` in the request': [Case(('miss', 'miss', 'validated'), FRESH, saying('no-cache'))],
    '`Cache-Control: max-age=…` or `min-fresh=…` in the request': [
        Case('validated', FRESH, saying('max-age=0')),
        Case('validated', FRESH, saying('min-fresh=100')),
        Case('hit', FRESH, saying('min-fresh=10')),
    ],
    "`cache_control=True` or `'strict'`, and the response says `no-cache`": [
        Case(('hit', 'validated', 'validated'), FRESH, directives='no-cache, max-age=60')
    ],
}


def test_these_are_the_rows() -> None:
    tables = ''.join(TABLE.findall(PAGE.read_text('utf-8')))
    assert [row.split(' | ')[0].removeprefix('| ') for row in tables.splitlines()] == list(CASES)


def page(case: Case, now: list[str]) -> Any:
    """What the origin answers: a version of a page, with a validator, or an error"""

    def serve(request: RecordedRequest) -> Answer:
        if now[0] == 'an error':
            return answer(503, 'out of order')
        headers = [('ETag', f'"{now[0]}"')]
        if case.directives:
            headers.append(('Cache-Control', case.directives))
        return revalidating(answer(200, now[0], headers))(request)

    return serve


@pytest.mark.parametrize('row', CASES)
@pytest.mark.parametrize('mode', MODES)
def test_they_say_what_happens(origin: Origin, mode: Any, row: str) -> None:
    for case in CASES[row]:
        if mode is False and 'must-revalidate' in case.directives:
            continue  # which only counts where responses have a say
        now, renewed = ['the same'], threading.Event()
        origin.add('/page', page(case, now))
        with CachedSession(backend='memory', cache_control=mode, **case.settings) as session:
            session.subscribe(lambda event, renewed=renewed: event.kind == 'refresh ended' and renewed.set())
            session.get(origin.url('/page'))
            now[0] = case.then
            response = session.get(origin.url('/page'), **case.call)
            outcome = session.explain(response).outcome
            expected = case.outcomes if isinstance(case.outcomes, str) else case.outcomes[MODES.index(mode)]
            assert outcome == expected
            if outcome == 'stale hit' and 'stale_while_revalidate' in case.settings:
                assert renewed.wait(PATIENCE_SECONDS)
