"""URLs, errors and keys as they are shown in log lines and exception texts: without secrets

What is shown can be read by more people than what is stored, and a driver writes what it likes into its errors. So
names that usually stand for credentials count here beside `ignored_parameters`, and in doubt more is hidden than when a
response is stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from traceback import format_exception
from typing import Any

from .._utils import lazy_pattern
from .bodies import REDACTED
from .secrets import SecretNames, in_encoded, in_pairs, in_url, replaced, secret_names

CREDENTIALS = (
    'access_token', 'api_key', 'api-key', 'apikey', 'auth', 'authorization', 'aws_secret_access_key',
    'aws_session_token', 'client_secret', 'cookie', 'id_token', 'passwd', 'password', 'proxy-authorization',
    'refresh_token', 'secret', 'secret_key', 'session_token', 'set-cookie', 'sig', 'signature', 'token',
    'x-access-token', 'x-amz-credential', 'x-amz-security-token', 'x-amz-signature', 'x-api-key', 'x-api-token',
    'x-auth-token', 'x-goog-signature',
)  # fmt: skip

# Up to the last `@` where the password may hold anything, as in connection strings that were not escaped
USERINFO = lazy_pattern(
    r'(?<![\w+.-])https?://[^\s"\'<>/?#]*@'
    r'|(?<![\w+.:-])(?!https?:)(?:[A-Za-z][\w+.-]*:)?//[^\s"\'<>]*@'
)
ENCODED_USERINFO = lazy_pattern(r'(%2F%2F)(?:(?!%2F|%3F|%23|%40)[^\s/])+(%40)', re.IGNORECASE)
WORD = lazy_pattern(r'[^\s"\'<>]+')
KEY_OF_OURS = lazy_pattern(r'[0-9a-f]{16,64}(?:-[\w-]*)?')
KEY_START = lazy_pattern(r'[^?#;&={]*')


def shown_url(url: Any, ignored_parameters: Iterable[str] | None = None) -> str:
    """A URL without credentials: passwords, user names that stand alone (often tokens), and secret parameters"""
    names = _names(tuple(ignored_parameters or ()))
    text = USERINFO.sub(_without_password, str(url))
    return replaced(text, in_url(text, names))


def shown_text(text: Any, ignored_parameters: Iterable[str] | None = None) -> str:
    """Any text without the credentials in its URLs, and without the values of secrets that it names

    Names are found in URLs and their parts (`/path?api_key=x`), in header lines (`Authorization: x`), and in the
    `repr()` of keywords, dicts and tuples.
    """
    ignored = tuple(ignored_parameters or ())
    names = _names(ignored)
    shown = USERINFO.sub(_without_password, str(text))
    if not ENCODED_USERINFO.search(shown) and not names.may_be_in(shown):
        return shown
    shown = WORD.sub(lambda word: _shown_word(word[0], names), shown)
    return _named_values(ignored).sub(lambda match: match[match.lastindex or 0] + REDACTED, shown)


def shown_error(error: BaseException, ignored_parameters: Iterable[str] | None = None) -> str:
    """An exception in one line without secrets: its type and its text"""
    try:
        text = ' '.join(str(error).split())
    except Exception:
        text = ''
    name = type(error).__name__
    return f'{name}: {shown_text(text, ignored_parameters)}' if text else name


def shown_traceback(error: BaseException, ignored_parameters: Iterable[str] | None = None) -> str:
    """The traceback of an exception, and of those behind it, without secrets; `exc_info` would show them"""
    return shown_text(''.join(format_exception(type(error), error, error.__traceback__)).rstrip(), ignored_parameters)


def shown_key(key: Any) -> str:
    """A key as it is if it is a hash; one of the caller's own, which may be a URL, only up to its parameters"""
    text = str(key)
    if KEY_OF_OURS.fullmatch(text):
        return text
    start = KEY_START.match(text)
    beginning = start[0] if start else ''
    return shown_text(beginning) + ('…' if len(beginning) < len(text) else '')


@lru_cache(maxsize=64)
def _names(ignored: tuple[str, ...]) -> SecretNames:
    return secret_names((*CREDENTIALS, *ignored))


@lru_cache(maxsize=64)
def _named_values(ignored: tuple[str, ...]) -> re.Pattern[str]:
    """Matches a name and what follows it up to the value, and the value"""
    names = '|'.join(sorted(map(re.escape, _names(ignored).names), key=len, reverse=True))
    name = rf'(?<![\w-])(?:{names})(?![\w-])'
    scheme = r'(?:(?:basic|bearer|digest|token|apikey|negotiate)\s+)?'
    before = rf'{name}[\'"]?\s*'
    return re.compile(
        rf'({before}[:=,]\s*b?"){scheme}[^"]+(?=")'
        rf"|({before}[:=,]\s*b?'){scheme}[^']+(?=')"
        rf'|(?<![\w-])((?:set-)?cookie:\s*)[^\r\n"\']+'
        rf'|({before}[:=]\s*)(?!{REDACTED}){scheme}[^\s"\',;)}}\]]+',
        re.IGNORECASE,
    )


def _shown_word(word: str, names: SecretNames) -> str:
    is_reference = '/' in word or '?' in word or '#' in word
    if '%' in word:
        word = ENCODED_USERINFO.sub(rf'\1{REDACTED}\2', word)
    shown = replaced(word, in_url(word, names) if is_reference else in_pairs(word, names))
    # Also names of files that are made from keys
    return replaced(shown, in_encoded(shown, names)) if '%' in shown else shown


def _without_password(match: re.Match[str]) -> str:
    before, slashes, userinfo = match[0][:-1].partition('//')
    user, colon, password = userinfo.partition(':')
    return f'{before}{slashes}{user}:{REDACTED}@' if colon and password else f'{before}{slashes}{REDACTED}@'
