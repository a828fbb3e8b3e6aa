"""Validation of `url_settings` and `codes_expire_after`; imported only if one of them is used"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from re import Pattern
from typing import Any

from .._utils import nearest_name
from .expiration import check_expiration

CLASSES = ('2xx', '3xx', '4xx', '5xx')
# Settings that are not accepted in `url_settings`, and why
NOT_BY_URL = {
    'autoclose': 'it applies to the whole session',
    'url_settings': 'it cannot be nested',
    'urls_expire_after': 'use expire_after',
}


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _are_items(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# Checks that only `url_settings` get, as 1.x does not check these settings of a session: a test and a description
_Kind = tuple[Callable[[Any], bool], str]
_FLAG: _Kind = (_is_flag, 'True or False')
_FLAG_OR_TEXT: _Kind = (lambda value: isinstance(value, (bool, str)), 'True, False or a string')
_ITEMS: _Kind = (_are_items, 'a list or tuple')
_FUNCTION: _Kind = (lambda value: value is None or callable(value), 'a function')
_KINDS: dict[str, _Kind] = {
    'allowable_codes': _ITEMS,
    'allowable_methods': _ITEMS,
    'always_revalidate': _FLAG,
    'cache_control': _FLAG_OR_TEXT,
    'cache_status': _FLAG_OR_TEXT,
    'content_root_key': (lambda value: value is None or isinstance(value, str), 'a string'),
    'disabled': _FLAG,
    'filter_fn': _FUNCTION,
    'heuristic_fraction': (_is_number, 'a number'),
    'ignored_parameters': _ITEMS,
    'key_fn': _FUNCTION,
    'match_headers': (lambda value: _is_flag(value) or _are_items(value), 'True, False, a list or a tuple'),
    'only_if_cached': _FLAG,
    'read_only': _FLAG,
    'restore_cookies': _FLAG,
    'shared_cache': _FLAG,
    'single_flight': _FLAG_OR_TEXT,
}


def check_codes_expire_after(codes: Any) -> None:
    """Check expirations by status

    Raises:
        ValueError, TypeError: A key is not a status, or an expiration is invalid
    """
    if not isinstance(codes, Mapping):
        raise TypeError(f'codes_expire_after must be a dict of statuses and expirations, not {codes!r}')
    for code, expire_after in codes.items():
        is_status = isinstance(code, int) and not isinstance(code, bool) and 100 <= code <= 999
        if not is_status and code not in CLASSES:
            raise ValueError(
                f"codes_expire_after: {code!r} is not a status; use a number such as 404, or a class such as '4xx'"
            )
        _check(f'codes_expire_after[{code!r}]', check_expiration, expire_after)


def check_url_settings(
    rules: Any, names: Iterable[str], renamed: Mapping[str, str], make: Callable[..., object]
) -> None:
    """Check settings by URL

    Args:
        rules: Dicts of settings by URL pattern
        names: Names of all settings
        renamed: Current names of settings by their former names
        make: A function that creates settings from keywords, or raises an error

    Raises:
        ValueError, TypeError: A pattern, the name of a setting, or its value is invalid
    """
    if not isinstance(rules, Mapping):
        raise TypeError(f'url_settings must be a dict of URL patterns and dicts of settings, not {rules!r}')
    known = frozenset(names) - NOT_BY_URL.keys()
    for pattern, rule in rules.items():
        if not isinstance(pattern.pattern if isinstance(pattern, Pattern) else pattern, str):
            raise TypeError(
                f'url_settings: {pattern!r} is not a URL pattern; use a string or a compiled regular expression'
            )
        if not isinstance(rule, Mapping):
            raise TypeError(f'url_settings[{pattern!r}] must be a dict of settings, not {rule!r}')
        for name, value in rule.items():
            place = f'url_settings[{pattern!r}]'
            if name not in known:
                raise ValueError(f'{place}: {_unknown(name, known, renamed)}')
            _check(f'{place}[{name!r}]', _check_setting, name, value, make)


def _unknown(name: Any, known: Iterable[str], renamed: Mapping[str, str]) -> str:
    """The error message for a name, with the most similar setting"""
    if name in NOT_BY_URL:
        return f'{name!r} cannot be set for a URL: {NOT_BY_URL[name]}'
    nearest = renamed.get(name) or nearest_name(str(name), known)
    return f'there is no setting {name!r}' + (f'; did you mean {nearest!r}?' if nearest else '')


def _check_setting(name: str, value: Any, make: Callable[..., object]) -> None:
    is_right, wanted = _KINDS.get(name, (lambda value: True, ''))
    if not is_right(value):
        raise TypeError(f'it must be {wanted}, not {value!r}')
    make(**{name: value})


def _check(place: str, check: Callable[..., object], *args: Any) -> None:
    """Call a function that checks a value, and prepend the place of that value to its error"""
    try:
        check(*args)
    except TypeError as e:
        raise TypeError(f'{place}: {e}') from None
    except ValueError as e:
        raise ValueError(f'{place}: {e}') from None
