"""The page about a cache"""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from requests_cache.backends.base import BaseCache
from requests_cache.cli.report import Report, make_report
from requests_cache.policy.expiration import utcnow
from requests_cache.testing.values import make_response

HOSTILE = '</script><script>document.title="run"</script><!--<img src=x onerror="document.title=\'run\'">&amp;'


class Page(HTMLParser):
    """The tags of a page, its scripts, and its policy"""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.policy = ''
        self._in_script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._in_script = tag == 'script'
        if self._in_script:
            self.scripts.append('')
        if ('http-equiv', 'Content-Security-Policy') in attributes:
            self.policy = dict(attributes)['content'] or ''

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


def fill(cache: BaseCache, count: int) -> None:
    now = utcnow()
    for number in range(count):
        url = f'https://host-{number % 7}.example.com/{number}?api_key=hidden&text={HOSTILE}'
        response = make_response(
            number,
            content=b'x' * (number * 37 % 5_000),
            url=url,
            created_at=now - timedelta(hours=number),
            expires=[None, now + timedelta(days=1), now - timedelta(days=1)][number % 3],
            headers={'Content-Type': f'text/{HOSTILE}' if number % 5 == 0 else 'text/html; charset=utf-8'},
        )
        cache.responses[f'{number:016x}'] = response


def test_nothing_stored_can_end_the_data() -> None:
    cache = BaseCache()
    fill(cache, 10)
    page = Page(make_report(cache, f'cache {HOSTILE}'))
    assert page.tags.count('script') == 2
    assert page.tags.count('img') == 0
    data = json.loads(page.scripts[0])
    assert data['name'] == f'cache {HOSTILE}'
    assert data['totals'] == {
        'entries': 10,
        'bytes': sum(n * 37 % 5_000 for n in range(10)),
        'expired': 3,
        'unreadable': 0,
    }
    assert data['rows'][0][0].endswith('REDACTED&text=' + HOSTILE)
    assert 'hidden' not in page.scripts[0]


def test_only_the_script_of_the_page_may_run() -> None:
    page = Page(make_report(BaseCache(), 'empty'))
    digest = b64encode(sha256(page.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.policy
    assert "default-src 'none'" in page.policy
    html = make_report(BaseCache(), 'empty')
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert not re.search(r'innerHTML|insertAdjacentHTML|document\.write|eval\(', html)


def test_what_is_listed_is_bounded() -> None:
    report = Report('cache', max_rows=5)
    cache = BaseCache()
    fill(cache, 20)
    for response in cache.filter():
        report.add(response)
    report.add_unreadable()
    data = json.loads(Page(report.html()).scripts[0])
    assert (data['totals']['entries'], data['totals']['unreadable'], len(data['rows'])) == (20, 1, 5)
    assert [row[7] for row in data['rows']] == [f'{number:016x}' for number in range(5)]


@pytest.fixture
def browser() -> Iterator[Any]:
    """Chromium, driven by playwright"""
    executable = shutil.which('chromium')
    if executable is None:
        pytest.skip('there is no Chromium on this machine')
    sync_api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=['--no-sandbox'])
        yield chromium
        chromium.close()


@pytest.mark.parametrize(('scheme', 'width'), [('light', 1200), ('dark', 360)])
def test_in_a_browser(scheme: str, width: int, browser: Any, tmp_path: Path) -> None:
    cache = BaseCache()
    fill(cache, 300)
    path = tmp_path / 'report.html'
    path.write_text(make_report(cache, 'my_cache.sqlite'), 'utf-8')
    page = browser.new_page(viewport={'width': width, 'height': 800}, color_scheme=scheme)
    said: list[str] = []
    page.on('console', lambda message: said.append(message.text))
    page.on('pageerror', lambda error: said.append(str(error)))
    page.on(
        'request', lambda request: said.append(request.url) if not request.url.startswith(('file:', 'data:')) else None
    )
    page.goto(path.as_uri())
    assert page.title() == 'Cache my_cache.sqlite'
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    assert page.evaluate('document.documentElement.dataset.theme') == scheme
    assert page.inner_text('#count') == '300 of 300'
    page.fill('#search', 'host-3 text/html')
    assert page.inner_text('#count') == f'{sum(n % 7 == 3 and n % 5 != 0 for n in range(300))} of 300'
    page.fill('#search', '')
    page.select_option('#freshness', 'stale')
    assert page.inner_text('#count') == '100 of 300'
    page.select_option('#freshness', '')
    page.focus('th:nth-child(5) button')
    page.keyboard.press('Enter')
    assert page.get_attribute('th:nth-child(5)', 'aria-sort') == 'descending'
    assert page.inner_text('tbody tr:first-child td:nth-child(5)') == '5.0 kB'
    page.keyboard.press('Enter')
    assert page.inner_text('tbody tr:first-child td:nth-child(5)') == '0 B'
    page.click('#on')
    assert page.inner_text('#page') == 'Page 2 of 3'
    page.click('#theme')
    assert page.evaluate('document.documentElement.dataset.theme') != scheme
    assert page.title() == 'Cache my_cache.sqlite'
    assert said == []
