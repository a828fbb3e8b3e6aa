"""`export` and `import`: caches as HAR files, and HAR files as caches"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

import click

from .._utils import printable
from ..exceptions import InvalidEntryError
from ..models.response import CachedResponse
from ..policy.expiration import utcnow
from .har import Imported, entries_of, export_har, import_har, read_document
from .opening import SERIALIZER_NAMES, Access, Opened, encryption_keys, opened, opened_target
from .options import access_options, cache_argument, key_file_option, selecting_options, yes_option
from .selection import Selection
from .terminal import Trouble, entries, lines, may_go_on, note, progress, tracked
from .values import DURATION, CacheName


@click.command(
    name='export',
    epilog="""\b
Examples:
  requests-cache export my_cache.sqlite --har -o my_cache.har
  requests-cache export my_cache.sqlite --har --host api.example.com | jq .""",
)
@cache_argument
@click.option('--har', 'har', is_flag=True, default=True, help='As a HAR file (HTTP Archive 1.2), the only format.')
@click.option('-o', '--output', type=click.Path(dir_okay=False), help='The file; by default standard output.')
@yes_option
@selecting_options
@access_options
def export_entries(cache: str, har: bool, output: str | None, yes: bool, selection: Selection, access: Access) -> int:
    """Write the responses in CACHE to a HAR file, which browsers, proxies and `import` can read.

    Cookies and header fields are written as they are stored.
    """
    path = None if output in (None, '-') else Path(str(output))
    if path is not None and path.exists() and not may_go_on(f'{path} exists. Replace it?', yes):
        note('Nothing was written.')
        return 1
    with opened(cache, access) as found:
        responses = _chosen(found, selection)
        if path is None:
            export_har(found.cache, responses, sys.stdout)
        else:
            number = _write(found, responses, path)
            lines(f'{entries(number)} written to {printable(str(path))}')
    return 0


def _chosen(found: Opened, selection: Selection) -> Iterator[CachedResponse]:
    now = utcnow()
    for key, response in tracked(found.cache._entries(), 'Exporting', found.count):
        if response is None:
            note(f'{key} is left out: {found.why_unreadable(key)}')
        elif selection.takes(response, now):
            yield response


def _write(found: Opened, responses: Iterator[CachedResponse], path: Path) -> int:
    """Write a file, which takes the place of another one only when it is complete"""
    with NamedTemporaryFile('w', encoding='utf-8', newline='\n', dir=path.parent, prefix='.har-', delete=False) as file:
        try:
            number = export_har(found.cache, responses, file)
            file.close()
            os.replace(file.name, path)
        except BaseException:
            file.close()
            Path(file.name).unlink(missing_ok=True)
            raise
    return number


@click.command(
    name='import',
    epilog="""\b
Examples:
  requests-cache import my_cache.sqlite my_cache.har
  requests-cache import offline.sqlite recorded-by-firefox.har --expire-after 30d""",
)
@click.argument('cache', type=CacheName())
@click.argument('file', type=click.Path(exists=True, dir_okay=False))
@click.option('--expire-after', type=DURATION, help='When what a browser has recorded expires: 12h, 30d; never.')
@click.option('--keep-vary', is_flag=True, help='Let what a browser has recorded answer requests like its own only.')
@click.option('--serializer', type=click.Choice(SERIALIZER_NAMES), help='For CACHE; by default that of its backend.')
@key_file_option
def import_entries(
    cache: str,
    file: str,
    expire_after: timedelta | None,
    keep_vary: bool,
    serializer: str | None,
    encryption_key_file: str | None,
) -> int:
    """Store the responses in a HAR FILE in CACHE, which is made if it does not exist.

    FILE may come from `export`, a browser or a proxy. So what was recorded can be replayed offline.
    """
    try:
        document = read_document(Path(file))
        total = len(entries_of(document))
    except InvalidEntryError as e:
        raise Trouble(str(e)) from None
    with opened_target(cache, Access(serializer, encryption_keys(encryption_key_file))) as made:
        with progress('Importing', lambda: total) as advance:
            done = import_har(made.cache, document, expire_after, keep_vary, advance)
        lines(f'{entries(done.entries)} imported to {printable(made.shown)}')
        return _say_what_was_left(done)


def _say_what_was_left(done: Imported) -> int:
    if done.without_response:
        note(f'{entries(done.without_response)} without a response that can be stored: left out.')
    if done.invalid:
        note(f'{entries(done.invalid)} could not be understood.')
    return 1 if done.invalid else 0
