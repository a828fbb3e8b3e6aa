"""URLs are spelled as url-normalize 3.0.0 spells them, whatever is installed"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requests_cache.keys.urls import canonicalize_url

# URLs and what `url_normalize()` of url-normalize 3.0.0 returned for them, with CPython 3.10 to 3.13 alike
RECORDED = json.loads((Path(__file__).parents[1] / 'data' / 'url_normalize_3.0.0.json').read_text('utf-8'))

segments = st.text('abcXYZ019-_~é日', min_size=1, max_size=5)
names = st.text('abcXYZ019-_~é', min_size=1, max_size=4)
paths = st.lists(segments | st.sampled_from(['.', '..', '']), max_size=5).map(lambda parts: '/' + '/'.join(parts))
queries = st.lists(st.tuples(names, names).map('='.join), max_size=3).map('&'.join)
urls = st.builds(
    '{}://{}{}{}?{}'.format,
    st.sampled_from(['http', 'https', 'HTTP', 'ftp']),
    st.sampled_from(['example.com', 'Example.COM', 'bücher.example', 'a.b.c.', '127.0.0.1', '[::1]']),
    st.sampled_from(['', ':80', ':443', ':8080', ':']),
    paths,
    queries,
)


def test_recorded_urls() -> None:
    assert {url: canonicalize_url(url) for url in RECORDED} == RECORDED
    assert len(RECORDED) > 300


@given(st.text() | st.text('htp:/?#[]@%&=.!\\ \t\n\x00é\ud800\uff10'))
def test_any_text_is_taken(text: str) -> None:
    assert isinstance(canonicalize_url(text), str)


@pytest.mark.parametrize(
    'url',
    [
        'http://[::1',
        'http://[nonsense]/',
        'http://example.com:1²/a',
        'http://example.com:' + '9' * 5000,
        'http://example.com/\ud800',
        'http://a\uff0fb.example/',
    ],
)
def test_what_cannot_be_a_url_is_left_alone(url: str) -> None:
    assert canonicalize_url(url) == url


@pytest.mark.parametrize('host', ['x' * 64 + '.example', 'אa.example', '\u200d.example', 'xn--ü.example'])
def test_a_host_that_cannot_be_encoded_stays(host: str) -> None:
    assert canonicalize_url(f'HTTP://{host.upper()}:80/a/../b') == f'http://{host.upper().lower()}/b'


@given(urls)
def test_canonical_urls_stay_as_they_are(url: str) -> None:
    canonical = canonicalize_url(url)
    assert canonicalize_url(canonical) == canonical
    assert canonical.isascii()


@given(urls)
def test_where_a_url_leads_does_not_change(url: str) -> None:
    before, after = urlsplit(url), urlsplit(canonicalize_url(url))
    default = {'http': 80, 'https': 443, 'ftp': 21}[before.scheme]
    assert after.scheme == before.scheme
    assert (after.port or default) == (before.port or default)
    assert not {'.', '..'} & set(after.path.split('/'))


def test_hosts_are_encoded_without_the_idna_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'idna', None)
    assert canonicalize_url('http://bücher.example/') == 'http://xn--bcher-kva.example/'


def test_idna_2008_is_preferred() -> None:
    assert canonicalize_url('http://faß.example/') == 'http://xn--fa-hia.example/'
