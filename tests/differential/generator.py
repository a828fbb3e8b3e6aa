"""Scenarios drawn from a seed: each has settings, the pages of the origin, and the steps of a caller.

A scenario has a theme, which decides what is likely in it; its pages are few, so that most requests meet a stored
response. The same seed gives the same scenarios on every Python.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from .bodies import BODIES

Scenario = dict[str, Any]
Step = dict[str, Any]
Page = dict[str, Any]

HOST = 'http://origin.test'
BACKENDS: list[dict[str, Any]] = [
    {'backend': 'memory'},
    {'backend': 'memory'},
    {'backend': 'sqlite'},
    {'backend': 'sqlite'},
    {'backend': 'sqlite', 'serializer': 'json'},
    {'backend': 'sqlite', 'serializer': 'yaml'},
    {'backend': 'sqlite', 'wal': True, 'fast_save': True},
    {'backend': 'filesystem'},
    {'backend': 'filesystem', 'serializer': 'pickle'},
    {'backend': 'filesystem', 'serializer': 'yaml', 'decode_content': False},
]
SIMPLE_BODIES = ('json', 'binary', 'untyped')
CONTROLS = (
    'max-age=60', 'max-age=0', 'max-age=60, must-revalidate', 'no-store', 'no-cache', 'private, max-age=30', 'public',
    's-maxage=90', 'immutable', 'max-age=10, immutable', 'must-revalidate', 'max-age="60"', 'max-age=sixty',
    'MAX-AGE=60', 'max-age=20, max-age=90', 'no-cache="Set-Cookie", max-age=60', 'max-age', 'no-transform,max-age=45',
    'max-age=10, stale-if-error=600', 'max-age=10, stale-while-revalidate=600',
)  # fmt: skip
DIRECTIVES = (
    'no-cache', 'no-store', 'max-age=30', 'max-age=0', 'only-if-cached', 'max-stale=50', 'max-stale', 'min-fresh=50',
    'min-fresh=50', 'stale-if-error=100', 'no-transform', 'max-age=5,max-stale=9', 'max-age=x',
)  # fmt: skip
QUERIES = ('', '', '', '?a=1', '?a=1&b=2', '?b=2&a=1', '?a=1&flag', '?q=caf%C3%A9', '?a=2&a=1', '?api_key=s1&a=1')
LIFETIMES: tuple[Any, ...] = (
    -1, 0, 1, 30, 30, 60, 60.5, 3600, None, ['timedelta', 45], ['date', 50], ['naive', 50], ['httpdate', 50], -50,
    'NEVER_EXPIRE', 'EXPIRE_IMMEDIATELY', 'DO_NOT_CACHE',
)  # fmt: skip
MOMENTS = (0.4, 1, 5, 20, 29, 30, 31, 40, 59, 60, 61, 100, 4000)


class Draft:
    """A scenario in the making, with the random choices that every theme shares."""

    def __init__(self, rng: Random, theme: str) -> None:
        self.rng = rng
        self.settings: dict[str, Any] = dict(rng.choice(BACKENDS))
        self.site: dict[str, Page] = {}
        self.steps: list[Step] = []
        self.more: dict[str, Any] = {'theme': theme}

    def chance(self, likelihood: float) -> bool:
        return self.rng.random() < likelihood

    def page(self, **given: Any) -> str:
        """Add a page and return its path."""
        path = f'/p{len(self.site)}'
        self.site[path] = {'statuses': [200], 'body': self.rng.choice(SIMPLE_BODIES), **given}
        return path

    def url(self, path: str | None = None, queries: tuple[str, ...] = QUERIES) -> str:
        return HOST + (path or self.rng.choice(sorted(self.site))) + self.rng.choice(queries)

    def get(self, url: str | None = None, **given: Any) -> Step:
        step = {'op': 'request', 'url': url or self.url(), **given}
        if self.chance(0.1):
            step['via'] = self.rng.choice(('verb', 'send'))
        self.steps.append(step)
        return step

    def advance(self, moments: tuple[float, ...] = MOMENTS) -> None:
        self.steps.append({'op': 'advance', 'seconds': self.rng.choice(moments)})

    def validators(self) -> dict[str, Any]:
        """Validators of a page, possibly none, and whether it answers conditional requests."""
        etag = self.rng.choice((None, 'fixed', 'weak', 'changing'))
        return {'etag': etag, 'last_modified': self.chance(0.4), 'conditional': self.chance(0.8)}


def plain(draft: Draft) -> None:
    for _ in range(3):
        draft.page(body=draft.rng.choice(tuple(BODIES)), statuses=[draft.rng.choice((200, 200, 200, 404, 201))])
    for _ in range(10):
        draft.get(method=draft.rng.choice(('GET', 'GET', 'GET', 'HEAD', 'POST', 'OPTIONS')))
        if draft.chance(0.2):
            draft.steps[-1]['params'] = draft.rng.choice(({'b': '2', 'a': '1'}, {'a': ['2', '1']}, {'a': '', 'b': '1'}))
        if draft.chance(0.1):
            draft.steps.append({'op': 'reopen'})


def expiry(draft: Draft) -> None:
    draft.settings['expire_after'] = draft.rng.choice(LIFETIMES)
    for _ in range(3):
        draft.page(**(draft.validators() if draft.chance(0.3) else {}))
    if draft.chance(0.4):
        pattern = draft.rng.choice(('*.test/p1', 'origin.test/p0', '*/p2?a=*', '*', 'http://origin.test/p1*'))
        draft.settings['urls_expire_after'] = {pattern: draft.rng.choice(LIFETIMES), '*/p2': 20}
    for _ in range(9):
        draft.get(draft.url(queries=('', '', '?a=1')))
        if draft.chance(0.5):
            draft.advance()


def revalidation(draft: Draft) -> None:
    draft.settings['expire_after'] = draft.rng.choice((30, 60, -1, 0))
    draft.settings['always_revalidate'] = draft.chance(0.2)
    draft.settings['cache_control'] = draft.chance(0.2)
    for _ in range(3):
        fresh_headers = [['X-Seen', 'again'], ['Cache-Control', 'max-age=40']] if draft.chance(0.3) else []
        fresh_headers += [['Content-Length', '0']] if draft.chance(0.1) else []
        draft.page(**draft.validators(), headers_304=fresh_headers, headers=[['X-Seen', 'first']])
    for _ in range(10):
        option = draft.rng.choice(({}, {}, {}, {'refresh': True}, {'force_refresh': True}, {'expire_after': 0}))
        draft.get(draft.url(queries=('', '')), **({'options': option} if option else {}))
        if draft.chance(0.4):
            draft.advance()


def cache_control(draft: Draft) -> None:
    draft.settings.update(cache_control=draft.chance(0.85), expire_after=draft.rng.choice((-1, 50, 0)))
    for _ in range(4):
        headers = [['Cache-Control', draft.rng.choice(CONTROLS)]] if draft.chance(0.8) else []
        if draft.chance(0.3):
            headers.append(['Expires', draft.rng.choice(('@25', '@-25', '0', '@100', 'soon'))])
        if draft.chance(0.2):
            headers.append(['Age', draft.rng.choice(('0', '10'))])
        draft.page(headers=headers, **draft.validators())
    draft.more['background'] = 'stale-while-revalidate' in str(draft.site)
    for _ in range(10):
        draft.get(draft.url(queries=('', '')))
        if draft.chance(0.4):
            draft.advance()


def directives(draft: Draft) -> None:
    draft.settings.update(cache_control=draft.chance(0.4), expire_after=draft.rng.choice((-1, 30, 60)))
    for _ in range(2):
        draft.page(**(draft.validators() if draft.chance(0.5) else {}))
    for _ in range(10):
        wanted = draft.rng.choice(DIRECTIVES) if draft.chance(0.6) else ''
        draft.get(draft.url(queries=('', '')), **({'headers': {'Cache-Control': wanted}} if wanted else {}))
        if draft.chance(0.4):
            draft.advance()


def options(draft: Draft) -> None:
    draft.settings['expire_after'] = draft.rng.choice((-1, 30, 0, 'DO_NOT_CACHE'))
    draft.settings['only_if_cached'] = draft.chance(0.1)
    for _ in range(2):
        draft.page(**(draft.validators() if draft.chance(0.4) else {}))
    for _ in range(10):
        step = draft.get(draft.url(queries=('', '')))
        if draft.chance(0.6):
            name = draft.rng.choice(('expire_after', 'expire_after', 'refresh', 'force_refresh', 'only_if_cached'))
            lifetimes = (*LIFETIMES, 'DO_NOT_CACHE', 'DO_NOT_CACHE')
            step['options'] = {name: draft.rng.choice(lifetimes) if name == 'expire_after' else True}
        if draft.chance(0.15):
            step['headers'] = {'Cache-Control': draft.rng.choice(('no-transform', 'max-age=10', 'max-age=10', 'a, b'))}
        if draft.chance(0.3):
            draft.advance()


THEMES: dict[str, Callable[[Draft], None]] = {
    'plain': plain,
    'expiry': expiry,
    'revalidation': revalidation,
    'cache_control': cache_control,
    'directives': directives,
    'options': options,
}


def scenario(seed: int, index: int, themes: dict[str, Callable[[Draft], None]]) -> Scenario:
    """The *index*-th scenario of *seed*; themes take turns."""
    theme = sorted(themes)[index % len(themes)]
    draft = Draft(Random(f'{seed}:{index}'), theme)
    themes[theme](draft)
    if draft.chance(0.1):
        draft.more['hooks'] = True
    if draft.chance(0.15):
        wraps = any(step['op'] == 'wrap' for step in draft.steps)
        draft.more['flavour'] = draft.rng.choice(('mixin', 'mixin' if wraps else 'patched'))
    return {
        'id': f'{index:03d}-{theme}',
        **draft.more,
        'settings': {
            name: value for name, value in draft.settings.items() if value is not False or name == 'decode_content'
        },
        'site': draft.site,
        'steps': draft.steps,
    }
