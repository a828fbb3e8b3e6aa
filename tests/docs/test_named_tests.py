"""The tests that pages name as keeping a promise exist; they are read, not run"""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / 'requests_cache'
DOCS = TESTS.parent / 'docs'
FILES = {
    'U': 'unit/test_strict.py',
    'I': 'integration/test_strict.py',
    'C': 'testing/rules/standard.py',
    'R': 'unit/test_ranges.py',
    'P': 'integration/test_partial.py',
}

# Tables whose last column are tests, which may be empty where nothing is promised; and their rows
TABLE = re.compile(r'^\|[^\n]*\| tests? \|\n\|[-| ]+\n((?:\|.*\n)*)', re.M)
ROW = re.compile(r'^\|.*\|\s*(?P<tests>[^|]*?)\s*\|$', re.M)
# A file and what is in it, or only what is in the file of the letter before it
NAME = re.compile(r'\b(?P<letter>[UICRP])\b|`(?:(?P<file>[\w/]+\.py)(?:::)?)?(?P<path>[\w:.*]*)`')


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
    """A file by its path below `tests/` or the package, or by its name, first of all in `tests/faults/`"""
    paths = [path for path in (TESTS / file, TESTS / 'faults' / file, PACKAGE / file) if path.exists()] or list(
        TESTS.rglob(file)
    )
    assert len(paths) == 1, f'{len(paths)} files are named {file}'
    return paths[0]


def exists(name: str, names: set[str]) -> bool:
    """Whether a test or class has a name, which may leave out the beginning, and may end in a star"""
    patterns = [beginning + name.replace('.', '::') for beginning in ('', 'test_', 'test_rfc', 'test_rfc????_')]
    return any(fnmatchcase(part, p) for n in names for part in (n, n.rpartition('::')[2]) for p in patterns)


def named(page: str) -> list[tuple[Path, str]]:
    """Files and names of tests in the last column of the tables of a page"""
    tests: list[tuple[Path, str]] = []
    text = (DOCS / page).read_text('utf-8')
    for row in ROW.finditer(''.join(TABLE.findall(text))):
        file: Path | None = None
        for match in NAME.finditer(row['tests']):
            if match['letter']:
                file = find(FILES[match['letter']])
                tests.append((file, ''))
                continue
            file = find(match['file']) if match['file'] else file
            assert file is not None, f'no file for {match[0]}'
            tests.append((file, match['path']))
        assert file is not None or page == 'http-standard.md', f'no test in {row[0]}'
    return tests


@pytest.mark.parametrize(('page', 'count'), [('reliability.md', 60), ('http-standard.md', 100)])
def test_they_exist(page: str, count: int) -> None:
    tests = named(page)
    assert [f'{file.name}::{name}' for file, name in tests if name and not exists(name, names_in(file))] == []
    assert len(tests) >= count


def defined() -> set[str]:
    """`module.name` for all that the package defines"""
    names = set()
    for path in (TESTS.parent / 'requests_cache').rglob('*.py'):
        module = path.parent.name if path.name == '__init__.py' else path.stem
        for node in ast.walk(ast.parse(path.read_text('utf-8'))):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                names.add(f'{module}.{node.name}')
            elif isinstance(node, ast.Assign):
                names.update(f'{module}.{target.id}' for target in node.targets if isinstance(target, ast.Name))
    return names


def test_functions_that_the_page_about_the_standard_names_exist() -> None:
    text = (DOCS / 'http-standard.md').read_text('utf-8')
    named = {n for table in TABLE.findall(text) for n in re.findall(r'`(?:[a-z_]+\.)*([a-z_]+\.[A-Za-z_]+)`', table)}
    assert len(named) > 30
    assert sorted(n for n in named - defined() if not n.endswith('.py')) == []
