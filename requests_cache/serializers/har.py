"""Converting responses to entries of HAR files (HTTP Archive, version 1.2), and back

Entries from this package have an additional member, `_requests_cache`, with everything that HAR does not provide for.
So they are read without loss. Entries from browsers and other tools are read as far as possible.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3._collections import HTTPHeaderDict

from .._utils import lazy_pattern
from ..exceptions import InvalidEntryError
from ..models.request import CachedRequest
from ..models.response import CachedResponse
from ..policy.expiration import add_clamped
from .record import RecordFormat, from_record, to_record

OWN_MEMBER = '_requests_cache'
_FORMAT = RecordFormat(text_bytes=True)
_VERSIONS = {9: 'HTTP/0.9', 10: 'HTTP/1.0', 11: 'HTTP/1.1', 20: 'HTTP/2', 30: 'HTTP/3'}
_VERSION = lazy_pattern(r'(?:http/|h)([0-9])(?:\.([0-9]))?', re.IGNORECASE)
# Fields of a record that depend on the body, and are left out of `_requests_cache`
_BODY_FIELDS = ('_content', '_decoded_content', 'checksum', 'record_checksum', 'stored_body')
NO_BODY = (204, 304)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


# Writing


def to_har(response: CachedResponse, facts: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """The HAR entries of a response: one for each redirect in its history, and one for itself

    Args:
        response: The response
        facts: Additional members of `_requests_cache` in the last entry
    """
    for hop in response.history:
        yield {**_entry(hop), OWN_MEMBER: {'is_redirect': True}}
    content = response.content
    plain = CachedResponse.from_response(response, content=content)
    record = {k: v for k, v in to_record(plain, _FORMAT).items() if k not in _BODY_FIELDS}
    yield {**_entry(plain), OWN_MEMBER: {**(facts or {}), 'has_body': content is not None, 'record': record}}


def _entry(response: CachedResponse) -> dict[str, Any]:
    milliseconds = max(0.0, response.elapsed.total_seconds() * 1000)
    started = response.created_at - response.elapsed
    return {
        'startedDateTime': started.astimezone(timezone.utc).isoformat(timespec='milliseconds').replace('+00:00', 'Z'),
        'time': milliseconds,
        'request': _request_to_har(response.request, response._http_version),
        'response': _response_to_har(response),
        'cache': {},
        'timings': {'send': 0, 'wait': milliseconds, 'receive': 0},
    }


def _request_to_har(request: CachedRequest, version: int) -> dict[str, Any]:
    url = request.url or ''
    entry: dict[str, Any] = {
        'method': request.method or 'GET',
        'url': url,
        'httpVersion': _VERSIONS.get(version, 'HTTP/1.1'),
        'cookies': [{'name': c.name, 'value': c.value or ''} for c in request.cookies],
        'headers': _pairs(request.headers.items()),
        'queryString': _pairs(parse_qsl(urlsplit(url).query, keep_blank_values=True)),
        'headersSize': -1,
        'bodySize': len(request.body or b''),
    }
    if request.body:
        text, encoding = _to_text(request.body)
        entry['postData'] = {'mimeType': request.headers.get('Content-Type') or '', 'text': text}
        if encoding:
            entry['postData']['_encoding'] = encoding
    return entry


def _response_to_har(response: CachedResponse) -> dict[str, Any]:
    content = response.content or b''
    text, encoding = _to_text(content)
    body = {'size': len(content), 'mimeType': response.headers.get('Content-Type') or 'x-unknown', 'text': text}
    return {
        'status': response.status_code,
        'statusText': response.reason or '',
        'httpVersion': _VERSIONS.get(response._http_version, 'HTTP/1.1'),
        'cookies': [_cookie_to_har(cookie) for cookie in response.cookies],
        'headers': _pairs(response._header_fields or response.headers.items()),
        'content': {**body, 'encoding': encoding} if encoding else body,
        'redirectURL': response.headers.get('Location') or '',
        'headersSize': -1,
        'bodySize': -1,
    }


def _pairs(items: Iterable[tuple[str, Any]]) -> list[dict[str, str]]:
    return [{'name': name, 'value': v.decode('latin-1') if isinstance(v, bytes) else str(v)} for name, v in items]


def _cookie_to_har(cookie: Any) -> dict[str, Any]:
    entry = {'name': cookie.name, 'value': cookie.value or '', 'path': cookie.path, 'domain': cookie.domain}
    if cookie.expires is not None:
        entry['expires'] = _time_at(cookie.expires).isoformat()
    return {**entry, 'secure': bool(cookie.secure), 'httpOnly': cookie.has_nonstandard_attr('HttpOnly')}


def _time_at(unix_seconds: float) -> datetime:
    """A time, or the last one of a datetime; `fromtimestamp()` fails on Windows before 1970 and after 3000"""
    try:
        return add_clamped(_EPOCH, timedelta(seconds=unix_seconds))
    except OverflowError:
        return add_clamped(_EPOCH, timedelta.max)


def _to_text(data: bytes) -> tuple[str, str]:
    """Convert bytes to text, and return its HAR encoding: none for UTF-8, or else base64"""
    try:
        return data.decode('utf-8'), ''
    except UnicodeDecodeError:
        return b64encode(data).decode('ascii'), 'base64'


# Reading


def from_har(entry: Any) -> CachedResponse | None:
    """The response of a HAR entry; None if it has no response that can be stored

    This is so for redirects that belong to another entry from this package, for requests without a response or with a
    scheme other than HTTP, and if the body was not recorded.

    Raises:
        InvalidEntryError: The value is not an entry of a HAR file
    """
    try:
        own = entry.get(OWN_MEMBER) or {}
        if own.get('is_redirect'):
            return None
        return _from_own_entry(entry, own) if 'record' in own else _from_other_entry(entry)
    except InvalidEntryError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as e:
        raise InvalidEntryError(f'not an entry of a HAR file: {type(e).__name__}: {e}') from e


def _from_own_entry(entry: Any, own: Mapping[str, Any]) -> CachedResponse:
    record = {k: v for k, v in own['record'].items() if k not in _BODY_FIELDS}
    record = _with_bytes({**record, 'history': [_with_bytes(hop) for hop in record.get('history', ())]})
    content = _content_of(entry['response']['content'], '') if own.get('has_body') else None
    response = from_record(record)
    return CachedResponse.from_response(response, content=content)


def _with_bytes(record: dict[str, Any]) -> dict[str, Any]:
    """A copy of a record with its bodies converted back to bytes"""
    request = record['request']
    if 'body' in request:
        record = {**record, 'request': {**request, 'body': b64decode(request['body'])}}
    return {**record, '_content': b64decode(record['_content'])} if '_content' in record else record


def _from_other_entry(entry: Any) -> CachedResponse | None:
    request, answer = entry['request'], entry['response']
    status, url = int(answer.get('status') or 0), str(request['url'])
    if status < 200 or not url.lower().startswith(('http://', 'https://')):
        return None
    headers = _fields(answer.get('headers') or ())
    content_type = headers.get('Content-Type') or ''
    encoding = get_encoding_from_headers(CaseInsensitiveDict(headers)) if content_type else None
    content = _content_of(answer.get('content') or {}, encoding or '')
    has_none = request['method'] == 'HEAD' or status in NO_BODY or 300 <= status < 400
    if content is None and not has_none and (answer.get('content') or {}).get('size'):
        return None
    milliseconds = max(0.0, float(entry.get('time') or 0))
    elapsed = timedelta(milliseconds=milliseconds)
    response = CachedResponse(
        content=content or b'',
        created_at=_time(entry['startedDateTime']) + elapsed,
        elapsed=elapsed,
        encoding=encoding,
        headers=CaseInsensitiveDict(headers),
        reason=answer.get('statusText') or None,
        request=_request_from_har(request),
        status_code=status,
        url=url.partition('#')[0],
        cookies=_cookies(answer.get('cookies') or (), url),
    )
    if len(headers) != len(list(headers.iteritems())):
        response._header_fields = tuple(headers.iteritems())
    response._http_version = _version(answer.get('httpVersion'))
    return response


def _fields(headers: Iterable[Mapping[str, Any]]) -> HTTPHeaderDict:
    """Header fields, without pseudo-fields of HTTP/2; some tools join the values of repeated fields with line breaks"""
    fields = HTTPHeaderDict()
    for header in headers:
        name = str(header['name'])
        if not name.startswith(':'):
            for value in str(header.get('value', '')).split('\n'):
                fields.add(name, value)
    return fields


def _request_from_har(request: Mapping[str, Any]) -> CachedRequest:
    headers = CaseInsensitiveDict(_fields(request.get('headers') or ()))
    posted = request.get('postData') or {}
    body = posted.get('text') or ''
    if not body and posted.get('params'):
        from urllib.parse import urlencode

        body = urlencode([(p['name'], p.get('value', '')) for p in posted['params']])
    is_base64 = posted.get('_encoding') == 'base64' or posted.get('encoding') == 'base64'
    return CachedRequest(
        body=b64decode(body) if is_base64 else body.encode('utf-8', 'surrogatepass'),
        headers=headers,
        method=str(request['method']).upper(),
        url=str(request['url']).partition('#')[0],
    )


def _content_of(content: Mapping[str, Any], encoding: str) -> bytes | None:
    """The body, which HAR files contain decoded; None if it was not recorded"""
    text = content.get('text')
    if text is None:
        return None
    if content.get('encoding') == 'base64':
        return b64decode(text)
    try:
        return str(text).encode(encoding or 'utf-8')
    except (LookupError, UnicodeEncodeError):
        return str(text).encode('utf-8', 'surrogatepass')


def _time(value: Any) -> datetime:
    text = re.sub(r'(\.\d{6})\d+', r'\1', str(value).replace('Z', '+00:00'))  # Python supports microseconds only
    text = re.sub(r'\.(\d{1,5})(?=[+-]|$)', lambda match: '.' + match[1].ljust(6, '0'), text)
    text = re.sub(r'([+-]\d{2})(\d{2})$', r'\1:\2', text)
    time = datetime.fromisoformat(text)
    return time.astimezone(timezone.utc) if time.tzinfo else time.replace(tzinfo=timezone.utc)


def _version(value: Any) -> int:
    match = _VERSION.match(str(value or ''))
    return int(match[1]) * 10 + int(match[2] or 0) if match else 0


def _cookies(cookies: Iterable[Mapping[str, Any]], url: str) -> RequestsCookieJar:
    jar, host = RequestsCookieJar(), urlsplit(url).hostname or ''
    for cookie in cookies:
        try:
            SimpleCookie({str(cookie['name']): str(cookie.get('value') or '')})
        except CookieError:
            continue
        expires = cookie.get('expires')
        jar.set(
            str(cookie['name']),
            str(cookie.get('value') or ''),
            domain=str(cookie.get('domain') or host),
            path=str(cookie.get('path') or '/'),
            secure=bool(cookie.get('secure')),
            expires=round(_time(expires).timestamp()) if isinstance(expires, str) and expires else None,
            rest={'HttpOnly': None} if cookie.get('httpOnly') else {},
        )
    return jar
