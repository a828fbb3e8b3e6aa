"""Blocks in which something applies, for the thread or task that enters them"""

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
    """The blocks of one kind that threads and tasks are in, each with a value

    A block may be left in another context than it was entered in, as the two halves of an async fixture are. Contexts
    that were copied from the first one go on with the block, then, so it is marked as over for all of them.
    """

    def __init__(self, name: str):
        self._innermost: ContextVar[_Scope | None] = ContextVar(name, default=None)

    @contextmanager
    def enter(self, value: Any) -> Iterator[None]:
        """A block with a value"""
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
        """Values of the blocks that the caller is in, innermost first"""
        scope, values = self._innermost.get(), []
        while scope is not None:
            if not scope.is_over:
                values.append(scope.value)
            scope = scope.outer
        return values
