"""A checksum over a record, the same whether it is made before a store or format takes the record, or after

The last stage of a serializer, which turns records into text or bytes, adds the checksum to what it writes and compares
it with what it has read. Stages of the user's own come before that stage, so that they may change whatever they like,
or after it.

What a record may become on its way, and what is done about it:

    text formats       tuples are lists
    BSON, MongoDB      times are cut to milliseconds and lose their zone: they count in UTC, to the millisecond
    DynamoDB           numbers are decimals, and integers if they are whole; the order of names is lost: both are the
                       same here
    any                a field that is absent may be null

It covers all fields that are read. The body takes part by its own checksum, or by where it is kept. Fields of others,
and the readable copy of the body, which may be edited, take no part.

A record without the field is read unchecked, as earlier versions wrote none; whoever edits an entry by hand may
remove it. It stands before the fields that every entry has, so that no entry loses it by being cut off. If its name is
damaged, all else is whole.
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
# Later versions read entries of this one, and the other way round: fields that they add need a checksum of their own
_TEXTS_AND_INTEGERS = (
    '_next', 'checksum', 'cookies', 'encoding', 'generation', 'header_fields', 'headers', 'http_version', 'reason',
    'request', 'status_code', 'stored_body', 'url',
)  # fmt: skip
_TIMES_AND_NUMBERS = ('created_at', 'elapsed', 'expires')
_NOT_OF_A_RECORD = (TypeError, ValueError, ArithmeticError, RecursionError)


def record_checksum(record: Mapping[str, Any]) -> int:
    """The CRC-32 of a record, in the form in which a format or store takes it

    Raises:
        TypeError, ValueError, ArithmeticError, RecursionError: It holds what no record holds
    """
    return crc32(_encode(_rendered(record)).encode('ascii'))


def _rendered(record: Mapping[str, Any]) -> list[Any]:
    get = record.get
    values: list[Any] = list(map(get, _TEXTS_AND_INTEGERS))
    values += map(_plain, map(get, _TIMES_AND_NUMBERS))
    if get('cookie_attributes'):
        values.append(_plain(get('cookie_attributes')))
    if get('history'):
        values.append([_rendered(r) if isinstance(r, Mapping) else r for r in record['history']])
    if '_content' not in record and '_decoded_content' in record:
        values.append(_plain(get('_decoded_content')))
    return values


def _plain(value: Any) -> Any:
    """A value of any format as one that JSON can hold"""
    if value is None or type(value) is str:
        return value
    if isinstance(value, float) or is_decimal(value):
        # Neither infinity nor what is no number is whole
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
        raise TypeError(f'a {type(value).__name__} is not part of a record')
    return plain


_encode = JSONEncoder(sort_keys=True, separators=(',', ':'), default=_default).encode


def with_checksum(value: Any) -> Any:
    """A record with its checksum; anything else as it is"""
    if not (isinstance(value, dict) and 'created_at' in value and 'status_code' in value):
        return value
    try:
        checksum = record_checksum(value)
    except _NOT_OF_A_RECORD:
        return value  # of stages of the user's own; whether it can be written is for the format to say
    first = {'_content': value['_content']} if '_content' in value else {}
    return {**first, FIELD: checksum, **{k: v for k, v in value.items() if k != FIELD}}


def check(value: Any) -> Any:
    """The value, unless it is a record that does not match its checksum

    Raises:
        InvalidEntryError: It is one
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
    """The last stage for records: adds a checksum to those that are written, and refuses what does not match it

    Args:
        dumps: Function that turns a record into its serialized form
        loads: Function that undoes it
    """

    def __init__(self, dumps: Callable[[Any], Any], loads: Callable[[Any], Any]):
        super().__init__(dumps=partial(_dump, dumps), loads=partial(_load, loads))


def _dump(dumps: Callable[[Any], Any], value: Any) -> Any:
    return dumps(with_checksum(value))


def _load(loads: Callable[[Any], Any], data: Any) -> Any:
    return check(loads(data))
