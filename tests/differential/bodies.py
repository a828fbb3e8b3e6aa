"""Response bodies of the origin: each kind gives the bytes and the Content-Type for the n-th answer of a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Facts = dict[str, Any]
Body = tuple[bytes, str | None]


def _line(facts: Facts) -> str:
    return ' '.join(f'{name}={value}' for name, value in facts.items())


def _json(facts: Facts) -> Body:
    return json.dumps(facts).encode(), 'application/json'


def _json_pretty(facts: Facts) -> Body:
    text = json.dumps({'ratio': 1.0, 'tiny': 1e-7, 'name': 'é/ü', **facts}, indent=4)
    return text.replace('/', '\\/').encode() + b'\n', 'application/json; charset=utf-8'


def _json_utf8(facts: Facts) -> Body:
    return json.dumps({'name': 'žluťoučký', **facts}, ensure_ascii=False).encode(), 'application/problem+json'


def _json_null(facts: Facts) -> Body:
    return b'null', 'application/json'


def _json_broken(facts: Facts) -> Body:
    return b'{' + _line(facts).encode(), 'application/json'


def _text(facts: Facts) -> Body:
    return f'naïve café {_line(facts)}'.encode(), 'text/plain; charset=utf-8'


def _text_bare(facts: Facts) -> Body:
    return f'čaj {_line(facts)}'.encode(), 'text/plain'


def _latin1(facts: Facts) -> Body:
    return f'<p>déjà vu {_line(facts)}</p>'.encode('latin-1'), 'text/html; charset=ISO-8859-1'


def _invalid_utf8(facts: Facts) -> Body:
    return b'\xff\xfe\x00 ' + _line(facts).encode(), 'text/plain; charset=utf-8'


def _binary(facts: Facts) -> Body:
    return bytes(range(256)) + _line(facts).encode(), 'application/octet-stream'


def _empty(facts: Facts) -> Body:
    return b'', 'text/plain; charset=utf-8'


def _untyped(facts: Facts) -> Body:
    return _line(facts).encode(), None


def _lines(facts: Facts) -> Body:
    return f'one\r\ntwo\n\nthree {_line(facts)}\n'.encode(), 'text/csv; charset=utf-8'


def _large(facts: Facts) -> Body:
    return (_line(facts) + '\n').encode() * 4000, 'application/octet-stream'


BODIES: dict[str, Callable[[Facts], Body]] = {
    'json': _json,
    'json-pretty': _json_pretty,
    'json-utf8': _json_utf8,
    'json-null': _json_null,
    'json-broken': _json_broken,
    'text': _text,
    'text-bare': _text_bare,
    'latin1': _latin1,
    'invalid-utf8': _invalid_utf8,
    'binary': _binary,
    'empty': _empty,
    'untyped': _untyped,
    'lines': _lines,
    'large': _large,
}
