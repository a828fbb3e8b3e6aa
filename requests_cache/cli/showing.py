"""The command `show`"""

from __future__ import annotations

import json
import os
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
from requests.exceptions import RequestException

from .._utils import format_file_size, printable
from ..models.response import CachedResponse
from ..policy.expiration import utcnow
from .listing import Row
from .opening import Access, OpenCache, open_cache
from .options import access_options, cache_argument, json_option, yes_option
from .selection import find_keys
from .terminal import CommandError, confirm, note, write, write_line
from .values import format_duration, format_expiry

CHUNK_BYTES = 256 * 1024
# How many keys are listed if a name is ambiguous
MAX_CANDIDATES = 10


@click.command(
    epilog="""\b
Examples:
  requests-cache show my_cache.sqlite https://api.example.com/items
  requests-cache show my_cache.sqlite 4dc151d95200ec91 --body | jq .
  requests-cache show my_cache.sqlite 4dc1 -o page.html"""
)
@cache_argument
@click.argument('entry', metavar='KEY-OR-URL')
@click.option('--body', is_flag=True, help='Write only the body.')
@click.option('-o', '--output', type=click.Path(dir_okay=False), help='Write only the body, to this file.')
@json_option
@yes_option
@access_options
def show(cache: str, entry: str, body: bool, output: str | None, as_json: bool, yes: bool, access: Access) -> int:
    """Show one response in CACHE, with its headers or its body.

    Name the response by its key, by the beginning of its key if no other key begins like that, or by its URL. With
    --json and --body, the body is the member "content", or "content_base64" if it is not UTF-8.
    """
    with open_cache(cache, access) as found:
        key, response = _find_entry(found, entry)
        if response is None:
            return 1
        if as_json:
            write(json.dumps({**_facts(key, response), **(_content(response) if body else {})}, indent=2))
        elif output is not None and output != '-':
            return _write_file(response, Path(output), yes)
        elif body or output == '-':
            _write_body(response)
        else:
            _write_facts(key, response)
    return 0


def _find_entry(found: OpenCache, wanted: str) -> tuple[str, CachedResponse | None]:
    """The key and the response with a name; the response is None, after a message, if there is none"""
    keys = find_keys(found.cache, wanted)
    if len(keys) > 1:
        more = [f'… and {len(keys) - MAX_CANDIDATES} more'] if len(keys) > MAX_CANDIDATES else []
        raise CommandError(f'{wanted} matches several entries. Give more of the key:', *keys[:MAX_CANDIDATES], *more)
    if not keys:
        note(f'There is no response for {wanted} in {found.shown}.')
        return wanted, None
    response = found.read(keys[0])
    if response is None:
        note(f'Entry {keys[0]} cannot be read: {found.why_unreadable(keys[0])}.')
        return keys[0], None
    return keys[0], response


# The facts


def _fields(response: Any) -> list[tuple[str, str]]:
    """Names and values of header fields, with repeated fields kept apart"""
    return list(getattr(response, '_header_fields', None) or response.headers.items())


def _facts(key: str, response: CachedResponse) -> dict[str, Any]:
    request, row = response.request, Row.of(key, response, utcnow())
    return {
        **json.loads(row.to_json()),
        'reason': response.reason,
        'headers': _fields(response),
        'request': {'method': request.method, 'url': request.url, 'headers': _fields(request)},
        'history': [{'status_code': r.status_code, 'url': r.url, 'headers': _fields(r)} for r in response.history],
    }


def _content(response: CachedResponse) -> dict[str, str]:
    content = response.content
    try:
        return {'content': content.decode('utf-8')}
    except UnicodeDecodeError:
        return {'content_base64': b64encode(content).decode('ascii')}


def _write_facts(key: str, response: CachedResponse) -> None:
    now, row = utcnow(), Row.of(key, response, utcnow())
    for redirect in response.history:
        write_line(f'{redirect.request.method} {printable(redirect.url)}')
        write_line(f'{redirect.status_code} → {printable(redirect.headers.get("Location", ""))}', '')
    write_line((f'{printable(row.method)} {printable(response.request.url or row.url)}', 'bold'))
    for name, value in _fields(response.request):
        write_line((printable(name), 'cyan'), f': {printable(value)}')
    write_line()
    write_line((f'{row.status_code} {printable(response.reason or "")}'.rstrip(), 'bold'))
    for name, value in _fields(response):
        write_line((printable(name), 'cyan'), f': {printable(value)}')
    write_line()
    facts = {
        'key': key,
        'body': format_file_size(row.size),
        'received': f'{row.created_at:%Y-%m-%d %H:%M:%S} UTC, {format_duration(now - row.created_at)} ago',
        'expires': f'{row.expires:%Y-%m-%d %H:%M:%S} UTC, {format_expiry(row.expires, now)}'
        if row.expires
        else 'never',
    }
    for name, value in facts.items():
        write_line(f'{name:<9} {printable(value)}')


# The body


def _chunks(response: CachedResponse) -> Iterator[bytes]:
    try:
        yield from response.iter_content(CHUNK_BYTES)
    except RequestException as e:
        raise CommandError(f'The body cannot be read: {e}') from None


def _write_body(response: CachedResponse) -> None:
    if not sys.stdout.isatty():
        _copy(response, sys.stdout.buffer)
        return
    if not _is_text(response):
        raise CommandError(
            'The body is not text, and could disturb the terminal. Write it to a file with -o FILE, or to a pipe.'
        )
    for text in response.text.splitlines():
        write(printable(text.expandtabs()))


def _is_text(response: CachedResponse) -> bool:
    content: bytes = response.content
    if b'\0' in content:
        return False
    try:
        content.decode(response.encoding or 'utf-8')
    except (LookupError, UnicodeDecodeError):
        return False
    return True


def _copy(response: CachedResponse, file: IO[bytes]) -> None:
    for chunk in _chunks(response):
        file.write(chunk)
    file.flush()


def _write_file(response: CachedResponse, path: Path, yes: bool) -> int:
    """Write the body to a temporary file, and rename that at the end, so that an existing file is replaced at once"""
    if path.exists() and not confirm(f'{path} exists. Replace it?', yes):
        note('Nothing was written.')
        return 1
    if path.exists() and not path.is_file():  # a device or a pipe
        with path.open('wb') as file:
            _copy(response, file)
        return 0
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    try:
        with part.open('xb') as file:
            _copy(response, file)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return 0
