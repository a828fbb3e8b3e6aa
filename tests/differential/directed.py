"""Scenarios by hand, for rulings and behaviours that drawn ones meet too seldom; the shortest steps that show them."""

from __future__ import annotations

from typing import Any

from .generator import HOST, Page, Scenario, Step

FIRST = {'statuses': [301], 'body': 'text', 'headers': [['Location', '/middle']]}
REDIRECT = {'statuses': [302], 'body': 'text', 'headers': [['Location', '/end']]}
END = {'statuses': [200], 'body': 'json'}
VARIED = {'statuses': [200], 'headers': [['Vary', 'Accept-Language']]}
TAGGED = {'etag': 'fixed', 'conditional': True}
OBEY = {'cache_control': True, 'expire_after': 50}


def page(*headers: str, **given: Any) -> Page:
    """A page with headers written as ``Name: value``."""
    return {'statuses': [200], 'body': 'json', 'headers': [each.split(': ', 1) for each in headers], **given}


def get(path: str = '/', **given: Any) -> Step:
    return {'op': 'request', 'url': HOST + path, **given}


def get_in(language: str, **given: Any) -> Step:
    return get(headers={'Accept-Language': language}, **given)


def after(seconds: float) -> Step:
    return {'op': 'advance', 'seconds': seconds}


def change(name: str, value: Any) -> Step:
    return {'op': 'settings', 'name': name, 'value': value}


Case = tuple[dict[str, Any], dict[str, Page], list[Step]]

CASES: dict[str, Case] = {
    'F-1': ({}, {'/': page()}, [get(headers={'Cache-Control': 'a, b'}, options={'expire_after': 9})]),
    'F-2': ({}, {'/': page()}, [get(headers={'Cache-Control': 'max-age=9'}, options={'expire_after': 5})]),
    'F-3': ({'match_headers': True}, {'/': page()}, [get(), get(options={'only_if_cached': True})]),
    'F-6': ({'allowable_codes': [200, 302]}, {'/': FIRST, '/middle': REDIRECT, '/end': END}, [get(), get('/middle')]),
    'F-7': ({}, {'/': REDIRECT, '/end': END}, [get(), get(allow_redirects=False)]),
    'F-9': ({}, {'/': page(coding='gzip')}, [get(stream=True, consume='raw')]),
    'F-14': ({'allowable_codes': [404]}, {'/': page(statuses=[404])}, [{'op': 'wrap', 'url': HOST}, get(), get()]),
    'F-27': ({}, {'/': page()}, [get(options={'expire_after': 'DO_NOT_CACHE'})]),
    'F-28': ({}, {'/': FIRST, '/middle': REDIRECT, '/end': END}, [get(), get('/middle')]),
    'F-29': (OBEY, {'/': page('Expires: soon', **TAGGED)}, [get()]),
    'F-30': (OBEY, {'/': page('Cache-Control: max-age=10, stale-while-revalidate=99')}, [get(), after(20), get()]),
    'F-32': ({}, {'/': VARIED}, [get_in('cs'), get_in('en', options={'only_if_cached': True})]),
    'F-34': (
        {'expire_after': 9},
        {'/': page(headers_304=[['Content-Length', '0']], **TAGGED)},
        [get(), after(20), get()],
    ),
    'F-35': ({'expire_after': 9, 'stale_if_error': 9}, {'/': page(statuses=[200, 503])}, [get(), after(20), get()]),
    'F-40': ({}, {'/': VARIED}, [get_in('cs'), get()]),
    'F-41': ({'expire_after': 9}, {'/': {**VARIED, 'etag': 'fixed'}}, [get_in('cs'), after(20), get_in('en')]),
    'F-59': ({'backend': 'memory'}, {'/': REDIRECT, '/end': END}, [get('/end'), get(), get('/end')]),
    'F-62': ({}, {'/': REDIRECT, '/end': END}, [get(), {'op': 'cache', 'call': 'recreate_keys'}]),
    'list order': (
        {'allowable_methods': ['POST']},
        {'/': page()},
        [get(method='POST', json=[1, 2, 3]), get(method='POST', json=[3, 2, 1])],
    ),
    'fractions': ({}, {'/': page()}, [get(options={'expire_after': 60.5})]),
    'quotes': (OBEY, {'/': page('Cache-Control: max-age="60"')}, [get()]),
    'Age': (OBEY, {'/': page('Cache-Control: max-age=60', 'Age: 10')}, [get()]),
    'must-revalidate': (OBEY, {'/': page('Cache-Control: max-age=60, must-revalidate')}, [get(), get()]),
    '304 lifetime': (OBEY, {'/': page('Cache-Control: max-age=60', **TAGGED)}, [get(), after(90), get()]),
    'min-fresh': ({'expire_after': 30}, {'/': page(**TAGGED)}, [get(), get(headers={'Cache-Control': 'min-fresh=50'})]),
    'age of a redirect': ({'expire_after': 60}, {'/': REDIRECT, '/end': END}, [get('/end'), after(20), get()]),
    'disabled': (
        {'allowable_codes': [404]},
        {'/': page(statuses=[404])},
        [get(), change('filter_fn', 'ok'), {'op': 'disabled', 'steps': [get()]}],
    ),
    'error statuses': ({'allowable_codes': [404]}, {'/': page(statuses=[404])}, [get()]),
    'unreachable': ({}, {'/': page(statuses=[200, 0], **TAGGED)}, [get(), get(options={'refresh': True})]),
    'variant first': (
        {'expire_after': 60},
        {'/': VARIED},
        [get_in('cs'), after(30), get_in('en'), after(40), get_in('en', options={'only_if_cached': True})],
    ),
    'update': ({}, {'/': page()}, [get(), {'op': 'cache', 'call': 'copy', 'backend': 'memory'}]),
}


def scenarios() -> list[Scenario]:
    """All of them, on SQLite where nothing else is said."""
    return [
        {
            'id': f'directed-{name}',
            'background': 'stale-while-revalidate' in str(site),
            'settings': {'backend': 'sqlite', **settings},
            'site': site,
            'steps': steps,
        }
        for name, (settings, site, steps) in CASES.items()
    ]
