"""Streamed responses can be read in every way in which plain `requests` can, on a miss and on a hit

What is compared with a plain session, call by call. The differences there are stand in `EXPECTED_...`, and on the page
about streaming in the guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from support.streaming import CODED, DECODED, LINES, NEUTRAL, OPERATIONS, READERS, codings, outcome, tar_of

from requests_cache import CachedSession
from requests_cache.testing.origin import Answer, Origin

CODERS = {'identity': bytes, **codings()}
PIECE_BYTES = 128
SMALL, LARGE = 1 << 20, 100
KINDS = {'small': SMALL, 'large': LARGE}

OF_THE_WIRE = {'raw.length_remaining', 'raw.getheaders'}
# On a hit, `raw` knows the whole URL, and the chunks in which a body was received are not kept
EXPECTED_ON_HITS = {'raw.facts', 'raw.chunked', 'raw.decode_content'}
# Without their coding, it is not these bytes that were announced
EXPECTED_ON_DECODED_HITS = {*EXPECTED_ON_HITS, *OF_THE_WIRE, 'consumed'}
# urllib3 says that it is closed as soon as the last byte was read, which these do not like; on a small hit they work
EXPECTED_OF_FILES = {'TextIOWrapper', 'BufferedReader'}
# A hit has no connection: it can be read again, from its beginning, whatever was read before and whether it was closed
OF_ONE_CONNECTION = {
    *('close', 'raw.close', 'with', 'release_conn', 'drain_conn', 'raw.data', 'consumed', 'content', 'text', 'iter'),
    *(name for name in OPERATIONS if name.startswith('iter_')),
}
OF_THE_WHOLE = OF_ONE_CONNECTION - {'close', 'raw.close', 'with', 'release_conn', 'drain_conn'}


@pytest.fixture(scope='module')
def pages() -> Iterator[Origin]:
    """An origin with the same page in all codings, in chunks and not"""
    with Origin() as origin:
        for coding, encode in CODERS.items():
            headers = [('Content-Type', 'text/plain')]
            headers += [('Content-Encoding', coding)] if coding != 'identity' else []
            for chunked in (False, True):
                page = Answer(200, encode(LINES), tuple(headers), chunked=chunked, chunk_bytes=300)
                origin.add(page_of(coding, chunked), page)
                # The member is long enough for some chunks
                archive = encode(tar_of(LINES))
                origin.add(f'/tar{page_of(coding, chunked)}', Answer(200, archive, tuple(headers), chunked=chunked))
        yield origin


def page_of(coding: str, chunked: bool) -> str:
    return f'/{coding}/{"chunked" if chunked else "length"}'


def memory_session(kind: str) -> CachedSession:
    session = CachedSession(backend='memory', large_body_bytes=KINDS[kind], drain_seconds=1_000.0)
    session.cache.responses.pieces.piece_bytes = PIECE_BYTES  # type: ignore[attr-defined]
    return session


def plainly(names: list[str], url: str, stream: bool = True) -> list[Any]:
    """What comes of operations without a cache"""
    with requests.Session() as session, session.get(url, stream=stream) as response:
        return [outcome(OPERATIONS[name], response) for name in names]


def without_empty_end(found: Any) -> Any:
    """What `raw.stream` of a small body yields last, as in 1.x"""
    return found[:-1] if isinstance(found, list) and found[-1:] == [b''] else found


def nothing_left(session: CachedSession) -> bool:
    pieces: Any = session.cache.responses.pieces  # type: ignore[attr-defined]
    return not pieces._unclaimed and not list(pieces.unused())


every_coding = pytest.mark.parametrize('coding', CODERS)
every_framing = pytest.mark.parametrize('chunked', [False, True], ids=['length', 'chunked'])
every_kind = pytest.mark.parametrize('kind', KINDS)


@every_kind
@every_framing
@every_coding
def test_each_way_of_reading_a_miss(pages: Origin, coding: str, chunked: bool, kind: str) -> None:
    url = pages.url(page_of(coding, chunked))
    for name in OPERATIONS:
        with memory_session(kind) as session, session.get(url, stream=True) as response:
            assert [name, outcome(OPERATIONS[name], response)] == [name, *plainly([name], url)]


@every_kind
@every_framing
@every_coding
def test_each_way_of_reading_stores(pages: Origin, coding: str, chunked: bool, kind: str) -> None:
    """Whatever reads a body to its end, though the caller need not have asked for all of it"""
    url = pages.url(page_of(coding, chunked))
    for name in READERS.keys() - {'tarfile'}:
        with memory_session(kind) as session:
            with session.get(url, stream=True) as response:
                outcome(OPERATIONS[name], response)
            assert session.get(url, only_if_cached=True).content == LINES, name
            assert nothing_left(session)


@every_framing
@every_coding
@pytest.mark.parametrize('kind', ['small', 'large, decoded'])
def test_each_way_of_reading_a_hit_that_is_stored_decoded(pages: Origin, coding: str, chunked: bool, kind: str) -> None:
    """Small ones are, and others that were not streamed when they came"""
    url, plain_url = pages.url(page_of(coding, chunked)), pages.url(page_of('identity', False))
    with memory_session(kind.partition(',')[0]) as session:
        session.get(url)
        for name in OPERATIONS.keys() - EXPECTED_ON_DECODED_HITS - EXPECTED_OF_FILES:
            response = session.get(url, stream=True)
            assert response.from_cache
            found = outcome(OPERATIONS[name], response)
            assert [name, without_empty_end(found)] == [name, *plainly([name], plain_url)]


@every_framing
@every_coding
def test_each_way_of_reading_a_hit_that_is_stored_as_it_came(pages: Origin, coding: str, chunked: bool) -> None:
    url, plain_url = pages.url(page_of(coding, chunked)), pages.url(page_of(coding, False))
    with memory_session('large') as session:
        session.get(url, stream=True).raw.drain_conn()
        for name in OPERATIONS.keys() - EXPECTED_ON_HITS - EXPECTED_OF_FILES - (OF_THE_WIRE if chunked else set()):
            response = session.get(url, stream=True)
            assert response.from_cache
            assert [name, outcome(OPERATIONS[name], response)] == [name, *plainly([name], plain_url)]


@every_kind
def test_files_over_hits(pages: Origin, kind: str) -> None:
    """In chunks, where urllib3 notices the end later, they work without a cache, too"""
    url = pages.url(page_of('identity', True))
    with memory_session(kind) as session:
        for _ in range(2):
            if 'TextIOWrapper' in OPERATIONS:
                lines = outcome(OPERATIONS['TextIOWrapper'], session.get(url, stream=True))
                assert [lines] == plainly(['TextIOWrapper'], url)
            text = session.get(url, stream=True)
            text.raw.auto_close = False
            assert outcome(OPERATIONS['BufferedReader'], text)[-1] == LINES.partition(b'\n')[2]


@every_framing
@every_coding
@every_kind
def test_archives(pages: Origin, coding: str, chunked: bool, kind: str) -> None:
    """Of which the last blocks need not be read"""
    url = pages.url('/tar' + page_of(coding, chunked))
    with memory_session(kind) as session:
        for _ in range(2):
            for read in ('tarfile', 'tarfile(decoded)'):
                with session.get(url, stream=True) as response:
                    found = outcome(OPERATIONS[read], response)
                expected = plainly([read], url)
                decoded = response.from_cache and kind == 'small'
                assert [found] == ([{'member': LINES}] if decoded else expected)
        assert session.get(url, only_if_cached=True).content == tar_of(LINES)


# Several calls, one after another

orders = st.one_of(
    st.lists(st.sampled_from(sorted(NEUTRAL | names)), min_size=2, max_size=6) for names in (CODED, DECODED)
)


codes = st.sampled_from(sorted(CODERS))


def test_sequences_of_calls_on_a_miss(pages: Origin) -> None:
    @given(coding=codes, chunked=st.booleans(), kind=st.sampled_from(sorted(KINDS)), names=orders)
    @settings(max_examples=150)
    def check(coding: str, chunked: bool, kind: str, names: list[str]) -> None:
        url = pages.url(page_of(coding, chunked))
        expected = plainly(names, url)
        with memory_session(kind) as session:
            with session.get(url, stream=True) as response:
                for name, plain in zip(names, expected, strict=True):
                    found = outcome(OPERATIONS[name], response)
                    if found != plain:  # after its end, a small body can be had once more, as in 1.x
                        assert (kind, name) in {('small', name) for name in OF_THE_WHOLE}
                        assert len(session.cache.responses) == 1
                        assert name == 'consumed' or [found] == plainly([name], url, stream=False)
                        break
            assert nothing_left(session)
            assert [stored.content for stored in session.cache.responses.values()] in ([], [LINES])

    check()


def test_sequences_of_calls_on_a_hit(pages: Origin) -> None:
    @given(coding=codes, names=orders)
    @settings(max_examples=100)
    def check(coding: str, names: list[str]) -> None:
        url = pages.url(page_of(coding, False))
        names = [name for name in names if name not in OF_ONE_CONNECTION | EXPECTED_ON_HITS]
        with memory_session('large') as session:
            session.get(url, stream=True).raw.drain_conn()
            response = session.get(url, stream=True)
            assert [outcome(OPERATIONS[name], response) for name in names] == plainly(names, url)
            for name in ('content', 'text', 'iter_lines', 'iter_content(7)'):
                assert [outcome(OPERATIONS[name], response)] == plainly([name], url, stream=False)

    check()


# Bodies that there are none of, or of just so many bytes


@every_kind
@pytest.mark.parametrize(
    ('method', 'page'),
    [
        ('HEAD', Answer(200, LINES)),
        ('HEAD', Answer(200, LINES, chunked=True)),
        ('GET', Answer(204)),
        ('GET', Answer(200)),
        ('GET', Answer(200, chunked=True)),
        ('GET', Answer(200, gzip=True)),
    ],
    ids=['HEAD', 'HEAD, chunked', '204', 'empty', 'empty, chunked', 'empty, gzip'],
)
def test_no_body(origin: Origin, method: str, page: Answer, kind: str) -> None:
    origin.add('/page', page)
    url = origin.url('/page')
    for name in READERS.keys() - {'tarfile'}:
        with memory_session(kind) as session, requests.Session() as plain:
            session.settings.allowable_codes = (200, 204)
            expected = outcome(OPERATIONS[name], plain.request(method, url, stream=True))
            for from_cache in (False, True):
                with session.request(method, url, stream=True) as response:
                    found = outcome(OPERATIONS[name], response)
                assert response.from_cache is from_cache, name
                if name not in EXPECTED_OF_FILES and (not page.gzip or name in DECODED):
                    assert [name, without_empty_end(found)] == [name, expected]


def test_what_has_no_body_is_stored_at_once(origin: Origin) -> None:
    """As nobody need read it, or close it"""
    origin.add('/204', Answer(204))
    origin.add('/empty', Answer(200))
    origin.add('/head', Answer(200, LINES))
    with memory_session('small') as session:
        session.settings.allowable_codes = (200, 204)
        for method, path in (('GET', '/204'), ('GET', '/empty'), ('HEAD', '/head')):
            session.request(method, origin.url(path), stream=True)
            assert session.request(method, origin.url(path), stream=True).from_cache
    assert origin.connections == 1


@every_framing
@pytest.mark.parametrize('length', [99, 100, 101, 228, 229, 255, 256, 257, 512])
def test_bodies_around_the_limits(origin: Origin, length: int, chunked: bool) -> None:
    """Of the entry, and of pieces"""
    body = bytes(i % 251 for i in range(length))
    for encoded in (False, True):
        origin.add('/page', Answer(200, body, gzip=encoded, chunked=chunked, chunk_bytes=50))
        for stream in (False, True):
            with memory_session('large') as session:
                assert session.get(origin.url('/page'), stream=stream).content == body
                hit: Any = session.get(origin.url('/page'), stream=stream)
                assert hit.from_cache
                assert hit.raw.read(decode_content=True) == hit.content == body
                if not encoded:
                    assert (hit._body is not None) is (length > LARGE)
