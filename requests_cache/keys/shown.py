"""Hiding secrets in URLs, errors and keys that appear in log lines and error messages

More people read logs than the cache, and drivers put arbitrary text into their errors. So common names of credentials
are hidden in addition to `ignored_parameters`, and if in doubt, more is hidden than in a stored response.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from traceback import format_exception
from typing import Any

from .._utils import lazy_pattern
from .bodies import REDACTED
from .secrets import SecretNames, find_in_encoded, find_in_pairs, find_in_url, replace_findings, secret_names

CREDENTIALS = (
    'access_token', 'api_key', 'api-key', 'apikey', 'auth', 'authorization', 'aws_secret_access_key',
    'aws_session_token', 'client_secret', 'cookie', 'id_token', 'passwd', 'password', 'proxy-authorization',
    'refresh_token', 'secret', 'secret_key', 'session_token', 'set-cookie', 'sig', 'signature', 'token',
    'x-access-token', 'x-amz-credential', 'x-amz-security-token', 'x-amz-signature', 'x-api-key', 'x-api-token',
    'x-auth-token', 'x-goog-signature',
)  # fmt: skip

# For other schemes than HTTP, up to the last `@`: passwords in connection strings are often not escaped
USERINFO = lazy_pattern(
    r'(?<![\w+.-])https?://[^\s"\'<>/?#]*@'
    r'|(?<![\w+.:-])(?!https?:)(?:[A-Za-z][\w+.-]*:)?//[^\s"\'<>]*@'
)
ENCODED_USERINFO = lazy_pattern(r'(%2F%2F)(?:(?!%2F|%3F|%23|%40)[^\s/])+(%40)', re.IGNORECASE)
WORD = lazy_pattern(r'[^\s"\'<>]+')
KEY_OF_OURS = lazy_pattern(r'[0-9a-f]{16,64}(?:-[\w-]*)?')
KEY_START = lazy_pattern(r'[^?#;&={]*')


def shown_url(url: Any, ignored_parameters: Iterable[str] | None = None) -> str:
    """A URL without passwords, user names without a password (which are often tokens), and secret parameters"""
    names = _names(tuple(ignored_parameters or ()))
    text = USERINFO.sub(_without_password, str(url))
    return replace_findings(text, find_in_url(text, names))


def shown_text(text: Any, ignored_parameters: Iterable[str] | None = None) -> str:
    """Any text without the credentials in its URLs, and without the values of named secrets

    Names are found in URLs and parts of URLs (`/path?api_key=x`), in header lines (`Authorization: x`), and in the
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
    """The type and message of an exception in one line, without secrets"""
    try:
        text = ' '.join(str(error).split())
    except Exception:
        text = ''
    name = type(error).__name__
    return f'{name}: {shown_text(text, ignored_parameters)}' if text else name


def shown_traceback(error: BaseException, ignored_parameters: Iterable[str] | None = None) -> str:
    """The traceback of an exception and its causes, without secrets (logging it by `exc_info` would show them)"""
    return shown_text(''.join(format_exception(type(error), error, error.__traceback__)).rstrip(), ignored_parameters)


def shown_key(key: Any) -> str:
    """A key unchanged if it is a hash; a custom key, which may be a URL, only up to its parameters"""
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
    """A pattern that matches a name, the text between it and its value, and the value"""
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
    shown = replace_findings(word, find_in_url(word, names) if is_reference else find_in_pairs(word, names))
    # File names that are made from keys are percent-encoded too
    return replace_findings(shown, find_in_encoded(shown, names)) if '%' in shown else shown


def _without_password(match: re.Match[str]) -> str:
    before, slashes, userinfo = match[0][:-1].partition('//')
    user, colon, password = userinfo.partition(':')
    return f'{before}{slashes}{user}:{REDACTED}@' if colon and password else f'{before}{slashes}{REDACTED}@'
