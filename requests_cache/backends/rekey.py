"""Keys of stored entries: all that belong to a request, and those under another serializer or other settings"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from logging import getLogger
from typing import Any

from ..models.redirects import first_request, redirect_keys
from ..models.response import CachedResponse

CreateKey = Callable[..., str]
logger = getLogger(__name__)


def entry_keys(cache: Any, request: Any, **kwargs: Any) -> list[str]:
    """Keys of the response to a request, and of what is stored of one that is not complete"""
    key: str = cache.create_key(request, **kwargs)
    return [key, *stored_part_keys(cache, key)]


def stored_part_keys(cache: Any, key: str) -> list[str]:
    """Keys of the parts that are stored of a response, and of their index; none if there are none"""
    from ..policy.standard.parts import index_key, part_keys

    try:
        index = cache.responses[index_key(key)]
    except KeyError:
        return []
    return part_keys(key, index) if isinstance(index, CachedResponse) else []


def _vary_names(response: CachedResponse) -> list[str]:
    return sorted(name.strip().lower() for name in response.headers.get('Vary', '').split(',') if name.strip())


def _variations(response: CachedResponse) -> Iterator[dict[str, Any]]:
    """Arguments of `create_key` that an entry's key may have been made with"""
    names = _vary_names(response)
    for verify in (True, False):
        yield {'verify': verify}
        if names:
            yield {'verify': verify, 'match_headers': names}


def translate_key(response: CachedResponse, key: str, old: CreateKey, new: CreateKey) -> str:
    """The key of an entry by `new`, made the way its present key is made by `old`

    A key that `old` does not explain is kept, as it was chosen by somebody else.
    """
    request = first_request(response)
    for arguments in _variations(response):
        if old(request, **arguments) == key:
            return new(request, **arguments)
    return key


def copy_entries(source: Any, target: Any) -> None:
    """Copy all readable entries and redirects of one cache to another, so that they hit there"""
    same_keys = str(getattr(source.responses, 'serializer', None)) == str(getattr(target.responses, 'serializer', None))
    moved = set()
    for key, response in source._entries():
        if response is None:
            logger.warning('Not copied, as it cannot be read: %s', key)
            continue
        new_key = key if same_keys else translate_key(response, key, source.create_key, target.create_key)
        if new_key != key and response.history:
            moved.add(key)
            target._save_redirects(dict.fromkeys(redirect_keys(response, target.create_key), new_key))
        target.responses[new_key] = response
    for origin, destination in source.redirects.items():
        if destination not in moved:
            target.redirects[origin] = destination


def recreate_keys(cache: Any) -> None:
    """Move entries of a cache to the keys that their requests have by its present settings and serializer

    Parts of responses are deleted.
    """
    from ..policy.standard.parts import is_part_key

    for key, response in cache._changeable_entries():
        if response is None or key == cache.create_key(first_request(response), verify=False):
            continue
        if is_part_key(key) and response.status_code == 206:
            del cache.responses[key]  # by the key of its request it would be taken for the whole
            continue
        new_key = cache.create_key(first_request(response))
        if new_key != key and _vary_names(response) and new_key in cache.responses:
            new_key = cache.create_key(first_request(response), match_headers=_vary_names(response))
        if new_key != key:
            cache.responses[new_key] = response
            del cache.responses[key]
            cache._save_redirects(dict.fromkeys(redirect_keys(response, cache.create_key), new_key))
