"""The origin that the other tests rely on does on the wire what it was told"""

from __future__ import annotations

import threading

import pytest
import requests

from requests_cache.testing.origin import NOTICES_SHORT_BODIES, Origin, answer, redirect, revalidating


def test_requests_are_recorded_as_sent(origin: Origin) -> None:
    origin.add('/form', body='ok')
    with requests.Session() as session:
        session.post(origin.url('/form?b=2&a='), data=b'x=1', headers={'X-Mixed-Case': 'kept'})
        session.post(origin.url('/form'), data=iter([b'two', b' chunks']))
        assert origin.connections == 1
    first, second = origin.requests
    assert (first.method, first.path, first.body) == ('POST', '/form?b=2&a=', b'x=1')
    assert ('X-Mixed-Case', 'kept') in first.headers
    assert first.query == [('b', '2'), ('a', '')]
    assert second.body == b'two chunks'
    assert origin.hits('/form') == origin.hits() == 2


def test_answers_follow_the_script_and_the_last_one_stays(origin: Origin) -> None:
    origin.add('/s', answer(body='one'), lambda request: answer(body=request.method), redirect('/end', 307))
    origin.add('/end', body='end')
    assert [requests.get(origin.url('/s')).text for _ in range(4)] == ['one', 'GET', 'end', 'end']
    assert requests.get(origin.url('/elsewhere')).status_code == 404


@pytest.mark.parametrize(
    'coding', [{}, {'gzip': True}, {'chunked': True, 'chunk_bytes': 7}, {'gzip': True, 'chunked': True}]
)
def test_bodies_and_repeated_headers_arrive_whole(origin: Origin, coding: dict[str, object]) -> None:
    body = bytes(range(256)) * 20
    origin.add('/b', answer(200, body, [('X-A', '1'), ('X-A', '2')], reason='Fine', **coding))
    response = requests.get(origin.url('/b'))
    assert (response.content, response.reason) == (body, 'Fine')
    assert response.raw.headers.getlist('X-A') == ['1', '2']
    head = requests.head(origin.url('/b'))
    assert head.content == b''
    assert head.headers == response.headers


@pytest.mark.parametrize(
    'fault', [{'cut_after': 3}, {'cut_after': 3, 'chunked': True}, {'drop': True}, {'raw': b'HTTP/1.1 2'}]
)
def test_broken_answers_break(origin: Origin, fault: dict[str, object]) -> None:
    origin.add('/broken', body=b'0123456789', **fault)
    if fault == {'cut_after': 3} and not NOTICES_SHORT_BODIES:
        assert requests.get(origin.url('/broken')).content == b'012'
        return
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        requests.get(origin.url('/broken'))


def test_conditional_requests_get_a_304_with_the_fields_that_belong_there(origin: Origin) -> None:
    full = answer(200, 'body', [('ETag', '"1"'), ('Last-Modified', 'yesterday'), ('Content-Type', 'text/plain')])
    origin.add('/v', revalidating(full, [('X-New', '1')]))
    for headers, status in [
        ({'If-None-Match': 'W/"0", W/"1"'}, 304),
        ({'If-None-Match': '"2"', 'If-Modified-Since': 'yesterday'}, 200),
        ({'If-Modified-Since': 'yesterday'}, 304),
        ({}, 200),
    ]:
        response = requests.get(origin.url('/v'), headers=headers)
        assert response.status_code == status, headers
        if status == 304:
            assert dict(response.headers) == {'ETag': '"1"', 'Last-Modified': 'yesterday', 'X-New': '1'}


def test_a_held_answer_waits_for_its_release(origin: Origin) -> None:
    hold = origin.hold()
    origin.add('/held', body='late', hold=hold)
    got: list[str] = []
    clients = [threading.Thread(target=lambda: got.append(requests.get(origin.url('/held')).text)) for _ in range(2)]
    for client in clients:
        client.start()
    hold.wait_arrived(2)
    assert got == []
    hold.release()
    for client in clients:
        client.join()
    assert got == ['late', 'late']


def test_stopping_frees_the_port_and_what_was_held_and_starting_takes_it_again(origin: Origin) -> None:
    origin.add('/x', body='again')
    with requests.Session() as session:
        session.get(origin.url('/x'))
        origin.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(origin.url('/x'))
        origin.start()
        assert session.get(origin.url('/x')).text == 'again'
        origin.stop()
    assert [t for t in threading.enumerate() if t.name == 'origin'] == []
