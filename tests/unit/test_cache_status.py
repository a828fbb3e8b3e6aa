"""The field `Cache-Status` (RFC 9211), a structured one (RFC 9651)"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requests_cache import CacheSettings
from requests_cache.engine.modes import mode_of
from requests_cache.policy.standard.cache_status import CacheStatus, append_field, forward_reason

# A member of the list: a token with parameters, each of which is true, a token, an integer or a string
TOKEN, INTEGER, STRING = r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*", r'-?[0-9]{1,15}', r'"(?:[ !#-\[\]-~]|\\["\\])*"'
PARAMETER = rf'[a-z*][a-z0-9_.*-]*(?:=(?:{TOKEN}|{INTEGER}|{STRING}))?'
MEMBER = re.compile(rf'{TOKEN}(?:;[ ]*{PARAMETER})*')


@given(
    st.builds(
        CacheStatus,
        hit=st.booleans(),
        fwd=st.none() | st.sampled_from(['bypass', 'method', 'uri-miss', 'vary-miss', 'request', 'stale']),
        fwd_status=st.none() | st.integers(100, 599),
        ttl=st.none() | st.integers(),
        stored=st.booleans(),
        collapsed=st.booleans(),
        key=st.none() | st.text(),
        detail=st.none() | st.text(),
    ),
    st.booleans(),
)
def test_the_field_is_well_formed(status, with_key):
    assert MEMBER.fullmatch(status.field(with_key))
    assert status.field().isascii()


def test_members():
    status = CacheStatus(hit=True, ttl=5, stored=True, collapsed=True, key='a"b\\c\u00e9', detail='fresh')
    assert str(status) == 'requests-cache; hit; ttl=5; stored; collapsed; detail="fresh"'
    assert 'key="a\\"b\\\\c?"' in status.field(with_key=True)
    assert str(CacheStatus()) == 'requests-cache'


def test_ours_comes_last():
    assert append_field('A; hit, B', 'C') == 'A; hit, B, C'
    assert [append_field(before, 'C') for before in (None, '', ' ')] == ['C'] * 3


def policy(**headers):
    settings = CacheSettings(cache_control='strict')
    return mode_of(settings).request_policy(
        'GET', 'http://a/', {k.replace('_', '-'): v for k, v in headers.items()}, settings
    )


@pytest.mark.parametrize(
    ('reason', 'expected'),
    [
        ('not stored', 'uri-miss'),
        (None, 'uri-miss'),
        ('method', 'method'),
        ('disabled', 'bypass'),
        ('do not cache', 'bypass'),
        ('stale', 'stale'),
        ('no-cache', 'stale'),
        ('max-age', 'request'),
        ('refresh', 'request'),
        ('request', 'request'),
    ],
)
def test_reasons(reason, expected):
    assert forward_reason(reason, policy()) == expected


def test_reasons_that_depend_on_more():
    assert forward_reason('no-cache', policy(Cache_Control='no-cache')) == 'request'
    assert forward_reason('not stored', policy(), is_other_variant=True) == 'vary-miss'
    assert forward_reason('stale', policy(), is_other_variant=True) == 'stale'


def test_setting():
    assert CacheSettings(cache_status='key').cache_status == 'key'
    with pytest.raises(ValueError, match="Invalid cache_status: 'name'"):
        CacheSettings(cache_status='name')
