"""Entries to store, and how to compare them with what is read back"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

from requests.structures import CaseInsensitiveDict

from ..models.request import CachedRequest
from ..models.response import CachedResponse

# Whole milliseconds, as BSON cuts off the rest
CREATED = datetime(2026, 3, 4, 5, 6, 7, 89000, tzinfo=timezone.utc)
FAR = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
PAST = datetime(2020, 1, 1, tzinfo=timezone.utc)
FUTURE = datetime(2900, 1, 1, tzinfo=timezone.utc)

# Not UTF-8, with a zero byte, line ends of all kinds, and a lone BOM
AWKWARD_BODY = bytes(range(256)) + b'\r\n\r\x00\n\xef\xbb\xbf'

STRANGE_KEYS = [
    "it's",
    '"; DROP TABLE responses; --',
    "x' OR '1'='1",
    '',
    ' ',
    ' leading and trailing ',
    '../../etc/passwd',
    '/etc/passwd',
    'C:\\Windows\\system32',
    '.',
    '..',
    '~',
    '-rf',
    'a/b/c',
    'a:b:c',
    'a*b?c[d]',
    '100%_done',
    '$where.{}',
    'nul',
    'nul\x00inside',
    'new\nline\r\ttab',
    'ключ 键 🔑',
    'right\u202eto left',
    'lone surrogate \ud800',
    '\udcff\udc00 escaped bytes',
    'k' * 10_000,
    '键' * 3_000,
    '\x7f\x80\x9f',
    '.tmp',
    'key.json',
    'key.lock',
    'redirects.sqlite',
    'x' * 255,
    '0',
    '00',
    'null',
]

# Pairs that a store may take for the same key
CLOSE_KEYS = [
    ('key', 'KEY'),
    ('key', 'key '),
    ('key', ' key'),
    ('caf\u00e9', 'cafe\u0301'),
    ('a', 'a\x00'),
    ('a', 'a\x00b'),
    ('a', 'a:b'),
    ('a', 'a*'),
    ('a/b', 'a//b'),
    ('a/b', 'a%2Fb'),
    ('\ud800', '\ufffd'),
    ('\ud800', '\\ud800'),
    ('\ud800', '?'),
    ('0', '0.0'),
    ('x' * 400, 'x' * 401),
]


def make_response(number: int = 0, **fields: Any) -> CachedResponse:
    """A response with a body, headers and a request of its own for each number; `fields` replace some of them"""
    url = f'http://example.com/{number}?q=%C3%A9'
    values: dict[str, Any] = {
        'content': b'body %d ' % number + AWKWARD_BODY,
        'created_at': CREATED + timedelta(seconds=number),
        'elapsed': timedelta(milliseconds=250),
        'encoding': 'iso-8859-1',
        'headers': CaseInsensitiveDict({'Content-Type': 'application/octet-stream', 'X-Number': str(number)}),
        'reason': 'Very Fine',
        'request': CachedRequest(
            method='GET', url=url, headers=CaseInsensitiveDict({'Accept': '*/*'}), body=b'\x00\xff'
        ),
        'status_code': 200,
        'url': url,
    }
    return CachedResponse(**{**values, **fields})


LARGE = 3_000


def large(number: int = 0, length: int = LARGE, **kwargs: Any) -> CachedResponse:
    """A response with a body of `length` bytes, which is another one for each number"""
    content = (f'{number}.' * length).encode()[:length]
    return make_response(number, content=content, headers={'Content-Length': str(length)}, **kwargs)


def facts(response: Any) -> dict[str, Any]:
    """What a caller can see of a response, in a form that can be compared"""
    assert isinstance(response, CachedResponse)
    request = response.request
    return {
        'content': response.content,
        'cookies': dict(response.cookies.items()),
        'created_at': response.created_at,
        'elapsed': response.elapsed,
        'encoding': response.encoding,
        'expires': response.expires,
        'headers': dict(response.headers),
        'history': [facts(r) for r in response.history],
        'reason': response.reason,
        'request': (request.method, request.url, dict(request.headers), request.body),
        'status_code': response.status_code,
        'url': response.url,
    }


@contextmanager
def closing_all(make: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """A factory whose products are closed at the end of the block"""
    made: list[Any] = []

    def factory(*args: Any, **kwargs: Any) -> Any:
        made.append(make(*args, **kwargs))
        return made[-1]

    try:
        yield factory
    finally:
        for product in made:
            product.close()


class Refusing:
    """A serializer that writes anything as it is, and that fails to read with a given exception"""

    def __init__(self, error: Exception):
        self.error = error

    def dumps(self, value: Any) -> Any:
        return value

    def loads(self, value: Any) -> Any:
        raise self.error
