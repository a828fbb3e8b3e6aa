"""Parts of the page about serializers"""

from __future__ import annotations

import inspect
from typing import Any

from backends import BACKENDS
from texts import default_of, described, parameters, sentence, table

from requests_cache.serializers.preconf import safe_pickle_serializer
from requests_cache.serializers.registry import SERIALIZERS

# Who can read entries in each format
READABLE = {
    'pickle': 'Python; read without running any code',
    'json': 'people and all programs',
    'ujson': 'people and all programs',
    'orjson': 'people and all programs',
    'yaml': 'people and most programs',
    'bson': 'programs with a BSON library',
}


def _defaults() -> dict[str, list[str]]:
    """Titles of the backends that have each serializer as their default, by its name"""
    found: dict[str, list[str]] = {}
    for backend in BACKENDS.values():
        parameter = parameters(backend.storage.__init__).get('serializer')
        if parameter is not None:
            found.setdefault(parameter.default.name, []).append(backend.title)
    return found


def by_name() -> str:
    if set(READABLE) != set(SERIALIZERS):
        raise ValueError(
            f'READABLE must have the same names as SERIALIZERS, but differs in {set(READABLE) ^ set(SERIALIZERS)}'
        )
    defaults = _defaults()
    rows = [_row(name, SERIALIZERS[name], defaults.get(name, [])) for name in READABLE]
    return table(('`serializer=`', 'object', 'result', 'can be read by', 'default of', 'to install'), rows)


def _row(name: str, pipeline: Any, defaults: list[str]) -> tuple[str, ...]:
    extras = [f"`pip install 'requests-cache[{extra}]'`" for _, extra in pipeline.requires]
    kind = 'bytes' if pipeline.is_binary else 'text'
    return f'`{name}`', f'`{name}_serializer`', kind, READABLE[name], ', '.join(defaults), ', '.join(extras)


def documents() -> str:
    rows = [(f'`{n}_serializer`', ', '.join(titles)) for n, titles in _defaults().items() if n not in SERIALIZERS]
    return table(('object', 'default of'), rows)


def signed() -> str:
    texts, found = described(safe_pickle_serializer), parameters(safe_pickle_serializer)
    assert inspect.isfunction(safe_pickle_serializer)
    rows = [(f'`{name}`', default_of(name, p.default), sentence(texts[name])) for name, p in found.items()]
    return table(('argument', 'default', 'what it does'), rows)


PARTS = {'by-name': by_name, 'documents': documents, 'signed': signed}
