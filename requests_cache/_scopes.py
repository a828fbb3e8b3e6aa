"""Context managers whose effect is limited to the current thread or task"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class _Scope:
    __slots__ = ('is_over', 'outer', 'value')

    def __init__(self, value: Any, outer: _Scope | None):
        self.value = value
        self.outer = outer
        self.is_over = False


class Scopes:
    """Nested blocks of one kind, each with a value, per thread or task

    A block may be entered in one context and left in another, as in an async fixture. Then contexts that were copied
    from the first one still contain the block, so it is marked as ended for all of them.
    """

    def __init__(self, name: str):
        self._innermost: ContextVar[_Scope | None] = ContextVar(name, default=None)

    @contextmanager
    def enter(self, value: Any) -> Iterator[None]:
        """Enter a block with a value"""
        scope = _Scope(value, self._innermost.get())
        token = self._innermost.set(scope)
        try:
            yield
        finally:
            scope.is_over = True
            try:
                self._innermost.reset(token)
            except ValueError:  # in another context
                pass

    def values(self) -> list[Any]:
        """The values of the blocks around the caller, innermost first"""
        scope, values = self._innermost.get(), []
        while scope is not None:
            if not scope.is_over:
                values.append(scope.value)
            scope = scope.outer
        return values
