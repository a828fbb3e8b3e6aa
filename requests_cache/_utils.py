"""Small helpers without knowledge of HTTP or storage"""

from __future__ import annotations

import locale
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from inspect import Parameter, signature
from itertools import islice
from logging import getLogger
from typing import Any, AnyStr, NoReturn, TypeVar
from weakref import WeakValueDictionary

from .exceptions import MissingDependencyError

K = TypeVar('K')
T = TypeVar('T')
logger = getLogger('requests_cache')


class _Pattern:
    """A proxy for a compiled pattern"""

    def __init__(self, pattern: Any, flags: int):
        self._source = pattern, flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(*self._source)
        names = ('fullmatch', 'match', 'search', 'findall', 'finditer', 'split', 'sub')
        self.__dict__.update({n: getattr(compiled, n) for n in names})
        return getattr(compiled, name)


def lazy_pattern(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """A regular expression that is compiled on first use, to keep imports fast"""
    return _Pattern(pattern, flags)  # type: ignore[return-value]


_LATIN1_LINE = lazy_pattern(r'[\t\x20-\x7e\x80-\xff]+')


def is_latin1_line(value: object) -> bool:
    """Whether a value is valid in a header field: text in Latin-1, not blank, and without control characters"""
    return isinstance(value, str) and bool(value.strip()) and _LATIN1_LINE.fullmatch(value) is not None


def is_decimal(value: object) -> bool:
    """Whether a value is a `decimal.Decimal`"""
    return _is_instance(value, 'decimal', 'Decimal')


def is_bad_signature(error: Exception) -> bool:
    """Whether an error is `itsdangerous.BadSignature`, which must be raised to the caller"""
    return _is_instance(error, 'itsdangerous', 'BadSignature')


def _is_instance(value: object, module_name: str, class_name: str) -> bool:
    """Like `isinstance`, without importing the module: if it has not been imported, there are no instances"""
    module = sys.modules.get(module_name)
    return module is not None and isinstance(value, getattr(module, class_name))


@contextmanager
def within(lock: Any, seconds: float) -> Iterator[bool]:
    """A block with a reentrant lock, which is always released, even if there is a KeyboardInterrupt at any point

    Yields:
        Whether the lock was acquired within `seconds`
    """
    was_held, taken = lock._is_owned(), False
    try:
        taken = lock.acquire(timeout=seconds)
        yield taken
    finally:
        if taken:
            lock.release()
        while not was_held and lock._is_owned():
            lock.release()


# Owners of locks by their IDs, each with the attribute of the lock and a function that creates a new one
_owners_of_locks: WeakValueDictionary[tuple[int, str, Callable[[], Any]], Any] = WeakValueDictionary()


def renew_after_fork(owner: Any, attribute: str, make_lock: Callable[[], Any]) -> None:
    """Replace the lock of an object in each forked child, where the thread that held the lock does not exist

    Args:
        owner: An object that can be weakly referenced, or a module (`sys.modules[__name__]`)
        attribute: Name of the attribute, or global variable, that holds the lock
        make_lock: A function that creates a lock, such as `threading.RLock`
    """
    _owners_of_locks[id(owner), attribute, make_lock] = owner


def _renew_locks() -> None:
    for (_, attribute, make_lock), owner in list(_owners_of_locks.items()):
        setattr(owner, attribute, make_lock())


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_renew_locks)


def chunkify(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most `size` items, reading only one list ahead"""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def checked_size(name: str, value: Any) -> int:
    """Check and return a number of bytes

    Raises:
        TypeError, ValueError: The value is not a number of bytes
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{name} must be a number of bytes, not {value!r}')
    if value < 0:
        raise ValueError(f'{name} must not be negative: {value!r}')
    return value


def remember(memory: dict[K, T], key: K, value: T, limit: int) -> None:
    """Add a value to a dict as its newest item, and drop the oldest items if there are more than `limit`"""
    memory.pop(key, None)
    memory[key] = value
    for old in list(memory)[: len(memory) - limit] if len(memory) > limit else ():
        memory.pop(old, None)


def coalesce(*values: Any, default: Any = None) -> Any:
    """The first of `values` that is not None"""
    return next((v for v in values if v is not None), default)


def accepted_keywords(func: Callable[..., Any]) -> frozenset[str] | None:
    """Names of the keyword arguments of `func`; None if it accepts any name"""
    try:
        parameters = signature(func).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return None
    by_name = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return frozenset(p.name for p in parameters if p.kind in by_name and p.name not in ('self', 'cls'))


def takes_argument(func: Callable[..., Any], name: str) -> bool:
    """Whether `func` can be called with an argument of this name"""
    code = getattr(func, '__code__', None)
    if code is not None and name in code.co_varnames[: code.co_argcount]:  # faster than creating a signature
        return True
    names = accepted_keywords(func)
    return names is None or name in names


def get_valid_kwargs(func: Callable[..., Any], kwargs: dict[str, Any], extras: Iterable[str] = ()) -> dict[str, Any]:
    """The items of `kwargs` that `func` accepts by keyword and that are not None"""
    names = (accepted_keywords(func) or frozenset()) | set(extras)
    return {k: v for k, v in kwargs.items() if k in names and v is not None}


def get_placeholder_class(original_exception: ImportError | None = None) -> type:
    """A placeholder for an optional class, which raises `original_exception` when it is instantiated"""
    error = original_exception or MissingDependencyError('This class', 'a library that is not installed')

    class Placeholder:
        def __init__(self, *args: Any, **kwargs: Any):
            logger.error('Optional dependency is not installed', exc_info=error)
            raise error

    return Placeholder


def format_file_size(n_bytes: float) -> str:
    """A size in bytes as text: plain bytes below 1024, then two decimals in KiB, MiB or GiB"""
    if n_bytes < 1024:
        return f'{n_bytes} bytes'
    for unit in ('KiB', 'MiB', 'GiB'):
        n_bytes /= 1024
        if n_bytes < 1024 or unit == 'GiB':
            break
    return f'{n_bytes:.2f} {unit}'


def printable(text: object) -> str:
    """Text that is safe to print on one line: control characters and invisible characters are escaped"""
    shown = str(text)
    if shown.isprintable():
        return shown
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode('ascii') for c in shown)


def assert_never(value: NoReturn) -> NoReturn:
    """Marks code that type checkers have shown to be unreachable"""
    raise AssertionError(f'Unexpected value: {value!r}')


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most similar to a misspelled one, or None"""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, sorted(known), n=1)), None)


def decode_text(data: bytes) -> str | bytes:
    """Decode a file, which earlier versions wrote in the encoding of the platform; bytes if it is not text"""
    for encoding in ('utf-8', locale.getpreferredencoding(False)):
        try:
            return data.decode(encoding, 'surrogatepass' if encoding == 'utf-8' else 'strict')
        except (LookupError, UnicodeDecodeError):  # noqa: PERF203
            continue
    return data
