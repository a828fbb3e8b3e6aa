"""`explain`: what would happen to a request, and `report`: a page about a cache"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import attrs
import click

from .._utils import printable
from ..session import CachedSession
from .opening import Access, opened
from .options import access_options, cache_argument, json_option, yes_option
from .report import MAX_ROWS, make_report
from .terminal import Trouble, lines, may_go_on, note, progress


@click.command(
    epilog="""\b
Examples:
  requests-cache explain my_cache.sqlite https://api.example.com/items?page=2
  requests-cache explain my_cache.sqlite https://api.example.com/items \\
    -H 'Accept-Language: de' --match-header Accept-Language"""
)
@cache_argument
@click.argument('url')
@click.option('-X', '--method', default='GET', show_default=True, help='The method.')
@click.option('-H', '--header', 'fields', multiple=True, metavar='FIELD', help="A header field: 'Accept: text/html'.")
@click.option('-d', '--data', help='The body.')
@click.option(
    '--match-header', 'matched', multiple=True, metavar='NAME', help='A setting of the session: match_headers.'
)
@click.option('--strict', is_flag=True, help="A setting of the session: cache_control='strict'.")
@json_option
@access_options
def explain(
    cache: str,
    url: str,
    method: str,
    fields: tuple[str, ...],
    data: str | None,
    matched: tuple[str, ...],
    strict: bool,
    as_json: bool,
    access: Access,
) -> int:
    """Say what would happen to a request for URL, and why. Nothing is sent, and nothing changes in CACHE.

    Exit status: 0 if it would be answered from the cache, 1 if not.
    """
    headers = dict(_field(text) for text in fields)
    settings: dict[str, Any] = {'match_headers': list(matched) or False, 'cache_control': 'strict' if strict else False}
    with opened(cache, access) as found:
        session = CachedSession(
            backend=found.cache, allowable_methods=('GET', 'HEAD', 'POST', method.upper()), **settings
        )
        try:
            explained = session.explain(method.upper(), url, headers=headers, data=data)
        except (ValueError, OSError) as e:
            raise Trouble(f'There can be no such request: {e}') from None
        if as_json:
            lines(json.dumps(attrs.asdict(explained), indent=2))
        else:
            for text in str(explained).splitlines():
                lines(printable(text))
    return 0 if explained.outcome in ('hit', 'stale hit') else 1


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(':')
    if not colon or not name.strip():
        raise click.BadParameter(f"{text!r} is no header field; write it as 'Name: value'", param_hint='-H')
    return name.strip(), value.strip()


@click.command(
    epilog="""\b
Examples:
  requests-cache report my_cache.sqlite -o report.html
  requests-cache report 'redis://localhost/0?namespace=api' -o report.html"""
)
@cache_argument
@click.option('-o', '--output', type=click.Path(dir_okay=False), help='The file; by default standard output.')
@click.option('--rows', type=click.IntRange(0), default=MAX_ROWS, show_default=True, help='How many entries to list.')
@yes_option
@access_options
def report(cache: str, output: str | None, rows: int, yes: bool, access: Access) -> int:
    """Make a page about CACHE: totals, sizes, age and expiry, and a table that can be searched and sorted.

    It is one file that needs no network, and can be opened in any browser.
    """
    path = None if output in (None, '-') else Path(str(output))
    if path is not None and path.exists() and not may_go_on(f'{path} exists. Replace it?', yes):
        note('Nothing was written.')
        return 1
    with opened(cache, access) as found:
        with progress('Reading', found.count) as advance:
            page = make_report(found.cache, found.shown, rows, advance)
        if path is None:
            sys.stdout.write(page)
        else:
            path.write_text(page, 'utf-8', newline='\n')
            lines(f'{printable(str(path))} is written; open it in a browser.')
    return 0
