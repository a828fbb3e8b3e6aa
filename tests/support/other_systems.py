"""Simulations of other operating systems"""

from __future__ import annotations

import errno
import importlib.util
import itertools
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import requests_cache


class ManualClock:
    """A clock that only `sleep()` moves forward"""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Refusals:
    """Makes the system refuse operations on files, as Windows does while another program has them open

    Args:
        monkeypatch: Undoes the changes after the test
        directory: The directory of these files
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path):
        self._monkeypatch = monkeypatch
        self._directory = str(directory)
        self.count = 0

    def start(self, function: str, times: int | None) -> None:
        """Let a function fail for each file, several times in a row or always

        Args:
            function: Name of a function of `os`
            times: How often it fails before it succeeds once; None for always
        """
        original, seen = getattr(os, function), dict[str, int]()

        def refusing(path: Any, *args: Any, **kwargs: Any) -> Any:
            name = str(args[0] if function == 'replace' else path)
            if self._directory in name and os.path.isfile(name):
                seen[name] = seen.get(name, 0) + 1
                if times is None or seen[name] % (times + 1):
                    self.count += 1
                    raise PermissionError(errno.EACCES, 'Permission denied', name)
            return original(path, *args, **kwargs)

        self._monkeypatch.setattr(os, function, refusing)


class FakeMsvcrt(ModuleType):
    """The part of `msvcrt` that locks a byte of a file, without waiting; a lock belongs to a descriptor"""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self) -> None:
        super().__init__('msvcrt')
        self.holders: dict[tuple[int, int], int] = {}
        self._guard = threading.Lock()

    def locking(self, descriptor: int, mode: int, n_bytes: int) -> None:
        status = os.fstat(descriptor)
        file = status.st_dev, status.st_ino
        with self._guard:
            if mode == self.LK_NBLCK:
                if self.holders.setdefault(file, descriptor) != descriptor:
                    raise PermissionError(errno.EACCES, 'Permission denied')
            elif self.holders.pop(file, None) != descriptor:
                raise PermissionError(errno.EACCES, 'Permission denied')


def as_on_windows(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a second copy of a module of the package as on Windows

    Args:
        name: Name of the module, without `requests_cache.`
        monkeypatch: Undoes the changes after the import
    """
    path = Path(requests_cache.__file__).parent.joinpath(*name.split('.')).with_suffix('.py')
    copy = f'requests_cache.{name}_on_windows'
    spec = importlib.util.spec_from_file_location(copy, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    code = compile(path.read_bytes(), path, 'exec')
    with monkeypatch.context() as patch:
        patch.setattr(os, 'name', 'nt')
        patch.setattr(sys, 'platform', 'win32')
        exec(code, module.__dict__)
    return module


def freeze_clocks(monkeypatch: pytest.MonkeyPatch, times: Callable[[], float]) -> None:
    """Replace `time()`, `time_ns()` and `monotonic()` in all modules of the package"""
    clocks = {'monotonic': times, 'time': times, 'time_ns': lambda: int(times() * 1e9)}
    modules = [module for name, module in sys.modules.items() if name.startswith('requests_cache')]
    for module, (name, clock) in itertools.product(modules, clocks.items()):
        if type(getattr(module, name, None)) is type(len):
            monkeypatch.setattr(module, name, clock)
