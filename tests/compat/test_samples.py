"""Caches written by published versions: every entry is a correct hit or a miss

Each `index.json` says what the server had sent, what the version that wrote it reads back, and what may be asked of a
reader, in `body.match`:

    bytes  the content is these bytes, and all of `expect` comes out
    json   only the document was kept: the content parses to it
    text   only the text was kept, with its encoding: the content is the bytes that were sent all the same
    lost   the body was lost: nothing can be asked
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import requests
from requests.adapters import BaseAdapter

from requests_cache import CachedSession
from requests_cache.models.response import CachedResponse

SAMPLES = Path(__file__).parents[1] / 'data' / 'samples'
INDEXES = {path.parent.name: json.loads(path.read_text('utf-8')) for path in sorted(SAMPLES.glob('*/index.json'))}
CACHES = [(version, label) for version, index in INDEXES.items() for label in index['caches']]
ENTRIES = [
    pytest.param(version, label, entry, id=f'{version}-{label}-{entry["name"]}')
    for version, label in CACHES
    for entry in INDEXES[version]['caches'][label]['entries']
    if entry['stored']
]

# 1.x made other keys for requests with a body than are made today, and 0.x for all
REQUESTS = [
    entry
    for entry in ENTRIES
    if not entry.values[0].startswith('0.') and not {'data', 'json'} & set(entry.values[2]['request'])
]

# Entries that cannot be had without running what is in a pickle: 0.9 pickled objects of classes in `history`
UNREADABLE = {('0.9.8', 'sqlite-pickle', 'redirects')}
# 0.9 did not store that there was a parameter that is ignored, so no key can be made from the entry
WITHOUT_PARAMETER = {'0.9.8': 'params'}
# 0.9 left a file behind when it failed to write a response
TORN_FILES = {('0.9.8', 'filesystem-json'): 1}


class NoNetwork(BaseAdapter):
    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> NoReturn:
        raise AssertionError(f'sent to the network: {request.method} {request.url}')

    def close(self) -> None:
        pass


@pytest.fixture
def session(version: str, label: str, tmp_path: Path) -> Iterator[CachedSession]:
    """A session on a copy of a sample, as the one that wrote it, without a network"""
    index = INDEXES[version]
    options = index['caches'][label]['options']
    shutil.copytree(SAMPLES / version / label, tmp_path / label)
    name = 'cache.sqlite' if options['backend'] == 'sqlite' else 'files'
    with CachedSession(tmp_path / label / name, **options, **index['session_settings']) as session:
        session.trust_env = False
        session.headers.clear()
        session.headers.update(index['session_headers'])
        session.mount('http://', NoNetwork())
        yield session


class TestEntries:
    @pytest.mark.parametrize(('version', 'label', 'entry'), ENTRIES)
    def test_stored_entry(self, version: str, label: str, entry: dict[str, Any], session: CachedSession) -> None:
        response = session.cache.get_response(entry['key'])
        if response is None:
            assert (version, label, entry['name']) in UNREADABLE
            return
        assert_as_expected(response, entry, session)

    @pytest.mark.parametrize(('version', 'label', 'entry'), REQUESTS)
    def test_request(self, version: str, label: str, entry: dict[str, Any], session: CachedSession) -> None:
        request = session.prepare_request(requests.Request(**entry['request']))
        assert session.cache.create_key(request) == entry['key']
        if entry['name'] == 'expired':
            assert session.cache.get_response(entry['key']).is_expired
            return
        response = session.request(**entry['request'])
        assert response.from_cache
        assert response.cache_key == entry['key']
        assert_as_expected(response, entry, session)


@pytest.mark.parametrize(('version', 'label'), CACHES)
class TestCaches:
    def test_maintenance(self, version: str, label: str, session: CachedSession) -> None:
        entries = [e for e in INDEXES[version]['caches'][label]['entries'] if e['stored']]
        cache = session.cache
        keys = set(cache.responses)
        assert keys >= {k for e in entries for k in (e['key'], *e['other_keys_added'])}
        unreadable = sum((version, label, e['name']) in UNREADABLE for e in entries) + TORN_FILES.get(
            (version, label), 0
        )
        assert dict(cache.redirects.items()) == INDEXES[version]['caches'][label]['redirects']
        assert len(list(cache.filter())) == len(keys) - unreadable
        assert cache.delete(expired=True) == 1
        assert cache.delete(invalid=True) == unreadable
        assert len(cache.responses) == len(keys) - 1 - unreadable
        cache.clear()
        assert len(cache.responses) == len(cache.redirects) == 0

    def test_update_and_recreate_keys(self, version: str, label: str, session: CachedSession) -> None:
        """The way in for caches whose keys are not those of today"""
        target = CachedSession(backend='memory', **INDEXES[version]['session_settings'])
        target.trust_env = False
        target.headers.clear()
        target.headers.update(INDEXES[version]['session_headers'])
        target.mount('http://', NoNetwork())
        target.cache.update(session.cache)
        target.cache.recreate_keys()
        out_of_reach = UNREADABLE | {(version, label, 'expired'), (version, label, WITHOUT_PARAMETER.get(version))}
        for entry in INDEXES[version]['caches'][label]['entries']:
            if entry['stored'] and (version, label, entry['name']) not in out_of_reach:
                assert_as_expected(target.request(**entry['request']), entry, session)

    def test_entries_can_be_rewritten(self, version: str, label: str, session: CachedSession) -> None:
        responses = session.cache.responses
        before = {key: response for key, response in responses.scan() if response is not None}
        responses.update(before)
        for key, response in before.items():
            again = responses[key]
            assert (again.content, again.headers, again.url) == (response.content, response.headers, response.url)


def sha(data: bytes | None) -> str:
    return hashlib.sha256(data or b'').hexdigest()


def assert_as_expected(response: Any, entry: dict[str, Any], session: CachedSession) -> None:
    assert isinstance(response, CachedResponse)
    match, expected = entry['body']['match'], entry['expect']
    if match == 'bytes':
        assert sha(response.content) == entry['body']['sent_sha256']
        assert response.encoding == expected['encoding']
    elif match == 'json':
        assert response.json() == entry['body']['json']
    elif match == 'text':
        assert sha(response.text.encode()) == entry['body']['text_sha256']
        assert sha(response.content) == entry['body']['sent_sha256']
    without_length = match != 'bytes' or (entry['name'] == 'head' and 'filesystem' in str(type(session.cache)))
    assert headers_of(response.headers, without_length) == headers_of(expected['headers'], without_length)
    assert (response.status_code, response.reason, response.url) == (
        expected['status'],
        expected['reason'],
        expected['url'],
    )
    assert (response.expires.isoformat() if response.expires else None) == expected['expires']
    assert response.created_at.tzinfo is not None
    assert dict(response.cookies.items()) == expected['cookies']
    assert_request(response.request, expected['request'])
    assert [history_facts(r) for r in response.history] == expected['history']


def headers_of(headers: Any, without_length: bool) -> dict[str, str]:
    return {k: v for k, v in headers.items() if not (without_length and k.lower() == 'content-length')}


def assert_request(request: Any, expected: dict[str, Any]) -> None:
    body = base64.b64decode(expected['body_b64'])
    assert (request.method, request.url, dict(request.headers)) == (
        expected['method'],
        expected['url'],
        expected['headers'],
    )
    assert (request.body or b'') == body


def history_facts(response: Any) -> dict[str, Any]:
    return {
        'status': response.status_code,
        'url': response.url,
        'location': response.headers.get('Location'),
        'cookies': dict(response.cookies.items()),
        'body_sha256': sha(response.content),
    }
