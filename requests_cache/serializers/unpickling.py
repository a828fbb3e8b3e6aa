"""Reading pickled data without running anything

Entries hold builtin types only, and pickle needs no class or function to rebuild those. So none is admitted: a pickle
that names any, which is how loading one runs code, is refused.
"""

from __future__ import annotations

from io import BytesIO
from pickle import Unpickler, UnpicklingError
from typing import Any, NoReturn


class PlainUnpickler(Unpickler):
    """Loads builtin containers, text, bytes, numbers, booleans and None"""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise UnpicklingError(f'a stored pickle refers to {module}.{name}; only plain values are read')

    def persistent_load(self, pid: Any) -> NoReturn:
        raise UnpicklingError('a stored pickle refers to an object outside of it; only plain values are read')


def loads(data: bytes) -> Any:
    """Load a pickle of plain values

    Raises:
        pickle.UnpicklingError: It refers to a class or function
    """
    return PlainUnpickler(BytesIO(data)).load()
