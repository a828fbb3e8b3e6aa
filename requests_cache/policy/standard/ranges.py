"""Parsing, resolving and combining byte ranges (RFC 9110, section 14)"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from re import IGNORECASE
from typing import Any, NamedTuple

from ..._utils import lazy_pattern

# A request with more ranges than this is sent to the origin
MAX_RANGES = 50

_UNIT = lazy_pattern(r'[ \t]*bytes=', IGNORECASE)
_RANGE = lazy_pattern(r'([0-9]*)-([0-9]*)')
_CONTENT_RANGE = lazy_pattern(r'[ \t]*bytes[ \t]+([0-9]+)-([0-9]+)/([0-9]+|\*)[ \t]*', IGNORECASE)
_MAX_DIGITS = 18


class Span(NamedTuple):
    """Bytes from `first` to `last`, inclusive"""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1


class ByteRange(NamedTuple):
    """A requested range: from `first` to `last`, or to the end if `last` is None; without `first`, the `last` bytes"""

    first: int | None
    last: int | None


class ContentRange(NamedTuple):
    """A `Content-Range`: the range of the content, and the length of the representation, None if unknown"""

    span: Span
    length: int | None

    def __str__(self) -> str:
        return f'bytes {self.span.first}-{self.span.last}/{"*" if self.length is None else self.length}'


def parse_ranges(value: Any) -> tuple[ByteRange, ...]:
    """Parse a `Range` field; empty if it is malformed, has a different unit, or too many ranges (section 14.1)"""
    text = value.decode('latin-1') if isinstance(value, bytes) else str(value)
    unit = _UNIT.match(text)
    members = [m.strip(' \t') for m in text[unit.end() :].split(',')] if unit else []
    matches = [_RANGE.fullmatch(m) for m in members if m]
    ranges = [_byte_range(match[1], match[2]) if match else None for match in matches]
    valid = tuple(r for r in ranges if r is not None)
    return valid if len(valid) == len(ranges) <= MAX_RANGES else ()


def _byte_range(first: str, last: str) -> ByteRange | None:
    if not (first or last) or (first and last and _number(first) > _number(last)):
        return None
    return ByteRange(_number(first) if first else None, _number(last) if last else None)


def _number(digits: str) -> int:
    """Parse a position; very large numbers become one beyond the end of any content (section 14.1.2)"""
    digits = digits.lstrip('0')
    return int(digits or '0') if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS


def parse_content_range(value: Any) -> ContentRange | None:
    """Parse the `Content-Range` of a single part; None if it is invalid or has a different unit (section 14.4)"""
    match = _CONTENT_RANGE.fullmatch(str(value))
    if match is None:
        return None
    first, last = _number(match[1]), _number(match[2])
    length = None if match[3] == '*' else _number(match[3])
    if last < first or last >= 10**_MAX_DIGITS or (length is not None and last >= length):
        return None
    return ContentRange(Span(first, last), length)


def resolve(ranges: Iterable[ByteRange], length: int | None) -> list[Span] | None:
    """Convert requested ranges to positions in a representation (section 14.1.2)

    If any ranges overlap or touch, they are merged; otherwise the order of the request is kept (section 15.3.7.2).

    Args:
        ranges: The requested ranges
        length: Length of the representation; None if unknown

    Returns:
        None if the length is needed, but unknown; an empty list if no range can be satisfied
    """
    spans = []
    for first, last in ranges:
        if length is None:
            if first is None or last is None:
                return None
            spans.append(Span(first, last))
        elif first is None:
            spans.append(Span(max(0, length - (last or 0)), length - 1))
        else:
            spans.append(Span(first, length - 1 if last is None else min(last, length - 1)))
    spans = [span for span in spans if span.size > 0]
    merged = merge(spans)
    return spans if len(merged) == len(spans) else merged


def merge(spans: Iterable[Span]) -> list[Span]:
    """Merge spans that overlap or touch, and sort them"""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.first <= merged[-1].last + 1:
            merged[-1] = Span(merged[-1].first, max(merged[-1].last, span.last))
        else:
            merged.append(span)
    return merged


def combine(spans: Sequence[Span], new: Span) -> list[Span]:
    """Add a part to stored parts: leave it out if they already contain it, and drop the parts that it contains"""
    if cover(spans, new) is not None:
        return list(spans)
    kept = [span for span in spans if not (new.first <= span.first and span.last <= new.last)]
    return sorted([*kept, new])


def cover(spans: Iterable[Span], wanted: Span) -> list[tuple[Span, Span]] | None:
    """Find the parts that contain the bytes of a span, and the bytes to take from each; None if any are missing"""
    pieces = []
    position = wanted.first
    for span in sorted(spans):
        if span.first <= position <= span.last:
            end = min(span.last, wanted.last)
            pieces.append((span, Span(position, end)))
            position = end + 1
            if position > wanted.last:
                return pieces
    return None


def is_whole(spans: Iterable[Span], length: int | None) -> bool:
    """Whether parts add up to a complete representation of this length"""
    return length is not None and merge(spans) == [Span(0, length - 1)]


def multipart(parts: Iterable[tuple[ContentRange, bytes]], boundary: str, content_type: str | None) -> bytes:
    """The content of a 206 with several parts (section 14.6); `content_type` is that of the representation"""
    lines = []
    for content_range, data in parts:
        lines.append(f'--{boundary}\r\n'.encode('ascii'))
        if content_type:
            lines.append(f'Content-Type: {content_type}\r\n'.encode('latin-1', 'replace'))
        lines += [f'Content-Range: {content_range}\r\n\r\n'.encode('ascii'), data, b'\r\n']
    return b''.join([*lines, f'--{boundary}--\r\n'.encode('ascii')])
