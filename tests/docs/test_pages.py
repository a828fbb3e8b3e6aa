"""Links between pages lead somewhere, and the commands of the README are the ones that are run"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / 'README.md', ROOT / 'CHANGELOG.md', *sorted((ROOT / 'docs').glob('**/*.md'))]
LINK = re.compile(r'\[[^\]]*\]\((?!https?:|mailto:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)')
FENCED = re.compile(r'^```.*?^```$', re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The anchors that Markdown viewers derive from headings"""
    headings = re.findall(r'^#+ (.+)$', FENCED.sub('', page.read_text('utf-8')), re.M)
    return {re.sub(r'[^\w\- ]', '', h.lower()).replace(' ', '-') for h in headings}


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in LINK.finditer(FENCED.sub('', page.read_text('utf-8'))):
        target = (page.parent / link['path']).resolve() if link['path'] else page
        if not target.exists() or (link['anchor'] and link['anchor'] not in anchors(target)):
            dead.append(link[0])
    assert dead == []


def test_architecture_names_every_module() -> None:
    described = (ROOT / 'docs' / 'architecture.md').read_text('utf-8')
    modules = [p.relative_to(ROOT / 'requests_cache').as_posix() for p in (ROOT / 'requests_cache').rglob('*.py')]
    assert [m for m in modules if not m.endswith('__init__.py') and f'`{m}`' not in described] == []


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme = (ROOT / 'README.md').read_text('utf-8')
    commands = re.findall(r'^```(?:sh|bash)\n(.+)\n```$', readme, re.M)
    run_quickstart, run_tests = (c for c in commands if c.startswith('python3 -m venv'))
    assert 'examples/quickstart.py' in run_quickstart
    assert (ROOT / '.ci' / 'run').read_text('utf-8').splitlines()[-1] == run_tests
    assert 'pytest' in shlex.split(run_tests)[-1]
