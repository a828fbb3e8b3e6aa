"""What the decisions among the rulings of `exceptions` look like in a difference, as narrowly as they can be told."""

from __future__ import annotations

import re

from .compare import Difference
from .explain import (
    bare,
    declared,
    has_body,
    hit,
    joined,
    page_headers,
    responses,
    result,
    settings,
    wire,
    with_canonical_urls,
    without,
    written,
)

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


def fresh_despite_must_revalidate(difference: Difference) -> bool:
    unasked = hit(difference, 'ours') and not wire(difference, 'ours') and not result(difference, 'ours')['is_expired']
    return bool(declared(difference, 'must-revalidate') and unasked and wire(difference, 'published'))


def quoted_seconds(difference: Difference) -> bool:
    age = sum(map(int, page_headers(difference, 'Age')))
    return declared(difference, f'max-age="{(difference.ours or 0) + age}"')


def no_fresher_than_its_end(difference: Difference) -> bool:
    """The entries differ in one expiration, which in ours is that of the stored response at the end of the row."""
    followed = hit(difference, 'ours') and wire(difference, 'ours') and result(difference, 'ours')['history']
    if not followed or without(difference.published, 3) != without(difference.ours, 3):
        return False
    expirations = {entry[3] for entry in difference.ours} - {entry[3] for entry in difference.published}
    return expirations <= {result(difference, 'ours')['expires']}


def age_counts(difference: Difference) -> bool:
    theirs, ours, age = difference.published, difference.ours, page_headers(difference, 'Age')
    if theirs is None or not age or not declared(difference, 'max-age'):
        return False
    return bool(int(age[0]) == theirs - ours if ours is not None else theirs <= int(age[0]))


def untouched_when_disabled(difference: Difference) -> bool:
    off = difference.step['op'] == 'disabled' or settings(difference, 'disabled')
    filtered = settings(difference, 'filter_fn') is not None
    before, now = ([seen['cache'] for seen in difference.ours_so_far] * 2)[-2:]
    return bool(off and filtered and before == now)


def filter_left_alone(difference: Difference) -> bool:
    return settings(difference, 'filter_fn') is not None and result(difference, 'ours').get('status') == 504


def lifetime_of_merged_headers(difference: Difference) -> bool:
    """The first difference after a 304 that is silent about freshness, on a page that is not."""
    silent = [entry for entry in wire(difference, 'ours') if entry['status'] == 304]
    page = page_headers(difference, 'Expires') or declared(difference, 'max-age') or declared(difference, 'immutable')
    revalidated = all(result(difference, side).get('revalidated') for side in ('ours', 'published'))
    return bool(silent and page and revalidated and settings(difference, 'cache_control'))


def variant_first(difference: Difference) -> bool:
    ours = result(difference, 'ours')
    fresh = hit(difference, 'ours') and ours['status'] != 504 and not ours['is_expired']
    varied = page_headers(difference, 'Vary') and settings(difference, 'match_headers') is not True
    return bool(fresh and varied and result(difference, 'published').get('status') == 504)


def validated_for_min_fresh(difference: Difference) -> bool:
    theirs, ours = wire(difference, 'published'), wire(difference, 'ours')
    conditional = any(name in ('If-None-Match', 'If-Modified-Since') for entry in ours for name, _ in entry['headers'])
    return 'min-fresh' in written(difference) and conditional and len(theirs) == len(ours)


def error_statuses_listed(difference: Difference) -> bool:
    """What ours lists besides are responses with an error status."""
    if difference.scenario['settings']['backend'] != 'sqlite':
        return False
    theirs, ours = (list(map(repr, with_canonical_urls(each))) for each in (difference.published, difference.ours))
    more = [each for each in ours if each not in theirs]
    known = all(each in ours for each in theirs)
    return known and bool(more) and all(re.search(r'\b[45]\d\d\b', each) for each in more)


def exact_seconds(difference: Difference) -> bool:
    """A request had a fraction as its `expire_after`, and now ours is a second earlier here or there."""
    fractions = [step for step in difference.steps if isinstance(step.get('options', {}).get('expire_after'), float)]
    if difference.field == 'cache.entries':
        pairs = zip(bare(difference.published), bare(difference.ours), strict=False)
        changed = [(theirs[3], ours[3]) for theirs, ours in pairs if theirs != ours]
        return bool(fractions) and all(theirs == (ours or 0) + 1 for theirs, ours in changed)
    return bool(fractions) and bool(difference.published == (difference.ours or 0) + 1)
