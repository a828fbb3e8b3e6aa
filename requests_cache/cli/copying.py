"""`copy`: a cache into another one, of any kind"""

from __future__ import annotations

import os

import click

from .._utils import printable
from .logs import verbose_option
from .opening import SERIALIZER_NAMES, Access, Opened, encryption_keys, opened, opened_target
from .options import key_file_option, yes_option
from .terminal import Trouble, entries, lines, may_go_on, note, progress
from .values import CacheName

TARGET_VARIABLE = 'REQUESTS_CACHE_TARGET_ENCRYPTION_KEY'
COMPRESSIONS = ('zstd', 'zlib', 'gzip', 'bz2', 'lzma')


@click.command(
    epilog="""\b
Examples:
  requests-cache copy my_cache.sqlite cache_dir/ --serializer yaml
  requests-cache copy my_cache.sqlite small.sqlite --compression zstd
  requests-cache copy my_cache.sqlite 'redis://localhost/0?namespace=api'
  requests-cache copy plain.sqlite sealed.sqlite --target-encryption-key-file key"""
)
@click.argument('source', type=CacheName())
@click.argument('target', type=CacheName())
@click.option('--serializer', type=click.Choice(SERIALIZER_NAMES), help='For TARGET; by default that of its backend.')
@click.option('--compression', type=click.Choice(COMPRESSIONS), help='Compress what is written to TARGET.')
@click.option(
    '--target-encryption-key-file',
    type=click.Path(exists=True, dir_okay=False),
    help=f'File with the key to encrypt TARGET with; otherwise it is taken from {TARGET_VARIABLE}; if there is none, '
    'it is that of SOURCE.',
)
@click.option('--decrypt', is_flag=True, help='Do not encrypt TARGET, though SOURCE is.')
@click.option('--source-serializer', type=click.Choice(SERIALIZER_NAMES), help='Of SOURCE, if it is not found out.')
@yes_option
@key_file_option
@verbose_option
def copy(
    source: str,
    target: str,
    serializer: str | None,
    compression: str | None,
    target_encryption_key_file: str | None,
    decrypt: bool,
    source_serializer: str | None,
    yes: bool,
    encryption_key_file: str | None,
) -> int:
    """Copy all responses and redirects of SOURCE to TARGET, so that requests hit there.

    TARGET is made if it does not exist. What it holds stays, but for entries with the same keys, which are replaced.
    """
    source_keys = encryption_keys(encryption_key_file)
    keys = () if decrypt else encryption_keys(target_encryption_key_file, TARGET_VARIABLE) or source_keys
    opened_source = opened(source, Access(source_serializer, source_keys))
    with opened_source as found, opened_target(target, Access(serializer, keys, compression or False)) as made:
        if found.shown == made.shown or _are_one_file(found.shown, made.shown):
            raise Trouble(f'{found.shown} cannot be copied to itself.')
        present = made.count()
        question = f'{made.shown} holds {entries(present)}. Replace those that {found.shown} has too?'
        if present and not may_go_on(question, yes):
            note('Nothing was copied.')
            return 1
        copied = _copy(found, made)
        lines(f'{entries(copied)} copied to {printable(made.shown)}')
        left = max(0, found.count() - copied)
        if left:
            note(f'{entries(left)} could not be read.')
        return 1 if left else 0


def _are_one_file(one: str, other: str) -> bool:
    """Whether two paths lead to one file or directory, spelled differently or through a link"""
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def _copy(source: Opened, target: Opened) -> int:
    """Copy a cache; returns how many entries were copied"""
    copied = 0
    with progress('Copying', source.count) as advance:

        def report(number: int) -> None:
            nonlocal copied
            copied = number
            advance(number)

        target.cache.update(source.cache, report)
    return copied
