"""Operations on a streamed response, and their results"""

from __future__ import annotations

import gzip
import importlib.util
import io
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from requests import Response
from urllib3.response import HTTPResponse

Operation = Callable[[Response], Any]
Outcomes = list[tuple[str, Any]]

LINES = b''.join(b'%d bottles of beer on the wall\n' % i for i in range(100, 0, -1))


def codings() -> dict[str, Callable[[bytes], bytes]]:
    """Encoders for the content codings that this environment can decode"""
    known: dict[str, Callable[[bytes], bytes]] = {
        'gzip': lambda data: gzip.compress(data, mtime=0),
        'deflate': zlib.compress,
    }
    if 'br' in HTTPResponse.CONTENT_DECODERS:
        import brotli

        known['br'] = brotli.compress
    if 'zstd' in HTTPResponse.CONTENT_DECODERS and importlib.util.find_spec('backports'):
        from backports import zstd

        known['zstd'] = zstd.compress
    return known


def _read_into(response: Response, size: int) -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[: response.raw.readinto(buffer)])


def copied(response: Response) -> bytes:
    target = io.BytesIO()
    shutil.copyfileobj(response.raw, target, 100)
    return target.getvalue()


def members(response: Response, decode_content: bool = False) -> dict[str, bytes]:
    response.raw.decode_content = decode_content
    with tarfile.open(fileobj=response.raw, mode='r|') as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def tar_of(content: bytes) -> bytes:
    """An archive with one member"""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode='w') as archive:
        member = tarfile.TarInfo('member')
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def buffered(response: Response) -> list[bytes]:
    reader = io.BufferedReader(response.raw, 64)
    return [reader.read(10), reader.readline(), reader.peek(1)[:1], reader.read()]


def as_text(response: Response) -> list[str]:
    return list(io.TextIOWrapper(response.raw, encoding='latin-1'))


def decoding(response: Response) -> bytes:
    response.raw.decode_content = True
    return copied(response)


def in_a_block(response: Response) -> bytes:
    with response:
        return response.raw.read(10)  # type: ignore[no-any-return]


def first(iterator: Iterable[Any], count: int = 1) -> list[Any]:
    return [item for _, item in zip(range(count), iterator, strict=False)]


def _closes(response: Response) -> None:
    response.close()


# Operations that read a body from beginning to end
READERS: dict[str, Operation] = {
    'content': lambda r: r.content,
    'text': lambda r: r.text,
    'iter_content(1)': lambda r: list(r.iter_content()),
    'iter_content(7)': lambda r: list(r.iter_content(7)),
    'iter_content(5000)': lambda r: list(r.iter_content(5000)),
    'iter_content(None)': lambda r: list(r.iter_content(None)),
    'iter_content(unicode)': lambda r: list(r.iter_content(50, decode_unicode=True)),
    'iter': lambda r: list(r),
    'iter_lines': lambda r: list(r.iter_lines()),
    'iter_lines(7)': lambda r: list(r.iter_lines(7)),
    'iter_lines(unicode)': lambda r: list(r.iter_lines(decode_unicode=True)),
    'iter_lines(delimiter)': lambda r: list(r.iter_lines(delimiter=b'beer')),
    'raw.read': lambda r: r.raw.read(),
    'raw.read(None)': lambda r: r.raw.read(None),
    'raw.read(-1)': lambda r: r.raw.read(-1),
    'raw.read(coded)': lambda r: r.raw.read(decode_content=False),
    'raw.read(decoded)': lambda r: r.raw.read(decode_content=True),
    'raw.read(7)': lambda r: list(iter(lambda: r.raw.read(7), b'')),
    'raw.read(7, decoded)': lambda r: list(iter(lambda: r.raw.read(7, decode_content=True), b'')),
    'raw.read(5000)': lambda r: list(iter(lambda: r.raw.read(5000), b'')),
    'raw.read1': lambda r: b''.join(iter(lambda: r.raw.read1(7), b'')),
    'raw.read1(decoded)': lambda r: b''.join(iter(lambda: r.raw.read1(50, decode_content=True), b'')),
    'raw.readinto': lambda r: list(iter(lambda: _read_into(r, 9), b'')),
    'raw.stream': lambda r: list(r.raw.stream()),
    'raw.stream(7)': lambda r: list(r.raw.stream(7)),
    'raw.stream(7, decoded)': lambda r: list(r.raw.stream(7, decode_content=True)),
    'raw.stream(decoded)': lambda r: list(r.raw.stream(decode_content=True)),
    'raw.data': lambda r: r.raw.data,
    'raw.iter': lambda r: list(r.raw),
    'raw.readlines': lambda r: r.raw.readlines(),
    'copyfileobj': copied,
    'copyfileobj(decoded)': decoding,
    'BufferedReader': buffered,
    'TextIOWrapper': as_text,
    'GzipFile': lambda r: gzip.GzipFile(fileobj=r.raw).read(),
    'tarfile': members,
    'tarfile(decoded)': lambda r: members(r, decode_content=True),
    'drain_conn': lambda r: r.raw.drain_conn(),
}

# Operations that read a part of the body or nothing, or that end the response
OTHERS: dict[str, Operation] = {
    'iter_content, first': lambda r: first(r.iter_content(10)),
    'iter_lines, first': lambda r: first(r.iter_lines(), 2),
    'raw.stream, first': lambda r: first(r.raw.stream(10), 2),
    'raw.read some': lambda r: r.raw.read(11),
    'raw.read nothing': lambda r: r.raw.read(0),
    'raw.read some, decoded': lambda r: r.raw.read(11, decode_content=True),
    'raw.read some, coded': lambda r: r.raw.read(11, decode_content=False),
    'raw.read1 some': lambda r: r.raw.read1(3),
    'raw.readline': lambda r: r.raw.readline(),
    'raw.tell': lambda r: r.raw.tell(),
    'raw.closed': lambda r: r.raw.closed,
    'raw.isclosed': lambda r: r.raw.isclosed(),
    'raw.readable': lambda r: r.raw.readable(),
    'raw.decode_content': lambda r: r.raw.decode_content,
    'raw.seekable': lambda r: r.raw.seekable(),
    'raw.writable': lambda r: r.raw.writable(),
    'raw.seek': lambda r: r.raw.seek(0),
    'raw.length_remaining': lambda r: r.raw.length_remaining,
    'raw.facts': lambda r: (r.raw.status, r.raw.reason, r.raw.version, r.raw.geturl(), list(r.raw.headers.items())),
    'raw.getheaders': lambda r: (
        list(r.raw.getheaders().items()),
        r.raw.getheader('Content-Type'),
        r.raw.getheader('X'),
    ),
    'raw.chunked': lambda r: (r.raw.chunked, r.raw.supports_chunked_reads()),
    'with': in_a_block,
    'close': _closes,
    'raw.close': lambda r: r.raw.close(),
    'release_conn': lambda r: r.raw.release_conn(),
    'raw.flush': lambda r: r.raw.flush(),
    'consumed': lambda r: (r._content_consumed, r._content is False),
    'bool': lambda r: (bool(r), r.ok, r.is_redirect, r.encoding, r.reason),
}
if not hasattr(HTTPResponse, 'read1'):  # before version 2 of urllib3
    for name in ('raw.read1', 'raw.read1(decoded)', 'raw.read(-1)', 'TextIOWrapper'):
        del READERS[name]
    del OTHERS['raw.read1 some']
OPERATIONS = {**READERS, **OTHERS}
NEUTRAL = {
    *('raw.read nothing', 'raw.tell', 'raw.closed', 'raw.isclosed', 'raw.readable', 'raw.seekable', 'raw.writable'),
    *('raw.seek', 'raw.length_remaining', 'raw.facts', 'raw.getheaders', 'raw.chunked', 'close', 'raw.close'),
    *('release_conn', 'raw.flush', 'consumed', 'bool', 'drain_conn', 'raw.decode_content'),
}
DECODED = {
    *('content', 'text', 'iter', 'iter_content, first', 'iter_lines, first', 'raw.iter', 'raw.readlines'),
    *(name for name in OPERATIONS if name.startswith('iter_') or 'decoded' in name),
}
# A part must not be read coded and the rest decoded: urllib3 may then never return
CODED = OPERATIONS.keys() - NEUTRAL - DECODED


def outcome(operation: Operation, response: Response) -> Any:
    """What an operation returns, or the type of the exception that it raises"""
    try:
        return operation(response)
    except Exception as e:
        return type(e)


def outcomes(names: Iterable[str], response: Response) -> Iterator[tuple[str, Any]]:
    """The outcomes of several operations, one after another"""
    for name in names:
        yield name, outcome(OPERATIONS[name], response)
