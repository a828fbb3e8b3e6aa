"""The reference pages say what the code says"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from requests_cache import exceptions

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / 'docs' / 'reference'


def test_generated_parts_are_up_to_date() -> None:
    """If this fails, run `python docs/_generate`, and read what it has changed"""
    command = [sys.executable, str(ROOT / 'docs' / '_generate'), '--check']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_index_names_every_page() -> None:
    index = (REFERENCE / 'index.md').read_text('utf-8')
    pages = {path.name for path in REFERENCE.glob('*.md')} - {'index.md'}
    assert set(re.findall(r'\]\((\w[\w-]*\.md)\)', index)) == pages


def test_the_page_about_exceptions_describes_each_one() -> None:
    described = re.findall(r'^### `(\w+)`$', (REFERENCE / 'exceptions.md').read_text('utf-8'), re.M)
    defined = [name for name, value in vars(exceptions).items() if isinstance(value, type)]
    assert described == defined
