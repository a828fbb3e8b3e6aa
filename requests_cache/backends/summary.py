"""Statistics about the content of a cache, counted in one pass, in memory that does not grow with the cache"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .._utils import format_file_size, printable
from ..models.response import CachedResponse
from ..policy.expiration import add_tzinfo, utcnow

# Maximum number of hosts and of content types that are counted individually; the rest is counted as `other`
MAX_NAMES = 1000
OTHER, NONE = 'other', 'none'
# An age, or the time until an expiration, belongs to the first period that is not shorter
_PERIODS = (
    (timedelta(hours=1), 'hour'),
    (timedelta(days=1), 'day'),
    (timedelta(days=7), 'week'),
    (timedelta(days=30), 'month'),
    (timedelta(days=365), 'year'),
)
_AGES = (*(f'up to a {unit}'.replace('a hour', 'an hour') for _, unit in _PERIODS), 'more than a year')
_EXPIRED = ('expired', 'expired more than a week ago')
_FRESH = tuple(f'within a {unit}'.replace('a hour', 'an hour') for _, unit in _PERIODS)
_EXPIRATIONS = (*reversed(_EXPIRED), *_FRESH, 'later', 'never')
_SHOWN_NAMES = 10


class Tally(NamedTuple):
    """The number of entries of a kind, and the total length of their bodies"""

    entries: int = 0
    bytes: int = 0


class Entry(NamedTuple):
    """One entry"""

    key: str
    url: str
    bytes: int
    created_at: datetime


class Summary(NamedTuple):
    """The content of a cache in numbers

    Sizes are lengths of bodies in bytes, as in `response.content`; for large bodies, as they are stored. The first
    thousand hosts and content types are counted individually, and the rest as `other`.

    Args:
        entries: Number of readable responses
        bytes: Total length of their bodies
        unreadable: Number of entries that cannot be read
        redirects: Number of stored redirects
        expired: Number of expired responses, and the total length of their bodies
        by_host: By host, with its port if the URL has one, the largest first
        by_content_type: By content type without parameters, the largest first; `none` for responses without one
        by_status: By status code, in ascending order
        by_age: By the time since they were received, in ascending order: `up to an hour`, …
        by_expiry: By the time until or since their expiration, in ascending order: `expired`, `within an hour`, …,
            `never`
        oldest, newest: When (UTC) the first and the last response were received; None if there are none
        largest: The entry with the longest body; None if there are none
        counted_at: When (UTC) the entries were counted
    """

    entries: int
    bytes: int
    unreadable: int
    redirects: int
    expired: Tally
    by_host: dict[str, Tally]
    by_content_type: dict[str, Tally]
    by_status: dict[int, Tally]
    by_age: dict[str, Tally]
    by_expiry: dict[str, Tally]
    oldest: datetime | None
    newest: datetime | None
    largest: Entry | None
    counted_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Convert to a dict of values that JSON can represent; times are text in ISO 8601"""
        return {name: _plain(value) for name, value in self._asdict().items()}

    def __str__(self) -> str:
        return '\n'.join(_lines(self))


class _Tallies:
    """Tallies by name, for at most MAX_NAMES names"""

    def __init__(self, names: Iterable[Any] = ()):
        self._counts: dict[Any, list[int]] = {name: [0, 0] for name in names}

    def add(self, name: Any, n_bytes: int) -> None:
        count = self._counts.get(name)
        if count is None:
            name = name if len(self._counts) < MAX_NAMES else OTHER
            count = self._counts.setdefault(name, [0, 0])
        count[0] += 1
        count[1] += n_bytes

    def result(self, order: Callable[[tuple[Any, Tally]], Any] | None = None) -> dict[Any, Tally]:
        """The tallies that are not empty, sorted by `order`, by default in the order in which names were added"""
        tallies = [(name, Tally(*count)) for name, count in self._counts.items() if count[0]]
        return dict(tallies if order is None else sorted(tallies, key=order))


def _largest_first(item: tuple[str, Tally]) -> tuple[bool, int, int, str]:
    name, tally = item
    return name == OTHER, -tally.bytes, -tally.entries, name


class Counting:
    """Counts entries one by one

    Args:
        now: The current time (UTC)
    """

    def __init__(self, now: datetime):
        self.now = now
        self.unreadable = 0
        self.total, self.expired = [0, 0], [0, 0]
        self.hosts, self.types, self.statuses = _Tallies(), _Tallies(), _Tallies()
        self.ages, self.expirations = _Tallies(_AGES), _Tallies(_EXPIRATIONS)
        self.oldest: datetime | None = None
        self.newest: datetime | None = None
        self.largest: Entry | None = None

    def add(self, key: str, response: CachedResponse | None, url: str | None = None) -> None:
        """Count an entry

        Args:
            key: Its key
            response: The response; None for one that cannot be read
            url: Its URL, if that is not the URL of the response
        """
        if response is None:
            self.unreadable += 1
            return
        size, created_at = response.size, add_tzinfo(response.created_at)
        self._add_to(self.total, size)
        self.hosts.add(host_of(response.url if url is None else url), size)
        self.types.add(content_type_of(response), size)
        self.statuses.add(_status(response), size)
        self.ages.add(_age(self.now - created_at), size)
        self._add_expiration(response, size)
        self.oldest = min(self.oldest or created_at, created_at)
        self.newest = max(self.newest or created_at, created_at)
        if self.largest is None or size > self.largest.bytes:
            self.largest = Entry(key, response.url or '', size, created_at)

    def _add_expiration(self, response: CachedResponse, size: int) -> None:
        left = None if response.expires is None else add_tzinfo(response.expires) - self.now
        self.expirations.add(_expiration(left), size)
        if left is not None and left <= timedelta():
            self._add_to(self.expired, size)

    def _add_to(self, count: list[int], size: int) -> None:
        count[0] += 1
        count[1] += size

    def result(self, redirects: int) -> Summary:
        """The summary of all counted entries, with a number of redirects"""
        entries, n_bytes = self.total
        return Summary(
            entries=entries,
            bytes=n_bytes,
            unreadable=self.unreadable,
            redirects=redirects,
            expired=Tally(*self.expired),
            by_host=self.hosts.result(_largest_first),
            by_content_type=self.types.result(_largest_first),
            by_status=self.statuses.result(lambda item: item[0]),
            by_age=self.ages.result(),
            by_expiry=self.expirations.result(),
            oldest=self.oldest,
            newest=self.newest,
            largest=self.largest,
            counted_at=self.now,
        )


def summarize(cache: Any, progress: Callable[[int], object] | None = None) -> Summary:
    """Summarize the content of a cache; see `BaseCache.summary`"""
    counting = Counting(utcnow())
    for number, (key, response) in enumerate(cache._entries(), 1):
        counting.add(key, response)
        if progress is not None:
            progress(number)
    return counting.result(len(cache.redirects))


# Classifying entries


def host_of(url: str | None) -> str:
    """The host of a URL in lower case, with its port if the URL has one"""
    try:
        return urlsplit(url or '').netloc.rpartition('@')[2].lower() or NONE
    except ValueError:
        return NONE


def content_type_of(response: CachedResponse) -> str:
    """The content type of a response in lower case, without parameters"""
    return str(response.headers.get('Content-Type') or '').partition(';')[0].strip().lower() or NONE


def _status(response: CachedResponse) -> int:
    return response.status_code if 0 <= response.status_code < MAX_NAMES else 0


def _age(age: timedelta) -> str:
    return next((name for (limit, _), name in zip(_PERIODS, _AGES, strict=False) if age <= limit), _AGES[-1])


def _expiration(left: timedelta | None) -> str:
    if left is None:
        return 'never'
    if left <= timedelta():
        return _EXPIRED[left < timedelta(days=-7)]
    return next((name for (limit, _), name in zip(_PERIODS, _FRESH, strict=True) if left <= limit), 'later')


# Formatting


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, '_asdict'):
        return {name: _plain(item) for name, item in value._asdict().items()}
    return {str(name): _plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def _lines(summary: Summary) -> list[str]:
    facts = [
        ('entries', f'{summary.entries:,}'),
        ('bodies', format_file_size(summary.bytes)),
        ('expired', f'{summary.expired.entries:,} ({format_file_size(summary.expired.bytes)})'),
        ('unreadable', f'{summary.unreadable:,}'),
        ('redirects', f'{summary.redirects:,}'),
    ]
    if summary.oldest is not None and summary.newest is not None and summary.largest is not None:
        url = printable(summary.largest.url)
        facts += [
            ('oldest', f'{summary.oldest:%Y-%m-%d %H:%M} UTC'),
            ('newest', f'{summary.newest:%Y-%m-%d %H:%M} UTC'),
        ]
        facts += [('largest', f'{format_file_size(summary.largest.bytes)}, {url}')]
    lines = [f'{name:<11} {value}' for name, value in facts]
    kinds = ('host', 'content_type', 'status', 'age', 'expiry')
    for kind in kinds:
        lines += _table(kind.replace('_', ' '), getattr(summary, f'by_{kind}'))
    return lines


def _table(title: str, tallies: dict[Any, Tally]) -> list[str]:
    """Lines of a table, with the first names and a line for all others"""
    if not tallies:
        return []
    shown = list(tallies.items())[:_SHOWN_NAMES]
    rest = list(tallies.values())[_SHOWN_NAMES:]
    if rest:
        total = Tally(sum(t.entries for t in rest), sum(t.bytes for t in rest))
        shown.append((f'{len(rest)} more', total))
    names = [printable(str(name)) for name, _ in shown]
    width = max(28, *map(len, names))
    lines = ['', f'{"by " + title:<{width}}  {"entries":>9}  {"bodies":>11}']
    rows = zip(names, (tally for _, tally in shown), strict=True)
    return lines + [f'{name:<{width}}  {t.entries:>9,}  {format_file_size(t.bytes):>11}' for name, t in rows]
