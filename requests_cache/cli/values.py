"""Values of options (durations, sizes, status codes, names of caches), and how durations are shown"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from ..backends.eviction import to_bytes

UNITS = {
    's': timedelta(seconds=1),
    'm': timedelta(minutes=1),
    'h': timedelta(hours=1),
    'd': timedelta(days=1),
    'w': timedelta(weeks=1),
    'y': timedelta(days=365),
}
_DURATION = re.compile(r'(?:[0-9]+(?:\.[0-9]+)?[smhdwy] *)+|[0-9]+(?:\.[0-9]+)?', re.ASCII)
_AMOUNT = re.compile(r'([0-9.]+)([smhdwy]?)', re.ASCII)
_STATUS = re.compile(r'([1-9])xx|([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?', re.ASCII)


class _Value(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A type of option whose values are parsed by a function; the text of its `ValueError` is shown to the user"""

    def __init__(self, name: str, convert: Callable[[str], Any]):
        self.name = name
        self._convert = convert

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._convert(value)
        except ValueError as e:
            self._fail(str(e), param, ctx)

    def _fail(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
        self.fail(text, param, ctx)


def parse_duration(text: str) -> timedelta:
    """A duration such as `7d`, `1h30m`, or a number of seconds

    Raises:
        ValueError: The text is not a duration
    """
    if _DURATION.fullmatch(text.strip()) is None:
        raise ValueError(f'{text!r} is not a duration; give, for example, 90s, 30m, 12h, 7d, 2w or 1y')
    try:
        return sum((float(n) * UNITS[unit or 's'] for n, unit in _AMOUNT.findall(text)), timedelta())
    except OverflowError:
        raise ValueError(f'{text!r} is too long') from None


def parse_size(text: str) -> int:
    """A size in bytes from text such as `1 MB`

    Raises:
        ValueError: The text is not a size
    """
    try:
        return to_bytes('', text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a size; give a number of bytes, or, for example, '500 kB' or '2 MiB'"
        ) from None


def parse_status(text: str) -> range:
    """Status codes: `404`, `4xx` or `500-599`

    Raises:
        ValueError: The text is not a status code, or a range of them
    """
    match = _STATUS.fullmatch(text.lower())
    if match is None:
        raise ValueError(f'{text!r} is not a status; give, for example, 404, 4xx or 500-599')
    hundred, first, last = match.groups()
    if hundred:
        return range(int(hundred) * 100, int(hundred) * 100 + 100)
    return range(int(first), int(last or first) + 1)


DURATION = _Value('duration', parse_duration)
SIZE = _Value('size', parse_size)
STATUS = _Value('status', parse_status)


class CacheName(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """The path or URL of a cache; shells complete paths"""

    name = 'cache'

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type='file')]


def package_version() -> str:
    """The version of this package, or `unknown` if it runs from a source tree that was never installed"""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version('requests-cache')
    except PackageNotFoundError:
        return 'unknown'


def format_duration(duration: timedelta) -> str:
    """A duration in a few characters, rounded down: `45s`, `12m`, `3h`, `5d`, `8w`, `2y`"""
    seconds = max(duration, timedelta()).total_seconds()
    for unit, limit in (('s', 60), ('m', 3600), ('h', 86400), ('d', 14 * 86400), ('w', 365 * 86400)):
        if seconds < limit:
            return f'{int(seconds / UNITS[unit].total_seconds())}{unit}'
    return f'{int(seconds / UNITS["y"].total_seconds())}y'


def format_expiry(expires: datetime | None, now: datetime) -> str:
    """When something expires, from now, in a few characters: `never`, `in 3h`, `3h ago`"""
    if expires is None:
        return 'never'
    return f'in {format_duration(expires - now)}' if expires > now else f'{format_duration(now - expires)} ago'
