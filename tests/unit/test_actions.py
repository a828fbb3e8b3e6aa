"""`CacheActions`, as 1.x presents decisions"""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests
from requests.structures import CaseInsensitiveDict

from requests_cache import CacheActions, CachedRequest, CachedResponse, CacheSettings, utcnow

URL = 'http://example.com'


def request(method='GET', **headers):
    return requests.Request(method, URL, headers=headers).prepare()


def response(status_code=200, **headers):
    new = requests.Response()
    new.status_code, new.headers = status_code, CaseInsensitiveDict(headers)
    return new


def actions(settings=None, method='GET', **headers):
    return CacheActions.from_request('key', request(method, **headers), settings)


def stored(expires=None, **headers):
    return CachedResponse(status_code=200, headers=CaseInsensitiveDict(headers), expires=expires)


def past():
    return utcnow() - timedelta(seconds=10)


def test_from_request():
    made = actions(CacheSettings(expire_after=60))
    assert (made.cache_key, made.expire_after, made.skip_read) == ('key', 60, False)
    assert utcnow() < made.expires < utcnow() + timedelta(seconds=61)
    assert actions(CacheSettings(), 'PUT').skip_read
    assert repr(CacheActions()) == 'CacheActions()'


def test_nothing_stored():
    made = actions()
    made.update_from_cached_response(None)
    assert made.send_request
    made = actions(CacheSettings(only_if_cached=True))
    made.update_from_cached_response(None)
    assert made.error_504


def test_stale_response_is_validated():
    made = actions()
    made.update_from_cached_response(stored(past(), ETag='"1"'))
    assert made.resend_request
    assert made._validation_headers == {'If-None-Match': '"1"'}
    prepared = request()
    assert made.update_request(prepared) is prepared
    assert prepared.headers['If-None-Match'] == '"1"'


def test_stale_response_without_validator_and_in_background():
    made = actions()
    made.update_from_cached_response(stored(past()))
    assert made.resend_request
    made = actions(CacheSettings(stale_while_revalidate=True))
    made.update_from_cached_response(stored(past()))
    assert made.resend_async


def test_other_variant():
    cached = stored(Vary='Accept')
    cached.request = CachedRequest(headers=CaseInsensitiveDict(Accept='x'))
    made = actions(Accept='y')
    made.update_from_cached_response(cached, create_key=lambda r, match_headers: f'key of {match_headers}')
    assert made.send_request
    assert made.vary_cache_key == "key of ['accept']"
    made = actions(Accept='y')
    made.update_from_cached_response(cached)
    assert made.vary_cache_key is None


@pytest.mark.parametrize(('accept', 'found'), [('a', True), ('A', True), ('b', False)])
def test_variants_by_the_users_key_function(accept, found):
    def create_key(request, match_headers):
        return ','.join(f'{name}={request.headers[name].lower()}' for name in match_headers)

    cached = stored(Vary='Accept')
    cached.request = CachedRequest(headers=CaseInsensitiveDict(Accept='a'))
    made = actions(CacheSettings(key_fn=create_key), Accept=accept)
    made.update_from_cached_response(cached, create_key=create_key)
    assert made.send_request is not found
    assert made.vary_cache_key == (None if found else f'accept={accept}')


def test_new_response():
    made = actions(CacheSettings(cache_control=True))
    made.update_from_response(response(**{'Cache-Control': 'max-age=60'}))
    assert not made.skip_write
    assert made.expires > utcnow()
    made.update_from_response(response(500))
    assert made.skip_write
    made = actions(CacheSettings(filter_fn=lambda r: False))
    made.update_from_response(response())
    assert made.skip_write


def test_not_modified():
    made = actions(CacheSettings(expire_after=60))
    cached = made.update_revalidated_response(response(304, Date='now'), stored(past()))
    assert (cached.headers['Date'], cached.revalidated, cached.is_expired) == ('now', True, False)


def test_is_usable():
    made = actions(CacheSettings(stale_if_error=True))
    assert not made.is_usable(None)
    assert made.is_usable(stored())
    assert not made.is_usable(stored(past()))
    assert made.is_usable(stored(past()), error=True)
    assert CacheActions().is_usable(stored())


def test_without_a_request():
    with pytest.raises(ValueError, match='from_request'):
        CacheActions().update_from_response(response())
    with pytest.raises(ValueError, match='from_request'):
        CacheActions().update_from_cached_response(stored())
