"""The rest of the scenario themes: redirects, bodies, variants, methods, failures, and work on the cache itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import generator
from .bodies import BODIES
from .generator import HOST, Draft, Scenario

LOCATIONS = ('relative', 'absolute', 'elsewhere')
REDIRECTS = (301, 302, 303, 307, 308)


def _chain(draft: Draft, hops: int) -> str:
    """Pages that redirect one to the next; returns the path of the first."""
    target = draft.page(body=draft.rng.choice(('json', 'text', 'binary')))
    for _ in range(hops):
        where = draft.rng.choice(LOCATIONS)
        location = {'relative': '', 'absolute': HOST, 'elsewhere': 'http://other.test'}[where] + target
        headers = [['Location', location]]
        if draft.chance(0.3):
            headers.append(['Set-Cookie', 'hop=1; Path=/'])
        target = draft.page(statuses=[draft.rng.choice(REDIRECTS)], body='text', headers=headers)
    return target


def redirects(draft: Draft) -> None:
    draft.settings['expire_after'] = draft.rng.choice((-1, 60))
    if draft.chance(0.3):
        draft.settings['allowable_codes'] = [200, 301, 302]
    starts = [_chain(draft, draft.rng.choice((1, 1, 2, 3))) for _ in range(2)]
    for _ in range(8):
        path = draft.rng.choice(starts) if draft.chance(0.75) else None
        step = draft.get(draft.url(path, queries=('',)), method=draft.rng.choice(('GET', 'GET', 'GET', 'HEAD')))
        if draft.chance(0.12):
            step['allow_redirects'] = False
        if draft.chance(0.1):
            step['headers'] = {'Authorization': 'Basic eDp5'}
        if draft.chance(0.15):
            draft.advance()


def bodies(draft: Draft) -> None:
    for _ in range(3):
        coding = draft.rng.choice((None, None, 'gzip', 'deflate'))
        draft.page(body=draft.rng.choice(tuple(BODIES)), coding=coding, chunked=draft.chance(0.3))
    for _ in range(8):
        step = draft.get(draft.url(queries=('',)), stream=draft.chance(0.5), inspect_raw=draft.chance(0.3))
        if step['stream']:
            ways = ('chunks', 'lines', 'content', 'raw', 'decoded-raw', 'close')
            step['consume'] = draft.rng.choice(ways)
        if draft.chance(0.15):
            draft.steps.append({'op': 'reopen'})


def headers(draft: Draft) -> None:
    repeats = [
        ['Set-Cookie', 'a=1; Path=/'],
        ['Set-Cookie', 'b=2; Max-Age=100'],
        ['Link', '<x>; rel=next'],
        ['X-A', ''],
    ]
    for _ in range(3):
        chosen = [pair for pair in [*repeats, ['Link', '<y>; rel=prev'], ['x-lower', 'é']] if draft.chance(0.5)]
        draft.page(headers=chosen, reason=draft.rng.choice(('OK', 'Fine', '')))
    for _ in range(8):
        step = draft.get(inspect_raw=draft.chance(0.5), method=draft.rng.choice(('GET', 'GET', 'HEAD')))
        if draft.chance(0.3):
            step['headers'] = draft.rng.choice(
                ({'Cookie': 'mine=1'}, {'Authorization': 'Bearer t'}, {'If-None-Match': '"q"'})
            )


def variants(draft: Draft) -> None:
    draft.settings['expire_after'] = draft.rng.choice((-1, 60))
    for names in ('Accept-Language', 'Accept-Language, X-Agent', '*', 'Cookie', 'Authorization'):
        if draft.chance(0.6) or not draft.site:
            draft.page(headers=[['Vary', names]], **(draft.validators() if draft.chance(0.5) else {}))
    if draft.chance(0.2):
        draft.settings['match_headers'] = draft.rng.choice((['X-Agent'], ['Accept-Language'], True))
    choices: tuple[dict[str, str], ...] = (
        {'Accept-Language': 'cs'},
        {'Accept-Language': 'en, fr'},
        {'Accept-Language': 'fr, EN'},
        {},
    )
    for _ in range(10):
        sent: dict[str, str] = dict(draft.rng.choice(choices))
        for name, values in (('X-Agent', ('one', 'two')), ('Authorization', ('Bearer u', 'Bearer v'))):
            if draft.chance(0.3):
                sent[name] = draft.rng.choice(values)
        step = draft.get(draft.url(queries=('',)), headers=sent)
        if draft.chance(0.15):
            step['options'] = {'only_if_cached': True}
        if draft.chance(0.3):
            draft.advance()


def methods(draft: Draft) -> None:
    draft.settings['allowable_methods'] = draft.rng.choice(
        (['GET', 'POST'], ['GET', 'POST', 'PUT', 'DELETE'], ['POST'])
    )
    draft.settings['ignored_parameters'] = draft.rng.choice((None, ['token'], ['token', 'X-Secret'], []))
    draft.settings['match_headers'] = draft.rng.choice((False, False, ['X-Agent'], ['x-agent', 'X-Secret']))
    draft.page(body='json')
    draft.page(body='text')
    bodies: tuple[dict[str, Any], ...] = (
        {}, {'data': {'b': '2', 'a': '1'}}, {'data': {'a': '1', 'b': '2'}}, {'json': {'b': 2, 'a': {'z': 1}}},
        {'json': {'a': {'z': 1}, 'b': 2}}, {'json': {'token': 'x', 'a': 1}}, {'json': {'token': 'y', 'a': 1}},
        {'json': [1, 2, 3]}, {'json': [3, 2, 1]}, {'body': 'raw text'}, {'body': '\x00\xff\x01'}, {'json': 'word'},
        {'files': {'f': 'file'}}, {'data': {'token': 'x', 'a': '1'}},
    )  # fmt: skip
    queries = ('', '', '?token=1&a=2', '?a=2&token=2', '?a=2')
    for _ in range(10):
        method = draft.rng.choice(('GET', 'POST', 'POST', 'POST', 'PUT', 'DELETE'))
        given = dict(draft.rng.choice(bodies)) if method != 'GET' else {}
        if draft.chance(0.4):
            given['headers'] = draft.rng.choice(({'X-Agent': 'one'}, {'X-Agent': 'two'}, {'X-Secret': 's'}))
        step = draft.get(draft.url(queries=queries), method=method, **given)
        if 'files' in step:
            step.pop('via', None)  # a request prepared beforehand has a random boundary


def failures(draft: Draft) -> None:
    draft.settings['stale_if_error'] = draft.rng.choice((True, True, 50, ['timedelta', 50], False))
    draft.settings['expire_after'] = draft.rng.choice((10, 30, -1))
    if draft.chance(0.3):
        draft.settings['allowable_codes'] = draft.rng.choice(([200, 404], [200, 500, 404]))
    for _ in range(3):
        statuses = [200] + [draft.rng.choice((200, 500, 503, 404, 410, 0, 206)) for _ in range(5)]
        draft.page(statuses=statuses, **draft.validators())
    for _ in range(10):
        step = draft.get(draft.url(queries=('',)))
        if draft.chance(0.3):
            step['options'] = draft.rng.choice(({'refresh': True}, {'only_if_cached': True}, {'force_refresh': True}))
        if draft.chance(0.6):
            draft.advance((5, 11, 31, 45, 100))


def background(draft: Draft) -> None:
    draft.more['background'] = True
    draft.settings.update(stale_while_revalidate=draft.rng.choice((True, 50)), expire_after=30)
    draft.page(**draft.validators())
    for _ in range(4):
        draft.get(draft.url(queries=('',)))
        draft.advance((5, 31, 100))


def selection(draft: Draft) -> None:
    """What is stored, and what is not: codes, filters, read-only sessions, changed settings, switched-off caches."""
    draft.settings['allowable_codes'] = draft.rng.choice(([200], [200, 404], [200, 201, 203, 204, 206], [404, 500]))
    draft.settings['filter_fn'] = draft.rng.choice((None, None, 'ok', 'typed', 'not-second'))
    for _ in range(4):
        draft.page(statuses=[draft.rng.choice((200, 200, 201, 203, 204, 206, 404, 410, 500))])
    for _ in range(10):
        draft.get(draft.url(queries=('',)))
        if draft.chance(0.3):
            draft.steps.append(_turn(draft))


def _turn(draft: Draft) -> dict[str, Any]:
    changes: tuple[tuple[str, Any], ...] = (
        ('read_only', True), ('read_only', False), ('expire_after', 20), ('disabled', True), ('disabled', False),
        ('allowable_codes', [200, 404]), ('only_if_cached', True), ('only_if_cached', False), ('filter_fn', 'ok'),
    )  # fmt: skip
    name, value = draft.rng.choice(changes)
    inner = {'op': 'request', 'url': draft.url(queries=('',))}
    turns: tuple[dict[str, Any], ...] = (
        {'op': 'settings', 'name': name, 'value': value},
        {'op': 'settings', 'name': name, 'value': value},
        {'op': 'disabled', 'steps': [inner, inner]},
        {'op': 'reopen'},
        {'op': 'wrap', 'url': inner['url']},
    )
    return draft.rng.choice(turns)


def operations(draft: Draft) -> None:
    draft.settings['expire_after'] = draft.rng.choice((-1, 30, 60))
    for _ in range(4):
        draft.page(statuses=[draft.rng.choice((200, 200, 200, 404))])
    if draft.chance(0.3):
        _chain(draft, 1)
    for _ in range(8):
        for _ in range(2):
            draft.get(draft.url(queries=('', '?a=1', '?b=2&a=1')))
        if draft.chance(0.4):
            draft.advance()
        draft.steps.append({'op': 'cache', **_operation(draft)})


def _operation(draft: Draft) -> dict[str, Any]:
    url = draft.url(queries=('', '?a=1'))
    calls: list[dict[str, Any]] = [
        {'call': 'contains', 'url': url},
        {'call': 'lookup', 'url': url},
        {'call': 'filter', 'given': {'expired': draft.chance(0.5), 'valid': draft.chance(0.5)}},
        {'call': 'filter', 'given': {'valid': False, 'expired': False, 'older_than': ['timedelta', 20]}},
        {'call': 'urls', 'given': draft.rng.choice(({}, {'expired': False}, {'valid': False}))},
        {'call': 'delete', 'given': {'urls': [url]}},
        {'call': 'delete', 'given': {'expired': True}},
        {'call': 'delete', 'given': {'invalid': True}},
        {'call': 'delete', 'given': {'older_than': ['timedelta', 25]}},
        {'call': 'delete', 'given': {'requests': [['GET', url], ['HEAD', url]]}},
        {'call': 'delete', 'given': {}, 'first_keys': draft.rng.choice((1, 2))},
        {'call': 'copy', 'backend': draft.rng.choice(('memory', 'sqlite', 'filesystem'))},
        {'call': 'recreate_keys'},
        {'call': 'clear'},
    ]
    if draft.settings['backend'] != 'sqlite':
        calls.append({'call': 'reset_expiration', 'value': draft.rng.choice((20, None, 0))})
    return draft.rng.choice(calls)


THEMES: dict[str, Callable[[Draft], None]] = {
    **generator.THEMES,
    'redirects': redirects,
    'bodies': bodies,
    'headers': headers,
    'variants': variants,
    'methods': methods,
    'failures': failures,
    'background': background,
    'selection': selection,
    'operations': operations,
}


def scenarios(seed: int, count: int) -> list[Scenario]:
    """*count* scenarios, the themes taking turns."""
    return [generator.scenario(seed, index, THEMES) for index in range(count)]
