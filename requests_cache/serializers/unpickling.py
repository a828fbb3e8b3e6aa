"""Reading pickled data without running anything, and without trusting its lengths

Entries hold builtin types only, and pickle needs no class or function to rebuild those. So none is admitted: a pickle
that names any, which is how loading one runs code, is refused, with a checksum and a signature, too. Why that is sure:

* An operation of a pickle can call only what stands on the stack (REDUCE, NEWOBJ, NEWOBJ_EX, OBJ, BUILD and those that
  add to a container), and everything that other operations put there is of a builtin type and plain.
* What is not plain gets onto the stack in three ways. GLOBAL, STACK_GLOBAL and INST ask `find_class`, PERSID and
  BINPERSID ask `persistent_load`; both refuse. EXT1, EXT2 and EXT4 stand for a class or function that was registered
  with `copyreg`. They ask `find_class` the first time only; after that, the object comes out of a cache of `copyreg`,
  which no unpickler can be kept from. So these operations must not be there at all. (NEXT_BUFFER takes what `buffers`
  gives, and there are none.)
* A pickle without the bytes of these three operations cannot have the operations. Where the bytes occur, which they may
  in any length, number or body, operations are gone through one by one, up to the last such byte. Either one of them is
  refused, or all such bytes are data, and what follows has none. A body stands at the beginning of an entry, so this
  takes few steps, however large the body is.

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
# From this size on, the body is stepped over; it comes within the first few operations of an entry
LARGE_BYTES, STEPS_TO_BODY = 65_536, 16
EXT1, EXT2, EXT4 = b'\x82', b'\x83', b'\x84'
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
    if len(data) > LARGE_BYTES or EXT1 in data or EXT2 in data or EXT4 in data:
        _refuse_extensions(data)
    value = PlainUnpickler(BytesIO(data)).load()
    return IntactRecord(value) if type(value) is dict else value


def _refuse_extensions(data: bytes) -> None:
    """Make sure that a pickle with a checksum does without extensions"""
    # Stepping over a large body is quicker than looking through it
    after_body = _check(data, steps=STEPS_TO_BODY) if len(data) > LARGE_BYTES else 0
    last = max(data.rfind(operation, after_body, -SEAL_LENGTH) for operation in (EXT1, EXT2, EXT4))
    if last >= 0:
        _check(data, after_body, last)


def _check(data: bytes, position: int = 0, last: int | None = None, steps: int = -1) -> int:
    """Make sure that a pickle consists of operations for plain values, and is not longer than it is

    Args:
        data: The pickle
        position: Where an operation begins
        last: Position up to which to look; None for all of it
        steps: Number of operations to look at; negative for all of them

    Returns:
        Position of the operation that has not been looked at; the length if there is none
    """
    end = len(data)
    while position < end:
        if steps == 0 or (last is not None and position > last):
            return position
        steps -= 1
        operation = data[position]
        position += 1
        length = _ARGUMENTS.get(operation)
        if length is None:
            if operation == STOP[0]:
                return end
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
