"""Options that several commands share: how to open a cache, which entries to select, what to show"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from .logs import verbose_option
from .opening import SERIALIZER_NAMES, Access, encryption_keys
from .selection import Selection
from .values import DURATION, SIZE, STATUS, CacheName

F = TypeVar('F', bound=Callable[..., Any])

cache_argument = click.argument('cache', type=CacheName())
json_option = click.option('--json', 'as_json', is_flag=True, help='Write JSON instead of text.')
yes_option = click.option('-y', '--yes', is_flag=True, help='Do not ask for confirmation.')
serializer_option = click.option(
    '--serializer',
    type=click.Choice(SERIALIZER_NAMES),
    help='The serializer that wrote the entries. By default it is detected from the first entries. safe_pickle needs '
    'its key in the environment variable REQUESTS_CACHE_SECRET_KEY.',
)
key_file_option = click.option(
    '--encryption-key-file',
    type=click.Path(exists=True, dir_okay=False),
    help='File with the key of an encrypted cache. By default the key is taken from the environment variable '
    'REQUESTS_CACHE_ENCRYPTION_KEY.',
)


def access_options(function: F) -> Any:
    """Add the options about reading entries; the function gets an `Access` as `access`"""

    @key_file_option
    @serializer_option
    @verbose_option
    @wraps(function)
    def command(*args: Any, serializer: str | None, encryption_key_file: str | None, **kwargs: Any) -> Any:
        return function(*args, access=Access(serializer, encryption_keys(encryption_key_file)), **kwargs)

    return command


_SELECTION = (
    click.option(
        '--host',
        'hosts',
        multiple=True,
        metavar='PATTERN',
        help='Only from this host: api.example.com or *.example.com.',
    ),
    click.option(
        '--url', 'urls', multiple=True, metavar='PATTERN', help='Only with a URL like this. * stands for any text.'
    ),
    click.option(
        '--status',
        'statuses',
        type=STATUS,
        multiple=True,
        metavar='STATUS',
        help='Only with this status: 404, 4xx or 500-599.',
    ),
    click.option(
        '--content-type',
        'types',
        multiple=True,
        metavar='PATTERN',
        help='Only with this content type: text/html or image/*.',
    ),
    click.option('--expired/--fresh', 'expired', default=None, help='Only expired, or only fresh responses.'),
    click.option('--older-than', type=DURATION, help='Only received longer ago than this: 12h, 7d, 2w.'),
    click.option('--larger-than', type=SIZE, help="Only with a body larger than this: '500 kB', 2MiB."),
)


def selection_options(function: F) -> Any:
    """Add the options that select entries; the function gets a `Selection` as `selection`

    An entry has to meet all conditions. If a condition is given several times, one of its values is enough.
    """

    @wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        selection = Selection(**{name: kwargs.pop(name) for name in Selection._fields})
        return function(*args, selection=selection, **kwargs)

    for option in reversed(_SELECTION):
        command = option(command)
    return command
