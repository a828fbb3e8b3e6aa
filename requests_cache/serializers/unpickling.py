"""Reading pickled data without running anything, and without trusting its lengths

Entries hold builtin types only, and pickle needs no class or function to rebuild those. So none is admitted: a pickle
that names any, which is how loading one runs code, is refused.

One flipped bit can make the unpickler ask for gigabytes, as it sizes its memo by a number in the data. So what is
written here ends with a checksum, which 1.x passes over, as it stands behind the end of the pickle. What was written
without one is gone through before it is loaded.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, NoReturn
from zlib import crc32

from .record import IntactRecord

try:
    # What else `pickle` offers takes longer to import than many a request
    from _pickle import PickleError, Unpickler, UnpicklingError
    from _pickle import dumps as dump_pickle
except ImportError:
    from pickle import PickleError, Unpickler, UnpicklingError
    from pickle import dumps as dump_pickle

__all__ = ['PickleError', 'PlainUnpickler', 'dumps', 'loads']

STOP = b'.'
# Behind it, four bytes: the CRC-32 of all that is before it
SEAL = b'\x00rc1'
SEAL_LENGTH = len(SEAL) + 4

LONG_BINPUT, TEXT_PUT = ord('r'), ord('p')
# Lengths of the arguments of all operations that plain values need, by operation; one below zero stands for so many
# bytes that hold the length of what follows
_ARGUMENTS = {
    **dict.fromkeys(b'(012}])Nadelstu\x85\x86\x87\x88\x89\x8f\x90\x91\x94', 0),
    **dict.fromkeys(b'Khq\x80', 1),
    **dict.fromkeys(b'M', 2),
    **dict.fromkeys(b'Jjr', 4),
    **dict.fromkeys(b'G\x95', 8),
    **dict.fromkeys(b'CU\x8a\x8c', -1),
    **dict.fromkeys(b'BTX\x8b', -4),
    **dict.fromkeys(b'\x8d\x8e\x96', -8),
}
_LINES = frozenset(b'FILSVgp')
_NOT_PLAIN = 'only plain values are read'


class PlainUnpickler(Unpickler):
    """Loads builtin containers, text, bytes, numbers, booleans and None"""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise UnpicklingError(f'a stored pickle refers to {module}.{name}; {_NOT_PLAIN}')

    def persistent_load(self, pid: Any) -> NoReturn:
        raise UnpicklingError(f'a stored pickle refers to an object outside of it; {_NOT_PLAIN}')


def dumps(value: Any) -> bytes:
    """Pickle plain values, with a checksum at the end"""
    data = dump_pickle(value)
    return b''.join((data, SEAL, crc32(data).to_bytes(4, 'big')))


def loads(data: bytes) -> Any:
    """Load a pickle of plain values

    Raises:
        pickle.UnpicklingError: It refers to a class or function, or is damaged
    """
    if data[-SEAL_LENGTH - 1 : -4] != STOP + SEAL:
        _check(data)
        return PlainUnpickler(BytesIO(data)).load()
    if crc32(memoryview(data)[:-SEAL_LENGTH]) != int.from_bytes(data[-4:], 'big'):
        raise UnpicklingError('a stored pickle is damaged: its checksum does not match')
    value = PlainUnpickler(BytesIO(data)).load()
    return IntactRecord(value) if type(value) is dict else value


def _check(data: bytes) -> None:
    """Make sure that a pickle consists of operations for plain values, and is not longer than it is"""
    position, end = 0, len(data)
    while position < end:
        operation = data[position]
        position += 1
        length = _ARGUMENTS.get(operation)
        if length is None:
            if operation == STOP[0]:
                return
            position = _end_of_line(data, position, operation)
        elif length < 0:
            position += int.from_bytes(data[position : position - length], 'little') - length
        else:
            if operation == LONG_BINPUT and int.from_bytes(data[position : position + 4], 'little') > end:
                break
            position += length
    raise UnpicklingError('a stored pickle is damaged: it does not end where it should')


def _end_of_line(data: bytes, position: int, operation: int) -> int:
    if operation not in _LINES:
        raise UnpicklingError(f'a stored pickle has the operation {chr(operation)!r}; {_NOT_PLAIN}')
    stop = data.find(b'\n', position)
    line = data[position : stop if stop >= 0 else len(data)]
    if operation == TEXT_PUT and not (line.isdigit() and int(line) <= len(data)):
        raise UnpicklingError('a stored pickle is damaged: it counts more values than it can have')
    return position + len(line) + 1
