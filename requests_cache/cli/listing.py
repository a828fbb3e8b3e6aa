"""The commands `info` and `list`"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from heapq import nlargest, nsmallest
from typing import Any, NamedTuple

import click

from .._utils import format_file_size, printable
from ..backends.summary import content_type_of
from ..models.response import CachedResponse
from ..policy.expiration import add_tzinfo, utcnow
from .opening import Access, OpenCache, open_cache
from .options import access_options, cache_argument, json_option, selection_options
from .selection import Selection, has_expired
from .terminal import Part, format_entries, note, progress, tracked, write, write_line
from .values import format_duration, format_expiry

FOREVER = datetime.max.replace(tzinfo=timezone.utc)
KEY_WIDTH = 16
HEADING = f'{"KEY":<{KEY_WIDTH}} {"STATUS":>6} {"SIZE":>11} {"AGE":>4}  {"EXPIRES":<7} URL'


@click.command(
    epilog="""\b
Examples:
  requests-cache info my_cache.sqlite
  requests-cache info 'redis://localhost/0?namespace=api' --json | jq .by_host"""
)
@cache_argument
@json_option
@access_options
def info(cache: str, as_json: bool, access: Access) -> None:
    """Show how many responses CACHE holds, and their sizes.

    The numbers are given by host, content type, status, age and expiration. Sizes are those of the bodies that
    responses return. Counting an entry does not keep it from being evicted.
    """
    with open_cache(cache, access) as found:
        with progress('Counting', found.count) as advance:
            summary = found.cache.summary(advance)
        facts = _cache_facts(found)
        if as_json:
            write(json.dumps({**facts, **summary.to_dict()}, indent=2))
            return
        shown = {**facts, 'stored in': facts['stored_bytes'] and format_file_size(facts['stored_bytes'])}
        for name in ('cache', 'backend', 'serializer', 'stored in'):
            if shown[name] is not None:
                write(f'{name:<11} {printable(shown[name])}')
        write(str(summary))


def _cache_facts(found: OpenCache) -> dict[str, Any]:
    storage: Any = found.cache.responses
    size = getattr(storage, 'size', None)
    return {
        'cache': found.shown,
        'backend': found.address.backend,
        'serializer': getattr(storage.serializer, 'name', None),
        'stored_bytes': size() if callable(size) else None,
    }


class Row(NamedTuple):
    """One row of the list of entries"""

    key: str
    method: str
    url: str
    status_code: int
    content_type: str
    size: int
    created_at: datetime
    expires: datetime | None
    is_expired: bool

    @classmethod
    def of(cls, key: str, response: CachedResponse, now: datetime) -> Row:
        return cls(
            key,
            str(response.request.method or 'GET'),
            response.url or '',
            response.status_code,
            content_type_of(response),
            response.size,
            add_tzinfo(response.created_at),
            None if response.expires is None else add_tzinfo(response.expires),
            has_expired(response, now),
        )

    def to_json(self) -> str:
        values = {name: v.isoformat() if isinstance(v, datetime) else v for name, v in self._asdict().items()}
        return json.dumps(values)

    def parts(self, now: datetime) -> Iterator[Part]:
        """The parts of the line in a table; up to the URL, they take 51 characters"""
        yield f'{printable(self.key):<{KEY_WIDTH}} '
        yield (
            f'{self.status_code:>6}',
            'green' if self.status_code < 300 else 'yellow' if self.status_code < 400 else 'red',
        )
        yield f' {format_file_size(self.size):>11} {format_duration(now - self.created_at):>4}  '
        yield f'{format_expiry(self.expires, now):<7}', 'yellow' if self.is_expired else ''
        yield ' ' + ('' if self.method == 'GET' else f'{printable(self.method)} ') + printable(self.url)


ORDERS: dict[str, Any] = {
    'url': lambda row: (row.url, row.key),
    'size': lambda row: (row.size, row.key),
    'age': lambda row: (-row.created_at.timestamp(), row.key),
    'expires': lambda row: (row.expires or FOREVER, row.key),
    'key': lambda row: row.key,
}


@click.command(
    'list',
    epilog="""\b
Examples:
  requests-cache list my_cache.sqlite --host '*.example.com' --sort size --reverse
  requests-cache list my_cache.sqlite --expired --older-than 7d --limit 20
  requests-cache list cache_dir/ --status 4xx --json | jq -r '.[].url'""",
)
@cache_argument
@selection_options
@click.option('--sort', type=click.Choice(list(ORDERS)), help='Sort in ascending order. By age, the newest come first.')
@click.option('--reverse', is_flag=True, help='Sort in descending order.')
@click.option('--limit', type=click.IntRange(min=0), help='List at most this many.')
@click.option('--json', 'as_json', is_flag=True, help='Write a JSON array, with one entry on each line.')
@access_options
def list_entries(
    cache: str,
    selection: Selection,
    sort: str | None,
    reverse: bool,
    limit: int | None,
    as_json: bool,
    access: Access,
) -> None:
    """List the responses in CACHE that meet all conditions.

    If you give the same condition several times, a response has to meet one of them. Without --sort, responses are
    listed in the order of the store, and are not collected in memory first.
    """
    now = utcnow()
    with open_cache(cache, access) as found:
        rows = _Rows(found, selection, now)
        chosen = _sorted_rows(rows, sort or ('key' if reverse else None), reverse, limit)
        if as_json:
            _write_array(chosen)
        else:
            _write_table(chosen, now)
        if rows.unreadable:
            note(f'{format_entries(rows.unreadable)} cannot be read. "requests-cache verify" lists unreadable entries.')


class _Rows:
    """The rows of the entries that meet the conditions; counts the entries that cannot be read"""

    def __init__(self, found: OpenCache, selection: Selection, now: datetime):
        self._found = found
        self._selection = selection
        self._now = now
        self.unreadable = 0

    def __iter__(self) -> Iterator[Row]:
        for key, response in self._found.cache._entries():
            if response is None:
                self.unreadable += 1
            elif self._selection.matches(response, self._now):
                yield Row.of(key, response, self._now)


def _sorted_rows(rows: Iterable[Row], sort: str | None, reverse: bool, limit: int | None) -> Iterator[Row]:
    if sort is None:
        for number, row in enumerate(rows):
            if number == limit:
                return
            yield row
        return
    looked_at = tracked(rows, 'Reading')
    if limit is None:
        yield from sorted(looked_at, key=ORDERS[sort], reverse=reverse)
    else:
        yield from (nlargest if reverse else nsmallest)(limit, looked_at, key=ORDERS[sort])


def _write_array(rows: Iterator[Row]) -> None:
    before = '\n'
    write('[', end='')
    for row in rows:
        write(before + row.to_json(), end='')
        before = ',\n'
    write('\n]' if before != '\n' else ']')


def _write_table(rows: Iterator[Row], now: datetime) -> None:
    for number, row in enumerate(rows):
        if not number:
            write_line(HEADING)
        write_line(*row.parts(now))
