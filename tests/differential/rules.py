"""What each ruling of `exceptions` expects to see: predicates over differences, as narrow as they can be."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from .compare import Difference
from .explain import (
    decodes,
    has_body,
    hit,
    joined,
    option,
    page_fields,
    page_headers,
    responses,
    result,
    sent_bodies,
    settings,
    wire,
    with_canonical_urls,
)
from .origin import digest

OPTION_HEADERS = ('Cache-Control', 'X-ACTUAL-NO-CACHE')
FIRST_HEADERS = ['Server', 'Date']


def original_order(difference: Difference) -> bool:
    """The same names; ours in the order of the origin, which begins with these two."""
    same = sorted(difference.published) == sorted(difference.ours)
    return same and difference.ours[:2] == FIRST_HEADERS


def repeated_headers(difference: Difference) -> bool:
    return joined(difference.ours) == joined(difference.published) and len(difference.ours) > len(difference.published)


def hooks_once(difference: Difference) -> bool:
    """One run for each response that was handed on: the final one, and every redirect that was followed now."""
    seen = responses(difference)
    fetched = [hop for each in seen for hop in each['history'] if hop[3] is not True]
    hops = sum(len(each['history']) for each in seen)
    return bool(len(seen) + len(fetched) <= difference.ours <= len(seen) + hops)


def own_boundary(difference: Difference) -> bool:
    theirs, ours = (
        [[name, re.sub('boundary=.*', 'boundary', value)] for name, value in headers]
        for headers in (difference.published, difference.ours)
    )
    fixed = 'requests-cache'
    return theirs == ours and fixed in str(difference.published) and fixed not in str(difference.ours)


def keys_of_bodies(difference: Difference) -> bool:
    """Only keys of requests with a body differ."""
    if not isinstance(difference.ours, list):
        return has_body(difference.step)
    bodies = [step for step in difference.steps if has_body(step)]
    changed = set(map(str, difference.published)) ^ set(map(str, difference.ours))
    return len(difference.published) == len(difference.ours) and len(changed) <= 2 * len(bodies)


def list_order(difference: Difference) -> bool:
    value = difference.step.get('json')
    if not isinstance(value, list):
        return False
    earlier = [step['json'] for step in difference.steps[:-1] if isinstance(step.get('json'), list)]
    reordered = any(other != value and sorted(other) == sorted(value) for other in earlier)
    return reordered and hit(difference, 'published') and not hit(difference, 'ours')


def key_of_the_request(difference: Difference) -> bool:
    """Ours is a key that leads to the response of the first request; theirs is that of the last hop."""
    stored = difference.ours_so_far[-1]['cache']
    return bool(result(difference, 'ours').get('history')) and difference.ours in dict(stored['redirects'])


def copied_keys(difference: Difference) -> bool:
    return difference.step.get('call') == 'copy' and len(difference.ours) == len(difference.published)


def _declared(difference: Difference, directive: str) -> bool:
    values = page_headers(difference, 'Cache-Control')
    return bool(settings(difference, 'cache_control')) and any(directive in value.lower() for value in values)


def fresh_despite_must_revalidate(difference: Difference) -> bool:
    unasked = hit(difference, 'ours') and not wire(difference, 'ours') and not result(difference, 'ours')['is_expired']
    return bool(_declared(difference, 'must-revalidate') and unasked and wire(difference, 'published'))


def quoted_seconds(difference: Difference) -> bool:
    age = sum(map(int, page_headers(difference, 'Age')))
    return _declared(difference, f'max-age="{(difference.ours or 0) + age}"')


def no_fresher_than_its_end(difference: Difference) -> bool:
    """The entries differ in one expiration, which in ours is that of the stored response at the end of the row."""
    followed = hit(difference, 'ours') and wire(difference, 'ours') and result(difference, 'ours')['history']
    if not followed or _without(difference.published, 3) != _without(difference.ours, 3):
        return False
    expirations = {entry[3] for entry in difference.ours} - {entry[3] for entry in difference.published}
    return expirations <= {result(difference, 'ours')['expires']}


def age_counts(difference: Difference) -> bool:
    theirs, ours, age = difference.published, difference.ours, page_headers(difference, 'Age')
    if theirs is None or not age or not _declared(difference, 'max-age'):
        return False
    return int(age[0]) == theirs - ours if ours is not None else theirs <= int(age[0])


def untouched_when_disabled(difference: Difference) -> bool:
    off = difference.step['op'] == 'disabled' or settings(difference, 'disabled')
    filtered = settings(difference, 'filter_fn') is not None
    before, now = ([seen['cache'] for seen in difference.ours_so_far] * 2)[-2:]
    return bool(off and filtered and before == now)


def lifetime_of_merged_headers(difference: Difference) -> bool:
    """The first difference after a 304 that is silent about freshness, on a page that is not."""
    silent = [entry for entry in wire(difference, 'ours') if entry['status'] == 304]
    page = page_headers(difference, 'Expires') or _declared(difference, 'max-age') or _declared(difference, 'immutable')
    revalidated = all(result(difference, side).get('revalidated') for side in ('ours', 'published'))
    return bool(silent and page and revalidated and settings(difference, 'cache_control'))


def validated_for_min_fresh(difference: Difference) -> bool:
    theirs, ours = wire(difference, 'published'), wire(difference, 'ours')
    conditional = any(name in ('If-None-Match', 'If-Modified-Since') for entry in ours for name, _ in entry['headers'])
    return 'min-fresh' in _written(difference) and conditional and len(theirs) == len(ours)


def error_statuses_listed(difference: Difference) -> bool:
    """What ours lists besides are responses with an error status."""
    if difference.scenario['settings']['backend'] != 'sqlite':
        return False
    theirs, ours = (list(map(repr, with_canonical_urls(each))) for each in (difference.published, difference.ours))
    more = [each for each in ours if each not in theirs]
    known = all(each in ours for each in theirs)
    return known and bool(more) and all(re.search(r'\b[45]\d\d\b', each) for each in more)


def own_length(difference: Difference) -> bool:
    changed = [pair for pair in difference.published if pair not in difference.ours]
    return changed == [['Content-Length', '0']] and ['Content-Length', '0'] in page_fields(difference, 'headers_304')


def no_foreign_validator(difference: Difference) -> bool:
    removed = [name for name, value in difference.published if [name, value] not in difference.ours]
    conditions = {'If-None-Match', 'If-Modified-Since'}
    subset = all(header in difference.published for header in difference.ours)
    return subset and set(removed) <= conditions and bool(page_headers(difference, 'Vary'))


def _written(difference: Difference) -> str:
    value: str = difference.step.get('headers', {}).get('Cache-Control', '')
    return value


def header_with_space(difference: Difference) -> bool:
    failed = result(difference, 'published').get('raised') == 'raised requests.InvalidHeader'
    return failed and ', ' in _written(difference) and 'raised' not in result(difference, 'ours')


def own_max_age(difference: Difference) -> bool:
    return 'max-age' in _written(difference) and option(difference, 'expire_after') is not None


def only_option_headers(difference: Difference) -> bool:
    """Ours sent what the caller wrote; the published one added the options of the call."""
    theirs, ours = (
        [header for header in headers if header[0] not in OPTION_HEADERS]
        for headers in (difference.published, difference.ours)
    )
    written = _written(difference)
    sent = [header for header in difference.ours if header[0] in OPTION_HEADERS]
    return theirs == ours and sent == ([['Cache-Control', written]] if written else [])


def stored_redirect_followed(difference: Difference) -> bool:
    theirs, ours = result(difference, 'published'), result(difference, 'ours')
    unfollowed = hit(difference, 'published') and theirs['redirect'][0] and difference.step.get('allow_redirects', True)
    return bool(unfollowed and ours.get('history') and not ours['redirect'][0])


def unreadable_expires(difference: Difference) -> bool:
    failed = result(difference, 'published').get('raised') == 'raised builtins.ValueError'
    return failed and page_headers(difference, 'Expires') == ['soon'] and 'raised' not in result(difference, 'ours')


def exact_seconds(difference: Difference) -> bool:
    """A request had a fraction as its `expire_after`, and now ours is a second earlier here or there."""
    fractions = [step for step in difference.steps if isinstance(step.get('options', {}).get('expire_after'), float)]
    if difference.field == 'cache.entries':
        pairs = zip(_bare(difference.published), _bare(difference.ours), strict=False)
        changed = [(theirs[3], ours[3]) for theirs, ours in pairs if theirs != ours]
        return bool(fractions) and all(theirs == (ours or 0) + 1 for theirs, ours in changed)
    return bool(fractions) and bool(difference.published == (difference.ours or 0) + 1)


def own_hops(difference: Difference) -> bool:
    theirs, ours = (result(difference, side).get('history') for side in ('published', 'ours'))
    if theirs is None or ours is None or len(theirs) == len(ours):
        return False
    asked = with_canonical_urls(difference.step['url'])
    whole = with_canonical_urls(ours[0][1]) == asked if ours else result(difference, 'ours')['url'] == asked
    urls = [[hop[1] for hop in history] for history in (theirs, ours)]
    return whole and (urls[1][: len(theirs)] == urls[0] or urls[0][-len(ours) :] == urls[1])


def redirect_itself(difference: Difference) -> bool:
    step = difference.step
    by_method = (step.get('via'), step.get('method')) == ('verb', 'HEAD')
    unfollowed = by_method or step.get('allow_redirects') is False
    ours, theirs = result(difference, 'ours'), result(difference, 'published')
    return unfollowed and bool(ours['redirect'][0] and not ours['history'] and theirs['history'])


def raw_is_readable(difference: Difference) -> bool:
    memory = difference.scenario['settings']['backend'] == 'memory'
    broken = difference.published in ('raised builtins.RuntimeError', digest(b''))
    return (broken or memory) and difference.ours in sent_bodies(difference)


def same_but_for_urls(difference: Difference) -> bool:
    """Only queries are spelled differently, and where a response was asked for, ours is as a caller wrote it."""
    theirs, ours = (with_canonical_urls(value) for value in (difference.published, difference.ours))
    if isinstance(theirs, list) and difference.field != 'result.history':
        theirs, ours = sorted(theirs, key=repr), sorted(ours, key=repr)
    if theirs != ours:
        return False
    plain = difference.field == 'result.url' and 'params' not in str(difference.steps)
    return not plain or _names(difference.ours) in [_names(step.get('url', '')) for step in difference.steps]


def _names(url: str) -> list[str]:
    """The names in a query, in their order; values may have been redacted."""
    return [piece.partition('=')[0] for piece in urlsplit(url).query.split('&')]


def wrapped_settings(difference: Difference) -> bool:
    """A session of default settings was wrapped around this one, and the published one goes on by those."""
    steps = [step['op'] for step in difference.steps[:-1]]
    since_opened = steps[len(steps) - 1 - steps[::-1].index('reopen') :] if 'reopen' in steps else steps
    own = [settings(difference, name) for name in ('filter_fn', 'read_only', 'only_if_cached', 'disabled')]
    changed = any(own) or settings(difference, 'allowable_codes') != [200]
    return 'wrap' in since_opened and changed and difference.step['op'] == 'request'


def not_cached(difference: Difference) -> bool:
    unwanted = option(difference, 'expire_after') == 'DO_NOT_CACHE'
    return unwanted and result(difference, 'ours').get('cache_key') is None and not hit(difference, 'ours')


def stale_while_revalidate(difference: Difference) -> bool:
    stale = hit(difference, 'ours') and result(difference, 'ours')['is_expired']
    return _declared(difference, 'stale-while-revalidate=') and bool(stale)


def gateway_timeout_instead(difference: Difference) -> bool:
    wanted = option(difference, 'only_if_cached') or settings(difference, 'only_if_cached')
    silent = result(difference, 'ours').get('status') == 504 and not wire(difference, 'ours')
    return bool(wanted and silent and wire(difference, 'published') and page_headers(difference, 'Vary'))


def error_response_returned(difference: Difference) -> bool:
    raised = result(difference, 'published').get('raised') == 'raised requests.HTTPError'
    returned = result(difference, 'ours').get('status', 0) >= 400
    return raised and returned and bool(settings(difference, 'stale_if_error'))


def variant_without_the_header(difference: Difference) -> bool:
    name = result(difference, 'ours').get('cache_key') or ''
    plain, _, names = name.partition('-')
    return bool(names) and result(difference, 'published').get('cache_key') == plain


def exact_body(difference: Difference) -> bool:
    """The caller of ours got a body that the origin sent, with the length that it declared."""
    ours = result(difference, 'ours')
    bodies = {*sent_bodies(difference), digest(b'')}
    lengths = {body.partition(':')[0] for body in bodies}
    sent = ours['content'] in bodies if 'content' in ours else str(ours.get('size')) in lengths
    if not (decodes(difference) and ours.get('from_cache') and sent):
        return False
    if difference.field == 'result.headers':
        changed = [pair for pair in difference.published if pair not in difference.ours]
        return [name for name, _ in changed] == ['Content-Length']
    return True


def exact_entries(difference: Difference) -> bool:
    """The same entries, where each body of ours is one that the origin sent."""
    if not decodes(difference):
        return False
    theirs, ours = (_without(entries, 4) for entries in (difference.published, difference.ours))
    return theirs == ours and {entry[4] for entry in difference.ours} <= {*sent_bodies(difference), digest(b'')}


def _bare(entries: list[list[Any]]) -> list[Any]:
    return sorted((with_canonical_urls(entry) for entry in entries), key=lambda entry: repr([*entry[:3], entry[4]]))


def _without(entries: list[list[Any]], place: int) -> list[Any]:
    return sorted((with_canonical_urls([*entry[:place], *entry[place + 1 :]]) for entry in entries), key=repr)


def own_object(difference: Difference) -> bool:
    """In memory theirs hands out one object, which bears what earlier callers, or `requests`, have put on it."""
    if (
        difference.scenario['settings']['backend'] != 'memory'
        or wire(difference, 'ours')
        or not hit(difference, 'ours')
    ):
        return False
    marks = {'result.history': [], 'result.revalidated': False}
    return difference.field in marks and difference.ours == marks[difference.field]


def keys_kept(difference: Difference) -> bool:
    if difference.step.get('call') != 'recreate_keys':
        return False
    before, now = (seen['cache']['keys'] for seen in difference.ours_so_far[-2:])
    return bool(before == now)
