"""The command `verify`"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import click

from .._utils import printable
from ..models.body import BodyLostError
from ..models.response import CachedResponse
from .opening import Access, OpenCache, open_cache
from .options import access_options, cache_argument
from .terminal import CommandError, format_entries, note, tracked, write, write_line


class Damage(NamedTuple):
    """A damaged entry

    Args:
        key: Its key
        url: Its URL, or None if the entry cannot be read
        reason: What is wrong with it
    """

    key: str
    url: str | None
    reason: str


@click.command(
    epilog="""\b
Examples:
  requests-cache verify my_cache.sqlite
  requests-cache verify cache_dir/ --json | jq -r '.[].key'

The exit status is 1 if any entry is damaged."""
)
@cache_argument
@click.option('--json', 'as_json', is_flag=True, help='Write a JSON array, with one damaged entry on each line.')
@access_options
def verify(cache: str, as_json: bool, access: Access) -> int:
    """Check every entry of CACHE, and list damaged ones.

    This reads all entries and their whole bodies, and compares checksums. The list has the key of each damaged entry,
    and what is wrong with it.
    """
    with open_cache(cache, access) as found:
        check = _Check(found)
        before = '['
        for damage in check:
            if as_json:
                write(f'{before}\n{json.dumps(damage._asdict())}', end='')
                before = ','
            else:
                url = f'{printable(damage.url)}: ' if damage.url else ''
                write_line((printable(damage.key), 'red'), f'  {url}{printable(damage.reason)}')
        if as_json:
            write('\n]' if check.damaged else '[]')
        if check.locked and not check.intact and not check.damaged:
            raise CommandError(
                f'All entries of {found.shown} are encrypted. Give their key with --encryption-key-file.'
            )
        if check.locked:
            note(f'Skipped {format_entries(check.locked)}, because the encryption key is missing.')
        note(_verdict(check.intact, check.intact + check.damaged))
        return 1 if check.damaged else 0


def _verdict(intact: int, total: int) -> str:
    verb = 'is' if 1 in (intact, total) else 'are'
    return f'{intact:,} of {format_entries(total)} {verb} intact.'


class _Check:
    """Reads all entries, and iterates over those that are damaged"""

    def __init__(self, found: OpenCache):
        self._found = found
        self.intact = self.damaged = self.locked = 0

    def __iter__(self) -> Iterator[Damage]:
        found = self._found
        for key, response in tracked(found.cache._entries(), 'Reading', found.count):
            reason = _why_damaged(response) if response is not None else found.why_unreadable(key)
            if response is None and found.lacks_key(key):
                self.locked += 1
            elif reason is None:
                self.intact += 1
            else:
                self.damaged += 1
                yield Damage(key, response.url if response is not None else None, reason)


def _why_damaged(response: CachedResponse) -> str | None:
    """What is wrong with the body of an entry that can be read; None if it is intact"""
    try:
        for _ in response._body or ():
            pass
    except BodyLostError as e:
        return str(e)
    return None
