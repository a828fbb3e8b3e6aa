"""What log lines and exception texts show of URLs, errors and keys"""

from __future__ import annotations

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.exceptions import ConnectionError as Disconnected

from requests_cache import RedisCache
from requests_cache.keys.shown import shown_error, shown_key, shown_text, shown_traceback, shown_url

SECRET = 'Zx7qLm93'


@pytest.mark.parametrize(
    ('url', 'shown'),
    [
        ('http://h/a?b=1&api_key=x&sid=y#token=z', 'http://h/a?b=1&api_key=REDACTED&sid=REDACTED#token=REDACTED'),
        ('http://user:x@h/a', 'http://user:REDACTED@h/a'),
        ('https://x@h/a?q=a@b', 'https://REDACTED@h/a?q=a@b'),
        ('https://h/@user', 'https://h/@user'),
        ('redis://:x/y@h:1/0', 'redis://:REDACTED@h:1/0'),
        ('mongodb://u:x?y#z@h,i:2/?a=b', 'mongodb://u:REDACTED@h,i:2/?a=b'),
        ('http://h/?a=1', 'http://h/?a=1'),
        (None, 'None'),
    ],
)
def test_urls(url: str | None, shown: str) -> None:
    assert shown_url(url, ['SID']) == shown


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ("Max retries exceeded with url: /x?sid=y&b=1 (Caused by X('y'))", None),
        ("Invalid URL 'x?sid=y': No scheme", None),
        ("{'Authorization': 'Bearer y z', 'a': 1}", "{'Authorization': 'REDACTED', 'a': 1}"),
        ('Authorization: Bearer y, b', 'Authorization: REDACTED, b'),
        ('Set-Cookie: a=y; b=y', 'Set-Cookie: REDACTED'),
        ("of the header ('Sid', 'y')", "of the header ('Sid', 'REDACTED')"),
        ('connect(host="h", password="y z", user="u")', 'connect(host="h", password="REDACTED", user="u")'),
        ('{"sid": "y"}', '{"sid": "REDACTED"}'),
        ('~http%3A%2F%2Fh%2F%3Fsid%3Dy.json', '~http%3A%2F%2Fh%2F%3Fsid%3DREDACTED'),
        ('~GET%20http%3A%2F%2Fu%3Ay%40h%2Fa', '~GET%20http%3A%2F%2FREDACTED%40h%2Fa'),
        ('[Errno 111] Connection refused to h:80 and //u:y@h:80/a', None),
        ('The table `token` is missing', 'The table `token` is missing'),
    ],
)
def test_texts(text: str, shown: str | None) -> None:
    expected = shown or text.replace('sid=y', 'sid=REDACTED').replace(':y@', ':REDACTED@')
    assert shown_text(text, ['sid']) == expected
    assert shown_text(expected, ['sid']) == expected


@given(st.text() | st.text('htp:/?#[]@%&=.x;\n"\'{}'))
def test_any_text_is_taken(text: str) -> None:
    assert isinstance(shown_text(text, ['x']), str)
    assert '\n' not in shown_error(ValueError(text))
    shown_url(text)
    shown_key(text)


def test_errors_are_shown_in_one_line() -> None:
    assert shown_error(ValueError(f'a\n  http://h/?sid={SECRET}\n'), ['sid']) == 'ValueError: a http://h/?sid=REDACTED'
    assert shown_error(KeyError()) == 'KeyError'

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert shown_error(MuteError()) == 'MuteError'


def test_errors_of_requests() -> None:
    """What urllib3 and requests write into their exceptions, on the way to a port where nobody listens"""
    with pytest.raises(Disconnected) as caught:
        requests.get(f'http://user:{SECRET}@127.0.0.1:1/a', params={'sid': SECRET, 'b': '2'}, timeout=5)
    assert SECRET in str(caught.value)
    for shown in (shown_error(caught.value, ['sid']), shown_traceback(caught.value, ['sid'])):
        assert SECRET not in shown
        assert 'url: /a?sid=REDACTED&b=2' in shown
    assert 'Traceback' in shown_traceback(caught.value)
    with pytest.raises(requests.exceptions.RequestException) as caught:
        requests.get(f'h?sid={SECRET}')
    assert SECRET not in shown_error(caught.value, ['sid'])


@pytest.mark.parametrize(
    ('key', 'shown'),
    [
        ('0123456789abcdef', '0123456789abcdef'),
        ('0123456789abcdef-accept-language', '0123456789abcdef-accept-language'),
        ('a' * 64, 'a' * 64),
        (f'GET http://u:{SECRET}@h/a?b={SECRET}', 'GET http://u:REDACTED@h/a…'),
        ('page', 'page'),
        (5, '5'),
    ],
)
def test_keys(key: object, shown: str) -> None:
    assert shown_key(key) == shown


@pytest.mark.parametrize('options', [{}, {'cluster': True}])
@pytest.mark.parametrize(
    'url',
    [
        f'redis://:{SECRET}/x@h:1',
        f'redis://u:x@h:{SECRET}',
        f'redis://u:{SECRET}@h:1/0?socket_timeout={SECRET}',
        f'http://u:{SECRET}@h',
        f'redis://u:{SECRET}@[h',
    ],
)
def test_redis_urls_that_are_not_valid(url: str, options: dict[str, bool]) -> None:
    with pytest.raises(ValueError, match='The URL of the Redis server is not valid') as caught:
        RedisCache(url=url, **options)
    assert SECRET not in shown_everything(caught.value)


def shown_everything(error: BaseException) -> str:
    from traceback import format_exception

    return ''.join(line for line in format_exception(error) if 'File' not in line)
