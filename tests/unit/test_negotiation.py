"""Header fields by which responses are selected (RFC 9111, section 4.1)"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from requests_cache import CachedRequest, CachedResponse
from requests_cache.policy.standard.negotiation import normalize_selecting_field
from requests_cache.policy.vary import match_variant

LANGUAGES = st.lists(st.sampled_from(['en', 'de', 'fr', 'zh-Hant']), min_size=1, unique=True)
WHITE_SPACE = st.text(' \t', max_size=3)


@pytest.mark.parametrize(
    ('name', 'value', 'normal'),
    [
        ('accept-language', 'en, DE;q=0.50', 'de;q=0.5,en'),
        ('accept-language', 'en;q=1, de ; Q = 1.000', 'de,en'),
        ('accept-language', ',en,, de,', 'de,en'),
        ('accept-encoding', b'gzip,BR', 'br,gzip'),
        ('accept-charset', 'utf-8;q=0', 'utf-8;q=0'),
        ('accept', 'Text/HTML;Level="A, b;c";q=0.3', 'text/html;Level="A, b;c";q=0.3'),
        ('accept', 'a/b;q=2', 'a/b;q=2'),
        ('x-own', ' a ,B,\tc', 'a,B,c'),
        ('x-own', 'b,a', 'b,a'),
        ('x-own', '"a , b" ,c', '"a , b",c'),
        ('x-own', r'"a \" , b" ,c', r'"a \" , b",c'),
        ('x-own', '1,,2', '1,,2'),
        ('x-own', '', ''),
        ('accept', 'a, ; ,;;', 'a'),
    ],
)
def test_spelling(name, value, normal):
    assert normalize_selecting_field(name, value) == normal


@given(st.sampled_from(['accept', 'accept-language', 'x-own']), st.text())
def test_anything_is_normal_after_one_round(name, text):
    once = normalize_selecting_field(name, text)
    assert normalize_selecting_field(name, once) == once


@given(LANGUAGES, st.randoms(), WHITE_SPACE)
def test_order_case_and_white_space_of_ranges_do_not_count(languages, random, space):
    shuffled = [language.upper() for language in languages]
    random.shuffle(shuffled)
    first, second = ', '.join(languages), f'{space},{space}'.join(shuffled)
    assert normalize_selecting_field('accept-language', first) == normalize_selecting_field('accept-language', second)
    assert (normalize_selecting_field('x-own', first) == normalize_selecting_field('x-own', second)) is (
        languages == shuffled
    )


def test_what_only_other_modes_take_for_the_same():
    request = CachedRequest(method='GET', url='http://a/', headers=CaseInsensitiveDict({'X-Own': 'a, b'}))
    stored = CachedResponse(headers=CaseInsensitiveDict({'Vary': 'X-Own'}), request=request)
    other = CaseInsensitiveDict({'X-Own': 'B,A'})
    assert match_variant(other, stored, ()).matches
    assert not match_variant(other, stored, (), strict=True).matches
