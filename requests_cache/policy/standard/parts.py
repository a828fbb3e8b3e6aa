"""Storing parts of a representation (RFC 9111, sections 3.3 and 3.4)

Each part is a separate entry, so that adding a part does not rewrite the others. Another entry, the index, contains the
header fields of all parts, and lists the parts in its body. The keys of both are derived from the key of the complete
response, so that other requests do not find them. The keys of parts include the generation of their index, so that
parts of a former index are not found.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from requests.structures import CaseInsensitiveDict

from ...models.response import CachedResponse
from ..validation import entity_tags, updated_headers
from .http_date import parse_http_date
from .ranges import ContentRange, Span, combine, is_whole, parse_content_range

# Header fields about the content of one message
OF_THE_MESSAGE = frozenset(('content-length', 'content-range', 'transfer-encoding'))
# The list of parts is rewritten whenever one is added
MAX_PARTS = 1000


class Parts(NamedTuple):
    """The stored parts of a representation, and its length, or None if that is unknown"""

    spans: tuple[Span, ...]
    length: int | None

    @property
    def are_complete(self) -> bool:
        return is_whole(self.spans, self.length)

    def accepts(self, new: ContentRange) -> bool:
        """Whether a part may belong to the same representation, judging by the length"""
        after = self.with_part(new)
        is_within = after.length is None or max(span.last for span in after.spans) < after.length
        return is_within and (after.length == new.length or new.length is None)

    def with_part(self, new: ContentRange) -> Parts:
        """The parts after adding one"""
        return Parts(tuple(combine(self.spans, new.span)), new.length if self.length is None else self.length)

    def to_content(self) -> bytes:
        """The body of an index"""
        return '\n'.join(str(ContentRange(span, self.length)) for span in self.spans).encode('ascii')


def parts_of(index: CachedResponse) -> Parts | None:
    """The parts that an index lists; None if the response is not an index"""
    if index.status_code != 206:
        return None
    listed = [parse_content_range(line) for line in (index.content or b'').decode('latin-1').split('\n')]
    ranges = [content_range for content_range in listed if content_range is not None]
    lengths = {content_range.length for content_range in ranges}
    if len(ranges) != len(listed) or len(lengths) != 1:
        return None
    return Parts(tuple(content_range.span for content_range in ranges), lengths.pop())


def index_key(key: str) -> str:
    """The key of an index, derived from the key of the complete response"""
    return f'{key}-parts'


def part_key(key: str, generation: str, span: Span) -> str:
    """The key of a part, derived from the key of the complete response"""
    return f'{key}-part-{generation}-{span.first}-{span.last}'


def part_keys(key: str, index: CachedResponse) -> list[str]:
    """The keys of an index and all its parts, derived from the key of the complete response"""
    parts = parts_of(index)
    spans = parts.spans if parts is not None else ()
    return [index_key(key), *(part_key(key, index._generation, span) for span in spans)]


def part_range(headers: Mapping[str, Any]) -> ContentRange | None:
    """The range of a 206; None if it has several parts, or a content coding, which `requests` decodes"""
    return None if is_coded(headers) else parse_content_range(headers.get('Content-Range') or '')


def is_coded(headers: Mapping[str, Any]) -> bool:
    """Whether the stored body, which is decoded, differs from the representation, to which ranges refer"""
    content, transfer = (str(headers.get(f'{kind}-Encoding') or '').strip().lower() for kind in ('Content', 'Transfer'))
    return content not in ('', 'identity') or transfer not in ('', 'chunked')


def can_serve_ranges(stored: CachedResponse) -> bool:
    """Whether a stored response is complete, and its body is the one to which ranges refer"""
    length = stored.headers.get('Content-Length', str(stored.size))
    return stored.status_code == 200 and length == str(stored.size) and not is_coded(stored.headers)


def strong_tag(headers: Mapping[str, Any]) -> str | None:
    """The entity tag of a response if it is strong (RFC 9110, section 8.8.3)"""
    tag = str(headers.get('ETag') or '').strip()
    return tag if entity_tags(tag) == [tag] else None


def strong_date(headers: Mapping[str, Any], now: datetime) -> str | None:
    """The `Last-Modified` of a response if it is at least a second before `Date` (RFC 9110, section 8.8.2.2)"""
    value = str(headers.get('Last-Modified') or '').strip()
    modified, date = parse_http_date(value, now), parse_http_date(headers.get('Date'), now)
    return value if modified is not None and date is not None and (date - modified).total_seconds() >= 1 else None


def is_same_representation(stored: CachedResponse, new: CachedResponse, now: datetime) -> bool:
    """Whether the strong validators of two responses prove that their representation is the same (section 3.4)"""
    old, other = (
        strong_tag(r.headers) if r.headers.get('ETag') else strong_date(r.headers, now) for r in (stored, new)
    )
    return old is not None and old == other


def is_different_representation(stored: CachedResponse, new: CachedResponse) -> bool:
    """Whether the validators of two responses prove that their representations differ"""
    old_tags, new_tags = (entity_tags(str(r.headers.get('ETag') or '')) for r in (stored, new))
    if old_tags and new_tags:
        return old_tags[0] != new_tags[0]
    old, other = (r.headers.get('Last-Modified') for r in (stored, new))
    return None not in (old, other) and old != other


def combined_headers(stored: Mapping[str, str], new: Mapping[str, str]) -> CaseInsensitiveDict[str]:
    """The header fields of a stored response after adding another part (section 3.4)"""
    headers = updated_headers(stored, new)
    if 'Age' not in new:
        headers.pop('Age', None)
    return headers


def representation_headers(headers: Mapping[str, str]) -> CaseInsensitiveDict[str]:
    """Header fields without those about the content of one message"""
    return CaseInsensitiveDict({k: v for k, v in headers.items() if k.lower() not in OF_THE_MESSAGE})
