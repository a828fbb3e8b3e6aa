"""Checks the built site: links lead somewhere, pictures have a text, and others can link to all public names

python docs/_check_site.py docs/_build
"""

from __future__ import annotations

import inspect
import sys
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests_cache

# Lines of the inventory (`objects.inv`) that are not compressed
HEADER_LINES = 4
# Made by the theme
NOT_PAGES = {'genindex.html', 'py-modindex.html', 'search.html'}


class Page(HTMLParser):
    """What a page links to, and what can be linked to on it"""

    def __init__(self, path: Path):
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.without_text: list[str] = []
        self.feed(path.read_text('utf-8'))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.ids.add(values.get('id') or '')
        if tag == 'a' and values.get('href'):
            self.links.append(str(values['href']))
        if tag == 'img' and not values.get('alt'):
            self.without_text.append(str(values.get('src')))


def dead_links(site: Path) -> Iterator[str]:
    """Links within the site that lead nowhere, and pictures without a text"""
    pages = {path.resolve(): Page(path) for path in site.rglob('*.html')}
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        for source in page.without_text:
            yield f'{name}: the picture {source} has no text'
        for link in () if name.name in NOT_PAGES else page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            anchor = unquote(url.fragment)
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].ids):
                yield f'{name}: {link} leads nowhere'


def undescribed(site: Path) -> Iterator[str]:
    """Public classes and functions that the API reference does not describe"""
    *_, compressed = (site / 'objects.inv').read_bytes().split(b'\n', HEADER_LINES)
    names = {line.split(' ', 1)[0] for line in zlib.decompress(compressed).decode().splitlines()}
    for name in requests_cache.__all__:
        value = getattr(requests_cache, name)
        if (inspect.isclass(value) or inspect.isfunction(value)) and f'requests_cache.{name}' not in names:
            yield f'reference/api.md: {name} is not described'


if __name__ == '__main__':
    site = Path(sys.argv[1])
    sys.exit('\n'.join([*dead_links(site), *undescribed(site)]) or 0)
