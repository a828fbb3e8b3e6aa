"""Facts about a difference that the rules ask for: settings, pages, what callers got and what the origin received."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from .compare import Difference

Explains = Callable[[Difference], bool]

BODY_ARGUMENTS = ('data', 'json', 'body', 'files')


def on(pattern: str, explains: Explains, kind: type | tuple[type, ...] = object) -> Explains:
    """*explains*, for the fields whose whole path matches *pattern*, where both values are of *kind*."""

    def narrowed(difference: Difference) -> bool:
        fits = isinstance(difference.published, kind) and isinstance(difference.ours, kind)
        return fits and re.fullmatch(pattern, difference.field) is not None and explains(difference)

    return narrowed


def result(difference: Difference, side: str) -> dict[str, Any]:
    """What the step gave the caller, as ``published`` or ``ours``; empty if that was no response."""
    seen = (difference.published_so_far if side == 'published' else difference.ours_so_far)[-1]['result']
    if isinstance(seen, list):  # a look into the cache, which gives the key as well
        seen = next((each for each in seen if isinstance(each, dict) and 'status' in each), {})
    return seen if isinstance(seen, dict) else {}


def responses(difference: Difference) -> list[dict[str, Any]]:
    """The responses that our caller got in this step."""
    seen = difference.ours_so_far[-1]['result']
    given = seen if isinstance(seen, list) else [seen]
    return [each for each in given if isinstance(each, dict) and 'status' in each]


def wire(difference: Difference, side: str) -> list[dict[str, Any]]:
    """What the origin received in this step."""
    entries: list[dict[str, Any]] = getattr(difference, f'{side}_so_far')[-1]['wire']
    return entries


def settings(difference: Difference, name: str) -> Any:
    """A setting as it is at the step."""
    value = difference.scenario['settings'].get(name)
    for step in difference.steps:
        if step['op'] == 'settings' and step['name'] == name:
            value = step['value']
        if step['op'] == 'reopen':
            value = difference.scenario['settings'].get(name)
    return value


def option(difference: Difference, name: str) -> Any:
    """An option of the call."""
    return difference.step.get('options', {}).get(name)


def page_fields(difference: Difference, kind: str = 'headers') -> list[list[str]]:
    """Header fields of the page that the step asks for; with ``headers_304`` those of its 304."""
    page = difference.scenario['site'].get(urlsplit(difference.step.get('url', '')).path, {})
    fields: list[list[str]] = page.get(kind, [])
    return fields


def page_headers(difference: Difference, name: str) -> list[str]:
    """The values of one header on that page."""
    return [value for each, value in page_fields(difference) if each == name]


def hit(difference: Difference, side: str) -> bool:
    return result(difference, side).get('from_cache') is True


def has_body(step: dict[str, Any]) -> bool:
    return any(step.get(name) for name in BODY_ARGUMENTS)


def with_canonical_urls(value: Any) -> Any:
    """*value* with the query of each URL in it as 1.3.3 stores it: sorted, and without blank values."""
    if isinstance(value, str) and value.startswith('http'):
        url, space, rest = value.partition(' ')
        return _canonical(url) + space + rest
    return [with_canonical_urls(each) for each in value] if isinstance(value, list) else value


def _canonical(url: str) -> str:
    parts = urlsplit(url)
    pairs = urlencode(sorted(parse_qsl(parts.query)))
    bare = sorted(piece for piece in parts.query.split('&') if piece and '=' not in piece)
    return parts._replace(query='&'.join(filter(None, [pairs, *bare]))).geturl()


def joined(fields: list[list[str]]) -> list[list[str]]:
    """Repeated fields as one value with commas, as the headers of a response show them."""
    values: dict[str, list[str]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    return [[name, ', '.join(each)] for name, each in values.items()]


def sent_bodies(difference: Difference) -> set[str]:
    """Digests of all the bodies that the origin has sent to ours, decoded and as they were on the wire."""
    entries = [entry for seen in difference.ours_so_far for entry in seen['wire']]
    return {entry[name] for entry in entries for name in ('sent', 'encoded')}


def decodes(difference: Difference) -> bool:
    """Whether bodies are stored decoded: on the filesystem by default, or where a copy is made to it."""
    own = difference.scenario['settings']
    by_default = own['backend'] == 'filesystem' and own.get('decode_content', True)
    return bool(by_default or difference.step.get('backend') == 'filesystem')


def declared(difference: Difference, directive: str) -> bool:
    """Whether the page has a directive that the session obeys."""
    values = page_headers(difference, 'Cache-Control')
    return bool(settings(difference, 'cache_control')) and any(directive in value.lower() for value in values)


def written(difference: Difference) -> str:
    """The `Cache-Control` that the caller wrote."""
    value: str = difference.step.get('headers', {}).get('Cache-Control', '')
    return value


def bare(entries: list[list[Any]]) -> list[Any]:
    """Entries in an order that does not depend on their expiration."""
    return sorted((with_canonical_urls(entry) for entry in entries), key=lambda entry: repr([*entry[:3], entry[4]]))


def without(entries: list[list[Any]], place: int) -> list[Any]:
    """Entries without one of their fields, in some order."""
    return sorted((with_canonical_urls([*entry[:place], *entry[place + 1 :]]) for entry in entries), key=repr)
