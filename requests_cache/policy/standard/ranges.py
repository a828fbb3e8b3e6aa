"""Byte ranges as plain values: parsing, choosing and combining them (RFC 9110, section 14)"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from re import IGNORECASE
from typing import Any, NamedTuple

from ..._utils import lazy_pattern

# More ranges in one request than this are left to the origin
MAX_RANGES = 50

_UNIT = lazy_pattern(r'[ \t]*bytes=', IGNORECASE)
_RANGE = lazy_pattern(r'([0-9]*)-([0-9]*)')
_CONTENT_RANGE = lazy_pattern(r'[ \t]*bytes[ \t]+([0-9]+)-([0-9]+)/([0-9]+|\*)[ \t]*', IGNORECASE)
_MAX_DIGITS = 18


class Span(NamedTuple):
    """Bytes from one position to another, both included"""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1


class ByteRange(NamedTuple):
    """A range as it is asked for: from a position to another or to the end; without `first`, the `last` bytes"""

    first: int | None
    last: int | None


class ContentRange(NamedTuple):
    """A `Content-Range`: where the content stands in the representation, and the length of that, None if unknown"""

    span: Span
    length: int | None

    def __str__(self) -> str:
        return f'bytes {self.span.first}-{self.span.last}/{"*" if self.length is None else self.length}'


def parse_ranges(value: Any) -> tuple[ByteRange, ...]:
    """The ranges of a `Range` field; none if it is malformed, in another unit, or asks for too many (section 14.1)"""
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
    """A position, or one beyond all content if it is longer than any (section 14.1.2)"""
    digits = digits.lstrip('0')
    return int(digits or '0') if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS


def parse_content_range(value: Any) -> ContentRange | None:
    """The `Content-Range` of a single part; None if it is invalid or in another unit (section 14.4)"""
    match = _CONTENT_RANGE.fullmatch(str(value))
    if match is None:
        return None
    first, last = _number(match[1]), _number(match[2])
    length = None if match[3] == '*' else _number(match[3])
    if last < first or last >= 10**_MAX_DIGITS or (length is not None and last >= length):
        return None
    return ContentRange(Span(first, last), length)


def resolve(ranges: Iterable[ByteRange], length: int | None) -> list[Span] | None:
    """The bytes that ranges stand for in a representation (section 14.1.2)

    Ranges that overlap or touch are put together, all others are in the order of the request (section 15.3.7.2).

    Args:
        ranges: The ranges
        length: Length of the representation; None if it is not known

    Returns:
        None if it takes the length to tell; an empty list if no range can be satisfied
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
    """The same bytes in as few spans as possible, in order"""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.first <= merged[-1].last + 1:
            merged[-1] = Span(merged[-1].first, max(merged[-1].last, span.last))
        else:
            merged.append(span)
    return merged


def combine(spans: Sequence[Span], new: Span) -> list[Span]:
    """The parts to be kept of those that are there and a new one: none of them inside another, nor the new one twice"""
    if cover(spans, new) is not None:
        return list(spans)
    kept = [span for span in spans if not (new.first <= span.first and span.last <= new.last)]
    return sorted([*kept, new])


def cover(spans: Iterable[Span], wanted: Span) -> list[tuple[Span, Span]] | None:
    """Where the bytes of a span are to be had: parts, and what to take of each; None if some are in none of them"""
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
    """Whether parts make up a representation of a length"""
    return length is not None and merge(spans) == [Span(0, length - 1)]


def multipart(parts: Iterable[tuple[ContentRange, bytes]], boundary: str, content_type: str | None) -> bytes:
    """Several parts as the content of a 206 (section 14.6); `content_type` is that of the representation"""
    lines = []
    for content_range, data in parts:
        lines.append(f'--{boundary}\r\n'.encode('ascii'))
        if content_type:
            lines.append(f'Content-Type: {content_type}\r\n'.encode('latin-1', 'replace'))
        lines += [f'Content-Range: {content_range}\r\n\r\n'.encode('ascii'), data, b'\r\n']
    return b''.join([*lines, f'--{boundary}--\r\n'.encode('ascii')])
