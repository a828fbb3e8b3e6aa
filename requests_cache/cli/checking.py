"""`verify`: is all that is stored as it was written?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import click

from .._utils import printable
from ..models.body import BodyLostError
from ..models.response import CachedResponse
from .opening import Access, Opened, opened
from .options import access_options, cache_argument
from .terminal import Trouble, entries, line, lines, note, tracked


class Damage(NamedTuple):
    """An entry that is damaged

    Args:
        key: Its key
        url: Its URL, if that can be read
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

The exit status is 1 if there are damaged entries."""
)
@cache_argument
@click.option('--json', 'as_json', is_flag=True, help='Write one array in JSON, with an entry on each line.')
@access_options
def verify(cache: str, as_json: bool, access: Access) -> int:
    """Read every entry of CACHE, with all of its body, and compare checksums.

    Those that are damaged are listed, each with its key and what is wrong.
    """
    with opened(cache, access) as found:
        check = _Check(found)
        before = '['
        for damage in check:
            if as_json:
                lines(f'{before}\n{json.dumps(damage._asdict())}', end='')
                before = ','
            else:
                url = f'{printable(damage.url)}: ' if damage.url else ''
                line((printable(damage.key), 'red'), f'  {url}{printable(damage.reason)}')
        if as_json:
            lines('\n]' if check.damaged else '[]')
        if check.locked and not check.intact and not check.damaged:
            raise Trouble(f'All of {found.shown} is encrypted with a key that is not here; give it.')
        if check.locked:
            note(f'{entries(check.locked)} cannot be opened without their key, and were not checked.')
        note(f'{check.intact:,} of {entries(check.intact + check.damaged)} are intact.')
        return 1 if check.damaged else 0


class _Check:
    """Goes through all entries, and gives those that are damaged"""

    def __init__(self, found: Opened):
        self._found = found
        self.intact = self.damaged = self.locked = 0

    def __iter__(self) -> Iterator[Damage]:
        found = self._found
        for key, response in tracked(found.cache._entries(), 'Reading', found.count):
            reason = _why_damaged(response) if response is not None else found.why_unreadable(key)
            if response is None and found.is_locked(key):
                self.locked += 1
            elif reason is None:
                self.intact += 1
            else:
                self.damaged += 1
                yield Damage(key, response.url if response is not None else None, reason)


def _why_damaged(response: CachedResponse) -> str | None:
    """What is wrong with the body of an entry that can be read; None if that is nothing"""
    try:
        for _ in response._body or ():
            pass
    except BodyLostError as e:
        return str(e)
    return None
