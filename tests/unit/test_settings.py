"""The settings object"""

from __future__ import annotations

import math

import pytest

from requests_cache import CacheSettings
from requests_cache.policy.settings import nearest_name, setting_names


def test_from_kwargs():
    settings = CacheSettings.from_kwargs(expire_after=5, unknown=1, match_headers=None, old_data_on_error=True)
    assert settings == CacheSettings(expire_after=5, stale_if_error=True)
    assert CacheSettings.from_kwargs(include_get_headers=True).match_headers is True


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(CacheSettings()) == 'CacheSettings()'
    assert repr(CacheSettings(expire_after=-1, allowable_codes=(404,))) == (
        'CacheSettings(allowable_codes=(404,), expire_after=-1)'
    )


def test_iterators_can_be_used_more_than_once():
    settings = CacheSettings(allowable_codes=iter([200, 404]), ignored_parameters=(p for p in 'ab'))
    assert list(settings.allowable_codes) == list(settings.allowable_codes) == [200, 404]
    settings.allowable_methods = iter(['GET'])
    assert ['GET' in settings.allowable_methods for _ in range(2)] == [True, True]
    assert list(settings.ignored_parameters) == ['a', 'b']


@pytest.mark.parametrize('name', ['expire_after', 'stale_if_error', 'stale_while_revalidate'])
@pytest.mark.parametrize('value', [math.nan, math.inf, 'soon', 1e15])
def test_expirations_are_checked_where_they_are_given(name, value):
    with pytest.raises(ValueError, match=r'Invalid HTTP date|out of range'):
        CacheSettings(**{name: value})
    settings = CacheSettings()
    with pytest.raises(ValueError, match=r'Invalid HTTP date|out of range'):
        setattr(settings, name, value)
    assert settings == CacheSettings()


def test_url_expirations_are_checked():
    with pytest.raises(ValueError, match='Invalid HTTP date: soon'):
        CacheSettings(urls_expire_after={'*': 'soon'})


def test_names():
    assert {'expire_after', 'old_data_on_error'} <= setting_names()
    assert nearest_name('expire_aftr', setting_names()) == 'expire_after'
    assert nearest_name('zzz', setting_names()) is None
