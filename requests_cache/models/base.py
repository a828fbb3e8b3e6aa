"""Base classes of the models: a short `repr`, and fields that are built on first access"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

import attrs


class RichMixin:
    """Shows the fields of an attrs class that differ from their defaults, in `repr()` and in the `rich` library"""

    def _repr_fields(self) -> Iterator[tuple[str, Any]]:
        fields: Any = attrs.fields(type(self))  # type: ignore[arg-type]
        for attribute in sorted(fields, key=lambda a: str(a.name)):
            value = getattr(self, attribute.name)
            if not _is_default(value, attribute.default):
                yield attribute.name, value

    def __repr__(self) -> str:
        return f'{type(self).__name__}({", ".join(f"{k}={_show(v)}" for k, v in self._repr_fields())})'

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        for name, value in self._repr_fields():
            yield name, str(value) if isinstance(value, datetime) else value


def _is_default(value: Any, default: Any) -> bool:
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = None if default.takes_self else default.factory()
    try:
        return bool(value == default)
    except Exception:  # comparing objects of unknown classes may raise anything
        return False


def _show(value: Any) -> str:
    return repr(str(value)) if isinstance(value, datetime) else repr(value)


class LazyFields:
    """Fields that are built from a stored record on first access

    A hit usually needs only a few fields. Building headers, cookies, history and the request every time would cost
    more than reading the entry. A field that is not in the instance's `__dict__` is built by its builder, then kept.
    """

    _builders: ClassVar[Mapping[str, Callable[[Any, dict[str, Any]], Any]]] = {}

    def __getattr__(self, name: str) -> Any:
        builder = type(self)._builders.get(name)
        if builder is None:
            raise AttributeError(f'{type(self).__name__!r} object has no attribute {name!r}')
        value = builder(self, self.__dict__.get('_record') or {})
        object.__setattr__(self, name, value)
        return value

    def header(self, name: str) -> Any:
        """The value of a header field, or None; does not build `headers` of a new hit, and so is faster

        Args:
            name: Its name; fastest in its usual spelling
        """
        if 'headers' in self.__dict__ or '_record' not in self.__dict__:
            return self.headers.get(name)
        fields = self._record.get('headers') or {}
        if name in fields:
            return fields[name]
        return dict(zip(map(str.lower, fields), fields.values(), strict=True)).get(name.lower())

    def _materialize(self) -> None:
        """Build all fields that have not been accessed yet, and drop the record"""
        for name in type(self)._builders:
            getattr(self, name)
        self.__dict__.pop('_record', None)
