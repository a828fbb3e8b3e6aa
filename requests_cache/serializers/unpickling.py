"""Reading pickled data without running code, and without trusting its lengths

Entries contain only builtin types, which pickle can restore without any class or function. A pickle runs code by naming
a class or function. So every pickle that names one is refused, even with a valid checksum or signature. This is why it
is safe:

* The operations that call something (REDUCE, NEWOBJ, NEWOBJ_EX, OBJ, BUILD and those that add to a container) call an
  object on the stack. Most operations put only plain objects of builtin types there.
* Other objects get onto the stack in three ways. GLOBAL, STACK_GLOBAL and INST call `find_class`; PERSID and BINPERSID
  call `persistent_load`; both methods raise an error. EXT1, EXT2 and EXT4 refer to a class or function that was
  registered with `copyreg`. They call `find_class` only the first time; then `copyreg` has the object in a cache, which
  an unpickler cannot disable. So these operations are refused. (NEXT_BUFFER reads from `buffers`, and there are none.)
* A pickle that does not contain the bytes of these three operations cannot contain the operations. If the bytes occur,
  as they may in any length, number or body, the operations are checked one by one, up to the last such byte. Either an
  operation is refused, or all these bytes are data. The body is at the start of an entry, so this takes only a few
  steps, even if the body is large.

A single flipped bit can make the unpickler allocate gigabytes, because it sizes its memo by a number in the data. So
pickles are written with a checksum, after their end, where 1.x ignores it. Pickles without a checksum are checked
completely before they are loaded.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, NoReturn
from zlib import crc32

from .record import VerifiedRecord

try:
    # Importing all of `pickle` takes longer than many requests
    from _pickle import PickleError, Unpickler, UnpicklingError
    from _pickle import dumps as dump_pickle
except ImportError:
    from pickle import PickleError, Unpickler, UnpicklingError
    from pickle import dumps as dump_pickle

__all__ = ['PickleError', 'PlainUnpickler', 'dumps', 'loads']

STOP = b'.'
# Followed by four bytes: the CRC-32 of everything before it
SEAL = b'\x00rc1'
SEAL_LENGTH = len(SEAL) + 4

LONG_BINPUT, TEXT_PUT = ord('r'), ord('p')
# From this size on, the body is skipped; it is in one of the first few operations of an entry
LARGE_BYTES, STEPS_TO_BODY = 65_536, 16
EXT1, EXT2, EXT4 = b'\x82', b'\x83', b'\x84'
# Lengths of the arguments of all operations that plain values need, by operation; a negative number is the number of
# bytes that contain the length of the data that follows
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
_NOT_PLAIN = 'for security, only builtin types are read'


class PlainUnpickler(Unpickler):
    """Loads builtin containers, text, bytes, numbers, booleans and None"""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise UnpicklingError(f'a stored pickle refers to {module}.{name}; {_NOT_PLAIN}')

    def persistent_load(self, pid: Any) -> NoReturn:
        raise UnpicklingError(f'a stored pickle refers to an external object; {_NOT_PLAIN}')


def dumps(value: Any) -> bytes:
    """Pickle plain values, and append a checksum"""
    data = dump_pickle(value)
    return b''.join((data, SEAL, crc32(data).to_bytes(4, 'big')))


def loads(data: bytes) -> Any:
    """Load a pickle of plain values

    Raises:
        pickle.UnpicklingError: The pickle refers to a class or function, or is damaged
    """
    if data[-SEAL_LENGTH - 1 : -4] != STOP + SEAL:
        _check(data)
        return PlainUnpickler(BytesIO(data)).load()
    if crc32(memoryview(data)[:-SEAL_LENGTH]) != int.from_bytes(data[-4:], 'big'):
        raise UnpicklingError('a stored pickle is damaged: its checksum does not match')
    if len(data) > LARGE_BYTES or EXT1 in data or EXT2 in data or EXT4 in data:
        _refuse_extensions(data)
    value = PlainUnpickler(BytesIO(data)).load()
    return VerifiedRecord(value) if type(value) is dict else value


def _refuse_extensions(data: bytes) -> None:
    """Raise an error if a pickle with a checksum uses extensions"""
    # Skipping a large body is faster than searching it
    after_body = _check(data, steps=STEPS_TO_BODY) if len(data) > LARGE_BYTES else 0
    last = max(data.rfind(operation, after_body, -SEAL_LENGTH) for operation in (EXT1, EXT2, EXT4))
    if last >= 0:
        _check(data, after_body, last)


def _check(data: bytes, position: int = 0, last: int | None = None, steps: int = -1) -> int:
    """Check that a pickle contains only operations for plain values, and that its lengths are correct

    Args:
        data: The pickle
        position: Position of the first operation to check
        last: Position of the last byte to check; None for all
        steps: Number of operations to check; negative for all

    Returns:
        Position of the next operation; the length of the pickle if there is none
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
    raise UnpicklingError('a stored pickle is damaged: it has no end, or data after its end')


def _end_of_line(data: bytes, position: int, operation: int) -> int:
    if operation not in _LINES:
        raise UnpicklingError(f'a stored pickle contains the operation {chr(operation)!r}; {_NOT_PLAIN}')
    stop = data.find(b'\n', position)
    line = data[position : stop if stop >= 0 else len(data)]
    if operation == TEXT_PUT and not (line.isdigit() and int(line) <= len(data)):
        raise UnpicklingError('a stored pickle is damaged: it claims to have more values than its length permits')
    return position + len(line) + 1
