"""What the known faults of 1.3.3, by their numbers in `exceptions`, look like in a difference."""

from __future__ import annotations

from urllib.parse import urlsplit

from .compare import Difference
from .explain import (
    declared,
    decodes,
    hit,
    option,
    page_fields,
    page_headers,
    result,
    sent_bodies,
    settings,
    wire,
    with_canonical_urls,
    without,
    written,
)
from .origin import digest

OPTION_HEADERS = ('Cache-Control', 'X-ACTUAL-NO-CACHE')


def own_length(difference: Difference) -> bool:
    changed = [pair for pair in difference.published if pair not in difference.ours]
    return changed == [['Content-Length', '0']] and ['Content-Length', '0'] in page_fields(difference, 'headers_304')


def no_foreign_validator(difference: Difference) -> bool:
    removed = [name for name, value in difference.published if [name, value] not in difference.ours]
    conditions = {'If-None-Match', 'If-Modified-Since'}
    subset = all(header in difference.published for header in difference.ours)
    return subset and set(removed) <= conditions and bool(page_headers(difference, 'Vary'))


def header_with_space(difference: Difference) -> bool:
    failed = result(difference, 'published').get('raised') == 'raised requests.InvalidHeader'
    return failed and ', ' in written(difference) and 'raised' not in result(difference, 'ours')


def own_max_age(difference: Difference) -> bool:
    return 'max-age' in written(difference) and option(difference, 'expire_after') is not None


def only_option_headers(difference: Difference) -> bool:
    """Ours sent what the caller wrote; the published one added the options of the call."""
    theirs, ours = (
        [header for header in headers if header[0] not in OPTION_HEADERS]
        for headers in (difference.published, difference.ours)
    )
    own = written(difference)
    sent = [header for header in difference.ours if header[0] in OPTION_HEADERS]
    return theirs == ours and sent == ([['Cache-Control', own]] if own else [])


def same_key_with_options(difference: Difference) -> bool:
    matched = settings(difference, 'match_headers') is True
    unequal = result(difference, 'published').get('cache_key') != result(difference, 'ours').get('cache_key')
    return matched and unequal and any(step.get('options') for step in difference.steps)


def stored_redirect_followed(difference: Difference) -> bool:
    theirs, ours = result(difference, 'published'), result(difference, 'ours')
    unfollowed = hit(difference, 'published') and theirs['redirect'][0] and difference.step.get('allow_redirects', True)
    return bool(unfollowed and ours.get('history') and not ours['redirect'][0])


def unreadable_expires(difference: Difference) -> bool:
    failed = result(difference, 'published').get('raised') == 'raised builtins.ValueError'
    return failed and page_headers(difference, 'Expires') == ['soon'] and 'raised' not in result(difference, 'ours')


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
    broken = difference.published == digest(b'') or str(difference.published).startswith('raised ')
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
    return declared(difference, 'stale-while-revalidate=') and bool(stale)


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
    theirs, ours = (without(entries, 4) for entries in (difference.published, difference.ours))
    return theirs == ours and {entry[4] for entry in difference.ours} <= {*sent_bodies(difference), digest(b'')}


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
