"""The tests that pages name as keeping a promise exist; they are read, not run"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / 'docs'
FILES = {'U': 'unit/test_strict.py', 'I': 'integration/test_strict.py'}

ROW = re.compile(r'^\|.*\|\s*(?P<tests>[^|]+?)\s*\|$', re.M)
# A file and what is in it, or only what is in the file of the letter before it
NAME = re.compile(r'\b(?P<letter>[UI])\b|`(?:(?P<file>[\w/]+\.py)(?:::)?)?(?P<path>[\w:]*)`')


@cache
def names_in(file: Path) -> set[str]:
    """`Class`, `Class::test_method` and `test_function` for all that a file defines"""
    tree = ast.parse(file.read_text('utf-8'))
    names = set()
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        for part in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(part, ast.FunctionDef):
                names.add(f'{node.name}::{part.name}')  # type: ignore[attr-defined]
    return names


def find(file: str) -> Path:
    """A file by its path below `tests/`, or by its name in `tests/faults/`"""
    path = TESTS / file if '/' in file else TESTS / 'faults' / file
    assert path.exists(), path
    return path


def named(page: str) -> list[tuple[Path, str]]:
    """Files and names of tests in the last column of the tables of a page"""
    tests = []
    for row in ROW.finditer((DOCS / page).read_text('utf-8')):
        if row['tests'] in ('test', 'tests') or set(row['tests']) <= set('-: '):
            continue
        file: Path | None = None
        for match in NAME.finditer(row['tests']):
            if match['letter']:
                file = find(FILES[match['letter']])
                tests.append((file, ''))
                continue
            file = find(match['file']) if match['file'] else file
            assert file is not None, f'no file for {match[0]}'
            tests.append((file, match['path']))
        assert file is not None, f'no test in {row[0]}'
    return tests


@pytest.mark.parametrize(('page', 'count'), [('reliability.md', 60), ('http-standard.md', 45)])
def test_they_exist(page: str, count: int) -> None:
    tests = named(page)
    assert [f'{file.name}::{name}' for file, name in tests if name and name not in names_in(file)] == []
    assert len(tests) >= count
