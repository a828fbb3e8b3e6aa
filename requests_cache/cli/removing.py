"""`delete` and `prune`: what is removed from a cache, after a question"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, NamedTuple

import click

from .._utils import chunkify, format_file_size, printable
from ..backends.bodies import is_abandoned
from ..backends.storage import BaseStorage
from ..models.response import CachedResponse
from ..policy.expiration import add_tzinfo, utcnow
from .opening import Access, Opened, opened
from .options import access_options, cache_argument, selecting_options, yes_option
from .selection import Selection, keys_of, keys_of_url
from .terminal import Trouble, count, entries, lines, may_go_on, note, progress, tracked
from .values import DURATION

CHUNK_SIZE = 500
# Each step removes some of what was left behind, so that it does not take long
MAX_STEPS = 1000

dry_run_option = click.option('--dry-run', is_flag=True, help='Only say what would be removed.')


class _Doomed(NamedTuple):
    """Entries that are to be removed

    Args:
        keys: Their keys
        n_bytes: Length of their bodies
        locked: How many unreadable ones were left out, as their key may be elsewhere
        readable: How many others there are that can be read
    """

    keys: list[str]
    n_bytes: int = 0
    locked: int = 0
    readable: int = 0


@click.command(
    epilog="""\b
Examples:
  requests-cache delete my_cache.sqlite https://api.example.com/items
  requests-cache delete my_cache.sqlite --host api.example.com --older-than 30d
  requests-cache delete my_cache.sqlite --status 5xx --yes
  requests-cache delete my_cache.sqlite --all --dry-run"""
)
@cache_argument
@click.argument('keys', nargs=-1, metavar='[KEY-OR-URL]...')
@selecting_options
@click.option('--unreadable', is_flag=True, help='Those that are damaged.')
@click.option('--all', 'everything', is_flag=True, help='All of them.')
@dry_run_option
@yes_option
@access_options
def delete(
    cache: str,
    keys: tuple[str, ...],
    selection: Selection,
    unreadable: bool,
    everything: bool,
    dry_run: bool,
    yes: bool,
    access: Access,
) -> int:
    """Delete responses from CACHE: by key or URL, or those that meet all of the conditions.

    A URL stands for all responses to it, a key also for one that begins with it, if there is no other. How many they
    are is said before the question.
    """
    ways = [bool(keys), not selection.is_empty, unreadable, everything]
    if sum(ways) != 1:
        raise click.UsageError('Say what to delete: keys or URLs, conditions, --unreadable, or --all; one of these.')
    with opened(cache, access) as found:
        if everything:
            return _clear(found, dry_run=dry_run, yes=yes)
        if keys:
            doomed = _named(found, keys)
            return _remove(found, doomed, None, dry_run=dry_run, yes=yes) if doomed.keys else 1

        def meets(response: CachedResponse) -> bool:
            return not unreadable and selection.takes(response, utcnow())

        doomed = _matching(found, lambda r: unreadable if r is None else meets(r))
        return _remove(found, doomed, meets, dry_run=dry_run, yes=yes)


def _named(found: Opened, names: Iterable[str]) -> _Doomed:
    """The entries with some keys or URLs; what is not there is said"""
    keys: dict[str, None] = {}
    for name in names:
        named = keys_of_url(found.cache, name) if '://' in name else keys_of(found.cache, name)
        if len(named) > 1 and '://' not in name:
            raise Trouble(f'{name} may be any of {entries(len(named))}; give more of the key.')
        if not named:
            note(f'There is no response for {name} in {found.shown}.')
        keys.update(dict.fromkeys(named))
    return _Doomed(list(keys))


def _matching(found: Opened, meets: Callable[[CachedResponse | None], bool]) -> _Doomed:
    """The entries that meet a condition, which is asked with None for one that cannot be read"""
    doomed: list[str] = []
    n_bytes = locked = readable = 0
    for key, response in tracked(found.cache._entries(), 'Looking', found.count):
        if response is not None:
            readable += 1
        if not meets(response):
            continue
        if response is None and found.may_be_of_others(key):
            locked += 1
            continue
        n_bytes += 0 if response is None else response.size
        doomed.append(key)
    return _Doomed(doomed, n_bytes, locked, readable)


def _clear(found: Opened, *, dry_run: bool, yes: bool) -> int:
    what = f'all {entries(found.count())}'
    if dry_run:
        note(f'{what} would be removed from {found.shown}.')
        return 0
    if not _agreed(f'Remove {what} from {found.shown}?', yes):
        return 1
    found.cache.clear()
    lines(f'{what} removed')
    return 0


def _agreed(question: str, yes: bool) -> bool:
    agreed = may_go_on(question, yes)
    if not agreed:
        note('Nothing was removed.')
    return agreed


def _remove(
    found: Opened, doomed: _Doomed, meets: Callable[[CachedResponse], bool] | None, *, dry_run: bool, yes: bool
) -> int:
    if doomed.locked:
        note(f'{entries(doomed.locked)} cannot be opened without their key, and stay.')
    size = f' ({format_file_size(doomed.n_bytes)})' if doomed.n_bytes else ''
    what = f'{entries(len(doomed.keys))}{size}'
    if dry_run:
        for key in doomed.keys:
            lines(printable(key))
        note(f'{what} would be removed from {found.shown}.')
        return 0
    if doomed.keys and not _agreed(f'Remove {what} from {found.shown}?', yes):
        return 1
    removed = _delete(found, doomed.keys, meets)
    lines(f'{entries(removed)} removed')
    return 0


def _delete(found: Opened, keys: list[str], meets: Callable[[CachedResponse], bool] | None) -> int:
    """Delete entries, unless they have been replaced by others that do not meet the condition; returns their number"""
    cache, removed = found.cache, 0
    storage: Any = cache.responses
    with progress('Removing', lambda: len(keys)) as advance:
        for chunk in chunkify(keys, CHUNK_SIZE):
            present = chunk if meets is None else [key for key in chunk if _still(found, key, meets)]
            removed += cache._delete_keys(present) if present else 0
            for _ in chunk:
                advance()
    cache.remove_leftovers()
    if removed and hasattr(storage, 'vacuum_if_worthwhile'):
        storage.vacuum_if_worthwhile(removed)
    return removed


def _still(found: Opened, key: str, meets: Callable[[CachedResponse], bool]) -> bool:
    response = found.read(key)
    return response is None or meets(response)


@click.command(
    epilog="""\b
Examples:
  requests-cache prune my_cache.sqlite
  requests-cache prune cache_dir/ --expired-for 7d --yes"""
)
@cache_argument
@click.option('--expired-for', type=DURATION, default='0', help='Keep what has expired since: 12h, 7d.')
@dry_run_option
@yes_option
@access_options
def prune(cache: str, expired_for: timedelta, dry_run: bool, yes: bool, access: Access) -> int:
    """Remove what is of no use any more from CACHE.

    That is what has expired, what is damaged, redirects to what is not there any more, and what was left behind by
    programs that were killed. What is encrypted with another key stays.
    """

    def has_expired(response: CachedResponse) -> bool:
        return response.expires is not None and add_tzinfo(response.expires) <= utcnow() - expired_for

    with opened(cache, access) as found:
        doomed = _matching(found, lambda response: response is None or has_expired(response))
        if doomed.keys and not doomed.readable:
            raise Trouble(
                f'No entry of {found.shown} can be read, which is no reason to remove them all: give the serializer '
                'that they were written with by --serializer, or use "delete --unreadable".'
            )
        redirects = len(found.cache.redirects)
        status = _remove(found, doomed, has_expired, dry_run=dry_run, yes=yes)
        if not dry_run and not status:
            _remove_leftovers(found)
            gone = redirects - len(found.cache.redirects)
            if gone > 0:
                lines(f'{count(gone, "redirect")} to nothing removed')
        return status


def _remove_leftovers(found: Opened) -> None:
    storage = found.cache.responses
    if not isinstance(storage, BaseStorage) or storage.pieces is None:
        return
    for _ in range(MAX_STEPS):
        if not any(is_abandoned(body_id) for _, body_id in storage.pieces.unused()):
            return
        storage.remove_leftovers()
