"""The command `copy`"""

from __future__ import annotations

import os

import click

from .._utils import printable
from .logs import verbose_option
from .opening import SERIALIZER_NAMES, Access, OpenCache, encryption_keys, open_cache, open_target
from .options import key_file_option, yes_option
from .terminal import CommandError, confirm, format_entries, note, progress, write
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
@click.option(
    '--serializer',
    type=click.Choice(SERIALIZER_NAMES),
    help='The serializer of TARGET; by default the one of its backend.',
)
@click.option('--compression', type=click.Choice(COMPRESSIONS), help='Compress what is written to TARGET.')
@click.option(
    '--target-encryption-key-file',
    type=click.Path(exists=True, dir_okay=False),
    help=f'File with the key to encrypt TARGET with. By default the key is taken from the environment variable '
    f'{TARGET_VARIABLE}, or else it is the key of SOURCE.',
)
@click.option('--decrypt', is_flag=True, help='Do not encrypt TARGET, even if SOURCE is encrypted.')
@click.option(
    '--source-serializer', type=click.Choice(SERIALIZER_NAMES), help='The serializer of SOURCE, if it is not detected.'
)
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
    """Copy all responses and redirects of SOURCE to TARGET, which can be on another backend.

    The copy answers the same requests. TARGET is created if it does not exist. If it holds entries for the same
    requests, these are replaced, and its other entries are kept.
    """
    source_keys = encryption_keys(encryption_key_file)
    keys = () if decrypt else encryption_keys(target_encryption_key_file, TARGET_VARIABLE) or source_keys
    opened_source = open_cache(source, Access(source_serializer, source_keys))
    with opened_source as found, open_target(target, Access(serializer, keys, compression or False)) as made:
        if found.shown == made.shown or _are_one_file(found.shown, made.shown):
            raise CommandError(f'{found.shown} cannot be copied to itself.')
        present = made.count()
        question = f'{made.shown} holds {format_entries(present)}. Replace those that are also in {found.shown}?'
        if present and not confirm(question, yes):
            note('Nothing was copied.')
            return 1
        copied = _copy(found, made)
        write(f'{format_entries(copied)} copied to {printable(made.shown)}')
        left = max(0, found.count() - copied)
        if left:
            note(f'{format_entries(left)} could not be read.')
        return 1 if left else 0


def _are_one_file(one: str, other: str) -> bool:
    """Whether two paths lead to the same file or directory, even by a link or another spelling"""
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def _copy(source: OpenCache, target: OpenCache) -> int:
    """Copy a cache, and return the number of entries copied"""
    copied = 0
    with progress('Copying', source.count) as advance:

        def report(number: int) -> None:
            nonlocal copied
            copied = number
            advance(number)

        target.cache.update(source.cache, report)
    return copied
