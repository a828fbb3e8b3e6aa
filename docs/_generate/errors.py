"""Parts of the page about exceptions"""

from __future__ import annotations

from typing import Any

from requests_cache import exceptions
from requests_cache.exceptions import CacheError


def _all() -> list[Any]:
    return [e for e in vars(exceptions).values() if isinstance(e, type) and issubclass(e, Exception)]


def _bases(cls: Any) -> list[Any]:
    return [base for base in cls.__bases__ if base.__module__ == 'builtins' and base is not Exception]


def tree() -> str:
    lines = []

    def draw(cls: Any, indent: str, branch: str) -> None:
        also = ''.join(f' (also a {base.__name__})' for base in _bases(cls))
        lines.append(f'{indent}{branch}{cls.__name__}{also}')
        below = [e for e in _all() if e.__bases__[0] is cls]
        inner = indent + {'': '', '├── ': '│   ', '└── ': '    '}[branch]
        for each in below:
            draw(each, inner, '└── ' if each is below[-1] else '├── ')

    draw(CacheError, '', '')
    return '```text\n' + '\n'.join(lines) + '\n```'


PARTS = {'tree': tree}
