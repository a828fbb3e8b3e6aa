"""Stored responses that nearly match a request, and the differences"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nsmallest
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from ..backends.mappings import scan
from ..cache_keys import normalize_headers, normalize_url
from ..keys.bodies import REDACTED, read_body
from ..keys.shown import shown_key, shown_url
from ..models.redirects import first_request
from ..models.response import CachedResponse
from ..policy.vary import varied_names
from .exchange import Exchange

MOST_SIMILAR = 3
# With more differences, it is a different resource
MOST_DIFFERENCES = 4
MAX_SHOWN = 60


class Similar(NamedTuple):
    """A stored response for a similar request

    Args:
        url: URL of that request, without secrets
        key: Key of the response
        differences: What differs, as one text for each difference
    """

    url: str
    key: str
    differences: tuple[str, ...]

    def __str__(self) -> str:
        return f'{self.url} (key {self.key}): {"; ".join(self.differences)}'


def most_similar(exchange: Exchange, responses: Any, limit: int) -> tuple[Similar, ...]:
    """The stored responses with the fewest differences from a request

    Args:
        exchange: The exchange
        responses: The storage
        limit: Maximum number of entries to search
    """
    request = _Facts(exchange, exchange.request)
    found = nsmallest(MOST_SIMILAR, _candidates(exchange, request, responses, limit), key=lambda item: item[:2])
    return tuple(similar for _, _, similar in found)


def _candidates(exchange: Exchange, request: _Facts, responses: Any, limit: int) -> Iterator[tuple[int, str, Similar]]:
    for number, (key, response) in enumerate(scan(responses)):
        if number >= limit:
            return
        if not isinstance(response, CachedResponse):
            continue
        stored = first_request(response)
        facts = _Facts(exchange, stored)
        if facts.host != request.host:
            continue
        differences = [*_differences(request, facts), *_variations(exchange, response, stored)]
        if not differences:
            differences = ['stored under a key made with other settings, another serializer or another `verify`']
        if len(differences) <= MOST_DIFFERENCES:
            shown = shown_url(stored.url, exchange.settings.ignored_parameters)
            yield len(differences), shown, Similar(shown, shown_key(key), tuple(differences))


class _Facts:
    """The properties by which two requests are compared"""

    def __init__(self, exchange: Exchange, request: Any):
        settings = exchange.settings
        ignored = tuple(settings.ignored_parameters or ())
        parts = urlsplit(normalize_url(request.url or '', ignored))
        self.method = (request.method or '').upper()
        self.scheme, self.host, self.path = parts.scheme, parts.netloc, parts.path
        self.parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.body = read_body(request.body) or b''
        headers = normalize_headers(request.headers or {}, ignored)
        names: Iterable[str] = headers if settings.match_headers is True else settings.match_headers or ()
        self.headers = {name.lower(): headers.get(name) for name in names}


def _differences(asked: _Facts, stored: _Facts) -> Iterator[str]:
    if asked.method != stored.method:
        yield f'stored for {stored.method}, requested with {asked.method}'
    if asked.scheme != stored.scheme:
        yield f'stored for {stored.scheme}, requested with {asked.scheme}'
    if asked.path != stored.path:
        yield f'stored for the path {_shown(stored.path)}'
    for name in sorted(asked.parameters.keys() | stored.parameters.keys()):
        yield from _of_parameter(name, asked.parameters.get(name), stored.parameters.get(name))
    if asked.body != stored.body:
        yield 'stored for another body'
    for name in sorted(asked.headers.keys() | stored.headers.keys()):
        mine, its = asked.headers.get(name), stored.headers.get(name)
        if mine != its:
            yield f'header `{name}`: stored for {_shown(its)}, asked with {_shown(mine)}'


def _of_parameter(name: str, asked: str | None, stored: str | None) -> Iterator[str]:
    if stored is None:
        yield f'stored without the parameter `{name}`'
    elif asked is None:
        yield f'stored with the parameter `{name}`'
    elif asked != stored and REDACTED not in (asked, stored):
        yield f'parameter `{name}`: stored for {_shown(stored)}, asked for {_shown(asked)}'


def _variations(exchange: Exchange, response: CachedResponse, stored: Any) -> Iterator[str]:
    ignored = {name.lower() for name in exchange.settings.ignored_parameters or ()}
    for name in sorted(varied_names(response)):
        if name == '*':
            yield '`Vary: *`: matches no other request'
            continue
        mine, its = exchange.request.headers.get(name), stored.headers.get(name)
        if mine != its and name not in ignored and not (name == 'accept-encoding' and not exchange.mode.exact_query):
            yield f'`Vary: {name.title()}`: stored for {_shown(its)}, asked for {_shown(mine)}'


def _shown(value: Any) -> str:
    if value is None:
        return 'none'
    text = value.decode('latin-1') if isinstance(value, bytes) else str(value)
    return f'`{text[:MAX_SHOWN]}{"…" if len(text) > MAX_SHOWN else ""}`'
