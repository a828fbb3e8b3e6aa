"""Reading entries of earlier versions: decoded bodies, and binary data as base64 or base85 text"""

from __future__ import annotations

from base64 import b64decode, b85decode
from binascii import a2b_base64
from collections.abc import Callable, Iterator
from json import dumps as json_dumps
from typing import Any

from .._utils import lazy_pattern
from ..exceptions import InvalidEntryError

_BASE64 = lazy_pattern(r'(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?')
UNKNOWN_CHARACTER = '\ufffd'


def decode_text_fields(record: dict[str, Any]) -> dict[str, Any]:
    """Decode the binary data of a record in a text format

    1.3 writes base64, earlier versions write base85, and neither says which. All fields of a record use the same one.
    """
    if type(record.get('_content')) is bytes:  # so the format supports binary data
        return record
    decode: Callable[[str], bytes] = _strict_b64decode
    if 'checksum' not in record:  # written by an earlier version
        texts = list(_text_fields(record))
        if not texts and not _has_empty_body(record):
            return record
        decode = b85decode if _is_base85(record, texts) else _strict_b64decode
    try:
        record = _decode_response(record, decode)
        if record.get('history'):
            record['history'] = [_decode_response(r, decode) for r in record['history']]
    except ValueError as e:
        raise InvalidEntryError(f'the stored body is damaged: {e}') from e
    return record


def _has_empty_body(record: dict[str, Any]) -> bool:
    """Whether there is an empty body in the form that 1.3 writes in text formats"""
    responses = (record, *(record.get('history') or ()))
    return any(isinstance(r, dict) and r.get('_content', b'') is None for r in responses)


def _strict_b64decode(text: str) -> bytes:
    return b64decode(text, validate=True)


def _requests(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for response in (record, *(record.get('history') or ())):
        if isinstance(response, dict):
            yield from (r for r in (response.get('request'), response.get('_next')) if isinstance(r, dict))


def _text_fields(record: dict[str, Any]) -> Iterator[str]:
    for response in (record, *(record.get('history') or ())):
        if isinstance(response, dict) and isinstance(response.get('_content'), str):
            yield response['_content']
    for request in _requests(record):
        if isinstance(request.get('body'), str):
            yield request['body']


def _decode_response(record: dict[str, Any], decode: Any) -> dict[str, Any]:
    record = dict(record)
    content = record.get('_content', b'')
    if isinstance(content, str):
        record['_content'] = decode(content)
    elif isinstance(content, memoryview):
        # If there is a checksum of the body, decoding need not be strict
        record['_content'] = a2b_base64(content)
    elif content is None:
        record['_content'] = b''  # 1.3 writes an empty body like this
    for name in ('request', '_next'):
        request = record.get(name)
        if isinstance(request, dict) and isinstance(request.get('body'), str):
            record[name] = {**request, 'body': decode(request['body'])}
    return record


def _is_base85(record: dict[str, Any], texts: list[str]) -> bool:
    if any('/' in t for t in texts):
        return False
    if any(not _BASE64.fullmatch(t) for t in texts):
        return True
    # From here on, the text is valid in both encodings. Only versions that write base85 write an empty request body,
    # and times without a time zone.
    if any(r.get('body') == '' for r in _requests(record)) or _is_naive(record.get('created_at')):
        return True
    content, length = record.get('_content'), _declared_length(record)
    if not isinstance(content, str) or length is None:
        return False
    return length != len(b64decode(content)) and -(-5 * length // 4) == len(content)


def _is_naive(created_at: Any) -> bool:
    return isinstance(created_at, str) and not (
        created_at.endswith('Z') or '+' in created_at or created_at.count('-') > 2
    )


def _declared_length(record: dict[str, Any]) -> int | None:
    headers = record.get('headers')
    names = {str(k).lower(): v for k, v in headers.items()} if isinstance(headers, dict) else {}
    if 'content-encoding' in names or not str(names.get('content-length', '')).isdigit():
        return None
    return int(names['content-length'])


def restore_content(record: dict[str, Any]) -> dict[str, Any]:
    """Restore the body from its decoded form, as 1.0 to 1.3 stored JSON and text bodies in decoded form only

    Text is encoded with the encoding of the response, which yields the original bytes unless some could not be decoded.
    JSON is serialized again, so its formatting may differ.
    """
    decoded = record.get('_decoded_content')
    if _is_json(record):
        content, encoding = json_dumps(decoded).encode(), 'utf-8'
    elif isinstance(decoded, str):
        content, encoding = _encode_text(decoded, record.get('encoding'))
    else:
        return record
    record = {**record, '_content': content, 'encoding': encoding}
    if _declared_length({**record, 'headers': _remove_coding(record)}) is not None and not _is_head(record):
        _set_content_length(record)
    return record


def _encode_text(text: str, encoding: Any) -> tuple[bytes, str]:
    as_utf8 = text.encode('utf-8', 'surrogatepass')
    if isinstance(encoding, str) and UNKNOWN_CHARACTER not in text:
        try:
            content = text.encode(encoding)
            # If both yield the same bytes, use the encoding that the earlier version would report
            return (content, encoding) if content != as_utf8 else (as_utf8, 'utf-8')
        except (LookupError, UnicodeEncodeError):
            pass
    return as_utf8, 'utf-8'


def _is_json(record: dict[str, Any]) -> bool:
    headers = record.get('headers')
    names = {str(k).lower(): str(v).lower() for k, v in headers.items()} if isinstance(headers, dict) else {}
    content_type = names.get('content-type', '')
    return content_type.startswith('application/') and 'json' in content_type


def _is_head(record: dict[str, Any]) -> bool:
    request = record.get('request')
    return isinstance(request, dict) and request.get('method') == 'HEAD'


def _remove_coding(record: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in (record.get('headers') or {}).items() if str(k).lower() != 'content-encoding'}


def _set_content_length(record: dict[str, Any]) -> None:
    length = str(len(record['_content']))
    record['headers'] = {k: length if k.lower() == 'content-length' else v for k, v in record['headers'].items()}
