"""Sessions of the packages that are compared, all made in the same way

A session is opened by the name of its store, in a mode (`own`: by times of the user's own; `standard`: by what servers
say), with features by keyword. What a package cannot do raises `UnsupportedError`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests

ONE_DAY_SECONDS = 86400


class UnsupportedError(Exception):
    """The package has no such feature"""


def _only(features: dict[str, Any], *supported: str) -> None:
    if unsupported := set(features) - set(supported):
        raise UnsupportedError(', '.join(unsupported))


def of_requests_cache(name: str, mode: str, **features: Any) -> requests.Session:
    from requests_cache import CachedSession

    is_published = version('requests-cache') == '1.3.3'
    options: dict[str, Any] = {'stale_if_error': features.get('stale_if_error', False)}
    options['stale_while_revalidate'] = features.get('stale_while_revalidate', False)
    options['expire_after'] = features.get('lifetime', -1)
    if features.get('post'):
        options['allowable_methods'] = ('GET', 'POST')
    if mode == 'standard':
        options['cache_control'] = True if is_published else 'strict'
    if 'idle' in features:
        raise UnsupportedError
    if 'shared' in features or 'cache_status' in features:
        if is_published:
            raise UnsupportedError
        options |= {'shared_cache': features.get('shared', False), 'cache_status': features.get('cache_status', False)}
    return CachedSession(name, **options)


def of_cachecontrol(name: str, mode: str, **features: Any) -> requests.Session:
    from cachecontrol import CacheControl
    from cachecontrol.caches import FileCache

    _only(features, 'post')
    methods = ('GET', 'POST') if features.get('post') else None
    return CacheControl(requests.Session(), cache=FileCache(name), cacheable_methods=methods)


def of_hishel(name: str, mode: str, **features: Any) -> requests.Session:
    import hishel
    from hishel.requests import CacheAdapter

    _only(features, 'lifetime', 'shared', 'idle')
    times = {'default_ttl': features.get('lifetime'), 'default_tti': features.get('idle')}
    storage = hishel.SqliteStorage(database_path=Path(f'{name}.db').resolve(), **times)
    options = hishel.CacheOptions(shared=features.get('shared', False)) if mode == 'standard' else False
    session = requests.Session()
    session.mount('http://', CacheAdapter(storage=storage, rfc=options))
    return session


PACKAGES: dict[str, Callable[..., requests.Session]] = {
    'requests-cache': of_requests_cache,
    'CacheControl': of_cachecontrol,
    'hishel': of_hishel,
}
