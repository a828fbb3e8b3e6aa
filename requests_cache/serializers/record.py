"""The stored form of a response: a record, which is a dict of plain values

Records have the same fields in the same order as in 1.3.x, so that both versions can read them. This version adds some
fields, which 1.3.x ignores:

    checksum            CRC-32 of the body in `_content`
    record_checksum     CRC-32 of all fields except the readable copy (see `checksum.py`); pickles have a checksum at
                        their end instead
    http_version        HTTP version of the response as in urllib3 (11 for HTTP/1.1), 0 if unknown; absent only if the
                        response was first stored by 1.x, with a normalised URL
    header_fields       [name, value] of each header field in order, if a name is repeated
    cookie_attributes   all attributes of the response's cookies
    generation          name that all variants of a resource share; used in strict mode
    stored_body         description of a body that is stored separately; 1.3.x treats such an entry as a miss
    _decoded_content    a readable copy of the body; responses are served from the bytes in `_content`
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from json import loads as json_loads
from typing import Any, NamedTuple
from zlib import crc32

from .._utils import is_decimal
from ..exceptions import InvalidEntryError
from ..models.body import Body
from ..models.cookies import cookie_to_dict, is_cookie
from ..models.redirects import can_be_followed
from ..models.request import CachedRequest
from ..models.response import CachedResponse
from .legacy import decode_text_fields, restore_content

Record = dict[str, Any]


class VerifiedRecord(Record):
    """A record that has been verified by a checksum"""


class RecordFormat(NamedTuple):
    """How to write values that not every format supports"""

    iso_datetimes: bool = True
    numeric_timedeltas: bool = True
    text_bytes: bool = False

    def datetime(self, value: datetime) -> Any:
        return value.isoformat() if self.iso_datetimes else value

    def timedelta(self, value: timedelta) -> Any:
        return value.total_seconds() if self.numeric_timedeltas else value

    def bytes(self, value: bytes) -> Any:
        return b64encode(value).decode('ascii') if self.text_bytes else value


def to_record(response: CachedResponse, form: RecordFormat, decode_content: bool = False) -> Record:
    """Convert a response to a record; with `decode_content`, add a readable copy of a JSON or text body"""
    record = _response_record(response, form)
    if response.history:
        record['history'] = [_response_record(r, form) for r in response.history]
    record = {k: record[k] for k in _FIELD_ORDER if k in record}
    if decode_content and response._body is None:
        _add_readable_copy(record, response)
    return record


# The range of timedelta
MAX_ELAPSED_SECONDS = 86_399_999_999_999
_FIELD_ORDER = (
    '_content', '_next', 'cookies', 'created_at', 'elapsed', 'encoding', 'expires', 'headers', 'history', 'reason',
    'request', 'status_code', 'url', 'checksum', 'http_version', 'header_fields', 'cookie_attributes',
    'generation', 'stored_body', '_decoded_content',
)  # fmt: skip


def _response_record(response: CachedResponse, form: RecordFormat) -> Record:
    record: Record = {'created_at': form.datetime(response.created_at), 'status_code': response.status_code}
    if response._body is not None:
        record['stored_body'] = response._body.to_record()
    elif response._content is not None:
        record.update(_content=form.bytes(response._content), checksum=crc32(response._content))
    elif response._decoded_content is not None:
        record['_decoded_content'] = response._decoded_content
    if response.expires is not None:
        record['expires'] = form.datetime(response.expires)
    cookies: list[Any] = list(response.cookies)
    optional = {
        '_next': _request_record(response._next, form) if response._next is not None else None,
        'cookies': {c.name: c.value for c in cookies},
        'cookie_attributes': [cookie_to_dict(c) for c in cookies],
        'elapsed': form.timedelta(response.elapsed) if response.elapsed else None,
        'header_fields': [list(f) for f in response._header_fields or ()],
        'headers': dict(response.headers),
        'generation': response._generation,
        'request': _request_record(response.request, form),
    }
    record.update({name: value for name, value in optional.items() if value})
    if not response._is_of_1x:
        record['http_version'] = response._http_version
    record.update({n: v for n in ('encoding', 'reason', 'url') if (v := getattr(response, n)) is not None})
    return record


def _request_record(request: CachedRequest, form: RecordFormat) -> Record:
    record: Record = {}
    if request.body:
        record['body'] = form.bytes(request.body)
    if request.cookies:
        record['cookies'] = {c.name: c.value for c in request.cookies}
    if request.headers:
        record['headers'] = {k: _as_text(v) for k, v in request.headers.items()}
    for name in ('method', 'url'):
        if (value := getattr(request, name)) is not None:
            record[name] = value
    return record


def _as_text(value: Any) -> str:
    return value.decode('latin-1') if isinstance(value, bytes) else str(value)


def _add_readable_copy(record: Record, response: CachedResponse) -> None:
    content_type = (response.headers.get('Content-Type') or '').lower()
    if content_type.startswith('application/') and 'json' in content_type:
        try:
            record['_decoded_content'] = json_loads(response.content or b'')
        except (ValueError, RecursionError):
            pass
    elif content_type.startswith('text/'):
        record['_decoded_content'] = response.text


def from_record(record: Any) -> CachedResponse:
    """Convert a record of any version and format to a response

    Headers, cookies and the request are checked here, but built on first access.

    Raises:
        InvalidEntryError: The record is invalid or damaged
    """
    if not isinstance(record, dict) or not ('created_at' in record or 'status_code' in record):
        raise InvalidEntryError(f'the entry is a {type(record).__name__}, not a response')
    if type(record) is VerifiedRecord and type(record.get('_content')) is bytes:
        response = _build_intact(record)
    else:
        record = decode_text_fields(record)
        response = _build(record)
    history = record.get('history')
    response.__dict__['history'] = [_build(r) for r in _checked('history', history, list)] if history else []
    return response


def _build(record: Any) -> CachedResponse:
    if not isinstance(record, dict):
        raise InvalidEntryError(f'the stored response is a {type(record).__name__}, not a dict')
    response = CachedResponse.__new__(CachedResponse)
    content = _checked('_content', record.get('_content'), bytes)
    if content is None and '_decoded_content' in record:
        record = restore_content(record)
        content = record.get('_content')
    _check_content(content, record)
    body = Body.from_record(record['stored_body']) if 'stored_body' in record else None
    expires = record.get('expires')
    response.__dict__.update(
        _record=record,
        _content=content if body is None else False,
        _decoded_content=record.get('_decoded_content') if content is None else None,
        created_at=_to_datetime(record.get('created_at')) or datetime.now(timezone.utc),
        encoding=_checked_encoding(record.get('encoding')),
        expires=_to_datetime(expires) if expires is not None else None,
        reason=_checked('reason', record.get('reason'), str),
        status_code=_to_int(record.get('status_code', 0)),
        url=_checked('url', record.get('url'), str),
    )
    if body is not None:
        response.__dict__['_body'] = body
    if 'http_version' in record:
        response.__dict__['_http_version'] = _to_int(record['http_version'])
    else:
        response.__dict__['_is_of_1x'] = True
    if record.get('generation'):
        response.__dict__['_generation'] = _checked('generation', record['generation'], str)
    if record.get('header_fields'):
        response.__dict__['_header_fields'] = tuple((str(n), str(v)) for n, v in record['header_fields'])
    _check_lazy_fields(record)
    if 300 <= response.status_code < 400 and not can_be_followed(response):
        raise InvalidEntryError('the stored redirect has no Location')
    return response


def _build_intact(record: VerifiedRecord) -> CachedResponse:
    response = CachedResponse.__new__(CachedResponse)
    expires = record.get('expires')
    response.__dict__.update(
        _record=record,
        _content=record['_content'],
        _decoded_content=None,
        created_at=_to_datetime(record['created_at']),
        encoding=record.get('encoding'),
        expires=_to_datetime(expires) if expires is not None else None,
        reason=record.get('reason'),
        status_code=record['status_code'],
        url=record.get('url'),
        _http_version=record.get('http_version', 0),
        _generation=record.get('generation', ''),
    )
    if 'http_version' not in record:
        response.__dict__['_is_of_1x'] = True
    if 'header_fields' in record:
        response.__dict__['_header_fields'] = tuple((name, value) for name, value in record['header_fields'])
    return response


def _check_content(content: bytes | None, record: Record) -> None:
    checksum = record.get('checksum')
    if checksum is not None and (content is None or crc32(content) != checksum):
        raise InvalidEntryError('the stored body is damaged: its checksum does not match')
    if 'checksum' not in record and 'http_version' in record and content is not None:
        raise InvalidEntryError('the stored response is damaged: its checksum is missing')


def _check_lazy_fields(record: Record) -> None:
    """Check the fields that are built on first access, while an error can still be treated as a miss"""
    _check_text_dict(record.get('headers'), 'headers')
    _check_text_dict(record.get('cookies'), 'cookies', optional=True)
    if 'elapsed' in record:
        record['elapsed'] = _to_seconds(record['elapsed'])
    for name in ('request', '_next'):
        request = record.get(name)
        if request is not None:
            if not isinstance(request, dict) or not isinstance(request.get('body', b''), (bytes, type(None))):
                raise InvalidEntryError(f'the stored {name} is not a request')
            _check_text_dict(request.get('headers'), 'request headers')
            _check_text_dict(request.get('cookies'), 'request cookies', optional=True)
            _checked('method', request.get('method'), str)
            _checked('request URL', request.get('url'), str)
    if not all(map(is_cookie, record.get('cookie_attributes') or ())):
        raise InvalidEntryError('the attributes of the stored cookies are invalid')


def _check_text_dict(value: Any, name: str, optional: bool = False) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise InvalidEntryError(f'the stored {name} are a {type(value).__name__}, not a dict')
    for key, item in value.items():
        if type(key) is not str or not (type(item) is str or (optional and item is None)):
            raise InvalidEntryError(f'the stored {name} contain values that are not text')


def _checked_encoding(value: Any) -> Any:
    if value is not None and not (isinstance(value, str) and value.isprintable()):
        raise InvalidEntryError(f'the stored encoding is invalid: {value!r}')
    return value


def _checked(name: str, value: Any, kind: type) -> Any:
    if value is None or type(value) is kind:
        return value
    if kind is not bytes and isinstance(value, kind):
        return value
    if kind is bytes and isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise InvalidEntryError(f'the stored {name} is a {type(value).__name__}, not a {kind.__name__}')


def _to_datetime(value: Any) -> datetime | None:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value is None or not isinstance(value, datetime):
        if value is not None:
            raise InvalidEntryError(f'a stored time is a {type(value).__name__}, not a datetime')
        return None
    if value.tzinfo is timezone.utc:
        return value
    # Times without a time zone, in BSON and in entries of 1.1 and earlier, are UTC
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


def _to_int(value: Any) -> int:
    if isinstance(value, bool) or not (isinstance(value, (int, float, str)) or is_decimal(value)):
        raise InvalidEntryError(f'a stored number is a {type(value).__name__}, not an int')
    return int(value)


def _to_seconds(value: Any) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value or 0)
    if not abs(seconds) < MAX_ELAPSED_SECONDS:
        raise InvalidEntryError(f'the stored duration is out of range: {seconds} seconds')
    return seconds


def map_values(value: Any, convert: Mapping[type, Callable[[Any], Any]]) -> Any:
    """A copy of a record in which values of the given types are converted"""
    if isinstance(value, dict):
        return {k: map_values(v, convert) for k, v in value.items()}
    if isinstance(value, list):
        return [map_values(v, convert) for v in value]
    function = convert.get(type(value))
    return function(value) if function else value
