"""Directives in strict mode: all those of RFC 9111 (section 5.2), RFC 5861 and RFC 8246"""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import lru_cache
from typing import Any, NamedTuple

from requests.structures import CaseInsensitiveDict

from ..directives import ANY_STALENESS_SECONDS, digits_to_seconds, parse_cache_control

INVALID = -1
MAX_REMEMBERED_LENGTH = 500
_NUMERIC = frozenset(('max_age', 's_maxage', 'max_stale', 'min_fresh', 'stale_if_error', 'stale_while_revalidate'))
_FLAGS = frozenset(
    ('immutable', 'must_revalidate', 'must_understand', 'no_store', 'only_if_cached', 'proxy_revalidate', 'public')
)
# Directives that may list the header fields to which they apply
_QUALIFIED = frozenset(('no_cache', 'private'))


class StrictDirectives(NamedTuple):
    """The directives of one message; numbers are seconds, None means absent, INVALID means not a number

    Args:
        no_cache_fields, private_fields: Header fields, in lower case, that the qualified form lists
    """

    max_age: int | None = None
    s_maxage: int | None = None
    max_stale: int | None = None
    min_fresh: int | None = None
    stale_if_error: int | None = None
    stale_while_revalidate: int | None = None
    immutable: bool = False
    must_revalidate: bool = False
    must_understand: bool = False
    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    private: bool = False
    proxy_revalidate: bool = False
    public: bool = False
    no_cache_fields: frozenset[str] = frozenset()
    private_fields: frozenset[str] = frozenset()


def parse_directives(text: str | bytes) -> StrictDirectives:
    """Parse a field value; the first number is used if a directive is repeated (section 4.2.1)"""
    return _parse(text) if len(text) <= MAX_REMEMBERED_LENGTH else _parse.__wrapped__(text)


@lru_cache(maxsize=256)
def _parse(text: str | bytes) -> StrictDirectives:
    values: dict[str, Any] = {}
    for directive, value in parse_cache_control(text):
        name = directive.replace('-', '_')
        if name in _NUMERIC:
            values.setdefault(name, _seconds(name, value))
        elif name in _QUALIFIED:
            _add_qualified(values, name, value)
        elif name in _FLAGS:
            values[name] = True
    return StrictDirectives(**values)


NO_STRICT_DIRECTIVES = StrictDirectives()


def request_directives(headers: Mapping[str, Any], names: Set[str]) -> StrictDirectives:
    """The directives of a request; `Pragma` is used if there is no `Cache-Control` (section 5.4)

    Args:
        headers: Header fields of the request
        names: Their names in lower case
    """
    text = headers.get('Cache-Control') if 'cache-control' in names else None
    if text is not None:
        return parse_directives(text)
    pragma = headers.get('Pragma') if 'pragma' in names else None
    if pragma is not None and any(name == 'no-cache' for name, _ in parse_cache_control(pragma)):
        return StrictDirectives(no_cache=True)
    return NO_STRICT_DIRECTIVES


def response_directives(headers: Mapping[str, Any]) -> StrictDirectives:
    """The directives of a response"""
    text = headers.get('Cache-Control')
    return parse_directives(text) if text is not None else NO_STRICT_DIRECTIVES


def _seconds(name: str, value: str | None) -> int:
    if value is None:
        return ANY_STALENESS_SECONDS if name == 'max_stale' else INVALID
    seconds = digits_to_seconds(value)
    return seconds if seconds is not None else INVALID


def _add_qualified(values: dict[str, Any], name: str, value: str | None) -> None:
    fields = frozenset(part.strip().lower() for part in (value or '').split(',') if part.strip())
    if fields:
        values[f'{name}_fields'] = values.get(f'{name}_fields', frozenset()) | fields
    else:
        values[name] = True


def named_by_connection(headers: Mapping[str, Any]) -> frozenset[str]:
    """Header fields, in lower case, that are listed in `Connection` (RFC 9110, section 7.6.1)"""
    case_insensitive = headers if isinstance(headers, CaseInsensitiveDict) else CaseInsensitiveDict(headers)
    return frozenset(n.strip().lower() for n in str(case_insensitive.get('Connection') or '').split(',') if n.strip())
