"""Options that several commands have: how a cache is opened, which entries are meant, what is shown"""

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
json_option = click.option('--json', 'as_json', is_flag=True, help='Write JSON.')
yes_option = click.option('-y', '--yes', is_flag=True, help='Do not ask.')
serializer_option = click.option(
    '--serializer',
    type=click.Choice(SERIALIZER_NAMES),
    help='What the entries were written with; by default what fits the first ones. safe_pickle takes its key from the '
    'environment (REQUESTS_CACHE_SECRET_KEY).',
)
key_file_option = click.option(
    '--encryption-key-file',
    type=click.Path(exists=True, dir_okay=False),
    help='File with the key of an encrypted cache; otherwise it is taken from REQUESTS_CACHE_ENCRYPTION_KEY.',
)


def access_options(function: F) -> Any:
    """The options about reading; the function gets an `Access` as `access`"""

    @key_file_option
    @serializer_option
    @verbose_option
    @wraps(function)
    def command(*args: Any, serializer: str | None, encryption_key_file: str | None, **kwargs: Any) -> Any:
        return function(*args, access=Access(serializer, encryption_keys(encryption_key_file)), **kwargs)

    return command


_SELECTING = (
    click.option('--host', 'hosts', multiple=True, help='Of this host, such as api.example.com or *.example.com.'),
    click.option('--url', 'urls', multiple=True, metavar='PATTERN', help='With such a URL; * stands for any text.'),
    click.option('--status', 'statuses', type=STATUS, multiple=True, metavar='STATUS', help='404, 4xx or 500-599.'),
    click.option('--content-type', 'types', multiple=True, metavar='PATTERN', help='text/html or image/*, say.'),
    click.option('--expired/--fresh', 'expired', default=None, help='Expired, or not expired.'),
    click.option('--older-than', type=DURATION, help='Received longer ago: 12h, 7d, 2w.'),
    click.option('--larger-than', type=SIZE, help="With a longer body: '500 kB', 2MiB."),
)


def selecting_options(function: F) -> Any:
    """The options that say which entries are meant; the function gets a `Selection` as `selection`

    Those that meet all conditions are; of one condition that is given several times, any of its values.
    """

    @wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        selection = Selection(**{name: kwargs.pop(name) for name in Selection._fields})
        return function(*args, selection=selection, **kwargs)

    for option in reversed(_SELECTING):
        command = option(command)
    return command
