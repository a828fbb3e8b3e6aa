"""Caching directives in the header fields of a request or response"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from datetime import timedelta
from typing import Any

from attrs import field, frozen
from requests.structures import CaseInsensitiveDict

from .._utils import is_latin1_line, lazy_pattern
from ..models.base import RichMixin
from .expiration import DO_NOT_CACHE, ExpirationTime, get_expiration_seconds

HeaderDict = MutableMapping[str, str]
NO_CACHE_HEADER = 'X-ACTUAL-NO-CACHE'

# Larger numbers of seconds are replaced by this one (RFC 9111, section 1.2.2)
MAX_SECONDS = 2**31
_MAX_DIGITS = 20
# `max-stale` without a number; longer than the range of datetime
ANY_STALENESS_SECONDS = 10**12

# A directive: a token with an optional value, which is a token or a quoted string (RFC 9111, section 5.2)
_DIRECTIVE = lazy_pattern(r'\s*([^\s,;="]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^,"]*)))?[^,]*(?:,|$)')
_QUOTED_PAIR = lazy_pattern(r'\\(.)')
_NUMERIC = ('max_age', 'max_stale', 'min_fresh', 'stale_if_error', 'stale_while_revalidate')
_FLAGS = ('immutable', 'must_revalidate', 'no_cache', 'no_store', 'only_if_cached')


def parse_cache_control(value: str | bytes | None) -> Iterator[tuple[str, str | None]]:
    """Yield the directives of a `Cache-Control` field: the name in lower case, and the value without quotes or None

    Text that is not a directive is ignored (RFC 9111, section 5.2).
    """
    if isinstance(value, bytes):
        value = value.decode('latin-1')
    position, text = 0, value or ''
    while position < len(text):
        match = _DIRECTIVE.match(text, position)
        if match is None:
            comma = text.find(',', position)
            position = comma + 1 if comma >= 0 else len(text)
            continue
        name, quoted, token = match.groups()
        value = _QUOTED_PAIR.sub(r'\1', quoted) if quoted is not None else token
        yield name.lower(), value.strip() if value is not None else None
        position = match.end()


def digits_to_seconds(text: str) -> int | None:
    """Parse a number of seconds (RFC 9111, section 1.2.2); None if the text is not all digits"""
    if not (text.isascii() and text.isdigit()):
        return None
    # Python refuses to parse very long numbers
    return min(int(text[-_MAX_DIGITS:]), MAX_SECONDS) if not text[:-_MAX_DIGITS].strip('0') else MAX_SECONDS


def parse_seconds(value: str | None) -> int | None:
    """Parse a number of seconds, which may be negative; 1 if the value is missing, None if it is not an integer"""
    if value is None:
        return 1
    seconds = digits_to_seconds(value.strip())
    if seconds is not None:
        return seconds
    try:
        return min(max(int(value), -MAX_SECONDS), MAX_SECONDS)
    except ValueError:
        return None


def _numeric_value(name: str, value: str | None) -> int | None:
    """The seconds of a numeric directive; only `max-age` can be negative, for a response that is already stale"""
    if name == 'max_stale' and value is None:
        return ANY_STALENESS_SECONDS
    seconds = parse_seconds(value)
    return seconds if seconds is None or name == 'max_age' else max(seconds, 0)


@frozen(repr=False)
class CacheDirectives(RichMixin):
    """The caching directives of one message; numbers are seconds, None means absent"""

    expires: str | None = field(default=None)
    immutable: bool = field(default=False)
    max_age: int | None = field(default=None)
    max_stale: int | None = field(default=None)
    min_fresh: int | None = field(default=None)
    must_revalidate: bool = field(default=False)
    no_cache: bool = field(default=False)
    no_store: bool = field(default=False)
    actual_no_cache: bool = field(default=False)
    only_if_cached: bool = field(default=False)
    stale_if_error: int | None = field(default=None)
    stale_while_revalidate: int | None = field(default=None)
    etag: str | None = field(default=None)
    last_modified: str | None = field(default=None)

    @classmethod
    def from_headers(cls, headers: Mapping[str, Any]) -> CacheDirectives:
        """Read the directives of a message; the last one is used if a directive is repeated"""
        if not isinstance(headers, CaseInsensitiveDict):
            headers = CaseInsensitiveDict(headers or {})
        fields: dict[str, Any] = {}
        for directive, value in parse_cache_control(headers.get('Cache-Control')):
            name = directive.replace('-', '_')
            if name in _NUMERIC:
                fields[name] = _numeric_value(name, value)
            elif name in _FLAGS:
                fields[name] = True
        return cls(
            expires=_text(headers.get('Expires')),
            etag=_text(headers.get('ETag')),
            last_modified=_text(headers.get('Last-Modified')),
            actual_no_cache=bool(headers.get(NO_CACHE_HEADER)),
            **fields,
        )

    @property
    def has_validator(self) -> bool:
        """Whether a stored response can be validated (RFC 9111, section 4.3.1): it has a validator that can be sent"""
        return is_latin1_line(self.etag) or is_latin1_line(self.last_modified)

    def get_expire_offset(self) -> timedelta:
        """How far `max-stale` or `min-fresh` shifts the expiration"""
        return timedelta(seconds=self.max_stale or -(self.min_fresh or 0))


NO_DIRECTIVES = CacheDirectives()


def lower_names(headers: Mapping[Any, Any]) -> set[Any]:
    """Names of header fields in lower case; makes it fast to look for several fields, most of them absent"""
    return {name.lower() for name in headers}


def request_directives(headers: Mapping[str, Any]) -> CacheDirectives:
    """The directives of a request; fast if there are none, as is usual"""
    if headers.get('Cache-Control') is None and headers.get(NO_CACHE_HEADER) is None:
        return NO_DIRECTIVES
    return CacheDirectives.from_headers(headers)


def _text(value: Any) -> str | None:
    return value.decode('latin-1') if isinstance(value, bytes) else value


def set_request_headers(
    headers: HeaderDict | None,
    expire_after: ExpirationTime,
    only_if_cached: bool,
    refresh: bool,
    force_refresh: bool,
) -> CaseInsensitiveDict[str]:
    """Add options to request headers as directives, for use by other tools; this package does not send them"""
    new = CaseInsensitiveDict(headers or {})
    directives = {
        name if value is None else f'{name}={value}' for name, value in parse_cache_control(new.get('Cache-Control'))
    }
    if expire_after == DO_NOT_CACHE:
        new[NO_CACHE_HEADER] = 'true'
    elif expire_after is not None:
        directives = {d for d in directives if not d.startswith('max-age=')}
        directives.add(f'max-age={get_expiration_seconds(expire_after)}')
    options = {'only-if-cached': only_if_cached, 'must-revalidate': refresh, 'no-cache': force_refresh}
    directives.update(name for name, wanted in options.items() if wanted)
    if directives:
        new['Cache-Control'] = ','.join(sorted(directives))
    return new
