"""The commands `explain` and `report`"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import attrs
import click

from .._utils import printable
from ..session import CachedSession
from .opening import Access, open_cache
from .options import access_options, cache_argument, json_option, yes_option
from .report import MAX_ROWS, make_report
from .terminal import CommandError, confirm, note, progress, write


@click.command(
    epilog="""\b
Examples:
  requests-cache explain my_cache.sqlite https://api.example.com/items?page=2
  requests-cache explain my_cache.sqlite https://api.example.com/items \\
    -H 'Accept-Language: de' --match-header Accept-Language"""
)
@cache_argument
@click.argument('url')
@click.option('-X', '--method', default='GET', show_default=True, help='The method of the request.')
@click.option(
    '-H',
    '--header',
    'fields',
    multiple=True,
    metavar='FIELD',
    help="A header field of the request: 'Accept: text/html'.",
)
@click.option('-d', '--data', help='The body of the request.')
@click.option('--match-header', 'matched', multiple=True, metavar='NAME', help='A name for the setting match_headers.')
@click.option('--strict', is_flag=True, help="Use the setting cache_control='strict'.")
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
    """Explain how a request for URL would be answered, and why.

    Nothing is sent, and CACHE is not changed. The exit status is 0 if the cache would answer, and 1 if not.
    """
    headers = dict(_field(text) for text in fields)
    settings: dict[str, Any] = {'match_headers': list(matched) or False, 'cache_control': 'strict' if strict else False}
    with open_cache(cache, access) as found:
        session = CachedSession(
            backend=found.cache, allowable_methods=('GET', 'HEAD', 'POST', method.upper()), **settings
        )
        try:
            explained = session.explain(method.upper(), url, headers=headers, data=data)
        except (ValueError, OSError) as e:
            raise CommandError(f'The request is not valid: {e}') from None
        if as_json:
            write(json.dumps(attrs.asdict(explained), indent=2))
        else:
            for text in str(explained).splitlines():
                write(printable(text))
    return 0 if explained.outcome in ('hit', 'stale hit') else 1


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(':')
    if not colon or not name.strip():
        raise click.BadParameter(f"{text!r} is not a header field; write it as 'Name: value'", param_hint='-H')
    return name.strip(), value.strip()


@click.command(
    epilog="""\b
Examples:
  requests-cache report my_cache.sqlite -o report.html
  requests-cache report 'redis://localhost/0?namespace=api' -o report.html"""
)
@cache_argument
@click.option('-o', '--output', type=click.Path(dir_okay=False), help='The file to write; by default standard output.')
@click.option(
    '--rows', type=click.IntRange(0), default=MAX_ROWS, show_default=True, help='List at most this many responses.'
)
@yes_option
@access_options
def report(cache: str, output: str | None, rows: int, yes: bool, access: Access) -> int:
    """Write an HTML page about CACHE.

    The page shows totals, sizes, age and expiration, and has a table of responses that you can search and sort. It is a
    single file that needs no network.
    """
    path = None if output in (None, '-') else Path(str(output))
    if path is not None and path.exists() and not confirm(f'{path} exists. Replace it?', yes):
        note('Nothing was written.')
        return 1
    with open_cache(cache, access) as found:
        with progress('Reading', found.count) as advance:
            page = make_report(found.cache, found.shown, rows, advance)
        if path is None:
            sys.stdout.write(page)
        else:
            path.write_text(page, 'utf-8', newline='\n')
            write(f'Wrote {printable(str(path))}. Open it in a browser.')
    return 0
