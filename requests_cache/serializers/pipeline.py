"""Serializers as chains of stages"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from .._utils import takes_argument
from ..exceptions import MissingDependencyError


class _Module:
    """Replaces a module when an object is pickled or copied, as modules cannot be"""

    def __init__(self, module: ModuleType):
        self.name = module.__name__


def _without_module(value: Any) -> Any:
    return _Module(value) if isinstance(value, ModuleType) else value


def _with_module(value: Any) -> Any:
    return import_module(value.name) if isinstance(value, _Module) else value


class Stage:
    """One step of a serializer

    Args:
        obj: An object (or module) with methods for serializing and deserializing
        dumps: A function that serializes a value, or the name of a method of `obj`
        loads: A function that deserializes a value, or the name of a method of `obj`
        takes_key: Call both functions with the value and the key of the entry, which is None if it is unknown
    """

    takes_key = False
    dumps: Callable[..., Any]
    loads: Callable[..., Any]

    def __init__(
        self,
        obj: Any = None,
        dumps: str | Callable[..., Any] = 'dumps',
        loads: str | Callable[..., Any] = 'loads',
        takes_key: bool = False,
    ):
        self.obj = obj
        self.dumps = getattr(obj, dumps) if isinstance(dumps, str) else dumps
        self.loads = getattr(obj, loads) if isinstance(loads, str) else loads
        if takes_key:
            self.takes_key = True

    def copy(self) -> Stage:
        return copy(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: _without_module(value) for name, value in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: _with_module(value) for name, value in state.items()})


class SerializerPipeline:
    """A chain of stages. `dumps` runs them from first to last, `loads` from last to first.

    If a stage has a true attribute `takes_key`, its methods are called with the key of the entry as a second argument,
    so that their result can belong to that entry only. All others are called with the value alone.

    Args:
        stages: Stages, pipelines, or any objects with `dumps(value)` and `loads(value)`
        name: A short name. It is part of the cache keys of all entries that are stored with this serializer.
        is_binary: Whether the result is bytes
        requires: Libraries that the stages need, as pairs `(library, extra)`
    """

    # Whether the key is passed on to the stages; false for a subclass that defines `dumps(value)` or `loads(value)`
    takes_key = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = [cls.__dict__[name] for name in ('dumps', 'loads') if name in cls.__dict__]
        if own:
            cls.takes_key = all(takes_argument(function, 'key') for function in own)

    def __init__(
        self,
        stages: Iterable[Any],
        name: str | None = None,
        is_binary: bool = False,
        requires: Iterable[tuple[str, str]] = (),
    ):
        self.stages = list(stages)
        self.name = name
        self.is_binary = is_binary
        self.requires = tuple(requires)

    @property
    def dump_stages(self) -> list[Callable[..., Any]]:
        return [stage.dumps for stage in self.stages]

    @property
    def load_stages(self) -> list[Callable[..., Any]]:
        return [stage.loads for stage in reversed(self.stages)]

    @property
    def piece_stages(self) -> tuple[Any, ...]:
        """Stages that are also applied to each piece of a large body, with the place of the piece as the key"""
        found: list[Any] = []
        for stage in self.stages:
            found += stage.piece_stages if isinstance(stage, SerializerPipeline) else ()
            found += (stage,) if getattr(stage, 'takes_pieces', False) else ()
        return tuple(found)

    @property
    def takes_buffers(self) -> bool:
        """Whether `loads` also takes bytes where `dumps` makes text"""
        return all(getattr(stage, 'takes_buffers', False) for stage in self.stages)

    def dumps(self, value: Any, key: Any = None) -> Any:
        """Serialize a value with all stages

        Args:
            value: A response, or any value that the first stage accepts
            key: Key of the entry, for stages that need it
        """
        try:
            return self._dumps(value, key)
        except Exception:
            if not self._decodes_content:
                raise
            # The format may not support a value in the readable copy, such as an integer of more than 64 bits
            plain = self.copy()
            plain.set_decode_content(False)
            return plain._dumps(value, key)

    def _dumps(self, value: Any, key: Any) -> Any:
        for stage in self.stages:
            value = stage.dumps(value, key) if getattr(stage, 'takes_key', False) else stage.dumps(value)
        return value

    def loads(self, value: Any, key: Any = None) -> Any:
        """Run the value through all stages in reverse order; `key` as for `dumps`"""
        for stage in reversed(self.stages):
            value = stage.loads(value, key) if getattr(stage, 'takes_key', False) else stage.loads(value)
        return value

    def copy(self) -> SerializerPipeline:
        """A copy with its own stages, so that changing the settings of one does not change the other"""
        other = copy(self)
        other.stages = [copy(stage) if hasattr(stage, 'decode_content') else stage for stage in self.stages]
        return other

    @property
    def _decodes_content(self) -> bool:
        return any(getattr(stage, 'decode_content', False) for stage in self.stages)

    def set_decode_content(self, decode_content: bool) -> None:
        """Say whether to add a readable copy of JSON and text bodies, on all stages that have that option"""
        for stage in self.stages:
            if hasattr(stage, 'decode_content'):
                stage.decode_content = decode_content

    def check_requirements(self) -> None:
        """Raise `MissingDependencyError` if a library that this serializer needs is not installed"""
        for library, extra in self.requires:
            if find_spec(library) is None:
                raise MissingDependencyError(f'The serializer {self.name!r}', library, extra)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, 'stages': [_without_module(stage) for stage in self.stages]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, stages=[_with_module(stage) for stage in state['stages']])

    def __str__(self) -> str:
        return f'SerializerPipeline(name={self.name}, n_stages={len(self.stages)})'

    __repr__ = __str__


SerializerType = str | SerializerPipeline | Stage
