"""Where this package is meant to differ from the published 1.3.3: each ruling with its reason, and how to know it.

A ruling explains a difference only if what this package did instead is what the ruling says. Tags `F-n` are known
faults of 1.3.3; the others are decisions about this package.
"""

from __future__ import annotations

from . import faults, rules
from .compare import Ruling
from .explain import on

SECONDS = (int, type(None))

RULINGS: tuple[Ruling, ...] = (
    Ruling(
        'header order',
        'Header fields of a hit keep the order of the origin; 1.3.3 sorts them when it redacts.',
        on(r'result.*\.header_order', rules.original_order, list),
    ),
    Ruling(
        'repeated headers',
        'Repeated header fields stay repeated in `raw.headers` of a hit; 1.3.3 stores them joined.',
        on(r'result.*\.raw\.headers', rules.repeated_headers, list),
    ),
    Ruling('hooks', 'Hooks run once for each response; in 1.3.3 twice if it is new.', on('hooks', rules.hooks_once)),
    Ruling(
        'boundary',
        'Multipart requests have boundaries of their own, which keys leave out; 1.3.3 puts a fixed one on the wire.',
        on(r'wire\[0\]\.headers', rules.own_boundary, list),
    ),
    Ruling(
        'keys of bodies',
        'The parts of a key are delimited where there is a body, so that two different requests never share one.',
        on(r'result.*cache_key|cache\.keys|cache\.redirects', rules.keys_of_bodies),
    ),
    Ruling('list order', 'JSON arrays keep their order in keys.', rules.list_order, parts_ways=True),
    Ruling(
        'key of a redirect',
        'After redirects `cache_key` is the key of the first request, as on the hit that follows; in 1.3.3 the last.',
        on(r'result\.cache_key', rules.key_of_the_request),
    ),
    Ruling(
        'update',
        'Entries copied to a cache with another serializer get the keys under which they are found there.',
        on(r'result\.(keys|redirects)', rules.copied_keys, list),
    ),
    Ruling(
        'must-revalidate',
        'A fresh response is used without validation though it says must-revalidate, which is about stale ones.',
        rules.fresh_despite_must_revalidate,
        parts_ways=True,
    ),
    Ruling(
        'quotes',
        'A quoted `max-age` is understood.',
        on(r'result\.expires', rules.quoted_seconds, SECONDS),
        parts_ways=True,
    ),
    Ruling(
        'age of a redirect',
        'A row of redirects that ends in a stored response is no fresher than that; in 1.3.3 it is as if new.',
        on(r'cache\.entries', rules.no_fresher_than_its_end, list),
        parts_ways=True,
    ),
    Ruling(
        'Age',
        'The `Age` of a response counts against its `max-age`; one without a validator that has used it up is not '
        'stored.',
        on(r'result\.expires', rules.age_counts, SECONDS),
        parts_ways=True,
    ),
    Ruling(
        'disabled',
        'A cache that is switched off is not changed; in 1.3.3 `filter_fn` deletes from it even then.',
        rules.untouched_when_disabled,
        parts_ways=True,
    ),
    Ruling(
        '304 lifetime',
        'After a 304 the updated headers say how long the response is fresh (RFC 9111, section 4.3.4); in 1.3.3 those '
        'of the 304 alone.',
        rules.lifetime_of_merged_headers,
        parts_ways=True,
    ),
    Ruling(
        'min-fresh',
        'A stored response that is not fresh enough for the request is validated; 1.3.3 fetches it anew.',
        rules.validated_for_min_fresh,
        parts_ways=True,
    ),
    Ruling(
        'error statuses',
        'SQLite lists stored responses with an error status; 1.3.3 takes them for unreadable, as they are false.',
        on(r'(.*\.)?entries|result', rules.error_statuses_listed, list),
    ),
    Ruling(
        'filter of 504',
        'A filter does not judge the 504 of a request that may not be sent; in 1.3.3 it may fail at that, or delete '
        'what is stored.',
        rules.filter_left_alone,
        parts_ways=True,
    ),
    Ruling('variant first', 'A variant is chosen, then its freshness judged.', rules.variant_first, parts_ways=True),
    Ruling('F-1', 'A space after a comma in `Cache-Control` is no error.', faults.header_with_space, parts_ways=True),
    Ruling('F-2', '`expire_after` goes before a `max-age` of the caller.', faults.own_max_age, parts_ways=True),
    Ruling(
        'F-3',
        'Options of a call stay out of the request; 1.3.3 sends them to the server as directives.',
        on(r'wire\[\d+\]\.headers', faults.only_option_headers, list),
    ),
    Ruling(
        'F-3 keys',
        'Nor do they enter keys with `match_headers`.',
        faults.same_key_with_options,
        parts_ways=True,
    ),
    Ruling('F-6', 'A stored redirect is followed.', faults.stored_redirect_followed, parts_ways=True),
    Ruling(
        'fractions',
        'The option `expire_after` is kept exactly; 1.3.3 rounds it up to whole seconds.',
        on(r'result\.expires(_delta)?|cache\.entries', rules.exact_seconds, (*SECONDS, list)),
    ),
    Ruling(
        'F-7',
        'Without `allow_redirects` the redirect is returned, though the response at its end is stored, too.',
        on(r'result\..*', faults.redirect_itself),
    ),
    Ruling('F-9', '`raw` of a new, stored response can be read.', on(r'result\.consumed', faults.raw_is_readable)),
    Ruling(
        'F-11',
        'URLs are stored as they were asked for; 1.3.3 sorts the query and drops blank values.',
        on(r'result.*|cache\.entries', faults.same_but_for_urls),
    ),
    Ruling('F-14', 'Sessions on one backend have settings of their own.', faults.wrapped_settings, parts_ways=True),
    Ruling('F-27', '`DO_NOT_CACHE` for a request stores nothing.', faults.not_cached, parts_ways=True),
    Ruling('F-28', 'The history has all hops of the request, and no others.', faults.own_hops, parts_ways=True),
    Ruling('F-29', 'An `Expires` that is no date is in the past.', faults.unreadable_expires, parts_ways=True),
    Ruling('F-30', 'stale-while-revalidate of a response counts.', faults.stale_while_revalidate, parts_ways=True),
    Ruling(
        'F-32',
        'only-if-cached never sends, also where a stored response is for another variant.',
        faults.gateway_timeout_instead,
        parts_ways=True,
    ),
    Ruling(
        'F-34',
        '`Content-Length` of a 304 is not that of the response.',
        on(r'result\.headers', faults.own_length, list),
    ),
    Ruling(
        'F-35',
        'An error response is returned, not raised, where the stored one is too stale for `stale_if_error`.',
        on(r'result\..*', faults.error_response_returned),
    ),
    Ruling(
        'F-40',
        'A variant without the varied header is stored beside the others.',
        faults.variant_without_the_header,
        parts_ways=True,
    ),
    Ruling(
        'F-41',
        'A request is not made conditional by the validator of another variant.',
        on(r'wire\[0\]\.headers', faults.no_foreign_validator, list),
        parts_ways=True,
    ),
    Ruling(
        'F-43',
        'Bodies are byte for byte what the origin sent, also where a decoded copy is stored; 1.3.3 rewrites them.',
        on(r'result(\[1\])?\.(content|text|json|encoding|size|consumed|headers)', faults.exact_body),
    ),
    Ruling('F-43 entries', 'The same for what is in the cache.', on(r'.*\.?entries', faults.exact_entries, list)),
    Ruling('F-59', 'Memory gives each caller a response of its own.', faults.own_object),
    Ruling('F-62', '`recreate_keys` keeps entries reached by redirects.', faults.keys_kept, parts_ways=True),
)
