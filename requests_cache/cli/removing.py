"""The commands `delete` and `prune`"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, NamedTuple

import click

from .._utils import chunkify, format_file_size, printable
from ..backends.bodies import is_abandoned
from ..backends.storage import BaseStorage
from ..models.response import CachedResponse
from ..policy.expiration import utcnow
from .opening import Access, OpenCache, open_cache
from .options import access_options, cache_argument, selection_options, yes_option
from .selection import Selection, find_keys, find_keys_of_url, has_expired
from .terminal import CommandError, confirm, format_count, format_entries, note, progress, tracked, write
from .values import DURATION

CHUNK_SIZE = 500
# Bounds the loop that removes leftovers; each step removes some of them
MAX_STEPS = 1000

dry_run_option = click.option('--dry-run', is_flag=True, help='Only show what would be removed.')


class _Removal(NamedTuple):
    """The entries that a command is going to remove

    Args:
        keys: Their keys
        n_bytes: Total length of their bodies
        locked: Number of unreadable entries that are kept, because they may be encrypted or signed with another key
        readable: Number of readable entries in the cache
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
@selection_options
@click.option('--unreadable', is_flag=True, help='Delete damaged entries.')
@click.option('--all', 'everything', is_flag=True, help='Delete everything.')
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
    """Delete responses from CACHE.

    Give keys or URLs, or conditions. Responses have to meet all conditions; if you give the same condition several
    times, they have to meet one of them. A URL means all responses with this URL. Instead of a key, you can give its
    beginning, if no other key begins like that. The command shows how many responses it is going to delete, and asks.
    """
    ways = [bool(keys), not selection.is_empty, unreadable, everything]
    if sum(ways) != 1:
        raise click.UsageError(
            'Say what to delete. Give exactly one of these: keys or URLs; conditions; --unreadable; --all.'
        )
    with open_cache(cache, access) as found:
        if everything:
            return _remove_all(found, dry_run=dry_run, yes=yes)
        if keys:
            removal = _find_named(found, keys)
            return _remove(found, removal, None, dry_run=dry_run, yes=yes) if removal.keys else 1

        def meets(response: CachedResponse) -> bool:
            return not unreadable and selection.matches(response, utcnow())

        removal = _find_matching(found, lambda r: unreadable if r is None else meets(r))
        return _remove(found, removal, meets, dry_run=dry_run, yes=yes)


def _find_named(found: OpenCache, names: Iterable[str]) -> _Removal:
    """Find the entries with the given keys or URLs; a message names those that do not exist"""
    keys: dict[str, None] = {}
    for name in names:
        named = find_keys_of_url(found.cache, name) if '://' in name else find_keys(found.cache, name)
        if len(named) > 1 and '://' not in name:
            raise CommandError(f'{name} matches {format_entries(len(named))}. Give more of the key.')
        if not named:
            note(f'There is no response for {name} in {found.shown}.')
        keys.update(dict.fromkeys(named))
    return _Removal(list(keys))


def _find_matching(found: OpenCache, meets: Callable[[CachedResponse | None], bool]) -> _Removal:
    """Find the entries that meet a condition; it is called with None for an entry that cannot be read"""
    removal: list[str] = []
    n_bytes = locked = readable = 0
    for key, response in tracked(found.cache._entries(), 'Looking', found.count):
        if response is not None:
            readable += 1
        if not meets(response):
            continue
        if response is None and found.may_lack_key(key):
            locked += 1
            continue
        n_bytes += 0 if response is None else response.size
        removal.append(key)
    return _Removal(removal, n_bytes, locked, readable)


def _remove_all(found: OpenCache, *, dry_run: bool, yes: bool) -> int:
    what = f'all {format_entries(found.count())}'
    if dry_run:
        note(f'{what} would be removed from {found.shown}.')
        return 0
    if not _confirm_removal(f'Remove {what} from {found.shown}?', yes):
        return 1
    found.cache.clear()
    write(f'{what} removed')
    return 0


def _confirm_removal(question: str, yes: bool) -> bool:
    agreed = confirm(question, yes)
    if not agreed:
        note('Nothing was removed.')
    return agreed


def _remove(
    found: OpenCache, removal: _Removal, meets: Callable[[CachedResponse], bool] | None, *, dry_run: bool, yes: bool
) -> int:
    if removal.locked:
        note(f'Kept {format_entries(removal.locked)} that may need another key.')
    size = f' ({format_file_size(removal.n_bytes)})' if removal.n_bytes else ''
    what = f'{format_entries(len(removal.keys))}{size}'
    if dry_run:
        for key in removal.keys:
            write(printable(key))
        note(f'{what} would be removed from {found.shown}.')
        return 0
    if removal.keys and not _confirm_removal(f'Remove {what} from {found.shown}?', yes):
        return 1
    removed = _delete(found, removal.keys, meets)
    write(f'{format_entries(removed)} removed')
    return 0


def _delete(found: OpenCache, keys: list[str], meets: Callable[[CachedResponse], bool] | None) -> int:
    """Delete entries, except those that have since been replaced by others that do not meet the condition"""
    cache, removed = found.cache, 0
    storage: Any = cache.responses
    with progress('Removing', lambda: len(keys)) as advance:
        for chunk in chunkify(keys, CHUNK_SIZE):
            present = chunk if meets is None else [key for key in chunk if _still_meets(found, key, meets)]
            removed += cache._delete_keys(present) if present else 0
            for _ in chunk:
                advance()
    cache.remove_leftovers()
    if removed and hasattr(storage, 'vacuum_if_worthwhile'):
        storage.vacuum_if_worthwhile(removed)
    return removed


def _still_meets(found: OpenCache, key: str, meets: Callable[[CachedResponse], bool]) -> bool:
    response = found.read(key)
    return response is None or meets(response)


@click.command(
    epilog="""\b
Examples:
  requests-cache prune my_cache.sqlite
  requests-cache prune cache_dir/ --expired-for 7d --yes"""
)
@cache_argument
@click.option(
    '--expired-for',
    type=DURATION,
    default='0',
    help='Remove only responses that expired longer ago than this: 12h, 7d.',
)
@dry_run_option
@yes_option
@access_options
def prune(cache: str, expired_for: timedelta, dry_run: bool, yes: bool, access: Access) -> int:
    """Delete expired and damaged responses from CACHE.

    This also removes redirects to responses that no longer exist, and what killed programs have left behind. Entries
    that are encrypted with another key are kept.
    """

    def has_long_expired(response: CachedResponse) -> bool:
        return has_expired(response, utcnow() - expired_for)

    with open_cache(cache, access) as found:
        removal = _find_matching(found, lambda response: response is None or has_long_expired(response))
        if removal.keys and not removal.readable:
            raise CommandError(
                f'None of the entries in {found.shown} can be read, so nothing was removed. Give the serializer that '
                'wrote them with --serializer, or delete them with "requests-cache delete --unreadable".'
            )
        redirects = len(found.cache.redirects)
        status = _remove(found, removal, has_long_expired, dry_run=dry_run, yes=yes)
        if not dry_run and not status:
            _remove_leftovers(found)
            gone = redirects - len(found.cache.redirects)
            if gone > 0:
                write(f'{format_count(gone, "dangling redirect")} removed')
        return status


def _remove_leftovers(found: OpenCache) -> None:
    storage = found.cache.responses
    if not isinstance(storage, BaseStorage) or storage.pieces is None:
        return
    for _ in range(MAX_STEPS):
        if not any(is_abandoned(body_id) for _, body_id in storage.pieces.unused()):
            return
        storage.remove_leftovers()
