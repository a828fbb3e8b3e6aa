"""Sessions with `compression=` and `encryption_key=`: callers see no difference, keys stay, errors say what is wrong"""

from __future__ import annotations

import gzip
import pickle
import sys
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
import requests
from requests import Request
from support.streaming import LINES, READERS, outcomes

from requests_cache import (
    CachedSession,
    SerializerPipeline,
    SQLiteCache,
    Stage,
    install_cache,
    new_encryption_key,
    pickle_serializer,
    uninstall_cache,
)
from requests_cache.exceptions import MissingDependencyError
from requests_cache.testing.origin import Origin, answer, redirect, revalidating

NewSession = Callable[..., CachedSession]
KEY = new_encryption_key()
SEALED: dict[str, Any] = {'compression': True, 'encryption_key': KEY}
BACKENDS = ('memory', 'sqlite', 'filesystem')
LARGE = LINES * 10


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# What callers get


@pytest.mark.parametrize('path', ['/plain', '/gzip', '/large'])
def test_streams_are_the_same_as_without(new_session: NewSession, origin: Origin, path: str) -> None:
    """On a miss and on a hit, whatever is done with them first, and after that"""
    coded = gzip.compress(LINES, mtime=0)
    origin.add('/plain', answer(200, LINES))
    origin.add('/gzip', answer(200, coded, [('Content-Encoding', 'gzip')]))
    origin.add('/large', answer(200, LARGE))
    sessions = [
        new_session(backend='sqlite', cache_name=f'cache-{number}', fast_save=True, large_body_bytes=5_000, **sealing)
        for number, sealing in enumerate(({}, SEALED))
    ]
    for reader in READERS:
        seen = []
        for session in sessions:
            for _ in range(2):
                response = session.get(origin.url(f'{path}?{reader}'), stream=True)
                seen.append((response.from_cache, *outcomes([reader, 'content', 'consumed'], response)))
        assert seen[:2] == seen[2:], reader


def test_redirects_and_validation(new_session: NewSession, origin: Origin, backend: str) -> None:
    origin.add('/end', revalidating(answer(200, LINES, [('ETag', '"1"')]), [('X-New', 'yes')]))
    origin.add('/start', redirect('/end'))
    session = new_session(backend=backend, **SEALED)
    for from_cache in (False, True):
        response = session.get(origin.url('/start'))
        assert (response.content, response.from_cache, len(response.history)) == (LINES, from_cache, 1)
    assert session.get(origin.url('/end'), refresh=True).revalidated
    hit = session.get(origin.url('/end'))
    assert (hit.content, hit.headers['X-New'], hit.from_cache) == (LINES, 'yes', True)


def test_what_was_read_outlives_what_was_stored(new_session: NewSession, origin: Origin, backend: str) -> None:
    origin.add('/page', answer(200, LINES))
    session = new_session(backend=backend, serializer='pickle', **SEALED)
    session.get(origin.url('/page'))
    (response,) = session.cache.filter()
    session.cache.clear()
    assert response.content == LINES


def test_sessions_are_sent_to_other_processes(new_session: NewSession, origin: Origin) -> None:
    origin.add('/page', answer(200, LINES))
    session = new_session(**SEALED)
    session.get(origin.url('/page'))
    with pickle.loads(pickle.dumps(session)) as other:
        assert other.get(origin.url('/page')).from_cache


# Keys, and serializers of the user's own


class Own:
    """A serializer that takes whole responses"""

    def __str__(self) -> str:
        return 'own'

    def dumps(self, value: Any) -> str:
        return pickle.dumps(value).hex()

    def loads(self, value: str) -> Any:
        return pickle.loads(bytes.fromhex(value))


SERIALIZERS: dict[str, Any] = {
    'default': None,
    'pickle': 'pickle',
    'json': 'json',
    'yaml': 'yaml',
    'pipeline': SerializerPipeline(
        [pickle_serializer, Stage(dumps=gzip.compress, loads=gzip.decompress)], name='gzip', is_binary=True
    ),
    'stage': Stage(Own()),
    'own': Own(),
}


@pytest.mark.parametrize('name', SERIALIZERS)
def test_keys_are_the_same_as_without(new_session: NewSession, origin: Origin, backend: str, name: str) -> None:
    """The number of a pipeline's stages is part of a key, as in 1.x; compression and encryption are no stages of it"""
    origin.add('/page', answer(200, LINES))
    options = {'backend': backend, 'serializer': SERIALIZERS[name]}
    plain, sealed = new_session(**options), new_session(**options, **SEALED)
    for request in (Request('GET', origin.url('/page')), Request('POST', origin.url('/page'), json={'a': 1})):
        assert sealed.cache.create_key(request) == plain.cache.create_key(request)
    assert not sealed.get(origin.url('/page')).from_cache
    hit = sealed.get(origin.url('/page'))
    assert (hit.content, hit.from_cache) == (LINES, True)
    if backend != 'memory':
        assert not plain.get(origin.url('/page')).from_cache
        plain.cache.clear()
        plain.get(origin.url('/page'))
        assert sealed.get(origin.url('/page')).from_cache


def test_compression_makes_caches_smaller(new_session: NewSession, origin: Origin) -> None:
    origin.add('/page', answer(200, LARGE))
    sizes = []
    for compression in (False, True):
        session = new_session(backend='filesystem', cache_name=f'cache-{compression}', compression=compression)
        session.get(origin.url('/page'))
        sizes.append(session.cache.responses.size())  # type: ignore[attr-defined]
    assert sizes[1] < sizes[0] / 10


def test_entries_are_sorted_by_size(new_session: NewSession, origin: Origin) -> None:
    lengths = {'/small': 10, '/middle': 3_000, '/large': 9_000}
    session = new_session(encryption_key=KEY, large_body_bytes=5_000)
    for path in ('/middle', '/large', '/small'):
        origin.add(path, answer(200, LARGE[: lengths[path]]))
        session.get(origin.url(path))
    by_size = [len(response.content) for response in session.cache.sorted('size')]  # type: ignore[attr-defined]
    assert by_size == [10, 3_000, 9_000]


# What is wrong


@pytest.mark.parametrize(
    'make',
    [
        lambda **options: CachedSession('cache', **options),
        lambda **options: CachedSession('cache', backend='filesystem', **options),
        lambda **options: CachedSession(backend='memory', **options),
        lambda **options: CachedSession(backend=SQLiteCache('cache', **options)),
        lambda **options: install_cache('cache', **options),
    ],
    ids=['sqlite', 'filesystem', 'memory', 'an instance', 'install_cache'],
)
class TestErrors:
    def test_a_library_is_missing(self, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ('compression.zstd', 'backports.zstd', 'zstandard', 'cryptography.hazmat.primitives.ciphers.aead'):
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingDependencyError, match=r"compression='zstd' needs .*requests-cache\[zstd\]"):
            make(compression='zstd')
        with pytest.raises(MissingDependencyError, match=r'encryption_key needs .*requests-cache\[encryption\]'):
            make(encryption_key=KEY)
        uninstall_cache()

    @pytest.mark.parametrize('key', [b64decode(KEY)[:-1], KEY[:-1], KEY + KEY, [], '', [KEY, b'short']], ids=range(6))
    def test_a_key_is_none(self, make: Callable[..., Any], key: Any, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(ValueError, match='encryption_key') as caught:
            make(encryption_key=key)
        assert KEY[:8] not in str(caught.value) + caplog.text
        uninstall_cache()


def test_a_key_from_the_environment(new_session: NewSession, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    origin.add('/page', answer(200, LINES))
    monkeypatch.setenv('CACHE_KEY', KEY)
    session = new_session(encryption_key=os.environ['CACHE_KEY'])
    session.get(origin.url('/page'))
    assert new_session(encryption_key=b64decode(KEY)).get(origin.url('/page')).from_cache


def test_the_key_is_not_shown(new_session: NewSession, backend: str) -> None:
    session = new_session(backend=backend, **SEALED)
    shown = [session, session.settings, session.cache, session.cache.responses, session.cache.responses.seal]  # type: ignore[attr-defined]
    for text in (*map(repr, shown), *map(str, shown)):
        assert KEY not in text
        assert repr(b64decode(KEY))[2:-1] not in text


def test_keywords_beside_an_instance_are_told_of(new_session: NewSession, caplog: pytest.LogCaptureFixture) -> None:
    """As for all others: they belong to the backend, which has been made"""
    new_session(backend=SQLiteCache('cache'), **SEALED)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == 'WARNING']
    assert sorted(warnings) == [
        "Keyword 'compression' of CachedSession has no effect",
        "Keyword 'encryption_key' of CachedSession has no effect",
    ]


def test_patched_requests(origin: Origin) -> None:
    origin.add('/page', answer(200, LINES))
    install_cache('cache', **SEALED)
    try:
        requests.get(origin.url('/page'))
        assert requests.get(origin.url('/page')).from_cache  # type: ignore[attr-defined]
    finally:
        requests.Session().cache.close()  # type: ignore[attr-defined]
        uninstall_cache()
    with CachedSession('cache', encryption_key=KEY) as session:
        assert session.get(origin.url('/page')).from_cache
