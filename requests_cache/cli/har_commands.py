"""The commands `export` and `import`, which write and read HAR files"""

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
from .opening import SERIALIZER_NAMES, Access, OpenCache, encryption_keys, open_cache, open_target
from .options import access_options, cache_argument, key_file_option, selection_options, yes_option
from .selection import Selection
from .terminal import CommandError, confirm, format_entries, note, progress, tracked, write
from .values import DURATION, CacheName


@click.command(
    name='export',
    epilog="""\b
Examples:
  requests-cache export my_cache.sqlite --har -o my_cache.har
  requests-cache export my_cache.sqlite --har --host api.example.com | jq .""",
)
@cache_argument
@click.option('--har', 'har', is_flag=True, default=True, help='Write a HAR file (HTTP Archive 1.2), the only format.')
@click.option('-o', '--output', type=click.Path(dir_okay=False), help='The file to write; by default standard output.')
@yes_option
@selection_options
@access_options
def export_entries(cache: str, har: bool, output: str | None, yes: bool, selection: Selection, access: Access) -> int:
    """Write the responses in CACHE to a HAR file.

    Browsers, proxies and "requests-cache import" can read the file. It holds cookies and header fields as they are
    stored, including secrets in them.
    """
    path = None if output in (None, '-') else Path(str(output))
    if path is not None and path.exists() and not confirm(f'{path} exists. Replace it?', yes):
        note('Nothing was written.')
        return 1
    with open_cache(cache, access) as found:
        responses = _select(found, selection)
        if path is None:
            export_har(found.cache, responses, sys.stdout)
        else:
            number = _write(found, responses, path)
            write(f'{format_entries(number)} written to {printable(str(path))}')
    return 0


def _select(found: OpenCache, selection: Selection) -> Iterator[CachedResponse]:
    now = utcnow()
    for key, response in tracked(found.cache._entries(), 'Exporting', found.count):
        if response is None:
            note(f'Entry {key} is left out, because it cannot be read: {found.why_unreadable(key)}')
        elif selection.matches(response, now):
            yield response


def _write(found: OpenCache, responses: Iterator[CachedResponse], path: Path) -> int:
    """Write a temporary file, and rename it at the end, so that an existing file is replaced at once"""
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
@click.option(
    '--expire-after',
    type=DURATION,
    help='When responses that a browser has recorded expire: 12h, 30d. By default they never expire.',
)
@click.option(
    '--keep-vary',
    is_flag=True,
    help='Obey Vary fields: responses answer only requests with the header fields that the browser sent.',
)
@click.option(
    '--serializer',
    type=click.Choice(SERIALIZER_NAMES),
    help='The serializer of CACHE; by default the one of its backend.',
)
@key_file_option
def import_entries(
    cache: str,
    file: str,
    expire_after: timedelta | None,
    keep_vary: bool,
    serializer: str | None,
    encryption_key_file: str | None,
) -> int:
    """Store the responses from a HAR file in CACHE.

    FILE can be written by "requests-cache export", by a browser or by a proxy; what it holds can then be replayed
    offline. CACHE is created if it does not exist.
    """
    try:
        document = read_document(Path(file))
        total = len(entries_of(document))
    except InvalidEntryError as e:
        raise CommandError(str(e)) from None
    with open_target(cache, Access(serializer, encryption_keys(encryption_key_file))) as made:
        with progress('Importing', lambda: total) as advance:
            done = import_har(made.cache, document, expire_after, keep_vary, advance)
        write(f'{format_entries(done.entries)} imported into {printable(made.shown)}')
        return _report_skipped(done)


def _report_skipped(done: Imported) -> int:
    if done.without_response:
        note(f'Skipped {format_entries(done.without_response)} without a response that can be stored.')
    if done.invalid:
        note(f'Skipped {format_entries(done.invalid)} that are not valid HAR.')
    return 1 if done.invalid else 0
