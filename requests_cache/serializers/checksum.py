"""A checksum of a record, which does not depend on the types that a format or store converts its values to

The last stage of a serializer, which converts records to text or bytes, adds the checksum when writing and verifies it
when reading. Custom stages may come before that stage, where they can change the record, or after it.

Formats and stores change the types of a record. The checksum ignores these changes:

    text formats       tuples become lists
    BSON, MongoDB      times have millisecond precision and no time zone; so all times are compared in UTC, rounded down
    DynamoDB           numbers become decimals or integers; the order of names is lost
    any                an absent field may become null

The checksum covers all fields that are read. The body is included by its own checksum, or by its description if it is
stored separately. Unknown fields, and the readable copy of the body, which may be edited, are not included.

A record without a checksum is read without verification, as earlier versions wrote none. So a user who edits an entry
may remove the checksum. It comes before the fields that every entry has, so that a truncated entry does not lose it. If
its name is damaged, the rest of the entry is intact.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import partial
from json import JSONEncoder
from typing import Any
from zlib import crc32

from .._utils import is_decimal
from ..exceptions import InvalidEntryError
from .pipeline import Stage

FIELD = 'record_checksum'
# Never change these fields, as other versions verify the same checksum; new fields need a checksum of their own
_TEXTS_AND_INTEGERS = (
    '_next', 'checksum', 'cookies', 'encoding', 'generation', 'header_fields', 'headers', 'http_version', 'reason',
    'request', 'status_code', 'stored_body', 'url',
)  # fmt: skip
_TIMES_AND_NUMBERS = ('created_at', 'elapsed', 'expires')
_NOT_OF_A_RECORD = (TypeError, ValueError, ArithmeticError, RecursionError)


def record_checksum(record: Mapping[str, Any]) -> int:
    """The CRC-32 of a record

    Raises:
        TypeError, ValueError, ArithmeticError, RecursionError: The record has a value that does not belong there
    """
    return crc32(_encode(_to_plain_list(record)).encode('ascii'))


def _to_plain_list(record: Mapping[str, Any]) -> list[Any]:
    get = record.get
    values: list[Any] = list(map(get, _TEXTS_AND_INTEGERS))
    values += map(_plain, map(get, _TIMES_AND_NUMBERS))
    if get('cookie_attributes'):
        values.append(_plain(get('cookie_attributes')))
    if get('history'):
        values.append([_to_plain_list(r) if isinstance(r, Mapping) else r for r in record['history']])
    if '_content' not in record and '_decoded_content' in record:
        values.append(_plain(get('_decoded_content')))
    return values


def _plain(value: Any) -> Any:
    """Convert a value from any format to one that JSON supports"""
    if value is None or type(value) is str:
        return value
    if isinstance(value, float) or is_decimal(value):
        # Infinity and NaN cannot be converted to integers
        return int(value) if value % 1 == 0 else float(value)
    if isinstance(value, datetime):
        value = value if value.tzinfo is None else value.astimezone(timezone.utc)
        return value.replace(tzinfo=None, microsecond=value.microsecond // 1000 * 1000).isoformat()
    if isinstance(value, timedelta):
        return _plain(value.total_seconds())
    if isinstance(value, (bytes, bytearray, memoryview)):
        return b64encode(value).decode('ascii')
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _default(value: Any) -> Any:
    plain = _plain(value)
    if plain is value:
        raise TypeError(f'records have no values of type {type(value).__name__}')
    return plain


_encode = JSONEncoder(sort_keys=True, separators=(',', ':'), default=_default).encode


def with_checksum(value: Any) -> Any:
    """Add the checksum to a record; other values are returned unchanged"""
    if not (isinstance(value, dict) and 'created_at' in value and 'status_code' in value):
        return value
    try:
        checksum = record_checksum(value)
    except _NOT_OF_A_RECORD:
        return value  # from a custom stage; writing it may fail or not, depending on the format
    first = {'_content': value['_content']} if '_content' in value else {}
    return {**first, FIELD: checksum, **{k: v for k, v in value.items() if k != FIELD}}


def check(value: Any) -> Any:
    """Verify the checksum of a record, and return it; other values are returned unchanged

    Raises:
        InvalidEntryError: The checksum does not match
    """
    if isinstance(value, dict) and FIELD in value and not _matches(value):
        raise InvalidEntryError('the stored response is damaged: its checksum does not match')
    return value


def _matches(record: dict[str, Any]) -> bool:
    try:
        return bool(record[FIELD] == record_checksum(record))
    except _NOT_OF_A_RECORD:
        return False


class RecordStage(Stage):
    """The last stage for records: adds a checksum when writing, and verifies it when reading

    Args:
        dumps: A function that serializes a record
        loads: A function that deserializes it
    """

    def __init__(self, dumps: Callable[[Any], Any], loads: Callable[[Any], Any]):
        super().__init__(dumps=partial(_dump, dumps), loads=partial(_load, loads))


def _dump(dumps: Callable[[Any], Any], value: Any) -> Any:
    return dumps(with_checksum(value))


def _load(loads: Callable[[Any], Any], data: Any) -> Any:
    return check(loads(data))
