"""Converting the keys of stored entries to other settings or another serializer"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from logging import getLogger
from typing import Any, NamedTuple
from urllib.parse import urldefrag

from requests.exceptions import ChunkedEncodingError

from .._utils import chunkify
from ..keys.bodies import REDACTED
from ..keys.shown import shown_key
from ..keys.variants import is_variant_suffix, matched_names, split_part_key, standard_variant_suffix, variant_key
from ..models.body import BodyLostError
from ..models.redirects import first_request, redirect_keys
from ..models.request import CachedRequest
from ..models.response import CachedResponse
from ..policy.vary import match_variant, varied_names
from .mappings import existing_in, scan
from .storage import CHUNK_SIZE

# How many entries are written together
COPY_CHUNK_SIZE = 200
_OTHER = 'OTHER'
logger = getLogger(__name__)


class KeyOrigin(NamedTuple):
    """How the key of an entry was made

    Args:
        request: The request from which it was made
        verify: Whether the request verified certificates
        names: Names of the header fields that distinguish variants; empty if they are not part of the key
        suffix: Suffix after the key of the request
    """

    request: CachedRequest
    verify: bool
    names: tuple[str, ...] = ()
    suffix: str = ''

    def key_in(self, cache: Any) -> str:
        """The key that is made in the same way with the settings and serializer of a cache"""
        return _create_key(cache, self.request, self.names, verify=self.verify) + self.suffix


def _create_key(cache: Any, request: CachedRequest, names: tuple[str, ...] = (), **kwargs: Any) -> str:
    if names:
        kwargs['match_headers'] = matched_names(names, cache._settings_for(request).match_headers)
    key: str = cache.create_key(request, **kwargs)
    return key


def requests_of(response: CachedResponse) -> list[CachedRequest]:
    """The requests from which the key of an entry may have been made

    This is the first request; if the response was saved without a key, it is the last one. In strict mode, the fragment
    of the URL is ignored.
    """
    requests = [first_request(response)]
    if response.history:
        requests.append(response.request)
    return requests + [_without_fragment(request) for request in requests if '#' in (request.url or '')]


def _without_fragment(request: CachedRequest) -> CachedRequest:
    target = request.copy()
    target.url = urldefrag(request.url or '').url
    return target


def explain_key(cache: Any, key: str, response: CachedResponse) -> KeyOrigin | None:
    """Find out how the key of an entry was made with the settings of a cache; None if it was not"""
    key, part = split_part_key(key) if response.status_code == 206 else (key, '')
    for request in requests_of(response):
        for verify in (True, False):
            plain = _create_key(cache, request, verify=verify)
            if plain == key or key.startswith(f'{plain}-'):
                return KeyOrigin(request, verify, (), key.removeprefix(plain) + part)
            for names in _sets_of_names(cache, plain, response):
                made = _create_key(cache, request, names, verify=verify)
                suffix = key.removeprefix(made)
                if len(made) + len(suffix) == len(key) and is_variant_suffix(suffix, names):
                    return KeyOrigin(request, verify, names, suffix + part)
            if response.history and cache.redirects.get(plain) == key:
                return KeyOrigin(request, verify)  # a variant of an earlier target of its redirects
    return None


def _sets_of_names(cache: Any, plain_key: str, response: CachedResponse) -> Iterator[tuple[str, ...]]:
    """The sets of header fields that may distinguish a response from other variants

    This is the set in its own `Vary` or, in the default modes, in that of the first variant; each with and without
    `Accept-Encoding`.
    """
    own = _ways_to_vary(response)
    yield from own
    first = cache.get_response(plain_key)
    if first is not None:
        yield from (names for names in _ways_to_vary(first) if names not in own)


def _ways_to_vary(response: CachedResponse) -> list[tuple[str, ...]]:
    all_names = varied_names(response)
    ways = dict.fromkeys((all_names, all_names - {'accept-encoding'}))
    return [tuple(sorted(names)) for names in ways if names]


def _read(cache: Any, key: str) -> CachedResponse | None:
    response = cache.responses.get(key)
    return response if isinstance(response, CachedResponse) else None


def copy_entries(source: Any, target: Any, progress: Callable[[int], object] | None = None) -> None:
    """Copy all readable entries and redirects from one cache to another, so that they are hits there

    A key that was not made with the settings of the source is kept, as it was chosen by the user.

    Args:
        source: The cache to read
        target: The cache to write to
        progress: A function that is called occasionally with the number of entries that have been copied
    """
    copied = 0
    same_keys = str(getattr(source.responses, 'serializer', None)) == str(getattr(target.responses, 'serializer', None))
    for page in chunkify(_readable_entries(source), COPY_CHUNK_SIZE):
        entries: dict[str, CachedResponse] = {}
        redirects: dict[str, str] = {}
        for key, response in page:
            origin = None if same_keys else explain_key(source, key, response)
            new_key = origin.key_in(target) if origin is not None else key
            if origin is not None and new_key != key and response.history:
                sources = redirect_keys(response, target.create_key, verify=origin.verify)
                redirects.update(dict.fromkeys(sources, new_key))
            entries[new_key] = response
        copied += _write_readable(target.responses, entries)
        target._save_redirects(redirects)
        if progress is not None:
            progress(copied)
    for pairs in chunkify(scan(source.redirects), CHUNK_SIZE):
        # Other redirects lead to entries that were not copied, or have a different key now
        existing = existing_in(target.responses, {leads_to for _, leads_to in pairs if isinstance(leads_to, str)})
        target._save_redirects({key: leads_to for key, leads_to in pairs if leads_to in existing})


def _write_readable(storage: Any, entries: dict[str, CachedResponse]) -> int:
    """Write entries together, except for those whose bodies are lost; returns how many were written"""
    try:
        storage.update(entries)
    except (BodyLostError, ChunkedEncodingError):
        lost = 0
        for key, response in entries.items():
            try:
                storage[key] = response
            except (BodyLostError, ChunkedEncodingError):  # noqa: PERF203
                lost += 1
                logger.warning('Not copied, because its body cannot be read: %s', shown_key(key))
        return len(entries) - lost
    return len(entries)


def _readable_entries(cache: Any) -> Iterator[tuple[str, CachedResponse]]:
    for key, response in cache._entries():
        if response is None:
            logger.warning('Not copied, because it cannot be read: %s', shown_key(key))
        else:
            yield key, response


def recreate_keys(cache: Any) -> None:
    """Move entries whose keys were not made with the current settings and serializer of a cache

    If several entries get the same key, the most recent one is kept.
    """
    for key, response in cache._changeable_entries():
        if response is None:
            continue
        origin = explain_key(cache, key, response)
        new_key = _present_key(cache, key, response) if origin is None else _reachable_key(cache, key, origin)
        if new_key == key:
            continue
        there = _read(cache, new_key)
        if there is None or there.created_at <= response.created_at:
            _write_readable(cache.responses, {new_key: response})
            cache._save_redirects(dict.fromkeys(redirect_keys(response, cache.create_key), new_key))
        del cache.responses[key]


def _reachable_key(cache: Any, key: str, origin: KeyOrigin) -> str:
    """The key of an entry with a correct key; a different one if it is a variant that cannot be found"""
    # In strict mode, such variants are no longer valid
    if not origin.names or origin.suffix:
        return key
    plain = _create_key(cache, origin.request, verify=origin.verify)
    return key if cache.contains(plain) else plain


def _present_key(cache: Any, key: str, response: CachedResponse) -> str:
    """The key under which an entry would be stored with the current settings"""
    request, names = first_request(response), tuple(sorted(varied_names(response)))
    if response._generation:  # stored in strict mode
        request = _without_fragment(request)
    plain = _create_key(cache, request)
    if _create_key(cache, _with_other_secrets(request)) != plain:
        return key  # it depends on values that are not stored
    base, part = split_part_key(key) if response.status_code == 206 else (key, '')
    suffix = standard_variant_suffix(base, names)
    if suffix:
        return _create_key(cache, request, names) + suffix + part
    return plain + part if part else _key_beside(cache, plain, request)


def _with_other_secrets(request: CachedRequest) -> CachedRequest:
    """A request with other values in place of those that are not stored"""
    other = request.copy()
    other.url = (request.url or '').replace(REDACTED, _OTHER)
    other.body = request.body.replace(REDACTED.encode(), _OTHER.encode())
    for name, value in request.headers.items():
        other.headers[name] = str(value).replace(REDACTED, _OTHER)
    return other


def _key_beside(cache: Any, key: str, request: CachedRequest) -> str:
    """The key of a response in the default modes: the key of its request, or that of a variant"""
    first, settings = cache.get_response(key), cache._settings_for(request)
    if first is None:
        return key
    names = match_variant(request.headers, first, settings.ignored_parameters).secondary_names
    if not names:
        return key
    made = _create_key(cache, request, names)
    generation = first._generation.partition(' ')[0]
    return variant_key(made, names if made == key and settings.key_fn is None else (), generation)
