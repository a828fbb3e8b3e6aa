"""The snippets of the README and the guide, and the API that they use"""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from requests_cache.testing.origin import Answer, RecordedRequest, answer, revalidating

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('**/*.md'))]
SNIPPET = re.compile(
    r'(?P<marks>(?:<!-- (?:not run|needs|file): [^>]+-->\n+)*)^```(?P<language>python|console)\n(?P<code>.*?)^```$',
    re.M | re.S,
)
MARK = re.compile(r'<!-- (?P<name>[a-z ]+): (?P<value>[^>]+?) -->')
PROMISE = re.compile(r'^\s*print\(.*\)  # (?P<text>.+)$', re.M)


class Snippet(NamedTuple):
    code: str
    line: int
    language: str
    not_run_because: str = ''
    needs: tuple[str, ...] = ()
    file: str = ''

    def missing(self) -> list[str]:
        """The packages that the snippet needs but that are not installed"""
        return [name for name in self.needs if not find_spec(name)]

    def promised(self) -> list[str]:
        """The lines that comments of the snippet say it prints"""
        return [m['text'] for m in PROMISE.finditer(self.code)]


def snippets(page: Path, language: str = '') -> list[Snippet]:
    """All snippets of a page, or those in one language"""
    text = page.read_text('utf-8')
    all_snippets = []
    for match in SNIPPET.finditer(text):
        marks = dict(MARK.findall(match['marks']))
        snippet = Snippet(
            code=match['code'],
            line=text.count('\n', 0, match.start('code')),
            language=match['language'],
            not_run_because=marks.get('not run', ''),
            needs=tuple(re.findall(r'\w+', marks.get('needs', ''))),
            file=marks.get('file', ''),
        )
        all_snippets.append(snippet)
    return [snippet for snippet in all_snippets if language in ('', snippet.language)]


def example_api(request: RecordedRequest) -> Answer:
    """The answer of the hosts in the documentation: a document about the request, with a validator"""
    url = unquote(request.path.removeprefix('/'))
    path = urlsplit(url).path
    if path.startswith('/redirect'):
        return answer(302, headers=[('Location', url.replace('/redirect', '/target'))])
    if path.startswith('/broken'):
        return answer(503, 'out of order')
    if path.startswith('/missing'):
        return answer(404, 'there is no such page')
    body = json.dumps({'path': path, 'name': 'example', 'items': [1, 2, 3]})
    headers = [('Content-Type', 'application/json'), ('Cache-Control', 'max-age=60'), ('ETag', '"1"')]
    return revalidating(answer(200, body, headers))(request)
