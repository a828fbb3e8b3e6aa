"""A storage that fails when a test says so"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any

from ..backends.storage import BaseStorage
from ..exceptions import BackendUnavailableError

# Methods by what they do with the store. `get` and similar methods call other methods of the wrapped storage, which are
# not counted again.
OPERATIONS = {
    'read': frozenset({'__getitem__', 'get', 'peek', '__contains__', 'existing', 'pop', 'popitem', 'setdefault'}),
    'write': frozenset({'__setitem__', 'put', 'write_if', 'rewrite', 'body_writer', 'update', 'setdefault'}),
    'delete': frozenset({'__delitem__', 'bulk_delete', 'clear', 'pop', 'popitem'}),
    'list': frozenset({'__iter__', '__len__', 'scan', 'keys', 'items', 'values'}),
}
METHODS = frozenset[str]().union(*OPERATIONS.values())
OWN = frozenset({'calls', 'fail', 'mend', 'storage', '_call', '_faults', '_lock'})


class FaultyStorage(BaseStorage[Any, Any]):
    """A wrapper around a storage, whose methods fail when a test says so

        storage = session.cache.responses = FaultyStorage(session.cache.responses)
        storage.fail('write', on_call=2, times=1)

    All attributes are those of the wrapped storage, so it is still bounded, encrypted, and so on. `cache.redirects` can
    be wrapped in the same way.

    Args:
        storage: The storage to wrap

    Raises:
        TypeError: It is not a `BaseStorage`
    """

    # Names of the methods that were called so far, in order, whether they failed or not
    calls: list[str]
    # The wrapped storage
    storage: BaseStorage[Any, Any]

    def __init__(self, storage: BaseStorage[Any, Any]):
        if not isinstance(storage, BaseStorage):
            raise TypeError(f'FaultyStorage takes a BaseStorage, not {type(storage).__name__}')
        self.storage = storage
        self.calls = []
        self._faults: list[_Fault] = []
        self._lock = Lock()

    def fail(
        self,
        *operations: str,
        error: BaseException | type[BaseException] | None = None,
        on_call: int = 1,
        times: int | None = None,
        after: bool = False,
    ) -> None:
        """Make calls fail from now on

        Args:
            operations: 'read', 'write', 'delete', 'list', or names of methods such as '__getitem__'; by default all
            error: The exception to raise; by default a `BackendUnavailableError`, as for a server that is down
            on_call: The first call that fails, counted from now; 1 is the next call
            times: How many calls fail in a row; by default all of them, until `mend` is called
            after: Carry out the call before raising, as if the connection broke before the reply arrived

        Raises:
            ValueError: There is no such operation
        """
        unknown = sorted(set(operations) - set(OPERATIONS) - METHODS)
        if unknown:
            raise ValueError(f'No such operation: {", ".join(unknown)}; use {", ".join(OPERATIONS)} or a method')
        names = METHODS if not operations else frozenset[str]().union(*(OPERATIONS.get(o, {o}) for o in operations))
        default = BackendUnavailableError('The storage cannot be reached (simulated by FaultyStorage)')
        with self._lock:
            self._faults.append(_Fault(names, error or default, on_call, times, after))

    def mend(self) -> None:
        """Let all calls succeed again"""
        with self._lock:
            self._faults.clear()

    def _call(self, name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            self.calls.append(name)
            due = [fault for fault in self._faults if name in fault.names and fault.is_due()]
        for fault in due:
            if not fault.after:
                raise fault.error
        result = method(*args, **kwargs)
        if due:
            raise due[0].error
        return result

    def __getattribute__(self, name: str) -> Any:
        is_dunder = name.startswith('__') and name.endswith('__')
        if is_dunder or name in OWN:
            return super().__getattribute__(name)
        found = getattr(self.storage, name)
        if name not in METHODS:
            return found
        return lambda *args, **kwargs: self._call(name, found, *args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in OWN:
            super().__setattr__(name, value)
        else:
            setattr(self.storage, name, value)

    # Python looks these up in the class

    def __getitem__(self, key: Any) -> Any:
        return self._call('__getitem__', self.storage.__getitem__, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._call('__setitem__', self.storage.__setitem__, key, value)

    def __delitem__(self, key: Any) -> None:
        self._call('__delitem__', self.storage.__delitem__, key)

    def __iter__(self) -> Iterator[Any]:
        iterator: Iterator[Any] = self._call('__iter__', self.storage.__iter__)
        return iterator

    def __len__(self) -> int:
        return int(self._call('__len__', self.storage.__len__))

    def __contains__(self, key: object) -> bool:
        return bool(self._call('__contains__', self.storage.__contains__, key))

    def __str__(self) -> str:
        return str(self.storage)


class _Fault:
    def __init__(
        self,
        names: frozenset[str],
        error: BaseException | type[BaseException],
        on_call: int,
        times: int | None,
        after: bool,
    ):
        self.names, self.error, self.after = names, error, after
        self._first, self._times, self._calls = on_call, times, 0

    def is_due(self) -> bool:
        """Count this call; whether it fails"""
        self._calls += 1
        past = self._calls - self._first
        return past >= 0 and (self._times is None or past < self._times)
