"""An HTML page about a cache: a single file, in which nothing that is stored can run

Stored text is not to be trusted. The page holds it as JSON in which no tag can begin, and its script shows it as text
only. The `Content-Security-Policy` of the page allows no other script and no connections.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from hashlib import sha256
from heapq import heappush, heappushpop
from html import escape
from importlib.resources import files
from typing import Any

from ...backends.summary import NONE, OTHER, Counting, Tally, content_type_of
from ...keys.shown import shown_key, shown_url
from ...models.response import CachedResponse
from ...policy.expiration import utcnow

# Rows in the table; if there are more entries, the latest ones are listed
MAX_ROWS = 50_000
_LABELS = {NONE: '(none)', OTHER: '(others)'}


class Report:
    """Collects what the page shows; entries are added one by one, and take little memory

    Args:
        name: The name of the cache on the page
        max_rows: How many entries to list at most
    """

    def __init__(self, name: str, max_rows: int = MAX_ROWS):
        self._name = name
        self._max_rows = max_rows
        self._counting = Counting(utcnow())
        self._rows: list[tuple[float, int, list[Any]]] = []

    def add(self, response: CachedResponse) -> None:
        """Count an entry, and list it unless there are enough later ones"""
        key, size, request = response.cache_key, response.size, response.request
        url = shown_url(response.url or request.url or '')
        self._counting.add(key, response, url)
        content_type = _label(content_type_of(response))
        received = response.created_at.timestamp()
        expires = None if response.expires is None else round(response.expires.timestamp())
        row = [
            *(url, request.method or '', response.status_code, content_type, size),
            *(round(received), expires, shown_key(key)),
        ]
        item = (received, self._counting.total[0], row)
        if len(self._rows) < self._max_rows:
            heappush(self._rows, item)
        elif self._max_rows:
            heappushpop(self._rows, item)

    def add_unreadable(self) -> None:
        """Count an entry that cannot be read"""
        self._counting.unreadable += 1

    def html(self) -> str:
        """The page as HTML"""
        counting = self._counting
        entries, n_bytes = counting.total
        n_expired, unreadable = counting.expired[0], counting.unreadable
        data = {
            'name': self._name,
            'madeAt': round(counting.now.timestamp()),
            'totals': {'entries': entries, 'bytes': n_bytes, 'expired': n_expired, 'unreadable': unreadable},
            'groups': {'host': _labelled(counting.hosts.result()), 'type': _labelled(counting.types.result())},
            'rows': [row for _, _, row in sorted(self._rows, reverse=True)],
        }
        page, style, script = (_resource(f'page.{suffix}') for suffix in ('html', 'css', 'js'))
        digest = b64encode(sha256(script.encode()).digest()).decode()
        parts = {
            'title': escape(f'Cache {self._name}'),
            'policy': f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
            'style': style,
            'data': as_script_data(data),
            'script': script,
        }
        for name, text in parts.items():
            page = page.replace(f'<!--{name}-->', text, 1)
        return page


def make_report(cache: Any, name: str, max_rows: int = MAX_ROWS, progress: Callable[[], object] | None = None) -> str:
    """Make an HTML page about a cache

    Args:
        cache: The cache
        name: The name of the cache on the page
        max_rows: How many entries to list at most; all are counted
        progress: Called after each entry
    """
    report = Report(name, max_rows)
    entries: Iterable[tuple[str, CachedResponse | None]] = cache._entries()
    for _, response in entries:
        if response is None:
            report.add_unreadable()
        else:
            report.add(response)
        if progress is not None:
            progress()
    return report.html()


def as_script_data(data: Any) -> str:
    """JSON that is safe in a `script` element: it cannot end the element or begin a comment"""
    text = json.dumps(data, separators=(',', ':'), ensure_ascii=True)
    return text.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026')


def _label(name: str) -> str:
    return _LABELS.get(name, name)


def _labelled(tallies: dict[str, Tally]) -> dict[str, Tally]:
    return {_label(name): tally for name, tally in tallies.items()}


def _resource(name: str) -> str:
    return files(__name__).joinpath(name).read_text('utf-8')
