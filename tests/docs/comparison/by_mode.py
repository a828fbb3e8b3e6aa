"""Rows about what is stored and used, by times of the user's own (`OWN`) and by the HTTP standard (`STANDARD`)"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from typing import Any

import requests
from packages import ONE_DAY_SECONDS
from probe import FRESH, ORIGIN, Probe
from server import Answer


def keeps_what_says_nothing(probe: Probe) -> bool:
    return probe.is_fetched_once()


def lifetime(probe: Probe) -> bool:
    url, session = probe.page(), probe.open(lifetime=ONE_DAY_SECONDS)
    session.get(url)
    session.get(url)
    return probe.sent() == 1


def time_to_idle(probe: Probe) -> bool:
    url, session = probe.page(), probe.open(idle=ONE_DAY_SECONDS)
    session.get(url)
    session.get(url)
    return probe.sent() == 1


def variants(probe: Probe) -> bool:
    def page(request: Any) -> Answer:
        return 200, [('Vary', 'Accept-Language'), FRESH], request.headers['Accept-Language'].encode()

    url, session = probe.program(page), probe.open()
    languages = ['en', 'de', 'en', 'de']
    got = [session.get(url, headers={'Accept-Language': language}).text for language in languages]
    return got == languages and probe.sent() == 2


def redirects(probe: Probe) -> bool:
    end = probe.page(FRESH)
    url, session = ORIGIN.page('/redirect', ('Location', end), FRESH, status=301), probe.open()
    session.get(url)
    return session.get(url).url == end and ORIGIN.counts['/redirect'] == 1


def order_of_parameters(probe: Probe) -> bool:
    url, session = probe.page(FRESH), probe.open()
    session.get(url + '?a=1&b=2')
    session.get(url + '?b=2&a=1')
    return probe.sent() == 1


def good_then_broken(probe: Probe, *headers: tuple[str, str], **features: Any) -> bool:
    """Whether a stored response takes the place of an error"""
    pages = (lambda request: (200, list(headers), b'good')), (lambda request: (503, [], b'broken'))
    url, session = probe.program(*pages), probe.open(**features)
    session.get(url)
    return session.get(url).status_code == 200


def stale_if_error(probe: Probe) -> bool:
    return good_then_broken(probe, ('ETag', '"1"'), lifetime=0, stale_if_error=True)


def stale_if_error_by_the_response(probe: Probe) -> bool:
    return good_then_broken(probe, ('Cache-Control', 'max-age=0, stale-if-error=60'), ('ETag', '"1"'))


def stale_while_revalidate_by_the_response(probe: Probe) -> bool:
    url = probe.page(('Cache-Control', 'max-age=0, stale-while-revalidate=60'), ('ETag', '"1"'))
    return _is_answered_stale(probe.open(), url)


def stale_while_revalidate(probe: Probe) -> bool:
    return _is_answered_stale(probe.open(lifetime=0, stale_while_revalidate=True), probe.page(('ETag', '"1"')))


def _is_answered_stale(session: requests.Session, url: str) -> bool:
    session.get(url)
    response = session.get(url)
    return bool(getattr(response, 'from_cache', False)) and not getattr(response, 'revalidated', False)


def validates(probe: Probe, **features: Any) -> bool:
    conditional = []

    def page(request: Any) -> Answer:
        conditional.append(request.headers.get('If-None-Match') == '"1"')
        return (304 if conditional[-1] else 200), [('ETag', '"1"'), ('Cache-Control', 'max-age=0')], b''

    url = probe.program(page)
    session = probe.open(**features)
    session.get(url)
    return session.get(url).status_code == 200 and conditional == [False, True]


def post_by_body(probe: Probe) -> bool:
    url, session = probe.page(FRESH), probe.open(post=True)
    for body in 'aab':
        session.post(url, data=body)
    return probe.sent() == 2


def only_if_cached(probe: Probe) -> bool:
    url, session = probe.page(), probe.open()
    return session.get(url, headers={'Cache-Control': 'only-if-cached'}).status_code == 504 and not probe.sent()


def respects_max_age(probe: Probe) -> bool:
    return not probe.is_fetched_once(('Cache-Control', 'max-age=0')) and probe.is_fetched_once(FRESH)


def respects_no_store(probe: Probe) -> bool:
    return not probe.is_fetched_once(('Cache-Control', 'no-store'))


def invalidates(method: str) -> Callable[[Probe], bool]:
    def probe_method(probe: Probe) -> bool:
        url, session = probe.page(FRESH), probe.open()
        session.get(url)
        session.request(method, url)
        session.get(url)
        return probe.sent() == 3

    return probe_method


def ranges(probe: Probe) -> bool:
    url, session = probe.page(FRESH, ('ETag', '"1"'), ('Accept-Ranges', 'bytes'), body=b'0123456789'), probe.open()
    session.get(url)
    response = session.get(url, headers={'Range': 'bytes=2-4'})
    return response.status_code == 206 and response.content == b'234' and probe.sent() == 1


def shared(probe: Probe) -> bool:
    url, session = probe.page(('Cache-Control', 'private, max-age=60')), probe.open(shared=True)
    session.get(url)
    session.get(url)
    return probe.sent() == 2


def heuristics(probe: Probe) -> bool:
    """Whether a response is kept because it was modified long ago, and not because it says nothing"""
    modified = ('Last-Modified', 'Mon, 01 Jan 2024 00:00:00 GMT'), ('Date', formatdate(usegmt=True))
    return probe.is_fetched_once(*modified) and not probe.is_fetched_once()


def cache_status(probe: Probe) -> bool:
    url, session = probe.page(FRESH), probe.open(cache_status=True)
    session.get(url)
    return 'hit' in session.get(url).headers.get('Cache-Status', '')


OWN: dict[str, Callable[[Probe], bool | str]] = {
    'Keeps responses that say nothing about caching': keeps_what_says_nothing,
    'Lifetime of your own': lifetime,
    'Lifetime that begins anew with each use': time_to_idle,
    'Keeps each variant (`Vary`)': variants,
    'Keeps redirects': redirects,
    'Same entry for parameters in another order': order_of_parameters,
    'Validates stale responses': partial(validates, lifetime=0),
    'Stale response if the server fails': stale_if_error,
    'Stale response while it is refreshed': stale_while_revalidate,
    'Responses to POST, by their body': post_by_body,
    '504 for `only-if-cached`': only_if_cached,
}
STANDARD: dict[str, Callable[[Probe], bool | str]] = {
    '`max-age`': respects_max_age,
    '`no-store`': respects_no_store,
    'Validates stale responses': validates,
    'Lifetime by `Last-Modified`': heuristics,
    'Keeps each variant (`Vary`)': variants,
    'PUT makes the stored response invalid': invalidates('PUT'),
    'POST makes the stored response invalid': invalidates('POST'),
    '`stale-if-error`': stale_if_error_by_the_response,
    '`stale-while-revalidate`': stale_while_revalidate_by_the_response,
    'Ranges of a stored response': ranges,
    '504 for `only-if-cached`': only_if_cached,
    'Shared cache': shared,
    '`Cache-Status`': cache_status,
}
