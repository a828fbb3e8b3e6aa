"""Parts of the page about events, statistics and the log"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from attrs import fields
from texts import described, sentence, table

import requests_cache
from requests_cache import Event, EventKind
from requests_cache.engine import wording
from requests_cache.engine.statistics import Statistics

PACKAGE = Path(requests_cache.__file__).parent
LEVELS = {'warning': 'WARNING', 'error': 'ERROR'}
# The meaning of each kind
KINDS = {
    'hit': 'answered from the cache with a fresh response',
    'stale hit': 'answered from the cache with a stale response',
    'validated': 'answered from the cache after the origin confirmed the stored response (304)',
    'collapsed': 'answered from the cache with the response to an equal request that was under way',
    'miss': 'answered by the origin',
    'bypassed': 'answered by the origin; the cache was not involved',
    'unanswered': 'answered with 504, because the network was not to be used',
    'failed': 'ended in an exception',
    'stored': 'a response was stored, or a stored one was brought up to date',
    'not stored': 'a response from the origin was not stored',
    'evicted': 'an entry was deleted to make room',
    'deleted': 'an entry was deleted because of a request or a filter',
    'store fault': 'an operation of the store failed, and the request went on without it',
    'refresh begun': 'a renewal in the background has begun',
    'refresh ended': 'the origin has answered a renewal in the background',
    'refresh failed': 'a renewal in the background has failed',
}


def _kinds(are_results: bool) -> str:
    if list(KINDS) != [kind.value for kind in EventKind]:
        raise ValueError(f'only on one side: {set(KINDS) ^ {kind.value for kind in EventKind}}')
    rows = [(f'`{k.value}`', f'`EventKind.{k.name}`', KINDS[k.value]) for k in EventKind if k.is_result is are_results]
    return table(('kind', 'member', 'what happened'), rows)


def results() -> str:
    return _kinds(True)


def others() -> str:
    return _kinds(False)


def fields_of_events() -> str:
    texts = described(Event)
    types = {field.name: str(field.type).removesuffix(' | None') for field in fields(Event)}
    return table(
        ('field', 'type', 'meaning'), [(f'`{n}`', f'`{types[n]}`', sentence(text)) for n, text in texts.items()]
    )


def reasons_to_read() -> str:
    return table(('reason', 'meaning'), [(f'`{name}`', text) for name, text in wording._READ.items()])


def reasons_not_to_store() -> str:
    texts = {'status': 'the status is not among `allowable_codes`', **wording._NOT_STORED}
    return table(('reason', 'meaning'), [(f'`{name}`', text) for name, text in texts.items()])


def statistics() -> str:
    texts = described(Statistics)
    kinds = {name: type(default).__name__ for name, default in Statistics()._asdict().items()}
    rows = [(f'`{name}`', f'`{kinds[name]}`', sentence(texts[name])) for name in Statistics._fields]
    properties = {name: value for name, value in vars(Statistics).items() if isinstance(value, property)}
    for name, value in properties.items():
        rows.append((f'`{name}`', f'`{value.fget.__annotations__["return"]}`', sentence(value.__doc__ or '')))
    return table(('attribute', 'type', 'meaning'), rows)


class LogLine(NamedTuple):
    """A message that the package may log"""

    level: str
    logger: str
    text: str


def _lines_in(path: Path) -> Iterator[LogLine]:
    module = '.'.join(('requests_cache', *path.relative_to(PACKAGE).with_suffix('').parts)).removesuffix('.__init__')
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id='logger'), attr=level), args=[ast.Constant(text), *_]):
                if level in LEVELS:
                    yield LogLine(LEVELS[level], module, text)


def log_lines() -> str:
    lines = {line for path in PACKAGE.rglob('*.py') for line in _lines_in(path)}
    rows = [
        (f'`{line.text}`', line.level, f'`{line.logger}`')
        for line in sorted(lines, key=lambda line: (line.logger, line.text))
    ]
    return table(('message', 'level', 'logger'), rows)


PARTS: dict[str, Any] = {
    'results': results,
    'others': others,
    'fields': fields_of_events,
    'reasons-to-read': reasons_to_read,
    'reasons-not-to-store': reasons_not_to_store,
    'statistics': statistics,
    'log-lines': log_lines,
}
