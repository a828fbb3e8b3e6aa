"""Dates in header fields (RFC 9110, section 5.6.7)"""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import format_datetime
from functools import lru_cache
from re import IGNORECASE

from ..._utils import lazy_pattern

_MONTHS = ('jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec')
MAX_LENGTH = 40
_TIME = r'(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)'
_FORMATS = tuple(
    lazy_pattern(pattern, IGNORECASE)
    for pattern in (
        rf'(?:mon|tue|wed|thu|fri|sat|sun), (?P<day>\d\d) (?P<month>[a-z]{{3}}) (?P<year>\d{{4}}) {_TIME} gmt',
        rf'(?:mon|tues|wednes|thurs|fri|satur|sun)day, (?P<day>\d\d)-(?P<month>[a-z]{{3}})-(?P<year>\d\d) {_TIME} gmt',
        rf'(?:mon|tue|wed|thu|fri|sat|sun) (?P<month>[a-z]{{3}}) (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})',
    )
)


def parse_http_date(value: str | bytes | None, now: datetime) -> datetime | None:
    """Parse a date in any of the three formats; returns None if it is invalid

    Case is ignored in the names of days and months; time zones other than GMT are invalid (RFC 9111, section 4.2).

    Args:
        value: The field value
        now: The current time (UTC), which determines the century of a year with two digits
    """
    text = (value.decode('latin-1') if isinstance(value, bytes) else value or '').strip()
    return _parse(text, now.year) if len(text) <= MAX_LENGTH else None


@lru_cache(maxsize=256)
def _parse(text: str, this_year: int) -> datetime | None:
    match = next((m for m in (pattern.fullmatch(text) for pattern in _FORMATS) if m), None)
    if match is None or match['month'].lower() not in _MONTHS or not text.isascii():
        return None
    year = int(match['year'])
    if len(match['year']) == 2:
        year += this_year - this_year % 100
        # More than 50 years ahead means the past
        year -= 100 if year > this_year + 50 else 0
    month = _MONTHS.index(match['month'].lower()) + 1
    try:
        # datetime has no leap seconds
        second = min(int(match['second']), 59) if match['second'] == '60' else int(match['second'])
        return datetime(
            year, month, int(match['day']), int(match['hour']), int(match['minute']), second, tzinfo=timezone.utc
        )
    except ValueError:
        return None


def format_http_date(time: datetime) -> str:
    """Format a time (UTC) as a field value, to the second"""
    return format_datetime(time.astimezone(timezone.utc), usegmt=True)
