"""The gateway among the examples, run as a process and asked as any HTTP client would"""

from __future__ import annotations

import gzip
import http.client
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from requests_cache.testing.origin import Origin, answer, redirect, revalidating

GATEWAY = Path(__file__).parents[2] / 'examples' / 'gateway.py'
FRESH = ('Cache-Control', 'max-age=100')
PATIENCE_SECONDS = 30


@contextmanager
def running(*arguments: str) -> Iterator[int]:
    """The port of a gateway that is ready"""
    command = [sys.executable, '-W', 'error', str(GATEWAY), *arguments, '--port', '0']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().split()[0].rpartition(':')[2])
        finally:
            process.terminate()


Ask = Any


@pytest.fixture
def ask(origin: Origin) -> Iterator[Ask]:
    """Sends requests over one connection; gives the response, read to its end, with its body as `content`"""
    with running(origin.url('').rstrip('/'), '--cache-status', '--timeout', '2') as port:
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=PATIENCE_SECONDS)

        def send(path: str, method: str = 'GET', headers: Any = (), body: Any = None, **kwargs: Any) -> Any:
            connection.putrequest(method, path, skip_host=False, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(body, **kwargs)
            response: Any = connection.getresponse()
            try:
                response.content = response.read()
            except http.client.IncompleteRead:
                connection.close()
                raise
            return response

        send.address = ('127.0.0.1', port)  # type: ignore[attr-defined]
        yield send
        connection.close()


def test_responses_come_from_the_cache(origin: Origin, ask: Ask) -> None:
    origin.add('/page', body=b'x', headers=[FRESH, ('ETag', '"1"'), ('Set-Cookie', 'a=1'), ('Set-Cookie', 'b=2')])
    for status in ('fwd=uri-miss', 'hit', 'hit'):
        response = ask('/page')
        assert (response.status, response.reason, response.content) == (200, 'OK', b'x')
        assert response.headers.get_all('Set-Cookie') == ['a=1', 'b=2']
        assert response.headers['Cache-Status'].startswith(f'requests-cache; {status}')
        assert response.headers['Via'] == '1.1 requests-cache'
        assert (response.headers['Age'] is not None) is (status == 'hit')
        assert response.headers['Date']
    head = ask('/page', 'HEAD')
    assert (head.status, head.content, head.headers['Content-Length']) == (200, b'', '1')
    not_modified = ask('/page', headers=[('If-None-Match', '"1"')])
    assert (not_modified.status, not_modified.content) == (304, b'')
    assert origin.hits() == 1
    assert origin.connections == 1


def test_requests_are_passed_on_as_they_are(origin: Origin, ask: Ask) -> None:
    origin.add('/page', body=b'x')
    repeated = [('X-List', '1'), ('X-List', '2'), ('Cookie', 'a=1'), ('Cookie', 'b=2')]
    hop_by_hop = [('TE', 'gzip'), ('Connection', 'X-Hop'), ('X-Hop', '1')]
    ask('//page/../%7E?b=1&a=%2F&', 'M-SEARCH', [*repeated, ('X-Text', '\xe9'), *hop_by_hop])
    request = origin.requests[0]
    assert (request.method, request.path) == ('M-SEARCH', '//page/../%7E?b=1&a=%2F&')
    assert dict(request.headers) == {
        'Host': f'127.0.0.1:{origin.port}', 'X-List': '1, 2', 'Cookie': 'a=1; b=2', 'X-Text': '\xe9',
        'Via': '1.1 requests-cache', 'Content-Length': '0',
    }  # fmt: skip


def test_bodies_are_passed_on_in_either_framing(origin: Origin, ask: Ask) -> None:
    origin.add('/form', lambda request: answer(201, request.body, [('Location', '/x')], chunked=True))
    length = ask('/form', 'POST', [('Content-Length', '4')], b'body')
    chunks = ask('/form', 'PUT', [('Transfer-Encoding', 'chunked')], [b'bo', b'dy'], encode_chunked=True)
    assert [(r.status, r.content, r.headers['Location']) for r in (length, chunks)] == [(201, b'body', '/x')] * 2
    assert [r.header('Content-Length') for r in origin.requests] == ['4', '4']


def test_content_codings_are_kept(origin: Origin, ask: Ask) -> None:
    origin.add('/page', body=b'text' * 100, headers=[FRESH, ('ETag', '"gzip"'), ('Vary', 'Accept-Encoding')], gzip=True)
    accepting = [('Accept-Encoding', 'gzip')]
    for _ in range(2):
        response = ask('/page', headers=accepting)
        assert (response.headers['Content-Encoding'], response.headers['ETag']) == ('gzip', '"gzip"')
        assert response.headers['Content-Length'] == str(len(response.content))
        assert gzip.decompress(response.content) == b'text' * 100
    assert origin.hits() == 1


def test_redirects_and_cookies_are_the_clients(origin: Origin, ask: Ask) -> None:
    origin.add('/old', redirect('/new', 301, [FRESH, ('Set-Cookie', 'a=1')]))
    origin.add('/bad', redirect('http://[bad', 302))
    for _ in range(2):
        response = ask('/old')
        assert (response.status, response.headers['Location']) == (301, '/new')
    assert ask('/bad').status == 302
    assert [(r.path, r.header('Cookie')) for r in origin.requests] == [('/old', None), ('/bad', None)]


def test_stale_responses_are_validated(origin: Origin, ask: Ask) -> None:
    origin.add('/page', revalidating(answer(200, b'x', [('Cache-Control', 'no-cache'), ('ETag', '"1"')])))
    assert [ask('/page').content for _ in range(2)] == [b'x', b'x']
    assert [r.header('If-None-Match') for r in origin.requests] == [None, '"1"']


def test_interim_responses_go_before_the_final_one(origin: Origin, ask: Ask) -> None:
    early = b'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n'
    final = b'HTTP/1.1 200 OK\r\nCache-Control: max-age=100\r\nContent-Length: 1\r\n\r\nx'
    origin.add('/page', answer(raw=early + final))
    with socket.create_connection(ask.address, PATIENCE_SECONDS) as client:
        client.sendall(b'GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        answered = b''.join(iter(lambda: client.recv(65536), b''))
    interim, final_head, body = answered.split(b'\r\n\r\n')
    assert interim == early.rstrip(b'\r\n')
    assert final_head.startswith(b'HTTP/1.1 200 OK\r\n')
    assert body == b'x'
    assert ask('/page').headers['Age']


def test_faults_of_the_origin(origin: Origin, ask: Ask) -> None:
    origin.add('/slow', answer(hold=origin.hold()))
    origin.add('/cut', body=b'0123456789', cut_after=5)
    assert ask('/slow').status == 504
    with pytest.raises(http.client.IncompleteRead):
        ask('/cut')
    origin.stop()
    assert ask('/page').status == 502
    assert ask('/page', headers=[('Cache-Control', 'only-if-cached')]).status == 504


@pytest.mark.parametrize(
    'fields',
    [
        [('Content-Length', '1'), ('Content-Length', '2')],
        [('Content-Length', '+1')],
        [('Content-Length', '1'), ('Transfer-Encoding', 'chunked')],
        [('Transfer-Encoding', 'gzip, chunked')],
    ],
)
def test_requests_with_a_doubtful_length_are_refused(origin: Origin, ask: Ask, fields: Any) -> None:
    assert ask('/page', 'POST', fields, b'1').status == 400
    assert origin.hits() == 0


def test_a_shared_cache(origin: Origin) -> None:
    origin.add('/private', body=b'x', headers=[('Cache-Control', 'max-age=100, private')])
    for mode, hits in ((), 1), (('--shared',), 2):
        before = origin.hits()
        with running(origin.url('').rstrip('/'), *mode) as port:
            for _ in range(2):
                connection = http.client.HTTPConnection('127.0.0.1', port, timeout=PATIENCE_SECONDS)
                connection.request('GET', '/private')
                assert connection.getresponse().read() == b'x'
                connection.close()
        assert origin.hits() - before == hits


def test_a_forward_proxy(origin: Origin) -> None:
    origin.add('/page', body=b'x', headers=[FRESH])
    with running() as port:
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=PATIENCE_SECONDS)
        for target, status in ((origin.url('/page'), 200), (origin.url('/page'), 200), ('/page', 400)):
            connection.request('GET', target)
            response = connection.getresponse()
            response.read()
            assert response.status == status
        connection.close()
    assert origin.hits() == 1
