"""The settings object"""

from __future__ import annotations

import math
import re
from http import HTTPStatus

import pytest

from requests_cache import CacheSettings, get_expiration_datetime
from requests_cache._utils import nearest_name
from requests_cache.policy.checks import NOT_BY_URL
from requests_cache.policy.settings import RENAMED, setting_names, status_pattern


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


class TestSettingsByUrl:
    def test_the_first_pattern_that_matches_counts(self):
        settings = CacheSettings(
            expire_after=60,
            allowable_codes=(200, 301),
            url_settings={
                'example.com/live': {'expire_after': 5, 'allowable_codes': iter([200, 404])},
                re.compile(r'\.json$'): {'match_headers': ['Accept']},
                'EXAMPLE.com': {'expire_after': 7},
            },
        )
        live = settings.for_url('https://Example.com/live/now.json')
        assert (live.urls_expire_after, list(live.allowable_codes)) == ({'*': 5}, [200, 404])
        assert list(settings.for_url('https://example.com/live').allowable_codes) == [200, 404]
        data = settings.for_url('https://example.com/data.json#part')
        assert (data.urls_expire_after, data.match_headers, data.allowable_codes) == ({}, ['Accept'], (200, 301))
        assert settings.for_url('https://example.com/').urls_expire_after == {'*': 7}
        for url in ('https://other.com/', '', None):
            assert settings.for_url(url) is settings
        assert settings.for_url('https://example.com/live', {'match_headers'}) is settings
        assert settings.for_url('https://example.com/live', {'match_headers', 'allowable_codes'}) == live

    def test_changes_count_at_once(self):
        settings = CacheSettings(url_settings={'*/a': {'read_only': True}})
        settings.stale_if_error = True
        assert settings.for_url('http://host/a').stale_if_error is True
        settings.url_settings = {'*/a': {'stale_if_error': False}}
        derived = settings.for_url('http://host/a')
        assert (derived.stale_if_error, derived.read_only) == (False, False)
        settings.url_settings['*/b'] = {'read_only': True}
        assert settings.for_url('http://host/b').read_only is True
        settings.url_settings['*/b'] = {'raed_only': True}
        with pytest.raises(TypeError, match='raed_only'):
            settings.for_url('http://host/b')

    def test_the_dict_that_was_given_is_not_kept(self):
        given = {'*': {'expire_after': 5}}
        settings = CacheSettings(url_settings=given)
        given['*']['expire_after'] = 7
        assert settings.for_url('http://host/').urls_expire_after == {'*': 5}
        assert CacheSettings(url_settings=None, codes_expire_after=None) == CacheSettings()

    def test_an_expiration_wins_over_that_by_pattern(self):
        settings = CacheSettings(
            expire_after=60,
            urls_expire_after={'host': 30},
            url_settings={
                'host/a': {'expire_after': 5},
                'host/b': {'expire_after': None},
                'host/c': {'disabled': True},
            },
        )
        for path, by_url in (('a', {'*': 5}), ('b', {'host': 30}), ('c', {'host': 30}), ('d', {'host': 30})):
            derived = settings.for_url(f'http://host/{path}')
            assert (derived.expire_after, derived.urls_expire_after) == (60, by_url)

    @pytest.mark.parametrize('name', sorted(setting_names() - RENAMED.keys() - NOT_BY_URL.keys()))
    def test_each_setting_of_a_request_may_be_given(self, name):
        value = getattr(CacheSettings(), name)
        assert getattr(CacheSettings(url_settings={'*': {name: value}}).for_url('http://host/'), name) == value

    @pytest.mark.parametrize(
        ('rules', 'error', 'message'),
        [
            ({'host/a': {'expire_aftr': 5}}, ValueError, "'host/a'.* 'expire_aftr'; did you mean 'expire_after'"),
            ({'host': {'zzzz': 5}}, ValueError, "no setting 'zzzz'$"),
            ({'host': {5: 5}}, ValueError, 'no setting 5$'),
            ({'host': {'old_data_on_error': True}}, ValueError, "did you mean 'stale_if_error'"),
            ({'host': {'include_get_headers': True}}, ValueError, "did you mean 'match_headers'"),
            ({'host': {'autoclose': True}}, ValueError, "'autoclose' cannot be set for a URL: .*whole session"),
            ({'host': {'url_settings': {}}}, ValueError, "'url_settings' cannot be set for a URL: .*nested"),
            ({'host': {'urls_expire_after': {}}}, ValueError, "'urls_expire_after' cannot be .*: use expire_after"),
            ({'host': {'expire_after': 'soon'}}, ValueError, r"\['host'\]\['expire_after'\]: Invalid HTTP date: soon"),
            ({'host': {'expire_after': b''}}, TypeError, r"\['host'\]\['expire_after'\]: Invalid expiration"),
            ({'host': {'cache_control': 'strcit'}}, ValueError, "'cache_control'.*it must be True, False or 'strict'"),
            ({'host': {'cache_control': 1}}, TypeError, "'cache_control'.*it must be True, False or a string, not 1"),
            ({'host': {'codes_expire_after': {'404': 5}}}, ValueError, "'404' is not a status"),
            ({'host': {'allowable_codes': 200}}, TypeError, "'allowable_codes'.*it must be a list or tuple, not 200"),
            ({'host': {'ignored_parameters': 'token'}}, TypeError, 'it must be a list or tuple'),
            ({'host': {'match_headers': 'Accept'}}, TypeError, 'it must be True, False, a list or a tuple'),
            ({'host': {'disabled': 'no'}}, TypeError, 'it must be True or False'),
            ({'host': {'filter_fn': 'x'}}, TypeError, 'it must be a function'),
            ({'host': {'content_root_key': 5}}, TypeError, 'it must be a string'),
            ({'host': {'heuristic_fraction': True}}, TypeError, 'it must be a number'),
            ({'host': {'drain_seconds': -1}}, ValueError, 'drain_seconds must not be negative'),
            ({'host': 5}, TypeError, r"url_settings\['host'\] must be a dict of settings, not 5"),
            ({5: {}}, TypeError, 'url_settings: 5 is not a URL pattern'),
            ({re.compile(b'x'): {}}, TypeError, 'is not a URL pattern'),
            ([('host', {})], TypeError, 'url_settings must be a dict'),
            ('host', TypeError, 'url_settings must be a dict'),
        ],
        ids=str,
    )  # fmt: skip
    def test_they_are_checked_when_they_are_given(self, rules, error, message):
        with pytest.raises(error, match=message):
            CacheSettings(url_settings=rules)
        settings = CacheSettings()
        with pytest.raises(error, match=message):
            settings.url_settings = rules
        assert settings == CacheSettings()

    def test_values_that_mean_nothing_special(self):
        rule = {
            'filter_fn': None, 'key_fn': str, 'content_root_key': None, 'heuristic_fraction': 1, 'match_headers': True,
            'max_body_bytes': None, 'single_flight': 'shared', 'ignored_parameters': [],
        }  # fmt: skip
        settings = CacheSettings(url_settings={'*': rule}).for_url('http://host/')
        assert {name: getattr(settings, name) for name in rule} == rule


class TestExpirationsByStatus:
    @pytest.mark.parametrize(
        ('codes', 'error', 'message'),
        [
            ({'404': 5}, ValueError, "'404' is not a status; use a number such as 404, or a class such as '4xx'"),
            ({'6xx': 5}, ValueError, 'is not a status'),
            ({'5XX': 5}, ValueError, 'is not a status'),
            ({True: 5}, ValueError, 'is not a status'),
            ({99: 5}, ValueError, 'is not a status'),
            ({None: 5}, ValueError, 'is not a status'),
            ({404: 'soon'}, ValueError, r'codes_expire_after\[404\]: Invalid HTTP date: soon'),
            ({'5xx': b'5'}, TypeError, r"codes_expire_after\['5xx'\]: Invalid expiration"),
            ([404], TypeError, 'must be a dict of statuses and expirations'),
        ],
        ids=str,
    )
    def test_they_are_checked(self, codes, error, message):
        with pytest.raises(error, match=message):
            CacheSettings(codes_expire_after=codes)

    @pytest.mark.parametrize(
        ('status', 'pattern'),
        [(404, 404), (403, '4xx'), (503, '5xx'), (999, 999), (200, None), (401, None), (412, None), (416, 416)],
    )
    def test_a_status_goes_before_its_class(self, status, pattern):
        codes = {404: 60, '4xx': 5, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: 1, '5xx': None, 999: 1, '3xx': 1}
        assert CacheSettings(codes_expire_after=codes).codes_expire_after == codes
        assert status_pattern(status, codes) == pattern
        assert status_pattern(304, codes) is status_pattern(206, {'2xx': 1}) is None


def test_functions_are_expirations_where_there_is_a_response():
    CacheSettings(
        expire_after=len,
        urls_expire_after={'*': len},
        codes_expire_after={404: len},
        url_settings={'*': {'expire_after': len}},
    )
    for name in ('stale_if_error', 'stale_while_revalidate'):
        with pytest.raises(TypeError, match='a function is accepted only where there is a response'):
            CacheSettings(**{name: len})
    with pytest.raises(TypeError, match='a function is accepted only where there is a response'):
        get_expiration_datetime(len)
