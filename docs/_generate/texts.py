"""Reading docstrings and signatures, and writing them as Markdown"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ARGUMENT = re.compile(r'^(?P<names>\w+(?:, \w+)*): ')
# Defaults that are too long to show, with what is shown instead
SHOWN_DEFAULTS = {'ignored_parameters': '`DEFAULT_IGNORED_PARAMS`'}
# Type aliases, which are replaced by their meaning so that readers need not look them up
ALIASES = {
    'BackendSpecifier': 'str | BaseCache | type[BaseCache]',
    'CodesExpireAfter': 'dict[int | str, ExpirationTime]',
    'ExpirationPatterns': 'dict[ExpirationPattern, ExpirationTime]',
    'FilterCallback': 'Callable[[Response], bool]',
    'KeyCallback': 'Callable[..., str]',
    'SerializerType | Any': 'str | SerializerPipeline | object',
    'SerializerType': 'str | SerializerPipeline | Stage',
    'StrOrPath': 'str | Path',
    'UrlSettings': 'dict[ExpirationPattern, dict[str, Any]]',
}


def described(obj: Any) -> dict[str, str]:
    """The texts of the section `Args` of a docstring, by the names of arguments"""
    lines = (inspect.getdoc(obj) or '').splitlines()
    if 'Args:' not in lines:
        return {}
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in lines[lines.index('Args:') + 1 :]:
        if line and not line.startswith(' '):
            break
        text = line[4:]
        match = ARGUMENT.match(text)
        if match and not text.startswith(' '):
            names = match['names'].split(', ')
            texts.update(dict.fromkeys(names, text[match.end() :]))
        elif text.strip():
            texts.update({name: f'{texts[name]} {text.strip()}' for name in names})
    return texts


def first_line(obj: Any) -> str:
    """The first line of a docstring"""
    return (inspect.getdoc(obj) or '').partition('\n')[0]


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    """Parameters by name, without `self`, `*args` and `**kwargs`"""
    found = inspect.signature(function).parameters
    return {n: p for n, p in found.items() if n != 'self' and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


def type_of(annotation: Any) -> str:
    """An annotation, as Markdown"""
    text = str(annotation)
    for name, meaning in ALIASES.items():
        text = re.sub(rf'\b{re.escape(name)}(?!\w)', meaning, text)
    return f'`{text}`'


def default_of(name: str, value: Any) -> str:
    """A default, as Markdown"""
    if name in SHOWN_DEFAULTS:
        return SHOWN_DEFAULTS[name]
    if type(value).__name__ == '_Nothing' or (value is not None and 'attr' in type(value).__module__):
        return '`{}`'
    return f'`{value!r}`'


def sentence(text: str) -> str:
    """Text that ends with a full stop"""
    return text if text.endswith(('.', '…', '?')) else f'{text}.'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown"""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join('| ' + ' | '.join(cell.replace('|', r'\|') for cell in line) + ' |' for line in lines)


@cache
def _surface() -> Any:
    return json.loads((ROOT / 'tests' / 'compat' / 'api_1.3.json').read_text('utf-8'))


def is_published(module: str, name: str) -> bool:
    """Whether a module of requests-cache 1.3 defines a class"""
    return 'parameters' in _surface()[module].get(name, {})


def published(module: str, name: str) -> frozenset[str]:
    """Names of the parameters of a class or method of requests-cache 1.3"""
    found: Any = {'members': _surface()[module]}
    for part in name.split('.'):
        found = found['members'][part]
    return frozenset(parameter[0] for parameter in found['parameters'])


def since(name: str, known: frozenset[str]) -> str:
    """Whether a keyword is new, or was in 1.3 already"""
    return 'as in 1.3' if name in known else 'new in 1.4'
