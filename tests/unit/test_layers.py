"""The shape of the code: layers, imports without circles, files and functions that can be read at one sitting"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = 'requests_cache'

# Lowest first; a name stands for a module, or for a package and all that is in it and not named itself.
LAYERS = {
    'ground': ['exceptions', '_scopes', '_utils', 'policy.expiration', 'policy.standard.http_date'],
    'models': ['models'],
    'keys': ['cache_keys', 'keys'],
    'policy': ['policy'],
    'serializers': ['serializers'],
    'backends': ['backends'],
    'engine': ['engine'],
    'face': ['patcher', 'session'],
    'tools': ['cli', 'testing', 'observe', '__main__'],
    'root': ['__init__'],
}
RANKS = {name: rank for rank, names in enumerate(LAYERS.values()) for name in names}

MAX_FILE_LINES, MAX_RULE_FILE_LINES, MAX_FUNCTION_LINES = 500, 300, 40
LONGER_FILES: dict[str, str] = {}
LONGER_FUNCTIONS = {'requests_cache.session:__init__': 'the published signature takes half of it'}

SOURCES = {
    '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): path
    for path in sorted((ROOT / PACKAGE).rglob('*.py'))
}
TREES = {name: ast.parse(path.read_text('utf-8')) for name, path in SOURCES.items()}


def is_package(module: str) -> bool:
    return module in SOURCES and SOURCES[module].name == '__init__.py'


def rank(module: str) -> int | None:
    """The place of a module in the table; None for one that nobody gave a place"""
    name = module.removeprefix(f'{PACKAGE}.') if '.' in module else '__init__'
    return RANKS.get(name, RANKS.get(name.partition('.')[0]))


def height(module: str) -> int:
    place = rank(module)
    return len(LAYERS) if place is None else place


def imports(module: str) -> Iterator[tuple[int, str, str | None]]:
    """Every import of ours in a module, wherever it stands: line, module, and the name taken from it"""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, None) for alias in node.names if alias.name.split('.')[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom):
            source = absolute(module, node.level, node.module or '')
            if source.split('.')[0] == PACKAGE:
                yield from ((node.lineno, source, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and 'import_module' in ast.unparse(node.func) and node.args:
            target = node.args[0]
            if isinstance(target, ast.Constant) and str(target.value).split('.')[0] == PACKAGE:
                yield node.lineno, target.value, None


def absolute(module: str, level: int, source: str) -> str:
    if not level:
        return source
    parts = module.split('.') if is_package(module) else module.split('.')[:-1]
    return '.'.join([*parts[: len(parts) - level + 1], *filter(None, [source])])


def edges(module: str) -> Iterator[tuple[int, str, bool]]:
    """Line and target of every import, and whether a name is taken from a package instead of where it is defined"""
    for line, source, name in imports(module):
        if name and f'{source}.{name}' in SOURCES:
            yield line, f'{source}.{name}', False
        else:
            yield line, source, bool(name) and is_package(source) and name not in defined_names(source)


@cache
def defined_names(module: str) -> frozenset[str]:
    """Names that a module defines, and does not only import"""
    names = set()
    for node in TREES[module].body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return frozenset(names)


def where(module: str, line: int) -> str:
    return f'{SOURCES[module].relative_to(ROOT)}:{line}'


def test_the_package_is_there() -> None:
    assert {f'{PACKAGE}.session', f'{PACKAGE}.backends.sqlite', f'{PACKAGE}.policy.freshness'} <= set(SOURCES)


def test_every_module_has_a_layer() -> None:
    assert [module for module in SOURCES if rank(module) is None] == []


def test_imports_go_down_or_sideways() -> None:
    upwards = [
        f'{where(module, line)} imports {target}'
        for module in SOURCES
        for line, target, _ in edges(module)
        if height(target) > height(module)
    ]
    assert upwards == []


def test_names_are_imported_from_the_module_that_defines_them() -> None:
    """Only a package's own `__init__` may offer again what the packages below offer"""
    detours = [
        f'{where(module, line)} imports from the package {target}'
        for module in SOURCES
        for line, target, from_package in edges(module)
        if from_package and not is_package(module)
    ]
    assert detours == []


def test_there_are_no_circles() -> None:
    graph = {module: {target for _, target, _ in edges(module)} - {module} for module in SOURCES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as e:
        pytest.fail(' -> '.join(reversed(e.args[1])))


def test_files_are_short() -> None:
    long = {}
    for module, path in SOURCES.items():
        limit = MAX_RULE_FILE_LINES if module.startswith(f'{PACKAGE}.policy.') else MAX_FILE_LINES
        lines = len(path.read_text('utf-8').splitlines())
        if lines > limit and module not in LONGER_FILES:
            long[module] = f'{lines} of {limit} lines'
    assert long == {}
    assert set(LONGER_FILES) <= set(SOURCES)


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f'{module}:{node.name}', node


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, less the docstring: the reference of a public function may take its room"""
    first = node.body[0]
    has_docstring = ast.get_docstring(node) is not None
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if has_docstring else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring


def test_functions_are_short() -> None:
    lengths = {name: code_lines(node) for name, node in functions()}
    assert {n: x for n, x in lengths.items() if x > MAX_FUNCTION_LINES and n not in LONGER_FUNCTIONS} == {}
    assert set(LONGER_FUNCTIONS) <= set(lengths)
