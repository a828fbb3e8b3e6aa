"""Parts of the page about settings"""

from __future__ import annotations

from typing import Any, NamedTuple

from attrs import fields_dict
from texts import default_of, described, parameters, published, sentence, since, table, type_of

from requests_cache import CachedSession, CacheMixin, CacheSettings, install_cache
from requests_cache.policy.settings import DEFAULT_IGNORED_PARAMS, RENAMED

# Groups of settings: a heading, links to the guide, and names
GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        'The cache',
        '[Sessions](../sessions.md), [backends](../backends.md) and [serializers](../serializers.md)',
        ('cache_name', 'backend', 'serializer', 'autoclose'),
    ),
    (
        'How long responses are fresh',
        '[Expiration](../expiration.md), and [how freshness works](../explanation/freshness.md)',
        (
            'expire_after',
            'urls_expire_after',
            'codes_expire_after',
            'cache_control',
            'heuristic_fraction',
            'shared_cache',
        ),
    ),
    (
        'Stale responses',
        '[Stale responses](../expiration.md#stale-responses)',
        ('stale_if_error', 'stale_while_revalidate', 'always_revalidate'),
    ),
    (
        'Which requests match',
        '[Matching](../matching.md), and [how keys work](../explanation/keys.md)',
        ('match_headers', 'ignored_parameters', 'content_root_key', 'key_fn'),
    ),
    (
        'What is stored',
        '[What is stored](../matching.md#what-is-stored) and [streams and large bodies](../streaming.md)',
        ('allowable_codes', 'allowable_methods', 'filter_fn', 'max_body_bytes', 'drain_bytes', 'drain_seconds'),
    ),
    (
        'Switching parts of the cache off',
        '[Sessions](../sessions.md)',
        ('disabled', 'read_only', 'only_if_cached'),
    ),
    (
        'Equal requests at the same time',
        '[Equal requests at the same time](../single-flight.md)',
        ('single_flight', 'single_flight_timeout'),
    ),
    (
        'What responses carry',
        '[`Cache-Status`](../http-standard.md#cache-status) and [cookies of hits](../sessions.md#cookies-of-hits)',
        ('cache_status', 'restore_cookies'),
    ),
    (
        'Settings for some URLs',
        '[Settings for some URLs](../sessions.md#settings-for-some-urls)',
        ('url_settings',),
    ),
)
OPTIONS = ('expire_after', 'only_if_cached', 'refresh', 'force_refresh')
NOT_BY_URL = frozenset(
    ('autoclose', 'backend', 'cache_name', 'serializer', 'url_settings', 'urls_expire_after')
)  # fmt: skip

MODULE = 'requests_cache.policy.settings'


class Keyword(NamedTuple):
    """A keyword of a session"""

    type: Any
    default: Any
    text: str


def _keywords() -> dict[str, Keyword]:
    """The keywords of a session, by name"""
    texts = {**described(CacheMixin), **described(CacheSettings)}
    # The defaults are those of the session; the types of `CacheSettings` are more exact
    found = {**parameters(CacheSettings), **parameters(CacheMixin.__init__)}
    types = {name: attribute.type for name, attribute in fields_dict(CacheSettings).items()}
    return {name: Keyword(types.get(name, p.annotation), p.default, texts[name]) for name, p in found.items()}


def _one(name: str, keyword: Keyword, age: str) -> str:
    facts = [
        type_of(keyword.type),
        f'default {default_of(name, keyword.default)}',
        *(['not in `url_settings`'] if name in NOT_BY_URL else []),
        age,
    ]
    return f'### `{name}`\n\n{" · ".join(facts)}\n\n{sentence(keyword.text)}'


def all_settings() -> str:
    keywords = _keywords()
    grouped = [name for _, _, names in GROUPS for name in names]
    if sorted(grouped) != sorted(keywords):
        raise ValueError(f'not in exactly one group: {set(grouped) ^ set(keywords)}')
    known = published(MODULE, 'CacheSettings') | published('requests_cache.session', 'CacheMixin')
    parts = []
    for heading, more, names in GROUPS:
        parts += [f'## {heading}', f'In the guide: {more}.']
        parts += [_one(name, keywords[name], since(name, known)) for name in names]
    return '\n\n'.join(parts)


def overview() -> str:
    rows = [
        (f'[{heading}](#{heading.lower().replace(" ", "-")})', ', '.join(f'[`{name}`](#{name})' for name in names))
        for heading, _, names in GROUPS
    ]
    return table(('to decide', 'settings'), rows)


def options() -> str:
    texts, found = described(CachedSession.request), parameters(CachedSession.request)
    known = published('requests_cache.session', 'CacheMixin.request')
    rows = [
        (
            f'`{name}`',
            type_of(found[name].annotation),
            default_of(name, found[name].default),
            sentence(texts[name]),
            since(name, known),
        )
        for name in OPTIONS
    ]
    return table(('option', 'type', 'default', 'what it does', 'since'), rows)


def of_install_cache() -> str:
    found, texts = parameters(install_cache), described(install_cache)
    factory: Any = found['session_factory']
    return (
        f'`install_cache()` and `enabled()` take the same keywords, and one more: `session_factory` (default '
        f'`{factory.default.__name__}`). {sentence(texts["session_factory"])} There, the default of `autoclose` is '
        f'`False`, because all sessions share the backend.'
    )


def renamed() -> str:
    return table(('earlier name', 'name'), [(f'`{old}`', f'[`{new}`](#{new})') for old, new in RENAMED.items()])


def ignored_by_default() -> str:
    return ', '.join(f'`{name}`' for name in DEFAULT_IGNORED_PARAMS)


PARTS = {
    'overview': overview,
    'settings': all_settings,
    'options': options,
    'install-cache': of_install_cache,
    'renamed': renamed,
    'ignored': ignored_by_default,
}
